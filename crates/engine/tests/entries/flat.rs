//! Entries that stand by themselves, whatever their names look like.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;

const FLAT: EntryFacts = EntryFacts { shape: NameShape::Flat, stamps: StampKind::ContentHash };

fn entry(namespace: &str, name: &str) -> EntryKey {
    EntryKey::new(namespace, "g", name)
}

#[tokio::test(start_paused = true)]
async fn names_with_slashes_are_no_paths() {
    let world = World::with(FLAT, |spec| spec.ways = Ways::Two).start();
    seconds(40).await;
    let all = ["/a", "/a/b", "/a/b/c/d", "a/b"].map(|name| entry("public", name));
    // What would be a parent comes last, and goes first.
    for key in all.iter().rev() {
        world.a.put(key, Content::of("1"));
        seconds(1).await;
    }
    assert!(world.same() && world.b.all().len() == 4, "{:?}", world.b.all().keys());
    world.b.remove(&all[0]);
    seconds(5).await;
    assert!(world.same() && world.a.all().keys().eq(&all[1..]), "{:?}", world.a.all().keys());
    assert_eq!((world.status().state, world.status().pending), (RouteState::InStep, 0));
}

/// A selection must not say no to a whole namespace.
#[tokio::test(start_paused = true)]
async fn a_drain_finds_the_entries_of_every_namespace() {
    let world = World::with(FLAT, |_| {});
    for namespace in ["public", "dev", "prod"] {
        (0..5).for_each(|n| world.a.put(&entry(namespace, &format!("{n}.yaml")), Content::of(namespace)));
    }
    // A namespace in memory is there as long as something is in it.
    ["dev", "prod"].iter().for_each(|namespace| world.b.put(&entry(namespace, "own"), Content::of("b's")));
    let mut world = world.start();
    seconds(40).await;
    assert_eq!(world.b.all().len(), 17);
    world.change(|spec| spec.run = RunState::Drain);
    seconds(10).await;
    assert_eq!(world.b.all().into_keys().collect::<Vec<_>>(), ["dev", "prod"].map(|namespace| entry(namespace, "own")));
    assert_eq!(world.status().state, RouteState::Drained);
}
