//! Reading `connectKeyList`.

use crate::file;
use crate::model::Cluster;
use crate::read::{Draft, Fields, Reader};
use crate::tree::{Node, Place, Value};
use crate::zookeeper::{KIND as ZOOKEEPER, check_path};

const KEY: &str = "connectKeyList";

/// The addresses of a cluster. Those of ZooKeeper all have the chroot, where there is one.
pub(crate) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) -> Vec<String> {
    let items = reader.list(fields, KEY, "addresses");
    needed(reader, fields, kind, items.is_empty());
    let zookeeper = kind == ZOOKEEPER;
    let is_file = kind == file::KIND;
    let expected = match zookeeper {
        _ if is_file => "the whole path of one file or folder, such as `/etc/causeway/services`",
        false => "an address: `host:port`, `[IPv6]:port` or `http://host:port`",
        true => "an address: `host:port` or `[IPv6]:port`, with a chroot such as `/root` behind it or not",
    };
    let mut servers = Vec::new();
    let mut broken = false;
    for (node, path) in &items {
        if matches!(node.value, Value::Null) {
            broken = true;
            reader.report(
                Draft::error(node.place, path, "this address is empty")
                    .expected(expected)
                    .help("write it, or take the `-` out"),
            );
            continue;
        }
        let Some(scalar) = reader.one(node, path, expected) else {
            broken = true;
            continue;
        };
        let read = match zookeeper {
            _ if is_file && items.len() > 1 => Err("make one cluster for each file"),
            _ if is_file => file::check_path(&scalar.text).map(|()| vec![(scalar.text.clone(), None)]),
            false => check_address(&scalar.text).map(|()| vec![(scalar.text.clone(), None)]),
            // The form of ZooKeeper's own clients, which people paste: all servers in one text.
            true if items.len() == 1 => connect_string(&scalar.text),
            true => server(&scalar.text).map(|server| vec![server]),
        };
        match read {
            Ok(read) => servers.extend(read.into_iter().map(|(host, chroot)| Server { node, path, host, chroot })),
            Err(help) => {
                broken = true;
                // The text is not repeated: a password may stand before an `@`.
                let draft = Draft::error(node.place, path, "this is not an address").expected(expected).help(help);
                reader.report(draft);
            }
        }
    }
    if !broken {
        check_chroots(reader, &servers);
    }
    let chroot = servers.iter().find_map(|server| server.chroot.clone()).unwrap_or_default();
    servers.into_iter().map(|server| server.host + &chroot).collect()
}

/// One text that stood for several addresses is written as one again, where it holds a reference.
pub(crate) fn keep_written(cluster: &mut Cluster, fields: &Fields<'_>) {
    let one = matches!(fields.get(KEY).map(|node| &node.value), Some(Value::List(items)) if items.len() == 1);
    if one
        && cluster.addresses.len() > 1
        && let Some(text) = cluster.written.remove(&format!("/{KEY}/0"))
    {
        cluster.written.insert(format!("/{KEY}"), text);
    }
}

struct Server<'n> {
    node: &'n Node,
    path: &'n str,
    host: String,
    chroot: Option<String>,
}

fn needed(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str, none: bool) {
    let given = fields.get(KEY).is_some();
    let empty = none && (!given || matches!(fields.get(KEY).map(Node::describe), Some("a list")));
    if empty && reader.kinds.0.get(kind).is_some_and(|c| c.addresses) {
        let message = if given { "this list is empty" } else { "`connectKeyList` is missing" };
        reader.report(
            Draft::error(fields.place_of(KEY), fields.at(KEY), message)
                .expected("at least one address, `host:port`")
                .help("write the servers' addresses below `connectKeyList:`, one a line, each behind `- `"),
        );
    }
}

/// The chroot stands at every address, or behind the last one only, as in ZooKeeper's own connect string.
fn check_chroots(reader: &mut Reader<'_>, servers: &[Server<'_>]) {
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

/// `Err`: how to put it right.
fn check_address(text: &str) -> Result<(), &'static str> {
    if text.contains(',') {
        return Err("give every address its own line, each behind `- `");
    }
    if text.contains('@') {
        return Err("take the user and the password out of it: they have keys of their own");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("take the blanks out");
    }
    let host_port = match text.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some(_) => return Err("only `http://` and `https://` can stand before the host, or nothing"),
        None => text,
    };
    let host_port = host_port.split('/').next().unwrap_or_default();
    let (host, port) = match host_port.strip_prefix('[') {
        Some(rest) => {
            let Some((host, rest)) = rest.split_once(']') else {
                return Err("close the `[` of the IPv6 address with `]`");
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("what stands in `[…]` is not an IPv6 address");
            }
            (host, rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("?") }))
        }
        None if host_port.matches(':').count() > 1 => return Err("write an IPv6 address in brackets: `[::1]:8848`"),
        None => host_port.split_once(':').map_or((host_port, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("write the host before the port");
    }
    match port.map(str::parse::<u16>) {
        Some(Err(_) | Ok(0)) => Err("the port is a number from 1 to 65535"),
        _ => Ok(()),
    }
}

/// A server of ZooKeeper: host and port, and the chroot behind them.
fn server(text: &str) -> Result<(String, Option<String>), &'static str> {
    if text.contains("://") {
        return Err("write only `host:port`, and a server of `?backup=` on its own line");
    }
    let at = text.find('/').unwrap_or(text.len());
    let (host, chroot) = text.split_at(at);
    check_address(host)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_addresses() {
        for good in ["h:8848", "h", "10.0.0.1:80", "[::1]:8848", "[::1]", "http://h:1/x", "https://h", "zk:2181/root"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in
            ["", "a,b", "u@h:1", "a b", "ftp://h", "h:0", "h:x", "h:70000", "::1", "[::1:1", "[x]:1", "[::1]1", ":1"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
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
