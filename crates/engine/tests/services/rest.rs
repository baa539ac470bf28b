//! At rest nothing is proportional to what exists; sweeps are made in portions that others go ahead of; what has gone is
//! forgotten.

use crate::harness::*;
use causeway_connectors::memory::Fault;
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counts how often it is asked.
#[derive(Debug, Default)]
struct Counting {
    lens: ServiceLens,
    /// Only services whose name contains this.
    word: &'static str,
    asked: AtomicUsize,
    /// How often about a record: by what plans and counts.
    records: AtomicUsize,
}

impl Lens for Counting {
    fn scope(&self, source: &ServiceKey, spell: Spell<'_>) -> Option<ServiceKey> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.lens.scope(source, spell).filter(|_| source.name.contains(self.word))
    }
    fn record(&self, source: &ServiceKey, record: &Instance, spell: Spell<'_>) -> Choice {
        self.records.fetch_add(1, Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.lens.record(source, record, spell)
    }
    fn part(&self, source: &Part) -> Part {
        self.lens.part(source)
    }
    fn renames(&self) -> bool {
        self.lens.renames()
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&(&self.lens, self.word))
    }
}

/// How often the filters are asked in a minute without any change, with a look at the status every second.
async fn asked_at_rest(services: usize, word: &'static str) -> usize {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], services, 1);
    let lens = Arc::new(Counting { word, ..Counting::default() });
    let mut world = World::new("i", &clusters);
    let route = RouteSpec { lens: lens.clone(), ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    seconds(100).await;
    assert_eq!(total(&clusters["b"]), if word == "s" { services } else { 0 });
    world.engine.status();
    let before = lens.asked.load(Ordering::SeqCst);
    for _ in 0..60 {
        seconds(1).await;
        let status = world.engine.status();
        assert_eq!(status[0].instances, total(&clusters["b"]));
        let none = status[0].notices.iter().any(|reason| reason.to_string().starts_with("none of the"));
        assert_eq!(none, word != "s", "{:?}", status[0].notices);
    }
    lens.asked.load(Ordering::SeqCst) - before
}

#[tokio::test(start_paused = true)]
async fn filters_are_not_asked_at_rest() {
    for (word, services) in [("s", 100), ("s", 10_000), ("nothing is called so", 1_000)] {
        assert_eq!(asked_at_rest(services, word).await, 0, "{services} {word}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_other_filters_select_is_copied_at_once() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 30, 1);
    let mut world = World::new("i", &clusters);
    let few = Arc::new(Counting { word: "s1", ..Counting::default() });
    let route = RouteSpec { lens: few, ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    seconds(50).await;
    assert_eq!(total(&clusters["b"]), 11);
    world.routes[0].lens = Arc::new(Counting { word: "s", ..Counting::default() });
    world.start();
    seconds(3).await;
    assert_eq!(total(&clusters["b"]), 30, "without waiting for the next sweep");
}

/// A task that is changed has everything looked at again; whatever happens meanwhile does not wait for that.
#[tokio::test(start_paused = true)]
async fn settings_are_compared_by_value() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 30, 1);
    let lens = |word| Arc::new(Counting { word, ..Counting::default() });
    let asked = |lens: &Counting| lens.asked.load(Ordering::SeqCst);
    let (first, same, other) = (lens("s1"), lens("s1"), lens("s2"));
    let mut world = World::new("i", &clusters);
    let route = RouteSpec { lens: first.clone(), ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    seconds(50).await;
    let before = asked(&first);
    world.routes[0].lens = same.clone();
    world.start();
    seconds(50).await;
    assert_eq!((asked(&first), asked(&same)), (before, 0), "the same value in another place");
    world.routes[0].lens = other.clone();
    world.start();
    seconds(50).await;
    assert!(asked(&other) > 0 && clusters["b"].services().contains(&service(25)));
}

#[tokio::test(start_paused = true)]
async fn a_live_change_goes_ahead_of_a_sweep() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 5_000, 1);
    let mut world = World::new("i", &clusters).one_way("a", "b");
    seconds(100).await;
    assert_eq!(total(&clusters["b"]), 5_000);
    let lens = Arc::new(Counting { word: "s", ..Counting::default() });
    world.routes[0].lens = lens.clone();
    world.start();
    assert!(lens.asked.load(Ordering::SeqCst) < 100, "the settings take effect without asking about everything first");
    while lens.asked.load(Ordering::SeqCst) < 500 {
        tokio::task::yield_now().await;
    }
    clusters["a"].register(&service(4_900), "late", instance(9));
    let mut turns = 0;
    while clusters["b"].list(&service(4_900)).len() < 2 {
        tokio::task::yield_now().await;
        turns += 1;
        assert!(turns < 10_000);
    }
    let asked = lens.asked.load(Ordering::SeqCst);
    assert!(asked < 3_000, "the sweep is not half done: {asked} questions, {turns} turns");
    seconds(5).await;
    assert!(lens.asked.load(Ordering::SeqCst) > 10_000, "and goes on to its end");
}

/// After a reconnect one service is missing. What is missing is counted among all services, and nothing waits for that.
#[tokio::test(start_paused = true)]
async fn a_live_change_does_not_wait_for_a_count_of_what_is_missing() {
    for renames in [false, true] {
        let clusters = registries(&["a", "b"]);
        populate(&clusters["a"], 2_000, 1);
        let mut world = World::new("i", &clusters);
        let mut lens = Counting { word: "s", ..Counting::default() };
        if renames {
            lens.lens.group = Renaming::Template("of-{group}".into());
        }
        let lens = Arc::new(lens);
        let target = lens.lens.scope(&service(17), &|given| given).unwrap();
        let route = RouteSpec { lens: lens.clone(), ..world.route("task", "a", "b") };
        world.routes.push(route);
        world.start();
        seconds(100).await;
        assert_eq!(total(&clusters["b"]), 2_000);
        clusters["a"].fail(Fault::Down);
        seconds(1).await;
        clusters["a"].deregister(&service(17), "p0", &instance(1_000).id);
        clusters["a"].fail(Fault::None);
        let most = most_asked_in_a_turn(&lens, || clusters["b"].list(&target).is_empty()).await;
        assert!(most < 600, "{most} questions in one turn, renames: {renames}");
        seconds(5).await;
        assert_eq!(total(&clusters["b"]), 1_999);
    }
}

#[tokio::test(start_paused = true)]
async fn a_comparison_of_everything_lets_others_work() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 2_000, 1);
    let lens = Arc::new(Counting { word: "s", ..Counting::default() });
    let mut world = World::new("i", &clusters);
    let route = RouteSpec { lens: lens.clone(), ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    seconds(100).await;
    let (before, done) = (lens.records.load(Ordering::SeqCst), AtomicBool::new(false));
    let compare = async {
        let found = world.engine.compare(&world.owner()).await;
        done.store(true, Ordering::SeqCst);
        found.len()
    };
    let (most, found) = tokio::join!(most_asked_in_a_turn(&lens, || done.load(Ordering::SeqCst)), compare);
    let all = lens.records.load(Ordering::SeqCst) - before;
    assert_eq!(found, 2_000);
    assert!(most < all / 2, "{most} of {all} questions in one turn");
}

