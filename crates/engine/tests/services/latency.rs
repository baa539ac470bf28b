//! How late changes are: from the moment at which the source tells of one until the destination accepts it.

use crate::harness::*;
use crate::odd::arrivals;
use causeway_connectors::memory::Fault;
use causeway_engine::*;
use std::time::Duration;

fn status(world: &World) -> RouteStatus {
    world.engine.status().into_iter().find(|status| status.source == world.id("a")).unwrap()
}

/// How many writes of a kind ended so.
fn writes(world: &World, kind: WriteKind, wanted: WriteOutcome) -> u64 {
    let meter = status(world).meter;
    meter.writes().find(|(this, outcome, _)| (*this, *outcome) == (kind, wanted)).map_or(0, |(_, _, count)| count)
}

#[tokio::test(start_paused = true)]
async fn each_change_is_timed_once_and_what_was_there_is_not() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 1);
    let world = World::new("i", &clusters).two_way("a", "b");
    seconds(60).await;
    assert_eq!(arrivals(&status(&world).meter).0, 0, "a first reading");
    clusters["a"].register(&service(100), "p", instance(7));
    seconds(5).await;
    let meter = status(&world).meter;
    assert_eq!(arrivals(&meter).0, 1);
    assert!(arrivals(&meter).1 < 1.0, "{}", arrivals(&meter).1);
    assert_eq!(writes(&world, WriteKind::Create, WriteOutcome::Accepted), 11);
    let back = world.engine.status().into_iter().find(|status| status.source == world.id("b")).unwrap();
    assert_eq!((arrivals(&back.meter).0, back.lag), (0, Duration::ZERO), "our own copy is no change");
    assert_eq!(status(&world).lag, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_away_makes_changes_late() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 1);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(60).await;
    clusters["b"].fail(Fault::Down);
    seconds(1).await;
    clusters["a"].register(&service(100), "p", instance(7));
    clusters["a"].register(&service(101), "p", instance(7));
    seconds(20).await;
    assert_eq!(status(&world).lag.as_secs(), 20);
    // One of them goes again: nothing of it is late.
    clusters["a"].deregister(&service(100), "p", &instance(7).id);
    seconds(20).await;
    assert_eq!(status(&world).lag.as_secs(), 40);
    clusters["b"].fail(Fault::None);
    seconds(10).await;
    let status = status(&world);
    assert_eq!((status.lag, arrivals(&status.meter).0), (Duration::ZERO, 1));
    assert!(arrivals(&status.meter).1 > 39.0, "{}", arrivals(&status.meter).1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_on_purpose_is_not_late() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 1);
    let mut world = World::new("i", &clusters).one_way("a", "b");
    seconds(60).await;
    // A guard holds.
    clusters["a"].wipe(true);
    seconds(60).await;
    assert_eq!((status(&world).lag, world.held() > 0), (Duration::ZERO, true));
    // A task is paused, with a change that could not be written before.
    clusters["b"].fail(Fault::Down);
    seconds(1).await;
    clusters["a"].register(&service(100), "p", instance(7));
    seconds(5).await;
    assert!(status(&world).lag > Duration::ZERO);
    world.run_all(RunState::Paused);
    clusters["a"].register(&service(101), "p", instance(7));
    seconds(60).await;
    assert_eq!(status(&world).lag, Duration::ZERO);
}
