//! What is sent, in which order, and what is left alone.

use super::*;
use causeway_core::Evidence;

const UPSTREAM: &str = "s.n.orders.default";

#[tokio::test]
async fn first_the_upstream_then_targets_then_the_service_and_back() {
    let fake = Fake::start(&json!({})).await;
    let options: KongOptions = serde_json::from_value(json!({
        "upstream": {"algorithm": "least-connections"}, "routes": [{"paths": ["/{service}"]}],
    }))
    .unwrap();
    let services = services(&fake.gateway(&options));
    ok(&services, &scope("default"), &[Change::Create(copy(1)), Change::Create(copy(2))]).await;
    let writes = fake.take_writes();
    assert_eq!(
        paths(&writes),
        [
            "POST /upstreams",
            "POST /upstreams/s.n.orders.default/targets",
            "POST /upstreams/s.n.orders.default/targets",
            "POST /services",
            "POST /services/s.n.orders/routes"
        ]
    );
    assert!(writes[0].contains("least-connections") && writes[0].contains("causeway:i"), "{}", writes[0]);
    assert!(writes[1].contains(r#""causeway.mark=1;i|task;"#), "{}", writes[1]);
    assert!(writes[3].contains(r#""host":"s.n.orders.default""#), "{}", writes[3]);
    // A group has an upstream, and no service.
    ok(&services, &scope("v1"), &[Change::Create(copy(1))]).await;
    assert_eq!(paths(&fake.take_writes()), ["POST /upstreams", "POST /upstreams/s.n.orders.v1/targets"]);
    // What stands as it is wanted is not written again.
    ok(&services, &scope("default"), &[Change::Adopt(copy(1)), Change::Create(copy(2))]).await;
    assert_eq!(fake.take_writes(), [""; 0]);
    let heavy = copy(1).with(|one| one.weight = 0.5);
    ok(&services, &scope("default"), &[Change::Update { from: copy(1), to: heavy }]).await;
    assert_eq!(paths(&fake.take_writes()), ["PATCH /upstreams/s.n.orders.default/targets/10.0.0.1:1"]);
    assert_eq!(targets(&fake.config(), UPSTREAM), ["10.0.0.1:1=50", "10.0.0.1:2=100"]);
    ok(&services, &scope("default"), &[delete(1, Removal::Drained)]).await;
    assert_eq!(paths(&fake.take_writes()), ["DELETE /upstreams/s.n.orders.default/targets/10.0.0.1:1"]);
    ok(&services, &scope("default"), &[delete(2, Removal::Drained)]).await;
    assert_eq!(
        paths(&fake.take_writes()),
        [
            "DELETE /routes/s.n.orders.route-1",
            "DELETE /services/s.n.orders",
            "DELETE /upstreams/s.n.orders.default/targets/10.0.0.1:2",
            "DELETE /upstreams/s.n.orders.default"
        ]
    );
    ok(&services, &scope("v1"), &[delete(1, Removal::Drained)]).await;
    assert_eq!((&fake.config()["upstreams"], &fake.config()["services"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn what_others_have_made_stays() {
    let fake = Fake::start(&json!({})).await;
    let services = services(&fake.gateway(&KongOptions::default()));
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    fake.edit(|config| {
        let targets = config["upstreams"][0]["targets"].as_array_mut().unwrap();
        targets.push(json!({"target": "10.0.0.9:9", "weight": 7, "tags": ["by-hand"]}));
        config["services"][0]["routes"] = json!([{"name": "theirs", "paths": ["/"]}]);
    });
    let set = read(&services).await.remove(0);
    let native: Vec<_> = set.records.values().filter_map(|held| held.native.as_ref()).collect();
    assert_eq!((set.records.len(), native.len(), native[0].weight), (2, 1, 0.07));
    fake.take_writes();
    // An address that is somebody else's, and one that has come to be: neither is written over.
    let outcomes = apply(
        &services,
        &scope("default"),
        &[Change::Create(Instance::new("10.0.0.9", 9).with_mark(copy(1).mark.clone()))],
    )
    .await;
    assert!(matches!(outcomes[..], [Err(Error::Conflict)]), "{outcomes:?}");
    fake.edit(|config| config["upstreams"][0]["targets"].as_array_mut().unwrap().push(json!({"target": "10.0.0.1:3"})));
    let outcomes = apply(&services, &scope("default"), &[Change::Create(copy(3))]).await;
    assert!(matches!(outcomes[..], [Err(Error::Conflict)]), "{outcomes:?}");
    let gone = Instance::new("10.0.0.9", 9);
    let delete_theirs = Change::Delete { record: gone, owner: OwnerId::new("i", "task"), why: Removal::Drained };
    ok(&services, &scope("default"), &[delete_theirs, delete(1, Removal::Drained)]).await;
    assert_eq!(targets(&fake.config(), UPSTREAM).len(), 2, "{}", fake.config());
    assert_eq!(fake.config()["services"][0]["routes"][0]["name"], "theirs");
    assert!(!fake.take_writes().iter().any(|write| write.starts_with("PATCH") || write.contains("10.0.0.9")));
}

#[tokio::test]
async fn a_service_to_which_others_have_routes_stays_empty() {
    let fake = Fake::start(&json!({})).await;
    let services = services(&fake.gateway(&KongOptions::default()));
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    fake.edit(|config| config["services"][0]["routes"] = json!([{"name": "theirs", "paths": ["/"]}]));
    ok(&services, &scope("default"), &[delete(1, Removal::Drained)]).await;
    let config = fake.config();
    assert_eq!((&config["services"][0]["name"], targets(&config, UPSTREAM).len()), (&json!("s.n.orders"), 0));
    // It is used again.
    fake.take_writes();
    ok(&services, &scope("default"), &[Change::Create(copy(2))]).await;
    assert_eq!(paths(&fake.take_writes()), ["POST /upstreams/s.n.orders.default/targets"]);
}

#[tokio::test]
async fn what_only_seems_to_go_keeps_its_upstream_for_a_while() {
    let fake = Fake::start(&json!({})).await;
    let services = services(&fake.gateway(&KongOptions::default()));
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    fake.take_writes();
    ok(&services, &scope("default"), &[delete(1, Removal::Gone { evidence: Evidence::Witnessed })]).await;
    assert_eq!(paths(&fake.take_writes()), ["DELETE /upstreams/s.n.orders.default/targets/10.0.0.1:1"]);
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    assert_eq!(paths(&fake.take_writes()), ["POST /upstreams/s.n.orders.default/targets"]);
}

#[tokio::test]
async fn names_that_are_taken_are_refused() {
    let fake = Fake::start(&json!({
        "upstreams": [{"name": "s.n.orders.default", "targets": [{"target": "10.0.0.9:9"}]}],
        "services": [{"name": "s.n.pay", "host": "example.org"}],
    }))
    .await;
    let services = services(&fake.gateway(&KongOptions::default()));
    let pay = ServiceKey::new(PUBLIC, "default", "s.n.pay");
    let mut before = fake.config();
    for known in [false, true] {
        let outcomes =
            apply(&services, &scope("default"), &[Change::Create(copy(1)), delete(2, Removal::Drained)]).await;
        let [Err(Error::Blocked(why)), Ok(())] = &outcomes[..] else { panic!("{known}: {outcomes:?}") };
        assert!(why.contains("upstream s.n.orders.default") && why.contains("upstreamName"), "{why}");
        let outcomes = apply(&services, &pay, &[Change::Create(copy(1))]).await;
        let [Err(Error::Blocked(why))] = &outcomes[..] else { panic!("{known}: {outcomes:?}") };
        assert!(why.contains("service s.n.pay"), "{why}");
        if !known {
            // Before anything is listed the upstream stands already when the service is asked for.
            before = fake.config();
            read(&services).await;
        }
    }
    assert_eq!(fake.config(), before);
    assert!(
        read(&services).await.iter().all(|set| set.scope != scope("default")),
        "what is foreign is no scope of ours"
    );
}

#[tokio::test]
async fn in_an_upstream_that_is_named_only_targets_are_written() {
    let given = ServiceKey::new(PUBLIC, "", "theirs");
    let fake = Fake::start(&json!({"upstreams": [{"name": "theirs", "targets": [{"target": "10.0.0.9:9"}]}]})).await;
    let services = services(&fake.gateway(&KongOptions::default()));
    ok(&services, &given, &[Change::Create(copy(1))]).await;
    assert_eq!(paths(&fake.take_writes()), ["POST /upstreams/theirs/targets"]);
    let set = read(&services).await.remove(0);
    assert_eq!((set.scope.clone(), set.records.len()), (given.clone(), 2));
    ok(&services, &given, &[delete(1, Removal::Drained)]).await;
    assert_eq!(paths(&fake.take_writes()), ["DELETE /upstreams/theirs/targets/10.0.0.1:1"]);
    assert_eq!(targets(&fake.config(), "theirs").len(), 1);
    let missing = ServiceKey::new(PUBLIC, "", "nowhere");
    let outcomes = apply(&services, &missing, &[Change::Create(copy(1))]).await;
    let [Err(Error::Blocked(why))] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(why.contains("no upstream nowhere") && why.contains("make it"), "{why}");
    // One that Causeway has made is not somebody else's.
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    let outcomes = apply(&services, &ServiceKey::new(PUBLIC, "", UPSTREAM), &[Change::Create(copy(2))]).await;
    assert!(matches!(&outcomes[..], [Err(Error::Blocked(_))]), "{outcomes:?}");
}

#[tokio::test]
async fn one_bad_record_spoils_no_other() {
    let fake = Fake::start(&json!({})).await;
    let services = services(&fake.gateway(&KongOptions::default()));
    let sick = copy(2).with(|one| one.healthy = false);
    let outcomes = apply(
        &services,
        &scope("default"),
        &[
            Change::Create(copy(1)),
            Change::Create(sick),
            Change::Shadow(copy(3), OwnerId::new("i", "task")),
            Change::Create(copy(4)),
        ],
    )
    .await;
    assert!(matches!(outcomes[..], [Ok(()), Err(Error::Rejected(_)), Err(Error::Rejected(_)), Ok(())]), "{outcomes:?}");
    assert_eq!(targets(&fake.config(), UPSTREAM).len(), 2);
}

#[tokio::test]
async fn plugins_that_others_have_put_on_ours_are_not_removed_with_it() {
    for on_route in [false, true] {
        let fake = Fake::start(&json!({})).await;
        let options: KongOptions = serde_json::from_value(json!({"routes": [{"paths": ["/{service}"]}]})).unwrap();
        let services = services(&fake.gateway(&options));
        ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
        fake.edit(|config| {
            let service = &mut config["services"][0];
            let on = if on_route { &mut service["routes"][0] } else { service };
            on["plugins"] = json!([{"name": "key-auth"}]);
        });
        ok(&services, &scope("default"), &[delete(1, Removal::Drained)]).await;
        let config = fake.config();
        let service = &config["services"][0];
        let on = if on_route { &service["routes"][0] } else { service };
        assert_eq!((&on["plugins"][0]["name"], targets(&config, UPSTREAM).len()), (&json!("key-auth"), 0), "{config}");
        ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
        assert_eq!(fake.config()["services"][0]["routes"][0]["name"], "s.n.orders.route-1");
    }
}

#[tokio::test]
async fn a_kong_that_asks_for_patience_gets_it() {
    let fake = Fake::start(&json!({})).await;
    let services = services(&fake.gateway(&KongOptions::default()));
    ok(&services, &scope("v1"), &[Change::Create(copy(1))]).await;
    fake.take_writes();
    fake.state.lock().faults.push(("POST /upstreams/s.n.orders.v1/targets".into(), 429, json!({})));
    let outcomes = apply(&services, &scope("v1"), &[2, 3, 4].map(|port| Change::Create(copy(port)))).await;
    assert!(outcomes.iter().all(|one| matches!(one, Err(Error::Throttled(_)))), "{outcomes:?}");
    assert_eq!(fake.take_writes().len(), 1);
}
