//! A task's `groups`: how a service's instances are divided where the destination has a place for each group.

use std::collections::BTreeMap;

use crate::clusters::check_name;
use crate::model::{Cluster, Grouped, TaskMode};
use crate::options::MetadataGroup;
use crate::read::{Draft, Fields, Reader};
use crate::tasks::ReadTask;
use crate::template::check_template;
use crate::tree::Value;

/// The keys of a group; a test holds them against the schema.
pub(crate) const GROUP_KEYS: [&str; 3] = ["name", "metadata", "upstreamName"];

/// Reads the groups of a task.
pub(crate) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<MetadataGroup> {
    let mut groups: Vec<MetadataGroup> = Vec::new();
    // Where each name and each upstream stands first.
    let mut seen: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (node, path) in reader.list(fields, "groups", "groups") {
        let Some(inner) = reader.fields(node, &path, &GROUP_KEYS) else { continue };
        let name = reader.required(&inner, "name", "the group's name", "write `name: version-1`, say");
        check_name(reader, &inner, "name", name.as_deref());
        let group = MetadataGroup {
            name: name.unwrap_or_default(),
            metadata: metadata(reader, &inner),
            upstream: upstream(reader, &inner),
        };
        let words = [("name", Some(&group.name)), ("upstreamName", group.upstream.as_ref())];
        for (key, word) in
            words.into_iter().filter_map(|(key, word)| Some((key, word.filter(|word| !word.is_empty())?)))
        {
            let line = inner.place_of(key).line;
            let Some(first) = seen.get(&(key, word.clone())) else {
                seen.insert((key, word.clone()), line);
                continue;
            };
            reader.report(
                Draft::key_error(&inner, key, format!("two groups of the task have this `{key}`"))
                    .expected("one that no other group of the task has")
                    .help(format!("change one of the two, or make them one group; the first is at line {first}")),
            );
        }
        groups.push(group);
    }
    groups
}

fn metadata(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    let Some(node) = fields.get("metadata") else { return metadata };
    for (key, value) in reader.entries(node, &fields.at("metadata"), "a table of metadata keys and values") {
        let path = format!("{}.{}", fields.at("metadata"), key.text);
        let text = match &value.value {
            Value::Null => String::new(),
            _ => match reader.one(value, &path, "a text") {
                Some(scalar) => scalar.text.clone(),
                None => continue,
            },
        };
        let (place, message) = match (key.text.trim().is_empty(), text.trim().is_empty()) {
            (true, _) => (key.place, "this key of the metadata is blank"),
            (false, true) => (value.place, "this value of the metadata is blank"),
            (false, false) => {
                metadata.insert(key.text.clone(), text);
                continue;
            }
        };
        reader.report(
            Draft::error(place, path, message)
                .expected("keys and values, such as `version: 1.0.0`")
                .help("an instance is in the group when its metadata have exactly this value for the key"),
        );
    }
    metadata
}

fn upstream(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let expected = "a name, or a template such as `{service}-v1`";
    let name = reader.text(fields, "upstreamName", expected)?;
    match check_template(&name, "service", false) {
        Ok(()) => Some(name),
        Err((message, help)) => {
            reader.report(Draft::key_error(fields, "upstreamName", message).expected(expected).help(help));
            None
        }
    }
}

/// How the task divides services, where its destination can; reports groups where it cannot, and a way back from groups.
pub(crate) fn check(
    reader: &mut Reader<'_>,
    read: &ReadTask<'_>,
    source: &Cluster,
    destination: &Cluster,
) -> Option<Grouped> {
    let (task, fields) = (&read.task, &read.fields);
    let grouped = |cluster: &Cluster| reader.kinds.facts(&cluster.kind).grouped;
    let (from, to) = (grouped(source), grouped(destination));
    let both_ways = reader.kinds.ability(&source.kind, &destination.kind, TaskMode::Bidirectional);
    if (from || to) && task.is_two_way() && both_ways.services {
        let kind = if to { &destination.kind } else { &source.kind };
        let message = format!("{kind} holds groups of instances, from which there is no way back");
        reader.report(
            Draft::key_error(fields, "mode", message).expected("`Unidirectional`").help("write `mode: Unidirectional`"),
        );
    }
    if to {
        return Some(Grouped { public: reader.kinds.facts(&source.kind).default_namespace.to_owned() });
    }
    if !task.groups.is_empty() {
        let kinds: Vec<_> = reader.kinds.all().filter(|kind| kind.facts().grouped).map(|kind| kind.name()).collect();
        let expected = match kinds.is_empty() {
            true => "no groups".to_owned(),
            false => format!("a destination of a kind that has groups: {}", kinds.join(", ").to_uppercase()),
        };
        let message = format!("{} has no place for groups of instances", destination.kind);
        reader.report(
            Draft::key_error(fields, "groups", message)
                .expected(expected)
                .help("take `groups` out; `select` chooses instances by their metadata"),
        );
    }
    None
}

/// Warns of source clusters whose services could get the same names: names begin with the cluster's, and a point ends it.
pub(crate) fn warn_alike_sources(reader: &mut Reader<'_>, tasks: &[ReadTask<'_>]) {
    let grouped: Vec<_> = tasks.iter().filter(|read| read.task.grouped.is_some()).collect();
    let begins = |other: &str, name: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    for read in &grouped {
        let task = &read.task;
        let other = grouped
            .iter()
            .map(|other| &other.task)
            .find(|other| other.destination == task.destination && begins(&task.source, &other.source));
        if let Some(other) = other {
            let message = format!(
                "names at `{}` begin with the source's: services of `{}` and of `{}` may get one name there",
                task.destination, task.source, other.source
            );
            reader.report(
                Draft::key_warning(&read.fields, "source", message).help("call one of the two clusters otherwise"),
            );
        }
    }
}
