//! Other tools' copies: taken over while the tool runs, unseen when it ends, and what of them nobody wants.

use crate::harness::*;
use causeway_connectors::memory::Memory;
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;

/// What polaris-sync made of a provider's record.
pub fn synced(port: u16, source: &str) -> Instance {
    instance(port).with(|one| one.metadata = [("__sync__", source)].into())
}

/// What nacos-sync made of one.
pub fn tagged(port: u16, cluster: &str) -> Instance {
    instance(port).with(|one| one.metadata = [("sourceClusterId", cluster), ("syncSource", "NACOS")].into())
}

pub fn tool(name: &str, source: Option<&str>) -> Option<TakeOverSpec> {
    Some(TakeOverSpec { tool: name.into(), source: source.map(Into::into), back: None })
}

/// The tool has copied all of `a` to `b`, and runs.
pub fn copied(clusters: &BTreeMap<String, Memory>, services: usize, instances: usize) {
    populate(&clusters["a"], services, instances);
    for n in 0..services {
        for i in 0..instances {
            let port = 1000 + i as u16;
            clusters["b"].register(&service(n), &format!("tool{i}"), synced(port, "a"));
        }
    }
}

/// The tool's connections end.
pub fn ends(b: &Memory, services: usize, instances: usize) {
    for n in 0..services {
        for i in 0..instances {
            b.deregister(&service(n), &format!("tool{i}"), &instance(1000 + i as u16).id);
        }
    }
}

pub fn world(clusters: &BTreeMap<String, Memory>, take_over: Option<TakeOverSpec>) -> World {
    let mut world = World::new("i", clusters);
    world.routes = vec![RouteSpec { take_over, ..world.route("task", "a", "b") }];
    world.start();
    world
}

pub fn notices(world: &World) -> Vec<String> {
    world.engine.status().iter().flat_map(|status| &status.notices).map(ToString::to_string).collect()
}

/// How many records stand in `b`, how many of them are ours, and how many still carry a key of the tool.
pub fn holds(world: &World, b: &Memory) -> (usize, usize, usize) {
    let all: Vec<_> = b.services().iter().flat_map(|scope| b.list(scope)).collect();
    let ours = all.iter().filter(|one| one.mark().is_some_and(|mark| *mark.owner.install == *world.install)).count();
    let keyed = all.iter().filter(|one| one.metadata.keys().any(|key| key != "zone")).count();
    (all.len(), ours, keyed)
}

