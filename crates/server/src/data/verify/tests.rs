use super::*;
use causeway_connectors::memory::MemoryData;
use causeway_core::{
    Base, ClusterId, Conflicts, DataPort, DataSelector, DataSink, EntryFacts, EntryUpdate, EntryWrite, Error,
    Everything, FoundEntry, Intent, Limits, Lost, Overrides, OwnerId, WriteMode,
};
use causeway_engine::{AttributeFilter, DataRecorder, DataRoute, Event, GuardLimits, RunState};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// What was told, by entry: the action and the reason.
#[derive(Default)]
struct Told(Mutex<BTreeMap<String, (String, Reason)>>);

impl DataRecorder for Told {
    fn base(&self, _: &DataRoute, _: &EntryKey, _: Option<&Base>) {}
    fn intents(&self, _: &DataRoute, _: u64, _: Option<&[Intent]>) {}
    fn event(&self, event: Event) {
        self.0.lock().insert(event.record, (event.action.as_str().to_owned(), event.reason));
    }
}

/// A tree that can be listed, and never answers a read.
struct Hanging(MemoryData);

impl DataSource for Hanging {
    fn facts(&self) -> EntryFacts {
        self.0.facts()
    }
    fn watch(&self, select: &DataSelector) -> BoxStream<'static, std::result::Result<EntryUpdate, Lost>> {
        self.0.watch(select)
    }
    fn read<'a>(&'a self, _: &'a [EntryKey]) -> BoxFuture<'a, Vec<std::result::Result<FoundEntry, Error>>> {
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
    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<std::result::Result<Option<Entry>, Error>>> {
        self.0.write(writes)
    }
}

fn spec(a: Arc<dyn DataSink>, b: Arc<dyn DataSink>) -> DataSpec {
    let cluster =
        |name: &str, port| DataCluster { id: ClusterId::of(name), name: name.into(), port: DataPort::read_write(port) };
    DataSpec {
        task: "task".into(),
        owner: OwnerId::new("i", "task"),
        source: cluster("a", a),
        destination: cluster("b", b),
        select: Arc::new(Everything),
        ways: Ways::One,
        mode: WriteMode::Sync,
        overrides: Overrides::Keep,
        conflicts: Conflicts::Manual,
        attributes: AttributeFilter::None,
        guard: GuardLimits::default(),
        lists: Vec::new(),
        services: false,
        settle: Duration::from_secs(30),
        run: RunState::On,
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
    let engine = DataEngine::new(DataTiming::default(), Arc::new(Told::default()), BTreeMap::new());
    let began = Instant::now();
    let compared = compare(&spec(Arc::new(a), Arc::new(Hanging(b))), &engine).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    let unanswered: Vec<_> = compared.unanswered.iter().map(|one| (&*one.cluster, &*one.reason)).collect();
    assert_eq!(unanswered, [("b", "5120 config entries from /cfg on: no answer within 10 s")]);
    assert_eq!((compared.same, compared.differences.len()), (0, 0));
}

/// A plan says of each entry what the event says when it is done.
#[tokio::test(start_paused = true)]
async fn a_plan_uses_the_words_of_the_events() {
    for ways in [Ways::One, Ways::Two] {
        let (a, b) = (MemoryData::new(), MemoryData::new());
        let told = Arc::new(Told::default());
        let engine = DataEngine::new(DataTiming::default(), told.clone(), BTreeMap::new());
        let settled = DataSpec { ways, conflicts: Conflicts::Source, ..spec(Arc::new(a.clone()), Arc::new(b.clone())) };
        let key = |name: &str| EntryKey::path(&format!("/cfg/{name}"));
        for name in ["edited", "gone", "gone-there", "both"] {
            a.put(&key(name), Content::of("1"));
        }
        engine.configure(vec![settled.clone()]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        engine.configure(vec![DataSpec { run: RunState::Paused, ..settled.clone() }]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        a.put(&key("new"), Content::of("2"));
        a.put(&key("edited"), Content::of("2"));
        a.remove(&key("gone"));
        b.remove(&key("gone-there"));
        a.put(&key("both"), Content::of("2"));
        b.put(&key("both"), Content::of("3"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let planned = compare(&settled, &engine).await.unwrap().differences;
        assert_eq!(planned.len(), 5, "{planned:?}");
        told.0.lock().clear();
        engine.configure(vec![settled.clone()]);
        tokio::time::sleep(Duration::from_secs(100)).await;
        let told = told.0.lock();
        for one in planned {
            let (action, reason) = &told[&one.at.record];
            let done = match one.kind {
                Differs::Missing => "created",
                Differs::Different => "updated",
                _ => "deleted",
            };
            assert_eq!(action, done, "{ways:?} {one:?}: {reason}");
            assert!(reason.to_string().starts_with(&one.cause.reason), "{ways:?} {one:?}: {reason}");
            assert_eq!(api::Cause::of(reason).code, one.cause.code, "{ways:?} {one:?}: {reason}");
        }
    }
}
