//! Config entries in this process's memory: the tree itself, the vendor's side of it, and our port to it.

mod state;
mod watch;

use super::Fault;
use causeway_core::{
    Aside, Content, DataSelector, DataSink, DataSource, Entry, EntryCapabilities, EntryFacts, EntryKey, EntryUpdate,
    EntryWrite, Error, FoundEntry, Limits, Lost,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use state::{ACL, FREEZING, FROZEN, Facts, TreeState};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Notify;
use watch::Watch;

static NAMED: LazyLock<Mutex<BTreeMap<String, MemoryData>>> = LazyLock::new(Mutex::default);

/// How much our side has asked of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Calls of `read`, `list` and `write`.
    pub calls: usize,
    /// Entries read with their bodies.
    pub read: usize,
    /// Writes that were accepted.
    pub written: usize,
    /// Writes that were not.
    pub refused: usize,
}

/// What a tree held at a time.
#[derive(Clone, Debug)]
pub struct Backup {
    entries: BTreeMap<EntryKey, (Entry, Content)>,
    versions: BTreeMap<EntryKey, u64>,
    clock: u64,
}

/// A tree of config entries: a path has its parent, and a parent with children stays. Clones are
/// the same tree; each is a port to it.
#[derive(Clone)]
pub struct MemoryData {
    facts: Facts,
    state: Arc<Mutex<TreeState>>,
    changed: Arc<Notify>,
}

impl Default for MemoryData {
    fn default() -> Self {
        Self::with(Facts::default().0)
    }
}

