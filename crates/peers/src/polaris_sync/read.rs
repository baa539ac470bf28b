//! From the text of a document to what it says.

use super::members::{Members, ValueReader, beginning};
use super::model::{
    DocumentSubject, EndPlaces, Match, MatchGroup, Method, MethodKind, PROBE, PULL, ProbeRules, REPORT, ReportTarget,
    Reporting, SyncDocument, SyncEnd, SyncTask, TargetKind,
};
use crate::json::{self, Json, JsonValue};
use crate::problem_list::ProblemList;
use causeway_settings::Kinds;

const TOP: [&str; 4] = ["tasks", "methods", "health_check", "report"];
const TASK: [&str; 5] = ["name", "enable", "source", "destination", "match"];
const REGISTRY_END: [&str; 7] = ["name", "type", "addresses", "token", "user", "password", "product_name"];
const CENTRE_END: [&str; 5] = ["name", "type", "server", "db", "product_name"];
const SERVER: [&str; 4] = ["addresses", "token", "user", "password"];
const DATABASE: [&str; 3] = ["jdbc_url", "username", "password"];
const REGISTRY_MATCH: [&str; 3] = ["namespace", "service", "groups"];
/// `product_name` is what polaris-sync itself writes for `config_group`.
const CENTRE_MATCH: [&str; 4] = ["namespace", "config_group", "product_name", "groups"];
const GROUP: [&str; 3] = ["name", "metadata", "upstreamName"];
const METHOD: [&str; 3] = ["type", "enable", "interval"];
const PROBES: [&str; 3] = ["enable", "interval", "timeout"];
const REPORT_NAMES: [&str; 2] = ["interval", "targets"];
const TARGET: [&str; 3] = ["enable", "type", "options"];

/// The words for ends of registry tasks, by number.
pub(super) const REGISTRY_KINDS: [&str; 6] = ["unknown", "nacos", "consul", "polaris", "kong", "kubernetes"];
/// The words for ends of configuration tasks, by number.
pub(super) const CENTRE_KINDS: [&str; 4] = ["unknown", "nacos", "polaris", "apollo"];

/// Reads a whole document. `None`: it cannot be read at all. What is wrong goes to the list, which quotes the text without its
/// secrets.
pub(super) fn document(file: &str, text: &str, kinds: &Kinds) -> (Option<SyncDocument>, ProblemList) {
    let (root, slips) = match json::read(text) {
        Ok(read) => read,
        Err(error) => {
            let mut problems = ProblemList::new(file, text, None);
            problems.error(error.place, "", error.message, error.help);
            return (None, problems);
        }
    };
    let mut problems = ProblemList::new(file, text, Some(&root));
    for slip in slips {
        problems.warning(slip.place, "", slip.message, "");
    }
    let values = ValueReader { problems: &mut problems };
    let document = DocumentReader { values, kinds, subject: subject(&root) }.read(&root);
    (document, problems)
}

