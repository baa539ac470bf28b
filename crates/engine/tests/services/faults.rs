//! Clusters fail, processes die: nothing is lost, nothing flaps.

use crate::harness::*;
use causeway_connectors::memory::{Fault, Memory, MemoryPorts};
use causeway_core::{Change, Instance, Mark, OwnerId, Sink};
use causeway_engine::*;
use std::sync::Arc;

/// Settings that never work: what the old connection kept alive stands until others do.
#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_when_the_next_one_works() {
    for fault in [Fault::Down, Fault::Hung, Fault::Denied] {
        let clusters = registries(&["a", "b"]);
        populate(&clusters["a"], 3, 1);
        let mut world = World::new("i", &clusters).one_way("a", "b");
        seconds(60).await;
        assert_eq!(total(&clusters["b"]), 3);
        let wrong = Memory::default();
        wrong.fail(fault.clone());
        world.ports.insert("b".into(), Arc::new(MemoryPorts::open(&wrong)));
        world.start();
        seconds(3600).await;
        assert_eq!(total(&clusters["b"]), 3, "{fault:?}");
        world.ports.insert("b".into(), Arc::new(MemoryPorts::open(&clusters["b"])));
        world.start();
        seconds(120).await;
        assert_eq!(total(&clusters["b"]), 3, "{fault:?}");
        clusters["a"].deregister(&service(0), "p0", &instance(1000).id());
        seconds(120).await;
        assert_eq!(total(&clusters["b"]), 2, "held by nobody but the last connection");
    }
}

/// A server that accepts a write and loses it is never told of: what is not reported is looked for, and written again.
#[tokio::test(start_paused = true)]
async fn what_a_destination_accepts_and_loses_is_written_again() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    populate(a, 10, 3);
    a.register(&service(11), "p", Instance::new("127.0.0.2", 1));
    b.lose_host("127.0.0.2");
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(5).await;
    assert_eq!((total(b), world.engine.status()[0].instances), (30, 31), "it is believed to stand");
    seconds(40).await;
    assert_eq!(total(b), 31);
    // At rest nothing is looked for.
    let writes = b.writes();
    seconds(600).await;
    assert_eq!((b.writes(), world.engine.status()[0].state), (writes, RouteState::InStep));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_empties_nothing() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 3);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    clusters["a"].fail(Fault::Down);
    seconds(600).await;
    assert_eq!(total(&clusters["b"]), 30);
    assert_eq!(world.engine.status()[0].state, RouteState::Failing);
    clusters["a"].fail(Fault::None);
    clusters["a"].register(&service(0), "late", instance(5));
    seconds(5).await;
    assert_eq!(total(&clusters["b"]), 31);
}

#[tokio::test(start_paused = true)]
async fn a_restart_while_the_source_is_down_empties_nothing() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 3);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(5).await;
    clusters["a"].fail(Fault::Down);
    let notebook = world.crash(true).await;
    assert_eq!(total(&clusters["b"]), 0, "what only the dead session held is gone");
    let _again = World::after("i", &clusters, notebook).one_way("a", "b");
    seconds(300).await;
    assert_eq!(total(&clusters["b"]), 30);
}

#[tokio::test(start_paused = true)]
async fn a_wiped_source_is_held_until_released() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 2);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    clusters["a"].fail(Fault::Down);
    clusters["a"].wipe(true);
    seconds(5).await;
    clusters["a"].fail(Fault::None);
    seconds(3600).await;
    assert_eq!((total(&clusters["b"]), world.held()), (6, 6));
    assert!(world.notebook.said(Action::Held, "emptied"), "{:#?}", world.notebook.events.lock());
    assert_eq!(world.engine.status()[0].state, RouteState::Held);
    world.engine.release(&world.owner());
    seconds(5).await;
    assert_eq!((total(&clusters["b"]), world.held()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fills_up_slowly_loses_nothing() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 500, 1);
    let _world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    clusters["a"].wipe(true);
    for n in 0..500 {
        clusters["a"].register(&service(n), "p0", instance(1000));
        millis(40).await;
        assert_eq!(total(&clusters["b"]), 500);
    }
    seconds(120).await;
    assert_eq!(total(&clusters["b"]), 500);
}

#[tokio::test(start_paused = true)]
async fn what_went_while_we_were_away_goes_after_a_second_look() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 3);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    let notebook = world.crash(false).await;
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    let again = World::after("i", &clusters, notebook).one_way("a", "b");
    seconds(20).await;
    assert_eq!(total(&clusters["b"]), 30, "not before the source has settled");
    seconds(20).await;
    assert!(again.notebook.said(Action::Deleted, "two complete looks"), "{:#?}", again.engine.status());
}

#[tokio::test(start_paused = true)]
async fn a_witnessed_removal_goes_at_once() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 5);
    let _world = World::new("i", &clusters).one_way("a", "b");
    seconds(2).await;
    for n in 0..3 {
        clusters["a"].deregister(&service(0), &format!("p{n}"), &instance(1000 + n).id);
    }
    millis(500).await;
    assert_eq!(clusters["b"].list(&service(0)).len(), 2, "scaled down by 60 %");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_its_records_before_it_stops_empties_nothing() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 2);
    let _world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    clusters["a"].wipe(false);
    millis(300).await;
    clusters["a"].fail(Fault::Down);
    seconds(600).await;
    assert_eq!(total(&clusters["b"]), 6);
}

