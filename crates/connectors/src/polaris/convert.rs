//! Between Polaris' words and ours. Pure.

use super::names;
use super::pack::{self, LAST_BEAT, MARK, More, PLACES, PROTOCOL, TooLong, VERSION};
use super::settings::{HealthChecks, KIND, PolarisOptions};
use crate::bridge::other_tools;
use causeway_core::{
    Endpoint, Governed, Instance, InstanceData, InstanceId, Mark, OwnerId, Payload, ServiceKey, intern,
};
use causeway_proto::polaris;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What Polaris calls a normal weight, which is 1 elsewhere.
const NORMAL: f64 = 100.0;
/// The heaviest that each store holds: the API takes 65,535, and a store on MySQL then refuses all of its batch.
const HEAVIEST: f64 = 32_767.0;
/// The same of the characters of a place's name.
const PLACE: usize = 128;
/// Most characters of a host.
const HOST: usize = 128;

/// What Polaris cannot hold, by the names of the conformance suite.
pub(super) const LOSSES: [(&str, &str); 12] = [
    ("Chinese service names", "Polaris takes only 0-9 A-Z a-z - . / : _ in names"),
    ("blanks in service names", "Polaris takes only 0-9 A-Z a-z - . / : _ in names"),
    (
        "copies beside a native record",
        "an address is one record in a service: a provider's registration takes our copy's place",
    ),
    ("host names over 128 characters", "the server refuses them"),
    ("metadata and protect threshold of services", "they are not written: a service of Polaris keeps those it has"),
    ("punctuation in service names", "Polaris takes only 0-9 A-Z a-z - . / : _ in names"),
    ("services without a group", "every service has one; a task maps it to DEFAULT_GROUP"),
    ("slots", "an address stands once in a service"),
    ("slots with other characters than 0-9 a-z A-Z -", "an address stands once in a service"),
    ("two slots at one address", "an address stands once in a service"),
    ("unicode in groups", "Polaris takes only 0-9 A-Z a-z - . / : _ in names"),
    ("unicode in service names", "Polaris takes only 0-9 A-Z a-z - . / : _ in names"),
];

/// What of an instance of Polaris the model has no place for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Native {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub campus: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub logic_set: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vpc: String,
    /// Seconds between heartbeats; 0: it needs none.
    #[serde(skip_serializing_if = "is_zero")]
    pub ttl: u32,
}

