//! The proxy: real requests to real targets.

use super::Ground;
use axum::Router;
use axum::extract::Request;
use causeway_testbed::KongSetup;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Programs behind the proxy; each says its port, and what it was asked for.
struct Behind {
    ports: Vec<u16>,
    _work: JoinSet<()>,
}

impl Behind {
    async fn start(count: usize) -> Self {
        let (mut ports, mut work) = (Vec::new(), JoinSet::new());
        for _ in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let answer = move |request: Request| async move {
                let mut said = describe(port, &request);
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                said["body"] = String::from_utf8_lossy(&body).into_owned().into();
                said.to_string()
            };
            work.spawn(async move {
                axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
            });
            ports.push(port);
        }
        Self { ports, _work: work }
    }
}

fn describe(port: u16, request: &Request) -> Value {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    json!({
        "port": port, "uri": request.uri().to_string(), "host": header("host"), "method": request.method().as_str(),
        "forwarded": header("x-forwarded-host"),
    })
}

async fn get(at: &Ground, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("http://{}{path}", at.kong.proxy_addr())).await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// Longer than the proxy takes to learn of a route.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(250)).await;
}

async fn ports(at: &Ground, path: &str, count: usize) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        let (status, said) = get(at, path).await;
        assert_eq!(status, 200, "{said}");
        *seen.entry(said["port"].as_u64().unwrap()).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn requests_follow_weights_and_changes_at_once() {
    let (at, behind) = (Ground::new().await, Behind::start(3).await);
    at.api.make_upstream("u").await.unwrap();
    at.api.expose("s", "u", "/s").await.unwrap();
    assert_eq!(get(&at, "/s").await.0, 404, "the proxy learns of routes late");
    settle().await;
    let (status, said) = get(&at, "/s").await;
    assert_eq!((status, &said["message"]), (503, &json!("failure to get a peer from the ring-balancer")));
    let target = |n: usize| format!("127.0.0.1:{}", behind.ports[n]);
    for (n, weight) in [(0, 10), (1, 30), (2, 60)] {
        at.api.put_target("u", &target(n), weight, &[]).await.unwrap();
    }
    let seen = ports(&at, "/s", 100).await;
    assert_eq!(behind.ports.iter().map(|port| seen[&u64::from(*port)]).collect::<Vec<_>>(), [10, 30, 60]);
    at.api.put_target("u", &target(2), 0, &[]).await.unwrap();
    assert_eq!(ports(&at, "/s", 20).await.len(), 2, "a weight of 0 takes nothing");
    at.api.remove_target("u", &target(1)).await.unwrap();
    assert_eq!(ports(&at, "/s", 20).await, [(u64::from(behind.ports[0]), 20)].into());
    at.api.remove_target("u", &target(0)).await.unwrap();
    assert_eq!(get(&at, "/s").await.0, 503);
    let traffic = at.kong.desk().unwrap().traffic().await.unwrap();
    assert_eq!((traffic.answers[&200], traffic.targets.len(), traffic.retries), (140, 3, 0));
}

#[tokio::test]
async fn requests_are_passed_on_as_the_route_says() {
    let (at, behind) = (Ground::new().await, Behind::start(1).await);
    at.api.make_upstream("u").await.unwrap();
    let target = format!("127.0.0.1:{}", behind.ports[0]);
    at.api.put_target("u", &target, 100, &[]).await.unwrap();
    at.put("/services/s", json!({"host": "u", "path": "/base"})).await;
    for (name, route) in [
        ("plain", json!({"paths": ["/plain"]})),
        ("longer", json!({"paths": ["/plain/longer"], "strip_path": false})),
        ("host", json!({"hosts": ["*.example"], "paths": ["/"], "preserve_host": true})),
        ("post", json!({"methods": ["POST"], "paths": ["/plain"]})),
    ] {
        let mut route = route;
        route["protocols"] = json!(["http"]);
        assert_eq!(at.put(&format!("/services/s/routes/{name}"), route).await.0, 200);
    }
    settle().await;
    let (_, said) = get(&at, "/plain/x?y=1").await;
    assert_eq!((&said["uri"], &said["host"]), (&json!("/base/x?y=1"), &json!(target)));
    assert_eq!(said["forwarded"], "127.0.0.1");
    assert_eq!(get(&at, "/plain/longer/x").await.1["uri"], "/base/plain/longer/x");
    assert_eq!(get(&at, "/other").await.1["message"], "no Route matched with those values");
    let client = reqwest::Client::new();
    let url = format!("http://{}/other", at.kong.proxy_addr());
    let said = client.get(&url).header("host", "shop.example").send().await.unwrap().text().await.unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["uri"], &said["host"]), (&json!("/base/other"), &json!("shop.example")));
    let url = format!("http://{}/plain", at.kong.proxy_addr());
    let answer = client.post(&url).body("hello").send().await.unwrap();
    assert!(answer.headers().contains_key("x-kong-request-id") && answer.headers().contains_key("via"));
    let said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!((&said["method"], &said["body"]), (&json!("POST"), &json!("hello")));
}

