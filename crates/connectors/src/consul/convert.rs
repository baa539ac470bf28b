//! Between Consul's words and ours. Pure.

use super::client::{Check, Entry, Service, TaggedAddress, Weights};
use super::pack::{self, MARK, More, TooLong};
use super::settings::{AddressOf, KIND};
use crate::bridge::other_tools;
use causeway_core::{
    Endpoint, Instance, InstanceData, InstanceId, Mark, Metadata, OwnerId, Payload, ServiceKey, intern,
};
use causeway_settings::PUBLIC;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// The one group.
pub(super) const GROUP: &str = "DEFAULT_GROUP";
/// The servers' own service, which no other cluster has any use for. It is always there.
pub(super) const SERVERS: &str = "consul";
/// What Consul calls the checks that stand for maintenance.
const MAINTENANCE: [&str; 2] = ["_service_maintenance", "_node_maintenance"];
/// The status of a check that passes.
pub(super) const PASSING: &str = "passing";
const CRITICAL: &str = "critical";
/// Begins the ids of our copies. Nobody else makes such ids, so one proves whose a copy is when its mark is gone.
const OURS: &str = "causeway:";
/// What Consul and its agents add by themselves.
const ADDED: [&str; 4] = ["lan", "lan_ipv4", "wan", "wan_ipv4"];
const VIRTUAL: &str = "consul-virtual";

/// What Consul cannot hold, by the names of the conformance suite.
pub(super) const LOSSES: [(&str, &str); 4] = [
    ("metadata and protect threshold of services", "a service is what its instances say, and has nothing of its own"),
    ("punctuation in groups", "there are no groups"),
    ("services without a group", "there are no groups"),
    ("unicode in groups", "there are no groups"),
];

/// What of an instance of another Consul the model has no place for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Native {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<i64>,
    #[serde(rename = "override", skip_serializing_if = "std::ops::Not::not")]
    tag_override: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    addresses: BTreeMap<String, TaggedAddress>,
}

/// The service, as plans name it.
pub(super) fn scope(name: &str) -> ServiceKey {
    ServiceKey::new(PUBLIC, GROUP, name)
}

/// Why a service has no place here.
pub(super) fn check(scope: &ServiceKey) -> Result<(), String> {
    if *scope.namespace != *PUBLIC {
        return Err(format!(
            "namespace {}: a data centre of Consul has none but {PUBLIC}; map the namespace with `namespaces`",
            scope.namespace
        ));
    }
    if *scope.group != *GROUP {
        return Err(format!("group {:?}: Consul has no groups; map it to {GROUP} with `groups`", &*scope.group));
    }
    let name = &*scope.name;
    if name.eq_ignore_ascii_case(SERVERS) {
        return Err(format!("{name:?} is the name of Consul's own servers"));
    }
    // The servers tidy paths up, and would look for another name.
    if name.split('/').any(|word| matches!(word, "" | "." | "..")) || name.chars().any(char::is_control) {
        return Err(format!("name {name:?}: Consul cannot be asked for it"));
    }
    Ok(())
}

/// Whose copy has this id.
pub(super) fn owner_of(id: &str) -> Option<OwnerId> {
    let mut words = id.strip_prefix(OURS)?.splitn(3, ':');
    let (install, task) = (words.next()?, words.next()?);
    words.next()?;
    (!install.is_empty() && !task.is_empty()).then(|| OwnerId::new(install, task))
}

/// The id of a copy. Consul does not tell capital letters from small ones here: what has any is told apart by a hash.
pub(super) fn id_of(owner: &OwnerId, scope: &ServiceKey, record: &InstanceId) -> String {
    let (endpoint, slot) = (&record.endpoint, &record.slot);
    let mut id = format!("{OURS}{}:{}:{}:{}:{}", owner.install, owner.task, scope.name, endpoint.host, endpoint.port);
    if !slot.is_empty() {
        id.push(':');
        id.push_str(slot);
    }
    if id.to_lowercase() != id {
        id.push_str(&format!("~{:08x}", xxh3_64(id.as_bytes()) as u32));
    }
    id
}