impl Native {
    /// Whether its birthplace said where it stands.
    fn has_place(&self) -> bool {
        ![&self.region, &self.zone, &self.campus].iter().all(|text| text.is_empty())
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// An instance as it is read. `None`: it has no host, or what stands there is no port.
pub(super) fn read(wire: &polaris::Instance, options: &PolarisOptions) -> Option<Instance> {
    let host = wire.host.as_deref().filter(|host| !host.is_empty())?;
    let port = u16::try_from(wire.port.unwrap_or_default()).ok()?;
    let (mut metadata, more) = pack::unpack(&wire.metadata);
    let written = wire.metadata.get(MARK).and_then(|text| Mark::decode(text));
    // A mark that does not decode stays where it is: it is not ours to drop.
    if written.is_some() {
        metadata.remove(MARK);
    }
    let owner = || more.owner.split_once('/').map(|(install, task)| Mark::new(OwnerId::new(install, task), Vec::new()));
    let mark = written.or_else(owner);
    let (metadata, payload) = match mark {
        Some(_) => (metadata, more.payload.clone()),
        None => (own_metadata(wire, options).into_iter().collect(), native(wire)),
    };
    let more = if mark.is_some() { more } else { More::default() };
    let theirs = || other_tools::owner_in(|key| wire.metadata.get(key).map(String::as_str));
    let mark = mark.or_else(|| theirs().map(other_tools::bare));
    let slot = wire.vpc_id.as_deref().unwrap_or_default();
    let record = InstanceData {
        id: InstanceId { endpoint: Endpoint { host: intern(host), port }, slot: intern(slot) },
        weight: weight(wire.weight.unwrap_or(100), more.weight.as_deref()),
        enabled: !wire.isolate.unwrap_or_default(),
        healthy: wire.healthy.unwrap_or(true),
        ephemeral: !more.persistent,
        lasting: more.lasting,
        metadata: metadata.into(),
        payload,
        mark,
    };
    Some(record.into())
}

/// A native instance's own metadata. Where a field has a value, the server has written it over what its provider may have said under
/// that key.
fn own_metadata(wire: &polaris::Instance, options: &PolarisOptions) -> HashMap<String, String> {
    let mut own = wire.metadata.clone();
    own.remove(LAST_BEAT);
    let at = wire.location.as_ref();
    let places =
        [("region", at.map(|at| &at.region)), ("zone", at.map(|at| &at.zone)), ("campus", at.map(|at| &at.campus))];
    let fields = [(VERSION, Some(&wire.version)), (PROTOCOL, Some(&wire.protocol))];
    for (key, field) in fields.into_iter().chain(places) {
        let Some(said) = field else { continue };
        let said = said.as_deref().unwrap_or_default();
        let is_field = |key: &str| matches!(key, VERSION | PROTOCOL);
        if options.fields_in_metadata {
            // They are wanted, but for those that say nothing.
            if !said.is_empty() {
                own.insert(key.to_owned(), said.to_owned());
            } else if !is_field(key) && own.get(key).is_some_and(String::is_empty) {
                own.remove(key);
            }
        } else if (!said.is_empty() || !is_field(key)) && own.get(key).is_some_and(|value| value == said) {
            own.remove(key);
        }
    }
    own
}

fn native(wire: &polaris::Instance) -> Option<Payload> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let at = wire.location.clone().unwrap_or_default();
    let checked = wire.enable_health_check.unwrap_or_default();
    let ttl = wire.health_check.filter(|_| checked).and_then(|check| check.heartbeat).map(|beat| beat.ttl.unwrap_or(5));
    let native = Native {
        protocol: text(&wire.protocol),
        version: text(&wire.version),
        priority: wire.priority.unwrap_or_default(),
        region: text(&at.region),
        zone: text(&at.zone),
        campus: text(&at.campus),
        logic_set: text(&wire.logic_set),
        vpc: text(&wire.vpc_id),
        ttl: ttl.unwrap_or_default(),
    };
    let written = || serde_json::to_string(&native).unwrap_or_default();
    (native != Native::default()).then(|| Payload { kind: intern(KIND), text: intern(&written()) })
}

/// What a record that was born in a Polaris was there.
pub(super) fn native_of(record: &Instance) -> Option<Native> {
    payload_of(record.payload.as_ref())
}

fn payload_of(payload: Option<&Payload>) -> Option<Native> {
    serde_json::from_str(&payload.filter(|payload| &*payload.kind == KIND)?.text).ok()
}

/// The weight that was written, unless the whole number beside it was changed since.
fn weight(stands: u32, exact: Option<&str>) -> f64 {
    let exact = exact.and_then(|text| text.parse::<f64>().ok()).filter(|exact| whole(*exact) == stands);
    exact.unwrap_or(f64::from(stands) / NORMAL)
}

/// The nearest weight that Polaris takes: none that is more than 0 becomes 0, which means no calls at all.
fn whole(weight: f64) -> u32 {
    let least = if weight > 0.0 { 1.0 } else { 0.0 };
    (weight * NORMAL).round().clamp(least, HEAVIEST) as u32
}

/// An instance as Polaris can hold it, or why it cannot.
pub(super) fn normalize(
    scope: &ServiceKey,
    mut record: Instance,
    options: &PolarisOptions,
) -> Result<Instance, String> {
    names::wire(scope)?;
    let host = &record.id.endpoint.host;
    if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control() || c == ',') {
        return Err(format!("address {host:?}: Polaris cannot hold it"));
    }
    let length = host.chars().count();
    if length > HOST {
        return Err(format!("address {host:?} has {length} characters, and Polaris takes {HOST}"));
    }
    if !(record.weight.is_finite() && record.weight >= 0.0) {
        return Err(format!("weight {} is not a number from 0 up", record.weight));
    }
    // An address stands once in a service, but for networks that Polaris knows by an id.
    record.id.slot = intern(&native_of(&record).map(|native| native.vpc).unwrap_or_default());
    let fits = |record: &Instance| written(record, options).map(drop);
    if fits(&record).is_err() && record.payload.is_some() {
        record.payload = None;
        record.id.slot = intern("");
    }
    match fits(&record) {
        Ok(()) => Ok(record),
        Err(TooLong { characters, limit }) => {
            Err(format!("what Polaris' metadata take only as one text has {characters} characters, and {limit} fit"))
        }
    }
}

