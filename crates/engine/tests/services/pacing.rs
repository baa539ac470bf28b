//! Services and config entries that are written to one cluster share its limits.

use crate::harness::*;
use crate::odd::*;
use causeway_connectors::memory::MemoryData;
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

struct Silent;

impl DataRecorder for Silent {
    fn base(&self, _: &DataRoute, _: &EntryKey, _: Option<&Base>) {}
    fn intents(&self, _: &DataRoute, _: u64, _: Option<&[Intent]>) {}
    fn event(&self, _: Event) {}
}

#[tokio::test(start_paused = true)]
async fn services_and_entries_share_the_limits_of_a_cluster() {
    let clusters = registries(&["a", "b"]);
    populate(&clusters["a"], 60, 1);
    let (from, to) = (MemoryData::new(), MemoryData::new());
    for n in 0..60 {
        from.put(&EntryKey::path(&format!("/cfg/{n}")), Content::of("x"));
    }
    let (calm, whims) = (Arc::<Whims>::default(), Arc::<Whims>::default());
    *whims.limits.lock() = Limits { max_batch: 4, in_flight: 3, per_second: Some(10) };
    *whims.each.lock() = Duration::from_millis(150);

    let world = World::new("i", &clusters);
    let port = |name: &str, whims| Port::read_write(Odd::open(&clusters[name], whims) as Arc<dyn Sink>);
    let cluster = |name: &str, whims| ClusterSpec { id: world.id(name), name: name.into(), port: port(name, whims) };
    let specs = vec![cluster("a", &calm), cluster("b", &whims)];
    world.engine.configure(specs, vec![world.route("task", "a", "b")]);
    let timing = DataTiming::default();
    let data = DataEngine::sharing(world.engine.pacers(), timing, Arc::new(Silent), BTreeMap::new());
    let end = |name: &str, tree: &MemoryData, whims: &Arc<Whims>| DataCluster {
        id: world.id(name),
        name: name.into(),
        port: DataPort::read_write(Arc::new(OddData(tree.clone(), whims.clone()))),
    };
    data.configure(vec![DataSpec {
        task: "task".into(),
        owner: world.owner(),
        source: end("a", &from, &calm),
        destination: end("b", &to, &whims),
        select: Arc::new(Everything),
        services: false,
        ways: Ways::One,
        mode: WriteMode::Sync,
        overrides: Overrides::Keep,
        conflicts: Conflicts::Manual,
        attributes: AttributeFilter::None,
        lists: Vec::new(),
        guard: GuardLimits::default(),
        settle: Duration::from_secs(30),
        run: RunState::On,
    }]);

    let sent = |from: usize| whims.calls.lock()[from..].iter().map(|(_, count)| *count).sum::<usize>();
    for second in 1..=8 {
        seconds(1).await;
        assert!(sent(0) <= 10 * second + 10, "{} in {second} s", sent(0));
    }
    assert!(sent(0) >= 70, "{}", sent(0));
    assert!(whims.flying.lock().1 <= 3, "{} at once", whims.flying.lock().1);
    let (services, entries) = (total(&clusters["b"]), to.all().len());
    assert!(services > 10 && entries > 10, "{services} and {entries}: neither keeps the other waiting");

    // The limits change: the cluster was upgraded.
    let before = whims.calls.lock().len();
    whims.limits.lock().per_second = Some(2);
    seconds(10).await;
    assert!((15..=25).contains(&sent(before)), "{}", sent(before));
    whims.limits.lock().per_second = None;
    seconds(10).await;
    assert_eq!((total(&clusters["b"]), to.all().len()), (60, 61));
    world.engine.stop().await;
    data.stop().await;
}
