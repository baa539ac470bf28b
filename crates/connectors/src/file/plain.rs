//! The plain form: services with their instances, in YAML or JSON. Pure.

use super::contents::{Contents, ReadFile, address, json, parse_address};
use causeway_core::{
    Attributes, Endpoint, Instance, InstanceId, Mark, OwnerId, Part, Payload, ServiceKey, Set, intern,
};
use causeway_settings::PUBLIC;
use causeway_settings::yaml::{Empty, read as read_yaml};
use causeway_settings::{Draft, Node, Problems, Reader};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
/// The keys of metadata that are ours: the mark, the birthplace's own words, and whether it is persistent there.
const MARK: &str = "causeway";
const PAYLOAD: &str = "causeway.native";
const LASTING: &str = "causeway.persistent";
/// A service's own metadata among the attributes of its scope.
const OWN: &str = "metadata.";

const EMPTY: Empty =
    Empty { expected: "the key `services`", help: "to say that there is no service, write `services: []`" };
const INSTANCE_KEYS: [&str; 7] = ["address", "slot", "weight", "healthy", "enabled", "ephemeral", "metadata"];

/// Reads one file.
pub(super) fn read(file: &str, text: &str) -> Result<ReadFile, Problems> {
    read_yaml(file, text, &EMPTY, |reader, root| {
        let mut read = ReadFile::default();
        let Some(fields) = reader.fields(root, "", &["writtenBy", "namespaces", "services"]) else { return read };
        if fields.get("services").is_none() {
            // A file that breaks off here would read as one without services.
            let draft = Draft::key_error(&fields, "services", "`services` is missing, or nothing is below it");
            reader.report(draft.expected("a list of services").help(EMPTY.help));
        }
        read.contents.ours = reader.text(&fields, "writtenBy", "a word").as_deref() == Some("causeway");
        for (node, path) in reader.list(&fields, "namespaces", "namespaces") {
            let Some(fields) = reader.fields(node, &path, &["id", "title"]) else { continue };
            let id = reader.required(&fields, "id", "a namespace's id", "write `id: dev`, say");
            let title = reader.text(&fields, "title", "a display name").map(|title| title.as_str().into());
            read.contents.namespaces.extend(id.map(|id| (Part::new(&id), title)));
        }
        for (node, path) in reader.list(&fields, "services", "services") {
            service(reader, node, &path, &mut read);
        }
        read
    })
}

/// A record without the keys of metadata that are ours to write.
pub(super) fn shape(mut record: Instance) -> Instance {
    if [MARK, PAYLOAD, LASTING].iter().any(|key| record.metadata.contains_key(key)) {
        record.metadata.retain(|key, _| ![MARK, PAYLOAD, LASTING].contains(&key));
    }
    record
}

