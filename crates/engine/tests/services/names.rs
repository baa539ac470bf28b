//! Destinations whose names are narrower than the source's.

use crate::harness::*;
use causeway_connectors::memory::{Memory, Names};
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;

fn at(part: &str, name: &str) -> ServiceKey {
    ServiceKey::new(part, "g", name)
}

fn ports(memory: &Memory, scope: &ServiceKey) -> Vec<u16> {
    memory.list(scope).iter().map(|one| one.id.endpoint.port).collect()
}

fn narrow(names: Names) -> BTreeMap<String, Memory> {
    let clusters = registries(&["a", "b"]);
    clusters["b"].narrow(names);
    clusters
}

#[tokio::test(start_paused = true)]
async fn services_whose_names_fall_together_are_one_with_the_instances_of_all() {
    let clusters = narrow(Names { one_part: true, host_names: true, ..Names::default() });
    let (a, b) = (&clusters["a"], &clusters["b"]);
    for part in ["x", "y"] {
        a.create_part(part, None);
    }
    a.register(&at("x", "Orders"), "p", instance(1));
    a.register(&at("y", "orders"), "q", instance(2));
    a.register(&at("public", "no_host"), "r", instance(3));
    let world = World::new("i", &clusters).one_way("a", "b");
    world.start();
    seconds(90).await;
    assert_eq!(b.services(), [at("public", "orders")]);
    assert_eq!(ports(b, &at("public", "orders")), [1, 2]);
    let status = &world.engine.status()[0];
    assert_eq!((status.state, status.skipped.values().sum::<usize>()), (RouteState::InStep, 1), "{status:?}");
    assert!(world.notebook.said(Action::Skipped, "is no host name"));

    a.deregister(&at("x", "Orders"), "p", &instance(1).id);
    seconds(60).await;
    assert_eq!(ports(b, &at("public", "orders")), [2]);
    a.deregister(&at("y", "orders"), "q", &instance(2).id);
    seconds(60).await;
    world.engine.release(&world.owner());
    seconds(60).await;
    assert_eq!(b.services(), []);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_not_told_any_more_once_it_is_named_otherwise() {
    let clusters = narrow(Names { host_names: true, ..Names::default() });
    clusters["a"].register(&at("public", "no_host"), "p", instance(1));
    let mut world = World::new("i", &clusters).one_way("a", "b");
    seconds(10).await;
    assert_eq!(world.engine.status()[0].skipped.values().sum::<usize>(), 1);
    let service = Renaming::Table([("no_host".to_owned(), "host".to_owned())].into());
    world.routes[0].lens = std::sync::Arc::new(ServiceLens { service, ..ServiceLens::default() });
    world.start();
    seconds(10).await;
    assert_eq!(ports(&clusters["b"], &at("public", "host")), [1]);
    assert_eq!(world.engine.status()[0].skipped.values().sum::<usize>(), 0);
}
