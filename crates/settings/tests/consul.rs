//! What Consul adds to the file: its token, and its own block.

mod common;

use causeway_connectors::consul::{AddressOf, ConsulOptions, Destination};
use causeway_settings::{Cluster, Secrets, Severity};
use common::{good, read, wrong};
use std::time::Duration;

fn file(keys: &str) -> String {
    format!("clusters: [{{clusterName: c, clusterType: CONSUL, {keys}}}]")
}

fn cluster(keys: &str) -> Cluster {
    let settings = good(&file(keys));
    assert_eq!(settings.warnings, []);
    settings.clusters[0].clone()
}

#[test]
fn the_block() {
    assert_eq!(cluster("connectKeyList: [h]").own, None);
    assert_eq!(
        ConsulOptions::from_block(cluster("connectKeyList: [h], consul: {}").own.as_ref()),
        ConsulOptions::default()
    );
    let all = "includeUnhealthy: true, addressOf: node, destination: agent, checkTtl: 1m, namespace: n, partition: p";
    let read = cluster(&format!("connectKeyList: ['h:8500'], consul: {{{all}}}"));
    let expected = ConsulOptions {
        datacenter: None,
        include_unhealthy: true,
        address_of: AddressOf::Node,
        destination: Destination::Agent,
        check_ttl: Duration::from_secs(60),
        namespace: Some("n".into()),
        partition: Some("p".into()),
    };
    assert_eq!(ConsulOptions::from_block(read.own.as_ref()), expected);
    let again = good(&serde_json::json!({"clusters": [read.to_value(Secrets::Kept)]}).to_string());
    assert_eq!(again.clusters[0], read);
    let read = cluster("connectKeyList: [h], consul: {datacenter: dc2}");
    assert_eq!(ConsulOptions::from_block(read.own.as_ref()).datacenter.as_deref(), Some("dc2"));
}

#[test]
fn the_token_is_a_secret() {
    let read = cluster("connectKeyList: [h], token: '${env:PW}'");
    let token = read.token.as_ref().unwrap();
    assert_eq!((token.expose(), token.reference()), ("hunter2", Some("${env:PW}")));
    assert_eq!(read.to_value(Secrets::Omitted)["token"], "${env:PW}");
    let read = cluster("connectKeyList: [h], token: hunter4");
    assert_eq!(read.to_value(Secrets::Kept)["token"], "hunter4");
    assert!(read.to_value(Secrets::Omitted)["token"].is_null());
    assert!(!format!("{read:?}").contains("hunter4"));
}

#[test]
fn what_is_wrong_is_said() {
    for (keys, field, message) in [
        ("connectKeyList: [a, b], consul: {destination: agent}", "consul.destination", "several addresses"),
        (
            "connectKeyList: [a], consul: {destination: agent, datacenter: b}",
            "consul.datacenter",
            "its own data centre",
        ),
        ("connectKeyList: [a], consul: {checkTtl: 1s}", "consul.checkTtl", "too short"),
        ("connectKeyList: [a], consul: {checkTtl: 1h}", "consul.checkTtl", "too long"),
        ("connectKeyList: [a], consul: {destination: nodes}", "consul.destination", "not a word"),
        ("connectKeyList: [a], consul: {dc: x}", "consul.dc", "not known here"),
        ("connectKeyList: [a], token: [hunter4]", "token", "a list"),
        ("consul: {}", "connectKeyList", "missing"),
    ] {
        let problems = wrong(&file(keys));
        let [problem] = problems.0.as_slice() else { panic!("{keys}: {problems:?}") };
        assert_eq!(problem.field, format!("clusters[0].{field}"), "{keys}");
        assert!(problem.message.contains(message) && !problem.text.contains("hunter4"), "{keys}: {problem:?}");
    }
    for (keys, field) in
        [("userName: u, password: p", "userName"), ("ak: a, sk: b", "ak"), ("namespace: x", "namespace")]
    {
        let settings = read(&file(&format!("connectKeyList: [a], {keys}"))).unwrap();
        let [warning] = settings.warnings.as_slice() else { panic!("{keys}: {:?}", settings.warnings) };
        assert_eq!((warning.severity, warning.field.as_str()), (Severity::Warning, &*format!("clusters[0].{field}")));
    }
    let text = "clusters: [{clusterName: n, clusterType: NACOS, connectKeyList: [a], token: x}]";
    let warnings = good(text).warnings;
    assert!(warnings.len() == 1 && warnings[0].message.contains("no tokens"), "{warnings:?}");
}
