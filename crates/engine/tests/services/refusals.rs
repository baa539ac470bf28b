//! What a destination refuses for now, what it decides by itself, and records that have one id there.

use crate::harness::*;
use causeway_connectors::memory::Memory;
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn host(n: u16) -> Instance {
    Instance::new("127.0.0.9", n)
}

fn skipped(world: &World) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for (why, count) in world.engine.status().into_iter().flat_map(|status| status.skipped) {
        *all.entry(why.to_string()).or_default() += count;
    }
    all
}

fn left(world: &World, words: &str) -> usize {
    skipped(world).iter().filter(|(why, _)| why.contains(words)).map(|(_, count)| count).sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_now_is_tried_until_it_is_taken() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    b.block_host("127.0.0.9", true);
    a.register(&service(0), "p", host(1));
    a.register(&service(0), "q", instance(2));
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(5).await;
    for _ in 0..600 {
        assert_eq!(left(&world, "for now"), 1, "it is said all the time");
        assert!(world.engine.status().iter().all(|status| status.state == RouteState::InStep && status.pending == 0));
        millis(100).await;
    }
    // At 0, 1, 3, 7, 15, 25, 35, 45, 55 and 65 s.
    let tries = b.writes() - 1;
    assert!((8..=12).contains(&tries), "{tries} tries");
    assert_eq!(world.notebook.count(Action::Skipped), 1, "told once");
    b.block_host("127.0.0.9", false);
    seconds(11).await;
    assert_eq!((b.list(&service(0)).len(), left(&world, "for now")), (2, 0));

    // What cannot be held is not tried again.
    b.refuse_host("127.0.0.8");
    let before = b.writes();
    a.register(&service(1), "p", Instance::new("127.0.0.8", 1));
    seconds(100).await;
    assert_eq!((b.writes() - before, left(&world, "cannot hold it")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn thousands_that_are_refused_cost_a_bounded_number_of_calls() {
    for (services, instances, most) in [(1, 1_000, 8 * 61), (600, 1, 9 * 600)] {
        let clusters = registries(&["a", "b"]);
        let (a, b): (Memory, Memory) = (clusters["a"].clone(), clusters["b"].clone());
        b.block_host("127.0.0.9", true);
        for n in 0..services {
            (0..instances).for_each(|i| a.register(&service(n), &format!("p{i}"), host(i as u16 + 1)));
        }
        let world = World::new("i", &clusters).one_way("a", "b");
        seconds(2).await;
        let before = b.writes();
        assert_eq!(left(&world, "for now"), services * instances);
        seconds(60).await;
        let tries = b.writes() - before;
        assert!(tries > 100 && tries <= most, "{services} x {instances}: {tries} tries in a minute");
        b.block_host("127.0.0.9", false);
        seconds(13).await;
        assert_eq!(total(&b), services * instances);
        assert!(skipped(&world).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_destination_decides_is_nobodys_override() {
    for overrides in [Overrides::Keep, Overrides::Replace] {
        let clusters = registries(&["a", "b"]);
        let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
        let fixed = instance(1).with(|one| one.ephemeral = false);
        a.register(&service(0), "p", fixed.clone());
        let mut world = World::new("i", &clusters);
        let route = RouteSpec { overrides, ..world.route("task", "a", "b") };
        world.routes.push(route);
        world.start();
        seconds(2).await;
        b.checked(&service(0), &fixed.id, false);
        seconds(5).await;
        let writes = b.writes();
        seconds(60).await;
        assert_eq!((b.writes(), b.list(&service(0))[0].healthy), (writes, false));
        assert_eq!(skipped(&world), [("health is decided by the destination".to_owned(), 1)].into());
        assert_eq!(world.notebook.count(Action::Skipped), 0);
        let compared = world.engine.compare(&world.owner()).await;
        assert_eq!(compared[0].in_step[&world.owner()], 1, "{compared:?}");
        // What the source says of it is written once.
        a.register(&service(0), "p", fixed.clone().with(|one| one.healthy = false));
        seconds(5).await;
        b.checked(&service(0), &fixed.id, true);
        seconds(60).await;
        assert_eq!(b.writes(), writes + 1);
        assert!(!skipped(&world).keys().any(|why| why.contains("by hand")));
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_records_with_one_id_the_newer_stands_and_the_other_is_named() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    let at = |namespace: &str| ServiceKey::new(namespace, "DEFAULT_GROUP", "s0");
    let stamped = |stamp: &str| {
        let metadata = [("timestamp".to_owned(), stamp.to_owned())].into();
        instance(1).with(|one| one.metadata = metadata)
    };
    a.register(&at("one"), "p", stamped("9"));
    a.register(&at("two"), "p", stamped("10"));
    // The same twice is one, and nothing is lost.
    a.register(&at("one"), "q", instance(2));
    a.register(&at("two"), "q", instance(2));
    let mut world = World::new("i", &clusters);
    let table = Renaming::Table([("one", "x"), ("two", "x")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    let lens = ServiceLens { namespace: table, ..ServiceLens::default() };
    let route = RouteSpec { lens: Arc::new(lens), ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    seconds(10).await;
    let stamp =
        |b: &Memory| b.list(&at("x")).into_iter().find_map(|one| one.metadata.get("timestamp").map(str::to_owned));
    assert_eq!((b.list(&at("x")).len(), stamp(&b).as_deref()), (2, Some("10")));
    assert_eq!(left(&world, "another record of its task"), 1);
    assert_eq!(world.notebook.count(Action::Skipped), 1);
    let compared = world.engine.compare(&world.owner()).await;
    assert_eq!((compared[0].in_step[&world.owner()], compared[0].plan.crowded.len()), (2, 1));
    let writes = b.writes();
    a.deregister(&at("two"), "p", &instance(1).id);
    seconds(3).await;
    assert_eq!((stamp(&b).as_deref(), left(&world, "another record"), b.writes()), (Some("9"), 0, writes + 1));
}

#[tokio::test(start_paused = true)]
async fn what_two_tasks_want_differently_is_said() {
    let clusters = registries(&["a", "b", "c"]);
    clusters["a"].register(&service(0), "p", instance(1).with(|one| one.weight = 2.0));
    clusters["b"].register(&service(0), "p", instance(1).with(|one| one.weight = 3.0));
    for name in ["a", "b"] {
        clusters[name].register(&service(0), "q", instance(2));
    }
    let mut world = World::new("i", &clusters);
    for from in ["a", "b"] {
        world.routes.push(world.route(from, from, "c"));
    }
    world.start();
    seconds(10).await;
    assert_eq!((clusters["c"].list(&service(0)).len(), left(&world, "another task's record")), (2, 1));
    let said: Vec<_> = world.engine.status().into_iter().filter(|status| !status.skipped.is_empty()).collect();
    assert_eq!(said.len(), 1, "by the task whose record is left alone");
    let loser = said[0].owner.clone();
    let compared = world.engine.compare(&loser).await;
    assert_eq!((compared[0].in_step[&loser], compared[0].plan.crowded.len()), (1, 1));
    let writes = clusters["c"].writes();
    seconds(60).await;
    assert_eq!(clusters["c"].writes(), writes, "and they do not fight");
}
