//! Without a database everything is written at once.

use super::*;
use std::path::PathBuf;

/// A folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("causeway-kong-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, config: &Value) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn the_whole_configuration_is_written_with_what_is_not_ours() {
    let fake = Fake::start(&json!({
        "upstreams": [{"name": "theirs", "targets": [{"target": "10.0.0.9:9", "weight": 4, "tags": []}]}],
        "services": [{"name": "theirs", "host": "theirs"}],
    }))
    .await;
    fake.state.lock().is_dbless = true;
    let services = Arc::new(services(&fake.gateway(&KongOptions::default())));
    let (one, other) = (scope("default"), scope("v1"));
    let (a, b) = ([Change::Create(copy(1)), Change::Create(copy(2))], [Change::Create(copy(2))]);
    let (x, y) = tokio::join!(ok(&services, &one, &a), ok(&services, &other, &b));
    assert_eq!((x, y), ((), ()));
    let config = fake.config();
    assert_eq!(targets(&config, "s.n.orders.default"), ["10.0.0.1:1=100", "10.0.0.1:2=100"]);
    assert_eq!(targets(&config, "s.n.orders.v1"), ["10.0.0.1:2=100"]);
    assert_eq!(targets(&config, "theirs"), ["10.0.0.9:9=4"]);
    let names: Vec<_> = config["services"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [json!("s.n.orders"), json!("theirs")]);
    assert!(fake.take_writes().iter().all(|write| write.starts_with("POST /config")));
    // A bad record is no write, and neither is what stands already.
    let sick = copy(3).with(|one| one.healthy = false);
    let outcomes = apply(&services, &one, &[Change::Adopt(copy(1)), Change::Create(sick)]).await;
    assert!(matches!(outcomes[..], [Ok(()), Err(Error::Rejected(_))]), "{outcomes:?}");
    assert_eq!(fake.take_writes(), [""; 0]);
    // Kong refuses a whole configuration for one target.
    let wrong = Instance::new("256.0.0.1", 1).with_mark(copy(1).mark.clone());
    let outcomes =
        apply(&services, &one, &[Change::Create(copy(3)), Change::Create(wrong), Change::Create(copy(4))]).await;
    assert!(matches!(outcomes[..], [Ok(()), Err(Error::Rejected(_)), Ok(())]), "{outcomes:?}");
    assert_eq!(targets(&fake.config(), "s.n.orders.default").len(), 4);
    ok(&services, &one, &[1, 2, 3, 4].map(|port| delete(port, Removal::Drained))).await;
    ok(&services, &other, &[delete(2, Removal::Drained)]).await;
    let config = fake.config();
    assert_eq!(config["upstreams"].as_array().unwrap().len(), 1);
    assert_eq!(config["services"].as_array().unwrap().len(), 1);
}

/// Kong fails to list what carries a tag as soon as anything carries none.
#[tokio::test]
async fn copies_in_upstreams_of_others_are_found_without_asking_for_tags() {
    let targets = |tags: Value| json!([{"target": "10.0.0.1:1", "weight": 100, "tags": tags}]);
    let fake = Fake::start(&json!({"upstreams": [
        {"name": "theirs", "targets": targets(json!([]))},
        {"name": "orders-live", "targets": targets(json!(["causeway:i", "causeway.mark=1;i|task;src"]))},
    ]}))
    .await;
    fake.state.lock().is_dbless = true;
    let gateway = fake.gateway(&KongOptions::default());
    gateway.look().await.unwrap();
    let sets = gateway.view.sets();
    assert_eq!(sets.keys().map(|scope| &*scope.name).collect::<Vec<_>>(), ["orders-live"]);
}

