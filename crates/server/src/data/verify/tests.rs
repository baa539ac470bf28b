use super::*;
use causeway_connectors::memory::MemoryData;
use causeway_core::{
    Base, ClusterId, Conflicts, DataPort, DataSelector, DataSink, Error, Everything, Found, Intent, Limits, Lost, Mode,
    News, Overrides, OwnerId, Write,
};
use causeway_engine::{Attend, DataRecorder, DataRoute, Event, GuardLimits, Run};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::time::Duration;
use tokio::time::Instant;

struct Nowhere;

impl DataRecorder for Nowhere {
    fn base(&self, _: &DataRoute, _: &EntryKey, _: Option<&Base>) {}
    fn intents(&self, _: &DataRoute, _: u64, _: Option<&[Intent]>) {}
    fn event(&self, _: Event) {}
}

/// A tree that can be listed, and never answers a read.
struct Hanging(MemoryData);

impl DataSource for Hanging {
    fn watch(&self, select: &DataSelector) -> BoxStream<'static, std::result::Result<News, Lost>> {
        self.0.watch(select)
    }
    fn read<'a>(&'a self, _: &'a [EntryKey]) -> BoxFuture<'a, Vec<std::result::Result<Found, Error>>> {
        Box::pin(std::future::pending())
    }
    fn list<'a>(
        &'a self,
        select: &'a DataSelector,
    ) -> BoxFuture<'a, std::result::Result<BTreeMap<EntryKey, Entry>, Error>> {
        self.0.list(select)
    }
}

impl DataSink for Hanging {
    fn limits(&self) -> Limits {
        self.0.limits()
    }
    fn write<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Vec<std::result::Result<Option<Entry>, Error>>> {
        self.0.write(writes)
    }
}

fn spec(a: Arc<dyn DataSink>, b: Arc<dyn DataSink>) -> DataSpec {
    let cluster =
        |name: &str, port| DataCluster { id: ClusterId::of(name), name: name.into(), port: DataPort::ReadWrite(port) };
    DataSpec {
        task: "task".into(),
        owner: OwnerId::new("i", "task"),
        source: cluster("a", a),
        destination: cluster("b", b),
        select: Arc::new(Everything),
        ways: Ways::One,
        mode: Mode::Sync,
        overrides: Overrides::Keep,
        conflicts: Conflicts::Manual,
        attributes: Attend::None,
        guard: GuardLimits::default(),
        lists: Vec::new(),
        services: false,
        settle: Duration::from_secs(30),
        run: Run::On,
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_side_is_asked_once_and_named() {
    let (a, b) = (MemoryData::new(), MemoryData::new());
    for n in 0..BATCH * AT_ONCE * 5 - 1 {
        for tree in [&a, &b] {
            tree.put(&EntryKey::path(&format!("/cfg/{n:05}")), Content::of("x"));
        }
    }
    let engine = DataEngine::new(DataTiming::default(), Arc::new(Nowhere), BTreeMap::new());
    let began = Instant::now();
    let compared = compare(&spec(Arc::new(a), Arc::new(Hanging(b))), &engine).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    let unanswered: Vec<_> = compared.unanswered.iter().map(|one| (&*one.cluster, &*one.reason)).collect();
    assert_eq!(unanswered, [("b", "5120 config entries from /cfg on: no answer within 10 s")]);
    assert_eq!((compared.same, compared.differences.len()), (0, 0));
}
