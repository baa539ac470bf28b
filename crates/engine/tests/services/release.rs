//! A release lets go exactly what is held at that moment: record by record, and nothing that happens next.

use crate::harness::*;
use causeway_connectors::memory::{Fault, Memory};
use causeway_engine::*;
use std::collections::BTreeMap;

/// A source of `services` × `instances` that is copied, with a guard that holds more than `floor` witnessed removals and
/// more than two others.
async fn copied(services: usize, instances: usize, floor: usize) -> (BTreeMap<String, Memory>, World) {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], services, instances);
    let mut world = World::new("i", &clusters);
    let mut route = world.route("task", "a", "b");
    route.guard = GuardLimits { share: 0.0, floor, implied_floor: 2, ..GuardLimits::default() };
    world.routes.push(route);
    world.start();
    seconds(40).await;
    (clusters, world)
}

fn remove(memory: &Memory, services: std::ops::Range<usize>) {
    for n in services {
        memory.deregister(&service(n), "p0", &instance(1000).id);
    }
}

/// Removals that nobody sees: the source is away meanwhile.
async fn remove_unseen(memory: &Memory, services: std::ops::Range<usize>) {
    memory.fail(Fault::Down);
    seconds(1).await;
    remove(memory, services);
    memory.fail(Fault::None);
    seconds(60).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_does_not_open_the_guard_for_an_emptied_source() {
    let (clusters, world) = copied(40, 1, 50).await;
    remove_unseen(&clusters["a"], 0..3).await;
    assert_eq!((total(&clusters["b"]), world.held()), (40, 3));
    assert_eq!(world.engine.release(&world.owner()), 3);
    seconds(3).await;
    assert_eq!((total(&clusters["b"]), world.held()), (37, 0));
    clusters["a"].wipe(true);
    seconds(600).await;
    assert_eq!((total(&clusters["b"]), world.held()), (37, 37), "nobody has released these");
}

#[tokio::test(start_paused = true)]
async fn a_release_of_a_burst_does_not_open_the_guard_for_the_next() {
    let (clusters, world) = copied(100, 1, 10).await;
    remove(&clusters["a"], 0..13);
    seconds(2).await;
    assert_eq!((total(&clusters["b"]), world.held()), (90, 3));
    assert_eq!(world.engine.release(&world.owner()), 3);
    seconds(2).await;
    assert_eq!((total(&clusters["b"]), world.held()), (87, 0));
    remove(&clusters["a"], 13..100);
    seconds(20).await;
    assert_eq!((total(&clusters["b"]), world.held()), (87, 87), "the window is full");
    assert_eq!(world.engine.release(&world.owner()), 87);
    seconds(2).await;
    assert_eq!(total(&clusters["b"]), 0);
}

/// Emptied, and seen to be emptied: the guard of bursts, and that of losses without a witness.
#[tokio::test(start_paused = true)]
async fn after_a_release_the_next_burst_has_no_more_than_its_window() {
    let (clusters, world) = copied(100, 1, 10).await;
    remove_unseen(&clusters["a"], 0..3).await;
    assert_eq!(world.engine.release(&world.owner()), 3);
    seconds(10).await;
    remove(&clusters["a"], 3..100);
    seconds(20).await;
    assert_eq!((total(&clusters["b"]), world.held()), (87, 87));
}

#[tokio::test(start_paused = true)]
async fn what_was_released_goes_however_long_its_write_takes() {
    for seen in [true, false] {
        let (clusters, world) = copied(40, 1, 10).await;
        match seen {
            true => remove(&clusters["a"], 0..15),
            false => remove_unseen(&clusters["a"], 0..5).await,
        }
        seconds(2).await;
        let held = world.held();
        assert_eq!(held, 5);
        clusters["b"].fail(Fault::Hung);
        assert_eq!(world.engine.release(&world.owner()), held);
        // Longer than any time-out, with a source that breaks meanwhile.
        seconds(200).await;
        clusters["a"].fail(Fault::Down);
        seconds(5).await;
        clusters["a"].fail(Fault::None);
        seconds(200).await;
        clusters["b"].fail(Fault::None);
        seconds(60).await;
        let left = if seen { 25 } else { 35 };
        assert_eq!((total(&clusters["b"]), world.held()), (left, 0), "seen: {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_back_after_its_release_is_judged_anew() {
    // The write hangs: it comes back and goes again before the released removal could be made.
    let (clusters, world) = copied(40, 1, 10).await;
    remove_unseen(&clusters["a"], 0..5).await;
    clusters["b"].fail(Fault::Hung);
    assert_eq!(world.engine.release(&world.owner()), 5);
    seconds(1).await;
    for n in 0..5 {
        clusters["a"].register(&service(n), "p0", instance(1000));
    }
    seconds(1).await;
    remove_unseen(&clusters["a"], 0..5).await;
    clusters["b"].fail(Fault::None);
    seconds(120).await;
    assert_eq!((total(&clusters["b"]), world.held()), (40, 5));
    // Released, gone, back, and gone again.
    assert_eq!(world.engine.release(&world.owner()), 5);
    seconds(5).await;
    assert_eq!(total(&clusters["b"]), 35);
    for n in 0..5 {
        clusters["a"].register(&service(n), "p0", instance(1000));
    }
    seconds(5).await;
    assert_eq!(total(&clusters["b"]), 40);
    remove_unseen(&clusters["a"], 0..5).await;
    assert_eq!((total(&clusters["b"]), world.held()), (40, 5));
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_ends_by_itself_lets_go_only_what_it_held() {
    let (clusters, world) = copied(100, 1, 10).await;
    remove(&clusters["a"], 0..30);
    seconds(240).await;
    assert_eq!((total(&clusters["b"]), world.held()), (90, 20));
    // The hold ends 300 s after it began.
    let mut left = 0;
    while world.held() == 20 && left < 120 {
        seconds(1).await;
        left += 1;
    }
    assert!(world.notebook.said(Action::Released, "a second look agrees"), "{:#?}", world.notebook.events.lock());
    millis(500).await;
    assert_eq!(total(&clusters["b"]), 70);
    remove(&clusters["a"], 30..100);
    seconds(50).await;
    assert_eq!((total(&clusters["b"]), world.held()), (60, 60), "one window, and no more");
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_a_release() {
    let (clusters, world) = copied(40, 1, 10).await;
    remove_unseen(&clusters["a"], 0..5).await;
    clusters["b"].fail(Fault::Hung);
    assert_eq!(world.engine.release(&world.owner()), 5);
    seconds(1).await;
    let routes = world.routes.clone();
    let notebook = world.crash(false).await;
    clusters["b"].fail(Fault::None);
    let mut world = World::after("i", &clusters, notebook);
    world.routes = routes;
    world.start();
    seconds(120).await;
    assert_eq!((total(&clusters["b"]), world.held()), (40, 5));
}
