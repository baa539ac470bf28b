//! Between Eureka's words and ours. Pure.

use super::client::{Lease, Port, Status, Texts, WireInstance, texts};
use super::settings::{Called, Settings};
use super::words::{Base, Words, called, is_odd_in_an_id};
use crate::bridge::other_tools;
use causeway_core::{
    ClusterId, Endpoint, Instance, InstanceData, InstanceId, Mark, Metadata, Normalized, OwnerId, Payload, ServiceKey,
    intern,
};
use serde_json::{Map, Value};

/// The one part, and the one group.
pub(super) const PART: &str = "public";
pub(super) const GROUP: &str = "DEFAULT_GROUP";

/// Keys of metadata that only we write: our mark, the payload of another kind, and that a record is persistent by birth.
const MARK: &str = "causeway";
const PAYLOAD: &str = "causeway.native";
const LASTING: &str = "causeway.lasting";
/// The longest interval between renewals: servers count on one every 30 s when they judge whether too many are missing.
const INTERVAL: u32 = 30;

const NO_GROUPS: &str = "Eureka has none: a task maps all to DEFAULT_GROUP, else it is refused";
const NO_SLOTS: &str = "an address stands once in a service";
const NO_WEIGHTS: &str = "Eureka has no weights: all get the same share of calls";

/// What is lost on the way into Eureka, by the names of the conformance suite.
pub(super) const LOSSES: [(&str, &str); 17] = [
    ("disabled and unhealthy", "one word says either; it is written as disabled"),
    ("empty metadata keys", "no reader of XML could read any list with one; they are left out"),
    ("health of persistent instances", "all instances of Eureka are ephemeral"),
    ("metadata and protect threshold of services", "a service has nothing of its own"),
    ("persistent instances", "they are ephemeral here, and persistent again elsewhere"),
    ("punctuation in groups", NO_GROUPS),
    ("punctuation in service names", "the servers refuse / \\ % ; in names"),
    ("services without a group", NO_GROUPS),
    ("slots", NO_SLOTS),
    ("slots with other characters than 0-9 a-z A-Z -", NO_SLOTS),
    ("two slots at one address", NO_SLOTS),
    ("unicode in groups", NO_GROUPS),
    ("weight 0", "Eureka has no weights: it is written as `OUT_OF_SERVICE`"),
    ("weight 0.001", NO_WEIGHTS),
    ("weight 0.5", NO_WEIGHTS),
    ("weight 10,000", NO_WEIGHTS),
    ("weights over 10,000", NO_WEIGHTS),
];

/// The service of an application.
pub(super) fn scope(app: &str) -> ServiceKey {
    ServiceKey::new(PART, GROUP, app)
}

/// The name under which a service stands: in upper case, as servers make it.
pub(super) fn app_name(name: &str) -> Result<String, String> {
    let app = name.to_uppercase();
    // What the servers take for a path of another kind, and answer with 400.
    let odd = |c: char| matches!(c, '/' | '\\' | '%' | ';') || c.is_control();
    if app.trim().is_empty() || app == "." || app == ".." || app.contains(odd) {
        return Err(format!("service name {name:?}: Eureka's servers take no / \\ % ; in names, and no empty ones"));
    }
    Ok(app)
}

/// One instance as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Its id in its application.
    pub id: String,
    pub record: Instance,
    /// It has a key of metadata that nobody but Causeway writes.
    pub ours: bool,
    pub status: Status,
    /// What was laid over its status; `Unknown`: nothing.
    pub laid_over: Status,
    pub dirty: i64,
}

impl Row {
    /// Whether it carries the mark of this owner.
    pub fn is_marked(&self, owner: &OwnerId) -> bool {
        self.record.mark.as_ref().is_some_and(|mark| mark.owner == *owner)
    }

