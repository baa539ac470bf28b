//! The documents' clauses, one by one.

mod clauses;
mod examples;
mod round_trip;

use super::*;
use causeway_settings::{FixedEnv, Kind, KindFacts, Severity};

/// Kinds that hold what the real ones say of themselves, so that this does not depend on which are built.
struct Polaris;
struct Kong;

impl Kind for Polaris {
    fn name(&self) -> &'static str {
        "polaris"
    }

    fn facts(&self) -> KindFacts {
        KindFacts { token: true, ..KindFacts::SERVICES }
    }

    fn addresses(
        &self,
        reader: &mut causeway_settings::Reader<'_>,
        items: &[(&causeway_settings::Node, String)],
    ) -> Vec<String> {
        let mut form = |text: &str| {
            let http = text.replace("grpc://", "http://");
            causeway_settings::check_address(&http).map(|()| text.to_owned())
        };
        let one = |(node, path): &(&causeway_settings::Node, String)| {
            causeway_settings::each(reader, node, path, "an address", &mut form)
        };
        items.iter().filter_map(one).collect()
    }
}

impl Kind for Kong {
    fn name(&self) -> &'static str {
        "kong"
    }

    fn facts(&self) -> KindFacts {
        KindFacts { services_source: false, grouped: true, token: true, ..KindFacts::SERVICES }
    }
}

fn kinds() -> Kinds {
    causeway_connectors::kinds().with(&Polaris).with(&Kong)
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
