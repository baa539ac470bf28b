//! Kinds own themselves: outside its folder nothing names a kind but its two lines in the registry.

#![allow(clippy::unwrap_used)]

use causeway_connectors::CONNECTORS;
use std::path::{Path, PathBuf};

/// Where kinds may be named: what two of them share, the formats on their wires, what they are tested with and by.
const MAY: [&str; 7] = ["connectors/src/bridge", "proto", "conformance", "testbed", "/tests/", "/tests.rs", "/target/"];
/// Other tools, whose names hold that of a kind.
const TOOLS: [&str; 6] = ["nacos-sync", "nacossync", "nacos sync", "polaris-sync", "polarissync", "polaris sync"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|ending| ending == "rs") => found.push(path),
            false => {}
        }
    }
}

/// Whether a line speaks of a kind. «Memory» and «file» are common words too.
fn names(kind: &str, line: &str) -> bool {
    let mut line = line.to_lowercase();
    TOOLS.iter().for_each(|tool| line = line.replace(tool, ""));
    match kind {
        "memory" | "file" => ["connectors::KIND", "crate::KIND", "KINDconnector", "mod KIND;"]
            .iter()
            .any(|word| line.contains(&word.replace("KIND", kind))),
        _ => line.contains(kind),
    }
}

#[test]
fn nothing_outside_its_folder_names_a_kind() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let mut files = Vec::new();
    sources(&crates, &mut files);
    assert!(files.len() > 200, "{}", files.len());
    for connector in CONNECTORS {
        let kind = connector.name();
        let own = format!("connectors/src/{kind}/");
        let mut found = Vec::new();
        for file in &files {
            let path = file.strip_prefix(&crates).unwrap().display().to_string();
            if path.starts_with(&own) || MAY.iter().any(|may| path.contains(may)) {
                continue;
            }
            let text = std::fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = code.lines().filter(|line| names(kind, line));
            found.extend(lines.map(|line| format!("{path}: {}", line.trim())));
        }
        let registry = found.iter().filter(|line| line.starts_with("connectors/src/lib.rs: ")).count();
        assert!(registry == 2 && found.len() == 2, "{kind} is named in {found:#?}");
    }
}
