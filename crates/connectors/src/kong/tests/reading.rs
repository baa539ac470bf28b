//! What a watch tells, and how what belongs to us is put right.

use super::*;
use crate::kong::view::{Targets, View};
use causeway_core::{Evidence, Update, Written};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::timeout;

async fn next(watch: &mut futures_util::stream::BoxStream<'static, Result<Update, causeway_core::Lost>>) -> Update {
    timeout(Duration::from_secs(20), watch.next()).await.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn a_watch_tells_of_changes_by_hand() {
    let fake = Fake::start(&json!({"upstreams": [{"name": "theirs"}]})).await;
    let gateway = fake.gateway(&KongOptions::default());
    let services = services(&gateway);
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    let all: Selector = Arc::new(Everything);
    let mut watch = services.watch(&all);
    let Update::Reset { sets, .. } = next(&mut watch).await else { panic!() };
    assert_eq!(sets.iter().map(|set| &set.scope).collect::<Vec<_>>(), [&scope("default")]);
    // What we write is told at once.
    ok(&services, &scope("v1"), &[Change::Create(copy(1))]).await;
    let Update::Changed(set) = timeout(Duration::from_millis(500), next(&mut watch)).await.unwrap() else { panic!() };
    assert_eq!(set.scope, scope("v1"));
    fake.edit(|config| config["upstreams"][0]["targets"][0]["weight"] = json!(3));
    let Update::Changed(set) = next(&mut watch).await else { panic!() };
    let copy_there = set.records.values().next().unwrap().copies[0].clone();
    assert_eq!((copy_there.weight, copy_there.mark() == copy(1).mark()), (0.03, true));
    // An operator writes over the mark: it is known as ours. Without any tag of ours it is his.
    fake.edit(|config| config["upstreams"][0]["targets"][0]["tags"] = json!(["causeway:i", "x=y"]));
    let Update::Changed(set) = next(&mut watch).await else { panic!() };
    let held = set.records.values().next().unwrap();
    assert!(held.native.is_none() && held.copies[0].mark().unwrap().path.is_empty(), "{held:?}");
    fake.edit(|config| config["upstreams"][0]["targets"][0]["tags"] = json!([]));
    let Update::Changed(set) = next(&mut watch).await else { panic!() };
    let held = set.records.values().next().unwrap();
    assert!(held.native.is_some() && held.copies.is_empty(), "{held:?}");
    fake.edit(|config| config["upstreams"].as_array_mut().unwrap().retain(|one| one["name"] != "s.n.orders.v1"));
    let Update::Removed(gone) = next(&mut watch).await else { panic!() };
    assert_eq!(gone, scope("v1"));
}

#[tokio::test]
async fn an_outage_is_no_empty_list() {
    let fake = Fake::start(&json!({})).await;
    let gateway = fake.gateway(&KongOptions::default());
    let services = services(&gateway);
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    let all: Selector = Arc::new(Everything);
    let mut watch = services.watch(&all);
    next(&mut watch).await;
    fake.state.lock().faults.push(("GET".into(), 500, json!({"message": "An unexpected error occurred"})));
    let lost = timeout(Duration::from_secs(20), watch.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(lost.error, Error::Unavailable(_)), "{lost}");
    fake.state.lock().faults.clear();
    let Update::Reset { sets, .. } = next(&mut watch).await else { panic!() };
    assert_eq!(sets.len(), 1);
}

#[tokio::test]
async fn what_belongs_to_our_upstreams_is_put_right() {
    let fake = Fake::start(&json!({})).await;
    let before = services(&fake.gateway(&KongOptions::default()));
    ok(&before, &scope("default"), &[Change::Create(copy(1))]).await;
    fake.edit(|config| config["services"] = json!([]));
    // The next process has other settings.
    let options: KongOptions = serde_json::from_value(json!({"upstream": {"algorithm": "least-connections"}})).unwrap();
    let gateway = fake.gateway(&options);
    gateway.look().await.unwrap();
    fake.take_writes();
    gateway.put_right().await.unwrap();
    assert_eq!(fake.take_writes(), [""; 0], "it may be another cluster's of this install");
    let mut written = Written::default();
    written.note(&Change::Create(copy(1)), &[]);
    services(&gateway).adopt(&[(scope("default"), written)]).await.unwrap();
    gateway.put_right().await.unwrap();
    assert_eq!(paths(&fake.take_writes()), ["PATCH /upstreams/s.n.orders.default", "POST /services"]);
    gateway.look().await.unwrap();
    gateway.put_right().await.unwrap();
    assert_eq!(fake.take_writes(), [""; 0]);
    assert_eq!(fake.config()["upstreams"][0]["algorithm"], "least-connections");
    assert!(Place::scope_of("s.n.orders.default").is_some());
}

#[tokio::test]
async fn each_upstream_is_read_again_within_a_round() {
    let upstreams: Vec<_> =
        (0..50).map(|n| json!({"name": format!("s.n.{n:02}.default"), "tags": ["causeway:i"]})).collect();
    let fake = Fake::start(&json!({ "upstreams": upstreams })).await;
    let gateway = fake.gateway(&KongOptions::default());
    gateway.look().await.unwrap();
    fake.state.lock().seen.clear();
    let mut last = None;
    for _ in 0..7 {
        gateway.look_on(&mut last).await.unwrap();
    }
    let seen = fake.state.lock().seen.clone();
    let targets: std::collections::BTreeSet<_> = seen.iter().filter(|line| line.contains("/targets")).collect();
    assert_eq!((targets.len(), seen.len()), (50, 7 * 9), "8 upstreams a look, and the list");
}

#[tokio::test]
async fn an_upstream_that_was_made_anew_is_read_at_once() {
    let row = |id: &str| {
        serde_json::from_value(json!({"id": id, "name": "s.n.orders.default", "tags": ["causeway:i"]})).unwrap()
    };
    let view = View::new("i".into());
    view.put(&scope("default"), row("1"), Targets::new());
    assert_eq!(view.list(&[row("1")], view.turn()).len(), 0);
    let fresh = view.list(&[row("2")], view.turn());
    assert_eq!(
        fresh.iter().map(|(scope, row)| (scope, row.id.as_str())).collect::<Vec<_>>(),
        [(&scope("default"), "2")]
    );
    // It is, until its targets are read.
    view.take(&fresh[0].0, row("2"), Vec::new(), view.turn());
    assert_eq!(view.list(&[row("2")], view.turn()).len(), 0);
}

#[tokio::test]
async fn an_empty_upstream_that_cannot_go_is_no_outage() {
    let fake = Fake::start(&json!({})).await;
    let gateway = fake.gateway(&KongOptions::default());
    let services = services(&gateway);
    let seen = Removal::Gone { evidence: Evidence::Witnessed };
    ok(&services, &scope("default"), &[Change::Create(copy(1))]).await;
    ok(&services, &scope("default"), &[delete(1, seen)]).await;
    let wait = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    // It is held for as long as somebody has routes to it, and asked about seldom.
    fake.edit(|config| config["services"][0]["routes"] = json!([{"name": "theirs", "paths": ["/"]}]));
    wait(21).await;
    gateway.put_right().await.unwrap();
    fake.state.lock().seen.clear();
    wait(21).await;
    gateway.put_right().await.unwrap();
    let asked = fake.state.lock().seen.iter().filter(|line| line.contains("/services/")).count();
    assert_eq!((asked, fake.config()["upstreams"].as_array().unwrap().len()), (0, 1));
    fake.edit(|config| config["services"][0]["routes"] = json!([]));
    fake.state.lock().faults.push(("DELETE".into(), 403, json!({"message": "no"})));
    wait(601).await;
    gateway.put_right().await.unwrap();
    assert_eq!(fake.config()["upstreams"].as_array().unwrap().len(), 1);
    fake.state.lock().faults.clear();
    wait(21).await;
    gateway.put_right().await.unwrap();
    assert_eq!((&fake.config()["upstreams"], &fake.config()["services"]), (&json!([]), &json!([])));
}
