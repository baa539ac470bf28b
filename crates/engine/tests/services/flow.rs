//! What travels, and what does not.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;

#[tokio::test(start_paused = true)]
async fn everything_travels_both_ways_and_nothing_echoes() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    populate(&a, 20, 3);
    b.register(&service(100), "p", instance(9000));
    let world = World::new("i", &clusters).two_way("a", "b");
    seconds(2).await;
    assert_eq!((total(&a), total(&b)), (61, 61));

    let mut changed = instance(1000).with(|one| {
        one.weight = 0.5;
        one.healthy = false;
    });
    changed.metadata.insert("version", "2");
    a.register(&service(0), "p0", changed.clone());
    seconds(1).await;
    let copy = b.list(&service(0)).into_iter().find(|i| i.id == changed.id).unwrap();
    assert!(copy.same(&changed), "{copy:?}");
    changed.metadata.clear();
    a.register(&service(0), "p0", changed.clone());
    seconds(1).await;
    assert!(b.list(&service(0)).iter().any(|i| i.same(&changed)), "a removed key travels");

    a.register(&service(7000), "new", instance(1));
    seconds(1).await;
    assert_eq!(b.list(&service(7000)).len(), 1, "a new service");
    a.deregister(&service(0), "p1", &instance(1001).id);
    b.deregister(&service(100), "p", &instance(9000).id);
    seconds(3).await;
    assert_eq!((b.list(&service(0)).len(), a.list(&service(100)).len()), (2, 0));

    let writes = (a.writes(), b.writes());
    seconds(120).await;
    assert_eq!(writes, (a.writes(), b.writes()), "at rest nothing is written");
    assert!(
        world.engine.status().iter().all(|status| status.state == RouteState::InStep),
        "{:#?}",
        world.engine.status()
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_on_one_service_is_a_handful_of_writes() {
    let clusters = registries(&["a", "b"]);
    let _world = World::new("i", &clusters).one_way("a", "b");
    seconds(1).await;
    for n in 0..10_000u32 {
        clusters["a"].register(&service(0), "p", instance(1).with(|one| one.weight = f64::from(n)));
        if n % 10 == 0 {
            millis(1).await;
        }
    }
    seconds(2).await;
    assert_eq!(clusters["b"].list(&service(0))[0].weight, 9999.0);
    assert!(clusters["b"].writes() <= 10, "{} writes", clusters["b"].writes());
}

#[tokio::test(start_paused = true)]
async fn chains_pass_on_and_rings_end() {
    let clusters = registries(&["a", "b", "c"]);
    let mut world = World::new("i", &clusters);
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        world.routes.push(world.route(&format!("{from}{to}"), from, to));
    }
    world.start();
    clusters["a"].register(&service(0), "p", instance(1));
    seconds(3).await;
    let seen = |n: &str| clusters[n].list(&service(0)).len();
    assert_eq!((seen("a"), seen("b"), seen("c")), (1, 1, 1));
    clusters["a"].deregister(&service(0), "p", &instance(1).id);
    seconds(8).await;
    assert_eq!((seen("a"), seen("b"), seen("c")), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_bad_record_of_ten_does_not_spoil_the_rest() {
    let clusters = registries(&["a", "b"]);
    clusters["b"].refuse_host("127.0.0.66");
    populate(&clusters["a"], 1, 9);
    clusters["a"].register(&service(0), "bad", Instance::new("127.0.0.66", 1));
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(10).await;
    assert_eq!(clusters["b"].list(&service(0)).len(), 9);
    assert!(world.notebook.said(Action::Skipped, "not welcome"));
    let writes = clusters["b"].writes();
    seconds(60).await;
    assert_eq!(writes, clusters["b"].writes(), "a refused record is not tried again");
}

#[tokio::test(start_paused = true)]
async fn an_operators_override_is_kept_and_shown() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 1, 2);
    let world = World::new("i", &clusters).two_way("a", "b");
    seconds(2).await;
    let copy = clusters["b"].list(&service(0)).into_iter().find(|i| i.id.endpoint.port == 1000).unwrap();
    clusters["b"].override_with(
        &service(0),
        copy.with(|one| {
            one.enabled = false;
            one.weight = 7.0;
        }),
    );
    let writes = (clusters["a"].writes(), clusters["b"].writes());
    seconds(60).await;
    assert_eq!(writes, (clusters["a"].writes(), clusters["b"].writes()), "no fight");
    assert!(world.notebook.said(Action::Skipped, "by hand"));
    let native = clusters["a"].list(&service(0)).into_iter().find(|i| i.id.endpoint.port == 1000).unwrap();
    assert!(native.enabled && native.weight == 1.0, "it does not travel back");
}

