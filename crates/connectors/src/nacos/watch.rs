//! Follows the services of a Nacos cluster: pushes (or polls, on 1.x) say which to look at again, the lists that show
//! disabled instances are the truth, and the names are polled, since nothing pushes a new service or a new namespace.

mod listing;

use super::client::{Error as WireError, Look, Phase, ServiceKey as WireKey, ServiceSummary};
use super::convert;
use super::reading::{IN_FLIGHT, Reading};
use super::trigger::Trigger;
use causeway_core::{Lost, Part, Selector, Set, Update};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use listing::Listing;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// New services and namespaces are noticed within twice this time.
const NAMES: Duration = Duration::from_secs(1);
/// Lists may fail for this long before what they list counts as unknown: a server that is really away is known by the
/// connection's end.
const PATIENCE: Duration = Duration::from_secs(4);
/// A service whose reading failed is read again after this time; also one that has just been named, since the lists
/// follow a change after half a second.
const AGAIN: Duration = Duration::from_millis(700);
/// A service that cannot be read, and not for the moment only (no right, an answer of a proxy or a starting server), is
/// tried again after this time: its namespace is unknown until then.
const UNREADABLE: Duration = Duration::from_secs(5);

enum Done {
    Namespaces(Result<Listing, WireError>),
    Names(Part, Result<Vec<ServiceSummary>, WireError>),
    Subscribed(WireKey, Result<(), WireError>),
    Read(WireKey, Result<Set, WireError>),
    Due(WireKey),
    /// The time has come to try again what could not be read.
    Retry(WireKey),
}

/// How far one namespace is known.
enum State {
    /// Not read on this connection.
    Unknown,
    /// Being read: what is still missing, and what has come.
    Filling { missing: BTreeSet<WireKey>, sets: BTreeMap<WireKey, Set> },
    /// Reported whole.
    Complete,
}

struct Namespace {
    title: Option<Arc<str>>,
    /// Whether the cluster lists it. It serves others too.
    listed: bool,
    state: State,
    names: BTreeMap<WireKey, ServiceSummary>,
    /// Services that are listed and not of interest, by the selection of this epoch; likewise those of `names` are.
    left_out: BTreeSet<WireKey>,
    selection: Option<u64>,
    asking: bool,
    failing: Option<Instant>,
    told: bool,
}

/// One watch. Dropping it ends its connection.
pub(super) struct Watch {
    reading: Reading,
    reader: Arc<Trigger>,
    select: Selector,
    named: Vec<String>,
    generation: u64,
    connected: bool,
    namespaces: BTreeMap<Part, Namespace>,
    listing: bool,
    listed_at: Option<Instant>,
    /// When namespaces that no list shows were last looked for.
    looked_at: Option<Instant>,
    list_failing: Option<Instant>,
    /// Waiting to be read, being read, changed while being read, and waiting to be tried again.
    todo: VecDeque<WireKey>,
    queued: BTreeSet<WireKey>,
    flying: BTreeSet<WireKey>,
    again: BTreeSet<WireKey>,
    failed: BTreeSet<WireKey>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    tick: tokio::time::Interval,
    ready: VecDeque<Result<Update, Lost>>,
}

