//! Without a database everything is written at once.

use super::*;

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
