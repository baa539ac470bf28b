//! Without a database.

use super::Ground;
use causeway_testbed::KongSetup;
use reqwest::Method;
use serde_json::{Value, json};

async fn ground() -> Ground {
    Ground::with(KongSetup { dbless: true, ..KongSetup::default() }).await
}

fn document() -> Value {
    json!({
        "_format_version": "3.0",
        "services": [{"name": "s", "host": "u", "routes": [{"name": "r", "paths": ["/"]}]}],
        "upstreams": [{"name": "u", "targets": [{"target": "127.0.0.1:80", "weight": 5, "tags": ["x"]}]}],
        "consumers": [{"username": "someone"}],
    })
}

#[tokio::test]
async fn entities_cannot_be_written_one_by_one() {
    let at = ground().await;
    assert_eq!(at.post("/config", document()).await.0, 201);
    for (method, path, body) in [
        (Method::POST, "/services", json!({"host": "h"})),
        (Method::PUT, "/services/s", json!({"host": "h"})),
        (Method::PATCH, "/upstreams/u", json!({"slots": 100})),
        (Method::DELETE, "/routes/r", json!({})),
        (Method::POST, "/upstreams/u/targets", json!({"target": "127.0.0.1:81"})),
        (Method::PUT, "/upstreams/u/targets/127.0.0.1:80", json!({"weight": 1})),
        (Method::DELETE, "/upstreams/u/targets/127.0.0.1:80", json!({})),
    ] {
        let (status, said) = at.ask(method.clone(), path, body).await;
        assert_eq!((status, &said["code"]), (405, &json!(12)), "{method} {path}: {said}");
        assert_eq!(said["name"], "operation unsupported");
    }
    assert_eq!(at.delete("/services/none").await, 204);
    assert_eq!(at.get("/services/s/routes").await.1["data"][0]["name"], "r");
    assert_eq!(at.get("/upstreams/u/targets").await.1["data"][0]["weight"], 5);
    assert!(at.get("/status").await.1.get("database").is_none());
    assert_eq!(at.get("/").await.1["configuration"]["database"], "off");
}

