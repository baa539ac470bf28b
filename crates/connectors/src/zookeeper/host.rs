//! Hosts and ports as text.

use std::net::Ipv6Addr;

/// Whether this can be a host: a name, an IPv4 address, or an IPv6 address without brackets.
pub(super) fn is_one(host: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#@[]\\\"'<>{}".contains(c);
    let is_v6 = || host.split_once('%').map_or(host, |zone| zone.0).parse::<Ipv6Addr>().is_ok();
    !host.is_empty() && !host.contains(odd) && (!host.contains(':') || is_v6())
}

/// Reads `host:port`, with brackets round an IPv6 address.
pub(super) fn parse(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = bare.is_some() == host.contains(':');
    let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
    Some((bare.unwrap_or(host), port)).filter(|(host, _)| fits && is_one(host))
}

/// Writes `host:port`, with brackets round an IPv6 address.
pub(super) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_ports() {
        for (text, parsed) in [
            ("10.0.0.1:80", Some(("10.0.0.1", 80))),
            ("my_host.example:65535", Some(("my_host.example", 65535))),
            ("[fd00::1]:8080", Some(("fd00::1", 8080))),
            ("[fe80::1%en0]:1", Some(("fe80::1%en0", 1))),
            ("fd00::1:8080", None),
            ("[host]:1", None),
            ("host:65536", None),
            ("host:+1", None),
            ("host", None),
            (":1", None),
            ("a b:1", None),
        ] {
            assert_eq!(parse(text), parsed, "{text}");
            assert!(parsed.is_none_or(|(host, port)| join(host, port) == text));
        }
    }
}
