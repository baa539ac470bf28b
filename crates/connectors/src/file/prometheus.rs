//! Prometheus' lists of targets, for its file-based and its HTTP-based discovery. Pure.

use super::contents::{Contents, ReadFile, address, json, parse_address};
use causeway_core::{Endpoint, Instance, InstanceId, Mark, Metadata, Part, ServiceKey, Set, intern};
use causeway_settings::yaml::{Empty, read as read_yaml};
use causeway_settings::{Draft, Node, Problems, Reader, Value};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Prometheus drops labels that begin with `__` once it has relabelled a target.
const PREFIX: &str = "__meta_causeway_";
const METADATA: &str = "metadata_";
const EMPTY: Empty = Empty { expected: "a list of target groups", help: "move the file away; it is made anew" };

/// What the form cannot hold, by the names of the conformance suite.
pub(super) const LOSSES: [(&str, &str); 6] = [
    ("empty metadata keys", "a label has a name; the pair is left out"),
    (
        "health of persistent instances",
        "there is no label for persistent instances: every target is written as an ephemeral one",
    ),
    ("metadata and protect threshold of services", "labels belong to targets"),
    ("persistent instances", "there is no label for them: every target is written as an ephemeral one"),
    ("separators in metadata", "a label's name has 0-9 a-z A-Z and _; every other character of a key becomes _"),
    ("unicode in metadata", "a label's name has 0-9 a-z A-Z and _; every other character of a key becomes _"),
];

#[derive(Serialize)]
struct Group<'a> {
    targets: Vec<String>,
    labels: BTreeMap<String, &'a str>,
}

/// The targets of these services as Prometheus' `http_sd_config` takes them: a JSON list with one group for each instance, in a
/// stable order. Metadata keys are made label-safe. Marks are left out.
pub fn http_sd<'a>(sets: impl IntoIterator<Item = &'a Set>) -> String {
    let mut groups = Vec::new();
    for set in sets {
        for record in set.records.values().flat_map(|held| held.native.iter().chain(&held.copies)) {
            groups.push(group(&set.scope, &shape(record.clone()).with_mark(None)));
        }
    }
    list(groups)
}

/// A record as the labels can hold it. Of two metadata keys that become one label, the first in their order stays.
pub(super) fn shape(mut record: Instance) -> Instance {
    let safe = |key: &str| -> String { key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect() };
    if record.metadata.keys().any(|key| key.is_empty() || safe(key) != key) {
        let mut pairs = BTreeMap::new();
        for (key, value) in record.metadata.iter().filter(|(key, _)| !key.is_empty()) {
            pairs.entry(safe(key)).or_insert_with(|| value.to_owned());
        }
        record.metadata = pairs.into();
    }
    record.with(|one| {
        one.ephemeral = true;
        one.lasting = false;
        one.payload = None;
    })
}

fn group(scope: &ServiceKey, record: &Instance) -> String {
    let weight = record.weight.to_string();
    let mark = record.mark().filter(|mark| !mark.path.is_empty()).map(Mark::encode);
    let flag = |flag| if flag { "true" } else { "false" };
    let mut labels: BTreeMap<String, &str> = [
        ("namespace", &*scope.namespace),
        ("group", &scope.group),
        ("service", &scope.name),
        ("weight", &weight),
        ("healthy", flag(record.healthy)),
        ("enabled", flag(record.enabled)),
    ]
    .map(|(key, value)| (format!("{PREFIX}{key}"), value))
    .into();
    if !record.id.slot.is_empty() {
        labels.insert(format!("{PREFIX}slot"), &record.id.slot);
    }
    if let Some(mark) = &mark {
        labels.insert(format!("{PREFIX}mark"), mark);
    }
    labels.extend(record.metadata.iter().map(|(key, value)| (format!("{PREFIX}{METADATA}{key}"), value)));
    json(&Group { targets: vec![address(&record.id)], labels })
}

/// A group without targets: Prometheus makes nothing of it.
fn note(labels: &[(&str, &str)]) -> String {
    let labels = labels.iter().map(|(key, value)| (format!("{PREFIX}{key}"), *value)).collect();
    json(&Group { targets: Vec::new(), labels })
}

fn list(groups: Vec<String>) -> String {
    if groups.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", groups.join(",\n")) }
}

/// Writes one file for `file_sd_config`. Its first group says that Causeway made it.
pub(super) fn write(contents: &Contents) -> String {
    let mut groups = vec![note(&[("file", "1")])];
    for (part, title) in &contents.namespaces {
        let title = title.as_deref().map(|title| ("title", title));
        groups.push(note(&[("namespace", &*part.0)].into_iter().chain(title).collect::<Vec<_>>()));
    }
    for set in contents.sets.values() {
        let records = set.records.values().flat_map(|held| held.native.iter().chain(&held.copies));
        groups.extend(records.map(|record| group(&set.scope, record)));
    }
    list(groups)
}

