//! Targets and our records, and whose they are. Pure.
//!
//! A tag of ours is `causeway:<install>`, on everything that we make. A target also has its mark, `causeway.mark=…`, and its
//! metadata, one tag `key=value` a pair.

use super::client::TargetRow;
use super::names::Place;
use super::weights;
use causeway_core::{Instance, Mark, Metadata, ServiceKey, intern};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;

/// Begins the tag of everything that an install has made.
const OURS: &str = "causeway:";
/// Begins the tag that holds a mark. Commas and slashes stand in no tag: they are `+` and `|` there.
const MARK: &str = "causeway.mark=";
/// Keys of metadata that begin so are ours.
const RESERVED: &str = "causeway";
/// Bytes of a tag. PostgreSQL indexes tags, and takes no longer ones than about 2,700.
const LONGEST: usize = 2_600;

const ONE_ADDRESS: &str = "an upstream has one target for an address";
const SERVING: &str = "only instances that take traffic are targets: it is left out until it does";
const EPHEMERAL: &str = "a target knows no difference";

/// What is lost on the way into Kong.
pub(super) const LOSSES: [(&str, &str); 15] = [
    ("Chinese host names", "a target's host has ASCII letters, digits, `.`, `-` and `_`"),
    ("copies beside a native record", ONE_ADDRESS),
    ("disabled", SERVING),
    ("disabled and unhealthy", SERVING),
    ("health of persistent instances", EPHEMERAL),
    ("host names outside ASCII", "a target's host has ASCII letters, digits, `.`, `-` and `_`"),
    ("metadata and protect threshold of services", "an upstream has no metadata of its own"),
    ("persistent instances", EPHEMERAL),
    ("slots", ONE_ADDRESS),
    ("slots with other characters than 0-9 a-z A-Z -", ONE_ADDRESS),
    ("two slots at one address", ONE_ADDRESS),
    ("unhealthy", SERVING),
    ("weight 0.001", "weights are whole hundredths; within an upstream all are scaled so that they keep their ratios"),
    ("weight 10,000", "weights go up to 655.35; within an upstream all are scaled so that they keep their ratios"),
    (
        "weights over 10,000",
        "weights go up to 655.35; within an upstream all are scaled so that they keep their ratios",
    ),
];

/// The tag of everything that an install has made.
pub(super) fn our_tag(install: &str) -> String {
    format!("{OURS}{install}")
}

/// Whether an install of Causeway has made an entity, whichever.
pub(super) fn is_made_by_us(tags: &[String]) -> bool {
    tags.iter().any(|tag| tag.starts_with(OURS))
}

/// Whether anything of ours is left among the tags of a target.
pub(super) fn has_tag_of_ours(tags: &[String]) -> bool {
    tags.iter().any(|tag| tag.starts_with(RESERVED))
}

/// A target's mark.
pub(super) fn mark_of(tags: &[String]) -> Option<Mark> {
    let text = tags.iter().find_map(|tag| tag.strip_prefix(MARK))?;
    Mark::decode(&text.replace('|', "/").replace('+', ","))
}

/// The tags of a copy, beside those that somebody else has given to its target.
pub(super) fn tags(install: &str, record: &Instance, before: &[String]) -> Vec<String> {
    let mark = record.mark().map(|mark| format!("{MARK}{}", mark.encode().replace('/', "|").replace(',', "+")));
    let pairs = record.metadata.iter().map(|(key, value)| pair(key, value));
    let others = before.iter().filter(|tag| !tag.starts_with(RESERVED) && !tag.contains('=')).cloned();
    let all: BTreeSet<String> = std::iter::once(our_tag(install)).chain(mark).chain(pairs).chain(others).collect();
    all.into_iter().collect()
}

fn pair(key: &str, value: &str) -> String {
    format!("{}={}", escape(key, true), escape(value, false))
}

/// Whether a pair is left out: it is ours, or too long for a tag.
fn is_left_out(key: &str, value: &str) -> bool {
    key.starts_with(RESERVED) || ((key.len() + value.len()) * 3 >= LONGEST && pair(key, value).len() > LONGEST)
}

