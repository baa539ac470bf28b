//! What holds between tasks, and between tasks and clusters.

use std::collections::{BTreeMap, BTreeSet};

use crate::groups;
use crate::model::{Cases, Cluster, Namespaces, PUBLIC, TaskMode, TaskType};
use crate::options::{NameCase, Rename};
use crate::read::{Draft, Reader};
use crate::suggest::nearest;
use crate::tasks::ReadTask;

/// Reports every task that cannot be what it says, and says which namespaces meet. `clusters` holds those of the file and
/// those that are known already.
pub(crate) fn tasks(reader: &mut Reader<'_>, tasks: &mut [ReadTask<'_>], clusters: &[Cluster]) {
    check_names(reader, tasks);
    // Of two of one name the first counts; the second is reported already.
    let by_name: BTreeMap<&str, &Cluster> =
        clusters.iter().rev().map(|cluster| (cluster.name.as_str(), cluster)).collect();
    for read in tasks.iter_mut() {
        let source = cluster(reader, read, "source", &read.task.source, &by_name);
        let destination = cluster(reader, read, "destination", &read.task.destination, &by_name);
        if !read.task.source.is_empty() && read.task.source == read.task.destination {
            reader.report(
                Draft::key_error(&read.fields, "destination", "this is the source too")
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
        check_pair(reader, read, source, destination);
        warn_no_effect(reader, read, source, destination);
        read.task.grouped = groups::check(reader, read, source, destination);
        read.task.namespaces = namespaces(reader, read, source, destination);
        let case = |cluster: &Cluster| reader.kinds.facts(&cluster.kind).case;
        read.task.cases = cases(read.task.name_case, case(source), case(destination));
        check_alike_names(reader, read);
        if read.fields.get("settle").is_none() {
            let back = read.task.is_two_way().then_some(destination);
            let kinds = std::iter::once(source).chain(back).map(|cluster| reader.kinds.facts(&cluster.kind).settle);
            read.task.settle = kinds.chain([read.task.settle]).max().unwrap_or_default();
        }
    }
    groups::warn_alike_sources(reader, tasks);
}

fn check_names(reader: &mut Reader<'_>, tasks: &[ReadTask<'_>]) {
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
            Draft::key_error(&read.fields, key, format!("two tasks have the name `{name}`"))
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
        let shown = reader.scalar(&read.fields, key, "a name").map(crate::read::shown).unwrap_or_default();
        reader.report(
            Draft::key_error(&read.fields, key, format!("there is no cluster `{shown}`"))
                .expected("the `clusterName` of a cluster")
                .help(help),
        );
    }
    found
}

/// Searching for likely names takes long in a large file, and is not worth it once there are very many problems.
fn cluster_help(name: &str, clusters: &BTreeMap<&str, &Cluster>, in_short: bool) -> String {
    let names: Vec<&str> = clusters.keys().copied().filter(|n| !n.is_empty()).collect();
    let near = if in_short { None } else { nearest(name, names.iter().copied()) };
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() || names.len() > 20 => "describe it below `clusters:`".into(),
        None => format!("the clusters are {}", names.join(", ")),
    }
}

