//! Reading `connectKeyList`.

use crate::model::Cluster;
use crate::read::{Draft, Fields, Reader};
use crate::secret::Secret;
use crate::tree::{Node, Value};

const KEY: &str = "connectKeyList";

/// The addresses of a cluster, as its kind reads them.
pub(crate) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) -> Vec<String> {
    let items = reader.list(fields, KEY, "addresses");
    check_needed(reader, fields, kind, items.is_empty());
    match reader.kinds.get(kind) {
        Some(kind) => kind.addresses(reader, &items),
        None => host_ports(reader, &items),
    }
}

/// The user and the password in the addresses, for a kind whose users write them there.
pub(crate) fn login(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) -> Option<(String, Secret)> {
    let kind = reader.kinds.get(kind)?;
    let Some(Value::List(items)) = fields.get(KEY).map(|node| &node.value) else { return None };
    let path = fields.at(KEY);
    let items: Vec<_> = items.iter().enumerate().map(|(n, node)| (node, format!("{path}[{n}]"))).collect();
    kind.login(reader, &items)
}

/// One `host:port` an item, or an HTTP address.
pub(crate) fn host_ports(reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<String> {
    let expected = "an address: `host:port`, `[IPv6]:port` or `http://host:port`";
    let one = |(node, path): &(&Node, String)| {
        each(reader, node, path, expected, &mut |text| check_address(text).map(|()| text.to_owned()))
    };
    items.iter().filter_map(one).collect()
}

/// Reads one item of `connectKeyList`. `None`: it is reported what is wrong with it. `form` says how to put it right.
pub fn each<T>(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    expected: &str,
    form: &mut dyn FnMut(&str) -> Result<T, &'static str>,
) -> Option<T> {
    if matches!(node.value, Value::Null) {
        let draft = Draft::error(node.place, path, "this address is empty").expected(expected);
        reader.report(draft.help("write it, or take the `-` out"));
        return None;
    }
    let scalar = reader.one(node, path, expected)?;
    // The text is not repeated: a password may stand before an `@`.
    let wrong = |help| Draft::error(node.place, path, "this is not an address").expected(expected).help(help);
    form(&scalar.text).map_err(|help| reader.report(wrong(help))).ok()
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

fn check_needed(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str, none: bool) {
    let given = fields.get(KEY).is_some();
    let empty = none && (!given || matches!(fields.get(KEY).map(Node::describe), Some("a list")));
    if empty && reader.kinds.facts(kind).addresses {
        let message = if given { "this list is empty" } else { "`connectKeyList` is missing" };
        reader.report(
            Draft::key_error(fields, KEY, message)
                .expected("at least one address, `host:port`")
                .help("write the servers' addresses below `connectKeyList:`, one a line, each behind `- `"),
        );
    }
}

/// Whether a text is `host:port`, or an HTTP address. `Err`: how to put it right.
pub fn check_address(text: &str) -> Result<(), &'static str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_addresses() {
        for good in ["h:8848", "h", "10.0.0.1:80", "[::1]:8848", "[::1]", "http://h:1/x", "https://h", "h:2181/root"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in
            ["", "a,b", "u@h:1", "a b", "ftp://h", "h:0", "h:x", "h:70000", "::1", "[::1:1", "[x]:1", "[::1]1", ":1"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }
}
