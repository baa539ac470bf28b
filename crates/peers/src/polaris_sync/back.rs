//! From a settings file to a document, as far as the form can say it.

use super::names::{
    BETWEEN, DEFAULT, DEFAULT_GROUP, EMPTY, NameForm, destination_namespace, source_namespace, unliteral,
};
use super::read::REGISTRY_KINDS;
use causeway_settings::{
    Cluster, Guard, Kinds, MetadataGroup, NameCase, Overrides, PUBLIC, Pattern, Policy, Rename, Rule, Secret, Settings,
    TakeOver, Task, format_duration,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A document that was made of settings.
#[derive(Clone, Debug)]
pub struct Backward {
    /// The document, as JSON.
    pub text: String,
    /// What it cannot say, each with the name of what it is about.
    pub warnings: Vec<String>,
}

/// Makes a document of registries. Secrets that stand in the settings stand in it; references stay references, which only this program
/// reads.
pub fn from_settings(settings: &Settings, kinds: &Kinds) -> Backward {
    let mut maker = Maker { settings, kinds, warnings: Vec::new(), told: Vec::new() };
    let mut tasks = Vec::new();
    for task in &settings.tasks {
        tasks.extend(maker.task(task));
    }
    for cluster in &settings.clusters {
        let used = settings.tasks.iter().any(|task| task.source == cluster.name || task.destination == cluster.name);
        if !used {
            maker.warn(format!("cluster {}: no task uses it, so that the document has no place for it", cluster.name));
        }
    }
    let methods = maker.methods();
    let document = json!({ "tasks": tasks, "methods": methods, "health_check": {"enable": true} });
    // Texts and numbers only: this cannot fail.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    Backward { text, warnings: maker.warnings }
}

struct Maker<'s> {
    settings: &'s Settings,
    kinds: &'s Kinds,
    warnings: Vec<String>,
    /// The clusters whose keys were told.
    told: Vec<String>,
}

