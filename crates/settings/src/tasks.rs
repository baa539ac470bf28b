//! Reading `tasks`.

use crate::clusters::{check_name, normal_namespace};
use crate::groups;
use crate::model::{Cases, Namespaces, Task, TaskMode, TaskType, settle};
use crate::options::{
    ConflictRule, Data, DataAcl, Guard, Marks, MetadataRenames, NameCase, Overrides, Policy, Rename, Renames, Rule,
    Selection, TakeOver,
};
use crate::pattern::Pattern;
use crate::read::{Draft, Fields, Reader, written};
use crate::template::check_template;
use crate::tree::{Node, Value};
use std::time::Duration;

/// The keys of a task; a test holds them against the schema.
pub(crate) const TASK_KEYS: [&str; 21] = [
    "name",
    "source",
    "destination",
    "type",
    "mode",
    "serviceMatchPattern",
    "autoScanAndAddService",
    "policy",
    "overrides",
    "conflict",
    "data",
    "marks",
    "relay",
    "takeOver",
    "select",
    "map",
    "nameCase",
    "groups",
    "guard",
    "settle",
    "pullInterval",
];
pub(crate) const SELECT_KEYS: [&str; 2] = ["include", "exclude"];
pub(crate) const RULE_KEYS: [&str; 5] = ["namespace", "group", "service", "path", "metadata"];
pub(crate) const DATA_KEYS: [&str; 1] = ["acl"];
pub(crate) const MAP_KEYS: [&str; 4] = ["namespace", "group", "service", "metadata"];
pub(crate) const METADATA_KEYS: [&str; 3] = ["add", "drop", "rename"];
pub(crate) const GUARD_KEYS: [&str; 3] = ["share", "floor", "window"];

/// A task and where its keys stand.
pub(crate) struct ReadTask<'n> {
    pub task: Task,
    pub fields: Fields<'n>,
}