fn service(reader: &mut Reader<'_>, node: &Node, path: &str, read: &mut ReadFile) {
    let keys = ["name", "namespace", "group", "metadata", "attributes", "instances"];
    let Some(fields) = reader.fields(node, path, &keys) else { return };
    let name = reader.required(&fields, "name", "the service's name", "write `name: orders`, say");
    let namespace = reader.text(&fields, "namespace", "a namespace's id").unwrap_or_else(|| PUBLIC.to_owned());
    let group = reader.scalar(&fields, "group", "a group").map_or(DEFAULT_GROUP.to_owned(), |one| one.text.clone());
    let scope = ServiceKey::new(&namespace, &group, name.as_deref().unwrap_or_default());
    let mut attributes = Attributes::default();
    if let Some(node) = fields.get("metadata") {
        let own = reader.table(node, &fields.at("metadata"), "keys with texts");
        attributes.0.extend(own.into_iter().map(|(key, value)| (format!("{OWN}{key}"), value)));
    }
    if let Some(node) = fields.get("attributes") {
        attributes.0.extend(reader.table(node, &fields.at("attributes"), "keys with texts"));
    }
    let mut set = Set { attributes: Some(attributes), ..Set::empty(scope.clone()) };
    if fields.get("instances").is_none() {
        let draft = Draft::key_error(&fields, "instances", "`instances` is missing, or nothing is below it");
        reader.report(draft.expected("a list of instances").help("to say that it has none, write `instances: []`"));
    }
    let mut seen: BTreeMap<(InstanceId, Option<OwnerId>), usize> = BTreeMap::new();
    for (node, path) in reader.list(&fields, "instances", "instances") {
        let Some(instance) = instance(reader, node, &path) else { continue };
        let owner = instance.mark().map(|mark| mark.owner.clone());
        if let Some(line) = seen.insert((instance.id(), owner), node.place.line) {
            let message = format!("{} stands in this service twice", instance.id);
            let help = format!("keep one of the two; the first is at line {line}");
            reader.report(Draft::error(node.place, path, message).expected("every address once").help(help));
        }
        set.put(instance);
    }
    if name.is_none() {
        return;
    }
    if let Some(line) = read.lines.insert(scope.clone(), fields.place.line) {
        let draft = Draft::error(fields.place, path, format!("the service {scope} stands in this file twice"));
        reader.report(draft.help(format!("put the instances of both into one; the first is at line {line}")));
    }
    read.contents.sets.insert(scope, Arc::new(set));
}

