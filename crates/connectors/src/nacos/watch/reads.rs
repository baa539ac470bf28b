//! Which services are read, and how: a few one by one, many by the pages of their namespace. What belongs to the services
//! themselves is in no page; it follows.

use super::names::{FollowedNamespace, Knowledge};
use super::{AGAIN, ServiceWatch, UNREADABLE};
use crate::nacos::client::Error as WireError;
use crate::nacos::convert;
use crate::nacos::reading::{IN_FLIGHT, SetPage, are_many};
use causeway_core::{Attributes, Lost, Part, ServiceKey, Set, Update};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Within this time only a limited number of services are read one by one ([`singles`]): more may arrive, enough for pages.
const WINDOW: Duration = Duration::from_millis(250);
/// Attributes of services that are asked for at once while there is nothing else to read.
const ATTRIBUTES: usize = 4;

/// Most services that are read one by one within a [`WINDOW`], in a namespace with `all` services.
fn singles(all: usize) -> usize {
    32.max(all / 96)
}

/// What is to be read.
#[derive(Default)]
pub(super) struct Reads {
    /// Whether the servers have pages that tell enough. A namespace may refuse them.
    pages: bool,
    /// Waiting to be read, the first first; also how many of each namespace.
    pub todo: VecDeque<ServiceKey>,
    pub queued: BTreeSet<ServiceKey>,
    waiting: BTreeMap<Part, usize>,
    /// What no page had: waiting to be read one by one.
    left: VecDeque<ServiceKey>,
    /// Being read one by one, and whether each is wanted again since.
    pub in_flight: BTreeMap<ServiceKey, bool>,
    /// Waiting to be retried.
    failed: BTreeSet<ServiceKey>,
    rounds: u64,
    /// When the last window began, and how many were read one by one in it.
    window: Option<(Instant, usize)>,
    /// Services without their attributes, and how many are being asked for theirs.
    without_attributes: BTreeSet<ServiceKey>,
    pub asking: usize,
}

/// The pages of one namespace are being read, one after the other.
pub(super) struct Round {
    pub id: u64,
    number: usize,
    /// With how many instances, by the list of names.
    wanted: Arc<BTreeMap<ServiceKey, i64>>,
    read: BTreeSet<ServiceKey>,
    /// Wanted again since the round began, and not read yet.
    again: BTreeSet<ServiceKey>,
}

impl Reads {
    pub fn new(pages: bool) -> Self {
        Self { pages, ..Self::default() }
    }

    fn is_idle(&self) -> bool {
        self.todo.is_empty() && self.left.is_empty() && self.in_flight.is_empty()
    }

    /// Takes the next service that is read by itself; `most` of a namespace are, within a [`WINDOW`]. An error says when
    /// there may be one.
    fn next(&mut self, most: impl Fn(&Part) -> usize) -> Result<Option<ServiceKey>, Instant> {
        if let Some(key) = self.left.pop_front() {
            self.queued.remove(&key);
            return Ok(Some(key));
        }
        let Some(part) = self.todo.front().map(ServiceKey::part) else { return Ok(None) };
        let now = Instant::now();
        let (began, count) = self.window.filter(|(began, _)| now < *began + WINDOW).unwrap_or((now, 0));
        if count >= most(&part) {
            return Err(began + WINDOW);
        }
        self.window = Some((began, count + 1));
        if let Some(count) = self.waiting.get_mut(&part) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&part);
            }
        }
        let key = self.todo.pop_front();
        if let Some(key) = &key {
            self.queued.remove(key);
        }
        Ok(key)
    }

    /// Takes all that waits in a namespace.
    fn take_all(&mut self, part: &Part) -> BTreeSet<ServiceKey> {
        self.waiting.remove(part);
        let mine: BTreeSet<_> = self.todo.iter().filter(|key| key.namespace == part.0).cloned().collect();
        self.todo.retain(|key| key.namespace != part.0);
        self.queued.retain(|key| !mine.contains(key));
        mine
    }
}

