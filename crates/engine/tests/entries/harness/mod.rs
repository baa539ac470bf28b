//! Two trees in memory, a data engine between them, and a notebook of what it said.
#![allow(dead_code, clippy::unwrap_used)]

pub mod ports;

use causeway_connectors::memory::MemoryData;
use causeway_core::*;
use causeway_engine::*;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

type Ledgers = BTreeMap<DataRoute, DataLedger>;

#[derive(Default)]
struct Pages {
    /// What a later process finds.
    kept: Ledgers,
    /// What was handed over and would be lost with the process.
    waiting: Vec<Note>,
}

enum Note {
    Base(DataRoute, EntryKey, Option<Base>),
    Intents(DataRoute, u64, Option<Vec<Intent>>),
}

/// Keeps the ledger behind, in order: only what [`DataRecorder::kept`] has waited for is sure to outlive a crash.
#[derive(Default)]
pub struct Notebook {
    pub events: Mutex<Vec<Event>>,
    pages: Mutex<Pages>,
}

impl Notebook {
    pub fn count(&self, action: Action) -> usize {
        self.events.lock().iter().filter(|event| event.action == action).count()
    }
    pub fn said(&self, action: Action, words: &str) -> bool {
        self.events.lock().iter().any(|event| event.action == action && event.reason.to_string().contains(words))
    }
    /// Everything that was handed over is kept now.
    pub fn keep(&self) {
        let mut pages = self.pages.lock();
        for note in std::mem::take(&mut pages.waiting) {
            match note {
                Note::Base(route, key, Some(base)) => {
                    pages.kept.entry(route).or_default().bases.insert(key, base);
                }
                Note::Base(route, key, None) => {
                    pages.kept.entry(route).or_default().bases.remove(&key);
                }
                Note::Intents(route, lot, Some(intents)) => {
                    pages.kept.entry(route).or_default().intents.insert(lot, intents);
                }
                Note::Intents(route, lot, None) => {
                    pages.kept.entry(route).or_default().intents.remove(&lot);
                }
            }
        }
    }
    /// What the next process finds. `all`: the last one has ended in order.
    pub fn ledgers(&self, all: bool) -> Ledgers {
        if all {
            self.keep();
        }
        let mut pages = self.pages.lock();
        pages.waiting.clear();
        pages.kept.clone()
    }
    /// The ledger is lost.
    pub fn tear_out(&self) {
        *self.pages.lock() = Pages::default();
    }
}

impl DataRecorder for Notebook {
    fn base(&self, route: &DataRoute, key: &EntryKey, base: Option<&Base>) {
        self.pages.lock().waiting.push(Note::Base(route.clone(), key.clone(), base.copied()));
    }
    fn intents(&self, route: &DataRoute, lot: u64, intents: Option<&[Intent]>) {
        self.pages.lock().waiting.push(Note::Intents(route.clone(), lot, intents.map(<[_]>::to_vec)));
    }
    fn kept(&self) -> BoxFuture<'_, ()> {
        self.keep();
        Box::pin(std::future::ready(()))
    }
    fn event(&self, event: Event) {
        self.events.lock().push(event);
    }
}

/// Two clusters `a` and `b`, and one process of ours with one task between them.
pub struct World {
    pub a: MemoryData,
    pub b: MemoryData,
    pub notebook: Arc<Notebook>,
    pub engine: Arc<DataEngine>,
    pub spec: DataSpec,
}

impl World {
    pub fn new(change: impl FnOnce(&mut DataSpec)) -> Self {
        Self::between(MemoryData::new(), MemoryData::new(), Arc::default(), change)
    }

    pub fn two_way(conflicts: Conflicts) -> Self {
        Self::new(|spec| (spec.ways, spec.conflicts) = (Ways::Two, conflicts))
    }

    pub fn between(a: MemoryData, b: MemoryData, notebook: Arc<Notebook>, change: impl FnOnce(&mut DataSpec)) -> Self {
        let mut spec = spec(Arc::new(a.clone()), Arc::new(b.clone()));
        change(&mut spec);
        let engine = DataEngine::new(DataTiming::default(), notebook.clone(), BTreeMap::new());
        Self { a, b, notebook, engine, spec }
    }

    /// Between two clusters with such entries.
    pub fn with(facts: EntryFacts, change: impl FnOnce(&mut DataSpec)) -> Self {
        Self::between(MemoryData::with(facts), MemoryData::with(facts), Arc::default(), change)
    }

    /// The task begins.
    pub fn start(self) -> Self {
        self.engine.configure(vec![self.spec.clone()]);
        self
    }

    pub fn change(&mut self, change: impl FnOnce(&mut DataSpec)) {
        change(&mut self.spec);
        self.engine.configure(vec![self.spec.clone()]);
    }

    /// The process ends in order, and another begins.
    pub async fn restart(self) -> Self {
        let mut world = self.down().await;
        world.engine = DataEngine::new(DataTiming::default(), world.notebook.clone(), world.notebook.ledgers(true));
        world.start()
    }

    /// The process ends in order.
    pub async fn down(self) -> Self {
        self.engine.stop().await;
        self
    }

    pub fn status(&self) -> DataStatus {
        self.engine.status().remove(0)
    }

    pub fn conflicts(&self) -> Vec<ConflictRow> {
        self.engine.conflicts(&self.spec.owner)
    }

    /// Both sides hold the same.
    pub fn same(&self) -> bool {
        self.a.all() == self.b.all()
    }
}

pub fn spec(a: Arc<dyn DataSink>, b: Arc<dyn DataSink>) -> DataSpec {
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

pub fn key(path: &str) -> EntryKey {
    EntryKey::path(path)
}

impl World {
    pub fn read(&self, side: Side, path: &str) -> Option<String> {
        read(self.tree(side), path)
    }
    pub fn tree(&self, side: Side) -> &MemoryData {
        if side == Side::Left { &self.a } else { &self.b }
    }
}

pub fn put(tree: &MemoryData, path: &str, text: &str) {
    tree.put(&key(path), Content::of(text));
}

pub fn read(tree: &MemoryData, path: &str) -> Option<String> {
    let body = tree.get(&key(path))?.body?;
    Some(String::from_utf8(body.to_vec()).unwrap())
}

/// `/cfg/0` … with their own names as contents.
pub fn populate(tree: &MemoryData, count: usize) {
    for n in 0..count {
        put(tree, &format!("/cfg/{n}"), &n.to_string());
    }
}

pub async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}
pub async fn millis(n: u64) {
    tokio::time::sleep(Duration::from_millis(n)).await;
}
