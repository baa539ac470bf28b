//! Which services and instances take part.

use crate::model::{Instance, ServiceKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

/// Why a filter says neither yes nor no: its pattern needs too many steps on what it is asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Undecided {
    /// The pattern as it was written.
    pub pattern: Arc<str>,
    /// What it was asked about, for instance `the service name orders`. Never a value of metadata, which may be secret.
    pub subject: String,
}

impl Undecided {
    /// Without the pattern and what it was asked about: one text, to count by.
    pub const KIND: &'static str = "a pattern of the task's filters needs too many steps on it to decide";
}

impl Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pattern, subject } = self;
        write!(
            f,
            "the pattern {pattern} needs too many steps on {subject}: it is not decided whether the filter takes it"
        )
    }
}

/// A filter's answer about one record.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// It takes part.
    Take(Instance),
    /// It takes no part.
    Leave,
    /// A pattern gave up. The record is not copied, and what stands of it is not removed.
    Undecided(Instance, Undecided),
}

impl Choice {
    /// The record that may take part.
    pub fn possible(self) -> Option<Instance> {
        match self {
            Self::Take(record) | Self::Undecided(record, _) => Some(record),
            Self::Leave => None,
        }
    }
}

/// Returns `None` where it gave up on the text.
type Matches = Arc<dyn Fn(&str) -> Option<bool> + Send + Sync>;

/// Says whether a whole text matches; the settings compile it from a regular expression.
#[derive(Clone)]
pub struct Matcher {
    pattern: Arc<str>,
    matches: Matches,
}

impl Matcher {
    /// Matches where `matches` says so; `None`: it gave up on the text. `pattern`: as the user wrote it; matchers of one
    /// pattern match alike.
    pub fn new(pattern: &str, matches: impl Fn(&str) -> Option<bool> + Send + Sync + 'static) -> Self {
        Self { pattern: pattern.into(), matches: Arc::new(matches) }
    }

    /// Whether the whole of `text` matches. `subject` names the text in the error.
    pub fn matches(&self, text: &str, subject: impl FnOnce() -> String) -> Result<bool, Undecided> {
        (self.matches)(text).ok_or_else(|| Undecided { pattern: self.pattern.clone(), subject: subject() })
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Matcher").field(&self.pattern).finish()
    }
}

/// Whether all of these hold: one that does not settles it, whatever is undecided.
pub fn all(answers: impl IntoIterator<Item = Result<bool, Undecided>>) -> Result<bool, Undecided> {
    let mut open = None;
    for answer in answers {
        match answer {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(undecided) => drop(open.get_or_insert(undecided)),
        }
    }
    open.map_or(Ok(true), Err)
}

/// Whether any of these holds: one that does settles it, whatever is undecided.
pub fn any(answers: impl IntoIterator<Item = Result<bool, Undecided>>) -> Result<bool, Undecided> {
    not(all(answers.into_iter().map(not)))
}

/// The opposite; what is undecided stays so.
pub fn not(answer: Result<bool, Undecided>) -> Result<bool, Undecided> {
    answer.map(|yes| !yes)
}

/// Matches when everything that it names matches.
#[derive(Clone, Debug, Default)]
pub struct SelectRule {
    /// The namespace's id.
    pub namespace: Option<Matcher>,
    /// The group.
    pub group: Option<Matcher>,
    /// The service's name.
    pub service: Option<Matcher>,
    /// Values of an instance's metadata; a missing key does not match.
    pub metadata: BTreeMap<String, Matcher>,
}

impl SelectRule {
    fn matches_scope(&self, scope: &ServiceKey) -> Result<bool, Undecided> {
        let places = [
            ("namespace", &self.namespace, &scope.namespace),
            ("group", &self.group, &scope.group),
            ("service name", &self.service, &scope.name),
        ];
        all(places
            .into_iter()
            .filter_map(|(word, matcher, text)| Some(matcher.as_ref()?.matches(text, || format!("the {word} {text}")))))
    }

    fn matches(&self, scope: &ServiceKey, instance: &Instance) -> Result<bool, Undecided> {
        let has = |(key, matcher): (&String, &Matcher)| match instance.metadata.get(key) {
            Some(value) => matcher.matches(value, || format!("the value of its metadata key {key}")),
            None => Ok(false),
        };
        all(std::iter::once(self.matches_scope(scope)).chain(self.metadata.iter().map(has)))
    }
}

/// A task's filters, on the source's names, before any renaming.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Over the service's whole name; `None`: every service.
    pub pattern: Option<Matcher>,
    /// One of these must match; none given: everything.
    pub include: Vec<SelectRule>,
    /// None of these may match.
    pub exclude: Vec<SelectRule>,
}

impl Select {
    /// Whether any instance of the service can take part; also where that is not decided.
    pub fn takes_scope(&self, scope: &ServiceKey) -> bool {
        let out = self.exclude.iter().filter(|rule| rule.metadata.is_empty()).map(|rule| rule.matches_scope(scope));
        let included = self.include.iter().map(|rule| rule.matches_scope(scope));
        all([self.names(scope), self.included(included), not(any(out))]).unwrap_or(true)
    }

