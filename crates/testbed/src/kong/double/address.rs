//! Host names and addresses as Kong reads and normalises them.

/// What an address is, judged by its characters: an `Ipv4` or `Ipv6` that does not parse is an error, never a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KongHostKind {
    Ipv4,
    Ipv6,
    Name,
}

/// A parsed address. IPv4 has no leading zeros; IPv6 is expanded, without brackets; a name stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KongHost {
    pub host: String,
    pub kind: KongHostKind,
    pub port: Option<u16>,
}

/// The port of a target that names none.
const DEFAULT_PORT: u16 = 8000;

/// Parses `host`, `host:port`, `ipv4:port`, `ipv6` or `[ipv6]:port`.
pub fn parse(address: &str) -> Result<KongHost, String> {
    let rest: String = address.chars().filter(|one| *one != ':').collect();
    if address.len() - rest.len() > 1 {
        return ipv6(address);
    }
    let is_ipv4 = !rest.is_empty() && rest.chars().all(|one| one.is_ascii_digit() || one == '.');
    if is_ipv4 { ipv4(address) } else { name(address) }
}

/// A target as it is stored: with its port, IPv6 expanded.
pub fn target(address: &str) -> Result<String, String> {
    let parsed = parse(address).map_err(|_| "Invalid target; not a valid hostname or ip address".to_owned())?;
    let port = parsed.port.unwrap_or(DEFAULT_PORT);
    Ok(match parsed.kind {
        KongHostKind::Ipv6 => format!("[{}]:{port}", parsed.host),
        KongHostKind::Ipv4 | KongHostKind::Name => format!("{}:{port}", parsed.host),
    })
}

/// The name of an upstream: a host name without a port.
pub fn upstream_name(name: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("Invalid name ('{name}'); {why}"));
    match parse(name) {
        Err(_) => wrong("must be a valid hostname"),
        Ok(parsed) if parsed.kind != KongHostKind::Name => wrong("no ip addresses allowed"),
        Ok(parsed) if parsed.port.is_some() => wrong("no port allowed"),
        Ok(_) => Ok(()),
    }
}

/// The host of a service: a name or an address, without a port.
pub fn host(host: &str) -> Result<(), String> {
    match parse(host) {
        Err(why) if why == BAD_PORT => Err("must not have a port".to_owned()),
        Err(_) => Err(format!("invalid value: {host}")),
        Ok(parsed) if parsed.port.is_some() => Err("must not have a port".to_owned()),
        Ok(_) => Ok(()),
    }
}

/// `host_header` of an upstream.
pub fn host_with_port(host: &str) -> Result<(), String> {
    parse(host).map(drop)
}

/// One of a route's hosts: a name, with one wildcard at its left or right end at most.
pub fn wildcard_host(text: &str) -> Result<(), String> {
    let plain = match text.matches('*').count() {
        0 => text.to_owned(),
        _ if !text.starts_with('*') && !text.ends_with('*') => {
            return Err("wildcard must be leftmost or rightmost character".to_owned());
        }
        1 => text.replace('*', "wildcard"),
        _ => return Err("only one wildcard must be specified".to_owned()),
    };
    match parse(&plain) {
        Ok(parsed) if parsed.kind != KongHostKind::Name => Err("must not be an IP".to_owned()),
        _ => {
            host(&plain).map_err(|why| if why.starts_with("invalid") { format!("invalid value: {text}") } else { why })
        }
    }
}

const BAD_PORT: &str = "invalid port number";

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| BAD_PORT.to_owned())
}

fn ipv4(address: &str) -> Result<KongHost, String> {
    let wrong = || format!("invalid ipv4 address: {address}");
    let (host, port_text) = match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    let parts: Vec<&str> = host.split('.').collect();
    let number = |part: &&str| match part.len() {
        1..=3 => part.parse::<u8>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    let numbers = parts.iter().map(number).collect::<Result<Vec<u8>, _>>()?;
    let [a, b, c, d] = numbers[..] else { return Err(wrong()) };
    if port_text.is_some_and(str::is_empty) {
        return Err(wrong());
    }
    let port = port_text.map(port).transpose()?;
    Ok(KongHost { host: format!("{a}.{b}.{c}.{d}"), kind: KongHostKind::Ipv4, port })
}

fn ipv6(address: &str) -> Result<KongHost, String> {
    let wrong = || format!("invalid ipv6 address: {address}");
    let (inner, port_text) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, "")) => (inner, None),
        Some((inner, rest)) => (inner, Some(rest.strip_prefix(':').ok_or_else(wrong)?)),
        None => (address, None),
    };
    if inner.contains('.') {
        return Err(wrong());
    }
    let parsed: std::net::Ipv6Addr = inner.parse().map_err(|_| wrong())?;
    let groups: Vec<String> = parsed.segments().iter().map(|group| format!("{group:04x}")).collect();
    let port = port_text.map(port).transpose()?;
    Ok(KongHost { host: groups.join(":"), kind: KongHostKind::Ipv6, port })
}

fn name(address: &str) -> Result<KongHost, String> {
    let wrong = || format!("invalid hostname: {address}");
    let (host, port) = match address.rsplit_once(':') {
        Some((host, text)) if !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit()) => {
            (host, Some(port(text)?))
        }
        _ => (address, None),
    };
    let plain = |one: u8| one.is_ascii_alphanumeric() || matches!(one, b'-' | b'.' | b'_');
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(wrong());
    }
    let labels: Vec<&str> = host.split('.').collect();
    let last = labels.len() - 1;
    let bad = |(n, label): (usize, &&str)| label.ends_with('-') || (label.is_empty() && n != last);
    if labels.iter().enumerate().any(bad) {
        return Err(wrong());
    }
    Ok(KongHost { host: host.to_owned(), kind: KongHostKind::Name, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_normalised() {
        for (given, stored) in [
            ("127.0.0.1", "127.0.0.1:8000"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("001.002.003.004:9", "1.2.3.4:9"),
            ("[::1]:9", "[0000:0000:0000:0000:0000:0000:0000:0001]:9"),
            ("fd00::1", "[fd00:0000:0000:0000:0000:0000:0000:0001]:8000"),
            ("SVC", "SVC:8000"),
            ("my_host.example.:80", "my_host.example.:80"),
        ] {
            assert_eq!(target(given).as_deref(), Ok(stored), "{given}");
        }
        for wrong in ["127.0.0.1:65536", "host:65536", "a b", "", "a..b", "a-.b", "1.2.3", "256.1.1.1", "a:b", "bücher"]
        {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn upstreams_have_host_names() {
        for good in ["orders", "-orders", "a_b.c-d", &"x".repeat(64), "A.a", "orders."] {
            assert_eq!(upstream_name(good), Ok(()), "{good}");
        }
        for wrong in ["G@@orders", "a:b", "a b", "订单", "127.0.0.1", "a..b", "orders-", "1.2.3", "orders:80"] {
            assert!(upstream_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_of_routes_may_have_one_wildcard() {
        for good in ["a.example", "*.example", "example.*"] {
            assert_eq!(wildcard_host(good), Ok(()), "{good}");
        }
        for wrong in ["a.*.example", "*.example.*", "127.0.0.1", "a.example:80", "a b"] {
            assert!(wildcard_host(wrong).is_err(), "{wrong}");
        }
    }
}
