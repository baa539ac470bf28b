//! Parts that no list shows, that go from the list, and that go with their server.

use crate::harness::*;
use causeway_connectors::memory::{Fault, Memory};
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;

/// A task between `a` and `b` that names `public` and `test`.
fn named(clusters: &BTreeMap<String, Memory>, two_way: bool) -> World {
    named_after(World::new("i", clusters), two_way)
}

fn named_after(mut world: World, two_way: bool) -> World {
    let parts = Some(["public", "test"].map(Into::into).into());
    world.routes.push(RouteSpec { parts: parts.clone(), ..world.route("task", "a", "b") });
    if two_way {
        world.routes.push(RouteSpec { parts, way_back: true, ..world.route("task", "b", "a") });
    }
    world.start();
    world
}

fn at(name: &str) -> ServiceKey {
    ServiceKey::new("test", "G", name)
}

fn fill(memory: &Memory, prefix: &str, services: usize) {
    for n in 0..services {
        memory.register(&at(&format!("{prefix}{n}")), "p", instance(1000));
    }
}

fn reasons(world: &World) -> String {
    world
        .engine
        .status()
        .iter()
        .flat_map(|status| status.notices.clone())
        .map(|one| one.to_string())
        .collect::<Vec<_>>()
        .join("; ")
}

/// How many instances of `test` stand in a registry.
fn count(memory: &Memory) -> usize {
    memory.services().iter().filter(|scope| &*scope.namespace == "test").map(|scope| memory.list(scope).len()).sum()
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_created_is_followed_and_created_at_the_destination() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    a.unlist_part("test");
    b.unlist_part("test");
    fill(a, "home", 3);
    fill(b, "away", 2);
    let world = named(&clusters, true);
    seconds(20).await;
    assert_eq!((count(a), count(b)), (5, 5));
    assert!(b.lists_part("test"), "created at the destination");
    assert!(!a.lists_part("test"), "the operator's own is left as it is");
    assert!(reasons(&world).contains("a does not list namespace test"), "{}", reasons(&world));
    assert!(world.engine.status().iter().all(|status| status.state == RouteState::InStep));

    seconds(60).await;
    a.deregister(&at("home0"), "p", &instance(1000).id());
    seconds(5).await;
    assert_eq!((count(a), count(b)), (4, 4));

    let (writes, events) = (b.writes(), world.notebook.events.lock().len());
    a.create_part("test", Some("Later"));
    seconds(60).await;
    assert_eq!((b.writes(), world.notebook.events.lock().len()), (writes, events), "nothing happens");
    assert!(!reasons(&world).contains("does not list"), "{}", reasons(&world));
}

#[tokio::test(start_paused = true)]
async fn a_named_one_is_found_when_its_first_provider_comes() {
    let clusters = registries(&["a", "b"]);
    clusters["a"].unlist_part("test");
    let world = named(&clusters, true);
    seconds(20).await;
    assert!(reasons(&world).contains("a has no namespace test"), "{}", reasons(&world));
    fill(&clusters["a"], "home", 1);
    seconds(6).await;
    assert_eq!(count(&clusters["b"]), 1);
    clusters["a"].deregister(&at("home0"), "p", &instance(1000).id());
    seconds(60).await;
    assert_eq!(count(&clusters["b"]), 0);
    assert!(reasons(&world).contains("a has no namespace test"), "{}", reasons(&world));
}

#[tokio::test(start_paused = true)]
async fn one_deleted_from_the_list_empties_nothing_and_is_made_again() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    a.create_part("test", Some("Test"));
    fill(a, "home", 3);
    let _world = named(&clusters, false);
    seconds(40).await;
    for memory in [b, a] {
        memory.unlist_part("test");
        for _ in 0..60 {
            seconds(1).await;
            assert_eq!(count(b), 3);
        }
    }
    assert!(b.lists_part("test"), "we hold copies there");
    assert!(!a.lists_part("test"), "nothing of ours is there");
    a.deregister(&at("home0"), "p", &instance(1000).id());
    seconds(5).await;
    assert_eq!(count(b), 2);
    fill(a, "late", 1);
    seconds(5).await;
    assert_eq!(count(b), 3);
}