/// The id under which a record stands: of a copy that another tool made, the one that it was registered with.
pub(super) fn standing_id(scope: &ServiceKey, record: &Instance) -> Option<String> {
    let owner = &record.mark()?.owner;
    match other_tools::is_other_tool(owner) {
        true => Some(native_of(record)?.id),
        false => Some(id_of(owner, scope, &record.id)),
    }
}

/// `None`: what stands there is no port.
pub(super) fn port(service: &Service) -> Option<u16> {
    u16::try_from(service.port).ok()
}

/// An instance as it is read. Its port is 0 where it has none.
pub(super) fn read(entry: &Entry, address_of: AddressOf) -> Instance {
    let service = &entry.service;
    let (mut pairs, more) = pack::unpack(&service.meta, &service.tags);
    let owner = owner_of(&service.id);
    let written = service.meta.get(MARK).and_then(|text| Mark::decode(text));
    // A mark that does not decode stays where it is: it is not ours to drop.
    if written.is_some() {
        pairs.remove(MARK);
    }
    let mark = written.or_else(|| owner.map(|owner| Mark::new(owner, Vec::new())));
    // Some tools write tags, others what Consul calls metadata.
    let theirs = || other_tools::owner_by_tags(&service.tags).map(other_tools::bare);
    let mark = mark.or_else(theirs);
    let is_ours = service.id.starts_with(OURS);
    let nodes = service.address.is_empty() || (address_of == AddressOf::Node && !is_ours);
    let host = if nodes { &entry.node.address } else { &service.address };
    let (slot, payload) = match is_ours {
        true => (more.slot.clone(), more.payload.clone()),
        false => (service.id.clone(), Some(native(service))),
    };
    let endpoint = Endpoint { host: intern(host), port: port(service).unwrap_or(0) };
    let metadata: Metadata = pairs.into();
    let mark = mark.or_else(|| other_tools::mark(&metadata));
    InstanceData {
        id: InstanceId { endpoint, slot: intern(&slot) },
        weight: weight(service.weights.passing, more.weight.as_deref()),
        enabled: !entry.checks.iter().any(is_maintenance),
        healthy: entry.checks.iter().all(|check| check.status == PASSING || is_maintenance(check)),
        ephemeral: !more.persistent,
        lasting: more.lasting,
        metadata,
        payload,
        mark,
    }
    .into()
}

/// Whether somebody took it out of the traffic by hand.
fn is_maintenance(check: &Check) -> bool {
    check.status == CRITICAL && MAINTENANCE.iter().any(|word| check.id.starts_with(word))
}

/// The weight that was written, unless the whole number beside it was changed since.
fn weight(passing: i64, exact: Option<&str>) -> f64 {
    let exact = exact.and_then(|text| text.parse::<f64>().ok()).filter(|exact| whole(*exact) == passing);
    exact.unwrap_or(passing as f64)
}

/// The nearest weight that Consul takes.
fn whole(weight: f64) -> i64 {
    weight.round().clamp(1.0, 65_535.0) as i64
}

fn native(service: &Service) -> Payload {
    let own = TaggedAddress { address: service.address.clone(), port: service.port };
    let added = |key: &str, address: &TaggedAddress| ADDED.contains(&key) && *address == own;
    let addresses = service.tagged_addresses.iter();
    let addresses = addresses.filter(|(key, address)| !key.starts_with(VIRTUAL) && !added(key, address));
    let native = Native {
        id: service.id.clone(),
        warning: Some(service.weights.warning).filter(|warning| *warning != Weights::default().warning),
        tag_override: service.enable_tag_override,
        addresses: addresses.map(|(key, address)| (key.clone(), address.clone())).collect(),
    };
    Payload { kind: intern(KIND), text: intern(&serde_json::to_string(&native).unwrap_or_default()) }
}

fn native_of(record: &Instance) -> Option<Native> {
    let payload = record.payload.as_ref().filter(|payload| &*payload.kind == KIND)?;
    serde_json::from_str(&payload.text).ok()
}

