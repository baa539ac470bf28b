//! Work inside the engine panics: it is restarted, what it knew counts as unknown until then, and the status says so.

use crate::harness::*;
use crate::odd::*;
use causeway_connectors::memory::Memory;
use causeway_core::Port;
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Source `a` and destination `b`, whose ports misbehave as their whims say.
struct Between {
    world: World,
    a: Arc<Whims>,
    b: Arc<Whims>,
}

impl Between {
    fn new(clusters: &BTreeMap<String, Memory>) -> Self {
        Self { world: World::new("i", clusters), a: Arc::default(), b: Arc::default() }
    }

    fn start(self) -> Self {
        let route = self.world.route("task", "a", "b");
        self.start_with(route)
    }

    fn start_with(self, route: RouteSpec) -> Self {
        let world = &self.world;
        let cluster = |name: &str, whims: &Arc<Whims>| ClusterSpec {
            id: world.id(name),
            name: name.into(),
            port: Port::read_write(Odd::open(&world.clusters[name], whims)),
        };
        let clusters = vec![cluster("a", &self.a), cluster("b", &self.b)];
        world.engine.configure(clusters, vec![route]);
        self
    }

    fn status(&self) -> RouteStatus {
        self.world.engine.status().remove(0)
    }

    fn says(&self, words: &str) -> bool {
        self.status().notices.iter().any(|reason| reason.to_string().contains(words))
    }
}

fn estate() -> BTreeMap<String, Memory> {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 10, 3);
    clusters
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_once_is_watched_again() {
    for side in ["a", "b"] {
        let clusters = estate();
        let at = Between::new(&clusters).start();
        seconds(40).await;
        assert_eq!((total(&clusters["b"]), at.status().state), (30, RouteState::InStep));
        let whims = if side == "a" { &at.a } else { &at.b };
        whims.panic("stream", 1);
        clusters[side].register(&service(90), "p", instance(1));
        millis(50).await;
        assert_eq!(at.status().state, RouteState::Failing, "{side}");
        assert!(at.says("bug in stream") && at.says(side), "{:?}", at.status().notices);
        seconds(5).await;
        clusters["a"].register(&service(91), "p", instance(1));
        seconds(60).await;
        assert_eq!(at.status().state, RouteState::InStep, "{side}: {:?}", at.status());
        assert_eq!(clusters["b"].list(&service(91)).len(), 1);
        assert_eq!(total(&clusters["b"]), 32, "{side}: nothing is lost");
    }
}

/// The list needs to know which of the named namespaces are used.
#[tokio::test(start_paused = true)]
async fn a_list_of_what_exists_is_made_once_its_namespaces_can_be_counted() {
    let clusters = estate();
    let at = Between::new(&clusters);
    at.a.panic("count", 1);
    let parts = Some(["public", "test"].map(Into::into).into());
    let route = RouteSpec { parts, only: Only::Freeze, ..at.world.route("task", "a", "b") };
    let at = at.start_with(route);
    seconds(2).await;
    assert!(at.says("cannot be made yet") && at.says("bug in count"), "{:?}", at.status().notices);
    assert_eq!((total(&clusters["b"]), at.status().state), (0, RouteState::Failing));
    seconds(60).await;
    assert!(!at.says("cannot be made yet"), "{:?}", at.status().notices);
    assert_eq!(total(&clusters["b"]), 30);
    clusters["a"].register(&service(90), "p", instance(1));
    seconds(5).await;
    assert_eq!(total(&clusters["b"]), 30, "the list has been made");
}

/// What happened while nobody watched has no witness: it goes after the source has settled again.
#[tokio::test(start_paused = true)]
async fn what_a_crashed_reader_knew_is_unknown() {
    let clusters = estate();
    let at = Between::new(&clusters).start();
    seconds(40).await;
    at.a.panic("stream", 3);
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    seconds(20).await;
    assert_eq!(total(&clusters["b"]), 30, "not settled again");
    seconds(60).await;
    assert_eq!(total(&clusters["b"]), 29);
    assert!(at.world.notebook.said(Action::Deleted, "two complete looks"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_always_panics_empties_nothing_and_is_reported() {
    let clusters = estate();
    let at = Between::new(&clusters).start();
    seconds(40).await;
    at.a.panic("watch", usize::MAX);
    at.a.panic("stream", 1);
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    for _ in 0..600 {
        seconds(1).await;
        assert_eq!((total(&clusters["b"]), at.status().state), (30, RouteState::Failing));
    }
    at.a.panic("watch", 0);
    seconds(120).await;
    assert_eq!((total(&clusters["b"]), at.status().state), (29, RouteState::InStep), "{:?}", at.status());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_is_made_again() {
    let clusters = estate();
    let at = Between::new(&clusters).start();
    seconds(40).await;
    at.a.panic("read", 1);
    at.a.panic("count", 2);
    at.a.panic("parts", 2);
    clusters["a"].fail(causeway_connectors::memory::Fault::Down);
    clusters["a"].deregister(&service(0), "p0", &instance(1000).id);
    seconds(1).await;
    clusters["a"].fail(causeway_connectors::memory::Fault::None);
    seconds(120).await;
    assert_eq!(total(&clusters["b"]), 29, "the second look was lost for ever: {:?}", at.status());
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_panics_is_restarted() {
    for what in ["limits", "adopt", "apply", "normalize", "proven"] {
        let clusters = estate();
        let at = Between::new(&clusters);
        at.b.panic(what, 2);
        let at = at.start();
        seconds(100).await;
        assert_eq!(total(&clusters["b"]), 30, "{what}: {:?}", at.status());
        at.b.panic(what, 1);
        clusters["a"].register(&service(0), "late", instance(9));
        seconds(100).await;
        assert_eq!((total(&clusters["b"]), at.status().state), (31, RouteState::InStep), "{what}: {:?}", at.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_poison_scope_stops_no_other() {
    for what in ["normalize", "apply"] {
        let clusters = estate();
        let at = Between::new(&clusters);
        *at.b.poison.lock() = Some("s3".into());
        at.b.panic(what, usize::MAX);
        let at = at.start();
        seconds(5).await;
        assert_eq!(total(&clusters["b"]), 27, "{what}");
        for n in 0..10 {
            clusters["a"].register(&service(n), "late", instance(9));
            seconds(2).await;
            assert_eq!(clusters["b"].list(&service(n)).len(), if n == 3 { 0 } else { 4 }, "{what}");
        }
        let status = at.status();
        assert_eq!(status.state, RouteState::Failing, "{what}: {status:?}");
        assert!(status.notices.iter().any(|r| r.to_string().contains(&format!("bug in {what}"))), "{status:?}");
        seconds(300).await;
        at.b.panic(what, 0);
        seconds(60).await;
        assert_eq!((total(&clusters["b"]), at.status().state), (40, RouteState::InStep), "{what}: {:?}", at.status());
    }
}
