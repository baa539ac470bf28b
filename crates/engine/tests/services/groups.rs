//! Destinations with a place for each group of a service's instances.

use crate::harness::*;
use causeway_connectors::memory::{Memory, Names};
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn here(name: &str) -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", name)
}

fn there(group: &str, name: &str) -> ServiceKey {
    ServiceKey::new("public", group, name)
}

fn with_version(port: u16, version: &str) -> Instance {
    instance(port).with(|one| one.metadata = [("version", version)].into())
}

fn ports(memory: &Memory, scope: &ServiceKey) -> Vec<u16> {
    memory.list(scope).iter().map(|one| one.id.endpoint.port).collect()
}

fn by_version(versions: &[&str]) -> Grouping {
    let group = |version: &&str| InstanceGroup {
        metadata: [("version".to_owned(), (*version).to_owned())].into(),
        ..InstanceGroup::all(version)
    };
    let groups = std::iter::once(InstanceGroup::all("default")).chain(versions.iter().map(group)).collect();
    Grouping { source: "a".into(), public: Some(("public".into(), "empty_ns".into())), groups }
}

fn grouped(clusters: &BTreeMap<String, Memory>, grouping: Grouping) -> World {
    let mut world = World::new("i", clusters);
    let lens = ServiceLens { grouping: Some(grouping), ..ServiceLens::default() };
    let route = RouteSpec { lens: Arc::new(lens), ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    world
}

#[tokio::test(start_paused = true)]
async fn each_group_is_a_service_of_its_own() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    for (port, version) in [(1, "v1"), (2, "v2"), (3, "v3")] {
        a.register(&here("s"), &port.to_string(), with_version(port, version));
    }
    let world = grouped(&clusters, by_version(&["v1", "v2"]));
    seconds(90).await;
    let places = || ["default", "v1", "v2"].map(|group| ports(&b, &there(group, "a.empty_ns.s")));
    assert_eq!(places(), [vec![1, 2, 3], vec![1], vec![2]]);
    assert_eq!(b.services().len(), 3);
    // One that changes its version changes its place, which is seen and needs no second look.
    a.register(&here("s"), "1", with_version(1, "v2"));
    seconds(5).await;
    assert_eq!(places(), [vec![1, 2, 3], vec![], vec![1, 2]]);
    a.register(&here("s"), "4", with_version(4, "v1"));
    a.deregister(&here("s"), "2", &instance(2).id);
    seconds(5).await;
    assert_eq!(places(), [vec![1, 3, 4], vec![4], vec![1]]);
    let session = world.ports["b"].session();
    let notebook = world.crash(false).await;
    let writes = b.writes();
    let mut world = World::after("i", &clusters, notebook);
    let lens = ServiceLens { grouping: Some(by_version(&["v1", "v2"])), ..ServiceLens::default() };
    let route = RouteSpec { lens: Arc::new(lens), ..world.route("task", "a", "b") };
    world.routes.push(route);
    world.start();
    seconds(90).await;
    assert_eq!(places(), [vec![1, 3, 4], vec![4], vec![1]]);
    b.expire(session);
    assert!(b.writes() <= writes + 5, "kept alive, and nothing else: {} after {writes}", b.writes());
    assert_eq!(world.engine.status()[0].state, RouteState::InStep);
}

