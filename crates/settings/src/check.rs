//! What holds between tasks, and between tasks and clusters.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cluster, Mode, TaskType};
use crate::read::{Draft, Reader};
use crate::suggest::nearest;
use crate::tasks::ReadTask;

/// Reports every task that cannot be what it says. `clusters` holds those of the file and those that are known already.
pub(crate) fn tasks(reader: &mut Reader<'_>, tasks: &[ReadTask<'_>], clusters: &[Cluster]) {
    names(reader, tasks);
    // Of two of one name the first counts; the second is reported already.
    let by_name: BTreeMap<&str, &Cluster> =
        clusters.iter().rev().map(|cluster| (cluster.name.as_str(), cluster)).collect();
    for read in tasks {
        let source = cluster(reader, read, "source", &read.task.source, &by_name);
        let destination = cluster(reader, read, "destination", &read.task.destination, &by_name);
        if !read.task.source.is_empty() && read.task.source == read.task.destination {
            reader.report(
                Draft::error(
                    read.fields.place_of("destination"),
                    read.fields.at("destination"),
                    "this is the source too",
                )
                .expected("another cluster than the source")
                .help("name the cluster to copy to"),
            );
            continue;
        }
        let (Some(source), Some(destination)) = (source, destination) else { continue };
        // A kind that is not known is reported at its cluster.
        if source.kind.is_empty() || destination.kind.is_empty() {
            continue;
        }
        pair(reader, read, source, destination);
        namespaces(reader, read, source, destination);
    }
}

fn names(reader: &mut Reader<'_>, tasks: &[ReadTask<'_>]) {
    let mut seen: BTreeMap<String, &ReadTask<'_>> = BTreeMap::new();
    for read in tasks.iter().filter(|read| !read.task.source.is_empty() && !read.task.destination.is_empty()) {
        let task = &read.task;
        let name = task.name();
        let Some(first) = seen.get(&name) else {
            seen.insert(name, read);
            continue;
        };
        let key = if task.given_name.is_some() { "name" } else { "source" };
        let how = if task.given_name.is_none() && first.task.given_name.is_none() {
            "give one of the two a `name`, or merge them"
        } else {
            "rename one of the two"
        };
        let line = first.fields.place.line;
        reader.report(
            Draft::error(read.fields.place_of(key), read.fields.at(key), format!("two tasks have the name `{name}`"))
                .expected("a name that no other task has")
                .help(format!("{how}; the first is at line {line}")),
        );
    }
}

fn cluster<'c>(
    reader: &mut Reader<'_>,
    read: &ReadTask<'_>,
    key: &str,
    name: &str,
    clusters: &BTreeMap<&str, &'c Cluster>,
) -> Option<&'c Cluster> {
    let found = clusters.get(name).copied();
    if found.is_none() && !name.is_empty() {
        let help = cluster_help(name, clusters, reader.is_full());
        let shown = reader
            .scalar(&read.fields, key, "a name")
            .map(|(scalar, _)| crate::read::shown(scalar))
            .unwrap_or_default();
        reader.report(
            Draft::error(read.fields.place_of(key), read.fields.at(key), format!("there is no cluster `{shown}`"))
                .expected("the `clusterName` of a cluster")
                .help(help),
        );
    }
    found
}

/// Searching for likely names takes long in a large file, and nobody reads the thousandth problem.
fn cluster_help(name: &str, clusters: &BTreeMap<&str, &Cluster>, in_short: bool) -> String {
    let names: Vec<&str> = clusters.keys().copied().filter(|n| !n.is_empty()).collect();
    let near = if in_short { None } else { nearest(name, names.iter().copied()) };
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() || names.len() > 20 => "describe it below `clusters:`".into(),
        None => format!("the clusters are {}", names.join(", ")),
    }
}

fn pair(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) {
    let (task, fields) = (&read.task, &read.fields);
    let ability = reader.kinds.ability(&source.kind, &destination.kind, task.mode);
    let route = format!("from {} to {}", source.kind, destination.kind);
    if ability.covers(task.kind) {
        if task.kind == TaskType::All && !(ability.services && ability.configs) {
            let (runs, rest) =
                if ability.services { ("services", "configuration") } else { ("configuration", "services") };
            let message = format!("only {runs} travel {route}; {rest} cannot yet");
            let word = if ability.services { "Service" } else { "Config" };
            reader.report(
                Draft::warning(fields.place_of("type"), fields.at("type"), message)
                    .help(format!("write `type: {word}` to say the same without this warning")),
            );
        }
        return;
    }
    let one_way = reader.kinds.ability(&source.kind, &destination.kind, Mode::Unidirectional);
    if task.mode == Mode::Bidirectional && one_way.covers(task.kind) {
        reader.report(
            Draft::error(fields.place_of("mode"), fields.at("mode"), format!("copying {route} goes one way only"))
                .expected("`Unidirectional`")
                .help("write `mode: Unidirectional`"),
        );
        return;
    }
    let (what, other) = match task.kind {
        TaskType::Service => ("services", (ability.configs || one_way.configs).then_some("Config")),
        TaskType::Config => ("configuration", (ability.services || one_way.services).then_some("Service")),
        TaskType::All => ("services and configuration", None),
    };
    let (expected, help) = match other {
        Some(word) => (format!("`{word}`"), format!("write `type: {word}`, or take the task out")),
        None => ("a pair of kinds that can be copied".to_owned(), "take the task out".to_owned()),
    };
    let message = format!("{what} cannot be copied {route} yet");
    reader.report(Draft::error(fields.place_of("type"), fields.at("type"), message).expected(expected).help(help));
}

/// A task's namespaces are those of its source, for both ways.
fn namespaces(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) {
    let has = |cluster: &Cluster| reader.kinds.0.get(&cluster.kind).is_some_and(|c| c.namespaces);
    // From a kind without namespaces everything goes to the destination's own namespace.
    if !has(source) || !has(destination) || destination.namespaces.is_empty() {
        return;
    }
    let set = |cluster: &Cluster| cluster.namespaces.iter().cloned().collect::<BTreeSet<String>>();
    let fields = &read.fields;
    let names = |cluster: &Cluster| match cluster.namespaces.as_slice() {
        [] => "all namespaces".to_owned(),
        some => format!("`{}`", some.join(",")),
    };
    if set(source) == set(destination) {
        return;
    }
    if read.task.is_two_way() {
        let message = format!(
            "the namespaces of `{}` are {}, and those of `{}` are {}",
            destination.name,
            names(destination),
            source.name,
            names(source)
        );
        reader.report(
            Draft::error(fields.place_of("destination"), fields.at("destination"), message)
                .expected("a destination without `namespace`, or with the source's, because the task goes both ways")
                .help(format!("take `namespace` out of the cluster `{}`, or make the two the same", destination.name)),
        );
    } else {
        let message = format!(
            "copies go to the namespaces of `{}` ({}); the `namespace` of `{}` has no effect on this task",
            source.name,
            names(source),
            destination.name
        );
        reader.report(
            Draft::warning(fields.place_of("destination"), fields.at("destination"), message)
                .help("use `map: {namespace: …}` in the task to rename namespaces"),
        );
    }
}