impl MemoryData {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one whose entries are like this.
    pub fn with(facts: EntryFacts) -> Self {
        let facts = Facts(facts);
        let state = TreeState { facts, ..TreeState::default() };
        Self { facts, state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// It is the tree of this name in this process from now on.
    pub fn called(self, name: &str) -> Self {
        NAMED.lock().insert(name.to_owned(), self.clone());
        self
    }

    /// The tree of this name in this process; made when it is missing.
    pub fn named(name: &str) -> Self {
        NAMED.lock().entry(name.to_owned()).or_default().clone()
    }

    /// Somebody writes an entry; parents that are missing are made, empty.
    pub fn put(&self, key: &EntryKey, content: Content) {
        self.edit(|state| {
            state.make_parents(key);
            state.store(key, content);
        });
    }

    /// Somebody deletes an entry with all that lies below it.
    pub fn remove(&self, key: &EntryKey) {
        self.edit(|state| {
            for key in state.below(key).into_iter().chain([key.clone()]) {
                state.take(&key);
            }
        });
    }

    /// What stands at a key.
    pub fn get(&self, key: &EntryKey) -> Option<Content> {
        self.state.lock().entries.get(key).map(|(_, content)| content.clone())
    }

    /// Everything.
    pub fn all(&self) -> BTreeMap<EntryKey, Content> {
        self.state.lock().entries.iter().map(|(key, (_, content))| (key.clone(), content.clone())).collect()
    }

    /// The server loses everything that it holds, with or without a break of its connections.
    pub fn wipe(&self, broken: bool) {
        self.edit(|state| {
            let keys: Vec<_> = state.entries.keys().rev().cloned().collect();
            keys.iter().for_each(|key| state.take(key));
            state.epoch += u64::from(broken);
        });
    }

    /// What a backup would keep.
    pub fn copy(&self) -> Backup {
        let state = self.state.lock();
        Backup { entries: state.entries.clone(), versions: state.versions.clone(), clock: state.clock }
    }

    /// The server is put back to what it was then, and all connections break.
    pub fn put_back(&self, backup: Backup) {
        self.edit(|state| {
            let Backup { entries, mut versions, clock } = backup;
            versions.retain(|key, _| entries.contains_key(key));
            state.log = versions.iter().map(|(key, version)| (*version, key.clone())).collect();
            (state.entries, state.versions, state.clock) = (entries, versions, clock);
            state.epoch += 1;
        });
    }

    /// Starts or ends a misbehaviour. Every change of it breaks all connections.
    pub fn fail(&self, fault: Fault) {
        self.edit(|state| {
            state.fault = fault;
            state.epoch += 1;
        });
    }

    /// Refuses to take entries of this name from us from now on.
    pub fn refuse(&self, name: &str) {
        self.state.lock().refused.insert(name.into());
    }

    /// Denies us the right to write entries of this name from now on, or gives it back.
    pub fn deny(&self, name: &str, denied: bool) {
        let mut state = self.state.lock();
        match denied {
            true => drop(state.denied.insert(name.into())),
            false => drop(state.denied.remove(name)),
        }
    }

    /// Refuses for now to take entries of this name from us, or does not any more. No watch tells of either.
    pub fn block(&self, name: &str, blocked: bool) {
        let mut state = self.state.lock();
        match blocked {
            true => drop(state.blocked.insert(name.into())),
            false => drop(state.blocked.remove(name)),
        }
    }

    /// Lists an entry with a reason to leave it out from now on, or without one; the watch tells.
    pub fn set_aside(&self, key: &EntryKey, aside: Option<Aside>) {
        self.edit(|state| {
            match aside {
                Some(aside) => drop(state.asides.insert(key.clone(), aside)),
                None => drop(state.asides.remove(key)),
            }
            state.touch(key);
        });
    }

    /// Refuses to take larger bodies from us from now on.
    pub fn limit(&self, bytes: usize) {
        self.state.lock().largest = Some(bytes);
    }

    /// Every call takes so long from now on.
    pub fn slow(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// How much our side has asked.
    pub fn counts(&self) -> CallCounts {
        self.state.lock().counts
    }

    fn edit<T>(&self, change: impl FnOnce(&mut TreeState) -> T) -> T {
        let answer = change(&mut self.state.lock());
        self.changed.notify_waiters();
        answer
    }

    /// One call from our side: waits while the tree hangs, then says whether it refuses.
    async fn call(&self) -> Result<(), Error> {
        let delay = {
            let mut state = self.state.lock();
            state.counts.calls += 1;
            state.delay
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock();
                if state.fault != Fault::Hung {
                    return state.refusal().map_or(Ok(()), Err);
                }
            }
            changed.await;
        }
    }
}

impl DataSource for MemoryData {
    fn facts(&self) -> EntryFacts {
        self.facts.0
    }

    fn latest(&self) -> Option<i64> {
        Some(self.state.lock().clock.cast_signed())
    }

    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let watch = Watch::new(self, select);
        stream::unfold(watch, async |mut watch| Some((watch.next().await, watch))).boxed()
    }

    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        Box::pin(async move {
            let refused = self.call().await;
            let mut state = self.state.lock();
            let read = |key: &EntryKey| {
                if refused.is_err() {
                    return Err(state.refusal().unwrap_or(Error::Conflict));
                }
                state.denies(key)?;
                Ok(state.entries.get(key).cloned())
            };
            let answers: Vec<_> = keys.iter().map(read).collect();
            state.counts.read += answers.iter().filter(|answer| matches!(answer, Ok(Some(_)))).count();
            answers
        })
    }

    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        Box::pin(async move {
            self.call().await?;
            let state = self.state.lock();
            match &state.fault {
                Fault::PartDenied(part) if select.part(part) => Err(Error::Denied(format!("no right to read {part}"))),
                _ => Ok(state.listed(select)),
            }
        })
    }
}

impl DataSink for MemoryData {
    fn capabilities(&self) -> EntryCapabilities {
        let state = self.state.lock();
        EntryCapabilities { largest: state.largest.unwrap_or(usize::MAX), ..EntryCapabilities::ALL }
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn provisional(&self, content: &Content) -> Option<Content> {
        let mut first = content.clone();
        first.attributes.0.get_mut(ACL).filter(|list| *list == FROZEN)?.clone_from(&FREEZING.to_owned());
        Some(first)
    }

    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        Box::pin(async move {
            if let Err(error) = self.call().await {
                let again = || self.state.lock().refusal().unwrap_or_else(|| Error::unavailable("connection closed"));
                return std::iter::once(error)
                    .chain(std::iter::repeat_with(again))
                    .take(writes.len())
                    .map(Err)
                    .collect();
            }
            self.edit(|state| {
                let answers: Vec<_> = writes.iter().map(|write| state.write(write)).collect();
                state.counts.refused += answers.iter().filter(|answer| answer.is_err()).count();
                answers
            })
        })
    }
}