fn check_pair(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) {
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
                Draft::key_warning(fields, "type", message)
                    .help(format!("write `type: {word}` to say the same without this warning")),
            );
        }
        return;
    }
    let one_way = reader.kinds.ability(&source.kind, &destination.kind, TaskMode::Unidirectional);
    if task.mode == TaskMode::Bidirectional && one_way.covers(task.kind) {
        reader.report(
            Draft::key_error(fields, "mode", format!("copying {route} goes one way only"))
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
    reader.report(Draft::key_error(fields, "type", message).expected(expected).help(help));
}

/// Keys that say nothing about what this task copies.
fn warn_no_effect(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) {
    let (task, fields) = (&read.task, &read.fields);
    let ability = reader.kinds.ability(&source.kind, &destination.kind, task.mode);
    if !ability.covers(task.kind) {
        return;
    }
    let configs = ability.configs && task.kind != TaskType::Service;
    let services = ability.services && task.kind != TaskType::Config;
    let marks = [source, destination].iter().any(|cluster| reader.kinds.facts(&cluster.kind).inline_marks);
    let none = "the task copies no configuration";
    let why = [
        ("conflict", (!configs).then_some(none)),
        ("conflict", (configs && !task.is_two_way()).then_some("the task goes one way")),
        ("data", (!configs).then_some(none)),
        ("marks", (!services).then_some("the task copies no services")),
        ("marks", (services && !marks).then_some("neither of the two clusters keeps marks apart from the data")),
    ];
    let case = "names at the destination have one case only";
    let one_case = reader.kinds.facts(&destination.kind).case != NameCase::Keep;
    let why = why.into_iter().chain([
        ("nameCase", (!services).then_some("the task copies no services")),
        ("nameCase", (services && one_case && !task.is_two_way()).then_some(case)),
    ]);
    for (key, why) in why.filter_map(|(key, why)| fields.get(key).and(why).map(|why| (key, why))) {
        reader.report(Draft::key_warning(fields, key, format!("this has no effect: {why}")).help("take it out"));
    }
}

/// On the way back new names that differ in nothing but case cannot be told apart.
fn check_alike_names(reader: &mut Reader<'_>, read: &ReadTask<'_>) {
    let Some(Rename::Table(table)) = &read.task.map.service else { return };
    if !read.task.is_two_way() || !read.task.cases.spells {
        return;
    }
    let mut seen = BTreeSet::new();
    if let Some(name) = table.values().find(|name| !seen.insert(name.to_uppercase())) {
        let message = format!("two services become `{name}`, but for the case, so the way back is not clear");
        reader.report(
            Draft::key_error(&read.fields, "map", message)
                .expected("new names that differ in more than case, because the task goes both ways")
                .help("give every service its own name, or make the task Unidirectional"),
        );
    }
}

/// What becomes of the case of names between two kinds, each of which may have its own.
fn cases(asked: Option<NameCase>, source: NameCase, destination: NameCase) -> Cases {
    let keep = NameCase::Keep;
    match (source != keep, destination != keep) {
        (true, true) => Cases::default(),
        (true, false) => Cases { there: asked.unwrap_or(NameCase::Lower), back: source, spells: false },
        (false, true) => {
            let back = asked.unwrap_or(NameCase::Lower);
            Cases { there: keep, back: if back == keep { destination } else { back }, spells: true }
        }
        (false, false) => {
            let case = asked.unwrap_or(keep);
            Cases { there: case, back: case, spells: case != keep }
        }
    }
}

/// A task's namespaces are those of its source, for both ways. Where a kind has none, only one can take part.
fn namespaces(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) -> Namespaces {
    if read.task.grouped.is_some() {
        // Their names say which namespace they come from.
        return Namespaces::Each;
    }
    let mapped = read.task.map.namespace.is_some();
    let one = |source: &str, destination: &str| Namespaces::One {
        source: source.to_owned(),
        destination: (!mapped).then(|| destination.to_owned()),
    };
    match (reader.kinds.facts(&source.kind).namespaces, reader.kinds.facts(&destination.kind).namespaces) {
        (true, true) => {
            check_alike(reader, read, source, destination);
            Namespaces::Each
        }
        (false, false) => one(PUBLIC, PUBLIC),
        (false, true) => {
            if destination.namespaces.len() > 1 && !mapped {
                report_several(reader, read, source, destination);
            }
            one(PUBLIC, destination.namespaces.first().map_or(PUBLIC, String::as_str))
        }
        (true, false) => match source.namespaces.as_slice() {
            [only] if !mapped => one(only, PUBLIC),
            [_, _, ..] if !mapped => {
                warn_only_public(reader, read, source, destination);
                Namespaces::Each
            }
            _ => Namespaces::Each,
        },
    }
}

fn report_several(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) {
    let fields = &read.fields;
    let (from, to) = (&source.name, &destination.name);
    let message = format!("`{from}` has no namespaces, and `{to}` names several: {}", named(destination));
    let first = first_named(destination);
    reader.report(
        Draft::key_error(fields, "destination", message)
            .expected("a destination that names the one namespace that copies go to, or none for `public`")
            .help(format!(
                "name one in the cluster `{to}`, or write `map: {{namespace: {{public: {first}}}}}` in the task"
            )),
    );
}

fn warn_only_public(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) {
    let fields = &read.fields;
    let (from, to) = (&source.name, &destination.name);
    let message = format!("`{to}` has no namespaces: of those of `{from}`, {}, only `public` fits it", named(source));
    let first = first_named(source);
    reader.report(Draft::key_warning(fields, "destination", message).help(format!(
        "name one in the cluster `{from}`, or write `map: {{namespace: {{{first}: public}}}}` in the task"
    )));
}

/// What a reference stands for is not told.
fn named(cluster: &Cluster) -> String {
    match (cluster.written.get("/namespace"), cluster.namespaces.as_slice()) {
        (Some(written), _) => format!("`{written}`"),
        (None, []) => "all namespaces".to_owned(),
        (None, some) => format!("`{}`", some.join(",")),
    }
}

/// One of its namespaces, for an example.
fn first_named(cluster: &Cluster) -> &str {
    let shown = !cluster.written.contains_key("/namespace");
    cluster.namespaces.first().filter(|_| shown).map_or("…", String::as_str)
}

/// Both kinds have namespaces.
fn check_alike(reader: &mut Reader<'_>, read: &ReadTask<'_>, source: &Cluster, destination: &Cluster) {
    if destination.namespaces.is_empty() {
        return;
    }
    let set = |cluster: &Cluster| cluster.namespaces.iter().cloned().collect::<BTreeSet<String>>();
    let fields = &read.fields;
    if set(source) == set(destination) {
        return;
    }
    if read.task.is_two_way() {
        let message = format!(
            "the namespaces of `{}` are {}, and those of `{}` are {}",
            destination.name,
            named(destination),
            source.name,
            named(source)
        );
        reader.report(
            Draft::key_error(fields, "destination", message)
                .expected("a destination without `namespace`, or with the source's, because the task goes both ways")
                .help(format!("take `namespace` out of the cluster `{}`, or make the two the same", destination.name)),
        );
    } else {
        let message = format!(
            "copies go to the namespaces of `{}` ({}); the `namespace` of `{}` has no effect on this task",
            source.name,
            named(source),
            destination.name
        );
        reader.report(
            Draft::key_warning(fields, "destination", message)
                .help("use `map: {namespace: …}` in the task to rename namespaces"),
        );
    }
}