/// Reads one file that [`write`] wrote. A group that is not of this kind is an error: writing the file anew would lose it.
pub(super) fn read(file: &str, text: &str) -> Result<ReadFile, Problems> {
    read_yaml(file, text, &EMPTY, |reader, root| {
        let mut read = ReadFile::default();
        let Value::List(items) = &root.value else {
            reader.report(Draft::wrong_form(root, "", EMPTY.expected).help(EMPTY.help));
            return read;
        };
        for (n, node) in items.iter().enumerate() {
            target(reader, node, &format!("[{n}]"), &mut read);
        }
        read
    })
}

fn target(reader: &mut Reader<'_>, node: &Node, path: &str, read: &mut ReadFile) {
    let Some(fields) = reader.fields(node, path, &["targets", "labels"]) else { return };
    let targets = reader.list(&fields, "targets", "addresses");
    let labels =
        fields.get("labels").map(|node| reader.table(node, &fields.at("labels"), "labels")).unwrap_or_default();
    let mut ours: BTreeMap<&str, String> = BTreeMap::new();
    let foreign = |reader: &mut Reader<'_>, what: String| {
        let help = "move the group into a file of its own, which Prometheus reads beside this one";
        let draft = Draft::error(fields.place, path, what);
        reader.report(draft.expected(format!("a group as Causeway writes it, with labels `{PREFIX}…`")).help(help));
    };
    for (key, value) in &labels {
        match key.strip_prefix(PREFIX) {
            Some(key) => drop(ours.insert(key, value.clone())),
            None => return foreign(reader, format!("the label `{key}` is not one of Causeway's")),
        }
    }
    let mut take = |key: &str| ours.remove(key);
    if targets.is_empty() {
        read.contents.ours |= take("file").is_some();
        if let Some(namespace) = take("namespace") {
            let title = take("title").map(|title| title.as_str().into());
            read.contents.namespaces.insert(Part::new(&namespace), title);
        }
        return;
    }
    let (namespace, group, service) = (take("namespace"), take("group"), take("service"));
    let (Some(namespace), Some(group), Some(service)) = (namespace, group, service) else {
        return foreign(reader, "this group does not say which service it belongs to".into());
    };
    let scope = ServiceKey::new(&namespace, &group, &service);
    let (weight, healthy, enabled) = (take("weight"), take("healthy"), take("enabled"));
    let (slot, mark) = (take("slot").unwrap_or_default(), take("mark"));
    let metadata: Option<Metadata> =
        ours.iter().map(|(key, value)| Some((key.strip_prefix(METADATA)?, value.as_str()))).collect();
    let weight =
        weight.map_or(Some(1.0), |text| text.parse().ok()).filter(|weight: &f64| weight.is_finite() && *weight >= 0.0);
    let mark = mark.map(|text| Mark::decode(&text));
    let (Some(metadata), Some(weight), None | Some(Some(_))) = (metadata, weight, &mark) else {
        return foreign(reader, "a label of this group is not as Causeway writes it".into());
    };
    let flag = |text: Option<String>| text.as_deref() != Some("false");
    let (healthy, enabled) = (flag(healthy), flag(enabled));
    for (node, path) in &targets {
        let Some(scalar) = reader.one(node, path, "`host:port`") else { continue };
        let Some((host, port)) = parse_address(&scalar.text) else {
            let draft = Draft::error(node.place, path.as_str(), "this is not an address");
            reader.report(draft.expected("`host:port` or `[IPv6]:port`").help("write the host and the port"));
            continue;
        };
        let id = InstanceId { endpoint: Endpoint { host: intern(host), port }, slot: intern(&slot) };
        let (metadata, mark) = (metadata.clone(), mark.clone().flatten());
        let record = Instance::new("", 0).with(|one| {
            one.id = id;
            one.weight = weight;
            one.healthy = healthy;
            one.enabled = enabled;
            one.metadata = metadata;
            one.mark = mark;
        });
        let set = read.contents.sets.entry(scope.clone()).or_insert_with(|| Arc::new(Set::empty(scope.clone())));
        let owner = record.mark().map(|mark| &mark.owner);
        let twice = set.records.get(&record.id).is_some_and(|held| match owner {
            None => held.native.is_some(),
            Some(owner) => held.copies.iter().any(|copy| copy.mark().is_some_and(|mark| mark.owner == *owner)),
        });
        if twice {
            let draft = Draft::error(node.place, path.as_str(), format!("{} stands in {scope} twice", record.id));
            reader.report(draft.expected("every address once").help("take one of the two out"));
        }
        Arc::make_mut(set).put(record);
    }
}