/// The fewest and the most records that any service has shown while `work` went on, looking every 20 ms.
pub async fn shown(b: &Memory, services: usize, work: impl Future<Output = ()>) -> (usize, usize) {
    let mut seen = (usize::MAX, 0);
    tokio::pin!(work);
    loop {
        for n in 0..services {
            let count = b.list(&service(n)).len();
            seen = (seen.0.min(count), seen.1.max(count));
        }
        tokio::select! {
            () = &mut work => return seen,
            () = millis(20) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_nothing_of_another_tool_is_touched() {
    let clusters = registries(&["a", "b"]);
    copied(&clusters, 5, 2);
    let b = &clusters["b"];
    b.register(&service(9), "tool", synced(9000, "a"));
    let before: Vec<_> = b.services().iter().map(|scope| b.list(scope)).collect();
    let world = World::new("i", &clusters).two_way("a", "b");
    seconds(120).await;
    assert_eq!(before, b.services().iter().map(|scope| b.list(scope)).collect::<Vec<_>>());
    assert_eq!((total(&clusters["a"]), b.writes(), clusters["a"].writes()), (10, 0, 0), "nothing is sent back");
    assert!(world.engine.left_copies(&world.owner()).is_empty());
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn ours_stand_with_the_tools_and_nobody_sees_it_die() {
    let clusters = registries(&["a", "b"]);
    copied(&clusters, 20, 3);
    let b = &clusters["b"];
    let world = world(&clusters, tool("polaris-sync", Some("a")));
    let seen = shown(b, 20, async {
        seconds(60).await;
        assert_eq!(holds(&world, b), (60, 0, 60), "both run side by side");
        assert_eq!(notices(&world).len(), 1, "{:?}", notices(&world));
        assert!(notices(&world)[0].starts_with("60 copies of polaris-sync stand in b"), "{:?}", notices(&world));
        assert_eq!(world.engine.status()[0].state, RouteState::InStep);
        ends(b, 20, 3);
        seconds(3).await;
        assert_eq!(holds(&world, b), (60, 0, 60), "as they were, for a moment");
        seconds(5).await;
    })
    .await;
    assert_eq!(seen, (3, 3), "no gap and no twin");
    assert_eq!((holds(&world, b), notices(&world)), ((60, 60, 0), vec![]));
    assert_eq!(world.held(), 0);
    assert_eq!(world.notebook.count(Action::Deleted), 0);
    // From now on they are like any other copy.
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    seconds(5).await;
    assert_eq!(b.list(&service(0)).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_an_address_has_one_record_it_becomes_ours_as_it_stands() {
    let clusters = registries(&["a", "b"]);
    clusters["b"].share_records();
    copied(&clusters, 20, 3);
    let b = &clusters["b"];
    let world = world(&clusters, tool("polaris-sync", Some("a")));
    let seen = shown(b, 20, seconds(10)).await;
    assert_eq!((seen, holds(&world, b)), ((3, 3), (60, 60, 0)));
    assert_eq!(world.notebook.count(Action::Updated), 60);
    assert!(world.notebook.said(Action::Updated, "the copy of polaris-sync/a becomes ours"));
    // The tool, which still runs, writes one again: nobody's override.
    b.register(&service(0), "tool0", synced(1000, "a"));
    let seen = shown(b, 1, seconds(10)).await;
    assert_eq!((seen, holds(&world, b)), ((3, 3), (60, 60, 0)));
    assert!(world.engine.status()[0].skipped.is_empty(), "{:?}", world.engine.status()[0]);
}

/// polaris-sync, on any change of one instance, takes all others of the service away for two seconds.
#[tokio::test(start_paused = true)]
async fn others_vanish_for_two_seconds_on_a_change() {
    let clusters = registries(&["a", "b"]);
    copied(&clusters, 1, 3);
    let b = &clusters["b"];
    let world = world(&clusters, tool("polaris-sync", Some("a")));
    seconds(40).await;
    let seen = shown(b, 1, async {
        for _ in 0..3 {
            ends(b, 1, 3);
            millis(2_100).await;
            for i in 0..3 {
                b.register(&service(0), &format!("tool{i}"), synced(1000 + i, "a"));
            }
            seconds(4).await;
        }
    })
    .await;
    assert_eq!((seen, holds(&world, b)), ((3, 3), (3, 0, 3)));
}

/// nacos-sync never passes on a change of metadata, and removes an instance whose weight has changed.
#[tokio::test(start_paused = true)]
async fn what_the_tool_never_passed_on_arrives_when_it_ends() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    populate(a, 1, 2);
    for port in [1000, 1001] {
        b.register(&service(0), &format!("tool{port}"), tagged(port, "c1"));
    }
    let world = world(&clusters, tool("nacos-sync", None));
    seconds(40).await;
    let changed = instance(1000).with(|one| {
        one.weight = 2.0;
        one.metadata = [("zone", "new")].into();
    });
    a.register(&service(0), "p0", changed.clone());
    let seen = shown(b, 1, async {
        seconds(5).await;
        b.deregister(&service(0), "tool1000", &changed.id);
        seconds(10).await;
    })
    .await;
    assert_eq!(seen, (2, 2));
    let arrived = b.list(&service(0)).into_iter().find(|one| one.id == changed.id).unwrap();
    assert!(arrived.same(&changed), "{arrived:?}");
    assert_eq!(holds(&world, b), (2, 1, 1), "the other one is still the tool's");
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_ours_between_is_not_seen() {
    let clusters = registries(&["a", "b"]);
    copied(&clusters, 5, 2);
    let b = &clusters["b"];
    let first = world(&clusters, tool("polaris-sync", Some("a")));
    seconds(40).await;
    let session = first.ports["b"].session();
    let notebook = first.crash(false).await;
    let mut second = World::after("i", &clusters, notebook);
    second.routes = vec![RouteSpec { take_over: tool("polaris-sync", Some("a")), ..second.route("task", "a", "b") }];
    let seen = shown(b, 5, async {
        second.start();
        seconds(5).await;
        b.expire(session);
        seconds(35).await;
        ends(b, 5, 2);
        seconds(10).await;
    })
    .await;
    assert_eq!((seen, holds(&second, b)), ((2, 2), (10, 10, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_is_named_and_goes_when_it_is_said() {
    for shared in [true, false] {
        let clusters = registries(&["a", "b"]);
        let (a, b) = (&clusters["a"], &clusters["b"]);
        if shared {
            b.share_records();
        }
        copied(&clusters, 2, 2);
        // A service and an instance that are at the source no more, and what is somebody else's.
        b.register(&service(7), "tool", synced(7000, "a"));
        b.register(&service(0), "tool-old", synced(7001, "a"));
        b.register(&service(0), "tool-other", synced(7002, "z"));
        b.register(&service(0), "native", instance(7003));
        b.register(&service(0), "other-tool", tagged(7004, "a"));
        let world = world(&clusters, tool("polaris-sync", Some("a")));
        seconds(10).await;
        assert!(world.engine.left_copies(&world.owner()).is_empty(), "the source may not be complete yet");
        assert_eq!(world.engine.unsure_of_left(&world.owner()), Some(world.id("a")));
        seconds(60).await;
        let left = world.engine.left_copies(&world.owner());
        let named: Vec<_> = left.iter().map(|one| (one.scope.clone(), one.id.endpoint.port)).collect();
        assert_eq!(named, [(service(0), 7001), (service(7), 7000)]);
        let told = notices(&world).into_iter().find(|text| text.contains("wanted by no task")).unwrap();
        assert!(told.starts_with("2 copies of polaris-sync in b") && told.contains("7000"), "{told}");
        assert_eq!(world.engine.status()[0].state, RouteState::InStep);
        assert_eq!(b.list(&service(7)).len(), 1, "it stays until somebody says so");

        world.engine.oust(&world.owner(), &left[..1]);
        seconds(5).await;
        let now = world.engine.left_copies(&world.owner());
        match shared {
            true => {
                assert_eq!(now.iter().map(|one| one.id.endpoint.port).collect::<Vec<_>>(), [7000]);
                world.engine.oust(&world.owner(), &now);
                seconds(5).await;
                assert!(world.engine.left_copies(&world.owner()).is_empty() && b.list(&service(7)).is_empty());
                assert!(world.notebook.said(Action::Deleted, "wanted by no task"));
            }
            false => {
                let refused = now[0].refused.clone().unwrap().to_string();
                assert!(refused.contains("its own publisher alone"), "{refused}");
                assert_eq!((now.len(), now[1].refused.clone()), (2, None), "only what was named is tried");
            }
        }
        world.engine.end_ousting(&world.owner());
        seconds(5).await;
        let ports: Vec<_> = b.list(&service(0)).iter().map(|one| one.id.endpoint.port).collect();
        let expected =
            if shared { vec![1000, 1001, 7002, 7003, 7004] } else { vec![1000, 1001, 7001, 7002, 7003, 7004] };
        assert_eq!(ports, expected, "nothing else");
        assert_eq!(total(a), 4);
    }
}

/// Which of a tool's ids is the task's source is known from what was taken over, also by the next process.
#[tokio::test(start_paused = true)]
async fn orphans_of_other_sources_are_left_to_the_tool() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    b.share_records();
    populate(a, 1, 1);
    b.register(&service(0), "tool", tagged(1000, "c1"));
    b.register(&service(3), "tool", tagged(3000, "c1"));
    b.register(&service(4), "tool", tagged(4000, "c2"));
    let first = world(&clusters, tool("nacos-sync", None));
    seconds(60).await;
    let ports = |world: &World| -> Vec<u16> {
        world.engine.left_copies(&world.owner()).iter().map(|one| one.id.endpoint.port).collect()
    };
    assert_eq!(ports(&first), [3000]);
    let notebook = first.crash(false).await;
    let mut second = World::after("i", &clusters, notebook);
    second.routes = vec![RouteSpec { take_over: tool("nacos-sync", None), ..second.route("task", "a", "b") }];
    second.start();
    seconds(60).await;
    assert_eq!(ports(&second), [3000]);
}

/// A copy of the tool in the source is no provider, whatever else the task passes on.
#[tokio::test(start_paused = true)]
async fn a_copy_in_the_source_goes_nowhere() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    populate(a, 1, 1);
    a.register(&service(0), "tool", synced(5000, "b"));
    a.register(&service(1), "tool", synced(5001, "z"));
    let mut world = World::new("i", &clusters);
    for (from, to) in [("a", "b"), ("b", "a")] {
        let way_back = from == "b";
        let take_over = tool("polaris-sync", Some(from));
        let route = world.route("task", from, to);
        world.routes.push(RouteSpec { take_over, relay: true, way_back, ..route });
    }
    world.start();
    seconds(90).await;
    assert_eq!(total(b), 1, "only the provider");
    assert_eq!(a.list(&service(0)).len(), 2);
}

/// A take-over is no removal that a guard holds, and no operator's change; it goes in batches.
#[tokio::test(start_paused = true)]
async fn ten_thousand_copies_are_taken_over_in_batches() {
    for shared in [true, false] {
        let clusters = registries(&["a", "b"]);
        let (a, b) = (&clusters["a"], &clusters["b"]);
        if shared {
            b.share_records();
        }
        let count = 2_500;
        for n in 0..4 {
            for i in 0..count {
                a.register(&service(n), &format!("p{i}"), instance(1 + i));
                b.register(&service(n), &format!("tool{i}"), synced(1 + i, "a"));
            }
        }
        let world = world(&clusters, tool("polaris-sync", Some("a")));
        seconds(60).await;
        if !shared {
            assert_eq!(holds(&world, b), (10_000, 0, 10_000));
            for n in 0..4 {
                (0..count).for_each(|i| b.deregister(&service(n), &format!("tool{i}"), &instance(1 + i).id));
            }
            seconds(30).await;
        }
        assert_eq!((holds(&world, b), world.held()), ((10_000, 10_000, 0), 0));
        assert!(world.engine.status()[0].skipped.is_empty());
        assert_eq!((world.notebook.count(Action::Held), world.notebook.count(Action::Deleted)), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_taken_over_and_what_is_left() {
    let clusters = registries(&["a", "b"]);
    clusters["b"].share_records();
    copied(&clusters, 1, 2);
    clusters["b"].register(&service(7), "tool", synced(7000, "a"));
    let world = World::new("i", &clusters);
    let specs = world.ports.iter().map(|(name, ports)| ClusterSpec {
        id: world.id(name),
        name: name.as_str().into(),
        port: Port::read_write(ports.clone()),
    });
    let route = RouteSpec { take_over: tool("polaris-sync", Some("a")), ..world.route("task", "a", "b") };
    let run = dry_run(specs.collect(), vec![route], Ledgers::new(), &Timing::default()).await;
    let changes: Vec<_> = run.previews.iter().flat_map(|preview| &preview.plan.changes).collect();
    assert!(changes.len() == 2 && changes.iter().all(|change| change.over().is_some()), "{changes:?}");
    let left = run.previews.iter().flat_map(|preview| preview.plan.skipped.values());
    assert_eq!(left.filter(|skip| matches!(skip, Skip::LeftBehind { .. })).count(), 1);
    assert_eq!(clusters["b"].writes(), 0);
}