fn instance(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Instance> {
    let fields = reader.fields(node, path, &INSTANCE_KEYS)?;
    let expected = "`host:port` or `[IPv6]:port`";
    let text = reader.required(&fields, "address", expected, "write `address: 127.0.0.1:8080`, say");
    let found = text.as_deref().map(parse_address);
    if let Some(None) = found {
        let draft = Draft::key_error(&fields, "address", "this is not an address");
        reader.report(draft.expected(expected).help("write the host and the port, such as `127.0.0.1:8080`"));
    }
    let weight =
        reader.number(&fields, "weight", "a number from 0 up", |weight: &f64| weight.is_finite() && *weight >= 0.0);
    let slot = reader.text(&fields, "slot", "a word").unwrap_or_default();
    let [healthy, enabled, ephemeral] = ["healthy", "enabled", "ephemeral"].map(|key| reader.flag(&fields, key, true));
    let metadata = fields.get("metadata").map(|node| reader.table(node, &fields.at("metadata"), "keys with texts"));
    let (host, port) = found??;
    let endpoint = Endpoint { host: intern(host), port };
    let mut instance = Instance::new("", 0).with(|one| {
        one.id = InstanceId { endpoint, slot: intern(&slot) };
        one.weight = weight.unwrap_or(1.0);
        one.healthy = healthy;
        one.enabled = enabled;
        one.ephemeral = ephemeral;
    });
    let mut metadata = metadata.unwrap_or_default();
    // A value that is no mark stays metadata: it is not ours to drop.
    if let Some(mark) = metadata.get(MARK).and_then(|text| Mark::decode(text)) {
        metadata.remove(MARK);
        instance.mark = Some(mark);
    }
    if let Some((kind, text)) = metadata.get(PAYLOAD).and_then(|text| text.split_once(':')) {
        instance.payload = Some(Payload { kind: intern(kind), text: intern(text) });
        metadata.remove(PAYLOAD);
    }
    if metadata.get(LASTING).map(String::as_str) == Some("true") {
        metadata.remove(LASTING);
        instance.lasting = true;
    }
    instance.metadata = metadata.into();
    Some(instance)
}

/// An instance as it is written; what is as by default is left out.
#[derive(Serialize)]
struct InstanceRow {
    address: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    slot: Arc<str>,
    #[serde(skip_serializing_if = "is_one")]
    weight: f64,
    #[serde(skip_serializing_if = "is_true")]
    healthy: bool,
    #[serde(skip_serializing_if = "is_true")]
    enabled: bool,
    #[serde(skip_serializing_if = "is_true")]
    ephemeral: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}

fn is_true(flag: &bool) -> bool {
    *flag
}

impl From<&Instance> for InstanceRow {
    fn from(instance: &Instance) -> Self {
        let mut metadata = instance.metadata.to_map();
        if let Some(mark) = instance.mark().filter(|mark| !mark.path.is_empty()) {
            metadata.insert(MARK.into(), mark.encode());
        }
        if let Some(payload) = &instance.payload {
            metadata.insert(PAYLOAD.into(), format!("{}:{}", payload.kind, payload.text));
        }
        if instance.lasting {
            metadata.insert(LASTING.into(), "true".into());
        }
        Self {
            address: address(&instance.id),
            slot: instance.id.slot.clone(),
            weight: instance.weight,
            healthy: instance.healthy,
            enabled: instance.enabled,
            ephemeral: instance.ephemeral,
            metadata,
        }
    }
}

/// Writes one file: as JSON, or as YAML that ends with `...`, so that a reader knows that it is whole.
pub(super) fn write(contents: &Contents, as_json: bool) -> String {
    let mut out = String::from(if as_json {
        "{\n\"writtenBy\": \"causeway\",\n\"namespaces\": ["
    } else {
        "# Causeway writes this file. It may be read by anything; what is edited here may be written over.\n\
         writtenBy: causeway\nnamespaces: ["
    });
    for (n, (part, title)) in contents.namespaces.iter().enumerate() {
        let title = title.as_ref().map(|title| format!(", \"title\": {}", json(title))).unwrap_or_default();
        put(&mut out, n, &format!("{{\"id\": {}{title}}}", json(&part.0)));
    }
    out.push_str(if as_json { "],\n\"services\": [" } else { "]\nservices:" });
    if contents.sets.is_empty() && !as_json {
        out.push_str(" []");
    }
    for (n, set) in contents.sets.values().enumerate() {
        let head = head(set);
        let rows = set.records.values().flat_map(|held| held.native.iter().chain(&held.copies));
        let rows = rows.map(|record| json(&InstanceRow::from(record)));
        if as_json {
            let fields: Vec<_> = head.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
            put(&mut out, n, &format!("\n{{{}, \"instances\": [", fields.join(", ")));
            rows.enumerate().for_each(|(n, row)| put(&mut out, n, &format!("\n  {row}")));
            out.push_str("]}");
        } else {
            for (n, (key, value)) in head.iter().enumerate() {
                out.push_str(&format!("{}{key}: {value}", if n == 0 { "\n  - " } else { "\n    " }));
            }
            out.push_str("\n    instances:");
            if set.records.is_empty() {
                out.push_str(" []");
            }
            rows.for_each(|row| out.push_str(&format!("\n      - {row}")));
        }
    }
    out.push_str(if as_json { "]\n}\n" } else { "\n...\n" });
    out
}

fn put(out: &mut String, n: usize, item: &str) {
    let comma = if n > 0 { "," } else { "" };
    // Writing to a text cannot fail.
    write!(out, "{comma}{item}").unwrap_or_default();
}

/// What stands before a service's instances; what is as by default is left out.
fn head(set: &Set) -> Vec<(&'static str, String)> {
    let scope = &set.scope;
    let mut head = vec![("name", json(&scope.name))];
    if &*scope.namespace != PUBLIC {
        head.push(("namespace", json(&scope.namespace)));
    }
    if &*scope.group != DEFAULT_GROUP {
        head.push(("group", json(&scope.group)));
    }
    let own = |own: bool| {
        let pairs = set.attributes.iter().flat_map(|all| &all.0).filter(move |(key, _)| key.starts_with(OWN) == own);
        pairs.map(|(key, value)| (key.strip_prefix(OWN).unwrap_or(key), value)).collect::<BTreeMap<_, _>>()
    };
    for (key, pairs) in [("metadata", own(true)), ("attributes", own(false))] {
        if !pairs.is_empty() {
            head.push((key, json(&pairs)));
        }
    }
    head
}