/// An instance as Consul can hold it, or why it cannot.
pub(super) fn normalize(scope: &ServiceKey, mut record: Instance) -> Result<Instance, String> {
    check(scope)?;
    let host = &record.id.endpoint.host;
    if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("address {host:?}: Consul would take its node's instead"));
    }
    if !(record.weight.is_finite() && record.weight >= 0.0) {
        return Err(format!("weight {} is not a number from 0 up", record.weight));
    }
    // A record that was born in a Consul has its id there as its slot again, wherever it has been.
    if let Some(native) = native_of(&record).filter(|native| !native.id.is_empty()) {
        record.id.slot = intern(&native.id);
    }
    let fits = |record: &Instance| packed(record).map(drop);
    if fits(&record).is_err() && record.payload.is_some() {
        record.payload = None;
    }
    match fits(&record) {
        Ok(()) => Ok(record),
        Err(TooLong { bytes, limit }) => {
            Err(format!("what Consul's metadata take only as one text has {bytes} bytes, and {limit} fit"))
        }
    }
}

fn packed(record: &Instance) -> Result<(BTreeMap<String, String>, Vec<String>), TooLong> {
    let more = More {
        metadata: BTreeMap::new(),
        slot: record.id.slot.to_string(),
        weight: (whole(record.weight) as f64 != record.weight).then(|| record.weight.to_string()),
        payload: record.payload.clone(),
        persistent: !record.ephemeral,
        lasting: record.lasting,
    };
    pack::pack(&record.metadata, more, record.mark.as_ref().map(Mark::encode))
}

/// A copy as it is written; an error says why it cannot be.
pub(super) fn write(scope: &ServiceKey, record: &Instance, owner: &OwnerId) -> Result<Service, String> {
    let record = normalize(scope, record.clone())?;
    let (meta, tags) = packed(&record).map_err(|long| format!("{long:?}"))?;
    let native = native_of(&record).unwrap_or_default();
    let warning = native.warning.unwrap_or(Weights::default().warning);
    Ok(Service {
        id: id_of(owner, scope, &record.id),
        service: scope.name.to_string(),
        kind: String::new(),
        tags,
        address: record.id.endpoint.host.to_string(),
        port: record.id.endpoint.port.into(),
        meta,
        tagged_addresses: native.addresses,
        weights: Weights { passing: whole(record.weight), warning },
        enable_tag_override: native.tag_override,
        peer_name: String::new(),
        modify_index: 0,
    })
}

/// The checks that say what a copy's registration does not.
pub(super) fn checks(node: &str, service: &Service, record: &Instance) -> Vec<Check> {
    let check = |id: String, name: &str| Check {
        node: node.to_owned(),
        id,
        name: name.to_owned(),
        status: CRITICAL.to_owned(),
        service_id: service.id.clone(),
        service_name: service.service.clone(),
        peer_name: String::new(),
    };
    let ill = (!record.healthy).then(|| check(health_check(&service.id), "Unhealthy where Causeway copied it from"));
    let off = (!record.enabled).then(|| check(maintenance_check(&service.id), "Service Maintenance Mode"));
    ill.into_iter().chain(off).collect()
}

/// The check that says that a copy is unhealthy.
pub(super) fn health_check(id: &str) -> String {
    format!("{id}:health")
}

/// The check that says that a service is in maintenance, as agents call it.
fn maintenance_check(id: &str) -> String {
    format!("{}:{id}", MAINTENANCE[0])
}

/// Whether two registrations say the same, whatever Consul adds to one.
pub(super) fn same(stands: &Service, wanted: &Service) -> bool {
    let own = TaggedAddress { address: stands.address.clone(), port: stands.port };
    let mut stands = Service { modify_index: wanted.modify_index, ..stands.clone() };
    stands.tagged_addresses.retain(|key, address| {
        wanted.tagged_addresses.contains_key(key)
            || !(key.starts_with(VIRTUAL) || (ADDED.contains(&&**key) && *address == own))
    });
    stands == *wanted
}

#[cfg(test)]
mod tests;
