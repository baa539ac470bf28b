//! Which services are read, and how: a few one by one, many by the pages of their namespace. What belongs to the services
//! themselves is in no page; it follows.

use super::names::State;
use super::{AGAIN, Done, UNREADABLE, Watch};
use crate::nacos::client::{Error as WireError, ServiceKey as WireKey};
use crate::nacos::convert;
use crate::nacos::reading::{IN_FLIGHT, Page, Reading, are_many};
use causeway_core::{Attributes, Lost, Part, Set, Update};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Within this time only so many services are read one by one ([`singles`]): more of them may become enough for pages.
const WINDOW: Duration = Duration::from_millis(250);
/// Attributes of services that are asked for at once while there is nothing else to read.
const ATTRIBUTES: usize = 4;

/// Most services that are read one by one within a [`WINDOW`], in a namespace of so many.
fn singles(all: usize) -> usize {
    32.max(all / 96)
}

/// What is to be read.
pub(super) struct Reads {
    /// Whether the servers have pages that tell enough.
    pages: bool,
    /// Waiting to be read, the first first; also how many of each namespace.
    pub todo: VecDeque<WireKey>,
    pub queued: BTreeSet<WireKey>,
    waiting: BTreeMap<Part, usize>,
    /// What no page had: waiting to be read one by one.
    left: VecDeque<WireKey>,
    /// Being read one by one, changed while being read, and waiting to be tried again.
    pub flying: BTreeSet<WireKey>,
    again: BTreeSet<WireKey>,
    failed: BTreeSet<WireKey>,
    rounds: u64,
    /// When the present window began, and how many were read one by one in it.
    window: (Instant, usize),
    /// Services without their attributes, and how many are being asked for theirs.
    bare: BTreeSet<WireKey>,
    pub asking: usize,
}

/// The pages of one namespace are being read, one after the other.
pub(super) struct Round {
    pub id: u64,
    number: usize,
    /// With how many instances, by the list of names.
    wanted: Arc<BTreeMap<WireKey, i64>>,
    read: BTreeSet<WireKey>,
}

impl Reads {
    pub fn new(pages: bool) -> Self {
        Self {
            pages,
            todo: VecDeque::new(),
            queued: BTreeSet::new(),
            waiting: BTreeMap::new(),
            left: VecDeque::new(),
            flying: BTreeSet::new(),
            again: BTreeSet::new(),
            failed: BTreeSet::new(),
            rounds: 0,
            window: (Instant::now(), 0),
            bare: BTreeSet::new(),
            asking: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.todo.is_empty() && self.left.is_empty() && self.flying.is_empty()
    }

    /// Takes the next service that is read by itself. An error says when there may be one.
    fn next(&mut self, all: impl Fn(&Part) -> usize) -> Result<Option<WireKey>, Instant> {
        if let Some(key) = self.left.pop_front() {
            self.queued.remove(&key);
            return Ok(Some(key));
        }
        let Some(first) = self.todo.front() else { return Ok(None) };
        let part = Part::new(&first.namespace);
        let now = Instant::now();
        if now >= self.window.0 + WINDOW {
            self.window = (now, 0);
        }
        if self.pages && self.window.1 >= singles(all(&part)) {
            return Err(self.window.0 + WINDOW);
        }
        self.window.1 += 1;
        self.take_one(&part);
        let key = self.todo.pop_front();
        if let Some(key) = &key {
            self.queued.remove(key);
        }
        Ok(key)
    }

    fn take_one(&mut self, part: &Part) {
        if let Some(count) = self.waiting.get_mut(part) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(part);
            }
        }
    }

    /// Takes all that waits in a namespace.
    fn take_all(&mut self, part: &Part) -> BTreeSet<WireKey> {
        self.waiting.remove(part);
        let (mine, others) =
            std::mem::take(&mut self.todo).into_iter().partition::<VecDeque<_>, _>(|key| *key.namespace == *part.0);
        self.todo = others;
        let mine: BTreeSet<_> = mine.into_iter().collect();
        self.queued.retain(|key| !mine.contains(key));
        mine
    }
}

