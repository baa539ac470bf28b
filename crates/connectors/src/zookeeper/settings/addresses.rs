//! Addresses of a ZooKeeper: servers, and the chroot below which everything else begins.

use causeway_settings::{Draft, Node, Place, Reader, check_address as host_port, each};

/// The addresses, all with the chroot where there is one.
pub(super) fn read(reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<String> {
    let expected = "an address: `host:port` or `[IPv6]:port`, with a chroot such as `/root` behind it or not";
    // The form of the servers' own clients, which people paste: all servers in one text.
    let one = items.len() == 1;
    let mut servers = Vec::new();
    let mut broken = false;
    for (node, path) in items {
        let mut form = |text: &str| if one { connect_string(text) } else { server(text).map(|server| vec![server]) };
        match each(reader, node, path, expected, &mut form) {
            Some(read) => {
                servers.extend(read.into_iter().map(|(host, chroot)| ServerText { node, path, host, chroot }))
            }
            None => broken = true,
        }
    }
    if !broken {
        check_chroots(reader, &servers);
    }
    let chroot = servers.iter().find_map(|server| server.chroot.clone()).unwrap_or_default();
    servers.into_iter().map(|server| server.host + &chroot).collect()
}

struct ServerText<'n> {
    node: &'n Node,
    path: &'n str,
    host: String,
    chroot: Option<String>,
}

/// The chroot stands at every address, or behind the last one only, as in ZooKeeper's own connect string.
fn check_chroots(reader: &mut Reader<'_>, servers: &[ServerText<'_>]) {
    let Some((last, others)) = servers.split_last() else { return };
    let others_have_none = others.iter().all(|server| server.chroot.is_none());
    let Some(wrong) = others.iter().find(|server| server.chroot != last.chroot) else { return };
    if others_have_none {
        return;
    }
    let two = wrong.chroot.is_some() && last.chroot.is_some();
    // Where only some have it, the one that lacks it is shown.
    let at = if two || wrong.chroot.is_none() { wrong } else { last };
    let message = if two { "two different chroots stand here" } else { "only some of these addresses have a chroot" };
    let (place, path): (Place, &str) = (at.node.place, at.path);
    reader.report(
        Draft::error(place, path, message)
            .expected("the same chroot at all addresses, or one behind the last address only")
            .help("one cluster is seen below one path; describe another chroot as another cluster"),
    );
}

/// A server of ZooKeeper: host and port, and the chroot behind them.
fn server(text: &str) -> Result<(String, Option<String>), &'static str> {
    if text.contains("://") {
        return Err("write only `host:port`, and a server of `?backup=` on its own line");
    }
    let at = text.find('/').unwrap_or(text.len());
    let (host, chroot) = text.split_at(at);
    host_port(host)?;
    if chroot.is_empty() || chroot == "/" {
        return Ok((host.to_owned(), None));
    }
    check_path(chroot)?;
    Ok((host.to_owned(), Some(chroot.to_owned())))
}

/// `a:2181,b:2181/root`.
fn connect_string(text: &str) -> Result<Vec<(String, Option<String>)>, &'static str> {
    let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
    if texts.is_empty() {
        return Err("write the host before the port");
    }
    texts.into_iter().map(server).collect()
}

/// Whether it is the absolute path of a node that a root or a chroot can be. `Err`: how to put it right.
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("begin it with `/`") };
    if rest.is_empty() {
        return Err("name a node below `/`");
    }
    if rest.ends_with('/') {
        return Err("take the `/` at its end away");
    }
    for segment in rest.split('/') {
        match segment {
            "" => return Err("write one `/` between two names"),
            "." | ".." => return Err("`.` and `..` have no meaning in ZooKeeper: write the whole path"),
            _ => {}
        }
    }
    // What the servers refuse in a path.
    let refused = |c: char| c.is_control() || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}');
    if path.contains(refused) {
        return Err("take the control characters out");
    }
    if rest == "zookeeper" || rest.starts_with("zookeeper/") {
        return Err("`/zookeeper` is the servers' own: name another node");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in ["/a", "/dubbo/x", "/.a/..b", "/a b", "/公开", "/zookeepers", "/a/zookeeper"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "/", "/a/", "//a", "/a//b", "/a/.", "/../a", "/a\n", "/zookeeper", "/zookeeper/quota"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn servers_of_zookeeper() {
        let some = |host: &str, chroot: Option<&str>| Ok((host.to_owned(), chroot.map(str::to_owned)));
        assert_eq!(server("h:2181"), some("h:2181", None));
        assert_eq!(server("h:2181/"), some("h:2181", None));
        assert_eq!(server("[::1]:2181/a/b c"), some("[::1]:2181", Some("/a/b c")));
        for bad in
            ["h:2181//a", "h:2181/a/", "h:2181/./a", "http://h", "zookeeper://h:2181?backup=g:2181", "h:x/a", "/a"]
        {
            assert!(server(bad).is_err(), "{bad}");
        }
        let list = connect_string(" a:1 , b:2/root").unwrap();
        assert_eq!(list, [("a:1".into(), None), ("b:2".into(), Some("/root".into()))]);
        assert!(connect_string(" , ").is_err());
    }
}