    /// Whether a record of this install may be written over it.
    pub fn is_of(&self, install: &str) -> bool {
        match &self.record.mark {
            Some(mark) => *mark.owner.install == *install,
            None => self.ours,
        }
    }
}

/// The lease of copies: `lease` is how long they stand without a renewal.
fn own_lease(settings: &Settings) -> Lease {
    let duration = u32::try_from(settings.lease.as_secs()).unwrap_or(u32::MAX);
    Lease { interval: (duration / 3).clamp(1, INTERVAL), duration }
}

/// The interval in which a copy is renewed: Eureka's, or a third of a shorter lease.
pub(super) fn interval(wire: &WireInstance) -> u32 {
    (wire.lease_info.duration / 3).clamp(1, INTERVAL)
}

/// An instance as it is read. A mark that does not decode stays in the metadata.
pub(super) fn read(mut wire: WireInstance, settings: &Settings) -> Row {
    let mut metadata: Metadata = texts(&wire.metadata).into();
    let ours = metadata.contains_key(MARK);
    let mark = metadata.get(MARK).and_then(Mark::decode);
    let foreign = metadata.get(PAYLOAD).and_then(|text| text.split_once(':'));
    let foreign = foreign.map(|(kind, text)| Payload { kind: intern(kind), text: intern(text) });
    let lasting = ours && metadata.get(LASTING) == Some("true");
    let keys = [(MARK, mark.is_some()), (PAYLOAD, foreign.is_some()), (LASTING, lasting)];
    if keys.iter().any(|(_, there)| *there) {
        metadata.retain(|key, _| !keys.iter().any(|(own, there)| *there && *own == key));
    }
    let mark = mark.or_else(|| other_tools::mark(&metadata));
    let host = match settings.address {
        Called::Ip if !wire.ip_addr.is_empty() => &wire.ip_addr,
        Called::Host if wire.host_name.is_empty() => &wire.ip_addr,
        Called::Ip | Called::Host => &wire.host_name,
    };
    let host = host.clone();
    let port = called(&mut wire).number;
    let lease = if ours { own_lease(settings) } else { Lease::DEFAULT };
    let base = Base { app: &wire.app, host: &host, port, id: own_id(&wire.app, &host, port), lease };
    let mut words = Words::read(&wire, &base);
    // A native record always says its id: no two have one.
    if !ours {
        words.id = Some(wire.id().to_owned());
    }
    let record = InstanceData {
        id: InstanceId { endpoint: Endpoint { host: intern(&host), port }, slot: intern("") },
        weight: 1.0,
        enabled: wire.status != Status::OutOfService,
        healthy: matches!(wire.status, Status::Up | Status::OutOfService),
        ephemeral: true,
        lasting,
        metadata,
        payload: foreign.or_else(|| words.payload()),
        mark,
    };
    Row {
        id: wire.id().to_owned(),
        record: record.into(),
        ours,
        status: wire.status,
        laid_over: wire.overridden_status,
        dirty: wire.last_dirty_timestamp,
    }
}

/// The id of a copy that was not born in Eureka. It holds the application's name, since servers keep what operators lay over
/// a status by the id alone; and it is no id that Spring Cloud gives, so that a provider at the same address has another.
fn own_id(app: &str, host: &str, port: u16) -> String {
    format!("{host}:{port}:{app}").chars().map(|c| if is_odd_in_an_id(c) { '-' } else { c }).collect()
}

