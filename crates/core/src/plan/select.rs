//! Which services and instances take part.

use crate::model::{Instance, ServiceKey};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Says whether a whole text matches; the settings compile it from a regular expression.
#[derive(Clone)]
pub struct Matcher(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Matcher {
    /// Matches where `matches` says so.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(matches))
    }
    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        (self.0)(text)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Matcher")
    }
}

/// Matches when everything that it names matches.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// The namespace's id.
    pub namespace: Option<Matcher>,
    /// The group.
    pub group: Option<Matcher>,
    /// The service's name.
    pub service: Option<Matcher>,
    /// Values of an instance's metadata; a missing key does not match.
    pub metadata: BTreeMap<String, Matcher>,
}

impl Rule {
    fn matches_scope(&self, scope: &ServiceKey) -> bool {
        let fits = |matcher: &Option<Matcher>, text: &str| matcher.as_ref().is_none_or(|m| m.matches(text));
        fits(&self.namespace, &scope.namespace) && fits(&self.group, &scope.group) && fits(&self.service, &scope.name)
    }

    fn matches(&self, scope: &ServiceKey, instance: &Instance) -> bool {
        let has = |(key, matcher): (&String, &Matcher)| instance.metadata.get(key).is_some_and(|v| matcher.matches(v));
        self.matches_scope(scope) && self.metadata.iter().all(has)
    }
}

/// A task's filters, on the source's names, before any renaming.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Over the service's whole name; `None`: every service.
    pub pattern: Option<Matcher>,
    /// One of these must match; none given: everything.
    pub include: Vec<Rule>,
    /// None of these may match.
    pub exclude: Vec<Rule>,
}

impl Select {
    /// Whether any instance of the service can take part.
    pub fn takes_scope(&self, scope: &ServiceKey) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&scope.name))
            && (self.include.is_empty() || self.include.iter().any(|rule| rule.matches_scope(scope)))
            && !self.exclude.iter().any(|rule| rule.metadata.is_empty() && rule.matches_scope(scope))
    }

    /// Whether this instance of a service that takes part does so too.
    pub fn takes(&self, scope: &ServiceKey, instance: &Instance) -> bool {
        (self.include.is_empty() || self.include.iter().any(|rule| rule.matches(scope, instance)))
            && !self.exclude.iter().any(|rule| rule.matches(scope, instance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &'static str) -> Option<Matcher> {
        Some(Matcher::new(move |text| text == word))
    }

    #[test]
    fn include_and_exclude() {
        let scope = ServiceKey::new("public", "g", "orders");
        let mut gray = Instance::new("127.0.0.1", 1);
        gray.metadata.insert("lane".into(), "gray".into());
        let plain = Instance::new("127.0.0.1", 2);
        let lane = BTreeMap::from([("lane".to_owned(), Matcher::new(|text| text == "gray"))]);

        let all = Select::default();
        assert!(all.takes_scope(&scope) && all.takes(&scope, &plain));
        let none = Select { pattern: word("order"), ..Select::default() };
        assert!(!none.takes_scope(&scope));
        let only = Select { include: vec![Rule { metadata: lane.clone(), ..Rule::default() }], ..Select::default() };
        assert!(only.takes_scope(&scope) && only.takes(&scope, &gray) && !only.takes(&scope, &plain));
        let but = Select { exclude: vec![Rule { metadata: lane, ..Rule::default() }], ..Select::default() };
        assert!(but.takes_scope(&scope) && !but.takes(&scope, &gray) && but.takes(&scope, &plain));
        let group = Select { exclude: vec![Rule { group: word("g"), ..Rule::default() }], ..Select::default() };
        assert!(!group.takes_scope(&scope));
    }
}