impl Watch {
    pub fn new(reading: Reading, select: Selector, named: Vec<String>, trigger: Trigger) -> Self {
        let mut tick = interval(NAMES);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            reader: Arc::new(trigger),
            reading,
            select,
            named,
            generation: 0,
            connected: false,
            namespaces: BTreeMap::new(),
            listing: false,
            listed_at: None,
            looked_at: None,
            list_failing: None,
            todo: VecDeque::new(),
            queued: BTreeSet::new(),
            flying: BTreeSet::new(),
            again: BTreeSet::new(),
            failed: BTreeSet::new(),
            work: FuturesUnordered::new(),
            tick,
            ready: VecDeque::new(),
        }
    }

    /// The next thing to report. Never ends.
    pub async fn next(&mut self) -> Result<Update, Lost> {
        let mut status = self.reader.status();
        loop {
            if let Some(item) = self.ready.pop_front() {
                return item;
            }
            self.check_connection(&status.borrow_and_update().clone());
            self.start_reads();
            if !self.ready.is_empty() {
                continue;
            }
            let reader = self.reader.clone();
            tokio::select! {
                Some(done) = self.work.next(), if !self.work.is_empty() => self.done(done),
                look = reader.next() => if let Some(Look { key, .. }) = look { self.want(key) },
                changed = status.changed() => if changed.is_err() {
                    tokio::time::sleep(NAMES).await;
                },
                _ = self.tick.tick() => self.poll(),
            }
        }
    }

    /// A connection that broke takes all certainty with it: what was seen on it may have changed unseen.
    fn check_connection(&mut self, status: &super::client::Status) {
        let connected = status.phase == Phase::Ready;
        if self.connected && (!connected || status.generation != self.generation) {
            let why = status.error.clone().unwrap_or_else(|| WireError::Unavailable("connection lost".into()));
            self.lose_all(why);
        } else if !self.connected
            && status.phase == Phase::Down
            && let Some(error) = &status.error
            && self.list_failing.is_none()
        {
            self.list_failing = Some(Instant::now());
            self.ready.push_back(Err(Lost { part: None, error: convert::error(error.clone()) }));
        }
        if connected && !self.connected {
            self.list_failing = None;
            self.poll();
        }
        self.connected = connected;
        self.generation = status.generation;
    }

    fn lose_all(&mut self, why: WireError) {
        self.namespaces.values_mut().for_each(|namespace| {
            namespace.state = State::Unknown;
            namespace.told = false;
        });
        self.ready.push_back(Err(Lost { part: None, error: convert::error(why) }));
    }

    /// Asks for the names of everything.
    fn poll(&mut self) {
        if !self.connected {
            return;
        }
        if !self.listing && self.listed_at.is_none_or(|at| at.elapsed() >= NAMES) {
            self.list();
        }
        let due: Vec<_> =
            self.namespaces.iter().filter(|(_, namespace)| !namespace.asking).map(|(part, _)| part.clone()).collect();
        due.into_iter().for_each(|part| self.ask_names(part));
    }

    fn ask_names(&mut self, part: Part) {
        if let Some(namespace) = self.namespaces.get_mut(&part) {
            namespace.asking = true;
            let client = self.reading.client.clone();
            self.work.push(Box::pin(async move {
                let names = client.services(&part.0).await;
                Done::Names(part, names)
            }));
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Namespaces(parts) => self.listed(parts),
            Done::Names(part, names) => self.names(&part, names),
            Done::Subscribed(key, Ok(())) => drop(key),
            Done::Subscribed(key, Err(error)) => {
                tracing::debug!(service = %key, %error, "cannot subscribe yet");
                self.want(key);
            }
            Done::Read(key, set) => self.read(key, set),
            Done::Due(key) => self.want(key),
            Done::Retry(key) => {
                self.failed.remove(&key);
                self.want(key);
            }
        }
    }

    fn names(&mut self, part: &Part, names: Result<Vec<ServiceSummary>, WireError>) {
        let Some(namespace) = self.namespaces.get_mut(part) else { return };
        namespace.asking = false;
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                let since = *namespace.failing.get_or_insert_with(Instant::now);
                let passing = error.is_transient() && since.elapsed() < PATIENCE;
                if !passing && !namespace.told {
                    namespace.told = true;
                    namespace.state = State::Unknown;
                    self.ready.push_back(Err(Lost { part: Some(part.clone()), error: convert::error(error) }));
                }
                return;
            }
        };
        namespace.failing = None;
        if !self.connected {
            return;
        }
        let epoch = Some(self.select.epoch());
        let same = std::mem::replace(&mut namespace.selection, epoch) == epoch;
        let left_out = std::mem::take(&mut namespace.left_out);
        let mut found = BTreeMap::new();
        for one in names {
            let key = WireKey::new(&part.0, &one.group_name, &one.name);
            let selected = match same {
                true if namespace.names.contains_key(&key) => true,
                true if left_out.contains(&key) => false,
                _ => self.select.scope(&convert::scope(&key)),
            };
            match selected {
                true => drop(found.insert(key, one)),
                false => drop(namespace.left_out.insert(key)),
            }
        }
        let before = std::mem::replace(&mut namespace.names, found.clone());
        let fresh: Vec<_> = found.keys().filter(|key| !before.contains_key(*key)).cloned().collect();
        let gone: Vec<_> = before.keys().filter(|key| !found.contains_key(*key)).cloned().collect();
        // A count that moved without a push is looked at too: pushes may get lost.
        let moved: Vec<_> = found.iter().filter(|(key, one)| before.get(*key).is_some_and(|old| old != *one)).collect();
        let mut later: Vec<_> = moved.into_iter().map(|(key, _)| key.clone()).collect();
        match &mut namespace.state {
            State::Unknown => {
                let missing: BTreeSet<_> = found.keys().cloned().collect();
                namespace.state = State::Filling { missing: missing.clone(), sets: BTreeMap::new() };
                missing.iter().filter(|key| before.contains_key(*key)).for_each(|key| self.want(key.clone()));
            }
            State::Filling { missing, sets } => {
                gone.iter().for_each(|key| {
                    missing.remove(key);
                    sets.remove(key);
                });
            }
            State::Complete => {
                // The names say so at once, the instances' list only when it has forgotten them too.
                later.extend(gone.iter().cloned());
                later.extend(fresh.iter().cloned());
            }
        }
        for key in later {
            self.work.push(Box::pin(async move {
                tokio::time::sleep(AGAIN).await;
                Done::Due(key)
            }));
        }
        fresh.into_iter().for_each(|key| self.subscribe(key));
        gone.into_iter().for_each(|key| self.unsubscribe(key));
        self.report_if_filled(part);
    }

    fn subscribe(&mut self, key: WireKey) {
        let reader = self.reader.clone();
        self.work.push(Box::pin(async move {
            let outcome = reader.subscribe(&key).await;
            Done::Subscribed(key, outcome)
        }));
    }

    fn unsubscribe(&mut self, key: WireKey) {
        let reader = self.reader.clone();
        self.work.push(Box::pin(async move {
            let outcome = reader.unsubscribe(&key).await;
            if let Err(error) = outcome {
                tracing::debug!(service = %key, %error, "cannot unsubscribe");
            }
            Done::Subscribed(key, Ok(()))
        }));
    }

    /// Wants a service read, now or after the read that is under way.
    fn want(&mut self, key: WireKey) {
        if self.flying.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.todo.push_back(key);
        }
    }

    fn start_reads(&mut self) {
        while self.connected && self.flying.len() < IN_FLIGHT {
            let Some(key) = self.todo.pop_front() else { return };
            self.queued.remove(&key);
            self.flying.insert(key.clone());
            let reading = self.reading.clone();
            self.work.push(Box::pin(async move {
                let set = reading.read(&key).await;
                Done::Read(key, set)
            }));
        }
    }

    fn read(&mut self, key: WireKey, set: Result<Set, WireError>) {
        self.flying.remove(&key);
        if self.again.remove(&key) {
            self.want(key.clone());
        }
        let part = Part::new(&key.namespace);
        let Some(namespace) = self.namespaces.get_mut(&part).filter(|_| self.connected) else { return };
        let set = match set {
            Ok(set) => set,
            Err(error) => {
                let passing = error.is_transient();
                let listed = namespace.names.contains_key(&key);
                if !passing && !std::mem::replace(&mut namespace.told, true) {
                    namespace.state = State::Unknown;
                    self.ready.push_back(Err(Lost { part: Some(part), error: convert::error(error) }));
                }
                // Whatever the state: a namespace that waits for this service is filled by nothing else. One that is
                // listed no more is not waited for.
                match passing {
                    true => self.retry(key, AGAIN),
                    false if listed => self.retry(key, UNREADABLE),
                    false => {}
                }
                return;
            }
        };
        match &mut namespace.state {
            State::Unknown => {}
            State::Filling { missing, sets } => {
                missing.remove(&key);
                sets.insert(key, set);
                self.report_if_filled(&part);
            }
            State::Complete => self.ready.push_back(Ok(Update::Changed(set))),
        }
    }

    /// Reads a service once more after this time; one timer a service.
    fn retry(&mut self, key: WireKey, after: Duration) {
        if self.failed.insert(key.clone()) {
            self.work.push(Box::pin(async move {
                tokio::time::sleep(after).await;
                Done::Retry(key)
            }));
        }
    }

    fn report_if_filled(&mut self, part: &Part) {
        let Some(namespace) = self.namespaces.get_mut(part) else { return };
        let State::Filling { missing, sets } = &mut namespace.state else { return };
        if missing.is_empty() {
            let sets = std::mem::take(sets).into_values().collect();
            let title = namespace.title.clone();
            namespace.state = State::Complete;
            namespace.told = false;
            self.ready.push_back(Ok(Update::Reset { part: part.clone(), title, sets }));
        }
    }
}

#[cfg(test)]
mod tests;