#[tokio::test]
async fn what_kong_does_not_show_as_it_was_is_not_lost() {
    let fake = Fake::start(&json!({})).await;
    fake.state.lock().is_dbless = true;
    fake.state.lock().faults.push(("GET /basic-auths".into(), 200, json!({"data": [{"id": "1", "password": "hash"}]})));
    let services = services(&fake.gateway(&KongOptions::default()));
    let outcomes = apply(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    let [Err(Error::Denied(why))] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(why.contains("basic-auths") && why.contains("`base`"), "{why}");
    assert_eq!(fake.take_writes(), [""; 0]);
}

#[tokio::test]
async fn a_file_is_written_over_a_base() {
    let folder = std::env::temp_dir().join(format!("causeway-kong-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [base, file] = ["base.json", "kong.json"].map(|name| folder.join(name));
    std::fs::write(
        &base,
        r#"{"_format_version": "3.0", "consumers": [{"username": "x"}], "upstreams": [{"name": "theirs"}]}"#,
    )
    .unwrap();
    let options = KongOptions {
        file: Some(file.display().to_string()),
        base: Some(base.display().to_string()),
        ..KongOptions::default()
    };
    let fake = Fake::start(&json!({})).await;
    let services = services(&fake.gateway(&options));
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    let config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(config["consumers"][0]["username"], "x");
    assert_eq!(targets(&config, "s.n.orders.default"), ["10.0.0.1:1=100"]);
    assert_eq!(read(&services).await.len(), 1);
    assert_eq!(fake.state.lock().seen.len(), 0, "the Admin API is not asked");
    // A file of somebody else's stays as it is.
    std::fs::write(&file, r#"{"_format_version": "3.0"}"#).unwrap();
    let outcomes = apply(&services, &scope("default"), &[Change::Create(copy(2))]).await;
    assert!(matches!(&outcomes[..], [Err(Error::Denied(_))]), "{outcomes:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"_format_version": "3.0"}"#);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn other_settings_are_written_to_what_stands() {
    let fake = Fake::start(&json!({})).await;
    fake.state.lock().is_dbless = true;
    let before = services(&fake.gateway(&KongOptions::default()));
    ok(&before, &scope("default"), &[Change::Create(copy(1))]).await;
    let options: KongOptions = serde_json::from_value(json!({"upstream": {"algorithm": "least-connections"}})).unwrap();
    let gateway = fake.gateway(&options);
    let mut written = causeway_core::Written::default();
    written.note(&Change::Create(copy(1)), &[]);
    services(&gateway).adopt(&[(scope("default"), written)]).await.unwrap();
    gateway.look().await.unwrap();
    fake.take_writes();
    gateway.put_right().await.unwrap();
    assert_eq!(fake.config()["upstreams"][0]["algorithm"], "least-connections");
    assert_eq!(targets(&fake.config(), "s.n.orders.default"), ["10.0.0.1:1=100"]);
    // One that Kong refuses is no outage.
    fake.state.lock().faults.push((
        "POST /config".into(),
        400,
        json!({"code": 14, "message": "declarative config is invalid"}),
    ));
    fake.edit(|config| config["upstreams"][0]["algorithm"] = json!("round-robin"));
    gateway.look().await.unwrap();
    gateway.put_right().await.unwrap();
}

#[tokio::test]
async fn what_a_base_hangs_on_ours_is_written_once_and_holds_it() {
    let folder = Folder::new("hung");
    let base = folder.write(
        "base.json",
        &json!({
            "routes": [{"name": "r", "service": "s.n.orders", "paths": ["/"]}],
            "plugins": [{"name": "key-auth", "service": {"name": "s.n.orders"}}],
        }),
    );
    let options = KongOptions { base: Some(base.display().to_string()), ..KongOptions::default() };
    // So Kong shows it after our first write.
    let fake = Fake::start(&json!({
        "upstreams": [{"name": "s.n.orders.default", "tags": ["causeway:i"]}],
        "services": [{"name": "s.n.orders", "tags": ["causeway:i"], "plugins": [{"name": "key-auth"}],
            "routes": [{"name": "r", "paths": ["/"]}]}],
    }))
    .await;
    fake.state.lock().is_dbless = true;
    let services = services(&fake.gateway(&options));
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    let config = fake.config();
    let service = &config["services"][0];
    assert_eq!((service.get("routes"), service.get("plugins")), (None, None), "{config}");
    assert_eq!((&config["routes"][0]["name"], &config["plugins"][0]["name"]), (&json!("r"), &json!("key-auth")));
    // Without the service Kong would refuse what names it.
    ok(&services, &scope("default"), &[delete(1, Removal::Drained)]).await;
    let config = fake.config();
    assert_eq!(
        (&config["services"][0]["name"], targets(&config, "s.n.orders.default").len()),
        (&json!("s.n.orders"), 0)
    );
}

#[tokio::test]
async fn plugins_are_kept_as_they_are() {
    let fake = Fake::start(&json!({"services": [{"name": "theirs", "host": "h"}]})).await;
    {
        let mut state = fake.state.lock();
        state.is_dbless = true;
        let both = json!({"id": "p", "name": "cors", "route": {"id": "r"}, "service": {"id": "s"}, "consumer": null});
        state.faults.push(("GET /plugins".into(), 200, json!({"data": [both], "offset": null})));
        let off = json!({"message": "this endpoint is only available when wasm is enabled"});
        state.faults.push(("GET /filter-chains".into(), 400, off));
    }
    let services = services(&fake.gateway(&KongOptions::default()));
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    assert_eq!(fake.config()["plugins"], json!([{"id": "p", "name": "cors", "route": "r", "service": "s"}]));
    fake.state.lock().faults.retain(|(path, ..)| path != "GET /filter-chains");
    fake.state.lock().faults.push(("GET /filter-chains".into(), 200, json!({"data": [{"name": "f"}]})));
    let services = super::services(&fake.gateway(&KongOptions::default()));
    let outcomes = apply(&services, &scope("default"), &[Change::Create(copy(2))]).await;
    assert!(matches!(&outcomes[..], [Err(Error::Denied(why))] if why.contains("filter-chains")), "{outcomes:?}");
}

#[tokio::test]
async fn a_configuration_that_is_refused_as_it_stands_is_not_tried_by_pieces() {
    let fake = Fake::start(&json!({})).await;
    fake.state.lock().is_dbless = true;
    fake.state.lock().faults.push((
        "POST /config".into(),
        400,
        json!({"code": 14, "message": "declarative config is invalid"}),
    ));
    let services = services(&fake.gateway(&KongOptions::default()));
    let changes: Vec<_> = (1..50).map(|port| Change::Create(copy(port))).collect();
    let outcomes = apply(&services, &scope("default"), &changes).await;
    assert!(outcomes.iter().all(|one| matches!(one, Err(Error::Rejected(_)))), "{outcomes:?}");
    assert_eq!(fake.take_writes().len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_replaced_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("rights");
    let file = folder.write("kong.json", &json!({"_comment": "written by Causeway"}));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let options = KongOptions { file: Some(file.display().to_string()), ..KongOptions::default() };
    let fake = Fake::start(&json!({})).await;
    let services = services(&fake.gateway(&options));
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}
