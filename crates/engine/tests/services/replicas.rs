//! A destination whose servers do not tell each other everything.

use crate::harness::*;
use causeway_engine::RouteState;
use std::collections::BTreeSet;

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_behind_is_named() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 2);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    assert_eq!(total(&clusters["b"]), 6);
    clusters["b"].fall_behind("second");
    seconds(70).await;
    assert_eq!(world.engine.status()[0].state, RouteState::InStep, "nothing differs yet");

    // One instance for another: the count is the same.
    clusters["a"].register(&service(0), "p-new", instance(99));
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    seconds(90).await;
    let status = &world.engine.status()[0];
    assert_eq!(status.state, RouteState::Failing, "{:?}", status.notices);
    assert!(status.notices.iter().any(|reason| reason.to_string().contains("second")), "{:?}", status.notices);

    let found = world.engine.replicas(&world.owner()).await;
    let [unlike] = &*found.unlike else { panic!("{found:?}") };
    assert_eq!((&*unlike.server, &unlike.scope), ("second", &service(0)));
    assert_eq!(unlike.missing, BTreeSet::from([instance(99).id()]));
    assert_eq!(unlike.extra, BTreeSet::from([instance(1000).id()]));

    clusters["b"].catch_up();
    seconds(70).await;
    assert_eq!(world.engine.status()[0].state, RouteState::InStep);
    assert!(world.engine.replicas(&world.owner()).await.unlike.is_empty());
}

#[tokio::test(start_paused = true)]
async fn among_many_services_the_counts_tell_which_to_compare() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 900, 2);
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(40).await;
    assert_eq!(total(&clusters["b"]), 1_800);
    clusters["b"].fall_behind("second");
    // Not among those that are compared in turn within the next minutes.
    clusters["a"].register(&service(870), "p-new", instance(99));
    seconds(90).await;
    let status = &world.engine.status()[0];
    assert_eq!(status.state, RouteState::Failing, "{:?}", status.notices);
    assert!(status.notices.iter().any(|reason| reason.to_string().contains("second")), "{:?}", status.notices);
}