impl Maker<'_> {
    fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    fn task(&mut self, task: &Task) -> Vec<Value> {
        let name = task.name();
        let find = |name: &str| self.settings.clusters.iter().find(|cluster| cluster.name == name).cloned();
        let (Some(source), Some(destination)) = (find(&task.source), find(&task.destination)) else {
            self.warn(format!("task {name}: left out, since its clusters are not in this file"));
            return Vec::new();
        };
        if !task.kind.wants_services() {
            self.warn(format!("task {name}: left out, since it copies configuration"));
            return Vec::new();
        }
        for cluster in [&source, &destination] {
            if !REGISTRY_KINDS[1..].contains(&cluster.kind.as_str()) {
                self.warn(format!("task {name}: left out, since `{}` has no word for {}", cluster.name, cluster.kind));
                return Vec::new();
            }
        }
        let matches = self.matches(task, &name, &source);
        if matches.is_empty() {
            self.warn(format!("task {name}: left out, since what it copies cannot be named"));
            return Vec::new();
        }
        self.options(task, &name, [&source, &destination], &matches);
        let groups: Vec<Value> = task.groups.iter().map(group).collect();
        let there = matches.iter().map(|(namespace, service)| one_match(namespace, service, &groups));
        let mut tasks = vec![self.one_way(&name, &source, &destination, there.collect())];
        if task.is_two_way() {
            let renamed = |namespace: &str| destination_namespace(&source.kind, &destination.kind, namespace);
            let back = matches.iter().map(|(namespace, service)| {
                let namespace = written_namespace(&destination.kind, &renamed(namespace));
                one_match(&namespace, service, &[])
            });
            tasks.push(self.one_way(&format!("{name}-back"), &destination, &source, back.collect()));
        }
        tasks
    }

    fn one_way(&mut self, name: &str, source: &Cluster, destination: &Cluster, matches: Vec<Value>) -> Value {
        let (source, destination) = (self.end(source), self.end(destination));
        json!({ "name": name, "enable": true, "source": source, "destination": destination, "match": matches })
    }

    fn end(&mut self, cluster: &Cluster) -> Value {
        let mut end = Map::new();
        end.insert("name".into(), json!(cluster.name));
        end.insert("type".into(), json!(cluster.kind));
        end.insert("addresses".into(), json!(cluster.addresses));
        if let Some(user) = &cluster.user {
            end.insert("user".into(), json!(user));
        }
        for (key, secret) in [("password", &cluster.password), ("token", &cluster.token)] {
            let text = |secret: &Secret| secret.reference().unwrap_or(secret.expose()).to_owned();
            if let Some(secret) = secret {
                end.insert(key.into(), json!(text(secret)));
            }
        }
        if !self.told.contains(&cluster.name) {
            self.told.push(cluster.name.clone());
            let referred =
                [&cluster.password, &cluster.token].into_iter().flatten().any(|secret| secret.reference().is_some());
            for (key, is) in [
                ("ak, sk", cluster.ak.is_some()),
                ("tls", cluster.tls.is_some()),
                ("contextPath", cluster.context_path.is_some()),
                ("clusterId", cluster.cluster_id.is_some()),
                ("its kind's own keys", cluster.own.as_ref().is_some_and(|own| !own.is_null() && !reads_fields(own))),
            ] {
                if is {
                    self.warn(format!("cluster {}: {key} cannot be said in a document", cluster.name));
                }
            }
            if referred || !cluster.written.is_empty() {
                self.warn(format!(
                    "cluster {}: only this program reads references such as ${{env:NAME}}",
                    cluster.name
                ));
            }
        }
        Value::Object(end)
    }

    /// Namespaces and services as a document writes them.
    fn matches(&mut self, task: &Task, name: &str, source: &Cluster) -> Vec<(String, String)> {
        let has_namespaces = self.kinds.facts(&source.kind).namespaces;
        let listed: Vec<String> = match has_namespaces {
            true => {
                task.namespaces_of(source).iter().map(|namespace| written_namespace(&source.kind, namespace)).collect()
            }
            false => {
                let to = task.map.namespace.as_ref().and_then(|map| match map {
                    Rename::Table(table) => table.get(PUBLIC).cloned(),
                    Rename::Template(_) => None,
                });
                vec![to.filter(|to| to != DEFAULT).unwrap_or_else(|| EMPTY.to_owned())]
            }
        };
        let own = !task.service_match_pattern.is_all();
        let mut rules: Vec<Rule> =
            task.select.include.iter().filter(|rule| rule.speaks_of_services()).cloned().collect();
        if rules.is_empty() {
            let service = own.then(|| task.service_match_pattern.clone());
            rules.push(Rule { service, ..Rule::default() });
        } else if own {
            self.warn(format!("task {name}: serviceMatchPattern beside `select` cannot be said in a document"));
        }
        let mut matches = Vec::new();
        for rule in rules {
            if !rule.metadata.is_empty() {
                self.warn(format!(
                    "task {name}: rules about metadata cannot be said in a document; all instances are copied"
                ));
            }
            let namespaces = match rule.namespace.as_ref().map(|pattern| unliteral(pattern.as_str())) {
                Some(Some(namespace)) => vec![written_namespace(&source.kind, &namespace)],
                None if !listed.is_empty() => listed.clone(),
                _ => {
                    self.warn(format!("task {name}: a rule is left out, since a document names every namespace"));
                    continue;
                }
            };
            let Some(service) = self.service(&rule, name, has_namespaces) else { continue };
            matches.extend(namespaces.into_iter().map(|namespace| (namespace, service.clone())));
        }
        matches
    }

    fn service(&mut self, rule: &Rule, name: &str, has_groups: bool) -> Option<String> {
        let write = |pattern: &Pattern| match unliteral(pattern.as_str()) {
            Some(text) if NameForm::of(&text) == NameForm::Exact => text,
            _ => pattern.as_str().to_owned(),
        };
        let service = rule.service.as_ref().map(write);
        let written = match (rule.group.as_ref().map(write), service) {
            (None, None) => "*".to_owned(),
            (None, Some(service)) if has_groups => format!(".*{BETWEEN}{service}"),
            (None, Some(service)) => service,
            (Some(group), service) if group == DEFAULT_GROUP => service.unwrap_or_else(|| ".*".to_owned()),
            (Some(group), service) => format!("{group}{BETWEEN}{}", service.as_deref().unwrap_or("*")),
        };
        match NameForm::of(&written) {
            NameForm::All | NameForm::Exact => {}
            NameForm::Stars if written.ends_with(&format!("{BETWEEN}*")) => {}
            NameForm::Pattern => {
                self.warn(format!("task {name}: only this program reads the pattern `{written}` in a document"));
            }
            NameForm::Stars => {
                self.warn(format!(
                    "task {name}: the pattern `{written}` would be read otherwise in a document; it is left out"
                ));
                return None;
            }
        }
        Some(written)
    }

    /// Tells which keys of a task a document has no place for.
    fn options(&mut self, task: &Task, name: &str, [source, destination]: [&Cluster; 2], matches: &[(String, String)]) {
        let by_itself: BTreeMap<String, String> = matches
            .iter()
            .map(|(namespace, _)| {
                let from = match self.kinds.facts(&source.kind).namespaces {
                    true => source_namespace(&source.kind, namespace),
                    false => PUBLIC.to_owned(),
                };
                let there = self.kinds.facts(&destination.kind);
                let to = match there.namespaces || there.grouped {
                    true => destination_namespace(&source.kind, &destination.kind, namespace),
                    false => PUBLIC.to_owned(),
                };
                (from, to)
            })
            .collect();
        let renamed = |from: &String| match &task.map.namespace {
            Some(Rename::Table(table)) => table.get(from).unwrap_or(from).clone(),
            _ => from.clone(),
        };
        let other_namespaces = match &task.map.namespace {
            Some(Rename::Template(_)) => true,
            _ => by_itself.iter().any(|(from, to)| renamed(from) != *to),
        };
        let facts = |cluster: &Cluster| self.kinds.facts(&cluster.kind);
        let settle = [facts(source).settle, Duration::from_secs(30)].into_iter().max();
        for (key, is) in [
            ("map.namespace", other_namespaces),
            ("map.group", task.map.group.is_some()),
            ("map.service", task.map.service.is_some()),
            ("map.metadata", task.map.metadata != Default::default()),
            ("select.exclude", !task.select.exclude.is_empty()),
            ("type: All", task.kind.wants_configs()),
            ("autoScanAndAddService: false", !task.auto_scan),
            ("policy", task.policy != Policy::Sync),
            ("overrides", task.overrides != Overrides::Keep),
            ("relay", task.relay),
            ("guard", task.guard != Guard::default()),
            ("nameCase", task.name_case.is_some_and(|case| case != NameCase::Keep)),
            ("settle", Some(task.settle) > settle),
            ("takeOver", task.take_over == Some(TakeOver::NacosSync)),
        ] {
            if is {
                self.warn(format!("task {name}: {key} cannot be said in a document"));
            }
        }
    }

    /// One interval is for all tasks.
    fn methods(&mut self) -> Value {
        let mut intervals: Vec<Option<Duration>> = self.settings.tasks.iter().map(|task| task.pull_interval).collect();
        intervals.sort_unstable();
        intervals.dedup();
        if intervals.len() > 1 {
            self.warn(
                "pullInterval: the tasks have several, and a document has one for all; changes are copied at once"
                    .into(),
            );
        }
        match intervals.as_slice() {
            [Some(interval)] => json!([{"type": "pull", "enable": true, "interval": format_duration(*interval)}]),
            _ => json!([{"type": "watch", "enable": true}, {"type": "pull", "enable": true, "interval": "5m"}]),
        }
    }
}

fn group(group: &MetadataGroup) -> Value {
    let mut made = Map::new();
    made.insert("name".into(), json!(group.name));
    if !group.metadata.is_empty() {
        made.insert("metadata".into(), json!(group.metadata));
    }
    if let Some(upstream) = &group.upstream {
        made.insert("upstreamName".into(), json!(upstream.replace("{{", "{").replace("}}", "}")));
    }
    Value::Object(made)
}

fn one_match(namespace: &str, service: &str, groups: &[Value]) -> Value {
    let mut made = Map::new();
    made.insert("namespace".into(), json!(namespace));
    made.insert("service".into(), json!(service));
    if !groups.is_empty() {
        made.insert("groups".into(), json!(groups));
    }
    Value::Object(made)
}

/// A namespace of ours as a document writes it.
fn written_namespace(kind: &str, namespace: &str) -> String {
    match kind {
        "polaris" => namespace.to_owned(),
        _ if namespace == PUBLIC => EMPTY.to_owned(),
        _ => namespace.to_owned(),
    }
}

/// Whether the keys say no more than what a document means where it has groups.
fn reads_fields(own: &Value) -> bool {
    own["fieldsInMetadata"] == true && own["healthChecks"] == "static"
}
