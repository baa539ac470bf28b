//! Entries of a flat kind in step with the nodes of a tree.

use crate::harness::*;
use causeway_connectors::memory::{Fault, MemoryData};
use causeway_core::*;
use causeway_engine::*;
use std::sync::Arc;

/// As [`NodesBelow`] `/config`, in small letters.
#[derive(Debug)]
struct Small;

impl EntryNames for Small {
    fn to(&self, own: &EntryKey) -> Result<EntryKey, NoPlace> {
        let small = EntryKey { name: own.name.to_lowercase().into(), ..own.clone() };
        NodesBelow { root: "/config".into() }.to(&small)
    }
    fn back(&self, shown: &EntryKey) -> Result<EntryKey, NoPlace> {
        NodesBelow { root: "/config".into() }.back(shown)
    }
}

/// A flat `a` with two namespaces, and a tree `b`.
fn world(change: impl FnOnce(&mut DataSpec)) -> World {
    let flat = MemoryData::with(EntryFacts { shape: NameShape::Flat, stamps: StampKind::ContentHash });
    let map = EntryMap::new(["public", "dev"].map(Part::new).into(), Part::new("public"), Small);
    for namespace in ["public", "dev"] {
        flat.put(&own(namespace, "first"), Content::of(namespace));
    }
    World::between(flat, MemoryData::new(), Arc::default(), |spec| {
        spec.source.port = mapped(&spec.source.port, map.clone());
        spec.select = with_place(spec.select.clone(), map);
        spec.ways = Ways::Two;
        change(spec);
    })
}

fn own(namespace: &str, name: &str) -> EntryKey {
    EntryKey::new(namespace, "g", name)
}

fn flat(world: &World, namespace: &str, name: &str) -> Option<String> {
    let body = world.a.get(&own(namespace, name))?.body?;
    Some(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn entries_and_nodes_are_kept_in_step() {
    let world = world(|_| {});
    put(&world.b, "/config/dev/g/b's", "b");
    put(&world.b, "/elsewhere", "not here");
    let world = world.start();
    seconds(40).await;
    let tree = |path: &str| world.read(Side::Right, &format!("/config/{path}"));
    assert_eq!((tree("dev/g/first"), tree("public/g/first")), (Some("dev".into()), Some("public".into())));
    assert_eq!((flat(&world, "dev", "b's"), world.a.all().len()), (Some("b".into()), 3));

    world.a.put(&own("dev", "a/b"), Content::of("1"));
    put(&world.b, "/config/dev/g/first", "edited");
    seconds(5).await;
    assert_eq!((tree("dev/g/a%2Fb"), flat(&world, "dev", "first")), (Some("1".into()), Some("edited".into())));

    world.a.remove(&own("dev", "a/b"));
    world.b.remove(&key("/config/public/g/first"));
    seconds(60).await;
    assert_eq!((tree("dev/g/a%2Fb"), flat(&world, "public", "first")), (None, None));
    assert_eq!((world.status().state, world.status().pending), (RouteState::InStep, 0), "{:?}", world.status());
    assert!(world.status().skipped.is_empty(), "{:?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_decided_by_their_names_in_the_tree() {
    let world = world(|_| {});
    put(&world.b, "/config/dev/g/first", "other");
    let world = world.start();
    seconds(40).await;
    let key = key("/config/dev/g/first");
    assert!(world.conflicts().iter().map(|row| &row.key).eq([&key]), "{:?}", world.conflicts());
    assert!(world.engine.resolve(&world.spec.owner, &key, Side::Right));
    seconds(5).await;
    assert_eq!((flat(&world, "dev", "first"), world.conflicts().len()), (Some("other".into()), 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_place_is_left_aside_and_is_not_gone() {
    let world = world(|_| {}).start();
    seconds(40).await;
    let before = world.b.all();
    // Two that would have one name, and a node that no entry can have.
    world.a.put(&own("dev", "FIRST"), Content::of("large"));
    put(&world.b, "/config/dev/g/first/below", "deep");
    seconds(5).await;
    let left = || world.status().skipped.values().sum::<usize>();
    assert_eq!(left(), 2, "{:?}", world.status());
    assert!(world.notebook.said(Action::Skipped, "lies below dev/g/first"), "{:#?}", world.notebook.events.lock());
    world.a.fail(Fault::Down);
    seconds(5).await;
    world.a.fail(Fault::None);
    seconds(600).await;
    assert_eq!((left(), world.a.all().len()), (2, 3), "{:?}", world.status());
    assert!(before.iter().all(|(key, content)| world.b.get(key).as_ref() == Some(content)));
    assert_eq!(world.read(Side::Right, "/config/dev/g/first/below"), Some("deep".into()));
    world.a.remove(&own("dev", "FIRST"));
    world.b.remove(&key("/config/dev/g/first/below"));
    seconds(60).await;
    assert_eq!((left(), flat(&world, "dev", "first")), (0, Some("dev".into())));
}

/// Half of what is shown is not all of it.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_cannot_be_read_is_not_empty() {
    let world = world(|_| {}).start();
    seconds(40).await;
    world.a.fail(Fault::PartDenied(Part::new("dev")));
    seconds(600).await;
    assert_eq!(world.b.all().len(), 7, "{:?}", world.b.all().keys());
    assert_eq!(flat(&world, "dev", "first"), Some("dev".into()));
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_back_what_was_copied_either_way() {
    let world = world(|_| {});
    put(&world.b, "/config/dev/g/b's", "b");
    let mut world = world.start();
    seconds(40).await;
    world.change(|spec| spec.run = RunState::Drain);
    seconds(10).await;
    assert_eq!(world.status().state, RouteState::Drained);
    assert_eq!(world.a.all().into_keys().collect::<Vec<_>>(), [own("dev", "first"), own("public", "first")]);
    assert!(world.b.get(&key("/config/dev/g/b's")).is_some());
    assert_eq!(world.b.get(&key("/config/dev/g/first")), None);
}
