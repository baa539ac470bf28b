//! Entries that are lists to which each side adds its own: Dubbo's mapping from interfaces to applications.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;

fn listing(ways: Ways) -> World {
    let world = World::new(|spec| {
        spec.ways = ways;
        spec.lists = vec!["/map/".into()];
    });
    put(&world.a, "/map/both", "app-a");
    put(&world.b, "/map/both", "app-b");
    put(&world.a, "/map/a", "app-a");
    put(&world.b, "/map/same", "x,y");
    put(&world.a, "/map/same", "y,x");
    world
}

#[tokio::test(start_paused = true)]
async fn both_sides_get_what_either_has() {
    let world = listing(Ways::Two).start();
    seconds(5).await;
    assert!(world.same(), "{:?} {:?}", world.a.all(), world.b.all());
    assert_eq!(world.read(Side::Left, "/map/both").as_deref(), Some("app-b,app-a"));
    put(&world.a, "/map/both", "app-b,app-a,app-c");
    put(&world.b, "/map/both", "app-b,app-a,app-d");
    seconds(5).await;
    assert!(world.same() && world.conflicts().is_empty());
    assert_eq!(world.read(Side::Left, "/map/both").as_deref(), Some("app-b,app-a,app-d,app-c"));
    assert_eq!(world.status().state, RouteState::InStep, "{:#?}", world.status());
}

#[tokio::test(start_paused = true)]
async fn one_way_the_source_gets_nothing() {
    let world = listing(Ways::One).start();
    seconds(5).await;
    assert_eq!(world.read(Side::Left, "/map/both").as_deref(), Some("app-a"));
    assert_eq!(world.read(Side::Right, "/map/both").as_deref(), Some("app-b,app-a"));
    put(&world.b, "/map/both", "app-b,app-a,app-z");
    put(&world.a, "/map/both", "app-a,app-c");
    seconds(5).await;
    assert_eq!(world.read(Side::Right, "/map/both").as_deref(), Some("app-b,app-a,app-z,app-c"));
    let counts = (world.a.counts(), world.b.counts());
    seconds(60).await;
    assert_eq!(counts, (world.a.counts(), world.b.counts()), "then it rests");
    assert_eq!(world.status().state, RouteState::InStep, "{:#?}", world.status());
}