pub(crate) fn read<'n>(reader: &mut Reader<'_>, items: &[(&'n Node, String)]) -> Vec<ReadTask<'n>> {
    let mut tasks = Vec::new();
    for (node, path) in items {
        let Some(fields) = reader.fields(node, path, &TASK_KEYS) else { continue };
        let mut task = read_one(reader, &fields);
        task.written = written(node);
        tasks.push(ReadTask { task, fields });
    }
    tasks
}

fn read_one(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Task {
    let cluster = "the name of a cluster";
    let given_name = reader.text(fields, "name", "a name");
    check_name(reader, fields, "name", given_name.as_deref());
    let source = reader.required(fields, "source", cluster, "write the name of the cluster to copy from");
    let destination = reader.required(fields, "destination", cluster, "write the name of the cluster to copy to");
    let types = [TaskType::Service, TaskType::Config, TaskType::All].map(|t| (t.word(), t));
    let modes = [TaskMode::Unidirectional, TaskMode::Bidirectional].map(|m| (m.word(), m));
    let policies = [("sync", Policy::Sync), ("upsert-only", Policy::UpsertOnly), ("create-only", Policy::CreateOnly)];
    let overrides = [("keep", Overrides::Keep), ("replace", Overrides::Replace), ("travel", Overrides::Travel)];
    let tools = [TakeOver::NacosSync, TakeOver::PolarisSync].map(|tool| (tool.word(), tool));
    let conflicts = [
        ("source", ConflictRule::Source),
        ("destination", ConflictRule::Destination),
        ("newest", ConflictRule::Newest),
        ("manual", ConflictRule::Manual),
    ];
    let marks = [("session", Marks::Session), ("inline", Marks::Inline)];
    let cases = [("keep", NameCase::Keep), ("lower", NameCase::Lower), ("upper", NameCase::Upper)];
    let mode = reader.word(fields, "mode", &modes).unwrap_or_default();
    let kind = reader.word(fields, "type", &types);
    // What the rules are about is checked only where it is plain what the task copies.
    let about = kind.or_else(|| fields.get("type").is_none().then(TaskType::default));
    Task {
        given_name,
        source: source.unwrap_or_default(),
        destination: destination.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        mode,
        service_match_pattern: match_pattern(reader, fields),
        auto_scan: reader.flag(fields, "autoScanAndAddService", true),
        policy: reader.word(fields, "policy", &policies).unwrap_or_default(),
        overrides: reader.word(fields, "overrides", &overrides).unwrap_or_default(),
        conflict: reader.word(fields, "conflict", &conflicts).unwrap_or_default(),
        data: data(reader, fields).unwrap_or_default(),
        marks: reader.word(fields, "marks", &marks).unwrap_or_default(),
        relay: reader.flag(fields, "relay", false),
        take_over: reader.word(fields, "takeOver", &tools),
        select: select(reader, fields, about).unwrap_or_default(),
        map: map(reader, fields, mode == TaskMode::Bidirectional).unwrap_or_default(),
        name_case: reader.word(fields, "nameCase", &cases),
        groups: groups::read(reader, fields),
        guard: guard(reader, fields).unwrap_or_default(),
        settle: reader.duration(fields, "settle", settle()),
        pull_interval: pull_interval(reader, fields, about),
        namespaces: Namespaces::default(),
        cases: Cases::default(),
        grouped: None,
        written: Default::default(),
    }
}

/// An empty pattern is MSE Sync's «all services».
fn match_pattern(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Pattern {
    let key = "serviceMatchPattern";
    match fields.get(key) {
        None => Pattern::all(),
        Some(node) if matches!(&node.value, Value::Scalar(s) if s.text.is_empty() && !s.broken) => Pattern::all(),
        Some(node) => reader.pattern(node, &fields.at(key)).unwrap_or_default(),
    }
}

fn data(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Data> {
    let inner = reader.block(fields, "data", &DATA_KEYS)?;
    let words = [("copy", DataAcl::Copy), ("ignore", DataAcl::Ignore)];
    Some(Data { acl: reader.word(&inner, "acl", &words).unwrap_or_default() })
}

fn select(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: Option<TaskType>) -> Option<Selection> {
    let inner = reader.block(fields, "select", &SELECT_KEYS)?;
    let mut rules = |key| rules(reader, &inner, key, kind);
    Some(Selection { include: rules("include"), exclude: rules("exclude") })
}

fn rules(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, kind: Option<TaskType>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (node, path) in reader.list(fields, key, "rules") {
        let Some(inner) = reader.fields(node, &path, &RULE_KEYS) else { continue };
        let mut rule = Rule::default();
        for (key, slot) in [
            ("namespace", &mut rule.namespace),
            ("group", &mut rule.group),
            ("service", &mut rule.service),
            ("path", &mut rule.path),
        ] {
            *slot = inner.get(key).and_then(|node| reader.pattern(node, &inner.at(key)));
        }
        if let Some(node) = inner.get("metadata") {
            for (key, value) in reader.entries(node, &inner.at("metadata"), "a table of metadata keys and patterns") {
                let pattern = reader.pattern(value, &format!("{}.{}", inner.at("metadata"), key.text));
                rule.metadata.extend(pattern.map(|pattern| (key.text.clone(), pattern)));
            }
        }
        if inner.entries().is_empty() || (rule.is_empty() && RULE_KEYS.iter().all(|key| inner.get(key).is_none())) {
            reader.report(
                Draft::error(inner.place, path, "this rule has no pattern and would match everything")
                    .expected("at least one of `namespace`, `group`, `service`, `path` and `metadata`")
                    .help("add a pattern, or take the rule out"),
            );
        }
        check_subject(reader, &inner, kind);
        rules.push(rule);
    }
    rules
}

/// A rule about what the task does not copy would say nothing, and more be copied than was meant.
fn check_subject(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: Option<TaskType>) {
    let services = ["service", "metadata"].into_iter().find(|key| fields.get(key).is_some());
    let configs = fields.get("path").map(|_| "path");
    let (key, message, help) = match (services, configs, kind) {
        (Some(other), Some(key), _) => (
            key,
            format!("`path` speaks of configuration and `{other}` of services: this rule matches nothing"),
            "make two rules of it".to_owned(),
        ),
        (None, Some(key), Some(TaskType::Service)) => (
            key,
            "this speaks of configuration, and the task copies services".to_owned(),
            "take it out, or write `type: Config` or `type: All`".to_owned(),
        ),
        (Some(key), None, Some(TaskType::Config)) => (
            key,
            "this speaks of services, and the task copies configuration".to_owned(),
            "take it out and use `path`, or write `type: All`".to_owned(),
        ),
        _ => return,
    };
    reader.report(
        Draft::key_error(fields, key, message)
            .expected("rules of services with `service` and `metadata`, rules of configuration with `path`")
            .help(help),
    );
}

fn map(reader: &mut Reader<'_>, fields: &Fields<'_>, two_way: bool) -> Option<Renames> {
    let inner = reader.block(fields, "map", &MAP_KEYS)?;
    let mut rename = |key| rename(reader, &inner, key, two_way);
    let (namespace, group, service) = (rename("namespace"), rename("group"), rename("service"));
    let metadata = metadata(reader, &inner, two_way).unwrap_or_default();
    Some(Renames { namespace, group, service, metadata })
}

fn rename(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, two_way: bool) -> Option<Rename> {
    let node = fields.get(key)?;
    let expected = format!("a template such as `x-{{{key}}}`, or a table of names");
    if let Value::Map(_) = node.value {
        let mut table = reader.table(node, &fields.at(key), &expected);
        if key == "namespace" {
            table = table.into_iter().map(|(from, to)| (normal_namespace(&from), normal_namespace(&to))).collect();
        }
        if let Some((from, _)) = table.iter().find(|(from, to)| from.is_empty() || to.is_empty()) {
            let message = if from.is_empty() {
                "a name in this table is empty".to_owned()
            } else {
                format!("`{from}` becomes an empty name")
            };
            reader.report(
                Draft::key_error(fields, key, message).expected("names on both sides").help("write `old: new`"),
            );
        }
        if two_way && let Some(name) = first_twice(table.values()) {
            reader.report(
                Draft::key_error(fields, key, format!("two names become `{name}`, so the way back is not clear"))
                    .expected("different new names, because the task goes both ways")
                    .help("give every name its own, or make the task Unidirectional"),
            );
        }
        return Some(Rename::Table(table));
    }
    let scalar = reader.one(node, &fields.at(key), &expected)?;
    match check_template(&scalar.text, key, two_way) {
        Ok(()) => Some(Rename::Template(scalar.text.clone())),
        Err((message, help)) => {
            reader.report(Draft::key_error(fields, key, message).expected(expected).help(help));
            None
        }
    }
}

fn first_twice<'a>(names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

fn metadata(reader: &mut Reader<'_>, fields: &Fields<'_>, two_way: bool) -> Option<MetadataRenames> {
    let inner = reader.block(fields, "metadata", &METADATA_KEYS)?;
    let mut table = |key: &str| {
        inner.get(key).map(|node| reader.table(node, &inner.at(key), "a table of metadata keys")).unwrap_or_default()
    };
    let (add, rename) = (table("add"), table("rename"));
    let items = reader.list(&inner, "drop", "metadata keys");
    let one = |(node, path): (_, String)| Some(reader.one(node, &path, "a metadata key")?.text.clone());
    let drop = items.into_iter().filter_map(one).collect();
    if two_way && let Some(name) = first_twice(rename.values()) {
        reader.report(
            Draft::key_error(&inner, "rename", format!("two keys become `{name}`, so the way back is not clear"))
                .expected("different new keys, because the task goes both ways")
                .help("give every key its own, or make the task Unidirectional"),
        );
    }
    Some(MetadataRenames { add, drop, rename })
}

/// The shortest interval: a shorter one is better left to watching.
const SHORTEST_PULL: Duration = Duration::from_millis(100);

fn pull_interval(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: Option<TaskType>) -> Option<Duration> {
    fields.get("pullInterval")?;
    let interval = reader.duration(fields, "pullInterval", SHORTEST_PULL);
    if interval < SHORTEST_PULL {
        reader.report(
            Draft::key_error(fields, "pullInterval", "this is too short")
                .expected("at least `100ms`")
                .help("take it out: changes are copied at once then"),
        );
    }
    if kind.is_some_and(TaskType::wants_configs) {
        reader.report(
            Draft::key_error(fields, "pullInterval", "only services can be copied at an interval")
                .expected("this key only where `type` is Service")
                .help("take it out"),
        );
    }
    Some(interval)
}

fn guard(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Guard> {
    let inner = reader.block(fields, "guard", &GUARD_KEYS)?;
    let default = Guard::default();
    let share =
        reader.number(&inner, "share", "a number from 0 to 1, such as 0.3", |share: &f64| (0.0..=1.0).contains(share));
    let floor = reader.number(&inner, "floor", "a whole number from 0", |_: &u32| true);
    let window = reader.duration(&inner, "window", default.window);
    if window.is_zero() {
        reader.report(
            Draft::key_error(&inner, "window", "the window is empty")
                .expected("more than nothing, such as `60s`")
                .help("to switch the guard off, set `share: 1`"),
        );
    }
    // 0 and -0 are equal but not the same text.
    Some(Guard { share: share.unwrap_or(default.share).abs(), floor: floor.unwrap_or(default.floor), window })
}
