//! What Kong adds to the file: its own block, and groups of tasks to it.

mod common;

use causeway_connectors::kong::{KongMode, KongOptions, RouteTemplate};
use causeway_settings::{Cluster, Grouped, MetadataGroup, Namespaces, Secrets, Severity};
use common::{good, read, wrong};
use serde_json::json;

fn file(keys: &str) -> String {
    format!("clusters: [{{clusterName: k, clusterType: KONG, {keys}}}]")
}

fn cluster(keys: &str) -> Cluster {
    let settings = good(&file(keys));
    assert_eq!(settings.warnings, []);
    settings.clusters[0].clone()
}

#[test]
fn the_block() {
    assert_eq!(cluster("connectKeyList: [h]").own, None);
    let empty = cluster("connectKeyList: [h], kong: {}");
    assert_eq!(KongOptions::from_block(empty.own.as_ref()), KongOptions::default());
    let all = "workspace: w, mode: DBless, file: /k.json, base: /b.json, \
               upstream: {algorithm: least-connections, slots: 100, healthchecks: {threshold: 0.5, active: {https_verify_certificate: false, \
               healthy: {http_statuses: [200, 302]}}}}, \
               routes: [{paths: ['/{service}', '~/x'], hosts: ['{namespace}.example'], methods: [GET], protocols: [http], stripPath: no}]";
    let read = cluster(&format!("connectKeyList: ['h:8001', 'https://g'], token: '${{env:PW}}', kong: {{{all}}}"));
    let upstream = json!({
        "algorithm": "least-connections", "slots": 100,
        "healthchecks": {"threshold": 0.5, "active": {"https_verify_certificate": false, "healthy": {"http_statuses": [200, 302]}}},
    });
    let route = RouteTemplate {
        hosts: vec!["{namespace}.example".into()],
        paths: vec!["/{service}".into(), "~/x".into()],
        methods: vec!["GET".into()],
        protocols: vec!["http".into()],
        strip_path: Some(false),
        preserve_host: None,
    };
    let expected = KongOptions {
        workspace: Some("w".into()),
        mode: Some(KongMode::Dbless),
        file: Some("/k.json".into()),
        base: Some("/b.json".into()),
        upstream: upstream.as_object().cloned().unwrap(),
        routes: vec![route],
    };
    assert_eq!(KongOptions::from_block(read.own.as_ref()), expected);
    let again = good(&json!({"clusters": [read.to_value(Secrets::Kept)]}).to_string());
    assert_eq!(again.clusters[0], read);
}

#[test]
fn what_is_wrong_is_said() {
    for (keys, field, message) in [
        ("connectKeyList: [a], kong: {mode: postgres}", "kong.mode", "not a word"),
        ("connectKeyList: [a], kong: {mode: database, file: /x}", "kong.file", "no declarative configuration"),
        ("connectKeyList: [a], kong: {file: x}", "kong.file", "not the whole path"),
        ("connectKeyList: [a], kong: {upstream: {name: x}}", "kong.upstream.name", "set by Causeway"),
        ("connectKeyList: [a], kong: {upstream: [x]}", "kong.upstream", "a list"),
        ("connectKeyList: [a], kong: {routes: [{}]}", "kong.routes[0]", "takes nothing"),
        ("connectKeyList: [a], kong: {routes: [{paths: ['{service}']}]}", "kong.routes[0].paths", "does not begin"),
        ("connectKeyList: [a], kong: {routes: [{path: /x}]}", "kong.routes[0].path", "not known here"),
        ("connectKeyList: [a], kong: {routs: []}", "kong.routs", "not known here"),
        ("kong: {}", "connectKeyList", "missing"),
    ] {
        let problems = wrong(&file(keys));
        let problem = problems.errors().next().unwrap();
        assert_eq!(problem.field, format!("clusters[0].{field}"), "{keys}");
        assert!(problem.message.contains(message), "{keys}: {problem:?}");
    }
    for (keys, field) in [
        ("userName: u, password: p", "userName"),
        ("namespace: x", "namespace"),
        ("kong: {routes: [{paths: [/x]}]}", "kong.routes[0]"),
    ] {
        let settings = read(&file(&format!("connectKeyList: [a], {keys}"))).unwrap();
        let [warning] = settings.warnings.as_slice() else { panic!("{keys}: {:?}", settings.warnings) };
        assert_eq!((warning.severity, warning.field.as_str()), (Severity::Warning, &*format!("clusters[0].{field}")));
    }
}

#[test]
fn groups_of_a_task() {
    let file = |source: &str, task: &str| {
        format!(
            "clusters: [{{clusterName: s, {source}}}, {{clusterName: k, clusterType: KONG, connectKeyList: [h]}}]\n\
             tasks: [{{source: s, destination: k{task}}}]"
        )
    };
    let nacos = "clusterType: NACOS, connectKeyList: [h], namespace: 'dev,prod'";
    let groups = ", groups: [{name: v1, metadata: {version: '1', '${env:HOST}': '${env:HOST}'}}, {name: v2, upstreamName: 'x-{service}'}]";
    let settings = good(&file(nacos, groups));
    assert_eq!(settings.warnings, []);
    let task = &settings.tasks[0];
    let v1 = [("version", "1"), ("${env:HOST}", "10.1.1.1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    assert_eq!(
        task.groups,
        [
            MetadataGroup { name: "v1".into(), metadata: v1, upstream: None },
            MetadataGroup { name: "v2".into(), upstream: Some("x-{service}".into()), ..MetadataGroup::default() }
        ]
    );
    assert_eq!(task.grouped, Some(Grouped { public: "empty_ns".into() }));
    assert_eq!(task.namespaces, Namespaces::Each);
    let again = good(&settings.to_yaml(Secrets::Kept));
    assert_eq!((again.tasks, again.clusters), (settings.tasks, settings.clusters));
    let memory = good(&file("clusterType: MEMORY", ""));
    assert_eq!(memory.tasks[0].grouped, Some(Grouped { public: "public".into() }));
    let back = wrong(
        "clusters: [{clusterName: m, clusterType: MEMORY}, {clusterName: k, clusterType: KONG, connectKeyList: [h]}]\n\
         tasks: [{source: k, destination: m}]",
    );
    assert!(back.to_string().contains("services cannot be copied from kong to memory"), "{back}");
}

#[test]
fn clusters_whose_names_could_be_mixed_up() {
    let warnings = |names: [&str; 2]| {
        let [one, other] = names;
        let text = format!(
            "clusters: [{{clusterName: {one}, clusterType: MEMORY}}, {{clusterName: {other}, clusterType: MEMORY}}, \
             {{clusterName: k, clusterType: KONG, connectKeyList: [h]}}]\n\
             tasks: [{{source: {one}, destination: k}}, {{source: {other}, destination: k}}]"
        );
        good(&text).warnings
    };
    assert_eq!((warnings(["a", "b"]), warnings(["a", "ab"])), (vec![], vec![]));
    let warned = warnings(["a", "a.b"]);
    assert!(warned.len() == 1 && warned[0].field == "tasks[1].source", "{warned:?}");
    assert!(warned[0].message.contains("`a.b` and of `a`"), "{warned:?}");
}
