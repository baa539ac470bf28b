//! Names of services that differ in nothing but case.

use crate::harness::*;
use causeway_connectors::memory::{Memory, Names};
use causeway_core::*;
use causeway_engine::*;
use std::sync::Arc;

fn named(name: &str) -> ServiceKey {
    ServiceKey::new("public", "g", name)
}

fn ports(memory: &Memory, name: &str) -> Vec<u16> {
    memory.list(&named(name)).iter().map(|one| one.id.endpoint.port).collect()
}

fn lower() -> Arc<ServiceLens> {
    Arc::new(ServiceLens { case: NameCase::Lower, ..ServiceLens::default() })
}

/// A way back on which nothing but the case of names is unknown. Its filter takes names that begin with one of these letters.
#[derive(Debug)]
struct WayBack(&'static [char]);

impl Lens for WayBack {
    fn scope(&self, source: &ServiceKey, spell: Spell<'_>) -> Option<ServiceKey> {
        Some(spell(source.folded())).filter(|scope| scope.name.starts_with(self.0))
    }
    fn named(&self, source: &ServiceKey) -> Option<ServiceKey> {
        Some(source.folded())
    }
    fn record(&self, _: &ServiceKey, record: &Instance, _: Spell<'_>) -> Choice {
        Choice::Take(record.clone())
    }
    fn part(&self, source: &Part) -> Part {
        source.clone()
    }
    fn renames(&self) -> bool {
        true
    }
    fn case(&self) -> CaseRule {
        CaseRule::Spell
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}

/// From `a` to `b` in lower case, and back under the names of `a`.
fn two_way(world: &mut World, filter: &'static [char]) {
    let there = RouteSpec { lens: lower(), ..world.route("task", "a", "b") };
    let back = RouteSpec { lens: Arc::new(WayBack(filter)), way_back: true, ..world.route("task", "b", "a") };
    world.routes = vec![there, back];
    world.start();
}

fn notices(world: &World) -> Vec<String> {
    world.engine.status().iter().flat_map(|status| &status.notices).map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn two_names_that_become_one_and_one_beside_it_are_told() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    a.register(&named("Orders"), "p", instance(1));
    a.register(&named("ORDERS"), "q", instance(2));
    b.register(&named("OrderS"), "r", instance(3));
    b.register(&named("Pay"), "r", instance(4));
    let mut world = World::new("i", &clusters);
    world.routes = vec![RouteSpec { lens: lower(), ..world.route("task", "a", "b") }];
    let specs = world.routes.clone();
    let of = |name: &str| ClusterSpec {
        id: world.id(name),
        name: name.into(),
        port: Port::read_write(world.ports[name].clone()),
    };
    let found = dry_run(vec![of("a"), of("b")], specs, Default::default(), &Timing::default()).await;
    let told: Vec<_> = found.notices.iter().map(|(_, notice)| notice.to_string()).collect();
    let one = "ORDERS, Orders of a differ only in case, and are one service in b: orders, with the instances of all";
    let beside = "b has a service OrderS beside orders, to which we copy";
    assert!(told.len() == 2 && told[0] == one && told[1].starts_with(beside), "{told:?}");

    world.start();
    seconds(90).await;
    assert_eq!((ports(b, "orders"), ports(b, "OrderS"), ports(b, "Pay")), (vec![1, 2], vec![3], vec![4]));
    assert_eq!(notices(&world), told);
    assert_eq!(world.engine.status()[0].state, RouteState::InStep);

    // Each goes when there is no reason for it any more.
    b.deregister(&named("OrderS"), "r", &instance(3).id);
    seconds(60).await;
    assert_eq!(notices(&world), [one]);
    a.deregister(&named("ORDERS"), "q", &instance(2).id);
    seconds(60).await;
    assert_eq!((ports(b, "orders"), notices(&world)), (vec![1], vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_stands_under_the_name_that_is_there() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    a.register(&named("Orders"), "p", instance(1));
    b.register(&named("orders"), "q", instance(2));
    b.register(&named("PAY"), "q", instance(3));
    let mut world = World::new("i", &clusters);
    two_way(&mut world, &['O', 'p']);
    seconds(90).await;
    let all = |memory: &Memory| memory.services().iter().map(|scope| scope.name.to_string()).collect::<Vec<_>>();
    let stands = || {
        assert_eq!((ports(a, "Orders"), ports(b, "orders")), (vec![1, 2], vec![1, 2]));
        assert_eq!((ports(a, "pay"), ports(b, "PAY")), (vec![3], vec![3]));
        assert_eq!((all(a), all(b)), (vec!["Orders".into(), "pay".into()], vec!["PAY".into(), "orders".into()]));
    };
    stands();
    assert_eq!(notices(&world), Vec::<String>::new());

    // The name stays while copies of ours stand under it, whoever else is there, and over a restart.
    a.deregister(&named("Orders"), "p", &instance(1).id);
    a.register(&named("ORDERS"), "p", instance(4));
    seconds(60).await;
    assert_eq!((ports(a, "Orders"), ports(a, "ORDERS"), ports(b, "orders")), (vec![2], vec![4], vec![2, 4]));
    assert!(notices(&world).iter().any(|told| told.starts_with("a has a service ORDERS beside Orders")));
    let sessions = ["a", "b"].map(|name| (name, world.ports[name].session()));
    let notebook = world.crash(false).await;
    let mut world = World::after("i", &clusters, notebook);
    let before = a.writes() + b.writes();
    two_way(&mut world, &['O', 'p']);
    seconds(90).await;
    assert_eq!((ports(a, "Orders"), ports(a, "ORDERS"), ports(b, "orders")), (vec![2], vec![4], vec![2, 4]));
    sessions.iter().for_each(|(name, session)| clusters[*name].expire(*session));
    assert!(a.writes() + b.writes() <= before + 4, "{before} {}", a.writes() + b.writes());

    b.deregister(&named("orders"), "q", &instance(2).id);
    b.deregister(&named("PAY"), "q", &instance(3).id);
    seconds(60).await;
    world.engine.release(&world.owner());
    seconds(60).await;
    assert_eq!((all(a), all(b)), (vec!["ORDERS".into()], vec!["orders".into()]));
}

#[tokio::test(start_paused = true)]
async fn names_that_a_destination_makes_one_are_told() {
    let clusters = registries(&["a", "b"]);
    clusters["b"].narrow(Names { one_part: true, host_names: true, ..Names::default() });
    let a = &clusters["a"];
    a.register(&named("Orders"), "p", instance(1));
    a.register(&named("orders"), "q", instance(2));
    let world = World::new("i", &clusters).one_way("a", "b");
    seconds(90).await;
    assert_eq!(ports(&clusters["b"], "orders"), [1, 2]);
    assert!(notices(&world)[0].starts_with("Orders, orders of a differ only in case"), "{:?}", notices(&world));
}

/// What a filter says of a service hangs on its spelling, which may come to be known later.
#[tokio::test(start_paused = true)]
async fn a_name_that_comes_to_be_known_is_asked_for_again() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    b.register(&named("orders"), "q", instance(2));
    let mut world = World::new("i", &clusters);
    two_way(&mut world, &['O']);
    seconds(60).await;
    assert_eq!(a.services(), [], "`orders` does not match");
    a.register(&named("Orders"), "p", instance(1));
    seconds(10).await;
    assert_eq!((ports(a, "Orders"), ports(b, "orders")), (vec![1, 2], vec![1, 2]));
}

/// Copies whose server forgot them while we were away come back under the name that they had.
#[tokio::test(start_paused = true)]
async fn a_spelling_outlives_the_copies() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    a.register(&named("Orders"), "p", instance(1));
    b.register(&named("orders"), "q", instance(2));
    let mut world = World::new("i", &clusters);
    two_way(&mut world, &['O', 'o']);
    seconds(60).await;
    a.deregister(&named("Orders"), "p", &instance(1).id);
    seconds(60).await;
    let notebook = world.crash(true).await;
    assert_eq!(a.services(), []);
    let mut world = World::after("i", &clusters, notebook);
    two_way(&mut world, &['O', 'o']);
    seconds(90).await;
    assert_eq!((ports(a, "Orders"), ports(a, "orders")), (vec![2], vec![]));
}