/// What a tag cannot hold, as `%` and two digits: commas, slashes, control characters, and in keys the sign that ends them.
fn escape(text: &str, is_key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let odd = matches!(c, ',' | '/' | '%') || c.is_control() || (is_key && c == '=');
        match odd {
            false => out.push(c),
            true => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}"))),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn metadata(tags: &[String]) -> Metadata {
    let own = tags.iter().filter(|tag| !tag.starts_with(RESERVED));
    own.filter_map(|tag| tag.split_once('=')).map(|(key, value)| (unescape(key), unescape(value))).collect()
}

/// The record of a target; `None`: its address is none.
pub(super) fn record(row: &TargetRow) -> Option<Instance> {
    let (host, port) = parse_address(&row.target)?;
    Some(Instance::new(&host, port).with(|one| {
        one.weight = weights::from_kong(row.weight);
        one.metadata = metadata(&row.tags);
        one.mark = mark_of(&row.tags);
    }))
}

/// A record as a target can hold it, or why it cannot.
pub(super) fn normalize(scope: &ServiceKey, record: Instance) -> Result<Instance, String> {
    Place::of(scope)?;
    if !stands(&record) {
        return Err("Kong has only instances that take traffic: it is unhealthy or disabled".into());
    }
    if !record.weight.is_finite() || record.weight < 0.0 {
        return Err(format!("weight {} is not a number from 0 up", record.weight));
    }
    let host = host(&record.id.endpoint.host)?;
    Ok(record.with(|one| {
        one.id.endpoint.host = host;
        one.id.slot = intern("");
        one.weight = weights::alone(one.weight);
        (one.ephemeral, one.lasting, one.payload) = (true, false, None);
        if one.metadata.iter().any(|(key, value)| is_left_out(key, value)) {
            one.metadata.retain(|key, value| !is_left_out(key, value));
        }
    }))
}

/// Whether an instance takes traffic.
pub(super) fn stands(record: &Instance) -> bool {
    record.healthy && record.enabled
}

fn host(host: &str) -> Result<std::sync::Arc<str>, String> {
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return Ok(intern(&address.to_string()));
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        // Kong takes leading zeros off.
        let numbers = host.split('.').map(|part| part.parse::<u8>().ok()).collect::<Option<Vec<_>>>();
        return match numbers.as_deref() {
            Some([a, b, c, d]) => Ok(intern(&format!("{a}.{b}.{c}.{d}"))),
            _ => Err(format!("{host:?} is no IPv4 address")),
        };
    }
    let takes = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_label = |label: &str| !label.is_empty() && !label.ends_with('-');
    // A name that is whole may end with a point.
    let labels = host.strip_suffix('.').unwrap_or(host);
    match host.bytes().all(takes) && labels.split('.').all(is_label) {
        true => Ok(intern(host)),
        false => Err(format!("{host:?} is no host in Kong, which has ASCII letters, digits, `.`, `-` and `_`")),
    }
}

/// `host:port` as Kong writes it: an IPv6 address in full.
pub(super) fn address(record: &Instance) -> String {
    let (host, port) = (&record.id.endpoint.host, record.id.endpoint.port);
    match host.parse::<Ipv6Addr>() {
        Ok(address) => {
            let words: Vec<_> = address.segments().iter().map(|word| format!("{word:04x}")).collect();
            format!("[{}]:{port}", words.join(":"))
        }
        Err(_) => format!("{host}:{port}"),
    }
}

