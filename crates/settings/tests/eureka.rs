//! What Eureka adds to the file: its addresses, a login in them, its own keys, and how long it settles.

mod common;

use std::time::Duration;

use causeway_settings::{Cases, Cluster, NameCase};
use common::{good, wrong};

fn cluster(keys: &str) -> Cluster {
    let settings = good(&format!("clusters: [{{clusterName: e, clusterType: EUREKA, {keys}}}]"));
    assert_eq!(settings.warnings, []);
    settings.clusters[0].clone()
}

#[test]
fn addresses_in_every_form() {
    for (list, addresses) in [
        ("['h']", vec!["h:8761"]),
        ("['h:1', 'http://i/eureka/']", vec!["h:1", "http://i/eureka"]),
        ("['http://a:1/eureka/,https://b/eureka/v2']", vec!["http://a:1/eureka", "https://b/eureka/v2"]),
        ("['http://u:p@a:1/eureka,http://u:p@b:1/eureka']", vec!["http://a:1/eureka", "http://b:1/eureka"]),
    ] {
        assert_eq!(cluster(&format!("connectKeyList: {list}")).addresses, addresses, "{list}");
    }
}

#[test]
fn a_login_in_an_address_is_a_secret() {
    let login = |cluster: &Cluster| {
        (cluster.user.clone(), cluster.password.as_ref().map(|password| password.expose().to_owned()))
    };
    let read = cluster("connectKeyList: ['http://us%65r:p%40ss@h:1/eureka']");
    assert_eq!(login(&read), (Some("user".into()), Some("p@ss".into())));
    let shown = format!("{read:?} {}", serde_json::to_string(&read).unwrap());
    assert!(!shown.contains("ss@") && !shown.contains("p%40") && !shown.contains("p@ss"), "{shown}");
    let own = cluster("connectKeyList: ['http://u:p@h:1'], userName: own, password: other");
    assert_eq!(login(&own), (Some("own".into()), Some("other".into())));
    for (list, message) in [
        ("['http://u:hunter2@a', 'http://v:hunter2@b']", "two users stand in the addresses"),
        ("['http://u:${env:PW}@a']", "a reference and a user stand in one address"),
        ("['ftp://u:hunter2@a']", "this is not an address"),
    ] {
        let text = format!("clusters: [{{clusterName: e, clusterType: EUREKA, connectKeyList: {list}}}]");
        let problems = wrong(&text).render(false);
        assert!(problems.contains(message) && !problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn the_block_of_a_eureka() {
    let own = |keys: &str| cluster(&format!("connectKeyList: [h], eureka: {{{keys}}}")).own.unwrap();
    assert_eq!(own(""), serde_json::json!({"lease": "90s", "address": "ip"}));
    assert_eq!(own("lease: 30s, address: HOST"), serde_json::json!({"lease": "30s", "address": "host"}));
    let text =
        "clusters: [{clusterName: e, clusterType: EUREKA, connectKeyList: [h], eureka: {lease: 1s, address: mac}}]";
    let problems = wrong(text).render(false);
    assert!(problems.contains("this is too short") && problems.contains("clusters[0].eureka.address"), "{problems}");
}

#[test]
fn a_task_settles_as_long_as_its_sources_need() {
    let settle = |tasks: &str| {
        let clusters =
            "{clusterName: e, clusterType: EUREKA, connectKeyList: [h]}, {clusterName: m, clusterType: MEMORY}";
        good(&format!("clusters: [{clusters}]\ntasks: [{tasks}]")).tasks[0].settle
    };
    assert_eq!(settle("{source: e, destination: m}"), Duration::from_secs(90));
    assert_eq!(settle("{source: m, destination: e}"), Duration::from_secs(30));
    assert_eq!(settle("{source: m, destination: e, mode: Bidirectional}"), Duration::from_secs(90));
    assert_eq!(settle("{source: e, destination: m, settle: 5s}"), Duration::from_secs(5));
}

#[test]
fn the_case_of_names_that_a_task_writes() {
    let clusters = "{clusterName: e, clusterType: EUREKA, connectKeyList: [h]}, \
                    {clusterName: f, clusterType: EUREKA, connectKeyList: [h]}, {clusterName: m, clusterType: MEMORY}, \
                    {clusterName: n, clusterType: MEMORY}";
    let read = |task: &str| good(&format!("clusters: [{clusters}]\ntasks: [{{{task}}}]"));
    for (task, there, back, spells) in [
        ("source: e, destination: m", NameCase::Lower, NameCase::Upper, false),
        ("source: e, destination: m, nameCase: KEEP", NameCase::Keep, NameCase::Upper, false),
        ("source: e, destination: f, nameCase: lower, mode: Bidirectional", NameCase::Keep, NameCase::Keep, false),
        ("source: m, destination: e, mode: Bidirectional", NameCase::Keep, NameCase::Lower, true),
        ("source: m, destination: e, nameCase: keep, mode: Bidirectional", NameCase::Keep, NameCase::Upper, true),
        ("source: m, destination: n", NameCase::Keep, NameCase::Keep, false),
        ("source: m, destination: n, nameCase: lower", NameCase::Lower, NameCase::Lower, true),
    ] {
        let settings = read(task);
        assert_eq!((settings.tasks[0].cases, settings.warnings.len()), (Cases { there, back, spells }, 0), "{task}");
    }
    let warned = read("source: m, destination: e, nameCase: lower").warnings;
    assert!(warned[0].to_string().contains("names at the destination have one case only"), "{warned:?}");
    let table = "mode: Bidirectional, map: {service: {a: Shop, b: SHOP}}";
    let text = format!("clusters: [{clusters}]\ntasks: [{{source: m, destination: e, {table}}}]");
    let problems = wrong(&text).render(false);
    assert!(problems.contains("two services become `SHOP`, but for the case"), "{problems}");
    let text = format!("clusters: [{clusters}]\ntasks: [{{source: e, destination: m, nameCase: small}}]");
    let problems = wrong(&text).render(false);
    assert!(problems.contains("tasks[0].nameCase") && problems.contains("`lower`"), "{problems}");
}