#[tokio::test(start_paused = true)]
async fn groups_take_nothing_from_each_other() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    for port in 1..=20 {
        a.register(&here("s"), &port.to_string(), with_version(port, if port % 2 == 0 { "v2" } else { "v1" }));
    }
    // What somebody has registered there by hand stays.
    b.register(&there("v1", "a.empty_ns.s"), "native", instance(99));
    let _world = grouped(&clusters, by_version(&["v1", "v2"]));
    seconds(90).await;
    let writes = b.writes();
    seconds(600).await;
    assert_eq!(b.writes(), writes, "nothing is written at rest");
    assert_eq!(ports(&b, &there("v1", "a.empty_ns.s")), (1..=20).step_by(2).chain([99]).collect::<Vec<_>>());
    assert_eq!(ports(&b, &there("v2", "a.empty_ns.s")), (2..=20).step_by(2).collect::<Vec<_>>());
    assert_eq!(ports(&b, &there("default", "a.empty_ns.s")), (1..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn two_services_with_one_name_are_not_merged() {
    let clusters = registries(&["a", "b"]);
    clusters["b"].narrow(Names { one_part: true, ..Names::default() });
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    a.create_part("x", None);
    a.create_part("x.y", None);
    let (second, first) = (ServiceKey::new("x", "DEFAULT_GROUP", "y.s"), ServiceKey::new("x.y", "DEFAULT_GROUP", "s"));
    a.register(&first, "p", instance(1));
    let world = grouped(&clusters, by_version(&[]));
    seconds(90).await;
    a.register(&second, "q", instance(2));
    seconds(90).await;
    let name = there("default", "a.x.y.s");
    assert_eq!(ports(&b, &name), [1], "the one that was there stands");
    assert!(world.notebook.said(Action::Skipped, "x.y/DEFAULT_GROUP/s"), "{:?}", world.notebook.events.lock());
    assert_eq!(world.engine.status()[0].skipped.values().sum::<usize>(), 1);
    // Once it is gone, the other one has the name.
    a.deregister(&first, "p", &instance(1).id);
    seconds(120).await;
    assert_eq!(ports(&b, &name), [2]);
    assert_eq!(world.engine.status()[0].skipped.values().sum::<usize>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_with_a_given_name_stands_under_it() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    a.register(&here("s"), "1", with_version(1, "v1"));
    a.register(&here("s"), "2", with_version(2, "v2"));
    let mut grouping = by_version(&["v1"]);
    grouping.groups[1].given = Some("old-{service}".into());
    let _world = grouped(&clusters, grouping);
    seconds(90).await;
    assert_eq!(ports(&b, &there("", "old-s")), [1]);
    assert_eq!(ports(&b, &there("default", "a.empty_ns.s")), [1, 2]);
    assert_eq!(b.services().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_takes_no_traffic_is_left_out() {
    let clusters = registries(&["a", "b"]);
    clusters["b"].narrow(Names { only_serving: true, ..Names::default() });
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    let (sick, off) = (instance(2).with(|one| one.healthy = false), instance(3).with(|one| one.enabled = false));
    for port in 1..=3 {
        a.register(&here("s"), &port.to_string(), instance(port));
    }
    let world = grouped(&clusters, by_version(&[]));
    seconds(90).await;
    let name = there("default", "a.empty_ns.s");
    assert_eq!(ports(&b, &name), [1, 2, 3]);
    a.register(&here("s"), "2", sick);
    a.register(&here("s"), "3", off.clone());
    seconds(5).await;
    assert_eq!(ports(&b, &name), [1], "at once, without a second look");
    // What goes while it is out is gone, and what is well again comes back.
    a.deregister(&here("s"), "3", &off.id);
    a.register(&here("s"), "2", instance(2));
    seconds(5).await;
    assert_eq!(ports(&b, &name), [1, 2]);
    assert_eq!(world.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_emptied_source_empties_no_group() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    for port in 1..=4 {
        a.register(&here("s"), &port.to_string(), with_version(port, "v1"));
    }
    let world = grouped(&clusters, by_version(&["v1"]));
    seconds(90).await;
    a.wipe(true);
    seconds(300).await;
    for group in ["default", "v1"] {
        assert_eq!(ports(&b, &there(group, "a.empty_ns.s")), [1, 2, 3, 4], "{group}");
    }
    assert_eq!(world.held(), 8);
    world.engine.release(&world.owner());
    seconds(60).await;
    assert_eq!(b.services(), []);
}
