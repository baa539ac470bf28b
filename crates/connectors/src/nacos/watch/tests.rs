use super::*;
use crate::nacos::client::NacosClient;
use crate::nacos::client::{Address, Options};
use crate::nacos::publications::Publications;
use tokio::time::timeout;

/// A watch of a cluster that nobody answers for, with one namespace of two services that is being read.
fn watch(keys: &[&WireKey]) -> Watch {
    let address = Address { host: "127.0.0.1".into(), port: 1, https: false };
    let client = NacosClient::new(Options::new(vec![address])).unwrap();
    let publications = Arc::new(Publications::new(client.clone(), "c".into(), None, Vec::new()));
    let reader = client.reader();
    let reading = Reading { client, publications };
    let mut watch = Watch::new(reading, Arc::new(causeway_core::Everything), Vec::new(), Trigger::Push(reader));
    watch.connected = true;
    let summary = |key: &WireKey| {
        let summary = serde_json::json!({"name": key.service, "groupName": key.group});
        (key.clone(), serde_json::from_value(summary).unwrap())
    };
    let names: BTreeMap<_, _> = keys.iter().map(|key| summary(key)).collect();
    let state = State::Filling { missing: names.keys().cloned().collect(), sets: BTreeMap::new() };
    let namespace = Namespace {
        title: None,
        listed: true,
        state,
        names,
        left_out: BTreeSet::new(),
        selection: None,
        asking: false,
        failing: None,
        told: false,
    };
    watch.namespaces.insert(Part::new("n"), namespace);
    watch
}

fn empty(key: &WireKey) -> Set {
    Set::empty(convert::scope(key))
}

/// The names come again as they were.
fn list(watch: &mut Watch) {
    let part = Part::new("n");
    let names = watch.namespaces[&part].names.values().cloned().collect();
    watch.done(Done::Names(part, Ok(names)));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_service_is_read_again_until_it_can_be() {
    let (good, bad) = (WireKey::new("n", "g", "good"), WireKey::new("n", "g", "bad"));
    let mut watch = watch(&[&good, &bad]);
    let denied = || Err(WireError::Denied("no right".into()));
    watch.done(Done::Read(good.clone(), Ok(empty(&good))));
    watch.done(Done::Read(bad.clone(), denied()));
    assert!(matches!(watch.ready.pop_front(), Some(Err(Lost { part: Some(_), .. }))));
    list(&mut watch);
    watch.done(Done::Read(good.clone(), Ok(empty(&good))));
    // Told already: it must be tried again all the same, and once, however often it failed.
    watch.done(Done::Read(bad.clone(), denied()));
    watch.done(Done::Read(bad.clone(), denied()));
    assert!(watch.ready.is_empty() && watch.work.len() == 1);
    watch.todo.clear();
    watch.queued.clear();
    let due = timeout(UNREADABLE * 2, watch.work.next()).await.unwrap().unwrap();
    watch.done(due);
    assert_eq!(watch.todo.front(), Some(&bad));
    watch.done(Done::Read(bad.clone(), Ok(empty(&bad))));
    assert!(matches!(watch.ready.pop_front(), Some(Ok(Update::Reset { sets, .. })) if sets.len() == 2));
}

#[tokio::test(start_paused = true)]
async fn a_failure_for_the_moment_is_not_told() {
    let key = WireKey::new("n", "g", "s");
    let mut watch = watch(&[&key]);
    watch.done(Done::Read(key.clone(), Err(WireError::Unavailable("busy".into()))));
    assert!(watch.ready.is_empty());
    let due = timeout(AGAIN * 2, watch.work.next()).await.unwrap().unwrap();
    watch.done(due);
    assert_eq!(watch.todo, [key]);
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_no_more_is_not_waited_for() {
    let (key, gone) = (WireKey::new("n", "g", "s"), WireKey::new("n", "g", "gone"));
    let mut watch = watch(&[&key]);
    watch.done(Done::Read(gone, Err(WireError::Denied("no right".into()))));
    assert!(watch.work.is_empty());
}
