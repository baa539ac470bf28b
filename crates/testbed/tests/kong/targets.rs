//! Targets: created by POST only, merged by PUT, named by the server.

use super::Ground;
use reqwest::Method;
use serde_json::{Value, json};

const ID: &str = "6f1c0a4e-0d0b-4a39-9a5e-3f0f4f0c2d22";

async fn ground() -> Ground {
    let at = Ground::new().await;
    at.put("/upstreams/u", json!({})).await;
    at
}

#[tokio::test]
async fn only_post_creates() {
    let at = ground().await;
    let (status, made) = at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:80"})).await;
    assert_eq!((status, &made["weight"], &made["tags"]), (201, &json!(100), &Value::Null));
    assert!(made["created_at"].is_f64() && made["upstream"]["id"].is_string(), "{made}");
    let (status, said) = at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:80", "weight": 5})).await;
    assert_eq!((status, &said["code"]), (409, &json!(5)));
    assert_eq!(said["fields"], json!({"target": "127.0.0.1:80", "upstream": made["upstream"]}));
    for method in [Method::PUT, Method::PATCH] {
        let (status, _) = at.ask(method.clone(), "/upstreams/u/targets/127.0.0.1:81", json!({"weight": 5})).await;
        assert_eq!(status, 404, "{method} of an absent target");
    }
    assert_eq!(at.put(&format!("/upstreams/u/targets/{ID}"), json!({"target": "a:1"})).await.0, 404);
    assert_eq!(at.put("/upstreams/u/targets", json!({"target": "a:1"})).await.0, 405);
    assert_eq!(at.post("/upstreams/none/targets", json!({"target": "a:1"})).await.0, 404);
    assert_eq!((at.get("/targets").await.0, at.get(&format!("/targets/{ID}")).await.0), (404, 404));
    // The same address in another upstream is another target.
    at.put("/upstreams/v", json!({})).await;
    assert_eq!(at.post("/upstreams/v/targets", json!({"target": "127.0.0.1:80"})).await.0, 201);
    let id = made["id"].as_str().unwrap();
    assert_eq!(at.get(&format!("/upstreams/v/targets/{id}")).await.0, 404, "of another upstream");
}

#[tokio::test]
async fn put_merges_and_null_clears() {
    let at = ground().await;
    let body = json!({"target": "127.0.0.1:80", "weight": 7, "tags": ["x"]});
    let (_, made) = at.post("/upstreams/u/targets", body).await;
    let path = "/upstreams/u/targets/127.0.0.1:80";
    let (status, said) = at.put(path, json!({})).await;
    assert_eq!((status, &said["weight"], &said["tags"]), (200, &json!(7), &json!(["x"])));
    assert_eq!((&said["id"], &said["created_at"]), (&made["id"], &made["created_at"]));
    let (_, said) = at.patch(path, json!({"weight": 0})).await;
    assert_eq!((&said["weight"], &said["tags"]), (&json!(0), &json!(["x"])));
    // Drained, and still there.
    assert_eq!(at.get(path).await.1["weight"], 0);
    assert_eq!(at.get("/upstreams/u/targets").await.1["data"].as_array().unwrap().len(), 1);
    assert_eq!(at.put(path, json!({"tags": null})).await.1["tags"], Value::Null);
    let id = made["id"].as_str().unwrap();
    let (status, said) = at.put(&format!("/upstreams/u/targets/{id}"), json!({"target": "127.0.0.1:90"})).await;
    assert_eq!((status, &said["target"], &said["id"]), (200, &json!("127.0.0.1:90"), &made["id"]));
    assert_eq!(at.get(path).await.0, 404);
}

#[tokio::test]
async fn a_second_delete_is_404() {
    let at = ground().await;
    at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:80"})).await;
    let path = "/upstreams/u/targets/127.0.0.1:80";
    assert_eq!((at.delete(path).await, at.delete(path).await), (204, 404));
    let (_, made) = at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:80"})).await;
    let path = format!("/upstreams/u/targets/{}", made["id"].as_str().unwrap());
    assert_eq!((at.delete(&path).await, at.delete(&path).await), (204, 404));
}