/// Reads what Kong, or an operator, has written: without a port it is 8000.
fn parse_address(target: &str) -> Option<(String, u16)> {
    if let Some(rest) = target.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let host = host.parse::<Ipv6Addr>().ok()?.to_string();
        let port = port.strip_prefix(':').map_or(Some(8000), |port| port.parse().ok())?;
        return Some((host, port));
    }
    match target.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Some((target.parse::<Ipv6Addr>().ok()?.to_string(), 8000)),
        Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
        None => Some((target.to_owned(), 8000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{ClusterId, OwnerId};
    use causeway_settings::PUBLIC;
    use proptest::prelude::*;

    fn scope() -> ServiceKey {
        ServiceKey::new(PUBLIC, "default", "s.n.orders")
    }

    fn row(record: &Instance, tags: Vec<String>) -> TargetRow {
        TargetRow { id: "1".into(), target: address(record), weight: weights::to_kong(record.weight), tags }
    }

    #[test]
    fn addresses_are_as_kong_writes_them() {
        for (host, port, written, read) in [
            ("10.0.0.1", 80, "10.0.0.1:80", "10.0.0.1"),
            ("010.0.00.1", 80, "10.0.0.1:80", "10.0.0.1"),
            ("::1", 9, "[0000:0000:0000:0000:0000:0000:0000:0001]:9", "::1"),
            ("FD00:0:0::A", 8080, "[fd00:0000:0000:0000:0000:0000:0000:000a]:8080", "fd00::a"),
            ("Svc.example", 0, "Svc.example:0", "Svc.example"),
            ("my_host", 65_535, "my_host:65535", "my_host"),
        ] {
            let record = normalize(&scope(), Instance::new(host, port)).unwrap();
            assert_eq!((address(&record).as_str(), &*record.id.endpoint.host), (written, read));
            assert_eq!(parse_address(written), Some((read.to_owned(), port)));
        }
        assert_eq!(parse_address("host"), Some(("host".into(), 8000)));
        assert_eq!(parse_address("[::1]"), Some(("::1".into(), 8000)));
        assert_eq!(parse_address("::1"), Some(("::1".into(), 8000)));
        for wrong in ["h:99999", "[::1", "a:b:c", "[x]:1"] {
            assert_eq!(parse_address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_takes_no_traffic_or_has_no_address_is_refused() {
        let changed = |change: fn(&mut Instance)| {
            let mut record = Instance::new("127.0.0.1", 1);
            change(&mut record);
            record
        };
        let hosts = ["主机", "a b", "a-.b", "1.2.3", "", "256.0.0.1"].map(|host| Instance::new(host, 1));
        let odd = [
            changed(|one| one.healthy = false),
            changed(|one| one.enabled = false),
            changed(|one| one.weight = f64::NAN),
            changed(|one| one.weight = -1.0),
        ];
        for record in hosts.into_iter().chain(odd) {
            assert!(normalize(&scope(), record.clone()).is_err(), "{record:?}");
        }
    }

    #[test]
    fn a_pair_that_is_too_long_for_a_tag_is_left_out() {
        let (short, long) = ("x".repeat(2_590), "/".repeat(900));
        let record = Instance::new("127.0.0.1", 1);
        let record = record.with(|one| one.metadata = [("a", short.as_str()), ("b", &long), ("c", "1")].into());
        let kept = normalize(&scope(), record).unwrap();
        assert_eq!(kept.metadata.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert!(tags("i", &kept, &[]).iter().all(|tag| tag.len() <= LONGEST));
    }

    #[test]
    fn what_others_have_tagged_stays() {
        let record = Instance::new("127.0.0.1", 1).with(|one| one.metadata = [("a", "1")].into());
        let before = ["canary", "causeway:i", "causeway.mark=1;x|y;z", "old=1"].map(str::to_owned);
        assert_eq!(tags("i", &record, &before), ["a=1", "canary", "causeway:i"]);
        let native = super::record(&row(&record, vec!["canary".into(), "v=2".into()])).unwrap();
        assert_eq!((native.mark(), &native.metadata["v"], native.metadata.len()), (None, "2", 1));
    }

    proptest! {
        #[test]
        fn a_record_reads_back(
            pairs in proptest::collection::btree_map("\\PC{0,4}|[,/%=\\r\\n\\t]{1,3}", ".{0,6}|[,/%=\\r\\n]{1,4}", 0..4),
            port: u16,
            weight in 0..65_535i64,
            install in "[a-z0-9-]{1,8}",
        ) {
            let mark = Mark::new(OwnerId::new(&install, "task"), ["a", "b"].map(ClusterId::of).into());
            let record = Instance::new("fd00::1", port).with(|one| {
                one.metadata = pairs.into();
                one.weight = weights::from_kong(weight);
                one.mark = Some(mark);
            });
            let record = normalize(&scope(), record).unwrap();
            prop_assert_eq!(normalize(&scope(), record.clone()).unwrap(), record.clone());
            let tags = tags(&install, &record, &[]);
            prop_assert!(tags.iter().all(|tag| !tag.is_empty() && !tag.contains([',', '/']) && !tag.contains(char::is_control)));
            prop_assert_eq!(super::record(&row(&record, tags)), Some(record));
        }
    }
}