/// An instance as it is written; the time stamp is the writer's to set.
pub(super) fn write(app: &str, record: &Instance, settings: &Settings) -> WireInstance {
    let Endpoint { host, port } = &record.id.endpoint;
    let base = Base { app, host, port: *port, id: own_id(app, host, *port), lease: own_lease(settings) };
    let mut metadata = record.metadata.to_map();
    metadata.retain(|key, _| !key.is_empty() && key != "@class");
    let foreign = record.payload.as_ref().filter(|payload| &*payload.kind != super::words::KIND);
    if let Some(payload) = foreign.filter(|payload| !payload.text.is_empty() && fits_xml(&payload.text)) {
        metadata.insert(PAYLOAD.to_owned(), format!("{}:{}", payload.kind, payload.text));
    }
    if record.lasting || !record.ephemeral {
        metadata.insert(LASTING.to_owned(), "true".to_owned());
    }
    if let Some(mark) = &record.mark {
        metadata.insert(MARK.to_owned(), mark.encode());
    }
    let status = match (record.enabled && record.weight > 0.0, record.healthy) {
        (false, _) => Status::OutOfService,
        (true, true) => Status::Up,
        (true, false) => Status::Down,
    };
    let mut wire = WireInstance {
        instance_id: Some(base.id.clone()),
        app: app.to_owned(),
        host_name: String::new(),
        ip_addr: String::new(),
        status,
        overridden_status: Status::Unknown,
        port: Port { number: *port, enabled: true },
        secure_port: WireInstance::no_secure_port(),
        country_id: WireInstance::country(),
        data_center_info: WireInstance::own_data_center(),
        lease_info: base.lease,
        metadata: metadata.into_iter().map(|(key, value)| (key, Value::String(value))).collect::<Map<_, _>>(),
        texts: Texts::default(),
        last_dirty_timestamp: 0,
        action_type: None,
    };
    Words::of(record).write(&mut wire, &base);
    wire
}

/// An instance as Eureka can hold it: as it reads back once it is written. The error says why it cannot.
pub(super) fn normalize(scope: &ServiceKey, record: Instance, settings: &Settings) -> Normalized {
    check(scope, &record)?;
    let mark = record.mark.clone();
    // A record without a mark is shaped like one with it: only copies are written.
    let stand_in = || Mark::new(OwnerId::new("install", "task"), vec![ClusterId::of("")]);
    let copy = record.with_mark(Some(mark.clone().unwrap_or_else(stand_in)));
    Ok(read(write(&scope.name, &copy, settings), settings).record.with_mark(mark))
}

/// Why a record cannot stand in this service.
pub(super) fn check(scope: &ServiceKey, record: &Instance) -> Result<(), String> {
    is_in_the_only_part(scope)?;
    if app_name(&scope.name)? != *scope.name {
        return Err(format!("service name {:?}: Eureka's names are in upper case", &*scope.name));
    }
    if record.id.endpoint.host.is_empty() {
        return Err("it has no address".to_owned());
    }
    // Servers write such characters into XML as they are, and no reader of XML could read any list then.
    let pairs = record.metadata.iter().flat_map(|(key, value)| [key, value]);
    match pairs.chain([&*record.id.endpoint.host]).all(fits_xml) && words_fit_xml(&Words::json(record)) {
        true => Ok(()),
        false => {
            Err("it holds a control character, which XML cannot hold: no reader of XML could read any list".into())
        }
    }
}

/// Refuses a service of another namespace or group: merging two is for a task to say.
pub(super) fn is_in_the_only_part(scope: &ServiceKey) -> Result<(), String> {
    if &*scope.namespace != PART {
        return Err(no_namespaces(&scope.namespace));
    }
    match &*scope.group == GROUP {
        true => Ok(()),
        false => Err(format!("Eureka has no groups, and this one is {:?}: map it to {GROUP}", &*scope.group)),
    }
}

pub(super) fn no_namespaces(namespace: &str) -> String {
    format!("Eureka has no namespaces, and this one is {namespace:?}: map it to {PART}")
}

fn words_fit_xml(words: &Value) -> bool {
    match words {
        Value::String(text) => fits_xml(text),
        Value::Array(all) => all.iter().all(words_fit_xml),
        Value::Object(all) => all.iter().all(|(key, value)| fits_xml(key) && words_fit_xml(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn fits_xml(text: &str) -> bool {
    text.chars().all(is_in_xml)
}

fn is_in_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