#[tokio::test(start_paused = true)]
async fn an_override_travels_back_where_the_task_says_so() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    populate(&a, 1, 1);
    let mut world = World::new("i", &clusters);
    for (from, to) in [("a", "b"), ("b", "a")] {
        world.routes.push(RouteSpec { overrides: Overrides::Travel, ..world.route("task", from, to) });
    }
    world.start();
    seconds(2).await;
    let copy = b.list(&service(0)).remove(0);
    b.override_with(&service(0), copy.with(|one| one.weight = 7.0));
    seconds(10).await;
    assert_eq!(a.list(&service(0))[0].weight, 7.0);
    assert!(a.list(&service(0))[0].mark.is_none(), "still the provider's own record");
    let writes = (a.writes(), b.writes());
    seconds(60).await;
    assert_eq!(writes, (a.writes(), b.writes()), "no fight");
}

#[tokio::test(start_paused = true)]
async fn an_overwritten_mark_makes_no_loop_and_no_orphan() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 1, 1);
    let world = World::new("i", &clusters).two_way("a", "b");
    seconds(2).await;
    let copy = clusters["b"].list(&service(0)).remove(0);
    clusters["b"].override_with(&service(0), copy.with(|one| one.mark = None));
    seconds(5).await;
    let notebook = world.crash(true).await;
    let _again = World::after("i", &clusters, notebook).two_way("a", "b");
    seconds(40).await;
    assert_eq!((total(&clusters["a"]), total(&clusters["b"])), (1, 1));
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    seconds(5).await;
    assert_eq!((total(&clusters["a"]), total(&clusters["b"])), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn cut_over_leaves_no_gap_and_no_pair() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    populate(&a, 1, 1);
    let _world = World::new("i", &clusters).two_way("a", "b");
    seconds(40).await;
    let moved = instance(1000).with(|one| one.weight = 2.0);
    b.register(&service(0), "moved", moved.clone());
    millis(500).await;
    assert!(b.list(&service(0)).iter().all(|shown| *shown == moved), "our copy has given way");
    assert_eq!(b.list(&service(0)).len(), 1);
    a.deregister(&service(0), "p0", &moved.id);
    for _ in 0..100 {
        assert_eq!((a.list(&service(0)).len(), b.list(&service(0)).len()), (1, 1));
        millis(20).await;
    }
    assert!(a.list(&service(0))[0].same(&moved) && a.list(&service(0))[0].mark.is_some());
    b.deregister(&service(0), "moved", &moved.id);
    seconds(3).await;
    assert_eq!((total(&a), total(&b)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn two_installs_do_not_touch_each_other() {
    let clusters = registries(&["a1", "a2", "b"]);
    populate(&clusters["a1"], 3, 2);
    clusters["a2"].register(&service(0), "other", instance(7777));
    let mut first = World::new("i1", &clusters).one_way("a1", "b");
    let _second = World::new("i2", &clusters).one_way("a2", "b");
    seconds(40).await;
    assert_eq!(total(&clusters["b"]), 7);
    first.run_all(RunState::Drain);
    seconds(5).await;
    assert_eq!(clusters["b"].list(&service(0)).len(), 1);
    assert!(first.engine.status().iter().all(|status| status.state == RouteState::Drained));
}

/// Excludes services of this name; `decides`: or cannot say whether it does.
fn excludes(name: &'static str, decides: bool) -> ServiceLens {
    // Matchers of one pattern match alike.
    let pattern = if decides { format!("^{name}$") } else { name.to_owned() };
    let matches = move |text: &str| if text != name { Some(false) } else { decides.then_some(true) };
    let matcher = plan::Matcher::new(&pattern, matches);
    let rule = plan::SelectRule { service: Some(matcher), ..plan::SelectRule::default() };
    ServiceLens { select: Select { exclude: vec![rule], ..Select::default() }, ..ServiceLens::default() }
}

#[tokio::test(start_paused = true)]
async fn what_no_filter_decides_is_refused_by_name_and_what_stands_stays() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (clusters["a"].clone(), clusters["b"].clone());
    populate(&a, 2, 3);
    b.register(&service(1), "theirs", instance(9000));
    b.register(&service(0), "other", instance(9001));
    let mut world = World::new("i", &clusters);
    for (from, to) in [("a", "b"), ("b", "a")] {
        let route = world.route("task", from, to);
        world.routes.push(RouteSpec { lens: std::sync::Arc::new(excludes("s1", false)), ..route });
    }
    world.start();
    seconds(5).await;
    assert_eq!((b.list(&service(0)).len(), b.list(&service(1)).len(), a.list(&service(1)).len()), (4, 1, 3));
    let count = |world: &World| world.engine.status().iter().map(|s| s.skipped.values().sum::<usize>()).sum::<usize>();
    assert_eq!(count(&world), 4, "both ways: {:#?}", world.engine.status());
    assert!(world.notebook.said(Action::Skipped, "the pattern s1 needs too many steps on the service name s1"));

    // What was copied before stays, whatever happens to it, until it is decided.
    for route in &mut world.routes {
        route.lens = std::sync::Arc::new(ServiceLens::default());
    }
    world.start();
    seconds(40).await;
    assert_eq!((b.list(&service(1)).len(), a.list(&service(1)).len()), (4, 4));
    for route in &mut world.routes {
        route.lens = std::sync::Arc::new(excludes("s1", false));
    }
    world.start();
    seconds(400).await;
    assert_eq!((b.list(&service(1)).len(), a.list(&service(1)).len()), (4, 4), "unknown is not gone");
    a.register(&service(1), "p0", instance(1000).with(|one| one.weight = 0.5));
    seconds(10).await;
    assert!(b.list(&service(1)).iter().all(|copy| copy.weight == 1.0), "nor is it written");
    for route in &mut world.routes {
        route.lens = std::sync::Arc::new(excludes("s1", true));
    }
    world.start();
    seconds(400).await;
    let held = world.held();
    assert_eq!((b.list(&service(1)).len(), a.list(&service(1)).len()), (1, 3), "decided; {held} held");
    assert_eq!(count(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_names_what_does_not_answer_and_compares_the_rest() {
    let clusters = registries(&["a", "b", "c", "d"]);
    populate(&clusters["a"], 2, 3);
    clusters["a"].create_part("dev", None);
    clusters["a"].register(&ServiceKey::new("dev", "g", "s"), "p", instance(1));
    clusters["c"].register(&service(0), "p0", instance(1000));
    clusters["b"].fail(causeway_connectors::memory::Fault::Hung);
    clusters["d"].fail(causeway_connectors::memory::Fault::PartDenied(Part::new("public")));
    let world = World::new("i", &clusters);
    let specs = world.ports.iter().map(|(name, ports)| ClusterSpec {
        id: world.id(name),
        name: name.as_str().into(),
        port: Port::read_write(ports.clone()),
    });
    let routes = ["b", "c", "d"].map(|to| world.route(to, "a", to));
    let began = tokio::time::Instant::now();
    let run = dry_run(specs.collect(), routes.into(), Ledgers::new(), &Timing::default()).await;
    assert!(began.elapsed() <= Timing::default().call, "one after the other: {:?}", began.elapsed());
    let mut unread: Vec<_> = run.unread.iter().map(|one| (&*one.name, one.part.clone())).collect();
    unread.sort();
    assert_eq!(unread, [("b", None), ("d", Some(Part::new("public")))]);
    let changes = |name: &str| {
        let of = run.previews.iter().filter(|preview| preview.cluster == world.id(name));
        of.map(|preview| preview.plan.changes.len()).sum::<usize>()
    };
    // One of the seven backs a native record of `c`.
    assert_eq!((changes("b"), changes("c"), changes("d")), (0, 7, 1), "{:#?}", run.previews);
}

/// A part that takes as long to read as the reader of a running task allows is read for a dry run, too.
#[tokio::test(start_paused = true)]
async fn a_dry_run_waits_for_a_large_part() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 3, 1);
    let world = World::new("i", &clusters);
    let whims = std::sync::Arc::new(crate::odd::Whims::default());
    *whims.read.lock() = std::time::Duration::from_secs(60);
    let cluster = |name: &str, port| ClusterSpec { id: world.id(name), name: name.into(), port };
    let specs = vec![
        cluster("a", Port::read_write(crate::odd::Odd::open(&clusters["a"], &whims))),
        cluster("b", Port::read_write(world.ports["b"].clone())),
    ];
    let run = dry_run(specs, vec![world.route("task", "a", "b")], Ledgers::new(), &Timing::default()).await;
    assert!(run.unread.is_empty(), "{:?}", run.unread);
    assert_eq!(run.previews.iter().map(|preview| preview.plan.changes.len()).sum::<usize>(), 3);
}