/// Asks for the next page.
fn ask(reading: Reading, part: Part, round: &Round) -> BoxFuture<'static, Done> {
    let (id, number, wanted) = (round.id, round.number, round.wanted.clone());
    Box::pin(async move {
        let page = reading.page(&part.0, number, &wanted).await;
        Done::Page(part, id, page)
    })
}

impl Watch {
    pub(super) fn is_paging(&self) -> bool {
        self.namespaces.values().any(|namespace| namespace.round.is_some())
    }

    /// Wants a service read, now or after the read that is under way.
    pub(super) fn want(&mut self, key: WireKey) {
        let part = Part::new(&key.namespace);
        let round = self.namespaces.get(&part).and_then(|namespace| namespace.round.as_ref());
        let reads = &mut self.reads;
        if reads.flying.contains(&key)
            || round.is_some_and(|one| one.wanted.contains_key(&key) && !one.read.contains(&key))
        {
            reads.again.insert(key);
        } else if reads.queued.insert(key.clone()) {
            reads.todo.push_back(key);
            *reads.waiting.entry(part).or_default() += 1;
        }
    }

    /// Starts what can be read now. Returns when there is more to start.
    pub(super) fn start_reads(&mut self) -> Option<Instant> {
        if !self.connected {
            return None;
        }
        if self.reads.pages {
            let by_pages = |(part, count): (&Part, &usize)| {
                let namespace = self.namespaces.get(part).filter(|namespace| namespace.round.is_none())?;
                are_many(*count, namespace.names.len()).then(|| part.clone())
            };
            let parts: Vec<_> = self.reads.waiting.iter().filter_map(by_pages).collect();
            parts.into_iter().for_each(|part| self.start_round(part));
        }
        while self.reads.flying.len() < IN_FLIGHT {
            let namespaces = &self.namespaces;
            let all = |part: &Part| namespaces.get(part).map_or(0, |namespace| namespace.names.len());
            let key = match self.reads.next(all) {
                Ok(Some(key)) => key,
                Ok(None) => break,
                Err(at) => {
                    self.start_attributes();
                    return Some(at);
                }
            };
            self.reads.flying.insert(key.clone());
            let reading = self.reading.clone();
            self.work.push(Box::pin(async move {
                let set = reading.read(&key).await;
                Done::Read(key, set)
            }));
        }
        self.start_attributes();
        None
    }

    fn start_round(&mut self, part: Part) {
        let Some(namespace) = self.namespaces.get_mut(&part) else { return };
        let count = |key: &WireKey| namespace.names.get(key).map_or(0, |counts| counts.instances);
        let wanted = self.reads.take_all(&part).into_iter().map(|key| {
            let count = count(&key);
            (key, count)
        });
        let wanted = Arc::new(wanted.collect());
        self.reads.rounds += 1;
        let round = Round { id: self.reads.rounds, number: 1, wanted, read: BTreeSet::new() };
        self.work.push(ask(self.reading.clone(), part.clone(), &round));
        namespace.round = Some(round);
    }

    /// A page has come. What none has is read by itself.
    pub(super) fn page(&mut self, part: &Part, id: u64, page: Result<Page, WireError>) {
        let Some(namespace) = self.namespaces.get_mut(part) else { return };
        // One that was given up may still answer.
        let Some(mut round) = namespace.round.take_if(|round| round.id == id) else { return };
        let mut sets = Vec::new();
        let mut more = false;
        match page {
            Ok(page) => {
                round.read.extend(page.sets.iter().map(|(key, _)| key.clone()));
                more = page.more && round.read.len() < round.wanted.len();
                sets = page.sets;
            }
            Err(error) => {
                tracing::debug!(%part, %error, "the services are read one by one");
                self.reads.pages &= error.is_transient();
            }
        }
        if more {
            round.number += 1;
            self.work.push(ask(self.reading.clone(), part.clone(), &round));
            namespace.round = Some(round);
        } else {
            for key in round.wanted.keys().filter(|key| !round.read.contains(*key)) {
                self.reads.again.remove(key);
                self.reads.queued.insert(key.clone());
                self.reads.left.push_back(key.clone());
            }
        }
        sets.into_iter().for_each(|(key, set)| self.take(key, Ok(set)));
    }

