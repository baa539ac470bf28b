//! Follows one cluster: takes its watch into the mirror, and tells those who depend on what changed.

mod listing;
mod looks;

use crate::kit::hash;
use crate::kit::queue::Urgency;
use crate::notice::Crash;
use crate::services::cluster::ActiveCluster;
use crate::services::export::has_copy;
use crate::services::interest::RoutesInterest;
use crate::services::mirror::{PartState, Witness, portions};
use crate::services::record::Recorder;
use crate::services::route::ActiveRoute;
use crate::spec::Timing;
use causeway_core::{ClusterId, Error, Fresh, InstanceId, Lost, OwnerId, Part, Selector, Update};
use futures_util::StreamExt;
use listing::ListingAnswer;
use looks::{LookResult, OpenLook};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often settling is looked at.
const TICK: Duration = Duration::from_millis(500);

pub(crate) struct ClusterReader {
    cluster: Arc<ActiveCluster>,
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
    looked: VecDeque<OpenLook>,
}

impl ClusterReader {
    pub fn new(cluster: Arc<ActiveCluster>, timing: Timing, recorder: Arc<dyn Recorder>) -> Self {
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
    pub fn crashed(cluster: &ActiveCluster, crash: &Crash) {
        cluster.mirror.lock().unknown(crash.to_string());
        cluster.looks.lock().clear();
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let cluster = self.cluster.clone();
        let select: Selector = Arc::new(RoutesInterest(Arc::downgrade(&cluster)));
        let mut looks: JoinSet<LookResult> = JoinSet::new();
        let mut asks: JoinSet<ListingAnswer> = JoinSet::new();
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
                _ = tick.tick() => self.look_around(&mut asks),
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
                self.cluster.sweep_part(&part);
                // One that was just made is not said to be missing from the list.
                if self.cluster.is_unlisted(&part) {
                    self.listed_at = None;
                }
                if anew {
                    self.cluster.outbound.read().iter().for_each(ActiveRoute::sweep_all);
                }
                // Before the part was complete nothing could be planned.
                for scopes in changed {
                    scopes.iter().for_each(|scope| self.cluster.scope_changed(scope, Urgency::Sweep, now));
                    tokio::task::yield_now().await;
                }
            }
            Ok(update) => {
                let settle = self.settle();
                let changed = self.cluster.mirror.lock().update(update, settle, now);
                self.freeze();
                changed.iter().for_each(|scope| self.cluster.scope_changed(scope, Urgency::Live, now));
            }
            Err(lost) => {
                tracing::warn!(cluster = %self.cluster.spec.name, part = lost.part.as_ref().map(tracing::field::display), error = %lost.error, "cannot be read");
                self.cluster.mirror.lock().lost(lost.part.as_ref(), &lost.error, now);
                // What is written there may need the part to be made again; what is drained there has gone with it.
                if let (Some(part), Error::Missing(_)) = (&lost.part, &lost.error) {
                    self.listed_at = None;
                    self.cluster.sweep_part(part);
                }
            }
        }
    }

    /// The longest time that a route which reads here wants; what is witnessed counts for all of them.
    fn settle(&self) -> Option<Duration> {
        self.cluster.outbound.read().iter().map(|route| route.spec.settle).max()
    }

    fn look_around(&mut self, asks: &mut JoinSet<ListingAnswer>) {
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
        settled.iter().for_each(|part| self.sweep_readers(part));
        let unreported = self.cluster.mirror.lock().unreported(now);
        unreported.iter().for_each(|part| self.cluster.ask_look(part));
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
        let old = self.cluster.mirror.lock().expired_witnesses(now);
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
}

/// A part of `span` that differs from cluster to cluster, so that they are not swept all at once.
fn spread(id: &ClusterId, span: Duration) -> Duration {
    span * (hash(id) % 1_000) as u32 / 1_000
}