#[tokio::test(start_paused = true)]
async fn sixty_percent_of_all_services_gone_is_held_then_passes() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 200, 3);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    for n in 0..120 {
        for i in 0..3u16 {
            clusters["a"].deregister(&service(n), &format!("p{i}"), &instance(1000 + i).id);
        }
        millis(100).await;
    }
    seconds(20).await;
    let left = total(&clusters["b"]);
    assert!((400..=430).contains(&left), "{left} left");
    assert_eq!(world.held(), left - 240);
    seconds(400).await;
    assert_eq!((total(&clusters["b"]), world.held()), (240, 0), "ends by itself when a second look agrees");
}

#[tokio::test(start_paused = true)]
async fn a_hung_destination_holds_up_nobody_else() {
    let clusters = registries(&["a", "b", "c"]);
    let mut world = World::new("i", &clusters);
    world.routes = vec![world.route("ab", "a", "b"), world.route("ac", "a", "c")];
    world.start();
    seconds(1).await;
    clusters["b"].fail(Fault::Hung);
    for n in 0..50 {
        clusters["a"].register(&service(n), "p", instance(1));
        millis(100).await;
        assert_eq!(clusters["c"].list(&service(n)).len(), 1);
    }
    clusters["b"].fail(Fault::None);
    seconds(60).await;
    assert_eq!(total(&clusters["b"]), 50);
}

#[tokio::test(start_paused = true)]
async fn a_denied_part_does_not_stop_the_others() {
    use causeway_core::{Part, ServiceKey};
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 1);
    let other = ServiceKey::new("test", "g", "s");
    clusters["a"].register(&other, "p", instance(1));
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    clusters["a"].fail(Fault::PartDenied(Part::new("test")));
    clusters["a"].register(&service(9), "p", instance(1));
    seconds(100).await;
    assert_eq!((clusters["b"].list(&other).len(), total(&clusters["b"])), (1, 5));
    assert!(world.engine.status()[0].notices.iter().any(|reason| reason.to_string().contains("no right")));
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_not_seen_while_the_old_session_is_held() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 3);
    let world = World::new("i", &clusters).two_way("a", "b");
    seconds(5).await;
    let before: Vec<_> = (0..10).map(|n| clusters["b"].list(&service(n))).collect();
    let old = world.ports["b"].session();
    let notebook = world.crash(false).await;
    let again = World::after("i", &clusters, notebook).two_way("a", "b");
    assert!(again.engine.adopted(std::time::Duration::from_secs(8)).await);
    clusters["b"].expire(old);
    for _ in 0..50 {
        assert_eq!(before, (0..10).map(|n| clusters["b"].list(&service(n))).collect::<Vec<_>>());
        seconds(1).await;
    }
    assert_eq!((again.notebook.count(Action::Created), again.notebook.count(Action::Deleted)), (30, 0));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_the_ledger_had_not_heard_of_is_upheld() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 4, 2);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(5).await;
    let old = world.ports["b"].session();
    let notebook = world.crash(false).await;
    notebook.ledger.lock().clear();
    clusters["a"].fail(Fault::Down);
    let again = World::after("i", &clusters, notebook).one_way("a", "b");
    seconds(5).await;
    clusters["b"].expire(old);
    seconds(60).await;
    assert_eq!(total(&clusters["b"]), 8);
    assert_eq!(again.notebook.count(Action::Adopted), 8);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_loses_everything_is_filled_again() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 3);
    let _world = World::new("i", &clusters).one_way("a", "b");
    seconds(5).await;
    clusters["b"].wipe(true);
    seconds(5).await;
    assert_eq!(total(&clusters["b"]), 30);
}

/// A copy of an earlier run in `b`, of which nobody knows whose it is.
async fn lose(world: &World) {
    let mark = Some(Mark::new(OwnerId::lost("i"), vec![]));
    let lost = [Change::Create(instance(7).with_mark(mark))];
    assert!(world.ports["b"].apply(&service(7), &lost).await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_lost_copy_goes_when_all_sources_have_settled() {
    let clusters = registries(&["a", "b"]);
    let world = World::new("i", &clusters);
    lose(&world).await;
    let world = world.one_way("a", "b");
    seconds(20).await;
    assert_eq!(total(&clusters["b"]), 1, "the source has not settled");
    seconds(300).await;
    assert_eq!(total(&clusters["b"]), 0, "{:?}", world.engine.status());
}

#[tokio::test(start_paused = true)]
async fn a_lost_copy_stays_while_a_task_that_may_want_it_is_paused() {
    let clusters = registries(&["a", "b", "c"]);
    let mut world = World::new("i", &clusters);
    lose(&world).await;
    clusters["c"].register(&service(7), "p", instance(7));
    world.routes = vec![world.route("ab", "a", "b"), world.route("cb", "c", "b")];
    world.routes[1].run = RunState::Paused;
    world.start();
    seconds(300).await;
    let stands = || clusters["b"].list(&service(7)).into_iter().map(|one| one.mark().map(|mark| mark.owner.clone()));
    assert_eq!(stands().collect::<Vec<_>>(), [Some(OwnerId::lost("i"))]);
    world.run_all(RunState::On);
    seconds(5).await;
    assert_eq!(stands().collect::<Vec<_>>(), [Some(OwnerId::new("i", "cb"))]);
    assert_eq!(world.notebook.count(Action::Deleted), 0);
}