/// Whether Polaris is to judge the health of this copy by heartbeats: only as long as it is healthy, since heartbeats that stop would
/// say otherwise much too late.
pub(super) fn beat_interval(record: &Instance, options: &PolarisOptions) -> Option<u32> {
    let ttl = native_of(record).map(|native| native.ttl).filter(|ttl| *ttl > 0);
    ttl.filter(|_| options.health_checks == HealthChecks::Heartbeat && record.healthy)
}

/// A copy as it is written, without its id.
pub(super) fn write(
    scope: &ServiceKey,
    record: &Instance,
    options: &PolarisOptions,
) -> Result<polaris::Instance, String> {
    let record = normalize(scope, record.clone(), options)?;
    let mut wire = written(&record, options).map_err(|long| format!("{long:?}"))?;
    wire.service = Some(names::wire(scope)?);
    wire.namespace = Some(scope.namespace.to_string());
    Ok(wire)
}

fn written(record: &Instance, options: &PolarisOptions) -> Result<polaris::Instance, TooLong> {
    let native = native_of(record).unwrap_or_default();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let ttl = beat_interval(record, options);
    let mut wire = polaris::Instance {
        vpc_id: some(&record.id.slot),
        host: Some(record.id.endpoint.host.to_string()),
        port: Some(record.id.endpoint.port.into()),
        protocol: some(&native.protocol),
        version: some(&native.version),
        priority: (native.priority > 0).then_some(native.priority),
        weight: Some(whole(record.weight)),
        enable_health_check: Some(ttl.is_some()),
        health_check: ttl.map(|ttl| polaris::HealthCheck {
            r#type: polaris::health_check::HealthCheckType::Heartbeat.into(),
            heartbeat: Some(polaris::HeartbeatHealthCheck { ttl: Some(ttl) }),
        }),
        healthy: Some(record.healthy),
        isolate: Some(!record.enabled),
        location: location(record, &native),
        logic_set: some(&native.logic_set),
        ..polaris::Instance::default()
    };
    let more = More {
        owner: record.mark.as_ref().map(|mark| mark.owner.to_string()).unwrap_or_default(),
        weight: (weight(whole(record.weight), None) != record.weight).then(|| record.weight.to_string()),
        payload: record.payload.clone(),
        persistent: !record.ephemeral,
        lasting: record.lasting,
        ..More::default()
    };
    wire.metadata = pack::pack(&record.metadata, more, record.mark.as_ref().map(Mark::encode))?;
    Ok(wire)
}

/// Whether a copy was written with a place of its own, which a change takes away only where it says so.
pub(super) fn has_place(record: &Instance) -> bool {
    location(record, &native_of(record).unwrap_or_default()).is_some()
}

/// Where a copy stands: as its birthplace says, else as its metadata do, in the keys that Polaris has for it. Some servers write what
/// stands here over those keys, even if it is nothing.
fn location(record: &Instance, native: &Native) -> Option<polaris::Location> {
    let born = || [&native.region, &native.zone, &native.campus].map(Clone::clone);
    let fits = |name: &&str| name.chars().count() <= PLACE;
    let told = || PLACES.map(|key| record.metadata.get(key).filter(fits).unwrap_or_default().to_owned());
    let [region, zone, campus] = if native.has_place() { born() } else { told() };
    let is_nowhere = region.is_empty() && zone.is_empty() && campus.is_empty();
    (!is_nowhere).then_some(polaris::Location { region: Some(region), zone: Some(zone), campus: Some(campus) })
}

/// Whether health is all that tells a copy from what is wanted, and heartbeats decide it.
pub(super) fn governed(stands: &Instance, wanted: &Instance, options: &PolarisOptions) -> Option<Governed> {
    beat_interval(wanted, options)?;
    let judged = stands.clone().with(|one| one.healthy = wanted.healthy);
    (stands.healthy != wanted.healthy && judged == *wanted).then_some(Governed::Health)
}

#[cfg(test)]
mod tests;
