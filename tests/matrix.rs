//! docs/matrix.md: which kind can be what, and which tests with real servers cover each ordered pair. Made of what the kinds
//! say of themselves and of the list here; `UPDATE=1 cargo test --test matrix` writes it again.

use causeway_connectors::kinds;
use causeway_settings::Kind;
use std::path::Path;

/// `tests/real/pairs` copies services from each of these to each, as far as it can be one or the other.
const PAIRS: &[&str] = &["consul", "eureka", "kong", "nacos", "zookeeper"];

/// Source, destination, what travels, and the tests that show it: `module::name` of `tests/real`, or all of a module.
const COVERED: &[(&str, &str, &str, &[&str])] = &[
    ("consul", "consul", "services", &["consul::two_data_centres"]),
    ("consul", "eureka", "services", &["ring"]),
    ("consul", "nacos", "services", &["consul"]),
    (
        "eureka",
        "eureka",
        "services",
        &["eureka::a_provider_moves_from_one_to_another", "eureka_load::five_thousand_services_at_rest"],
    ),
    (
        "eureka",
        "nacos",
        "services",
        &[
            "eureka::both_ways_with_nacos",
            "eureka::a_restarted_server_empties_nothing",
            "eureka_load::a_server_that_preserves_itself",
            "eureka_names::names_that_differ_in_case",
            "eureka_spring",
            "ring",
        ],
    ),
    (
        "nacos",
        "eureka",
        "services",
        &[
            "eureka::both_ways_with_nacos",
            "eureka::a_restarted_server_empties_nothing",
            "eureka::an_old_list_is_no_difference",
            "eureka_names",
        ],
    ),
    ("file", "file", "services", &["file_prometheus"]),
    ("file", "kong", "services", &["kong_load"]),
    ("memory", "memory", "services", &["tests/cli.rs"]),
    (
        "nacos",
        "consul",
        "services",
        &["consul::both_ways_with_nacos", "consul::a_provider_moves", "consul::a_restart_of_ours_is_not_seen", "ring"],
    ),
    ("nacos", "kong", "services", &["kong", "kong_faults"]),
    (
        "nacos",
        "nacos",
        "services",
        &["travel", "operator", "cutover", "mixed", "refusals", "guards", "namespaces", "restart", "many"],
    ),
    (
        "nacos",
        "zookeeper",
        "services",
        &[
            "zk_dubbo::both_ways_with_nacos",
            "zk_dubbo::over_nacos_and_home_again",
            "zk_spring::a_discovery_client_lists_over_nacos",
            "zk_application::from_nacos_to_zookeeper",
            "zk_application::from_nacos_to_zookeeper_with_remote_metadata",
            "zk_application::both_ways_with_nacos",
        ],
    ),
    (
        "zookeeper",
        "nacos",
        "services",
        &[
            "zk_dubbo::both_ways_with_nacos",
            "zk_dubbo::over_nacos_and_home_again",
            "zk_spring::a_discovery_client_lists_over_nacos",
            "zk_application::from_zookeeper_to_nacos",
            "zk_application::from_zookeeper_to_nacos_with_remote_metadata",
            "zk_application::both_ways_with_nacos",
        ],
    ),
    (
        "zookeeper",
        "zookeeper",
        "services",
        &[
            "zk_services",
            "zk_changes",
            "zk_sessions",
            "zk_access",
            "zk_dubbo::by_interface",
            "zk_spring::a_discovery_client_lists_field_by_field",
            "zk_application::from_zookeeper_to_zookeeper",
            "zk_moves",
        ],
    ),
    ("zookeeper", "zookeeper", "config entries", &["zk_data", "zk_left_out"]),
];

fn yes(can: bool) -> &'static str {
    if can { "yes" } else { "–" }
}

fn page() -> String {
    let kinds: Vec<&'static dyn Kind> = kinds().all().collect();
    let mut out = String::from(
        "# Kinds and pairs\n\n<!-- Made by tests/matrix.rs; `UPDATE=1 cargo test --test matrix` writes it again. -->\n\n\
         What each kind can be. Anything that can be a source goes to anything that can be a destination: the engine knows no\n\
         pairs.\n\n\
         | kind | services from | services to | config entries from | config entries to | namespaces | groups of instances |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for kind in &kinds {
        let facts = kind.facts();
        let cells = [
            facts.services_source,
            facts.services_sink,
            facts.configs_source,
            facts.configs_sink,
            facts.namespaces,
            facts.grouped,
        ];
        let name = kind.name();
        let words = cells.map(yes).join(" | ");
        out.push_str(&format!("| [{name}](../crates/connectors/src/{name}/README.md) | {words} |\n"));
    }
    out.push_str(
        "\nEvery kind passes the conformance suite (`crates/conformance`) as a source and as a destination. The tests of the whole\n\
         program with real servers (`tests/real`), by pair:\n\n\
         | from | to | what | tests |\n| --- | --- | --- | --- |\n",
    );
    let pairs = kinds.iter().flat_map(|from| kinds.iter().map(move |to| (*from, *to)));
    for (from, to) in pairs {
        let can = [
            ("services", from.facts().services_source && to.facts().services_sink),
            ("config entries", from.facts().configs_source && to.facts().configs_sink),
        ];
        for (what, _) in can.into_iter().filter(|(_, can)| *can) {
            let (from, to) = (from.name(), to.name());
            let found = COVERED.iter().find(|(a, b, c, _)| (*a, *b, *c) == (from, to, what));
            let pairs = what == "services" && PAIRS.contains(&from) && PAIRS.contains(&to);
            let tests = pairs.then_some(&"pairs").into_iter().chain(found.iter().flat_map(|(.., tests)| *tests));
            let tests: Vec<_> = tests.map(|test| format!("`{test}`")).collect();
            let tests = if tests.is_empty() { "none of its own".to_owned() } else { tests.join(", ") };
            out.push_str(&format!("| {from} | {to} | {what} | {tests} |\n"));
        }
    }
    out
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/matrix.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(have == page(), "docs/matrix.md is stale: run `UPDATE=1 cargo test --test matrix`");
}

#[test]
fn what_it_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("tests/real/main.rs")).unwrap();
    for (from, to, what, tests) in COVERED {
        let (from, to) = (kinds().facts(from), kinds().facts(to));
        let can = match *what {
            "services" => from.services_source && to.services_sink,
            _ => from.configs_source && to.configs_sink,
        };
        assert!(can, "{tests:?} speak of a pair that cannot be");
        for test in *tests {
            let there = match test.contains("::") {
                true => list.lines().any(|line| line.trim_end_matches(',').ends_with(&format!(" {test}"))),
                false => list.contains(&format!("mod {test};")) || root.join(test).exists(),
            };
            assert!(there, "there is no test {test}");
        }
    }
}
