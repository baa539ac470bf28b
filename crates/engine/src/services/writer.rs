//! Writes one destination: plans dirty scopes, never one twice at a time, and keeps going whatever fails.

mod adopt;
mod left_alone;
mod meters;
mod panicked;
mod parts;
mod recent;
mod refused;

use crate::event::{Action, Event};
use crate::kit::call::write;
use crate::kit::pace::{Lane, Permit};
use crate::kit::{backoff, earliest, spans};
use crate::services::cluster::ActiveCluster;
use crate::services::decide::decide;
use crate::services::outcome::{Intended, intend, settle, task_of};
use crate::services::record::Recorder;
use crate::spec::Timing;
use causeway_core::{Change, ClusterId, Error, KeptError, OwnerId, Part, Reason, ServiceKey, Sink, Skip, contain_now};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use recent::RecentWrites;
use refused::RefusedInScope;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// A refusal for lack of rights, or an answer not understood, is retried after this time.
const SLOW_RETRY: Duration = Duration::from_secs(30);
/// A destination that asks for patience has not failed before this time: until then the change is shown as pending.
const PATIENCE: Duration = Duration::from_secs(10);

/// Planning and counting let others work after this time.
pub(crate) const TURN: Duration = Duration::from_millis(5);

/// Changes that were sent, and what became of them.
struct AppliedChanges {
    scope: ServiceKey,
    outcomes: Vec<(Change, Result<(), Error>)>,
    path: Vec<ClusterId>,
    intended: Intended,
}

enum Finished {
    Applied(AppliedChanges),
    Prepared(Part, Result<(), Error>),
}

pub(crate) struct ClusterWriter {
    cluster: Arc<ActiveCluster>,
    sink: Arc<dyn Sink>,
    timing: Timing,
    recorder: Arc<dyn Recorder>,
    work: JoinSet<Finished>,
    /// Which scope each write under way is of: none is written twice at a time, and a write that breaks off must not keep
    /// its scope.
    running: HashMap<tokio::task::Id, ServiceKey>,
    /// When each was last written: only a scope that is busy waits before it is planned again.
    written: BTreeMap<ServiceKey, Instant>,
    recent: RecentWrites,
    /// Records that the destination has refused as they are.
    refused: BTreeMap<ServiceKey, RefusedInScope>,
    /// When the next service with records that are refused for now may be tried.
    next_try: Instant,
    failures: BTreeMap<ServiceKey, u32>,
    /// Since when the destination asks for patience.
    throttled: BTreeMap<ServiceKey, Instant>,
    prepared: BTreeMap<Part, Instant>,
    /// Scopes whose planning or writing panicked: nothing is done about them before.
    aside: BTreeMap<ServiceKey, Instant>,
}

impl ClusterWriter {
    pub fn new(cluster: Arc<ActiveCluster>, sink: Arc<dyn Sink>, timing: Timing, recorder: Arc<dyn Recorder>) -> Self {
        Self {
            recent: RecentWrites::new(timing.visible),
            cluster,
            sink,
            timing,
            recorder,
            work: JoinSet::new(),
            running: HashMap::new(),
            written: BTreeMap::new(),
            refused: BTreeMap::new(),
            next_try: Instant::now(),
            failures: BTreeMap::new(),
            throttled: BTreeMap::new(),
            prepared: BTreeMap::new(),
            aside: BTreeMap::new(),
        }
    }

    /// A writer of this cluster panicked: nobody knows which scopes it was about to write.
    pub fn crashed(cluster: &ActiveCluster) {
        let now = Instant::now();
        cluster.writes.store(0, Ordering::SeqCst);
        cluster.planning.store(false, Ordering::SeqCst);
        cluster.sweeps.crashed();
        meters::crashed(cluster);
        cluster.inbound.read().iter().for_each(|route| route.sweep_all());
        cluster.ledger.lock().keys().for_each(|scope| cluster.queue.mark(scope, now));
    }

