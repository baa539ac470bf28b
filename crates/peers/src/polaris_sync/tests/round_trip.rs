//! Documents become settings and documents again, and mean the same.

use super::*;
use causeway_settings::{ProcessEnv, Secrets, Settings, parse};
use proptest::prelude::*;

fn same(one: &Settings, other: &Settings) {
    let sorted = |settings: &Settings| {
        let mut settings = Settings { warnings: Vec::new(), ..settings.clone() };
        settings.clusters.sort_by(|a, b| a.name.cmp(&b.name));
        settings.to_yaml(Secrets::Kept)
    };
    assert_eq!(sorted(one), sorted(other));
}

#[test]
fn a_document_comes_back() {
    let tasks = [
        (
            "nacos",
            "polaris",
            r#"{"namespace": "empty_ns", "service": "nacos.test.3"}, {"namespace": "x", "service": "G__a__b"}"#,
        ),
        ("polaris", "nacos", r#"{"namespace": "default", "service": "*"}"#),
        (
            "polaris",
            "kong",
            r#"{"namespace": "n", "service": "s", "groups": [{"name": "g", "metadata": {"v": "1"}, "upstreamName": "u"}]}"#,
        ),
        ("nacos", "nacos", r#"{"namespace": "empty_ns", "service": "G__*"}"#),
        ("consul", "polaris", r#"{"namespace": "team", "service": "a__b"}"#),
        ("nacos", "consul", r#"{"namespace": "empty_ns", "service": "order-.*"}"#),
    ];
    for (source, destination, matches) in tasks {
        let text = one_task(&end("a", source, "h:1"), &end("b", destination, "h:2"), matches);
        let first = convert(&text).settings;
        let back = from_settings(&first, &kinds());
        same(&first, &convert(&back.text).settings);
        // And through the file itself.
        let yaml = first.to_yaml(Secrets::Kept);
        let read = parse("f", &yaml, &ProcessEnv, &kinds()).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
        same(&first, &read);
        let named: Vec<_> = back.warnings.iter().filter(|warning| !warning.contains("only this program")).collect();
        assert!(named.is_empty(), "{source} to {destination}: {named:?}");
    }
}

#[test]
fn what_a_document_cannot_say_is_told_by_name() {
    let yaml = "clusters:
- {clusterName: a, clusterType: NACOS, connectKeyList: ['h:1'], userName: u, password: '${env:PATH}', tls: {}}
- {clusterName: b, clusterType: POLARIS, connectKeyList: ['h:2'], token: t}
- {clusterName: e, clusterType: EUREKA, connectKeyList: ['http://h:3/eureka']}
tasks:
- {name: both, source: a, destination: b, mode: Bidirectional, policy: upsert-only, guard: {share: 1}, pullInterval: 9s,
   map: {namespace: {public: default}}, select: {include: [{namespace: public, service: s}], exclude: [{service: x}]}}
- {name: east, source: e, destination: a}
- {name: every, source: a, destination: b, relay: true}
";
    let settings = parse("f", yaml, &ProcessEnv, &kinds()).unwrap_or_else(|problems| panic!("{problems}"));
    let back = from_settings(&settings, &kinds());
    for says in [
        "cluster a: tls cannot be said",
        "cluster a: only this program reads references",
        "task both: policy cannot be said",
        "task both: guard cannot be said",
        "task both: select.exclude cannot be said",
        "task east: left out, since `e` has no word for eureka",
        "task every: left out, since what it copies cannot be named",
        "pullInterval: the tasks have several",
    ] {
        assert!(back.warnings.iter().any(|warning| warning.contains(says)), "{says}: {:#?}", back.warnings);
    }
    let converted = convert(&back.text.replace("${env:PATH}", "p"));
    let names: Vec<_> = converted.settings.tasks.iter().map(|task| (task.name(), task.source.clone())).collect();
    assert_eq!(names, [("both".to_owned(), "a".to_owned()), ("both-back".to_owned(), "b".to_owned())]);
    // A rule without a group is one of every group.
    let service = converted.settings.tasks[1].select.include[0].clone();
    assert_eq!(service.group.unwrap().as_str(), ".*");
    assert_eq!(service.namespace.unwrap().as_str(), "default");
}

proptest! {
    #[test]
    fn any_name_comes_back(
        service in "[a-zA-Z0-9._:-]{1,12}(__[a-zA-Z0-9._:-]{1,8}){0,2}",
        namespace in "[a-z0-9-]{1,8}",
        token in "[ -~]{0,12}",
    ) {
        prop_assume!(names::NameForm::of(&service) == names::NameForm::Exact && namespace != "public");
        let matches = serde_json::json!({"namespace": namespace, "service": service}).to_string();
        let token = serde_json::json!({"name": "b", "type": "polaris", "addresses": ["h:2"], "token": token}).to_string();
        let first = convert(&one_task(&end("a", "nacos", "h:1"), &token, &matches)).settings;
        let back = from_settings(&first, &kinds());
        same(&first, &convert(&back.text).settings);
        let written: serde_json::Value = serde_json::from_str(&back.text).unwrap();
        prop_assert_eq!(written["tasks"][0]["match"][0]["service"].as_str(), Some(service.as_str()));
    }

    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,80}", cut in 0usize..400) {
        drop(Loaded::read("f", &text, &kinds()));
        let whole = one_task(&end("a", "nacos", "h:1"), &end("b", "polaris", "h:2"), ALL);
        let mut part: String = whole.chars().take(cut).collect();
        part.push_str(&text);
        if let Err(problems) = Loaded::read("f", &part, &kinds()) {
            problems.render(false);
        }
    }
}
