use super::super::fake::{Fake, Said};
use super::*;
use crate::Connect;

fn reading(include_unhealthy: bool) -> Reading {
    let connect = Connect { addresses: vec!["127.0.0.1:1".into()], ..Connect::default() };
    let options = ConsulOptions { include_unhealthy, ..ConsulOptions::default() };
    Reading::new(Client::new(&connect, &options).unwrap(), options)
}

fn nodes() -> Vec<Dumped> {
    serde_json::from_value(serde_json::json!([
        {"Node": "n1", "Address": "10.0.0.1", "Services": [
            {"ID": "web", "Service": "web", "Tags": null, "Address": "", "Port": 80},
            {"ID": "ill", "Service": "web", "Address": "10.0.0.7", "Port": 81},
            {"ID": "web-sidecar-proxy", "Kind": "connect-proxy", "Service": "web-sidecar-proxy", "Port": 1},
        ], "Checks": [
            {"Node": "n1", "CheckID": "serfHealth", "Status": "passing", "ServiceID": ""},
            {"Node": "n1", "CheckID": "c", "Status": "critical", "ServiceID": "ILL"},
        ]},
        {"Node": "n2", "Address": "10.0.0.1", "Services": [
            {"ID": "web", "Service": "web", "Port": 80, "Meta": {"a": "b"}},
            {"ID": "other", "Service": "Web", "Port": 80},
        ], "Checks": [{"Node": "n2", "CheckID": "serfHealth", "Status": "critical"}]},
        {"Node": "n3", "PeerName": "away", "Services": [{"ID": "x", "Service": "x"}], "Checks": null},
    ]))
    .unwrap()
}

#[test]
fn nodes_become_services() {
    let found = by_name(nodes());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["Web", "web"]);
    let checks = |name: &str| found[name].iter().map(|one| one.checks.len()).collect::<Vec<_>>();
    assert_eq!((checks("web"), checks("Web")), (vec![1, 2, 1], vec![1]));
    // The one that passes stands where two nodes show one instance.
    let set = reading(true).set("web", &found["web"]);
    assert_eq!(set.records.len(), 2);
    assert!(
        set.records.values().filter_map(|held| held.native.as_ref()).any(|one| one.healthy && one.metadata.is_empty())
    );
    assert_eq!(reading(false).set("web", &found["web"]).records.len(), 1);
    assert!(reading(false).set("Web", &found["Web"]).records.is_empty());
}

#[test]
fn of_several_the_one_that_takes_traffic_stands() {
    let entry = |node: &str, check: &str| {
        let mut entry = Entry::default();
        (entry.node.node, entry.node.address) = (node.into(), "10.0.0.1".into());
        (entry.service.id, entry.service.service, entry.service.port) = ("web".into(), "web".into(), 80);
        entry.service.meta.insert("node".into(), node.into());
        let status = if check == "c" { PASSING } else { "critical" };
        entry.checks = vec![Check { id: check.into(), status: status.into(), ..Check::default() }];
        entry
    };
    let entries = [entry("a", "_service_maintenance:web"), entry("b", "c"), entry("c", "ill")];
    let set = reading(true).set("web", &entries);
    let natives: Vec<_> = set.records.values().filter_map(|held| held.native.as_ref()).collect();
    assert_eq!(natives.iter().map(|one| &one.metadata["node"]).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn what_is_no_port_is_left_out_and_named() {
    let dump = serde_json::json!([{"Node": "n", "Address": "10.0.0.1", "Services": [
        {"ID": "consul", "Service": "consul", "Port": 8300},
        {"ID": "a", "Service": "web", "Port": -1},
        {"ID": "b", "Service": "web", "Port": 65536, "TaggedAddresses": {"wan": {"Address": "a", "Port": -7}}},
        {"ID": "c", "Service": "web", "Port": 80},
    ], "Checks": [
        {"Node": "n", "CheckID": "x", "Status": "critical", "ServiceID": "c", "ServiceName": "web", "PeerName": "away"},
    ]}])
    .to_string();
    let one =
        r#"[{"Node": {"Node": "n", "Address": "10.0.0.1"}, "Service": {"ID": "c", "Service": "web", "Port": 80}}]"#;
    let answer = move |line: &str| Said::now(200, if line.contains("/ui/") { dump.as_str() } else { one });
    let fake = Fake::start(answer).await;
    let reading = fake.reading();
    let listing = reading.all().await.unwrap();
    assert_eq!((listing.sets.len(), listing.index, listing.filtered), (1, 1, false));
    assert!(listing.failing.is_empty(), "a peer's check");
    let left_out = reading.left_out();
    let whys: Vec<_> = left_out.iter().map(|one| one.why.as_str()).collect();
    assert_eq!(whys, ["-1 is no port", "65536 is no port"]);
    assert_eq!(left_out[0].record, r#"service "web", id "a" on node "n""#);
    assert_eq!(reading.one("web").await.unwrap().set.unwrap().records.len(), 1);
    assert_eq!(reading.left_out(), []);
}

#[tokio::test]
async fn a_name_that_cannot_be_asked_for_spoils_no_other() {
    let node = r#"{"Node": "n", "Address": "10.0.0.1"}"#;
    let row =
        move |name: &str| format!(r#"[{{"Node": {node}, "Service": {{"ID": "x", "Service": "{name}", "Port": 80}}}}]"#);
    let answer = move |line: &str| match line {
        "GET /v1/catalog/services" => Said::now(200, r#"{"consul": [], "web": [], "a//b": []}"#),
        "GET /v1/health/service/web" => Said::now(200, row("web")),
        "GET /v1/health/service/consul" => Said::now(200, row("consul")),
        _ if line.contains("/health/service/") => Said::now(301, ""),
        _ => Said::now(403, "Endpoint is blocked by agent configuration"),
    };
    let fake = Fake::start(answer).await;
    let reading = fake.reading();
    let listing = reading.all().await.unwrap();
    assert!(listing.filtered && listing.sets.len() == 1 && listing.index == 0);
    let left_out = reading.left_out();
    assert_eq!(left_out.iter().map(|one| &*one.record).collect::<Vec<_>>(), [r#"service "a//b""#]);
    assert!(is_about_name(&reading.one("a//b").await.map(drop).unwrap_err()));
    assert!(
        !is_about_name(&Error::unavailable(""))
            && !is_about_name(&Error::Missing("the servers know no data centre x".into()))
    );
    // None can be asked for: that is no list.
    let nothing = Fake::start(|line| match line {
        "GET /v1/catalog/services" => Said::now(200, r#"{"consul": [], "web": []}"#),
        _ => Said::now(403, "Endpoint is blocked by agent configuration"),
    });
    let error = nothing.await.reading().all().await.map(drop).unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error}");
}
