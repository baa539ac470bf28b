//! What is shown and told of documents, and when changes are copied.

use super::*;
use crate::common::instances;
use causeway_server::api::State;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn report_interval_is_honoured() {
    let _providers = providers(["ri-a"]);
    let install = Install::new();
    let mut good = document(&[task("one", "ri-a", "ri-b")]);
    good["health_check"] = json!({ "enable": true, "interval": "200ms" });
    good["report"] = json!({ "interval": "1s", "targets": [{ "type": "file", "enable": true }] });
    good["tasks"][0]["destination"]["product_name"] = json!("shop");
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    sleep(Duration::from_millis(4500)).await;
    let report = install.read("loggers/polaris-sync-stat.log");
    let blocks: Vec<_> = report.split_terminator("\n\n").collect();
    assert!((3..=5).contains(&blocks.len()), "{report}");
    let last: Vec<_> = blocks.last().unwrap().lines().collect();
    assert!(last[0].starts_with("Statis 20") && last[0].ends_with(':') && last[0].len() == 27, "{report}");
    assert_eq!(
        last[1],
        "Name                                            |        Type|      Detail|       Total|       Error|"
    );
    let cells: Vec<_> = last[3].split('|').map(str::trim).collect();
    assert_eq!((cells[0], cells[1], cells[2], cells[4]), ("ri-b", "MEMORY", "shop", "0"), "{report}");
    assert!((2..=7).contains(&cells[3].parse::<u32>().unwrap()), "{report}");
    // Without probes only calls are counted, and a silent cluster is left out.
    good["health_check"] = json!({ "enable": false });
    install.write(REGISTRY, &good);
    sleep(Duration::from_secs(4)).await;
    let length = install.read("loggers/polaris-sync-stat.log").len();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(install.read("loggers/polaris-sync-stat.log").len(), length);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watching_changes_wait_for_their_interval() {
    let [a] = providers(["pu-a"]);
    let b = Memory::named("pu-b");
    let install = Install::new();
    let mut good = document(&[task("one", "pu-a", "pu-b")]);
    good["methods"] =
        json!([{ "type": "watch", "enable": false }, { "type": "pull", "enable": true, "interval": "4s" }]);
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    // Asleep a moment after it was in step.
    sleep(Duration::from_secs(1)).await;
    for port in 1001..=1002 {
        register(&a, &key("public", "s"), port);
        let (began, before) = (Instant::now(), instances(&b));
        while instances(&b) == before {
            assert!(began.elapsed() < PATIENCE);
            sleep(Duration::from_millis(20)).await;
        }
        assert!(began.elapsed() > Duration::from_millis(1500), "after {:?}", began.elapsed());
        // Asleep again.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(host.task("one").await.state, State::InStep);
    }
    // Watched again, they come at once.
    install.write(REGISTRY, &document(&[task("one", "pu-a", "pu-b")]));
    sleep(NOTICED).await;
    let began = Instant::now();
    register(&a, &key("public", "s"), 1003);
    in_step(&host, "one", 4).await;
    assert!(began.elapsed() < Duration::from_millis(1500));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_cannot_be_done_are_shown() {
    let _providers = providers(["ns-a"]);
    let install = Install::new();
    let mut other = task("pods", "ns-a", "ns-b");
    other["source"]["type"] = json!("kubernetes");
    install.write(REGISTRY, &document(&[other, task("one", "ns-a", "ns-b")]));
    install.write(
        CONFIG,
        &json!({
            "tasks": [{ "name": "files", "enable": true, "match": [{ "namespace": "empty_ns", "config_group": "*" }],
                "source": { "name": "n", "type": "nacos", "server": { "addresses": ["h:1"] } },
                "destination": { "name": "p", "type": "polaris", "server": { "addresses": ["h:2"] } } }],
            "methods": [{ "type": "watch", "enable": true }]
        }),
    );
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let tasks: Vec<Task> = host.get("/api/v1/tasks").await;
    let shown: Vec<_> =
        tasks.iter().map(|task| (task.name.as_str(), task.state.as_str(), task.kind.as_str())).collect();
    assert_eq!(
        shown,
        [("one", "in-step", "Service"), ("pods", "unsupported", "Service"), ("files", "unsupported", "Config")]
    );
    assert!(tasks[1].reason.contains("`kubernetes` is not supported yet"), "{tasks:?}");
    let found: Vec<Document> = host.get("/api/v1/documents").await;
    let subjects: Vec<_> = found.iter().map(|one| (one.subject.as_str(), one.tasks.join(","))).collect();
    assert_eq!(subjects, [("Registry", "one,pods".to_owned()), ("Configuration", "files".to_owned())]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_as_theirs_did() {
    let install = Install::new();
    let [grouped] = providers(["ha-a"]);
    register(&grouped, &causeway_core::ServiceKey::new("public", "G", "x"), 2000);
    let mut one = task("one", "ha-a", "ha-b");
    one["match"] = json!([{ "namespace": "empty_ns", "service": "s" }, { "namespace": "empty_ns", "service": "G__x" }]);
    install.write(REGISTRY, &document(&[one]));
    let host = install.start("data").await;
    in_step(&host, "one", 2).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // As on an address that everybody reaches.
    let everywhere = "10.0.0.1:8690".parse().unwrap();
    let access = causeway_server::Access::prepare_known(&host.node, everywhere).await.unwrap();
    let node = host.node.clone();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move { node.serve_peer_port(listener, access).await });
    let get = async |path: &str, token: Option<&str>| {
        let mut request = host.http.get(format!("http://{address}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/sync/health", None).await, (200, "pk ok".to_owned()));
    let path = "/sync/maintain/v1/namespaces?task=one&registry=ha-a";
    assert_eq!(get(path, None).await.0, 401);
    assert_eq!(get(path, Some("a token that nobody has given")).await.0, 401);
    let token = secrecy::SecretString::from("a token for this test");
    let (known, _) = causeway_server::Access::prepare_with(&host.node, everywhere, Some(token)).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let node = host.node.clone();
    serving.spawn(async move { node.serve_peer_port(listener, known).await });
    let get = async |path: &str| {
        let request = host.http.get(format!("http://{address}{path}")).bearer_auth("a token for this test");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, body) = get(path).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["code"], &body["namespaces"][0]["name"]), (200, &json!(200_000), &json!("public")));
    let (_, body) = get("/sync/maintain/v1/services?task=one&registry=ha-a&namespace=public").await;
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap()["services"],
        json!([{ "name": "s", "namespace": "public" }, { "name": "G__x", "namespace": "public" }]),
        "under the names that a document takes"
    );
    assert_eq!(get("/sync/maintain/v1/services?task=none&registry=ha-a").await, (404, String::new()));
    host.stop().await;
    while let Some(served) = serving.join_next().await {
        served.unwrap().unwrap();
    }
}

#[test]
fn nothing_is_followed_where_nothing_of_it_is_there() {
    assert!(installation(&|_| None, Path::new("/nowhere")).is_none());
}
