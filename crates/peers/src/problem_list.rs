//! What is wrong with a document, in the settings file's own form.

use crate::json::{Json, JsonValue};
use causeway_settings::{Place, Problem, Severity, is_secret_key};
use std::collections::BTreeMap;

/// More problems than this are not listed.
const MAX_PROBLEMS: usize = 100;
/// Longer lines are not quoted, in bytes.
const MAX_LINE: usize = 400;

/// Collects what is wrong with one text. The lines that it quotes hold no secret.
#[derive(Clone, Debug)]
pub(crate) struct ProblemList {
    file: String,
    lines: Vec<String>,
    problems: Vec<Problem>,
}

impl ProblemList {
    /// `root`: the document, where it can be read; without it, lines that may hold a secret are not quoted.
    pub fn new(file: &str, text: &str, root: Option<&Json>) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        if let Some(root) = root {
            blot_secrets(root, false, &mut bytes);
        }
        let clean = String::from_utf8_lossy(&bytes);
        let line = |(clean, raw): (&str, &str)| {
            // A secret that is in no value: behind `//`, or in a text that cannot be read.
            let is_hidden = is_suspicious(raw) && (root.is_none() || raw == clean);
            if raw.len() > MAX_LINE || is_hidden { String::new() } else { clean.to_owned() }
        };
        let lines = clean.lines().zip(text.lines()).map(line).collect();
        Self { file: file.to_owned(), lines, problems: Vec::new() }
    }

    /// Something for which the document is refused.
    pub fn error(&mut self, place: Place, field: &str, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, place, field, message.into(), help.into());
    }

    /// Something without effect, or that is read otherwise than it is written.
    pub fn warning(&mut self, place: Place, field: &str, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, place, field, message.into(), help.into());
    }

    fn add(&mut self, severity: Severity, place: Place, field: &str, message: String, help: String) {
        let text = self.lines.get(place.line.saturating_sub(1)).cloned().unwrap_or_default();
        let room = text.chars().count().saturating_sub(place.column.saturating_sub(1));
        let width = place.end.saturating_sub(place.start).min(room).max(1);
        self.problems.push(Problem {
            severity,
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            width,
            field: field.to_owned(),
            message,
            expected: None,
            help: (!help.is_empty()).then_some(help),
            text,
        });
    }

    /// Takes over a problem that was found in what was made of the document, at the place that it was made of.
    pub fn found_at(&mut self, place: Place, field: &str, problem: Problem) {
        let help = match (problem.expected, problem.help) {
            (Some(expected), help) => {
                let more = help.map(|help| format!("; {help}")).unwrap_or_default();
                format!("expected {expected}{more}")
            }
            (None, help) => help.unwrap_or_default(),
        };
        self.add(problem.severity, place, field, problem.message, help);
    }

    /// Whether the document is refused.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// What was found so far, in the order of the text.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        // Errors first where not all can be listed.
        if problems.len() > MAX_PROBLEMS {
            problems.sort_by_key(|problem| problem.severity);
            problems.truncate(MAX_PROBLEMS);
        }
        problems
    }
}

/// Whether a name's value must not be shown or kept in the clear.
pub(crate) fn is_secret_name(name: &str) -> bool {
    // A JDBC address may hold user and password.
    is_secret_key(name) || name == "jdbc_url"
}

/// Whether a text is an address with a user, and so with a password, in it.
pub(crate) fn holds_login(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

fn is_suspicious(line: &str) -> bool {
    let line = line.to_lowercase();
    holds_login(&line) || ["passw", "token", "secret", "jdbc"].iter().any(|word| line.contains(word))
}

fn blot_secrets(json: &Json, hidden: bool, bytes: &mut [u8]) {
    match &json.value {
        JsonValue::List(items) => items.iter().for_each(|item| blot_secrets(item, hidden, bytes)),
        JsonValue::Object(members) => members.iter().for_each(|member| {
            blot_secrets(&member.value, hidden || is_secret_name(&member.name), bytes);
        }),
        JsonValue::Text(text) if hidden || holds_login(text) => bytes[json.place.start..json.place.end].fill(b'*'),
        _ if hidden => bytes[json.place.start..json.place.end].fill(b'*'),
        _ => {}
    }
}

/// Where the parts of what was made of a document came from, by the path of the made thing: `tasks[0].source`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sources(BTreeMap<String, Source>);

/// A place in one of several documents.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    /// The document's number.
    pub document: usize,
    /// The place in it.
    pub place: Place,
    /// The path in it.
    pub field: String,
}

impl Sources {
    /// The first source of a made thing counts.
    pub fn add(&mut self, made: impl Into<String>, source: Source) {
        self.0.entry(made.into()).or_insert(source);
    }

    /// The source of the nearest thing that contains `made`.
    pub fn find(&self, made: &str) -> Option<&Source> {
        let mut path = made;
        loop {
            if let Some(source) = self.0.get(path) {
                return Some(source);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_lines_hold_no_secret() {
        let text = "{\n\"token\": \"s3cret\", \"x\": 1,\n// \"password\": \"s3cret\"\n\"y\": 2}";
        let (root, _) = crate::json::read(text).unwrap();
        for root in [Some(&root), None] {
            let mut list = ProblemList::new("f", text, root);
            for line in 1..=4 {
                list.warning(Place { line, column: 1, start: 0, end: 1 }, "", "m", "");
            }
            let problems = list.into_problems();
            assert_eq!(problems.len(), 4);
            assert!(problems.iter().all(|problem| !problem.text.contains("s3cret")), "{problems:?}");
            assert_eq!(problems[3].text, "\"y\": 2}");
            problems.iter().for_each(|problem| drop(problem.render(false)));
        }
    }

    #[test]
    fn a_secret_that_does_not_count_is_not_quoted() {
        let text = "{\"token\": \"s3cret\", \"token\": \"other\", \"addresses\": [\"http://u:s3cret@h:1\"]}";
        let (root, slips) = crate::json::read(text).unwrap();
        let mut list = ProblemList::new("f", text, Some(&root));
        list.warning(slips[0].place, "", slips[0].message.clone(), "");
        let quoted = &list.into_problems()[0].text;
        assert!(quoted.contains("token") && !quoted.contains("s3cret") && !quoted.contains("other"), "{quoted}");
    }

    #[test]
    fn the_nearest_source_counts() {
        let mut sources = Sources::default();
        let at = |line| Source { document: 0, place: Place { line, ..Place::default() }, field: String::new() };
        sources.add("tasks[0]", at(3));
        sources.add("tasks[0].source", at(4));
        sources.add("tasks[0].source", at(5));
        let line = |made| sources.find(made).map(|source| source.place.line);
        assert_eq!((line("tasks[0].source"), line("tasks[0].select.include[2]")), (Some(4), Some(3)));
        assert_eq!((line("tasks"), line("clusters[0]")), (None, None));
    }
}