impl ServiceWatch {
    pub(super) fn is_paging(&self) -> bool {
        self.namespaces.values().any(|namespace| namespace.round.is_some())
    }

    /// Requests that a service be read, now or after the read that is under way.
    pub(super) fn want(&mut self, key: ServiceKey) {
        let part = key.part();
        let reads = &mut self.reads;
        if let Some(again) = reads.in_flight.get_mut(&key) {
            *again = true;
            return;
        }
        let round = self.namespaces.get_mut(&part).and_then(|namespace| namespace.round.as_mut());
        if let Some(round) = round.filter(|one| one.wanted.contains_key(&key) && !one.read.contains(&key)) {
            round.again.insert(key);
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
        let pages = self.reads.pages;
        let has_pages = |namespace: &FollowedNamespace| pages && !namespace.refuses_pages;
        let by_pages = |(part, count): (&Part, &usize)| {
            let namespace = self.namespaces.get(part).filter(|one| one.round.is_none() && has_pages(one))?;
            are_many(*count, namespace.names.len()).then(|| part.clone())
        };
        let parts: Vec<_> = self.reads.waiting.iter().filter_map(by_pages).collect();
        parts.into_iter().for_each(|part| self.start_round(part));
        let mut resume = None;
        while self.reads.in_flight.len() < IN_FLIGHT {
            let most = |part: &Part| match self.namespaces.get(part) {
                Some(namespace) if has_pages(namespace) => singles(namespace.names.len()),
                _ => usize::MAX,
            };
            let key = match self.reads.next(most) {
                Ok(Some(key)) => key,
                Ok(None) => break,
                Err(at) => {
                    resume = Some(at);
                    break;
                }
            };
            self.reads.in_flight.insert(key.clone(), false);
            let reading = self.reading.clone();
            let asked = key.clone();
            self.spawn(async move { reading.read(&asked).await }, |watch, set| watch.read(key, set));
        }
        self.start_attributes();
        resume
    }

    fn start_round(&mut self, part: Part) {
        let Some(namespace) = self.namespaces.get_mut(&part) else { return };
        let wanted = self.reads.take_all(&part).into_iter().map(|key| {
            let count = namespace.names.get(&key).map_or(0, |listed| listed.counts.instances);
            (key, count)
        });
        let wanted = Arc::new(wanted.collect());
        self.reads.rounds += 1;
        let round = Round { id: self.reads.rounds, number: 1, wanted, read: BTreeSet::new(), again: BTreeSet::new() };
        let next = (round.id, 1, round.wanted.clone());
        namespace.round = Some(round);
        self.ask_page(part, next);
    }

    fn ask_page(&mut self, part: Part, (id, number, wanted): (u64, usize, Arc<BTreeMap<ServiceKey, i64>>)) {
        let (reading, name) = (self.reading.clone(), part.0.clone());
        let asked = async move { reading.page(&name, number, &wanted).await };
        self.spawn(asked, move |watch, page| watch.page(&part, id, page));
    }

    /// A page has come. What none has is read by itself.
    pub(super) fn page(&mut self, part: &Part, id: u64, page: Result<SetPage, WireError>) {
        let Some(namespace) = self.namespaces.get_mut(part) else { return };
        // One that was given up may still answer.
        let Some(mut round) = namespace.round.take_if(|round| round.id == id) else { return };
        let page = page.unwrap_or_else(|error| {
            tracing::debug!(%part, %error, "the services are read one by one");
            namespace.refuses_pages = !error.is_transient();
            SetPage { sets: Vec::new(), more: false }
        });
        round.read.extend(page.sets.iter().map(|(key, _)| key.clone()));
        let again: BTreeSet<_> = round.again.extract_if(.., |key| round.read.contains(key)).collect();
        if page.more && round.read.len() < round.wanted.len() {
            round.number += 1;
            let next = (id, round.number, round.wanted.clone());
            namespace.round = Some(round);
            self.ask_page(part.clone(), next);
        } else {
            let left = round.wanted.keys().filter(|key| !round.read.contains(*key));
            self.reads.queued.extend(left.clone().cloned());
            self.reads.left.extend(left.cloned());
        }
        page.sets.into_iter().for_each(|(key, set)| self.take(key, Ok(set)));
        again.into_iter().for_each(|key| self.want(key));
    }

    pub(super) fn read(&mut self, key: ServiceKey, set: Result<Set, WireError>) {
        if self.reads.in_flight.remove(&key) == Some(true) {
            self.want(key.clone());
        }
        self.take(key, set);
    }

    fn take(&mut self, key: ServiceKey, set: Result<Set, WireError>) {
        let part = key.part();
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
                // Whatever the state: nothing else fills a namespace that waits for this service. A service that is no
                // longer listed is not waited for.
                match passing {
                    true => self.retry(key, AGAIN),
                    false if listed => self.retry(key, UNREADABLE),
                    false => {}
                }
                return;
            }
        };
        let has_attributes = set.attributes.is_some();
        match &mut namespace.knowledge {
            Knowledge::Unknown => return,
            Knowledge::Filling { missing, sets } => {
                missing.remove(&key);
                sets.insert(key.clone(), set);
                self.report_if_filled(&part);
            }
            Knowledge::Complete => self.ready.push_back(Ok(Update::Changed(set))),
        }
        match has_attributes {
            true => self.note_attributes(&key),
            false => self.want_attributes(key),
        }
    }

    /// Reads a service again after this time; one timer for each service.
    fn retry(&mut self, key: ServiceKey, after: Duration) {
        if self.reads.failed.insert(key.clone()) {
            self.later(after, |watch| watch.retried(key));
        }
    }

    pub(super) fn retried(&mut self, key: ServiceKey) {
        self.reads.failed.remove(&key);
        self.want(key);
    }

    fn note_attributes(&mut self, key: &ServiceKey) {
        self.reads.without_attributes.remove(key);
        let namespace = self.namespaces.get_mut(&key.part());
        if let Some(listed) = namespace.and_then(|one| one.names.get_mut(key)) {
            listed.has_attributes = true;
        }
    }

    /// Requests the attributes of a service, unless they are known.
    pub(super) fn want_attributes(&mut self, key: ServiceKey) {
        let listed = self.namespaces.get(&key.part()).and_then(|one| one.names.get(&key));
        if listed.is_some_and(|listed| !listed.has_attributes) {
            self.reads.without_attributes.insert(key);
        }
    }

    /// Asks for attributes: one service at a time while others are read, and not while pages are.
    fn start_attributes(&mut self) {
        let most = if self.reads.is_idle() { ATTRIBUTES } else { 1 };
        while self.reads.asking < most && !self.is_paging() {
            let Some(key) = self.reads.without_attributes.pop_first() else { return };
            self.reads.asking += 1;
            let reading = self.reading.clone();
            let asked = key.clone();
            let asked = async move { reading.attributes(&asked).await };
            self.spawn(asked, |watch, attributes| watch.attributes(key, attributes));
        }
    }

    pub(super) fn attributes(&mut self, key: ServiceKey, attributes: Result<Attributes, WireError>) {
        self.reads.asking -= 1;
        let attributes = match attributes {
            Ok(attributes) => attributes,
            Err(error) => {
                tracing::debug!(service = %key, %error, "cannot tell what belongs to the service itself");
                return self.later(UNREADABLE, |watch| watch.want_attributes(key));
            }
        };
        let Some(namespace) = self.namespaces.get_mut(&key.part()) else { return };
        match &mut namespace.knowledge {
            Knowledge::Unknown => return,
            Knowledge::Filling { sets, .. } => match sets.get_mut(&key) {
                Some(set) => set.attributes = Some(attributes),
                None => return,
            },
            Knowledge::Complete => self.ready.push_back(Ok(Update::Attributes(key.clone(), attributes))),
        }
        self.note_attributes(&key);
    }
}
