//! Entries that both sides have changed: settled by the policy, or listed and decided.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Both sides edit `/cfg/0` and `/cfg/1` (`/cfg/1` is deleted on the left) while nobody watches.
async fn conflict(conflicts: Conflicts) -> World {
    let world = World::two_way(conflicts);
    populate(&world.a, 3);
    let world = world.start();
    seconds(40).await;
    let world = world.down().await;
    put(&world.b, "/cfg/0", "right");
    put(&world.a, "/cfg/0", "left");
    put(&world.b, "/cfg/1", "right");
    world.a.remove(&key("/cfg/1"));
    let world = world.restart().await;
    seconds(60).await;
    world
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_settled_by_the_policy() {
    let cases = [
        (Conflicts::Source, some("left"), None),
        (Conflicts::Destination, some("right"), some("right")),
        (Conflicts::Newest, some("left"), some("right")),
    ];
    for (policy, first, second) in cases {
        let world = conflict(policy).await;
        assert!(world.same(), "{policy:?}");
        assert_eq!((world.read(Side::Left, "/cfg/0"), world.read(Side::Left, "/cfg/1")), (first, second), "{policy:?}");
        assert_eq!(world.notebook.count(Action::Conflict), 2, "{policy:?}: never silently");
        assert!(world.notebook.said(Action::Conflict, "written over: "));
        assert_eq!(world.status().state, RouteState::InStep);
    }
}

#[tokio::test(start_paused = true)]
async fn manual_conflicts_are_kept_shown_and_decided() {
    let world = conflict(Conflicts::Manual).await;
    let rows = world.conflicts();
    assert_eq!((rows.len(), world.status().conflicts, world.status().state), (2, 2, RouteState::Held));
    assert_eq!(rows[0].key, key("/cfg/0"));
    let sizes = |row: &ConflictRow| (row.shown.left.map(|one| one.size), row.shown.right.map(|one| one.size));
    assert_eq!(sizes(&rows[0]), (Some(4), Some(5)));
    assert_eq!(sizes(&rows[1]), (None, Some(5)));
    let reads = world.a.counts();
    let world = world.restart().await;
    seconds(60).await;
    assert_eq!(world.conflicts().len(), 2, "found again");
    assert_eq!(world.a.counts().read - reads.read, 1, "by reading no more than them");
    let owner = world.spec.owner.clone();
    assert!(!world.engine.resolve(&owner, &key("/cfg/2"), Side::Left), "that is none");
    assert!(world.engine.resolve(&owner, &key("/cfg/0"), Side::Right));
    assert!(world.engine.resolve(&owner, &key("/cfg/1"), Side::Left));
    seconds(5).await;
    assert_eq!((world.read(Side::Left, "/cfg/0"), world.read(Side::Right, "/cfg/1")), (some("right"), None));
    assert!(world.same() && world.conflicts().is_empty() && world.status().state == RouteState::InStep);
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_about_what_was_shown() {
    let world = conflict(Conflicts::Manual).await;
    put(&world.b, "/cfg/0", "newer");
    assert!(world.engine.resolve(&world.spec.owner, &key("/cfg/0"), Side::Left));
    seconds(5).await;
    assert_eq!((world.read(Side::Left, "/cfg/0"), world.read(Side::Right, "/cfg/0")), (some("left"), some("newer")));
    assert_eq!(world.conflicts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_rules_change_without_a_new_look() {
    let mut world = conflict(Conflicts::Manual).await;
    let calls = world.a.counts();
    world.change(|spec| spec.conflicts = Conflicts::Destination);
    seconds(5).await;
    assert!(world.same() && world.conflicts().is_empty());
    assert_eq!(world.a.counts().read - calls.read, 1, "only what is in conflict");
    world.change(|spec| spec.run = RunState::Paused);
    put(&world.a, "/cfg/2", "paused");
    seconds(5).await;
    assert_eq!((world.read(Side::Right, "/cfg/2"), world.status().state), (some("2"), RouteState::Paused));
    world.change(|spec| spec.run = RunState::On);
    seconds(1).await;
    assert_eq!(world.read(Side::Right, "/cfg/2"), some("paused"));
}