    /// Keeps alive what an earlier process wrote, then writes until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.adopt() => {}
        }
        // The place of the next write among the calls to the cluster; it is planned when there is one.
        let mut place: Option<BoxFuture<'static, Permit>> = None;
        loop {
            let now = Instant::now();
            self.cluster.sweep_on(now);
            self.cluster.count_on(now);
            self.forget_old(now);
            let (next, old) = (self.cluster.queue.next(), self.recent.next());
            let due = next.is_some_and(|at| at <= now);
            match (due, &place) {
                (true, None) => place = Some(self.place().boxed()),
                (true, Some(_)) => {}
                (false, _) => place = None,
            }
            let ready = async {
                match &mut place {
                    Some(place) => place.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Some(done) = self.work.join_next_with_id() => self.done(done),
                permit = ready => {
                    place = None;
                    self.plan_next(permit);
                    tokio::task::yield_now().await;
                }
                () = self.cluster.queue.changed.notified() => {}
                // A sweep and a count go on a portion at a time.
                () = tokio::task::yield_now(), if self.cluster.may_sweep() || self.cluster.is_counting() => {}
                () = tokio::time::sleep_until(next.unwrap_or(now)), if next.is_some() && !due => {}
                () = tokio::time::sleep_until(old.unwrap_or(now)), if old.is_some() => {}
            }
        }
    }

    /// Waits until one more request may be sent to the cluster.
    fn place(&self) -> impl Future<Output = Permit> + Send + use<> {
        let (pacer, limits) = (self.cluster.pacer.clone(), self.sink.limits());
        async move {
            let mut permit = pacer.enter(Lane::Services, limits).await;
            permit.pay(1).await;
            permit
        }
    }

    /// Plans what is due until one scope is written, or others must have their turn.
    fn plan_next(&mut self, permit: Permit) {
        let (mut permit, began) = (Some(permit), Instant::now());
        while permit.is_some() && began.elapsed() < TURN {
            let now = Instant::now();
            self.cluster.planning.store(true, Ordering::SeqCst);
            let Some(scope) = self.cluster.queue.pop(now) else { break };
            if !self.waits(&scope, now)
                && let Err(panic) = contain_now(|| self.plan(&scope, &mut permit, now))
            {
                self.set_aside(&scope, &panic);
            }
        }
        self.cluster.planning.store(false, Ordering::SeqCst);
    }

    /// Whether a scope is being written, or was a moment ago; then it comes back.
    fn waits(&mut self, scope: &ServiceKey, now: Instant) -> bool {
        if let Some(until) = self.aside.get(scope).copied() {
            if now < until {
                self.cluster.queue.mark(scope, until);
                return true;
            }
            self.aside.remove(scope);
            self.cluster.scopes.lock().edit(scope, |state| {
                state.error = None;
                state.pending.clear();
            });
        }
        let busy = self.running.values().any(|running| running == scope);
        let free = match (busy, self.written.get(scope)) {
            (true, _) => now + self.timing.debounce,
            (false, Some(at)) => *at + self.timing.debounce,
            (false, None) => return false,
        };
        if free > now {
            self.cluster.queue.mark(scope, free);
            return true;
        }
        self.written.remove(scope);
        false
    }

    /// Plans one scope and starts to write; that takes the permit.
    fn plan(&mut self, scope: &ServiceKey, permit: &mut Option<Permit>, now: Instant) {
        let span = spans::scope(&self.cluster.spec.name, scope);
        let planning = spans::plan(&span);
        let Some(mut decision) = planning.in_scope(|| decide(&self.cluster, scope, &self.timing, now)) else {
            spans::nothing(&[&span, &planning]);
            // Nothing is going to be written as things stand: the tasks are paused, or the destination is not known.
            self.cluster.scopes.lock().edit(scope, |state| state.pending.clear());
            self.not_planned(scope);
            self.prepare(scope, now);
            return;
        };
        if decision.plan.changes.is_empty() {
            self.failures.remove(scope);
            self.throttled.remove(scope);
        }
        let writes = |change: &Change| matches!(change, Change::Create(_) | Change::Update { .. });
        let stands = decision.plan.changes.iter().any(writes) || self.cluster.ledger.lock().contains_key(scope);
        if stands {
            self.cluster.writes_in([scope.part()]);
            if self.cluster.is_unlisted(&scope.part()) {
                self.prepare(scope, now);
            }
        }
        let refused = self.drop_refused(scope, &mut decision, now);
        let recent = self.drop_recent(scope, &mut decision, now);
        let told = self.leave(scope, &decision, now);
        if let Some(at) = earliest([decision.again, refused, recent, told]) {
            self.cluster.queue.mark(scope, at.max(now + Duration::from_millis(10)));
        }
        if decision.plan.changes.is_empty() {
            spans::nothing(&[&span, &planning]);
            return self.nothing_to_write(scope);
        }
        let Some(mut permit) = permit.take() else {
            spans::nothing(&[&span, &planning]);
            return self.cluster.queue.mark(scope, now);
        };
        drop(planning);
        self.begins_to_write(scope);
        let tasks = || decision.plan.changes.iter().map(|change| task_of(&self.cluster, change.owner())).collect();
        spans::writes(&span, decision.plan.changes.len(), tasks);
        let (sink, scope, changes, path) = (self.sink.clone(), scope.clone(), decision.plan.changes, decision.path);
        let limit = self.timing.call;
        let intended = intend(&self.cluster, &*sink, &*self.recorder, &scope, &changes);
        let (recorder, kept) = (self.recorder.clone(), self.timing.kept);
        let (of, write) = (scope.clone(), async move {
            // A process that dies after the write must find afterwards that it was going to make it.
            if !intended.is_empty() && tokio::time::timeout(kept, recorder.kept()).await.is_err() {
                tracing::debug!("the ledger does not keep up; going on without it");
            }
            let apply = |changes| sink.apply(&scope, changes);
            let calls = write(&mut permit, || sink.limits(), true, limit, &changes, apply);
            let outcomes = calls.instrument(spans::write(&span)).await;
            spans::ended(&span, &outcomes);
            let outcomes = changes.into_iter().zip(outcomes).collect();
            Finished::Applied(AppliedChanges { scope, outcomes, path, intended })
        });
        self.running.insert(self.work.spawn(write).id(), of);
        self.note_running();
    }

    fn event(&self, task: Arc<str>, scope: &ServiceKey, record: String, action: Action, reason: Reason) {
        let cluster = self.cluster.spec.name.clone();
        self.recorder.event(Event { task, cluster, scope: scope.to_string(), record, action, reason });
    }

    fn done(&mut self, done: Result<(tokio::task::Id, Finished), tokio::task::JoinError>) {
        match done {
            Ok((id, Finished::Applied(applied))) => {
                self.running.remove(&id);
                let scope = applied.scope.clone();
                if let Err(panic) = contain_now(|| self.applied(applied)) {
                    self.set_aside(&scope, &panic);
                }
            }
            Ok((_, Finished::Prepared(part, Ok(())))) => drop(self.cluster.part_errors.lock().remove(&part)),
            Ok((_, Finished::Prepared(part, Err(error)))) => {
                let text = format!("namespace {part} could not be made: {error}");
                tracing::warn!(cluster = %self.cluster.spec.name, "{text}");
                self.cluster.part_errors.lock().insert(part, text);
            }
            Err(error) => match self.running.remove(&error.id()) {
                Some(scope) => self.set_aside(&scope, &error.to_string()),
                None => tracing::error!(cluster = %self.cluster.spec.name, %error, "a namespace could not be made"),
            },
        }
        self.note_running();
    }

    fn note_running(&self) {
        self.cluster.writes.store(self.running.len(), Ordering::SeqCst);
    }

    fn applied(&mut self, applied: AppliedChanges) {
        let AppliedChanges { scope, outcomes, path, intended } = applied;
        let (now, scope) = (Instant::now(), &scope);
        self.count(scope, &outcomes, now);
        settle(&self.cluster, &*self.recorder, scope, &outcomes, &path, intended);
        let (mut retry, mut patience): (Option<Duration>, Option<Duration>) = (None, None);
        let mut failure = None;
        for (change, outcome) in outcomes {
            match (outcome, change.record().cloned()) {
                (Ok(()), None) => {}
                (Ok(()), Some(record)) => {
                    self.taken(scope, &record.id, now);
                    self.recent.made(scope, &record.id, &change, now);
                }
                (Err(Error::Rejected(why)), Some(_)) => {
                    self.refuse(scope, &change, Skip::Rejected { why }, now);
                    retry = retry.or(Some(Duration::ZERO));
                }
                (Err(Error::Blocked(why)), Some(_)) => {
                    self.refuse(scope, &change, Skip::Blocked { why }, now);
                    retry = retry.or(Some(Duration::ZERO));
                }
                // Each record waits for itself: the first that may go on is the next reason to plan.
                (Err(Error::Throttled(wait)), _) => {
                    patience = Some(patience.map_or(wait, |patience| patience.min(wait)));
                    if now >= *self.throttled.entry(scope.clone()).or_insert(now) + PATIENCE {
                        failure = Some((change.owner().cloned(), KeptError::Throttled { wait }));
                    }
                }
                (Err(error), _) => {
                    let wait = if error.is_transient() { self.backoff(scope) } else { SLOW_RETRY };
                    retry = Some(retry.map_or(wait, |retry| retry.max(wait)));
                    failure = Some((change.owner().cloned(), KeptError::from(&error)));
                }
            }
        }
        if patience.is_none() {
            self.throttled.remove(scope);
        }
        self.failed(scope, failure, retry.is_some() || patience.is_some());
        self.written.insert(scope.clone(), now);
        // Looks once more soon: what came meanwhile, and whether the write is seen.
        let again = retry.into_iter().chain(patience).min();
        self.cluster.queue.mark(scope, now + again.unwrap_or(self.timing.debounce));
    }

    fn forget_old(&mut self, now: Instant) {
        self.recent.forget(now);
        let remembered =
            [self.written.len(), self.recent.len(), self.refused.len(), self.failures.len(), self.throttled.len()];
        self.cluster.remembered.store(remembered.iter().sum(), Ordering::SeqCst);
    }

    /// Notes how a write ended. `open`: some of it is still to be written.
    fn failed(&mut self, scope: &ServiceKey, failure: Option<(Option<OwnerId>, KeptError)>, open: bool) {
        let (owner, error) = failure.map(|(owner, error)| (owner, Reason::from(error))).unzip();
        match &error {
            Some(_) => *self.failures.entry(scope.clone()).or_default() += 1,
            None => drop(self.failures.remove(scope)),
        }
        let news = self.cluster.scopes.lock().edit(scope, |state| {
            let news = error.is_some() && state.error != error;
            state.error.clone_from(&error);
            if !open {
                state.pending.clear();
            }
            news
        });
        if let (true, Some(error)) = (news, error) {
            tracing::warn!(cluster = %self.cluster.spec.name, %scope, %error, "a write failed");
            let task = task_of(&self.cluster, owner.flatten().as_ref());
            self.event(task, scope, String::new(), Action::Failed, error);
        }
    }

    /// Grows with every failure of the scope, up to the limit.
    fn backoff(&self, scope: &ServiceKey) -> Duration {
        backoff(self.timing.backoff, self.failures.get(scope).copied().unwrap_or_default())
    }
}
