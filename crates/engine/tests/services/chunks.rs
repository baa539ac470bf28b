//! Large scopes are written in several calls, and each change has its own outcome.

use crate::harness::*;
use crate::odd::*;
use causeway_connectors::memory::Memory;
use causeway_core::{Limits, Port};
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn start(clusters: &BTreeMap<String, Memory>, whims: &Arc<Whims>) -> World {
    let world = World::new("i", clusters);
    let cluster = |name: &str| ClusterSpec {
        id: world.id(name),
        name: name.into(),
        port: match name {
            "b" => Port::read_write(Odd::open(&clusters[name], whims)),
            _ => Port::read_write(world.ports[name].clone()),
        },
    };
    let specs = clusters.keys().map(|name| cluster(name)).collect();
    let routes = clusters.keys().filter(|name| *name != "a").map(|to| world.route(&format!("to-{to}"), "a", to));
    world.engine.configure(specs, routes.collect());
    world
}

fn failures(world: &World) -> Vec<String> {
    let events = world.notebook.events.lock();
    events.iter().filter(|event| event.action == Action::Failed).map(|event| event.reason.to_string()).collect()
}

fn crowd(memory: &Memory, count: usize) {
    for n in 0..count {
        memory.register(&service(0), &format!("p{n}"), instance(n as u16));
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_records_in_one_scope_at_a_millisecond_each() {
    let clusters = registries(&["a", "b"]);
    crowd(&clusters["a"], 20_000);
    let whims = Arc::<Whims>::default();
    *whims.each.lock() = Duration::from_millis(1);
    let world = start(&clusters, &whims);
    seconds(60).await;
    assert_eq!(total(&clusters["b"]), 20_000, "{:?}", world.engine.status());
    assert_eq!(failures(&world), Vec::<String>::new());
    assert_eq!(world.notebook.count(Action::Created), 20_000, "each once");
    assert!(whims.calls.lock().iter().all(|(_, count)| *count <= 1_000));
    assert_eq!(world.engine.status()[0].state, RouteState::InStep);
}

/// A sink so slow that a whole batch takes longer than a call may: what fits into one call is found out.
#[tokio::test(start_paused = true)]
async fn a_very_slow_sink_gets_smaller_calls() {
    let clusters = registries(&["a", "b"]);
    crowd(&clusters["a"], 2_000);
    let whims = Arc::<Whims>::default();
    *whims.each.lock() = Duration::from_millis(50);
    let world = start(&clusters, &whims);
    seconds(400).await;
    assert_eq!(total(&clusters["b"]), 2_000, "{:?}", world.engine.status());
    assert_eq!(world.engine.status()[0].state, RouteState::InStep, "{:?}", world.engine.status());
}

#[tokio::test(start_paused = true)]
async fn only_what_has_no_answer_is_unknown() {
    let clusters = registries(&["a", "b"]);
    crowd(&clusters["a"], 50);
    let whims = Arc::<Whims>::default();
    whims.limits.lock().max_batch = 10;
    *whims.each.lock() = Duration::from_millis(100);
    let world = start(&clusters, &whims);
    millis(2_500).await;
    *whims.hang.lock() = true;
    *whims.each.lock() = Duration::from_secs(3600);
    seconds(11).await;
    assert!(world.engine.status()[0].instances >= 20, "{:?}", world.engine.status());
    assert!(failures(&world).iter().any(|text| text.contains("no answer")), "{:?}", failures(&world));
    assert!(whims.calls.lock().len() <= 5, "no more is sent to a destination that does not answer");
    *whims.hang.lock() = false;
    *whims.each.lock() = Duration::ZERO;
    seconds(60).await;
    assert_eq!((total(&clusters["b"]), world.engine.status()[0].state), (50, RouteState::InStep));
}

#[tokio::test(start_paused = true)]
async fn a_missing_outcome_is_an_error() {
    for surplus in [-1, -10, 3] {
        let clusters = registries(&["a", "b"]);
        crowd(&clusters["a"], 10);
        let whims = Arc::<Whims>::default();
        *whims.surplus.lock() = surplus;
        let world = start(&clusters, &whims);
        seconds(10).await;
        let status = world.engine.status().remove(0);
        match surplus < 0 {
            true => {
                assert_eq!(status.state, RouteState::Failing, "{surplus}: {status:?}");
                assert!(failures(&world)[0].contains("outcome"), "{:?}", failures(&world));
            }
            false => assert_eq!((status.state, status.instances), (RouteState::InStep, 10)),
        }
        *whims.surplus.lock() = 0;
        seconds(100).await;
        assert_eq!(world.engine.status()[0].instances, 10, "{surplus}: {:?}", world.engine.status());
        assert_eq!(world.engine.status()[0].state, RouteState::InStep, "{surplus}");
    }
}

/// Creations come first and removals last, also over several calls.
#[tokio::test(start_paused = true)]
async fn a_destination_never_shows_less_while_calls_go_on() {
    let clusters = registries(&["a", "b"]);
    crowd(&clusters["a"], 100);
    let whims = Arc::<Whims>::default();
    whims.limits.lock().max_batch = 10;
    let world = start(&clusters, &whims);
    seconds(40).await;
    *whims.each.lock() = Duration::from_millis(5);
    for n in 0..40 {
        clusters["a"].register(&service(0), &format!("new{n}"), instance(1_000 + n));
        clusters["a"].deregister(&service(0), &format!("p{n}"), &instance(n).id);
    }
    for _ in 0..1_000 {
        assert!(total(&clusters["b"]) >= 100);
        millis(1).await;
    }
    seconds(10).await;
    assert_eq!((total(&clusters["b"]), world.engine.status()[0].state), (100, RouteState::InStep));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_returns_holds_up_nobody() {
    let clusters = registries(&["a", "b", "c"]);
    populate(&clusters["a"], 100, 1);
    let whims = Arc::<Whims>::default();
    *whims.hang.lock() = true;
    let world = start(&clusters, &whims);
    seconds(1).await;
    assert_eq!((total(&clusters["b"]), total(&clusters["c"])), (0, 100));
    let began = tokio::time::Instant::now();
    world.engine.stop().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn limits_bound_the_writes_at_once_and_the_writes_a_second() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 200, 1);
    let whims = Arc::<Whims>::default();
    *whims.limits.lock() = Limits { in_flight: 3, per_second: Some(20), max_batch: 10 };
    *whims.each.lock() = Duration::from_millis(100);
    let world = start(&clusters, &whims);
    seconds(5).await;
    assert!((95..=101).contains(&whims.calls.lock().len()), "{}", whims.calls.lock().len());
    assert!(whims.flying.lock().1 <= 3);
    whims.limits.lock().per_second = None;
    seconds(5).await;
    assert_eq!(total(&clusters["b"]), 200, "{:?}", world.engine.status());
}
