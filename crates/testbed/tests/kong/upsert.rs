//! Services, routes and upstreams: PUT, POST, PATCH, DELETE, their names and their values.

use super::Ground;
use reqwest::Method;
use serde_json::{Value, json};

const ID: &str = "6f1c0a4e-0d0b-4a39-9a5e-3f0f4f0c2d22";

#[tokio::test]
async fn put_is_200_whether_it_creates_or_replaces() {
    let at = Ground::new().await;
    for (path, body) in [
        ("/upstreams/a", json!({})),
        ("/services/a", json!({"host": "a"})),
        ("/routes/a", json!({"paths": ["/a"], "service": {"name": "a"}})),
        ("/services/a/routes/b", json!({"paths": ["/a"]})),
    ] {
        let (status, first) = at.put(path, body.clone()).await;
        assert_eq!(status, 200, "{path}: {first}");
        let (status, second) = at.put(path, body).await;
        assert_eq!((status, &second["id"]), (200, &first["id"]), "{path}: {second}");
    }
    // Same paths on two routes are allowed.
    assert_eq!(at.get("/services/a/routes").await.1["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_paths_name_or_id_wins() {
    let at = Ground::new().await;
    let (status, said) = at.put("/services/a", json!({"host": "h", "name": "other"})).await;
    assert_eq!((status, &said["name"]), (200, &json!("a")));
    let own = said["id"].clone();
    let (_, said) = at.put("/services/a", json!({"host": "h", "id": ID})).await;
    assert_eq!(said["id"], own, "only a new entity may be given its id so");
    let (status, said) = at.put("/services/b", json!({"host": "h", "id": ID})).await;
    assert_eq!((status, &said["id"]), (200, &json!(ID)));
    at.refused(Method::PUT, "/services/c", json!({"host": "h", "id": ID}), 3).await;
    let (status, said) = at.put(&format!("/services/{ID}"), json!({"host": "h", "name": "b"})).await;
    assert_eq!((status, &said["id"], &said["name"]), (200, &json!(ID), &json!("b")));
    let (status, said) = at.put(&format!("/services/{ID}"), json!({"host": "h", "name": "a"})).await;
    assert_eq!((status, &said["code"], &said["name"]), (409, &json!(5), &json!("unique constraint violation")));
    assert_eq!(said["fields"], json!({"name": "a"}));
}

#[tokio::test]
async fn put_replaces_all_and_patch_merges() {
    let at = Ground::new().await;
    let full = json!({"host": "h", "retries": 2, "tags": ["x"], "path": "/p"});
    let (_, first) = at.put("/services/a", full.clone()).await;
    assert_eq!((&first["retries"], &first["tags"], &first["read_timeout"]), (&json!(2), &json!(["x"]), &json!(60_000)));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let (_, same) = at.put("/services/a", full).await;
    for time in ["created_at", "updated_at"] {
        assert!(same[time].as_u64() > first[time].as_u64(), "{time} of an identical PUT: {first} {same}");
    }
    let (_, bare) = at.put("/services/a", json!({"host": "h"})).await;
    assert_eq!((&bare["retries"], &bare["tags"], &bare["path"]), (&json!(5), &Value::Null, &Value::Null));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let (status, merged) = at.patch("/services/a", json!({"tags": ["y"]})).await;
    assert_eq!((status, &merged["tags"], &merged["host"]), (200, &json!(["y"]), &json!("h")));
    assert_eq!(merged["created_at"], bare["created_at"]);
    assert!(merged["updated_at"].as_u64() > bare["updated_at"].as_u64());
    let (status, said) = at.patch("/services/none", json!({"tags": []})).await;
    assert_eq!((status, &said["code"], &said["name"]), (404, &json!(6), &json!("not found")));

    // Of a record only what is said changes; of a list all.
    at.put("/upstreams/u", json!({})).await;
    let (_, merged) = at.patch("/upstreams/u", json!({"healthchecks": {"active": {"healthy": {"interval": 3}}}})).await;
    assert_eq!(merged["healthchecks"]["active"]["healthy"]["interval"], 3);
    assert_eq!(merged["healthchecks"]["active"]["healthy"]["http_statuses"], json!([200, 302]));
    assert_eq!(merged["healthchecks"]["passive"]["unhealthy"]["http_statuses"], json!([429, 500, 503]));
}

#[tokio::test]
async fn post_creates_and_never_replaces() {
    let at = Ground::new().await;
    assert_eq!(at.post("/upstreams", json!({"name": "a", "id": ID})).await.0, 201);
    let (status, said) = at.post("/upstreams", json!({"name": "a"})).await;
    assert_eq!((status, &said["code"], &said["fields"]), (409, &json!(5), &json!({"name": "a"})));
    at.refused(Method::POST, "/upstreams", json!({"name": "b", "id": ID}), 3).await;
    let form = "application/x-www-form-urlencoded";
    let (status, said) =
        at.raw(Method::POST, "/services", Some(form), "name=f&host=h&port=81&tags[]=x&tags[]=y&enabled=false").await;
    assert_eq!(status, 201, "{said}");
    assert_eq!((&said["port"], &said["tags"], &said["enabled"]), (&json!(81), &json!(["x", "y"]), &json!(false)));
    let (status, said) = at.raw(Method::POST, "/services", Some("application/json"), "{\"name\":").await;
    assert_eq!((status, &said["message"]), (400, &json!("Cannot parse JSON body")));
    assert_eq!(at.raw(Method::POST, "/services", Some("text/plain"), "x").await.0, 415);
}

#[tokio::test]
async fn a_url_sets_four_fields() {
    let at = Ground::new().await;
    let (_, said) = at.put("/services/a", json!({"url": "https://h.example/p/q?x=1", "host": "other"})).await;
    let four = ["protocol", "host", "port", "path"].map(|name| said[name].clone());
    assert_eq!(four, [json!("https"), json!("h.example"), json!(443), json!("/p/q")]);
    let (_, said) = at.put("/services/a", json!({"url": "http://h.example:81"})).await;
    assert_eq!((&said["port"], &said["path"]), (&json!(81), &Value::Null));
}

#[tokio::test]
async fn routes_must_say_what_they_take() {
    let at = Ground::new().await;
    at.put("/services/s", json!({"host": "h"})).await;
    for bad in [
        json!({"service": {"name": "s"}}),
        json!({"protocols": ["http"], "snis": ["a.example"]}),
        json!({"paths": ["a"]}),
        json!({"paths": ["/%zz"]}),
        json!({"paths": ["/../a"]}),
        json!({"hosts": ["a.*.example"]}),
        json!({"methods": ["get"]}),
        json!({"expression": "http.path == \"/\""}),
        json!({"paths": ["/"], "protocols": ["gopher"]}),
    ] {
        at.refused(Method::PUT, "/routes/r", bad, 2).await;
    }
    for good in [
        json!({"paths": ["~/a$", "/b"]}),
        json!({"paths": ["/服务", "/a b{c}"]}),
        json!({"hosts": ["*.example"]}),
        json!({"snis": ["a.example"]}),
        json!({"methods": ["GET"], "protocols": ["http"]}),
    ] {
        assert_eq!(at.put("/routes/r", good.clone()).await.0, 200, "{good}");
    }
    let body = json!({"paths": ["/"], "service": {"id": ID}});
    let said = at.refused(Method::POST, "/routes", body, 4).await;
    assert_eq!((&said["name"], &said["fields"]), (&json!("foreign key violation"), &json!({"service": {"id": ID}})));
    at.refused(Method::POST, "/routes", json!({"paths": ["/"], "service": {"name": "none"}}), 13).await;
    assert_eq!(at.put("/services/none/routes/r", json!({"paths": ["/"]})).await.0, 404);
}

#[tokio::test]
async fn deletes_are_204_even_of_nothing() {
    let at = Ground::new().await;
    for path in ["/services/none", "/routes/none", "/upstreams/none"] {
        assert_eq!(at.delete(path).await, 204, "{path}");
    }
    at.put("/services/s", json!({"host": "u"})).await;
    at.put("/services/s/routes/r", json!({"paths": ["/"]})).await;
    let (status, said) = at.ask(Method::DELETE, "/services/s", None).await;
    assert_eq!((status, &said["code"], &said["name"]), (400, &json!(4), &json!("foreign key violation")));
    assert_eq!(said["fields"], json!({"@referenced_by": "routes"}));
    // An upstream takes its targets with it, and does not ask whether a service names it.
    at.put("/upstreams/u", json!({})).await;
    assert_eq!(at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:1", "tags": ["t"]})).await.0, 201);
    assert_eq!(at.delete("/upstreams/u").await, 204);
    assert_eq!(at.get("/tags/t").await.1["data"], json!([]));
    assert_eq!((at.delete("/routes/r").await, at.delete("/services/s").await), (204, 204));
    assert_eq!(at.get("/services/s").await, (404, json!({"message": "Not found"})));
    assert_eq!(at.delete("/services?tags=x").await, 405);
    assert_eq!(at.ask(Method::PATCH, "/services", json!({})).await.0, 405);
}

#[tokio::test]
async fn unknown_fields_and_wrong_types_are_errors() {
    let at = Ground::new().await;
    for (path, body, field, why) in [
        ("/services/a", json!({"host": "h", "hots": 1}), "hots", "unknown field"),
        ("/services/a", json!({}), "host", "required field missing"),
        ("/services/a", json!({"host": "h", "port": "80"}), "port", "expected an integer"),
        ("/services/a", json!({"host": "h", "port": 65_536}), "port", "value should be between 0 and 65535"),
        ("/services/a", json!({"host": "h:80"}), "host", "must not have a port"),
        (
            "/services/a",
            json!({"host": "h", "read_timeout": 0}),
            "read_timeout",
            "value should be between 1 and 2147483646",
        ),
        ("/services/a", json!({"host": "h", "enabled": "yes"}), "enabled", "expected a boolean"),
        ("/services/a", json!({"host": "h", "tags": "x"}), "tags", "expected a set"),
        (
            "/upstreams/a",
            json!({"algorithm": "random"}),
            "algorithm",
            "expected one of: consistent-hashing, least-connections, round-robin, latency",
        ),
        ("/upstreams/a", json!({"weight": 1}), "weight", "unknown field"),
    ] {
        let said = at.refused(Method::PUT, path, body, 2).await;
        assert_eq!((&said["name"], &said["fields"][field]), (&json!("schema violation"), &json!(why)), "{said}");
        assert_eq!(said["message"], format!("schema violation ({field}: {why})"));
    }
    let said = at.refused(Method::PUT, "/upstreams/a", json!({"healthchecks": {"active": {"typ": "tcp"}}}), 2).await;
    assert_eq!(said["fields"], json!({"healthchecks": {"active": {"typ": "unknown field"}}}));
    let said = at.refused(Method::PUT, "/services/a", json!({"hosts": 1}), 2).await;
    assert_eq!(said["message"], "2 schema violations (host: required field missing; hosts: unknown field)");
    at.refused(Method::PUT, "/upstreams/a", json!({"hash_on": "header"}), 2).await;
}

#[tokio::test]
async fn names_of_services_and_of_upstreams() {
    let at = Ground::new().await;
    for good in ["orders", "a.b-c_d~e", "服务", &"x".repeat(300)] {
        assert_eq!(at.post("/services", json!({"name": good, "host": "h"})).await.0, 201, "{good}");
    }
    assert_eq!(at.get("/services/%E6%9C%8D%E5%8A%A1").await.0, 200);
    assert_eq!(at.get("/services/Orders").await.0, 404, "names have a case");
    for bad in ["a:b", "a@b", "a/b", "a b", ""] {
        at.refused(Method::POST, "/services", json!({"name": bad, "host": "h"}), 2).await;
    }
    for good in ["orders", "-orders", "a_b.c-d", "Orders", &"x".repeat(64)] {
        assert_eq!(at.post("/upstreams", json!({"name": good})).await.0, 201, "{good}");
    }
    for bad in ["G@@orders", "a:b", "a b", "服务", "127.0.0.1", "a..b", "orders-", "orders:80"] {
        at.refused(Method::POST, "/upstreams", json!({"name": bad}), 2).await;
    }
    // A name like an id is taken, and cannot be reached by itself.
    assert_eq!(at.post("/upstreams", json!({"name": ID})).await.0, 201);
    assert_eq!(at.get(&format!("/upstreams/{ID}")).await.0, 404);
}

#[tokio::test]
async fn tags_are_printable() {
    let at = Ground::new().await;
    for good in ["a", "managed-by:causeway", "k=v w", "标签", &"x".repeat(600)] {
        let (status, said) = at.put("/upstreams/a", json!({"tags": [good]})).await;
        assert_eq!((status, &said["tags"]), (200, &json!([good])));
    }
    for bad in ["", "a,b", "a/b", "a\tb"] {
        at.refused(Method::PUT, "/upstreams/a", json!({"tags": [bad]}), 2).await;
    }
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_answered() {
    let at = Ground::new().await;
    at.put("/services/s", json!({"host": "u"})).await;
    at.put("/upstreams/u", json!({})).await;
    for port in 1..=50 {
        at.post("/upstreams/u/targets", json!({"target": format!("127.0.0.1:{port}")})).await;
    }
    at.delete("/upstreams/u/targets/127.0.0.1:7").await;
    let before = (at.api.list("/services").await.unwrap(), at.api.targets("u").await.unwrap());
    at.kong.kill9().unwrap();
    at.kong.start_again().await.unwrap();
    assert_eq!(before, (at.api.list("/services").await.unwrap(), at.api.targets("u").await.unwrap()));
    assert_eq!(before.1.len(), 49);
}
