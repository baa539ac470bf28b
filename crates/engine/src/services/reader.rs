//! Follows one cluster: takes its watch into the mirror, and tells those who depend on what changed.

use crate::kit::call::call;
use crate::kit::hash;
use crate::kit::queue::Lane;
use crate::services::cluster::{Cluster, Route};
use crate::services::export::has_copy;
use crate::services::interest::RoutesInterest;
use crate::services::mirror::{PartState, Portion, Witness, portions};
use crate::services::record::Recorder;
use crate::services::sweep::What;
use crate::spec::{Only, Timing};
use causeway_core::{ClusterId, Error, Fresh, InstanceId, Lost, OwnerId, Part, Parts, Selector, Set, Source, Update};
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often settling is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Parts that are looked at as a whole at the same time.
const LOOKS: usize = 4;
/// How often the parts are listed, where parts are named or written to.
const LIST: Duration = Duration::from_secs(5);

type Look = (Part, Instant, Result<Vec<Set>, Error>);

/// What was asked beside the watch, so that the watch is never kept waiting.
enum Answer {
    /// With the named parts that are not listed and hold something, where that was asked for.
    Parts(Result<Parts, Error>, Result<Option<BTreeSet<Part>>, Error>),
    Counts(Vec<(Part, usize)>),
}

pub(crate) struct Reader {
    cluster: Arc<Cluster>,
    timing: Timing,
    recorder: Arc<dyn Recorder>,
    /// How far each route believed each part when it was last asked.
    believed: BTreeMap<(OwnerId, Part), Fresh>,
    listed_at: Option<Instant>,
    counted_at: Option<Instant>,
    /// Parts that this reader has read whole. What an earlier one took in may have been told to nobody.
    whole: BTreeSet<Part>,
    /// Named parts that are used and not listed, when last asked.
    used: Option<BTreeSet<Part>>,
    /// Parts that are being looked at as a whole.
    looking: BTreeSet<Part>,
    /// The last one of them that was begun with.
    looked_last: Option<Part>,
    /// Complete looks that are being taken in.
    looked: VecDeque<Looked>,
}

/// A complete look, as far as it has not been taken in.
struct Looked {
    part: Part,
    began: Instant,
    portions: VecDeque<Portion>,
}

impl Reader {
    pub fn new(cluster: Arc<Cluster>, timing: Timing, recorder: Arc<dyn Recorder>) -> Self {
        Self {
            cluster,
            timing,
            recorder,
            believed: BTreeMap::new(),
            listed_at: None,
            counted_at: None,
            used: None,
            whole: BTreeSet::new(),
            looking: BTreeSet::new(),
            looked_last: None,
            looked: VecDeque::new(),
        }
    }

