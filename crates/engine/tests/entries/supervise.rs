//! Work on config entries panics, hangs or returns too little: everything else goes on, and the status says so.

use crate::harness::*;
use crate::odd::*;
use causeway_connectors::memory::MemoryData;
use causeway_core::{Conflicts, EntryInterest, EntryKey, Fingerprint, Limits, Ways};
use causeway_engine::*;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A two-way task between `a` and `b`, whose ports misbehave as their whims say.
fn between(change: impl FnOnce(&Whims, &Whims)) -> (World, Arc<Whims>, Arc<Whims>) {
    let (a, b) = (Arc::<Whims>::default(), Arc::<Whims>::default());
    change(&a, &b);
    let mut world = World::two_way(Conflicts::Manual);
    populate(&world.a, 50);
    let odd = |tree: &MemoryData, whims: &Arc<Whims>| Arc::new(OddData(tree.clone(), whims.clone()));
    world.spec = spec(odd(&world.a, &a), odd(&world.b, &b));
    world.spec.ways = Ways::Two;
    (world.start(), a, b)
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_panics_begins_again_from_the_ledger() {
    let (world, a, _) = between(|_, _| ());
    seconds(40).await;
    assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
    a.panic("stream", 2);
    put(&world.a, "/cfg/0", "new");
    millis(50).await;
    assert_eq!(world.status().state, RouteState::Failing);
    assert!(world.status().notices[0].to_string().contains("bug in stream"), "{:?}", world.status());
    assert_eq!(world.engine.crashes().len(), 1);
    put(&world.b, "/cfg/1", "back");
    world.a.remove(&key("/cfg/2"));
    seconds(15).await;
    assert!(read(&world.b, "/cfg/2").is_some(), "nobody saw it go, and the source has not settled");
    seconds(60).await;
    assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
    assert_eq!((read(&world.b, "/cfg/0"), read(&world.a, "/cfg/1")), (Some("new".into()), Some("back".into())));
    assert_eq!((read(&world.b, "/cfg/2"), world.conflicts().len()), (None, 0));
    assert!(world.engine.crashes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_always_panics_deletes_nothing() {
    let (world, a, _) = between(|a, _| a.panic("watch", usize::MAX));
    for _ in 0..100 {
        seconds(3).await;
        assert_eq!(world.status().state, RouteState::Failing);
    }
    a.panic("watch", 0);
    seconds(60).await;
    assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn a_poison_entry_stops_no_other() {
    for what in ["read", "write"] {
        let (world, a, b) = between(|a, b| {
            for whims in [a, b] {
                *whims.poison.lock() = Some("/cfg/7".into());
                whims.panic(what, usize::MAX);
            }
        });
        seconds(400).await;
        assert_eq!(world.b.all().len(), 50, "{what}: {:?}", world.status());
        put(&world.a, "/cfg/8", "new");
        seconds(1).await;
        assert_eq!(read(&world.b, "/cfg/8"), Some("new".into()), "{what}");
        let status = world.status();
        assert_eq!(status.state, RouteState::Failing, "{what}");
        assert!(status.notices.iter().any(|r| r.to_string().contains(&format!("bug in {what}"))), "{status:?}");
        a.panic(what, 0);
        b.panic(what, 0);
        seconds(60).await;
        assert!(world.same() && world.status().state == RouteState::InStep, "{what}: {:?}", world.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_outcome_is_an_error_and_no_loss() {
    for surplus in [-1, 5] {
        let (world, a, b) = between(|a, b| {
            *a.surplus.lock() = surplus;
            *b.surplus.lock() = surplus;
        });
        seconds(5).await;
        if surplus < 0 {
            assert_eq!(world.status().state, RouteState::Failing, "{:?}", world.status());
            assert!(world.status().notices.iter().any(|r| r.to_string().contains("outcomes")), "{:?}", world.status());
        }
        (*a.surplus.lock(), *b.surplus.lock()) = (0, 0);
        seconds(100).await;
        assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_side_is_read_and_written_in_smaller_calls() {
    let (world, ..) = between(|a, b| {
        *a.each.lock() = Duration::from_millis(400);
        *b.each.lock() = Duration::from_millis(400);
    });
    seconds(300).await;
    assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_returns_does_not_hold_up_the_end() {
    let (world, _, b) = between(|_, b| *b.hang.lock() = true);
    seconds(1).await;
    assert_eq!(b.calls.lock().len(), 1);
    let began = tokio::time::Instant::now();
    world.engine.stop().await;
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
    *b.hang.lock() = false;
    let world = world.restart().await;
    seconds(60).await;
    assert!(world.same(), "{:?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn limits_that_change_are_honoured() {
    let (world, _, b) = between(|_, b| {
        *b.limits.lock() = Limits { max_batch: 100, in_flight: 2, per_second: Some(5) };
    });
    seconds(5).await;
    let written = |whims: &Whims| whims.calls.lock().iter().map(|(_, count)| *count).sum::<usize>();
    assert!((20..=30).contains(&written(&b)), "{}", written(&b));
    b.limits.lock().per_second = None;
    seconds(3).await;
    assert_eq!(world.b.all().len(), 51);
}

/// A selection of everything that panics so many times.
struct Brittle(Mutex<usize>);

impl EntryInterest for Brittle {
    fn takes(&self, _: &EntryKey) -> bool {
        let mut left = self.0.lock();
        if *left > 0 {
            *left = left.saturating_sub(usize::from(*left != usize::MAX));
            drop(left);
            panic!("a bug in takes");
        }
        true
    }
    fn may_hold(&self, _: &EntryKey) -> bool {
        true
    }
    fn fingerprint(&self) -> Fingerprint {
        // Each is another one.
        Fingerprint::of(&std::ptr::from_ref(self))
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_ledger_is_loaded_is_told_and_loses_nothing() {
    let (mut world, ..) = between(|_, _| ());
    seconds(40).await;
    world.change(|spec| spec.select = Arc::new(Brittle(Mutex::new(3))));
    put(&world.a, "/cfg/0", "new");
    millis(100).await;
    assert_eq!(world.engine.crashes().len(), 1, "{:?}", world.status());
    assert_eq!(world.status().state, RouteState::Failing);
    assert_eq!(world.engine.copies(&world.spec.owner).len(), 51, "they are still its copies");
    seconds(60).await;
    assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
    assert_eq!((read(&world.b, "/cfg/0"), world.engine.crashes().len()), (Some("new".into()), 0));
}

#[tokio::test(start_paused = true)]
async fn a_successor_has_the_ledger_of_one_that_never_worked() {
    let (mut world, a, _) = between(|_, _| ());
    seconds(40).await;
    world.change(|spec| spec.select = Arc::new(Brittle(Mutex::new(usize::MAX))));
    put(&world.a, "/cfg/0", "new");
    seconds(60).await;
    world.change(|spec| spec.select = Arc::new(Brittle(Mutex::new(0))));
    seconds(60).await;
    assert_eq!(world.conflicts().len(), 0);
    assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
    // The same of one that panics at work, and again while it begins again.
    let brittle = Arc::new(Brittle(Mutex::new(0)));
    world.change(|spec| spec.select = brittle.clone());
    seconds(60).await;
    a.panic("stream", 1);
    *brittle.0.lock() = usize::MAX;
    put(&world.a, "/cfg/1", "new");
    seconds(60).await;
    world.change(|spec| spec.select = Arc::new(Brittle(Mutex::new(0))));
    seconds(60).await;
    assert_eq!(world.conflicts().len(), 0);
    assert!(world.same() && world.status().state == RouteState::InStep, "{:?}", world.status());
}
