//! The server itself: who may ask, workspaces, TLS, and the door for tests.

use super::Ground;
use causeway_testbed::{KONG_TOKEN, KongFault, KongSetup};
use reqwest::{Client, Method};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn it_says_what_it_is() {
    let at = Ground::new().await;
    let (_, root) = at.get("/").await;
    assert_eq!((&root["version"], &root["edition"]), (&json!("3.9.3"), &json!("community")));
    assert_eq!(root["configuration"]["database"], "postgres");
    assert_eq!(root["configuration"]["router_flavor"], "traditional_compatible");
    assert_eq!(at.get("/status").await.1["database"], json!({"reachable": true}));
    let answer = reqwest::get(format!("http://{}/services", at.kong.addr())).await.unwrap();
    assert!(answer.headers().contains_key("x-kong-admin-latency"), "{:?}", answer.headers());
    assert_eq!(at.get("/nothing").await, (404, json!({"message": "Not found"})));
    // No workspaces, and no configuration in one piece.
    assert_eq!((at.get("/default/services").await.0, at.get("/workspaces/default").await.0), (404, 404));
    assert_eq!(at.post("/config", json!({"_format_version": "3.0"})).await.0, 400);
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let at = Ground::with(KongSetup { token: true, authorization: true, ..KongSetup::default() }).await;
    assert_eq!(at.get("/services").await.0, 200);
    let with = async |name: &str, value: &str| {
        let request = Client::new().get(format!("http://{}/services", at.kong.addr())).header(name, value);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((with("x", "y").await, with("Kong-Admin-Token", "wrong").await), (401, 401));
    assert_eq!((with("authorization", KONG_TOKEN).await, with("authorization", "wrong").await), (200, 401));
    let at = Ground::with(KongSetup { token: true, ..KongSetup::default() }).await;
    let request = Client::new().get(format!("http://{}/services", at.kong.addr()));
    assert_eq!(request.header("authorization", KONG_TOKEN).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn workspaces_are_apart() {
    let at = Ground::with(KongSetup { workspaces: vec!["team-a".into()], ..KongSetup::default() }).await;
    assert_eq!(at.put("/team-a/upstreams/u", json!({"tags": ["a"]})).await.0, 200);
    assert_eq!((at.get("/upstreams/u").await.0, at.get("/team-a/upstreams/u").await.0), (404, 200));
    assert_eq!((at.get("/default/services").await.0, at.get("/team-b/services").await.0), (200, 404));
    assert_eq!((at.get("/workspaces/team-a").await.0, at.get("/workspaces/team-b").await.0), (200, 404));
}

#[tokio::test]
async fn it_speaks_tls() {
    let at = Ground::with(KongSetup { tls: true, ..KongSetup::default() }).await;
    let ca = reqwest::Certificate::from_pem(&std::fs::read(at.kong.ca_file()).unwrap()).unwrap();
    let client = Client::builder().tls_certs_only([ca]).build().unwrap();
    let url = format!("https://{}/status", at.kong.tls_addr());
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    assert!(Client::new().get(&url).send().await.is_err(), "an authority that nobody knows");
}

#[tokio::test]
async fn its_door_counts_and_makes_faults() {
    let at = Ground::new().await;
    let desk = at.kong.desk().unwrap();
    desk.forget().await.unwrap();
    for _ in 0..3 {
        at.get("/services?size=10").await;
    }
    at.put("/upstreams/u", json!({})).await;
    let calls = desk.calls().await.unwrap();
    assert_eq!(calls, [("GET /services".to_owned(), 3), ("PUT /upstreams/u".to_owned(), 1)].into());
    assert_eq!((desk.total().await.unwrap(), desk.writes().await.unwrap()), (4, 1));

    let fault = |fault: KongFault| KongFault { path: "/upstreams/u/targets".into(), ..fault };
    let refuses =
        fault(KongFault { method: Some("POST".into()), status: Some(500), times: Some(1), ..KongFault::default() });
    desk.fault(&refuses).await.unwrap();
    let post = async || at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:1"})).await.0;
    assert_eq!((post().await, post().await, post().await), (500, 201, 409));
    // One that is done and says that it failed.
    at.delete("/upstreams/u/targets/127.0.0.1:1").await;
    desk.fault(&KongFault { done: true, ..refuses }).await.unwrap();
    assert_eq!((post().await, post().await), (500, 409));
    desk.fault(&fault(KongFault { delay_ms: 300, ..KongFault::default() })).await.unwrap();
    let began = Instant::now();
    at.get("/upstreams/u/targets").await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    desk.mend().await.unwrap();

    desk.hang().await.unwrap();
    let asking = at.get("/services");
    tokio::pin!(asking);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut asking).await.is_err(), "it answers");
    desk.go_on().await.unwrap();
    assert_eq!(asking.await.0, 200);
    assert_eq!(at.ask(Method::HEAD, "/services", None).await.0, 200);
}

#[tokio::test]
async fn it_may_be_as_slow_as_a_real_one() {
    let at = Ground::with(KongSetup { more: vec!["--latency".into(), "17".into()], ..KongSetup::default() }).await;
    let began = Instant::now();
    for n in 0..5 {
        at.put(&format!("/upstreams/u{n}"), json!({})).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(85), "{:?}", began.elapsed());
}