    /// A reader of this cluster panicked: what it knew is unknown until the next one has read it.
    pub fn crashed(cluster: &Cluster, reason: &str) {
        cluster.mirror.lock().unknown(reason.to_owned());
        cluster.looks.lock().clear();
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let cluster = self.cluster.clone();
        let select: Selector = Arc::new(RoutesInterest(Arc::downgrade(&cluster)));
        let mut looks: JoinSet<Look> = JoinSet::new();
        let mut asks: JoinSet<Answer> = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = Instant::now() + self.timing.sweep + spread(cluster.id(), self.timing.sweep / 2);
        let mut sweep = tokio::time::interval_at(first, self.timing.sweep);
        let mut watch = cluster.source.watch(&select);
        let mut again: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                item = watch.next(), if again.is_none() => match item {
                    Some(item) => self.take(item).await,
                    None => again = Some(Instant::now() + TICK),
                },
                () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                    watch = cluster.source.watch(&select);
                    again = None;
                }
                () = cluster.look.notified() => self.start_looks(&select, &mut looks),
                Some(Ok((part, began, sets))) = looks.join_next() => self.looked(part, began, sets),
                // Between two portions, whatever else has happened has its turn.
                () = tokio::task::yield_now(), if !self.looked.is_empty() => self.take_portion(),
                _ = tick.tick() => self.tick(&mut asks),
                Some(Ok(answer)) = asks.join_next() => self.answered(answer),
                _ = sweep.tick() => self.ask_all(),
            }
        }
    }

    async fn take(&mut self, item: Result<Update, Lost>) {
        let now = Instant::now();
        match item {
            Ok(Update::Reset { part, title, sets }) => {
                // What an earlier reader took in may have been told to nobody.
                let first = self.whole.insert(part.clone());
                let had = |state: &PartState| !state.sets().is_empty();
                let anew = first && self.cluster.mirror.lock().part(&part).is_some_and(had);
                // Its scopes belong together, but other work must not wait for a hundred thousand of them.
                let mut changed = Vec::new();
                for portion in portions(sets) {
                    changed.push(self.cluster.mirror.lock().reset(&part, portion, now));
                    tokio::task::yield_now().await;
                }
                self.cluster.mirror.lock().complete(&part, title, Instant::now());
                self.freeze();
                self.cluster.part_errors.lock().remove(&part);
                self.cluster.touch_part(&part);
                // One that was just made is not said to be missing from the list.
                if self.cluster.is_unlisted(&part) {
                    self.listed_at = None;
                }
                if anew {
                    self.cluster.outbound.read().iter().for_each(Route::touch_all);
                }
                // Before the part was complete nothing could be planned.
                for scopes in changed {
                    scopes.iter().for_each(|scope| self.cluster.touched(scope, Lane::Sweep, now));
                    tokio::task::yield_now().await;
                }
            }
            Ok(update) => {
                let settle = self.settle();
                let changed = self.cluster.mirror.lock().update(update, settle, now);
                self.freeze();
                changed.iter().for_each(|scope| self.cluster.touched(scope, Lane::Live, now));
            }
            Err(lost) => {
                tracing::warn!(cluster = %self.cluster.spec.name, part = lost.part.as_ref().map(tracing::field::display), error = %lost.error, "cannot be read");
                self.cluster.mirror.lock().lost(lost.part.as_ref(), &lost.error, now);
                // What is written there may need the part to be made again; what is drained there has gone with it.
                if let (Some(part), Error::Missing(_)) = (&lost.part, &lost.error) {
                    self.listed_at = None;
                    self.cluster.touch_part(part);
                }
            }
        }
    }

    /// The longest time that a route which reads here wants; what is witnessed counts for all of them.
    fn settle(&self) -> Option<Duration> {
        self.cluster.outbound.read().iter().map(|route| route.spec.settle).max()
    }

    fn start_looks(&mut self, select: &Selector, looks: &mut JoinSet<Look>) {
        let mut wanted: Vec<_> = self.cluster.looks.lock().difference(&self.looking).cloned().collect();
        // In turns, so that parts that fail again and again hold up no others.
        let next = wanted.partition_point(|part| self.looked_last.as_ref().is_some_and(|last| part <= last));
        wanted.rotate_left(next);
        for part in wanted {
            if looks.len() >= LOOKS {
                return;
            }
            self.looking.insert(part.clone());
            self.looked_last = Some(part.clone());
            let (source, select, limit) = (self.cluster.source.clone(), select.clone(), self.timing.look);
            looks.spawn(async move {
                let began = Instant::now();
                let sets = call(limit, async { source.read(&part, &select).await }).await;
                (part, began, sets)
            });
        }
    }

    fn looked(&mut self, part: Part, began: Instant, sets: Result<Vec<Set>, Error>) {
        // Others may wait for their turn.
        self.cluster.look.notify_one();
        match sets {
            Ok(sets) => self.looked.push_back(Looked { part, began, portions: portions(sets) }),
            Err(error) => {
                self.end_look(&part);
                tracing::warn!(cluster = %self.cluster.spec.name, %part, %error, "a complete look failed");
            }
        }
    }

    /// Takes in the next portion of a complete look.
    fn take_portion(&mut self) {
        let now = Instant::now();
        let Some(look) = self.looked.front_mut() else { return };
        if let Some(portion) = look.portions.pop_front() {
            let changed = self.cluster.mirror.lock().look(&look.part, portion, look.began, now);
            changed.iter().for_each(|scope| self.cluster.touched(scope, Lane::Sweep, now));
        }
        if look.portions.is_empty()
            && let Some(Looked { part, began, .. }) = self.looked.pop_front()
        {
            self.cluster.mirror.lock().looked(&part, began);
            self.end_look(&part);
            self.touch_readers(&part);
        }
    }

    fn end_look(&mut self, part: &Part) {
        self.looking.remove(part);
        self.cluster.looks.lock().remove(part);
    }

    /// Asks for a sweep over what the routes that read this part hold: a removal may have waited for this moment.
    fn touch_readers(&self, part: &Part) {
        for route in self.cluster.outbound.read().iter() {
            let target = route.target_part(part);
            route.destination.sweep(What::Held(Some(route.spec.owner.clone()), Some(target)));
            route.destination.sweep(What::Lost);
        }
    }

    fn tick(&mut self, asks: &mut JoinSet<Answer>) {
        let now = Instant::now();
        let mut settled = BTreeSet::new();
        {
            let mirror = self.cluster.mirror.lock();
            let mut before = std::mem::take(&mut self.believed);
            for route in self.cluster.outbound.read().iter() {
                for (part, state) in mirror.parts() {
                    let fresh = state.freshness.at(route.spec.settle, now);
                    let key = (route.spec.owner.clone(), part.clone());
                    let before = before.remove(&key);
                    self.believed.insert(key, fresh);
                    if fresh == Fresh::Settled && before != Some(Fresh::Settled) {
                        settled.insert(part.clone());
                    }
                }
            }
        }
        settled.iter().for_each(|part| self.touch_readers(part));
        self.forget_gone(now);
        if asks.is_empty() {
            self.list(asks);
            self.count(asks);
        }
        self.freeze();
    }

    /// Forgets what was seen to go once no destination has a copy of it any more, and what such scopes fed.
    fn forget_gone(&self, now: Instant) {
        let outbound = self.cluster.outbound.read().clone();
        let old = self.cluster.mirror.lock().old_witnesses(now);
        for (scope, witnesses) in old {
            let needed = |(id, witness): &(InstanceId, Witness)| {
                outbound.iter().any(|route| has_copy(route, &scope, id, witness))
            };
            let needed = witnesses.into_iter().filter(needed).map(|(id, _)| id).collect();
            self.cluster.mirror.lock().forget_witnesses(&scope, &needed, now);
        }
        let gone = self.cluster.mirror.lock().take_gone();
        for scope in &gone {
            outbound.iter().for_each(|route| route.unfeed(scope));
        }
    }

    /// Lists the parts where some are named or written to: the task says which named ones are missing or not listed, a name
    /// may be a display name, and one that we write to is made again when it has gone from the list. Also where a list of
    /// what exists now is to be made.
    fn list(&mut self, asks: &mut JoinSet<Answer>) {
        let (wanted, words) = {
            let outbound = self.cluster.outbound.read();
            let words: BTreeSet<_> = outbound.iter().filter_map(|route| route.spec.parts.clone()).flatten().collect();
            let freezes = outbound.iter().any(|route| *route.memory.only.lock() == Only::Freeze);
            let written = !self.cluster.inbound.read().is_empty();
            let wanted = self.cluster.mirror.lock().error.is_none() && (freezes || written || !words.is_empty());
            (wanted, freezes.then_some(words))
        };
        if !wanted || self.listed_at.is_some_and(|at| at.elapsed() < LIST) {
            return;
        }
        self.listed_at = Some(Instant::now());
        let (source, limit) = (self.cluster.source.clone(), self.timing.call);
        asks.spawn(async move {
            let parts = call(limit, async { source.parts().await }).await;
            let used = match (&parts, words) {
                (Ok(parts), Some(words)) => call(limit, async { Ok(Some(used(&*source, parts, words).await)) }).await,
                _ => Ok(None),
            };
            Answer::Parts(parts, used)
        });
    }

    /// Counts what there is in parts where routes find nothing of theirs, so that the task can say why.
    fn count(&mut self, asks: &mut JoinSet<Answer>) {
        let empty: Vec<_> = {
            let mirror = self.cluster.mirror.lock();
            let ready = mirror.parts().iter().filter(|(_, state)| state.ready());
            ready.filter(|(_, state)| state.filled() == 0).map(|(part, _)| part.clone()).collect()
        };
        if empty.is_empty() || self.counted_at.is_some_and(|at| at.elapsed() < LIST) {
            return;
        }
        self.counted_at = Some(Instant::now());
        let (source, limit) = (self.cluster.source.clone(), self.timing.call);
        asks.spawn(async move {
            let mut counts = Vec::new();
            for part in empty {
                match call(limit, async { source.count(&part).await }).await {
                    Ok(count) => counts.push((part, count)),
                    Err(error) => tracing::debug!(%part, %error, "its services cannot be counted"),
                }
            }
            Answer::Counts(counts)
        });
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Parts(Ok(parts), used) => {
                self.note_used(used);
                self.cluster.part_errors.lock().retain(|part, _| !parts.contains_key(part));
                self.cluster.once_listed.lock().extend(parts.keys().cloned());
                let before = self.cluster.listed.lock().replace(parts.clone());
                if before.as_ref() != Some(&parts) {
                    self.list_changed(&before.unwrap_or_default(), &parts);
                }
            }
            Answer::Parts(Err(error), _) => {
                tracing::debug!(cluster = %self.cluster.spec.name, %error, "the parts cannot be listed");
            }
            Answer::Counts(counts) => self.cluster.counted.lock().extend(counts),
        }
    }

    /// Takes in which named parts are used. Where that could not be found out, no list of what exists is made until it can:
    /// it is asked again with the next listing.
    fn note_used(&mut self, used: Result<Option<BTreeSet<Part>>, Error>) {
        let error = used.as_ref().err().map(Error::to_string);
        self.used = used.unwrap_or_default();
        let mut told = self.cluster.freeze_error.lock();
        if let Some(error) = error.as_ref().filter(|_| *told != error) {
            tracing::warn!(cluster = %self.cluster.spec.name, %error, "the list of what exists now cannot be made yet");
        }
        *told = error;
    }

    /// What a route's words mean may have changed, and a part that holds copies of ours may have gone from the list.
    fn list_changed(&self, before: &Parts, after: &Parts) {
        let other = |from: &Parts, to: &Parts| -> Vec<_> {
            let changed = from.iter().filter(|(part, title)| to.get(*part) != Some(*title));
            changed.flat_map(|(part, title)| [Some(part.0.clone()), title.clone()]).flatten().collect()
        };
        let changed: BTreeSet<_> = other(before, after).into_iter().chain(other(after, before)).collect();
        for route in self.cluster.outbound.read().iter() {
            if route.spec.parts.as_ref().is_some_and(|words| !words.is_disjoint(&changed)) {
                route.touch_all();
            }
        }
        let held = self.cluster.parts_held();
        held.iter().filter(|part| !after.contains_key(*part)).for_each(|part| self.cluster.touch_part(part));
    }

    /// Makes the list of scopes for routes that are limited to those that exist now.
    fn freeze(&self) {
        for route in self.cluster.outbound.read().iter() {
            // A route that was not limited before goes on with everything until the list is made.
            let made = matches!(*route.memory.only.lock(), Only::Frozen(_));
            if made || route.spec.only != Only::Freeze {
                continue;
            }
            // All of the parts that exist now and belong to the route must have been read.
            let (Some(listed), Some(used)) = (self.cluster.listed.lock().clone(), &self.used) else { continue };
            let unlisted = used.iter().map(|part| (part, None));
            let wanted: BTreeSet<_> = listed
                .iter()
                .map(|(part, title)| (part, title.as_deref()))
                .chain(unlisted)
                .filter(|(part, title)| route.takes_part(part, *title))
                .map(|(part, _)| part)
                .collect();
            let scopes = {
                let mirror = self.cluster.mirror.lock();
                let states: Vec<_> = wanted.iter().filter_map(|part| mirror.part(part)).collect();
                if wanted.is_empty() || states.len() < wanted.len() || !states.iter().all(|state| state.ready()) {
                    continue;
                }
                states.iter().flat_map(|state| state.sets().keys().cloned()).collect::<BTreeSet<_>>()
            };
            let scopes: BTreeSet<_> =
                scopes.into_iter().filter(|scope| route.spec.lens.scope(scope).is_some()).collect();
            self.recorder.only(&route.spec.owner, route.source.id(), &scopes);
            *route.memory.only.lock() = Only::Frozen(Arc::new(scopes));
            route.touch_all();
        }
    }

    fn ask_all(&self) {
        let parts: Vec<_> = {
            let mirror = self.cluster.mirror.lock();
            mirror.parts().iter().filter(|(_, state)| state.ready()).map(|(part, _)| part.clone()).collect()
        };
        parts.iter().for_each(|part| self.cluster.ask_look(part));
    }
}

/// Which of these words are ids of parts that hold something and are not listed.
async fn used(source: &dyn Source, listed: &Parts, words: BTreeSet<Arc<str>>) -> BTreeSet<Part> {
    let mut used = BTreeSet::new();
    for word in words {
        let part = Part(word);
        let known = listed.contains_key(&part) || listed.values().any(|title| title.as_ref() == Some(&part.0));
        if !known && matches!(source.count(&part).await, Ok(count) if count > 0) {
            used.insert(part);
        }
    }
    used
}

/// A part of `span` that differs from cluster to cluster, so that they are not swept all at once.
fn spread(id: &ClusterId, span: Duration) -> Duration {
    span * (hash(id) % 1_000) as u32 / 1_000
}