/// What a document is about is seen in its tasks; the name of the file says nothing.
fn subject(root: &Json) -> DocumentSubject {
    let list = |json: &Json, name: &str| match json.get(name).map(|value| &value.value) {
        Some(JsonValue::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    let (mut registry, mut centre) = (0, 0);
    for task in list(root, "tasks") {
        for end in ["source", "destination"].into_iter().filter_map(|name| task.get(name)) {
            registry +=
                usize::from(["addresses", "token", "user", "password"].iter().any(|name| end.get(name).is_some()));
            centre += usize::from(["server", "db"].iter().any(|name| end.get(name).is_some()));
        }
        for one in list(&task, "match") {
            registry += usize::from(one.get("service").is_some());
            centre += usize::from(["config_group", "product_name"].iter().any(|name| one.get(name).is_some()));
        }
    }
    if centre > registry { DocumentSubject::Configuration } else { DocumentSubject::Registry }
}

struct DocumentReader<'p> {
    values: ValueReader<'p>,
    kinds: &'p Kinds,
    subject: DocumentSubject,
}

impl DocumentReader<'_> {
    fn read(mut self, root: &Json) -> Option<SyncDocument> {
        let top = self.values.members(root, "", &TOP)?;
        let tasks = self.values.list(&top, "tasks");
        let tasks = tasks.into_iter().filter_map(|(json, path)| self.task(json, &path)).collect();
        let methods = self.values.list(&top, "methods");
        let methods = methods.into_iter().filter_map(|(json, path)| self.method(json, &path)).collect();
        let probes = self.values.block(&top, "health_check", &PROBES);
        let health_check = probes.map(|block| self.probes(&block)).unwrap_or_default();
        let report = self.values.block(&top, "report", &REPORT_NAMES);
        let report = report.map(|block| self.report(&block)).unwrap_or_default();
        let methods_place = beginning(top.place("methods"));
        Some(SyncDocument { subject: self.subject, tasks, methods, health_check, report, methods_place })
    }

    fn task(&mut self, json: &Json, path: &str) -> Option<SyncTask> {
        let own = self.values.members(json, path, &TASK)?;
        let matches = self.values.list(&own, "match");
        Some(SyncTask {
            name: self.values.text(&own, "name"),
            enable: self.values.flag(&own, "enable"),
            source: self.end(&own, "source"),
            destination: self.end(&own, "destination"),
            matches: matches.into_iter().filter_map(|(json, path)| self.one_match(json, &path)).collect(),
            place: beginning(json.place),
            name_place: own.place("name"),
        })
    }

    fn end(&mut self, task: &Members<'_>, name: &str) -> SyncEnd {
        let place = beginning(task.place(name));
        let missing = EndPlaces { whole: place, name: place, kind: place, addresses: place, login: place };
        let missing = SyncEnd { places: missing, ..SyncEnd::default() };
        let (names, words) = match self.subject {
            DocumentSubject::Registry => (&REGISTRY_END[..], &REGISTRY_KINDS[..]),
            DocumentSubject::Configuration => (&CENTRE_END[..], &CENTRE_KINDS[..]),
        };
        let Some(own) = self.values.block(task, name, names) else { return missing };
        let kind = self.kind(&own, words);
        let server = match self.subject {
            DocumentSubject::Registry => Some(Members { path: own.path.clone(), json: own.json }),
            DocumentSubject::Configuration => self.values.block(&own, "server", &SERVER),
        };
        if let Some(database) = self.values.block(&own, "db", &DATABASE) {
            DATABASE.iter().for_each(|name| drop(self.values.text(&database, name)));
        }
        let mut end = SyncEnd { name: self.values.text(&own, "name"), kind, ..missing };
        end.product_name = self.values.text(&own, "product_name");
        end.places = EndPlaces { name: own.place("name"), kind: own.place("type"), ..end.places };
        if let Some(server) = server {
            end.addresses = self.values.texts(&server, "addresses");
            end.token = self.values.text(&server, "token");
            end.user = self.values.text(&server, "user");
            end.password = self.values.text(&server, "password");
            end.places.addresses = beginning(server.place("addresses"));
            let login = if end.token.is_empty() { "user" } else { "token" };
            end.places.login = server.place(login);
        }
        end
    }

    /// The word for what an end is. Beside the form's own words, those of the settings file are taken, and told.
    fn kind(&mut self, end: &Members<'_>, words: &[&str]) -> String {
        let given = self.values.text(end, "type");
        let other = self.subject == DocumentSubject::Registry && !words.contains(&given.as_str());
        if other && self.kinds.get(&given).is_some() {
            let message = format!("`{given}` is a kind that polaris-sync itself does not know");
            self.values.problems.warning(end.place("type"), &end.at("type"), message, "");
            return given;
        }
        let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
        match self.values.word(end, "type", &words) {
            "unknown" => String::new(),
            kind => kind.to_owned(),
        }
    }

    fn one_match(&mut self, json: &Json, path: &str) -> Option<Match> {
        let (names, name) = match self.subject {
            DocumentSubject::Registry => (&REGISTRY_MATCH[..], "service"),
            DocumentSubject::Configuration if json.get("config_group").is_none() => (&CENTRE_MATCH[..], "product_name"),
            DocumentSubject::Configuration => (&CENTRE_MATCH[..], "config_group"),
        };
        let own = self.values.members(json, path, names)?;
        let groups = self.values.list(&own, "groups");
        Some(Match {
            namespace: self.values.text(&own, "namespace"),
            name: self.values.text(&own, name),
            groups: groups.into_iter().filter_map(|(json, path)| self.group(json, &path)).collect(),
            places: [beginning(json.place), own.place("namespace"), own.place(name)],
        })
    }

    fn group(&mut self, json: &Json, path: &str) -> Option<MatchGroup> {
        let own = self.values.members(json, path, &GROUP)?;
        Some(MatchGroup {
            name: self.values.text(&own, "name"),
            metadata: self.values.table(&own, "metadata"),
            upstream: self.values.text(&own, "upstreamName"),
            place: beginning(json.place),
        })
    }

    fn method(&mut self, json: &Json, path: &str) -> Option<Method> {
        let own = self.values.members(json, path, &METHOD)?;
        let words = [("unknown", MethodKind::Unknown), ("watch", MethodKind::Watch), ("pull", MethodKind::Pull)];
        Some(Method {
            kind: self.values.word(&own, "type", &words),
            enable: self.values.flag(&own, "enable"),
            interval: self.values.duration(&own, "interval", PULL),
            place: beginning(json.place),
        })
    }

    fn probes(&mut self, own: &Members<'_>) -> ProbeRules {
        // It never had an effect; what is no duration is told all the same.
        self.values.duration(own, "timeout", PROBE);
        ProbeRules { enable: self.values.flag(own, "enable"), interval: self.values.duration(own, "interval", PROBE) }
    }

    fn report(&mut self, own: &Members<'_>) -> Reporting {
        let targets = self.values.list(own, "targets");
        Reporting {
            interval: self.values.duration(own, "interval", REPORT),
            targets: targets.into_iter().filter_map(|(json, path)| self.target(json, &path)).collect(),
        }
    }

    fn target(&mut self, json: &Json, path: &str) -> Option<ReportTarget> {
        let own = self.values.members(json, path, &TARGET)?;
        let words = [
            ("unknown", TargetKind::Unknown),
            ("file", TargetKind::File),
            ("prometheus", TargetKind::Prometheus),
            ("balad", TargetKind::Balad),
        ];
        Some(ReportTarget {
            kind: self.values.word(&own, "type", &words),
            enable: self.values.flag(&own, "enable"),
            options: self.values.table(&own, "options"),
            place: beginning(json.place),
        })
    }
}