    /// Whether this instance takes part.
    pub fn takes(&self, scope: &ServiceKey, instance: &Instance) -> Result<bool, Undecided> {
        let included = self.include.iter().map(|rule| rule.matches(scope, instance));
        let out = self.exclude.iter().map(|rule| rule.matches(scope, instance));
        all([self.names(scope), self.included(included), not(any(out))])
    }

    fn names(&self, scope: &ServiceKey) -> Result<bool, Undecided> {
        let name = &scope.name;
        self.pattern.as_ref().map_or(Ok(true), |pattern| pattern.matches(name, || format!("the service name {name}")))
    }

    fn included(&self, rules: impl Iterator<Item = Result<bool, Undecided>>) -> Result<bool, Undecided> {
        if self.include.is_empty() { Ok(true) } else { any(rules) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &'static str) -> Option<Matcher> {
        Some(Matcher::new(word, move |text| Some(text == word)))
    }

    #[test]
    fn include_and_exclude() {
        let scope = ServiceKey::new("public", "g", "orders");
        let mut gray = Instance::new("127.0.0.1", 1);
        gray.metadata.insert("lane", "gray");
        let plain = Instance::new("127.0.0.1", 2);
        let lane = BTreeMap::from([("lane".to_owned(), Matcher::new("gray", |text| Some(text == "gray")))]);

        let all = Select::default();
        assert!(all.takes_scope(&scope) && all.takes(&scope, &plain) == Ok(true));
        let none = Select { pattern: word("order"), ..Select::default() };
        assert!(!none.takes_scope(&scope));
        let only = Select {
            include: vec![SelectRule { metadata: lane.clone(), ..SelectRule::default() }],
            ..Select::default()
        };
        assert!(
            only.takes_scope(&scope)
                && only.takes(&scope, &gray) == Ok(true)
                && only.takes(&scope, &plain) == Ok(false)
        );
        let but = Select { exclude: vec![SelectRule { metadata: lane, ..SelectRule::default() }], ..Select::default() };
        assert!(
            but.takes_scope(&scope) && but.takes(&scope, &gray) == Ok(false) && but.takes(&scope, &plain) == Ok(true)
        );
        let group =
            Select { exclude: vec![SelectRule { group: word("g"), ..SelectRule::default() }], ..Select::default() };
        assert!(!group.takes_scope(&scope));
    }

    #[test]
    fn what_is_not_decided_is_neither_in_nor_out() {
        let scope = ServiceKey::new("public", "g", "orders");
        let instance = Instance::new("127.0.0.1", 1);
        let gives_up = || Some(Matcher::new("(a+)+", |_| None));
        let (unknown, yes, no) = (
            || SelectRule { service: gives_up(), ..SelectRule::default() },
            || SelectRule { service: word("orders"), ..SelectRule::default() },
            || SelectRule { service: word("pay"), ..SelectRule::default() },
        );
        let select = |include, exclude| Select { include, exclude, ..Select::default() };
        let both = || SelectRule { group: word("g"), ..unknown() };
        let neither = || SelectRule { group: word("h"), ..unknown() };
        for (select, expected) in [
            (Select { pattern: gives_up(), ..Select::default() }, None),
            (select(vec![], vec![unknown()]), None),
            (select(vec![], vec![no(), unknown()]), None),
            (select(vec![], vec![unknown(), yes()]), Some(false)),
            (select(vec![unknown()], vec![]), None),
            (select(vec![unknown(), yes()], vec![]), Some(true)),
            (select(vec![unknown(), no()], vec![]), None),
            (select(vec![unknown()], vec![yes()]), Some(false)),
            (select(vec![], vec![both()]), None),
            (select(vec![], vec![neither()]), Some(true)),
        ] {
            let answer = select.takes(&scope, &instance);
            assert_eq!(answer.as_ref().ok().copied(), expected, "{select:?}: {answer:?}");
            assert_eq!(select.takes_scope(&scope), expected != Some(false), "{select:?}");
            if let Err(undecided) = answer {
                let text = undecided.to_string();
                assert!(text.contains("(a+)+") && text.contains("the service name orders"), "{text}");
            }
        }
        // Metadata's values may be secret.
        let mut tagged = instance.clone();
        tagged.metadata.insert("token", "hunter2");
        let metadata = BTreeMap::from([("token".to_owned(), Matcher::new("(a+)+", |_| None))]);
        let select = select(vec![], vec![SelectRule { metadata, ..SelectRule::default() }]);
        let text = select.takes(&scope, &tagged).unwrap_err().to_string();
        assert!(text.contains("token") && !text.contains("hunter2"), "{text}");
        assert_eq!(select.takes(&scope, &instance), Ok(true));
    }
}
