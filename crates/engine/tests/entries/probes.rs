//! What is refused and may be accepted later without a word from the cluster is tried again in time, and in turn.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;
use std::time::Duration;
use tokio::time::Instant;

/// Waits until `path` stands in the destination, and gives how long that took.
async fn arrival(world: &World, path: &str) -> Duration {
    let began = Instant::now();
    while world.read(Side::Right, path).is_none() {
        assert!(began.elapsed() < Duration::from_secs(3600), "{path} never came: {:#?}", world.status());
        millis(100).await;
    }
    began.elapsed()
}

fn refused(world: &World) -> usize {
    world.b.counts().refused
}

#[tokio::test(start_paused = true)]
async fn a_blocked_entry_is_tried_again_within_seconds() {
    let world = World::new(|_| {});
    populate(&world.a, 3);
    world.b.block("/cfg/1", true);
    let world = world.start();
    seconds(100).await;
    let status = world.status();
    assert_eq!(status.state, RouteState::InStep, "{status:#?}");
    assert!(
        status.skipped.iter().any(|(why, n)| why.to_string().contains("no room for /cfg/1") && *n == 1),
        "{status:#?}"
    );
    let known = world.engine.known(&world.spec.owner, &key("/cfg/1")).refused.unwrap();
    assert!(known.to_string().contains("no room"), "{known}");
    assert!((8..20).contains(&refused(&world)), "{}", refused(&world));
    assert_eq!(world.notebook.count(Action::Skipped), 1, "told once");
    world.b.block("/cfg/1", false);
    let took = arrival(&world, "/cfg/1").await;
    assert!(took <= Duration::from_secs(11), "{took:?}");
    seconds(1).await;
    assert!(world.same() && world.status().skipped.is_empty(), "{:#?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn a_blocked_removal_ends_the_drain_late() {
    let world = World::new(|_| {});
    populate(&world.a, 3);
    let mut world = world.start();
    seconds(40).await;
    world.b.block("/cfg/1", true);
    world.change(|spec| spec.run = RunState::Drain);
    seconds(60).await;
    let status = world.status();
    assert_eq!((status.state, status.entries), (RouteState::Draining, 2), "{status:#?}");
    assert!(status.skipped.keys().any(|why| why.to_string().contains("no room for /cfg/1")), "{status:#?}");
    world.b.block("/cfg/1", false);
    seconds(12).await;
    assert_eq!(world.status().state, RouteState::Drained, "{:#?}", world.status());
    assert!(world.b.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_granted_is_used_within_half_a_minute() {
    let world = World::new(|_| {});
    populate(&world.a, 100);
    (0..100).for_each(|n| world.b.deny(&format!("/cfg/{n}"), true));
    let world = world.start();
    for (n, wait) in [(7, 200), (70, 600)] {
        seconds(wait).await;
        let status = world.status();
        assert!(status.skipped.keys().any(|why| why.to_string().contains("b does not allow it")), "{status:#?}");
        world.b.deny(&format!("/cfg/{n}"), false);
        let took = arrival(&world, &format!("/cfg/{n}")).await;
        assert!(took <= Duration::from_secs(45), "{n}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_denied_entries_are_tried_a_few_a_second() {
    const MANY: usize = 3_000;
    let world = World::new(|_| {});
    populate(&world.a, MANY);
    put(&world.a, "/open", "0");
    (0..MANY).for_each(|n| world.b.deny(&format!("/cfg/{n}"), true));
    let mut world = world.start();
    seconds(20).await;
    assert_eq!(refused(&world), MANY, "each once");
    seconds(600).await;
    let tried = refused(&world) - MANY;
    assert!((7 * 580..=8 * 600).contains(&tried), "{tried}");
    // What marks everything is no storm, nor is one that is accepted.
    let before = refused(&world);
    world.change(|spec| spec.overrides = Overrides::Replace);
    world.b.deny("/cfg/11", false);
    seconds(500).await;
    assert!(world.read(Side::Right, "/cfg/11").is_some(), "in turn");
    let tried = refused(&world) - before;
    assert!(tried <= 8 * 500 + 100, "{tried}");
    // One that is edited does not wait for its turn.
    world.b.deny("/cfg/12", false);
    put(&world.a, "/cfg/12", "edited");
    assert!(arrival(&world, "/cfg/12").await < Duration::from_secs(1));
    (0..MANY).for_each(|n| world.b.deny(&format!("/cfg/{n}"), false));
    seconds(10).await;
    assert!(world.same(), "all others follow: {}", world.b.all().len());
    assert_eq!(world.status().state, RouteState::InStep);
}
