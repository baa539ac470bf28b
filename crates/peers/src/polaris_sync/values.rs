//! Single values of a document in the form of the settings file.

use super::model::{Match, MatchGroup};
use super::names::{DEFAULT_GROUP, NameForm, literal, pattern, source_namespace, split};
use causeway_settings::escape;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// An address without the scheme that is meant where none stands.
pub(super) fn bare(address: &str) -> &str {
    address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/')
}

/// A text that is one reference of ours stays one: `${env:NAME}`. Any other is that text.
pub(super) fn referable(text: &str) -> String {
    let inner = text.strip_prefix("${env:").or_else(|| text.strip_prefix("${file:"));
    let whole = inner.is_some_and(|rest| rest.find('}') == Some(rest.len() - 1));
    if whole { text.to_owned() } else { escape(text) }
}

pub(super) fn group(group: &MatchGroup) -> Value {
    let mut made = Map::new();
    made.insert("name".into(), json!(escape(&group.name)));
    if !group.metadata.is_empty() {
        let metadata: BTreeMap<_, _> = group.metadata.iter().map(|(key, value)| (key.clone(), escape(value))).collect();
        made.insert("metadata".into(), json!(metadata));
    }
    if !group.upstream.is_empty() {
        // There it may be a template.
        let name = group.upstream.replace('{', "{{").replace('}', "}}");
        made.insert("upstreamName".into(), json!(escape(&name)));
    }
    Value::Object(made)
}

/// What a match selects. `kind`: that of the source, where it has namespaces and groups.
pub(super) fn rule(one: &Match, kind: Option<&String>) -> Value {
    let mut made = Map::new();
    let Some(kind) = kind else {
        made.extend(pattern(&one.name).map(|service| ("service".to_owned(), json!(escape(&service)))));
        return Value::Object(made);
    };
    made.insert("namespace".into(), json!(escape(&literal(&source_namespace(kind, &one.namespace)))));
    if NameForm::of(&one.name) != NameForm::All {
        let (group, service) = split(&one.name);
        let group = group.map_or_else(|| Some(literal(DEFAULT_GROUP)), pattern);
        made.extend(group.map(|group| ("group".to_owned(), json!(escape(&group)))));
        made.extend(pattern(service).map(|service| ("service".to_owned(), json!(escape(&service)))));
    }
    Value::Object(made)
}
