//! The page about observability lists exactly what there is.

use super::{ALL, MetricKind, MetricSpec};
use causeway_core::SkipKind;
use causeway_engine::{LeftAlone, WriteKind, WriteOutcome};
use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = "docs/observability.md";

/// Puts a table between the two marks that name it.
fn put(page: &str, name: &str, table: &str) -> String {
    let (start, end) = (format!("<!-- {name}: made from the program -->\n"), format!("<!-- end of {name} -->\n"));
    let (before, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{PAGE} has no place for {name}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{PAGE} has no end of {name}"));
    format!("{before}{start}\n{table}\n{end}{after}")
}

fn unit(metric: &MetricSpec) -> &'static str {
    match metric.name {
        name if name.ends_with("_seconds") => "seconds",
        name if name.ends_with("_info") => "1",
        _ if metric.help.starts_with("1 ") => "0 or 1",
        _ => "count",
    }
}

fn metrics() -> String {
    let mut table = "| metric | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for metric in ALL {
        let (kind, suffix) = match metric.kind {
            MetricKind::Counter => ("counter", "_total"),
            MetricKind::Gauge => ("gauge", ""),
            MetricKind::Histogram => ("histogram", ""),
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, unit, labels, help) = (metric.name, unit(metric), labels.join(", "), metric.help);
        table += &format!("| `{name}{suffix}` | {kind} | {unit} | {labels} | {help} |\n");
    }
    table
}

fn reasons() -> String {
    let mut table = "| reason | meaning |\n| --- | --- |\n".to_owned();
    for reason in SkipKind::ALL.map(LeftAlone::Instance).into_iter().chain(LeftAlone::others()) {
        let meaning = reason.to_string();
        table += &format!("| `{}` | {} |\n", reason.code(), meaning.trim_end_matches(": "));
    }
    table
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    let want = put(&put(&have, "metrics", &metrics()), "reasons", &reasons());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &want).unwrap_or_else(|error| panic!("{error}"));
    }
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(have == want, "{PAGE} is stale: run `UPDATE=1 cargo test -p causeway-server --lib the_page_is_up_to_date`");
    for word in WriteKind::ALL.map(WriteKind::as_str).into_iter().chain(WriteOutcome::ALL.map(WriteOutcome::as_str)) {
        assert!(have.contains(&format!("`{word}`")), "{PAGE} does not explain {word}");
    }
}

#[test]
fn names_and_labels_are_as_prometheus_wants_them() {
    let mut names = BTreeSet::new();
    for metric in ALL {
        assert!(names.insert(metric.name), "{} twice", metric.name);
        assert!(metric.name.starts_with("causeway_") && !metric.name.ends_with("_total"), "{}", metric.name);
        assert!(!metric.help.ends_with('.'), "{}", metric.name);
        let bounded = ["task", "cluster", "kind", "type", "state", "reason", "work", "write", "outcome"];
        let told = ["version", "source", "destination", "mode"];
        for label in metric.labels {
            assert!(bounded.contains(label) || told.contains(label), "{}: {label} may have any value", metric.name);
        }
    }
}

#[test]
fn each_reason_has_a_code_of_its_own() {
    let all: Vec<_> = SkipKind::ALL.map(LeftAlone::Instance).into_iter().chain(LeftAlone::others()).collect();
    let codes: BTreeSet<_> = all.iter().map(LeftAlone::code).collect();
    assert_eq!(codes.len(), all.len());
}
