//! From documents to clusters and tasks of the settings file.
//!
//! What is made is written in the settings file's own form and read by its reader, so that every kind checks its part. What that
//! finds is told at the place in the document that it was made of.

use super::Loaded;
use super::clusters::MadeCluster;
use super::model::{DocumentSubject, Match, ProbeRules, Reporting, SyncTask};
use super::names::{NameForm, destination_namespace, source_namespace};
use super::report::ReportRow;
use super::values::{group, rule};
use crate::problem_list::{ProblemList, Source, Sources};
use causeway_settings::{
    Env, Kinds, LONGEST_NAME, PUBLIC, Place, Problem, Problems, Settings, escape, format_duration, parse,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What documents say, in the settings file's terms.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    /// The clusters and tasks. Its warnings name its own paths, not those of the documents.
    pub settings: Settings,
    /// Everything that has no effect or is read otherwise than it is written, at its place in a document.
    pub warnings: Vec<Problem>,
    /// The enabled tasks that are not among `settings`, with the reason.
    pub unsupported: Vec<UnsupportedTask>,
    /// What reports name: every end of an enabled task once for each product name.
    pub rows: Vec<ReportRow>,
    /// How clusters are probed.
    pub probes: ProbeRules,
    /// What is reported where.
    pub report: Reporting,
    /// Where clusters and tasks stand first, by name: `file:line`.
    pub cluster_places: BTreeMap<String, String>,
    /// The same of tasks.
    pub task_places: BTreeMap<String, String>,
    /// By a task's name, the number of the document that it stands in.
    pub task_documents: BTreeMap<String, usize>,
}

/// A task of a document that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedTask {
    /// Its name.
    pub name: String,
    /// The name of its source.
    pub source: String,
    /// The name of its destination.
    pub destination: String,
    /// Whether it copies configuration.
    pub configuration: bool,
    /// The document that it stands in.
    pub file: String,
    /// Why it cannot be done.
    pub reason: String,
}

/// Makes clusters and tasks of documents. A cluster that several name is one, with the addresses of all. The error holds everything that
/// is wrong in them, warnings too.
pub fn to_settings(documents: &[Loaded], env: &dyn Env, kinds: &Kinds) -> Result<Converted, Problems> {
    let mut builder = Builder {
        documents,
        kinds,
        lists: documents.iter().map(|loaded| loaded.problems.clone()).collect(),
        clusters: Vec::new(),
        tasks: Vec::new(),
        sources: Sources::default(),
        converted: Converted::default(),
    };
    for (n, loaded) in documents.iter().enumerate() {
        builder.document(n, loaded);
    }
    builder.finish(env)
}

pub(super) struct Builder<'d> {
    documents: &'d [Loaded],
    kinds: &'d Kinds,
    pub lists: Vec<ProblemList>,
    pub clusters: Vec<MadeCluster>,
    tasks: Vec<Value>,
    sources: Sources,
    pub converted: Converted,
}

/// What tells the tasks of ours apart that one task of a document becomes.
#[derive(PartialEq)]
struct Share {
    groups: Vec<Value>,
    /// The namespace, where the source has none and so cannot tell its services apart by it.
    namespace: Option<String>,
}