#[tokio::test]
async fn a_configuration_replaces_everything() {
    let at = ground().await;
    let (status, said) = at.post("/config", document()).await;
    assert_eq!(status, 201, "{said}");
    let service = said["services"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!((&service["name"], &service["retries"]), (&json!("s"), &json!(5)));
    let target = said["targets"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!(target["target"], "127.0.0.1:80");
    // The same names have the same ids, whoever reads them.
    let other = ground().await;
    let (_, again) = other.post("/config", document()).await;
    let ids = |said: &Value, kind: &str| said[kind].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for kind in ["services", "routes", "upstreams", "targets"] {
        assert_eq!(ids(&said, kind), ids(&again, kind), "{kind}");
        assert_eq!(ids(&said, kind)[0].as_bytes()[14], b'5', "{kind}");
    }
    let (status, _) = at.post("/config", json!({"_format_version": "3.0", "upstreams": [{"name": "only"}]})).await;
    assert_eq!(status, 201);
    assert_eq!(
        (at.get("/services").await.1["data"].as_array().unwrap().len(), at.get("/upstreams/u").await.0),
        (0, 404)
    );
    // A crash loses it.
    at.kong.kill9().unwrap();
    at.kong.start_again().await.unwrap();
    assert_eq!(at.get("/upstreams/only").await.0, 404);
}

#[tokio::test]
async fn tags_can_be_asked_for_where_everything_has_one() {
    let at = ground().await;
    let tagged = |tags: Value| {
        json!({"_format_version": "3.0", "upstreams": [
            {"name": "u", "tags": ["t"], "targets": [{"target": "127.0.0.1:80", "tags": ["t"]}]}, {"name": "v", "tags": tags}]})
    };
    assert_eq!(at.post("/config", tagged(json!(["other"]))).await.0, 201);
    assert_eq!(at.get("/upstreams?tags=t").await.1["data"][0]["name"], "u");
    // A page for each kind, also an empty one.
    let (_, page) = at.get("/tags/t").await;
    assert!(page["offset"].as_str().unwrap().ends_with("|nil"), "{page}");
    assert_eq!(at.post("/config", tagged(Value::Null)).await.0, 201);
    assert_eq!(at.get("/upstreams?tags=t").await.0, 500);
    let mut path = "/tags/t".to_owned();
    let failed = loop {
        let (status, page) = at.get(&path).await;
        let Some(next) = page["next"].as_str() else { break status };
        path = next.to_owned();
    };
    assert_eq!(failed, 500);
    assert_eq!(at.get("/upstreams/u/targets").await.1["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_text_has_a_hash_that_can_be_checked() {
    let at = ground().await;
    let none = at.get("/status").await.1["configuration_hash"].clone();
    assert_eq!(none, "0".repeat(32));
    let text = json!({"config": document().to_string()});
    assert_eq!(at.post("/config?check_hash=1", text.clone()).await.0, 201);
    let hash = at.get("/status").await.1["configuration_hash"].clone();
    assert_ne!(hash, none);
    assert_eq!(at.post("/config?check_hash=1", text.clone()).await.0, 304);
    assert_eq!(at.post("/config", text).await.0, 201, "without the check it is read again");
    // An object has none before it is read.
    for _ in 0..2 {
        assert_eq!(at.post("/config?check_hash=1", document()).await.0, 201);
    }
    let yaml = "_format_version: '3.0'\nupstreams:\n- name: yaml\n  targets:\n  - target: 127.0.0.1:1\n";
    assert_eq!(at.post("/config", json!({"config": yaml})).await.0, 201);
    assert_eq!(at.get("/upstreams/yaml/targets").await.1["data"][0]["weight"], 100);
    assert_eq!(at.raw(Method::POST, "/config", Some("text/yaml"), yaml).await.0, 201);
}

#[tokio::test]
async fn mistakes_are_told_and_change_nothing() {
    let at = ground().await;
    at.post("/config", document()).await;
    let wrong = json!({
        "_format_version": "3.0",
        "services": [{"name": "s", "host": "u"}, {"name": "t", "host": "u", "prot": 1, "tags": ["mine"],
            "routes": [{"name": "r", "paths": ["no"]}]}],
        "upstreams": [{"name": "u", "targets": [{"target": "127.0.0.1:99999"}]}, {"name": "a b"}],
    });
    let said = at.refused(Method::POST, "/config", wrong.clone(), 14).await;
    assert_eq!(said["name"], "invalid declarative configuration");
    assert_eq!(
        said["fields"]["services"],
        json!([null, {"prot": "unknown field",
        "routes": [{"paths": ["should start with: / (fixed path) or ~/ (regex path)"]}]}])
    );
    assert!(said["fields"]["upstreams"][1]["name"].is_string(), "{said}");
    let said = at.refused(Method::POST, "/config?flatten_errors=1", wrong, 14).await;
    let flat = said["flattened_errors"].as_array().unwrap();
    let of = |kind: &str| flat.iter().find(|one| one["entity_type"] == kind).unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&of("service")["entity_name"], &of("service")["entity_tags"]), (&json!("t"), &json!(["mine"])));
    assert_eq!(of("service")["errors"][0], json!({"type": "field", "field": "prot", "message": "unknown field"}));
    assert_eq!(of("target")["entity"]["target"], "127.0.0.1:99999");
    assert_eq!(flat.len(), 4, "{said}");
    for bad in [
        json!({"_format_version": "9.0"}),
        json!({"_format_version": "3.0", "servicess": []}),
        json!({"_format_version": "3.0", "routes": [{"name": "r", "paths": ["/"], "service": "none"}]}),
        json!({"_format_version": "3.0", "upstreams": [{"name": "x"}, {"name": "x"}]}),
        json!({"config": "upstreams: ["}),
    ] {
        at.refused(Method::POST, "/config", bad, 14).await;
    }
    assert_eq!(at.post("/config", json!({"services": []})).await.0, 400);
    assert_eq!(at.get("/upstreams/u").await.0, 200, "a mistake changes nothing");
}

#[tokio::test]
async fn what_is_given_can_be_taken_again() {
    let at = ground().await;
    at.post("/config", document()).await;
    let (status, said) = at.get("/config").await;
    assert_eq!(status, 200);
    let text = said["config"].as_str().unwrap();
    assert!(text.contains("consumers") && text.contains("someone"), "{text}");
    let before = (at.api.list("/services").await.unwrap(), at.api.targets("u").await.unwrap());
    assert_eq!(at.post("/config", json!({"config": text})).await.0, 201);
    assert_eq!(before, (at.api.list("/services").await.unwrap(), at.api.targets("u").await.unwrap()));
}

#[tokio::test]
async fn what_is_not_looked_into_is_listed() {
    let at = ground().await;
    let mut document = document();
    document["services"][0]["plugins"] = json!([{"name": "cors", "config": {"max_age": 1}}]);
    document["services"][0]["routes"][0]["plugins"] = json!([{"name": "acl"}]);
    document["plugins"] = json!([{"name": "prometheus"}, {"name": "key-auth", "service": "s"}]);
    assert_eq!(at.post("/config", document).await.0, 201);
    let plugins = at.api.list("/plugins").await.unwrap();
    assert_eq!(plugins.len(), 4);
    let of = |name: &str| plugins.iter().find(|one| one["name"] == name).unwrap();
    let (_, service) = at.get("/services/s").await;
    let (_, route) = at.get("/routes/r").await;
    assert_eq!((&of("cors")["service"]["id"], &of("cors")["config"]["max_age"]), (&service["id"], &json!(1)));
    assert_eq!((&of("acl")["route"]["id"], &of("key-auth")["service"]["id"]), (&route["id"], &service["id"]));
    assert_eq!(at.api.list("/consumers").await.unwrap()[0]["username"], "someone");
    for path in ["/certificates", "/key-sets", "/basic-auths", "/vaults"] {
        assert_eq!(at.get(path).await.1["data"], json!([]), "{path}");
    }
    let (_, said) = at.get("/config").await;
    assert_eq!(at.post("/config", json!({"config": said["config"]})).await.0, 201);
    assert_eq!(at.api.list("/plugins").await.unwrap(), plugins);
}

#[tokio::test]
async fn a_file_is_read_at_the_start_and_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kong.yaml");
    std::fs::write(&file, "_format_version: '3.0'\nupstreams: [{name: one}]\n").unwrap();
    let at = Ground::with(KongSetup { dbless: true, declarative: Some(file.clone()), ..KongSetup::default() }).await;
    assert_eq!(at.api.names("upstreams").await.unwrap(), ["one"]);
    let reload = async |text: &str, wanted: &[&str]| {
        std::fs::write(&file, text).unwrap();
        at.kong.reload().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(at.api.names("upstreams").await.unwrap(), wanted);
    };
    reload("_format_version: '3.0'\nupstreams: [{name: two}]\n", &["two"]).await;
    reload("upstreams: [{name: ", &["two"]).await;
    at.kong.kill9().unwrap();
    std::fs::write(&file, "_format_version: '3.0'\nupstreams: [{name: three}]\n").unwrap();
    at.kong.start_again().await.unwrap();
    assert_eq!(at.api.names("upstreams").await.unwrap(), ["three"]);
}