/// The server comes back empty, and the copies that our connection publishes stand in a part that no list shows.
#[tokio::test(start_paused = true)]
async fn one_lost_with_a_wiped_server_is_made_again_and_drained() {
    for waits in [0, 10, 40] {
        let clusters = registries(&["a", "b"]);
        let (a, b) = (&clusters["a"], &clusters["b"]);
        a.create_part("test", Some("Test"));
        fill(a, "home", 3);
        fill(b, "away", 2);
        let mut world = named(&clusters, true);
        seconds(40).await;
        assert_eq!((count(a), count(b)), (5, 5));
        a.fail(Fault::Down);
        a.wipe(true);
        a.unlist_part("test");
        seconds(waits).await;
        a.fail(Fault::None);
        seconds(15).await;
        assert!(a.lists_part("test"), "made again");
        assert_eq!((count(a), count(b)), (2, 5), "our copies stand, and nothing is emptied");
        fill(a, "home", 3);
        fill(b, "more", 1);
        seconds(15).await;
        assert_eq!((count(a), count(b)), (6, 6));
        world.run_all(RunState::Drain);
        seconds(15).await;
        assert_eq!((count(a), count(b)), (3, 3));
        assert!(world.engine.status().iter().all(|status| status.state == RouteState::Drained));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_in_one_that_is_gone() {
    for listed in [true, false] {
        let clusters = registries(&["a", "b"]);
        let (a, b) = (&clusters["a"], &clusters["b"]);
        a.create_part("test", None);
        fill(a, "home", 3);
        let mut world = named(&clusters, false);
        seconds(40).await;
        // Deleted in the console with our copies in it, or with all that was in it.
        match listed {
            true => b.unlist_part("test"),
            false => b.remove_part("test"),
        }
        world.run_all(RunState::Drain);
        seconds(15).await;
        assert_eq!((count(a), count(b)), (3, 0));
        let status = &world.engine.status()[0];
        assert_eq!((status.state, status.instances), (RouteState::Drained, 0), "{:?}", status.notices);
    }
}

/// What went while no process of ours ran is known by looking, although the list does not show the part.
#[tokio::test(start_paused = true)]
async fn one_that_was_emptied_while_we_were_away_is_held_like_any_other() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    a.unlist_part("test");
    fill(a, "home", 3);
    let world = named(&clusters, false);
    seconds(40).await;
    let notebook = world.crash(true).await;
    for n in 0..3 {
        a.deregister(&at(&format!("home{n}")), "p", &instance(1000).id());
    }
    let again = named_after(World::after("i", &clusters, notebook), false);
    seconds(120).await;
    assert_eq!((count(b), again.held()), (3, 3), "{}", reasons(&again));
    again.engine.release(&again.owner());
    seconds(20).await;
    assert_eq!(count(b), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_listed_takes_part_in_a_list_of_what_exists() {
    let clusters = registries(&["a", "b"]);
    clusters["a"].unlist_part("test");
    fill(&clusters["a"], "home", 2);
    let mut world = World::new("i", &clusters);
    let parts = Some(["public", "test"].map(Into::into).into());
    world.routes.push(RouteSpec { parts, only: Only::Freeze, ..world.route("task", "a", "b") });
    world.start();
    seconds(20).await;
    assert_eq!(count(&clusters["b"]), 2);
    fill(&clusters["a"], "late", 1);
    seconds(20).await;
    assert_eq!(count(&clusters["b"]), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_in_step_before_the_destination_is_read() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 2);
    clusters["b"].fail(Fault::Hung);
    let world = World::new("i", &clusters).one_way("a", "b");
    world.start();
    for _ in 0..20 {
        millis(100).await;
        let status = &world.engine.status()[0];
        assert!(status.state != RouteState::InStep, "{status:?}");
    }
    clusters["b"].fail(Fault::None);
    seconds(300).await;
    assert_eq!((total(&clusters["b"]), world.engine.status()[0].state), (6, RouteState::InStep));
}