#[tokio::test]
async fn addresses_are_normalised() {
    let at = ground().await;
    for (given, stored, short) in [
        ("10.0.0.1", "10.0.0.1:8000", "10.0.0.1"),
        ("[::1]:9", "[0000:0000:0000:0000:0000:0000:0000:0001]:9", "%5B::1%5D:9"),
        ("svc.example", "svc.example:8000", "svc.example"),
        ("10.0.0.2:0", "10.0.0.2:0", "10.0.0.02:0"),
    ] {
        let (status, said) = at.post("/upstreams/u/targets", json!({"target": given})).await;
        assert_eq!((status, &said["target"]), (201, &json!(stored)));
        assert_eq!(at.get(&format!("/upstreams/u/targets/{short}")).await.0, 404, "{short} is not what it is called");
        let long = stored.replace('[', "%5B").replace(']', "%5D");
        assert_eq!(at.get(&format!("/upstreams/u/targets/{long}")).await.0, 200, "{long}");
        assert_eq!(at.post("/upstreams/u/targets", json!({"target": given})).await.0, 409);
    }
    // Names keep their case: two of them are two.
    for name in ["SVC:1", "svc:1"] {
        assert_eq!(at.post("/upstreams/u/targets", json!({"target": name})).await.0, 201);
    }
    for bad in ["10.0.0.1:65536", "a b:1", "bücher:1", ""] {
        at.refused(Method::POST, "/upstreams/u/targets", json!({"target": bad}), 2).await;
    }
    for (weight, why) in [
        (json!(1.5), "expected an integer"),
        (json!("1"), "expected an integer"),
        (json!(-1), "value should be between 0 and 65535"),
        (json!(65_536), "value should be between 0 and 65535"),
    ] {
        let body = json!({"target": "10.0.0.9:1", "weight": weight});
        let said = at.refused(Method::POST, "/upstreams/u/targets", body, 2).await;
        assert_eq!(said["fields"], json!({"weight": why}));
    }
    assert_eq!(at.post("/upstreams/u/targets", json!({"target": "10.0.0.9:1", "weight": 65_535})).await.0, 201);
    let said = at.refused(Method::POST, "/upstreams/u/targets", json!({"target": "a:1", "name": "x"}), 2).await;
    assert_eq!(said["fields"], json!({"name": "unknown field"}));
}

#[tokio::test]
async fn health_comes_late_and_only_where_it_is_checked() {
    let at = Ground::new().await;
    let checks = json!({"passive": {"unhealthy": {"http_failures": 3}, "healthy": {"successes": 3}}});
    at.put("/upstreams/on", json!({"healthchecks": checks})).await;
    at.put("/upstreams/off", json!({})).await;
    for upstream in ["on", "off"] {
        at.post(&format!("/upstreams/{upstream}/targets"), json!({"target": "127.0.0.1:80"})).await;
        at.post(&format!("/upstreams/{upstream}/targets"), json!({"target": "no.such.name:80"})).await;
    }
    let path = "/upstreams/on/targets/127.0.0.1:80";
    let (_, early) = at.get("/upstreams/on/health").await;
    assert!(early["data"][0].get("health").is_none() && early["node_id"].is_string(), "{early}");
    let (status, said) = at.put(&format!("{path}/unhealthy"), json!({})).await;
    assert_eq!((status, &said["message"]), (400, &json!("Upstream on has no balancer")));
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let health = async |upstream: &str| {
        let (_, said) = at.get(&format!("/upstreams/{upstream}/health")).await;
        let of = |row: &Value| (row["target"].as_str().unwrap().to_owned(), row["health"].as_str().unwrap().to_owned());
        let mut all: Vec<_> = said["data"].as_array().unwrap().iter().map(of).collect();
        all.sort();
        all.into_iter().map(|(_, health)| health).collect::<Vec<_>>()
    };
    assert_eq!(health("off").await, ["HEALTHCHECKS_OFF", "DNS_ERROR"]);
    assert_eq!(health("on").await, ["HEALTHY", "DNS_ERROR"]);
    let (status, said) = at.put("/upstreams/off/targets/127.0.0.1:80/unhealthy", json!({})).await;
    assert_eq!((status, &said["message"]), (400, &json!("no healthchecker found")));
    assert_eq!(at.post(&format!("{path}/unhealthy"), json!({})).await.0, 405);
    assert_eq!(at.put(&format!("{path}/unhealthy"), json!({})).await.0, 204);
    assert_eq!(health("on").await, ["UNHEALTHY", "DNS_ERROR"]);
    assert_eq!(at.get("/upstreams/on/health?balancer_health=1").await.1["data"]["health"], "UNHEALTHY");
    assert_eq!(at.put(&format!("{path}/127.0.0.1:80/healthy"), json!({})).await.0, 204);
    assert_eq!(health("on").await, ["HEALTHY", "DNS_ERROR"]);
    let (_, said) = at.get("/upstreams/on/health").await;
    let row = said["data"].as_array().unwrap().iter().find(|row| row["target"] == "127.0.0.1:80").unwrap().clone();
    assert_eq!(row["data"]["addresses"][0]["health"], "HEALTHY", "{row}");
    // It is this process's own and not stored.
    at.put(&format!("{path}/unhealthy"), json!({})).await;
    at.kong.kill9().unwrap();
    at.kong.start_again().await.unwrap();
    assert_eq!(health("on").await, ["HEALTHY", "DNS_ERROR"]);
}
