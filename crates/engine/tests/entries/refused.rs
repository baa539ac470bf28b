//! What is refused delays nothing but itself, and access lists come after what is below.

use crate::harness::ports::{Fuse, Mortal, MortalNotebook};
use crate::harness::*;
use causeway_connectors::memory::MemoryData;
use causeway_core::*;
use causeway_engine::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn frozen(text: &str) -> Content {
    let attributes = Attributes([("acl".to_owned(), "frozen".to_owned())].into());
    Content { attributes, ..Content::of(text) }
}

fn with_lists(spec: &mut DataSpec) {
    spec.attributes = AttributeFilter::All;
}

/// Waits until an edit of `path` has come, and gives how long that took.
async fn edit(world: &World, path: &str, text: &str) -> Duration {
    put(&world.a, path, text);
    let began = Instant::now();
    while world.read(Side::Right, path).as_deref() != Some(text) {
        assert!(began.elapsed() < Duration::from_secs(3600), "{path} never came: {:#?}", world.status());
        millis(10).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_refused_entry_delays_only_itself() {
    let world = World::new(|_| {});
    populate(&world.a, 20);
    put(&world.a, "/open", "0");
    (0..20).for_each(|n| world.b.deny(&format!("/cfg/{n}"), true));
    let world = world.start();
    seconds(5).await;
    for n in 0..200 {
        millis(3_100).await;
        let took = edit(&world, "/open", &format!("edit {n}")).await;
        assert!(took < Duration::from_millis(500), "edit {n} took {took:?}");
    }
    // Each is retried about every 30 s: 20 times in 620 s.
    let refused = world.b.counts().refused;
    assert!((20 * 17..20 * 22).contains(&refused), "{refused}");
    assert_eq!(world.notebook.count(Action::Failed), 20, "each is told once");
    let status = world.status();
    assert!(status.skipped.iter().any(|(why, n)| why.to_string().contains("not allow") && *n == 20), "{status:#?}");
    // Rights come back: as soon as one is accepted, the others are tried.
    (0..20).for_each(|n| world.b.deny(&format!("/cfg/{n}"), false));
    let took = edit(&world, "/cfg/7", "edited").await;
    assert!(took < Duration::from_millis(500), "{took:?}");
    seconds(2).await;
    assert!(world.same(), "{:#?}", world.status());
    assert_eq!(world.status().state, RouteState::InStep);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_held_is_not_written() {
    let world = World::two_way(Conflicts::Manual);
    world.b.limit(10);
    put(&world.a, "/cfg/small", "1");
    put(&world.a, "/cfg/large", "more than it takes");
    let world = world.start();
    seconds(700).await;
    assert_eq!(world.read(Side::Right, "/cfg/small").as_deref(), Some("1"));
    assert_eq!((world.read(Side::Right, "/cfg/large"), world.b.counts().refused), (None, 0));
    assert!(world.notebook.said(Action::Skipped, "18 bytes are more than the 10"), "{:#?}", world.status());
    assert_eq!((world.status().state, world.status().skipped.len()), (RouteState::InStep, 1));
    put(&world.a, "/cfg/large", "less");
    seconds(5).await;
    assert!(world.same() && world.status().skipped.is_empty(), "{:?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn what_is_below_comes_before_the_access_list() {
    for ways in [Ways::One, Ways::Two] {
        let world = World::new(|spec| spec.ways = ways);
        world.a.put(&key("/conf/frozen"), frozen("top"));
        for n in 0..600 {
            put(&world.a, &format!("/conf/frozen/{n}"), &n.to_string());
        }
        world.a.put(&key("/conf/frozen/deep"), frozen("deep"));
        put(&world.a, "/conf/frozen/deep/er", "deeper");
        world.a.put(&key("/conf/leaf"), frozen("leaf"));
        let mut world = world;
        with_lists(&mut world.spec);
        let world = world.start();
        seconds(10).await;
        assert!(world.same(), "{:#?}", world.status());
        assert_eq!(world.status().state, RouteState::InStep, "{:#?}", world.status());
        assert!(world.conflicts().is_empty());
        // A child that comes later is refused, by name; nothing waits for it.
        put(&world.a, "/conf/frozen/late", "late");
        put(&world.a, "/conf/open", "open");
        seconds(2).await;
        let reasons = world.status().notices.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert!(reasons.contains("/conf/frozen"), "{reasons}");
        assert_eq!(world.read(Side::Right, "/conf/frozen/late"), None);
        assert!(edit(&world, "/conf/open", "again").await < Duration::from_millis(500));
        let world = world.restart().await;
        seconds(40).await;
        assert!(edit(&world, "/conf/open", "once more").await < Duration::from_millis(500));
        assert_eq!(world.a.all().len(), world.b.all().len() + 1, "nothing but the late one is missing");
        assert!(world.a.get(&key("/conf/frozen/late")).is_some());
    }
}

/// The watch tells of the node before it tells of what is made below it a moment later.
#[tokio::test(start_paused = true)]
async fn what_is_below_may_come_a_moment_later() {
    let mut world = World::new(|_| {});
    with_lists(&mut world.spec);
    let world = world.start();
    seconds(5).await;
    world.a.put(&key("/frozen"), frozen("top"));
    millis(400).await;
    put(&world.a, "/frozen/child", "child");
    seconds(5).await;
    assert!(world.same(), "{:#?}", world.b.all());
    // The same on a node that stands on both sides.
    put(&world.a, "/later", "open");
    seconds(5).await;
    put(&world.a, "/later/child", "child");
    world.a.put(&key("/later"), frozen("open no more"));
    seconds(5).await;
    assert!(world.same(), "{:#?}", world.b.all());
}

fn process(a: &MemoryData, b: &MemoryData, notebook: &Arc<Notebook>, fuse: &Arc<Fuse>) -> Arc<DataEngine> {
    let mortal = |tree: &MemoryData| Arc::new(Mortal(tree.clone(), fuse.clone()));
    let mut spec = spec(mortal(a), mortal(b));
    (spec.ways, spec.attributes) = (Ways::Two, AttributeFilter::All);
    let recorder = MortalNotebook { notebook: notebook.clone(), fuse: fuse.clone(), keeps: true };
    let timing = DataTiming { kept: Duration::from_secs(1_000_000), ..DataTiming::default() };
    let engine = DataEngine::new(timing, Arc::new(recorder), notebook.ledgers(false));
    engine.configure(vec![spec]);
    engine
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_access_list_is_no_conflict() {
    for steps in 0.. {
        let (a, b, notebook) = (MemoryData::new(), MemoryData::new(), Arc::<Notebook>::default());
        a.put(&key("/frozen"), frozen("top"));
        (0..3).for_each(|n| put(&a, &format!("/frozen/{n}"), "x"));
        let before = a.all();
        let fuse = Fuse::new(steps);
        let engine = process(&a, &b, &notebook, &fuse);
        seconds(20).await;
        drop(engine);
        let engine = process(&a, &b, &notebook, &Fuse::new(usize::MAX));
        seconds(40).await;
        assert_eq!((&a.all(), &b.all()), (&before, &before), "after {steps} steps");
        let status = engine.status().remove(0);
        assert_eq!((status.state, status.conflicts), (RouteState::InStep, 0), "after {steps} steps: {status:#?}");
        if !fuse.burnt() {
            assert!(steps > 20, "{steps}");
            break;
        }
    }
}
