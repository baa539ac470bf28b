//! Lists, their pages, and tags.

use super::Ground;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn names(page: &Value, field: &str) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_of_a_list_follow_ids() {
    let at = Ground::new().await;
    for n in 0..7 {
        at.put(&format!("/upstreams/u-{n}"), json!({"tags": ["a b"]})).await;
    }
    let (_, all) = at.get("/upstreams").await;
    assert_eq!((all["data"].as_array().unwrap().len(), &all["next"]), (7, &Value::Null));
    assert!(all.get("offset").is_none(), "{all}");
    let (_, first) = at.get("/upstreams?size=3&tags=a%20b").await;
    let offset = first["offset"].as_str().unwrap();
    let encoded = offset.replace('=', "%3D");
    assert_eq!(first["next"], format!("/upstreams?offset={encoded}&tags=a%20b&size=3"), "{first}");
    // What is written between two pages is neither skipped nor repeated.
    let gone = names(&first, "name")[0].clone();
    at.delete(&format!("/upstreams/{gone}")).await;
    let (_, second) = at.get(first["next"].as_str().unwrap()).await;
    let (_, third) = at.get(second["next"].as_str().unwrap()).await;
    let seen: Vec<String> = [&first, &second, &third].into_iter().flat_map(|page| names(page, "name")).collect();
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len(), &third["next"]), (7, 7, &Value::Null));
    for (query, code) in [("size=0", 9), ("size=1001", 9), ("size=x", 9), ("size=1.5", 9), ("offset=!", 7)] {
        at.refused(Method::GET, &format!("/upstreams?{query}"), Value::Null, code).await;
    }
    assert_eq!(at.get("/upstreams?size=1000").await.0, 200);
    // There is no filter by name.
    assert_eq!(at.get("/upstreams?name=u-1").await.1["data"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_page_has_100_by_default() {
    let at = Ground::new().await;
    at.put("/upstreams/u", json!({})).await;
    for port in 1..=130 {
        at.post("/upstreams/u/targets", json!({"target": format!("127.0.0.1:{port}")})).await;
    }
    let (_, page) = at.get("/upstreams/u/targets").await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["offset"]), (100, &json!("100")));
    assert_eq!(page["data"][0]["target"], "127.0.0.1:130", "the newest is first");
    // `next` names the upstream as it was called, and drops the size.
    let (_, page) = at.get("/upstreams/u/targets?size=2&offset=1").await;
    assert_eq!(names(&page, "target"), ["127.0.0.1:129", "127.0.0.1:128"]);
    assert_eq!(page["next"], "/upstreams/u/targets?offset=3");
    assert_eq!(at.get(page["next"].as_str().unwrap()).await.1["data"].as_array().unwrap().len(), 100);
    // Pages are counted anew each time: a write between two of them shifts the second.
    at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:200"})).await;
    let (_, shifted) = at.get(page["next"].as_str().unwrap()).await;
    assert_eq!(shifted["data"][0]["target"], "127.0.0.1:128", "seen twice");
    assert_eq!(at.get("/upstreams/u/targets?offset=x").await.0, 500);
    assert_eq!(at.get("/upstreams/u/targets?size=1001").await.1["data"].as_array().unwrap().len(), 131);
    assert_eq!(at.get("/upstreams/u/targets?size=1000").await.1["data"].as_array().unwrap().len(), 131);
}

#[tokio::test]
async fn tags_filter_top_lists_only() {
    let at = Ground::new().await;
    for (name, tags) in [("a", json!(["x"])), ("b", json!(["x", "y"])), ("c", json!(["y"])), ("d", Value::Null)] {
        at.put(&format!("/services/{name}"), json!({"host": "h", "tags": tags})).await;
    }
    let listed = async |query: &str| {
        let (_, page) = at.get(&format!("/services?{query}")).await;
        let mut all = names(&page, "name");
        all.sort();
        all.concat()
    };
    for (query, found) in
        [("tags=x", "ab"), ("tags=x,y", "b"), ("tags=x/y", "abc"), ("tags=z", ""), ("tags=x&tags=y", "ab")]
    {
        assert_eq!(listed(query).await, found, "{query}");
    }
    let said = at.refused(Method::GET, "/services?tags=x,y/z", Value::Null, 11).await;
    assert_eq!((&said["name"], said["options"]["tags"].is_string()), (&json!("invalid options"), true));
    at.refused(Method::GET, "/services?tags=a,b,c,d,e,f", Value::Null, 11).await;

    at.put("/upstreams/u", json!({})).await;
    for (target, tags) in [("127.0.0.1:1", json!(["x"])), ("127.0.0.1:2", json!(["y"]))] {
        at.post("/upstreams/u/targets", json!({"target": target, "tags": tags})).await;
    }
    assert_eq!(at.get("/upstreams/u/targets?tags=x").await.1["data"].as_array().unwrap().len(), 2);
    for n in ["1", "2"] {
        at.put(&format!("/services/a/routes/r{n}"), json!({"paths": ["/"], "tags": [n]})).await;
    }
    assert_eq!(at.get("/services/a/routes?tags=1").await.1["data"].as_array().unwrap().len(), 2);
    assert_eq!(at.get("/routes?tags=1").await.1["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tag_lists_entities_of_every_kind() {
    let at = Ground::new().await;
    at.put("/services/s", json!({"host": "h", "tags": ["t"]})).await;
    at.put("/services/s/routes/r", json!({"paths": ["/"], "tags": ["t", "other"]})).await;
    at.put("/upstreams/u", json!({"tags": ["t"]})).await;
    at.post("/upstreams/u/targets", json!({"target": "127.0.0.1:1", "tags": ["t"]})).await;
    let (_, page) = at.get("/tags/t").await;
    let kinds: BTreeSet<_> = names(&page, "entity_name").into_iter().collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["routes", "services", "targets", "upstreams"]);
    let row = &page["data"][0];
    assert_eq!(row.as_object().unwrap().keys().collect::<BTreeSet<_>>().len(), 3, "ids and nothing more: {row}");
    let (_, first) = at.get("/tags/t?size=3").await;
    assert_eq!(first["data"].as_array().unwrap().len(), 3);
    assert!(!first["next"].as_str().unwrap().contains("size"), "{first}");
    assert_eq!(at.get(first["next"].as_str().unwrap()).await.1["data"].as_array().unwrap().len(), 1);
    assert_eq!(at.get("/tags/none").await.1["data"], json!([]));
    assert_eq!(at.get("/tags").await.1["data"].as_array().unwrap().len(), 5);
}
