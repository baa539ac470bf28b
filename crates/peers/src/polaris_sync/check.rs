//! What must hold in a document, as polaris-sync checks it, and what it should have checked.

use super::model::{DocumentSubject, Match, MethodKind, SyncDocument, SyncEnd, SyncTask, TargetKind};
use crate::problem_list::ProblemList;
use causeway_settings::Kinds;
use std::collections::BTreeMap;

/// Reports what is wrong. Tasks that are not enabled are not looked at.
pub(super) fn document(document: &SyncDocument, kinds: &Kinds, problems: &mut ProblemList) {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, task) in document.enabled() {
        let path = format!("tasks[{n}]");
        let name = task.name.trim();
        if name.is_empty() {
            problems.error(
                task.name_place,
                &format!("{path}.name"),
                "this task has no name",
                "give it a `name` of its own",
            );
        } else if let Some(first) = names.insert(name, task.name_place.line) {
            let help = format!("rename one of the two; the first is at line {first}");
            let message = format!("two tasks have the name `{name}`");
            problems.error(task.name_place, &format!("{path}.name"), message, help);
        }
        let words = match document.subject {
            DocumentSubject::Registry => &super::read::REGISTRY_KINDS[1..],
            DocumentSubject::Configuration => &super::read::CENTRE_KINDS[1..],
        };
        end(&task.source, &format!("{path}.source"), words, problems);
        end(&task.destination, &format!("{path}.destination"), words, problems);
        pair(document.subject, task, &path, kinds, problems);
        for (m, one) in task.matches.iter().enumerate() {
            one_match(document.subject, one, &format!("{path}.match[{m}]"), problems);
        }
        if task.matches.iter().all(Match::is_empty) {
            let help = "name what it copies: a namespace and a service; `\"service\": \"*\"` is all of them";
            problems.warning(task.place, &format!("{path}.match"), "this task copies nothing: `match` is empty", help);
        }
    }
    methods(document, problems);
    for (n, target) in document.report.targets.iter().enumerate().filter(|(_, target)| target.enable) {
        let path = format!("report.targets[{n}].type");
        let message = match target.kind {
            TargetKind::Unknown => "this target has no type and gets no reports",
            TargetKind::Balad => "reports to `balad` are not supported yet",
            TargetKind::File | TargetKind::Prometheus => continue,
        };
        problems.warning(target.place, &path, message, "use `file`, or take the target out");
    }
}

fn end(end: &SyncEnd, path: &str, words: &[&str], problems: &mut ProblemList) {
    if end.name.trim().is_empty() {
        problems.error(
            end.places.name,
            &format!("{path}.name"),
            "this has no name",
            "give it a `name`, the same wherever it stands",
        );
    }
    if end.kind.is_empty() {
        let help = format!("write one of {}", words.join(", "));
        problems.error(end.places.kind, &format!("{path}.type"), "this has no type", help);
    }
    let blank = |address: &&super::model::Located<String>| address.value.trim().is_empty();
    if end.addresses.is_empty() {
        let help = "write at least one, such as `\"10.0.0.1:8848\"`";
        problems.error(end.places.addresses, &format!("{path}.addresses"), "there is no address here", help);
    } else if let Some(address) = end.addresses.iter().find(blank) {
        problems.error(
            address.place,
            &format!("{path}.addresses"),
            "this address is empty",
            "write it, or take it out",
        );
    }
}

fn pair(subject: DocumentSubject, task: &SyncTask, path: &str, kinds: &Kinds, problems: &mut ProblemList) {
    let SyncTask { source, destination, .. } = task;
    if !source.name.is_empty() && source.name == destination.name {
        let help = "name another one to copy to";
        problems.error(destination.places.name, &format!("{path}.destination.name"), "this is the source too", help);
    }
    if subject == DocumentSubject::Configuration {
        return;
    }
    let facts = kinds.facts(&source.kind);
    // A gateway, also before its kind can be used.
    if source.kind == "kong" || (facts.services_sink && !facts.services_source) {
        let message = format!("`{}` can only be a destination: it holds no services to copy from", source.kind);
        problems.error(source.places.kind, &format!("{path}.source.type"), message, "take a registry as the source");
    }
}

fn one_match(subject: DocumentSubject, one: &Match, path: &str, problems: &mut ProblemList) {
    if one.is_empty() {
        return;
    }
    let [_, namespace, name] = one.places;
    if one.namespace.trim().is_empty() {
        let help = "write it; `empty_ns` is the default namespace";
        problems.error(namespace, &format!("{path}.namespace"), "the namespace is missing", help);
    } else if one.namespace.contains('*') {
        let message = "namespaces are named one by one: this is one whose name holds a `*`";
        problems.warning(namespace, &format!("{path}.namespace"), message, "write one `match` for each namespace");
    }
    if one.name.trim().is_empty() {
        let (key, help) = match subject {
            DocumentSubject::Registry => {
                ("service", "write `SERVICE` or `GROUP__SERVICE`; `*` is every service of the namespace")
            }
            DocumentSubject::Configuration => {
                ("config_group", "write the group's name; `*` is every group of the namespace")
            }
        };
        problems.error(name, &format!("{path}.{key}"), format!("`{key}` is missing"), help);
    }
    for (g, group) in one.groups.iter().enumerate() {
        let path = format!("{path}.groups[{g}]");
        if group.name.trim().is_empty() {
            problems.error(group.place, &format!("{path}.name"), "this group has no name", "give it a `name`");
        }
        if group.metadata.iter().any(|(key, value)| key.trim().is_empty() || value.trim().is_empty()) {
            let message = "a key or a value of this filter is empty";
            problems.error(group.place, &format!("{path}.metadata"), message, "write both, or take the entry out");
        }
        if one.groups[..g].iter().any(|other| other.name == group.name) {
            let message = format!("two groups have the name `{}`", group.name);
            problems.error(group.place, &format!("{path}.name"), message, "rename one of the two");
        }
    }
}

fn methods(document: &SyncDocument, problems: &mut ProblemList) {
    let help = "write `watch` or `pull`";
    for (n, method) in document.methods.iter().enumerate() {
        let path = format!("methods[{n}].type");
        if method.kind == MethodKind::Unknown {
            problems.error(method.place, &path, "this method has no type", help);
        } else if document.methods[..n].iter().any(|other| other.kind == method.kind) {
            problems.error(method.place, &path, "this method stands here twice", "take one of the two out");
        }
    }
    if document.enabled().next().is_some() && !document.methods.iter().any(|method| method.enable) {
        let help = "add `{\"type\": \"watch\", \"enable\": true}` to `methods`";
        problems.error(document.methods_place, "methods", "tasks are enabled, and no method is", help);
    }
}

impl Match {
    /// Nothing of it is given. It is no match.
    pub(super) fn is_empty(&self) -> bool {
        self.namespace.is_empty() && self.name.is_empty() && self.groups.is_empty()
    }
}
