//! Where the servers of one cluster are, and which part of their tree is ours.

use super::error::{Result, WireError};
use super::paths::check_path;
use crate::zookeeper::host;
use std::fmt;

/// ZooKeeper's own default port.
const DEFAULT_PORT: u16 = 2181;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerAddress {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host::join(&self.host, self.port))
    }
}

/// Reads `host:port` texts. Any of them may be several with commas between, and may end with a chroot, as in
/// ZooKeeper's own connect strings; one chroot counts for all, and there cannot be two. The chroot comes without a
/// slash at its end, and empty where there is none.
pub(super) fn parse(texts: &[String]) -> Result<(Vec<ServerAddress>, String)> {
    let mut addresses = Vec::new();
    let mut chroot: Option<&str> = None;
    for part in texts.iter().flat_map(|text| text.split(',')).map(str::trim) {
        let (server, path) = match part.find('/') {
            Some(at) => part.split_at(at),
            None => (part, ""),
        };
        let address = server_of(server, part)?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            continue;
        }
        check_path(path).map_err(|error| WireError::Rejected(format!("address \"{part}\": {error}")))?;
        match chroot {
            Some(other) if other != path => {
                return Err(WireError::Rejected(format!("addresses with two chroots, {other} and {path}")));
            }
            _ => chroot = Some(path),
        }
    }
    if addresses.is_empty() {
        return Err(WireError::Rejected("no address".into()));
    }
    Ok((addresses, chroot.unwrap_or_default().to_owned()))
}

fn server_of(server: &str, whole: &str) -> Result<ServerAddress> {
    let with_port = format!("{server}:{DEFAULT_PORT}");
    let found = host::parse(server).or_else(|| host::parse(&with_port)).filter(|(_, port)| *port != 0);
    let wrong = || WireError::Rejected(format!("address \"{whole}\": no server; write `host:port` or `[IPv6]:port`"));
    found.map(|(host, port)| ServerAddress { host: host.to_owned(), port }).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<(Vec<String>, String)> {
        let texts: Vec<_> = texts.iter().map(|t| (*t).to_owned()).collect();
        parse(&texts).map(|(found, chroot)| (found.iter().map(ToString::to_string).collect(), chroot))
    }

    #[test]
    fn reads_addresses_and_one_chroot() {
        let (found, chroot) = read(&["a:1", "b", "[::1]:3/x/y", "a:1"]).unwrap();
        assert_eq!(found, ["a:1", "b:2181", "[::1]:3"]);
        assert_eq!(chroot, "/x/y");
        assert_eq!(
            read(&["a:1,b:2/x", "c:3/x/"]).unwrap(),
            (vec!["a:1".into(), "b:2".into(), "c:3".into()], "/x".into())
        );
        assert_eq!(read(&["a/"]).unwrap().1, "");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for wrong in ["", ":1", "a:0", "a:b", "a:99999", "::1", "[::1", "[::1]2", "a:1/x//y", "a:1/../b", "user@a:1"] {
            assert!(matches!(read(&[wrong]), Err(WireError::Rejected(_))), "{wrong}");
        }
        assert!(matches!(read(&[]), Err(WireError::Rejected(_))));
        let two = read(&["a:1/x", "b:1/y"]).unwrap_err().to_string();
        assert!(two.contains("/x") && two.contains("/y"), "{two}");
    }
}
