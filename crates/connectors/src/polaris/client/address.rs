//! Addresses of a cluster's servers. Pure.

/// The ports of a Polaris server where an address names none.
const HTTP: u16 = 8090;
const GRPC: u16 = HTTP + 1;

/// Where one server listens for gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::polaris) struct GrpcAddress {
    /// Without brackets.
    pub host: String,
    pub port: u16,
    pub secure: bool,
}

/// The servers of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::polaris) struct Servers {
    /// URLs of the HTTP API, without a slash at the end.
    pub http: Vec<String>,
    pub grpc: Vec<GrpcAddress>,
}

/// Whether a text is an address. `Err`: how to put it right.
pub(in crate::polaris) fn check(text: &str) -> Result<(), &'static str> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    match scheme {
        "http" | "https" => causeway_settings::check_address(text),
        "grpc" | "grpcs" if rest.contains('/') => Err("nothing stands behind the port of a gRPC address"),
        "grpc" | "grpcs" => causeway_settings::check_address(rest),
        _ => Err("only `grpc://`, `grpcs://`, `http://` and `https://` can stand before the host, or nothing"),
    }
}

impl Servers {
    /// The servers at these addresses. Where only HTTP is named, gRPC is taken to be at the next port, and the other way
    /// round. `secured`: TLS is spoken where the address does not say. `path` stands before the HTTP API.
    pub fn of(addresses: &[String], secured: bool, path: &str) -> Result<Self, String> {
        let (mut http, mut grpc) = (Vec::new(), Vec::new());
        for text in addresses {
            check(text).map_err(|how| format!("{text:?} is no address: {how}"))?;
            let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
            let plain = matches!(scheme, "http" | "grpc");
            if secured && scheme == "http" {
                return Err(format!("{text} is not reached by TLS, yet `tls` is given: write `https://`, or nothing"));
            }
            let secure = if plain { secured } else { secured || matches!(scheme, "https" | "grpcs") };
            let (place, own) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let (host, port) = host_port(place);
            match scheme {
                "grpc" | "grpcs" => grpc.push(GrpcAddress { host, port: port.unwrap_or(GRPC), secure }),
                _ => http.push((host, port.unwrap_or(HTTP), secure, own.trim_end_matches('/').to_owned())),
            }
        }
        if grpc.is_empty() {
            let next = http.iter().filter_map(|(host, port, secure, _)| Some((host, port.checked_add(1)?, *secure)));
            grpc = next.map(|(host, port, secure)| GrpcAddress { host: host.clone(), port, secure }).collect();
        } else if http.is_empty() {
            let before = grpc.iter().filter(|one| one.port > 1);
            http = before.map(|one| (one.host.clone(), one.port - 1, one.secure, String::new())).collect();
        }
        let http = http.into_iter().map(|(host, port, secure, own)| {
            let scheme = if secure { "https" } else { "http" };
            format!("{scheme}://{}:{port}{own}{path}", bracketed(&host))
        });
        Ok(Self { http: http.collect(), grpc })
    }
}

/// An IPv6 address in brackets, anything else as it is.
pub(in crate::polaris) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn host_port(text: &str) -> (String, Option<u16>) {
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host.to_owned(), rest.strip_prefix(':').and_then(|port| port.parse().ok())),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().ok()),
            None => (text.to_owned(), None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(addresses: &[&str], secured: bool) -> Result<Servers, String> {
        let addresses: Vec<_> = addresses.iter().map(|text| (*text).to_owned()).collect();
        Servers::of(&addresses, secured, "")
    }

    fn grpc(servers: &Servers) -> Vec<String> {
        let scheme = |secure| if secure { "grpcs" } else { "grpc" };
        servers.grpc.iter().map(|one| format!("{}://{}:{}", scheme(one.secure), one.host, one.port)).collect()
    }

    #[test]
    fn each_protocol_is_found_from_the_other() {
        for (given, http, other) in [
            ("h", "http://h:8090", "grpc://h:8091"),
            ("h:80", "http://h:80", "grpc://h:81"),
            ("http://h:8090", "http://h:8090", "grpc://h:8091"),
            ("https://h", "https://h:8090", "grpcs://h:8091"),
            ("grpc://h:8091", "http://h:8090", "grpc://h:8091"),
            ("grpc://h", "http://h:8090", "grpc://h:8091"),
            ("grpcs://[::1]:9001", "https://[::1]:9000", "grpcs://::1:9001"),
        ] {
            let servers = servers(&[given], false).unwrap();
            assert_eq!(
                (servers.http.as_slice(), grpc(&servers)),
                ([http.to_owned()].as_slice(), vec![other.to_owned()])
            );
        }
        let both = servers(&["http://a:8090", "b:8090", "grpc://c:1", "grpc://d:2"], false).unwrap();
        assert_eq!((both.http.len(), grpc(&both)), (2, vec!["grpc://c:1".to_owned(), "grpc://d:2".to_owned()]));
        let secured = servers(&["h:8090", "grpc://h:8091"], true).unwrap();
        assert_eq!((secured.http[0].as_str(), grpc(&secured)), ("https://h:8090", vec!["grpcs://h:8091".to_owned()]));
        assert!(servers(&["http://h"], true).unwrap_err().contains("`tls` is given"));
    }

    #[test]
    fn what_is_no_address_says_how_to_put_it_right() {
        for bad in ["", "ftp://h", "grpc://h:8091/x", "grpc://h:0", "u:p@h", "grpc://", "a,b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