#[tokio::test]
async fn a_target_that_is_not_there_is_passed_over() {
    let (at, behind) = (Ground::new().await, Behind::start(1).await);
    at.api.make_upstream("u").await.unwrap();
    at.api.expose("s", "u", "/s").await.unwrap();
    at.api.put_target("u", &format!("127.0.0.1:{}", behind.ports[0]), 100, &[]).await.unwrap();
    // Nothing listens there.
    at.api.put_target("u", "127.0.0.1:1", 100, &[]).await.unwrap();
    settle().await;
    assert_eq!(ports(&at, "/s", 10).await.len(), 1);
    let traffic = at.kong.desk().unwrap().traffic().await.unwrap();
    assert_eq!((traffic.retries, traffic.answers[&200]), (5, 10));
    at.api.remove_target("u", &format!("127.0.0.1:{}", behind.ports[0])).await.unwrap();
    assert_eq!(get(&at, "/s").await.0, 502);
    // A host that is no upstream's name and cannot be resolved, and one that can.
    at.put("/services/s", json!({"host": "nowhere.example"})).await;
    settle().await;
    assert_eq!(get(&at, "/s").await.1["message"], "name resolution failed");
    at.put("/services/s", json!({"host": "127.0.0.1", "port": behind.ports[0]})).await;
    settle().await;
    assert_eq!(get(&at, "/s").await.0, 200);
    at.patch("/services/s", json!({"enabled": false})).await;
    settle().await;
    assert_eq!(get(&at, "/s").await.0, 404);
}

#[tokio::test]
async fn an_unhealthy_target_takes_nothing() {
    let (at, behind) = (Ground::new().await, Behind::start(2).await);
    let checks = json!({"passive": {"unhealthy": {"http_failures": 3}}});
    at.put("/upstreams/u", json!({"healthchecks": checks})).await;
    at.api.expose("s", "u", "/s").await.unwrap();
    for port in &behind.ports {
        at.api.put_target("u", &format!("127.0.0.1:{port}"), 100, &[]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(ports(&at, "/s", 10).await.len(), 2);
    let path = format!("/upstreams/u/targets/127.0.0.1:{}/unhealthy", behind.ports[0]);
    assert_eq!(at.put(&path, json!({})).await.0, 204);
    assert_eq!(ports(&at, "/s", 10).await, [(u64::from(behind.ports[1]), 10)].into());
}

#[tokio::test]
async fn a_declarative_configuration_is_followed_at_once() {
    let setup = KongSetup { dbless: true, ..KongSetup::default() };
    let (at, behind) = (Ground::with(setup).await, Behind::start(1).await);
    let document = json!({"_format_version": "3.0",
        "services": [{"name": "s", "host": "u", "routes": [{"name": "r", "paths": ["/s"]}]}],
        "upstreams": [{"name": "u", "targets": [{"target": format!("127.0.0.1:{}", behind.ports[0])}]}]});
    assert_eq!(at.post("/config", document).await.0, 201);
    assert_eq!(get(&at, "/s").await.0, 200);
}
