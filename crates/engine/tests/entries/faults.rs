//! Clusters fail, are wiped and refuse: nothing is lost, and nothing is deleted without evidence.

use crate::harness::*;
use causeway_connectors::memory::{Fault, MemoryData};
use causeway_core::*;
use causeway_engine::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_empties_nothing() {
    for ways in [Ways::One, Ways::Two] {
        let world = World::new(|spec| spec.ways = ways);
        populate(&world.a, 30);
        let world = world.start();
        seconds(40).await;
        world.a.fail(Fault::Down);
        put(&world.b, "/cfg/late", "late");
        seconds(600).await;
        assert_eq!((world.b.all().len(), world.status().state), (32, RouteState::Failing));
        let asked = world.b.counts();
        seconds(600).await;
        assert_eq!(asked, world.b.counts(), "what cannot be written is not read over and over");
        world.a.fail(Fault::None);
        seconds(5).await;
        assert_eq!(world.a.get(&key("/cfg/late")).is_some(), ways == Ways::Two);
        assert_eq!(world.status().state, RouteState::InStep, "{:?}", world.status().notices);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wiped_side_is_held_until_released() {
    for side in [Side::Left, Side::Right] {
        let world = World::two_way(Conflicts::Manual);
        populate(&world.a, 30);
        let world = world.start();
        seconds(40).await;
        world.tree(side).fail(Fault::Down);
        world.tree(side).wipe(true);
        seconds(5).await;
        world.tree(side).fail(Fault::None);
        seconds(3600).await;
        let status = world.status();
        assert_eq!((world.tree(side.other()).all().len(), status.held[side.other()]), (31, 30), "and /cfg after them");
        assert_eq!(status.state, RouteState::Held);
        assert!(world.notebook.said(Action::Held, "emptied"), "{:#?}", world.notebook.events.lock());
        assert_eq!(world.engine.release(&world.spec.owner), 30);
        seconds(10).await;
        assert!(world.a.all().is_empty() && world.b.all().is_empty());
        assert_eq!((world.status().state, world.status().entries), (RouteState::InStep, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_lets_go_what_is_held_and_nothing_else() {
    for side in [Side::Left, Side::Right] {
        let world = World::two_way(Conflicts::Manual);
        populate(&world.a, 30);
        let world = world.start();
        seconds(40).await;
        // Twenty go while nobody watches: more than a third.
        let (tree, there) = (world.tree(side), world.tree(side.other()));
        tree.fail(Fault::Down);
        seconds(5).await;
        let names: Vec<_> = tree.all().into_keys().filter(|key| *key.name != *"/cfg").collect();
        for key in &names[..20] {
            tree.remove(key);
        }
        tree.fail(Fault::None);
        seconds(120).await;
        assert_eq!((there.all().len(), world.status().held[side.other()]), (31, 20));
        assert_eq!(world.engine.release(&world.spec.owner), 20);
        seconds(5).await;
        assert_eq!((there.all().len(), world.status().held[side.other()]), (11, 0), "{side:?}");
        tree.wipe(true);
        seconds(300).await;
        assert_eq!((there.all().len(), world.status().held[side.other()]), (11, 10), "{side:?}: not released");
    }
}

/// What differs then was not edited there, and what is missing was not deleted.
#[tokio::test(start_paused = true)]
async fn a_side_that_is_put_back_wins_nothing() {
    for (side, restart) in [(Side::Left, false), (Side::Right, false), (Side::Left, true), (Side::Right, true)] {
        let world = World::two_way(Conflicts::Manual);
        populate(&world.a, 40);
        let mut world = world.start();
        seconds(40).await;
        let backup = world.tree(side).copy();
        let healthy = world.tree(side.other()).clone();
        let names: Vec<_> = healthy.all().into_keys().filter(|key| *key.name != *"/cfg").collect();
        for key in &names[..30] {
            healthy.put(key, Content::of("newer"));
        }
        (0..10).for_each(|n| put(&healthy, &format!("/cfg/new{n}"), "new"));
        seconds(40).await;
        assert!(world.same());
        let all = healthy.all();
        if restart {
            world = world.down().await;
        }
        world.tree(side).put_back(backup);
        if restart {
            world = world.restart().await;
        }
        seconds(600).await;
        assert_eq!(healthy.all(), all, "{side:?} {restart}");
        assert_eq!((world.tree(side).all().len(), world.conflicts().len()), (51, 30), "{side:?} {restart}");
        assert!(world.notebook.said(Action::Skipped, "put back"), "{:#?}", world.notebook.events.lock());
    }
}

/// Another cluster under the same name, with the same tree in it.
#[tokio::test(start_paused = true)]
async fn another_cluster_wins_nothing() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 40);
    let world = world.start();
    seconds(40).await;
    let all = world.a.all();
    let other = MemoryData::new();
    (0..1000).for_each(|n| put(&other, "/elsewhere", &n.to_string()));
    populate(&other, 40);
    all.keys().filter(|key| key.name.ends_with('5')).for_each(|key| other.put(key, Content::of("staging")));
    let world = world.down().await;
    let world = World::between(world.a.clone(), other, world.notebook.clone(), |spec| spec.ways = Ways::Two);
    let world = world.restart().await;
    seconds(600).await;
    assert_eq!(world.a.all().iter().filter(|(key, content)| all.get(*key) != Some(content)).count(), 1, "/elsewhere");
    assert_eq!(world.conflicts().len(), 4, "{:?}", world.conflicts());
}

#[tokio::test(start_paused = true)]
async fn a_wiped_side_that_comes_back_loses_nothing() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 100);
    let world = world.start();
    seconds(40).await;
    let before = world.a.all();
    world.a.wipe(true);
    for n in 0..100 {
        put(&world.a, &format!("/cfg/{n}"), &n.to_string());
        millis(400).await;
        assert_eq!(world.b.all().len(), 101);
    }
    seconds(120).await;
    assert_eq!((world.a.all(), world.b.all()), (before.clone(), before));
    assert_eq!((world.status().state, world.notebook.count(Action::Deleted)), (RouteState::InStep, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wiped_destination_of_a_one_way_task_is_filled_again() {
    let world = World::new(|_| {});
    populate(&world.a, 100);
    let world = world.start();
    seconds(40).await;
    world.b.wipe(true);
    seconds(5).await;
    assert!(world.same());
}

#[tokio::test(start_paused = true)]
async fn a_mass_deletion_is_held_then_passes() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 300);
    let world = world.start();
    seconds(40).await;
    for n in 0..200 {
        world.a.remove(&key(&format!("/cfg/{n}")));
        millis(10).await;
    }
    seconds(20).await;
    let left = world.b.all().len();
    assert_eq!(left, 301 - 90, "30 % of 301 went");
    assert_eq!((world.status().held.right, world.status().state), (left - 101, RouteState::Held));
    put(&world.a, "/cfg/1", "wanted after all");
    seconds(400).await;
    assert!(world.same() && world.a.all().len() == 102, "ends by itself, with a second look");
    assert_eq!(world.status().state, RouteState::InStep, "{:?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn a_flaky_destination_gets_everything_in_the_end() {
    let world = World::new(|_| {});
    populate(&world.a, 2_000);
    world.b.slow(Duration::from_millis(20));
    let world = world.start();
    for _ in 0..20 {
        millis(70).await;
        world.b.fail(Fault::Down);
        millis(50).await;
        world.b.fail(Fault::None);
    }
    seconds(60).await;
    assert!(world.same());
    assert_eq!(world.notebook.count(Action::Deleted), 0);
    assert_eq!(world.status().state, RouteState::InStep, "{:?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_known_for_ours() {
    let mut world = World::two_way(Conflicts::Manual);
    populate(&world.a, 3);
    let mute = std::sync::Arc::new(ports::Mute(world.b.clone(), parking_lot::Mutex::new(0)));
    let port = DataPort::read_write(mute.clone());
    world.change(|spec| spec.destination.port = port);
    seconds(40).await;
    *mute.1.lock() = 3;
    put(&world.a, "/cfg/0", "second");
    put(&world.a, "/new", "second");
    world.a.remove(&key("/cfg/1"));
    seconds(3).await;
    assert_eq!(world.read(Side::Right, "/cfg/0"), Some("second".into()), "it is made, but nobody knows");
    put(&world.a, "/cfg/0", "third");
    put(&world.a, "/new", "third");
    put(&world.a, "/cfg/1", "reborn");
    seconds(60).await;
    assert!(world.same() && world.conflicts().is_empty(), "{:#?}", world.conflicts());
    assert_eq!(
        (world.read(Side::Left, "/cfg/0"), world.read(Side::Left, "/cfg/1")),
        (Some("third".into()), Some("reborn".into()))
    );
    assert_eq!(world.status().state, RouteState::InStep, "{:#?}", world.status());
    world.change(|spec| spec.run = RunState::Drain);
    seconds(5).await;
    assert!(world.b.all().is_empty(), "all of it was ours");
}

#[tokio::test(start_paused = true)]
async fn a_hung_cluster_delays_no_other_task() {
    let world = World::new(|_| {});
    let third = causeway_connectors::memory::MemoryData::new();
    let mut other = spec(std::sync::Arc::new(world.a.clone()), std::sync::Arc::new(third.clone()));
    other.owner = OwnerId::new("i", "other");
    other.destination.id = ClusterId::of("c");
    populate(&world.a, 10);
    world.engine.configure(vec![world.spec.clone(), other]);
    seconds(2).await;
    world.b.fail(Fault::Hung);
    for n in 0..50 {
        put(&world.a, "/cfg/1", &format!("edit {n}"));
        seconds(1).await;
        assert_eq!(read(&third, "/cfg/1"), Some(format!("edit {n}")));
    }
    world.b.fail(Fault::None);
    seconds(40).await;
    assert!(world.same());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_refused_does_not_spoil_the_rest() {
    let world = World::new(|_| {});
    populate(&world.a, 50);
    world.b.refuse("/cfg/13");
    let world = world.start();
    seconds(5).await;
    assert_eq!(world.b.all().len(), 50);
    assert!(world.notebook.said(Action::Skipped, "not welcome"));
    let calls = world.b.counts().calls;
    seconds(300).await;
    assert_eq!(calls, world.b.counts().calls, "not tried again before long");
    assert_eq!(world.status().state, RouteState::InStep, "{:?}", world.status());
    put(&world.a, "/cfg/13", "changed");
    seconds(5).await;
    assert!(world.b.counts().calls > calls, "but when it changes");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_denied_is_said_and_empties_nothing() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 10);
    let other = EntryKey::new("test", "g", "x.yaml");
    world.a.put(&other, Content::of("1"));
    world.b.put(&other, Content::of("1"));
    let world = world.start();
    seconds(40).await;
    world.a.fail(Fault::PartDenied(Part::new("test")));
    put(&world.a, "/cfg/3", "three");
    world.b.put(&other, Content::of("2"));
    seconds(100).await;
    assert_eq!(world.read(Side::Right, "/cfg/3"), Some("three".into()), "the other part goes on");
    assert_eq!(world.status().state, RouteState::Failing);
    assert!(
        world.status().notices.iter().any(|reason| reason.to_string().contains("no right")),
        "{:?}",
        world.status()
    );
    world.a.fail(Fault::None);
    seconds(5).await;
    assert_eq!(world.a.get(&other), Some(Content::of("2")));
}

#[tokio::test(start_paused = true)]
async fn parents_go_before_children_and_after_them() {
    let world = World::two_way(Conflicts::Manual);
    world.b.slow(Duration::from_millis(30));
    for n in 0..3_000u32 {
        let (a, b, c) = (n % 7, n % 31, n % 5);
        put(&world.a, &format!("/t/{a}/{b}/{c}/{n}"), "x");
    }
    let world = world.start();
    seconds(20).await;
    assert!(world.same());
    assert_eq!(world.b.counts().refused, 0, "no child before its parent");
    world.a.remove(&key("/t/3"));
    seconds(10).await;
    world.engine.release(&world.spec.owner);
    seconds(10).await;
    assert!(world.same() && world.b.get(&key("/t/3")).is_none());
    assert_eq!(world.b.counts().refused, 0, "no parent before its children");
}

#[tokio::test(start_paused = true)]
async fn a_parent_is_kept_for_what_is_new_below_it() {
    let world = World::two_way(Conflicts::Manual);
    put(&world.a, "/app/x/y", "old");
    put(&world.a, "/other", "old");
    let world = world.start();
    seconds(40).await;
    let world = world.down().await;
    world.a.remove(&key("/app"));
    put(&world.b, "/app/x/new", "new");
    let world = world.restart().await;
    seconds(2).await;
    assert_eq!(world.read(Side::Left, "/app/x/new"), Some("new".into()), "additions need no evidence");
    seconds(40).await;
    assert!(world.same(), "{:#?} {:#?}", world.status(), world.notebook.events.lock());
    assert_eq!(world.read(Side::Left, "/app/x/new"), Some("new".into()));
    assert!(world.a.get(&key("/app/x/y")).is_none(), "what was deleted and not needed is deleted");

    // A one-way task leaves the destination's own, and what it stands on.
    let world = World::new(|_| {});
    put(&world.a, "/app/x/y", "old");
    let world = world.start();
    seconds(2).await;
    put(&world.b, "/app/x/own", "b's");
    world.a.remove(&key("/app"));
    seconds(5).await;
    assert_eq!(world.b.all().len(), 3);
    assert!(world.notebook.said(Action::Skipped, "lies below it"));
    world.b.remove(&key("/app/x/own"));
    seconds(5).await;
    assert!(world.b.all().is_empty(), "it goes when that goes");
}

#[tokio::test(start_paused = true)]
async fn a_storm_on_one_entry_is_a_handful_of_writes() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 3);
    let world = world.start();
    seconds(2).await;
    let written = world.b.counts().written;
    for n in 0..10_000 {
        put(&world.a, "/cfg/1", &n.to_string());
        if n % 10 == 0 {
            millis(1).await;
        }
    }
    seconds(2).await;
    assert_eq!(world.read(Side::Right, "/cfg/1"), Some("9999".into()));
    assert!(world.b.counts().written - written <= 10, "{} writes", world.b.counts().written - written);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_what_a_watch_has_missed() {
    let mut world = World::two_way(Conflicts::Manual);
    populate(&world.a, 20);
    let deaf = |tree: &causeway_connectors::memory::MemoryData| std::sync::Arc::new(ports::Deaf(tree.clone()));
    let (a, b) = (deaf(&world.a), deaf(&world.b));
    world.change(|spec| (spec.source.port, spec.destination.port) = (DataPort::read_write(a), DataPort::read_write(b)));
    seconds(40).await;
    put(&world.a, "/cfg/1", "edited");
    put(&world.b, "/cfg/new", "new");
    world.a.remove(&key("/cfg/2"));
    seconds(40).await;
    assert!(!world.same(), "nobody has heard of it");
    seconds(3600 * 2).await;
    assert!(world.same(), "{:#?}", world.status());
    assert_eq!((world.read(Side::Right, "/cfg/1"), world.a.all().len()), (Some("edited".into()), 21));
    let (calls, read) = (world.a.counts().calls, world.a.counts().read);
    seconds(3600 * 3).await;
    assert!((2..=4).contains(&(world.a.counts().calls - calls)), "one list each time");
    assert_eq!(read, world.a.counts().read, "and nothing read");
}