/// How many questions the filters answer at most before others have a turn, until `done` or for a minute.
async fn most_asked_in_a_turn(lens: &Counting, done: impl Fn() -> bool) -> usize {
    let mut most = 0;
    for _ in 0..6_000 {
        for _ in 0..50 {
            let before = lens.records.load(Ordering::SeqCst);
            tokio::task::yield_now().await;
            most = most.max(lens.records.load(Ordering::SeqCst) - before);
        }
        if done() {
            return most;
        }
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
    }
    panic!("it is not done within a minute, with {most} questions in one turn at most");
}

fn sizes(world: &World) -> BTreeMap<ClusterId, BTreeMap<&'static str, usize>> {
    world.engine.sizes()
}

#[tokio::test(start_paused = true)]
async fn names_that_come_and_go_leave_nothing_behind() {
    for renames in [false, true] {
        let clusters = registries(&["a", "b"]);
        populate(&clusters["a"], 5, 1);
        let mut world = World::new("i", &clusters);
        let mut lens = ServiceLens::default();
        if renames {
            lens.group = Renaming::Template("of-{group}".into());
        }
        let guard = GuardLimits { share: 1.0, ..GuardLimits::default() };
        let route = RouteSpec { lens: Arc::new(lens), guard, ..world.route("task", "a", "b") };
        world.routes.push(route);
        world.start();
        seconds(1_000).await;
        let before = sizes(&world);
        for round in 0..5 {
            let names = 1_000 + round * 1_000..1_000 + round * 1_000 + 300;
            names.clone().for_each(|n| clusters["a"].register(&service(n), "p", instance(7)));
            seconds(5).await;
            assert_eq!(total(&clusters["b"]), 305);
            for n in names {
                clusters["a"].deregister(&service(n), "p", &instance(7).id);
            }
            seconds(60).await;
            world.engine.release(&world.owner());
            seconds(10).await;
            assert_eq!(total(&clusters["b"]), 5);
        }
        seconds(1_200).await;
        assert_eq!(sizes(&world), before, "renames: {renames}");
    }
}

#[tokio::test(start_paused = true)]
async fn instances_that_come_and_go_in_a_service_that_stays_leave_nothing_behind() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 1, 1);
    let mut world = World::new("i", &clusters);
    let guard = GuardLimits { share: 1.0, ..GuardLimits::default() };
    let route = RouteSpec { guard, ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    seconds(1_000).await;
    let before = sizes(&world);
    for n in 0..500 {
        clusters["a"].register(&service(0), "pod", instance(1_000 + n));
        seconds(1).await;
        clusters["a"].deregister(&service(0), "pod", &instance(1_000 + n).id);
        seconds(1).await;
    }
    seconds(60).await;
    world.engine.release(&world.owner());
    seconds(1_200).await;
    assert_eq!(total(&clusters["b"]), 1);
    assert_eq!(sizes(&world), before);
}