impl Builder<'_> {
    fn document(&mut self, n: usize, loaded: &Loaded) {
        let document = &loaded.document;
        let pull = document.pull_only();
        for (t, task) in document.enabled() {
            let path = format!("tasks[{t}]");
            if let Some(reason) = self.unsupported(document.subject, task) {
                self.leave_out(n, task, &path, document.subject, reason);
                continue;
            }
            for end in [&task.source, &task.destination] {
                self.cluster(n, end);
            }
            self.task(n, task, &path, pull);
        }
        let report = &mut self.converted.report;
        if report.targets.is_empty() {
            *report = document.report.clone();
        }
        if document.health_check.enable && !self.converted.probes.enable {
            self.converted.probes = document.health_check;
        }
    }

    fn unsupported(&self, subject: DocumentSubject, task: &SyncTask) -> Option<String> {
        if subject == DocumentSubject::Configuration {
            return Some("copying configuration between configuration centres is not supported yet".into());
        }
        let usable = |kind: &&str| self.kinds.get(kind).is_some();
        if let Some(kind) = [task.source.kind.as_str(), &task.destination.kind].into_iter().find(|kind| !usable(kind)) {
            return Some(format!("`{kind}` is not supported yet"));
        }
        task.matches.iter().all(Match::is_empty).then(|| "it copies nothing: its `match` is empty".to_owned())
    }

    fn leave_out(&mut self, n: usize, task: &SyncTask, path: &str, subject: DocumentSubject, reason: String) {
        let name = task.name.clone();
        self.lists[n].warning(task.name_place, path, format!("the task `{name}` does nothing: {reason}"), "");
        self.converted.unsupported.push(UnsupportedTask {
            name,
            source: task.source.name.clone(),
            destination: task.destination.name.clone(),
            configuration: subject == DocumentSubject::Configuration,
            file: self.documents[n].file.clone(),
            reason,
        });
    }

    pub fn source(&self, document: usize, place: Place, field: impl Into<String>) -> Source {
        Source { document, place, field: field.into() }
    }

    pub fn shown(&self, source: &Source) -> String {
        format!("{}:{}", self.documents[source.document].file, source.place.line)
    }

    /// Makes one task, or several where its matches have other groups.
    fn task(&mut self, n: usize, task: &SyncTask, path: &str, pull: Option<Duration>) {
        let facts = [&task.source, &task.destination].map(|end| self.kinds.facts(&end.kind));
        let mut shares: Vec<(Share, Vec<(usize, &Match)>)> = Vec::new();
        for (m, one) in task.matches.iter().enumerate().filter(|(_, one)| !one.is_empty()) {
            let share = Share {
                groups: self.groups(n, task, one, &format!("{path}.match[{m}]")),
                namespace: (!facts[0].namespaces).then(|| one.namespace.clone()),
            };
            match shares.iter_mut().find(|(other, _)| *other == share) {
                Some((_, matches)) => matches.push((m, one)),
                None => shares.push((share, vec![(m, one)])),
            }
        }
        for (s, (share, matches)) in shares.into_iter().enumerate() {
            let first = matches[0].1;
            let name = match (s, format!("{}/{}/{}", task.name, first.namespace, first.name)) {
                (0, _) => task.name.clone(),
                (_, long) if long.chars().count() > LONGEST_NAME => format!("{}/{}", task.name, s + 1),
                (_, name) => name,
            };
            let mut made = Map::new();
            made.insert("name".into(), json!(escape(&name)));
            made.insert("source".into(), json!(escape(&task.source.name)));
            made.insert("destination".into(), json!(escape(&task.destination.name)));
            made.insert("type".into(), json!("Service"));
            made.insert("takeOver".into(), json!("polaris-sync"));
            let named = facts[0].namespaces;
            let include: Vec<Value> =
                matches.iter().map(|(_, one)| rule(one, named.then_some(&task.source.kind))).collect();
            // A rule that speaks of nothing is every service.
            if include.iter().all(|rule| rule.as_object().is_some_and(|rule| !rule.is_empty())) {
                made.insert("select".into(), json!({ "include": include }));
            }
            let namespaces = self.namespaces(n, task, &matches, facts.map(|facts| facts.namespaces));
            if !namespaces.is_empty() {
                made.insert("map".into(), json!({ "namespace": namespaces }));
            }
            if !share.groups.is_empty() {
                made.insert("groups".into(), json!(share.groups));
            }
            if let Some(pull) = pull {
                made.insert("pullInterval".into(), json!(format_duration(pull)));
            }
            self.add_task(n, task, path, name, Value::Object(made), &matches);
        }
    }

    fn add_task(
        &mut self,
        n: usize,
        task: &SyncTask,
        path: &str,
        name: String,
        made: Value,
        matches: &[(usize, &Match)],
    ) {
        if let Some(other) = self.tasks.iter().find(|other| other["name"] == made["name"]) {
            // The same task in two documents, such as when both providers are given one place.
            if *other != made {
                let first = self.converted.task_places.get(&name).cloned().unwrap_or_default();
                let message = format!("two tasks have the name `{name}`, and say different things");
                self.lists[n].error(
                    task.name_place,
                    path,
                    message,
                    format!("rename one of the two; the first is at {first}"),
                );
            }
            return;
        }
        let at = self.source(n, task.name_place, path);
        self.converted.task_documents.insert(name.clone(), n);
        self.converted.task_places.insert(name, self.shown(&at));
        let own = format!("tasks[{}]", self.tasks.len());
        let ends = [("source", &task.source), ("destination", &task.destination)];
        for (key, end) in ends {
            self.sources.add(format!("{own}.{key}"), self.source(n, end.places.name, format!("{path}.{key}.name")));
        }
        for (i, (m, one)) in matches.iter().enumerate() {
            let made = format!("{own}.select.include[{i}]");
            self.sources.add(made, self.source(n, one.places[0], format!("{path}.match[{m}]")));
            for (key, place) in [("namespace", one.places[1]), ("service", one.places[2])] {
                let made = format!("{own}.select.include[{i}].{key}");
                self.sources.add(made, self.source(n, place, format!("{path}.match[{m}].{key}")));
            }
            if !matches!(NameForm::of(&one.name), NameForm::Exact | NameForm::All) {
                let message = format!("`{}` is read as a pattern; polaris-sync itself takes names only", one.name);
                self.lists[n].warning(one.places[2], &format!("{path}.match[{m}].service"), message, "");
            }
        }
        self.sources.add(own, at);
        self.tasks.push(made);
    }

    /// The groups of a match, which only gateways have.
    fn groups(&mut self, n: usize, task: &SyncTask, one: &Match, path: &str) -> Vec<Value> {
        if one.groups.is_empty() {
            return Vec::new();
        }
        if self.kinds.facts(&task.destination.kind).grouped {
            let source = self.clusters.iter_mut().find(|cluster| cluster.name == task.source.name);
            source.into_iter().for_each(|cluster| cluster.feeds_groups = true);
            return one.groups.iter().map(group).collect();
        }
        let help = "a registry gets every instance once; take the groups out";
        let message = "groups have no effect where the destination is a registry";
        self.lists[n].warning(one.groups[0].place, &format!("{path}.groups"), message, help);
        Vec::new()
    }

    /// The namespaces that change their names.
    fn namespaces(
        &mut self,
        n: usize,
        task: &SyncTask,
        matches: &[(usize, &Match)],
        [at_source, at_destination]: [bool; 2],
    ) -> BTreeMap<String, String> {
        let (source, destination) = (task.source.kind.as_str(), task.destination.kind.as_str());
        let grouped = self.kinds.facts(destination).grouped;
        let mut table = BTreeMap::new();
        for (_, one) in matches {
            let from = if at_source { source_namespace(source, &one.namespace) } else { PUBLIC.to_owned() };
            let to = match destination {
                // The names of groups say which namespace they come from.
                _ if grouped && at_source => from.clone(),
                _ if grouped || at_destination => destination_namespace(source, destination, &one.namespace),
                _ => PUBLIC.to_owned(),
            };
            table.insert(from, to);
        }
        let targets: BTreeSet<&String> = table.values().collect();
        if targets.len() < table.len() {
            let message = format!(
                "several namespaces of `{}` would fall into one of `{}`",
                task.source.name, task.destination.name
            );
            self.lists[n].error(
                matches[0].1.places[1],
                "",
                message,
                "make one task for each namespace, with destinations of their own",
            );
        }
        table.retain(|from, to| from != to);
        table.into_iter().map(|(from, to)| (escape(&from), escape(&to))).collect()
    }

    fn finish(mut self, env: &dyn Env) -> Result<Converted, Problems> {
        let mut clusters = Vec::new();
        for (i, cluster) in std::mem::take(&mut self.clusters).into_iter().enumerate() {
            let own = format!("clusters[{i}]");
            for (a, (_, source)) in cluster.addresses.iter().enumerate() {
                self.sources.add(format!("{own}.connectKeyList[{a}]"), source.clone());
            }
            for key in ["userName", "password", "token"] {
                self.sources.add(format!("{own}.{key}"), cluster.login.clone());
            }
            self.sources.add(own, cluster.at.clone());
            clusters.push(self.cluster_value(cluster));
        }
        let text = json!({ "clusters": clusters, "tasks": self.tasks }).to_string();
        let read = match self.tasks.is_empty() && clusters.is_empty() {
            true => Ok(Settings::default()),
            false => parse("", &text, env, self.kinds),
        };
        let (settings, found) = match read {
            Ok(settings) => (settings.clone(), settings.warnings),
            Err(problems) => (Settings::default(), problems.0),
        };
        for problem in found {
            let source = self.sources.find(&problem.field).cloned();
            let source = source.unwrap_or_else(|| self.source(0, Place { line: 1, column: 1, start: 0, end: 0 }, ""));
            if let Some(list) = self.lists.get_mut(source.document) {
                list.found_at(source.place, &source.field, problem);
            }
        }
        let failed = self.lists.iter().any(ProblemList::has_errors);
        let problems: Vec<Problem> = self.lists.into_iter().flat_map(ProblemList::into_problems).collect();
        if failed {
            return Err(Problems(problems));
        }
        Ok(Converted { settings, warnings: problems, ..self.converted })
    }
}
