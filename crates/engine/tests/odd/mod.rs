//! Ports of clusters in memory that misbehave as a test says: they panic, hang, are slow, or return a wrong number of
//! outcomes. They also note each call.
#![allow(dead_code, clippy::unwrap_used)]

use causeway_connectors::memory::{Memory, MemoryData, MemoryPorts};
use causeway_core::*;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many changes a meter has timed, and how many seconds they took together.
pub fn arrivals(meter: &causeway_engine::WriteMeter) -> (u64, f64) {
    let (mut registry, mut text) = (Registry::default(), String::new());
    registry.register("took", "Seconds", meter.latency().clone());
    prometheus_text::encode(&mut text, &registry).unwrap();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    (value("took_count").parse().unwrap(), value("took_sum").parse().unwrap())
}

/// How the ports of one cluster misbehave. Services and config entries may share one.
#[derive(Default)]
pub struct Whims {
    /// How many more calls of each sort panic.
    panics: Mutex<BTreeMap<&'static str, usize>>,
    /// Whose records and entries only panic; `None`: all.
    pub poison: Mutex<Option<String>>,
    pub limits: Mutex<Limits>,
    /// How long each record or entry takes.
    pub each: Mutex<Duration>,
    /// How long reading a part takes.
    pub read: Mutex<Duration>,
    /// Outcomes too many (or, below 0, too few) in each answer.
    pub surplus: Mutex<isize>,
    /// Whether writes never return.
    pub hang: Mutex<bool>,
    /// When each write was sent, and how many changes it had.
    pub calls: Mutex<Vec<(Instant, usize)>>,
    /// Writes under way, and the most there were.
    pub flying: Mutex<(usize, usize)>,
}

impl Whims {
    pub fn panic(&self, what: &'static str, times: usize) {
        self.panics.lock().insert(what, times);
    }

    fn trip(&self, what: &'static str, about: &str) {
        let poison = self.poison.lock().clone();
        let mut panics = self.panics.lock();
        let Some(left) = panics.get_mut(what).filter(|left| **left > 0) else { return };
        if poison.is_none_or(|poison| poison == about) {
            *left = left.saturating_sub(usize::from(*left != usize::MAX));
            panic!("a bug in {what}");
        }
    }

    async fn begin(&self, count: usize) {
        self.calls.lock().push((Instant::now(), count));
        {
            let mut flying = self.flying.lock();
            flying.0 += 1;
            flying.1 = flying.1.max(flying.0);
        }
        let _down = Down(&self.flying);
        while *self.hang.lock() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for `count` records.
    async fn work(&self, count: usize) {
        let each = *self.each.lock();
        if !each.is_zero() {
            tokio::time::sleep(each * count as u32).await;
        }
    }

    fn bend<T>(&self, mut answers: Vec<Result<T, Error>>, extra: impl Fn() -> T) -> Vec<Result<T, Error>> {
        let surplus = *self.surplus.lock();
        match usize::try_from(surplus) {
            Ok(more) => answers.extend((0..more).map(|_| Ok(extra()))),
            Err(_) => answers.truncate(answers.len().saturating_sub(surplus.unsigned_abs())),
        }
        answers
    }
}

struct Down<'a>(&'a Mutex<(usize, usize)>);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        self.0.lock().0 -= 1;
    }
}

/// Services.
pub struct Odd(pub MemoryPorts, pub Arc<Whims>);

impl Odd {
    pub fn open(memory: &Memory, whims: &Arc<Whims>) -> Arc<Self> {
        Arc::new(Self(MemoryPorts::open(memory), whims.clone()))
    }
}

impl Source for Odd {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        self.1.trip("watch", "");
        let whims = self.1.clone();
        let tripping = move |item| {
            whims.trip("stream", "");
            item
        };
        self.0.watch(select).map(tripping).boxed()
    }
    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        self.1.trip("read", &part.0);
        let takes = *self.1.read.lock();
        async move {
            tokio::time::sleep(takes).await;
            self.0.read(part, select).await
        }
        .boxed()
    }
    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        self.1.trip("count", &part.0);
        self.0.count(part)
    }
    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        self.1.trip("parts", "");
        self.0.parts()
    }
}

impl Sink for Odd {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }
    fn limits(&self) -> Limits {
        self.1.trip("limits", "");
        self.1.limits.lock().clone()
    }
    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        self.1.trip("normalize", &scope.name);
        self.0.normalize(scope, record)
    }
    fn proven_by_ledger(&self, record: &Instance) -> bool {
        self.1.trip("proven", "");
        self.0.proven_by_ledger(record)
    }
    fn prepare<'a>(&'a self, part: &'a Part, title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        self.1.trip("prepare", &part.0);
        self.0.prepare(part, title)
    }
    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(async move {
            self.1.trip("apply", &scope.name);
            self.1.begin(changes.len()).await;
            self.1.work(changes.len()).await;
            self.1.bend(self.0.apply(scope, changes).await, || ())
        })
    }
    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        self.1.trip("adopt", "");
        self.0.adopt(owned)
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

/// Config entries.
pub struct OddData(pub MemoryData, pub Arc<Whims>);

impl OddData {
    fn trip_all<'a>(&self, what: &'static str, keys: impl Iterator<Item = &'a EntryKey>) {
        keys.for_each(|key| self.1.trip(what, &key.name));
    }
}

impl DataSource for OddData {
    fn facts(&self) -> EntryFacts {
        self.0.facts()
    }
    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        self.1.trip("watch", "");
        let whims = self.1.clone();
        let tripping = move |item| {
            whims.trip("stream", "");
            item
        };
        self.0.watch(select).map(tripping).boxed()
    }
    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        Box::pin(async move {
            self.trip_all("read", keys.iter());
            self.1.work(keys.len()).await;
            self.1.bend(self.0.read(keys).await, || None)
        })
    }
    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        self.1.trip("list", "");
        self.0.list(select)
    }
}

impl DataSink for OddData {
    fn limits(&self) -> Limits {
        self.1.limits.lock().clone()
    }
    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        Box::pin(async move {
            self.trip_all("write", writes.iter().map(|write| &write.key));
            self.1.begin(writes.len()).await;
            self.1.work(writes.len()).await;
            self.1.bend(self.0.write(writes).await, || None)
        })
    }
}
