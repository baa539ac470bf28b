//! The documents' clauses, one by one.

mod clauses;
mod examples;
mod round_trip;

use super::*;
use causeway_settings::{FixedEnv, Severity};

fn kinds() -> Kinds {
    causeway_connectors::kinds()
}

fn load(text: &str) -> Loaded {
    Loaded::read("doc.json", text, &kinds()).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn convert(text: &str) -> Converted {
    convert_all(&[text])
}

fn convert_all(texts: &[&str]) -> Converted {
    let named = |(n, text): (usize, &&str)| Loaded::read(&format!("{n}.json"), text, &kinds());
    let loaded: Result<Vec<_>, _> = texts.iter().enumerate().map(named).collect();
    let converted = loaded.and_then(|loaded| to_settings(&loaded, &env(), &kinds()));
    converted.unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// The errors, one a line: `line: field: message; help`.
fn refused(text: &str) -> Vec<String> {
    let read = Loaded::read("doc.json", text, &kinds()).and_then(|loaded| to_settings(&[loaded], &env(), &kinds()));
    let problems = read.err().unwrap_or_else(|| panic!("it is taken: {text}"));
    let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.to_string().trim_start_matches("doc.json:").to_owned()).collect()
}

fn env() -> FixedEnv {
    FixedEnv { vars: [("TOKEN".to_owned(), "from the environment".to_owned())].into(), ..FixedEnv::default() }
}

/// A document with one task; what stands in for parts of it.
fn one_task(source: &str, destination: &str, matches: &str) -> String {
    let methods = r#"[{"type": "watch", "enable": true}]"#;
    format!(
        r#"{{"tasks": [{{"name": "t", "enable": true, "source": {source}, "destination": {destination}, "match": [{matches}]}}], "methods": {methods}}}"#
    )
}

fn end(name: &str, kind: &str, address: &str) -> String {
    format!(r#"{{"name": "{name}", "type": "{kind}", "addresses": ["{address}"]}}"#)
}

const ALL: &str = r#"{"namespace": "empty_ns", "service": "*"}"#;