    pub(super) fn read(&mut self, key: WireKey, set: Result<Set, WireError>) {
        self.reads.flying.remove(&key);
        self.take(key, set);
    }

    fn take(&mut self, key: WireKey, set: Result<Set, WireError>) {
        if self.reads.again.remove(&key) {
            self.want(key.clone());
        }
        let part = Part::new(&key.namespace);
        let Some(namespace) = self.namespaces.get_mut(&part).filter(|_| self.connected) else { return };
        let listed = namespace.names.contains_key(&key);
        let set = match set {
            Ok(set) => set,
            Err(error) => {
                let passing = error.is_transient();
                if !passing && !std::mem::replace(&mut namespace.told, true) {
                    namespace.forget();
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
        let dressed = set.attributes.is_some();
        match &mut namespace.state {
            State::Unknown => return,
            State::Filling { missing, sets } => {
                missing.remove(&key);
                sets.insert(key.clone(), set);
                self.report_if_filled(&part);
            }
            State::Complete => self.ready.push_back(Ok(Update::Changed(set))),
        }
        match dressed {
            true => self.dressed(&key),
            false => self.want_attributes(key),
        }
    }

    /// Reads a service once more after this time; one timer a service.
    fn retry(&mut self, key: WireKey, after: Duration) {
        if self.reads.failed.insert(key.clone()) {
            self.work.push(Box::pin(async move {
                tokio::time::sleep(after).await;
                Done::Retry(key)
            }));
        }
    }

    pub(super) fn retried(&mut self, key: WireKey) {
        self.reads.failed.remove(&key);
        self.want(key);
    }

    fn dressed(&mut self, key: &WireKey) {
        self.reads.bare.remove(key);
        if let Some(namespace) = self.namespaces.get_mut(&Part::new(&key.namespace))
            && namespace.names.contains_key(key)
        {
            namespace.dressed.insert(key.clone());
        }
    }

    /// Wants the attributes of a service read, unless they are known.
    pub(super) fn want_attributes(&mut self, key: WireKey) {
        let namespace = self.namespaces.get(&Part::new(&key.namespace));
        if namespace.is_some_and(|one| one.names.contains_key(&key) && !one.dressed.contains(&key)) {
            self.reads.bare.insert(key);
        }
    }

    /// Asks for attributes: one service at a time while others are read, and not while pages are.
    fn start_attributes(&mut self) {
        let most = if self.reads.is_idle() { ATTRIBUTES } else { 1 };
        while self.reads.asking < most && !self.is_paging() {
            let Some(key) = self.reads.bare.pop_first() else { return };
            self.reads.asking += 1;
            let reading = self.reading.clone();
            self.work.push(Box::pin(async move {
                let attributes = reading.attributes(&key).await;
                Done::Attributes(key, attributes)
            }));
        }
    }

    pub(super) fn attributes(&mut self, key: WireKey, attributes: Result<Attributes, WireError>) {
        self.reads.asking -= 1;
        let attributes = match attributes {
            Ok(attributes) => attributes,
            Err(error) => {
                tracing::debug!(service = %key, %error, "cannot tell what belongs to the service itself");
                self.work.push(Box::pin(async move {
                    tokio::time::sleep(UNREADABLE).await;
                    Done::RetryAttributes(key)
                }));
                return;
            }
        };
        let Some(namespace) = self.namespaces.get_mut(&Part::new(&key.namespace)) else { return };
        match &mut namespace.state {
            State::Unknown => return,
            State::Filling { sets, .. } => match sets.get_mut(&key) {
                Some(set) => set.attributes = Some(attributes),
                None => return,
            },
            State::Complete => self.ready.push_back(Ok(Update::Attributes(convert::scope(&key), attributes))),
        }
        self.dressed(&key);
    }
}
