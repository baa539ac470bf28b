//! What may get lost: each probe is something that a record can hold and a kind perhaps cannot. A kind that cannot
//! declares the probe's name in `Capabilities::losses`.

use crate::corner::copy;
use crate::{Corner, Subject};
use causeway_core::{Attributes, Instance, ServiceKey};

/// What a kind declares that has no weights at all.
pub const WEIGHT: &str = "weight 0.5";
/// And others that points besides the fifth ask for.
pub const DISABLED: &str = "disabled";
/// The same.
pub const UNHEALTHY: &str = "unhealthy";
/// The same.
pub const PERSISTENT: &str = "persistent instances";

/// A loss that point 19 shows, not a probe: where two share one record, our copy goes when a provider comes.
pub const BESIDE: &str = "copies beside a native record";

/// What became of a probe.
pub enum Outcome {
    /// It reads back as it was.
    Held,
    /// It does not, and how.
    Lost(String),
}

/// One thing that may get lost.
pub struct Probe {
    /// As declared in `Capabilities::losses`.
    pub name: &'static str,
    records: Vec<Instance>,
    /// The service's group, if the probe is about groups.
    pub group: Option<&'static str>,
    /// The service's name; a plain one when empty.
    pub service: &'static str,
    /// What is written for the service itself.
    pub attributes: Option<Attributes>,
    /// Whether the server has a view of its own, which comes later.
    pub is_checked: bool,
    /// Whether the probe is about what a slot says.
    pub is_slot: bool,
}

impl Probe {
    /// The service that the probe goes to, one for each.
    pub fn service<S: Subject>(&self, at: &Corner<S>, number: usize) -> ServiceKey {
        let plain = format!("probe-{number}");
        let name = if self.service.is_empty() { &plain } else { self.service };
        at.service_in(&at.namespace, self.group.unwrap_or(at.groups()[0]), name)
    }

    /// What is written, as the kind wants it.
    pub fn records<S: Subject>(&self, at: &Corner<S>) -> Vec<Instance> {
        // A record without metadata is there to have none.
        let dressed =
            |one: &Instance| if one.metadata.is_empty() { one.clone() } else { at.shape.dressed(one.clone()) };
        self.records.iter().map(dressed).collect()
    }
}

fn probe(name: &'static str, change: impl FnOnce(&mut Instance)) -> Probe {
    let mut record = copy(7101);
    change(&mut record);
    let records = vec![record];
    Probe { name, records, group: None, service: "", attributes: None, is_checked: false, is_slot: false }
}

fn metadata(name: &'static str, key: &str, value: &str) -> Probe {
    probe(name, |one| drop(one.metadata.insert(key, value.to_owned())))
}

fn host(name: &'static str, host: &str) -> Probe {
    probe(name, |one| one.id.endpoint.host = host.into())
}

fn slot(name: &'static str, slot: &str) -> Probe {
    Probe { is_slot: true, ..probe(name, |one| one.id.slot = slot.into()) }
}

/// All probes.
pub fn probes() -> Vec<Probe> {
    let two_slots = {
        let mut pair = probe("two slots at one address", |one| one.id.slot = "a".into());
        let mut second = pair.records[0].clone();
        second.id.slot = "b".into();
        second.metadata.insert("zone", "b");
        pair.records.push(second);
        pair
    };
    let attributes = [("metadata.team", "ships"), ("protectThreshold", "0.7")];
    let attributes = Attributes(attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let plain = |name| probe(name, |_| ());
    let persistent = |name, change: fn(&mut Instance)| {
        probe(name, |one| {
            one.ephemeral = false;
            change(one);
        })
    };
    vec![
        probe("no metadata", |one| one.metadata.clear()),
        metadata("unicode in metadata", "城市", "Zürich 東京 😀"),
        metadata("empty metadata values", "empty", ""),
        metadata("empty metadata keys", "", "nameless"),
        metadata("quotes and line ends in metadata", "text", "\"a\\b\"\r\n\tc"),
        metadata("separators in metadata", "a=b,c", "x=y,z;&?%20+ #"),
        metadata("800 characters of metadata", "long", &"0123456789".repeat(80)),
        metadata("2,000 characters of metadata", "long", &"0123456789".repeat(200)),
        probe("weight 0", |one| one.weight = 0.0),
        probe(WEIGHT, |one| one.weight = 0.5),
        probe("weight 0.001", |one| one.weight = 0.001),
        probe("weight 10,000", |one| one.weight = 10_000.0),
        probe("weights over 10,000", |one| one.weight = 20_000.0),
        probe(DISABLED, |one| one.enabled = false),
        probe(UNHEALTHY, |one| one.healthy = false),
        probe("disabled and unhealthy", |one| (one.enabled, one.healthy) = (false, false)),
        host("IPv6 addresses", "fd00::1"),
        host("host names", "orders.example.internal"),
        host("host names with an underscore", "my_host"),
        host("host names over 128 characters", &"long.".repeat(30)),
        host("host names outside ASCII", "bücher.example"),
        host("Chinese host names", "主机.example"),
        probe("port 0", |one| one.id.endpoint.port = 0),
        probe("port 65535", |one| one.id.endpoint.port = 65_535),
        slot("slots", "zone-1"),
        slot("slots with other characters than 0-9 a-z A-Z -", "zone_1.a"),
        two_slots,
        Probe { is_checked: true, ..persistent(PERSISTENT, |one| one.healthy = false) },
        Probe { is_checked: true, ..persistent("health of persistent instances", |_| ()) },
        Probe { attributes: Some(attributes), ..plain("metadata and protect threshold of services") },
        Probe { service: "dots.and:colons_and-/@%", ..plain("punctuation in service names") },
        Probe { service: "Bücher-😀", ..plain("unicode in service names") },
        Probe { service: "订单", ..plain("Chinese service names") },
        Probe { service: "two words", ..plain("blanks in service names") },
        Probe { group: Some("g-1_a.b:c"), ..plain("punctuation in groups") },
        Probe { group: Some("组"), ..plain("unicode in groups") },
        Probe { group: Some(""), ..plain("services without a group") },
    ]
}
