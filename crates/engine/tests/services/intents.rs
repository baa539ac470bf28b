//! Copies whose only proof is the ledger are noted there before they are written.

use crate::harness::*;
use causeway_connectors::memory::{Fault, Memory};
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn fixed(port: u16) -> Instance {
    instance(port).with(|one| one.ephemeral = false)
}

fn shown(memory: &Memory) -> usize {
    memory.list(&service(0)).len()
}

fn rows(world: &World) -> Vec<WrittenRecord> {
    let ledger = world.notebook.ledger.lock();
    ledger.get(&(world.id("b"), service(0))).into_iter().flat_map(|written| written.records.values().cloned()).collect()
}

/// A ledger that takes its time, or for ever.
fn slow_world(clusters: &BTreeMap<String, Memory>, slow: Duration) -> World {
    let world = World::new("i", clusters);
    *world.notebook.slow.lock() = slow;
    world.one_way("a", "b")
}

#[tokio::test(start_paused = true)]
async fn what_has_no_other_proof_is_noted_first() {
    let clusters = registries(&["a", "b"]);
    clusters["a"].register(&service(0), "p", fixed(1));
    clusters["a"].register(&service(1), "p", instance(1));
    let world = slow_world(&clusters, Duration::from_millis(600));
    millis(500).await;
    assert_eq!(total(&clusters["b"]), 1, "an ephemeral copy does not wait");
    assert_eq!((shown(&clusters["b"]), rows(&world).len()), (0, 1));
    millis(500).await;
    assert_eq!((shown(&clusters["b"]), rows(&world).len()), (1, 1));
    // Another version: both are remembered until the answer.
    clusters["a"].register(&service(0), "p", fixed(1).with(|one| one.weight = 5.0));
    millis(300).await;
    let [row] = &rows(&world)[..] else { panic!("one row") };
    assert_eq!((row.record.weight, row.before.as_ref().map(|one| one.weight)), (5.0, Some(1.0)));
    assert_eq!(clusters["b"].list(&service(0))[0].weight, 1.0);
    millis(700).await;
    assert_eq!(clusters["b"].list(&service(0))[0].weight, 5.0);
    assert!(rows(&world).iter().all(|row| row.before.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_does_not_keep_up_holds_up_nothing() {
    let clusters = registries(&["a", "b"]);
    clusters["a"].register(&service(0), "p", fixed(1));
    let _world = slow_world(&clusters, Duration::from_secs(3600));
    millis(1900).await;
    assert_eq!(shown(&clusters["b"]), 0);
    millis(600).await;
    assert_eq!(shown(&clusters["b"]), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_taken_back_and_what_may_have_been_written_is_not() {
    let clusters = registries(&["a", "b"]);
    clusters["a"].register(&service(0), "p", fixed(1));
    clusters["b"].refuse_host("127.0.0.1");
    let world = slow_world(&clusters, Duration::ZERO);
    seconds(20).await;
    assert_eq!((rows(&world), world.notebook.count(Action::Failed)), (vec![], 0));
    assert_eq!(clusters["b"].writes(), 1, "it is not tried all the time");

    let clusters = registries(&["a", "b"]);
    let world = slow_world(&clusters, Duration::ZERO);
    seconds(2).await;
    clusters["b"].fail(Fault::Hung);
    clusters["a"].register(&service(0), "p", fixed(1));
    seconds(15).await;
    assert_eq!(rows(&world).len(), 1, "nobody knows");
    clusters["b"].fail(Fault::None);
    seconds(20).await;
    assert_eq!((shown(&clusters["b"]), rows(&world).len()), (1, 1));
}

/// A process after one that died when it was about to write `record` for the source `a`, where `before` stood.
fn after(clusters: &BTreeMap<String, Memory>, record: Instance, before: Option<Instance>) -> World {
    let notebook = Arc::new(Notebook::default());
    let owner = OwnerId::new("i", "task");
    let copy = |one: Instance| one.forwarded(&ClusterId::of("i/a"), &owner);
    let (record, before) = (copy(record), before.map(copy));
    let row = WrittenRecord {
        record: record.clone(),
        owner: owner.clone(),
        shadow: false,
        before: before.map(Box::new),
        over: None,
    };
    let written = Written { records: [(record.id(), row)].into(), attributes: None };
    notebook.ledger.lock().insert((ClusterId::of("i/b"), service(0)), written);
    World::after("i", clusters, notebook)
}

#[tokio::test(start_paused = true)]
async fn what_was_noted_and_never_written_is_written_or_forgotten() {
    let clusters = registries(&["a", "b"]);
    clusters["a"].register(&service(0), "p", fixed(1));
    let world = after(&clusters, fixed(1), None).one_way("a", "b");
    seconds(5).await;
    assert_eq!((shown(&clusters["b"]), rows(&world).len()), (1, 1));

    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 1);
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    let world = after(&clusters, fixed(1), None).one_way("a", "b");
    seconds(100).await;
    assert_eq!((shown(&clusters["b"]), rows(&world)), (0, vec![]));
    assert_eq!(total(&clusters["b"]), 2);
}

#[tokio::test(start_paused = true)]
async fn a_native_that_came_meanwhile_is_left_alone() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 1);
    clusters["b"].register(&service(0), "p", fixed(1).with(|one| one.weight = 7.0));
    let world = after(&clusters, fixed(1), None).one_way("a", "b");
    seconds(100).await;
    let natives = clusters["b"].list(&service(0)).into_iter().filter(|one| one.mark.is_none()).count();
    assert_eq!(natives, 1);
    assert!(rows(&world).iter().all(|row| row.record.id != fixed(1).id), "{:?}", rows(&world));
}
