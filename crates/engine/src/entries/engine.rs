//! The data engine as a whole: it is told what is wanted, and makes it so.

use super::actor::{Actor, TaskShared};
use super::record::{DataLedger, DataRecorder};
use super::spec::{DataRoute, DataSpec, DataTiming};
use super::state::TaskState;
use super::status::{ConflictRow, DataStatus, KnownEntry};
use crate::kit::pace::Pacers;
use crate::kit::supervise::{Crashes, supervise};
use crate::notice::{Crash, EngineWork, Notice};
use crate::spec::RunState;
use crate::status::RouteState;
use causeway_core::{Base, ClusterId, EntryKey, OwnerId, Pair, Side};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Keeps the config entries of two clusters in step, for each of its tasks.
pub struct DataEngine {
    timing: DataTiming,
    recorder: Arc<dyn DataRecorder>,
    state: Mutex<Tasks>,
    stop: CancellationToken,
    actors: Mutex<JoinSet<()>>,
    pacers: Pacers,
}

#[derive(Default)]
struct Tasks {
    running: BTreeMap<DataRoute, RunningTask>,
    /// What tasks remember that do not run.
    past: BTreeMap<DataRoute, Past>,
}

struct RunningTask {
    spec: DataSpec,
    shared: Arc<TaskShared>,
    stop: CancellationToken,
    /// Its sender goes when it has ended.
    end: oneshot::Receiver<()>,
}

enum Past {
    Known(DataLedger),
    /// It is still ending what it was at.
    Ending(Arc<TaskShared>, oneshot::Receiver<()>),
}

impl Past {
    /// What it remembers once it has ended, however it did: two would write the same entries.
    async fn ledger(self) -> DataLedger {
        match self {
            Self::Known(ledger) => ledger,
            Self::Ending(shared, end) => {
                // Nothing is ever sent: the sender goes.
                drop(end.await);
                shared.state.lock().take_ledger()
            }
        }
    }
}

impl DataEngine {
    /// An engine that does nothing yet. `ledgers` is what earlier processes of this install remembered.
    pub fn new(
        timing: DataTiming,
        recorder: Arc<dyn DataRecorder>,
        ledgers: BTreeMap<DataRoute, DataLedger>,
    ) -> Arc<Self> {
        Self::sharing(Pacers::default(), timing, recorder, ledgers)
    }

    /// The same, beside what else writes to the same clusters.
    pub fn sharing(
        pacers: Pacers,
        timing: DataTiming,
        recorder: Arc<dyn DataRecorder>,
        ledgers: BTreeMap<DataRoute, DataLedger>,
    ) -> Arc<Self> {
        let past = ledgers.into_iter().map(|(route, ledger)| (route, Past::Known(ledger))).collect();
        let state = Mutex::new(Tasks { past, ..Tasks::default() });
        Arc::new(Self { timing, recorder, state, stop: CancellationToken::new(), actors: Mutex::default(), pacers })
    }

    /// Makes the running tasks those that are given. What is the same goes on untouched; a task with other rules goes on
    /// with its watches as they are; one with other clusters or another selection begins again from what it remembers.
    pub fn configure(&self, tasks: Vec<DataSpec>) {
        let mut state = self.state.lock();
        let mut wanted: BTreeMap<DataRoute, DataSpec> = tasks.into_iter().map(|spec| (spec.route(), spec)).collect();
        let routes: Vec<_> = state.running.keys().cloned().collect();
        for route in routes {
            let Some(running) = state.running.get_mut(&route) else { continue };
            match wanted.remove(&route) {
                Some(spec) if spec.same_watch(&running.spec) => {
                    if !spec.same_rules(&running.spec) {
                        running.spec = spec.clone();
                        running.shared.state.lock().change_rules(spec);
                        running.shared.wake.notify_one();
                    }
                }
                spec => {
                    if let Some(running) = state.running.remove(&route) {
                        running.stop.cancel();
                        state.past.insert(route.clone(), Past::Ending(running.shared, running.end));
                    }
                    wanted.extend(spec.map(|spec| (route, spec)));
                }
            }
        }
        for (route, spec) in wanted {
            let past = state.past.remove(&route);
            let running = self.start(spec, past);
            state.running.insert(route, running);
        }
        let mut actors = self.actors.lock();
        while actors.try_join_next().is_some() {}
    }

    fn start(&self, spec: DataSpec, past: Option<Past>) -> RunningTask {
        let pacers = Pair::of(|side| self.pacers.of(&spec.cluster(side).id));
        let (timing, recorder) = (self.timing.clone(), self.recorder.clone());
        let state = Mutex::new(TaskState::new(spec.clone(), timing.clone(), recorder.clone()));
        let shared = Arc::new(TaskShared { state, wake: Notify::new(), crashes: Crashes::default() });
        let (next, end) = oneshot::channel();
        let stop = self.stop.child_token();
        let running = RunningTask { spec: spec.clone(), shared: shared.clone(), stop: stop.clone(), end };
        let all = self.stop.clone();
        let mut past = Some(past.unwrap_or(Past::Known(DataLedger::default())));
        self.actors.lock().spawn(async move {
            let run = || {
                let past = past.take();
                let (shared, stop, all) = (&shared, stop.clone(), all.clone());
                let new = || Actor::new(shared.clone(), &spec, pacers.clone(), timing.clone(), recorder.clone());
                async move {
                    if let Some(past) = past {
                        let ledger = past.ledger().await;
                        shared.state.lock().remember(ledger);
                    }
                    shared.state.lock().load();
                    new().run(stop, all).await;
                }
            };
            let crashed = |_: &Crash| shared.state.lock().begin_again();
            supervise(EngineWork::Entries { task: spec.task.clone() }, &shared.crashes, &stop, run, crashed).await;
            drop(next);
        });
        running
    }

    /// Every task, in order.
    pub fn status(&self) -> Vec<DataStatus> {
        let now = Instant::now();
        let status = |shared: &Arc<TaskShared>| {
            let (crashes, state) = (shared.crashes.list(), shared.state.lock());
            let mut status = state.status(now);
            if !crashes.is_empty() && state.spec.run == RunState::On {
                status.state = RouteState::Failing;
            }
            status.notices.extend(crashes.into_iter().map(Notice::Crashed));
            status
        };
        self.shared(|_| true).iter().map(status).collect()
    }

    /// Work inside the engine that panicked and does not work again yet.
    pub fn crashes(&self) -> Vec<Crash> {
        self.shared(|_| true).iter().flat_map(|shared| shared.crashes.list()).collect()
    }

    /// How often the work on each task has panicked since it was started.
    pub fn crash_counts(&self) -> Vec<(EngineWork, u64)> {
        self.shared(|_| true).iter().flat_map(|shared| shared.crashes.counts()).collect()
    }

    /// The entries of a task that the operator has to decide about, at most 1,000.
    pub fn conflicts(&self, owner: &OwnerId) -> Vec<ConflictRow> {
        let now = Instant::now();
        self.shared(|route| route.owner == *owner)
            .iter()
            .flat_map(|shared| shared.state.lock().conflicts(now))
            .collect()
    }

    /// What a task knows of an entry.
    pub fn known(&self, owner: &OwnerId, key: &EntryKey) -> KnownEntry {
        let shared = self.shared(|route| route.owner == *owner);
        shared.first().map(|shared| shared.state.lock().known(key)).unwrap_or_default()
    }

    /// Every entry that a task has created, and the cluster where that copy stands.
    pub fn copies(&self, owner: &OwnerId) -> Vec<(ClusterId, EntryKey)> {
        let state = self.state.lock();
        let mut copies = Vec::new();
        let mut add = |route: &DataRoute, key: &EntryKey, base: &Base| {
            let cluster = base.born.copy().map(|side| match side {
                Side::Left => route.source.clone(),
                Side::Right => route.destination.clone(),
            });
            copies.extend(cluster.map(|cluster| (cluster, key.clone())));
        };
        for (route, running) in state.running.iter().filter(|(route, _)| route.owner == *owner) {
            let state = running.shared.state.lock();
            state.bases().for_each(|(key, base)| add(route, key, base));
        }
        for (route, past) in state.past.iter().filter(|(route, _)| route.owner == *owner) {
            if let Past::Known(ledger) = past {
                ledger.bases.iter().for_each(|(key, base)| add(route, key, base));
            }
        }
        copies
    }

    /// Lets go of exactly what guards hold for a task at this moment; returns how many removals that are.
    pub fn release(&self, owner: &OwnerId) -> usize {
        let mut released = 0;
        for shared in self.shared(|route| route.owner == *owner) {
            released += shared.state.lock().release();
            shared.wake.notify_one();
        }
        released
    }

    /// Decides one conflict as it is listed now: what `side` holds stands, or its deletion. When it is changed again
    /// meanwhile, it is a conflict again. Returns whether there is such a conflict.
    pub fn resolve(&self, owner: &OwnerId, key: &EntryKey, side: Side) -> bool {
        let mut known = false;
        for shared in self.shared(|route| route.owner == *owner) {
            known |= shared.state.lock().resolve(key, side);
            shared.wake.notify_one();
        }
        known
    }

    /// Forgets what a task that does not run any more remembers: nothing is its copy. Returns how many entries that
    /// were.
    pub async fn forget(&self, owner: &OwnerId) -> usize {
        let past: Vec<_> = {
            let mut state = self.state.lock();
            let routes: Vec<_> = state.past.keys().filter(|route| route.owner == *owner).cloned().collect();
            routes.into_iter().filter_map(|route| Some((route.clone(), state.past.remove(&route)?))).collect()
        };
        let mut forgotten = 0;
        for (route, past) in past {
            let ledger = past.ledger().await;
            forgotten += ledger.bases.len();
            ledger.bases.keys().for_each(|key| self.recorder.base(&route, key, None));
            ledger.intents.keys().for_each(|lot| self.recorder.intents(&route, *lot, None));
        }
        forgotten
    }

    /// Ends what is under way, and then all work. Nothing is withdrawn.
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut actors = std::mem::take(&mut *self.actors.lock());
        while actors.join_next().await.is_some() {}
    }

    fn shared(&self, which: impl Fn(&DataRoute) -> bool) -> Vec<Arc<TaskShared>> {
        let state = self.state.lock();
        state.running.iter().filter(|(route, _)| which(route)).map(|(_, running)| running.shared.clone()).collect()
    }
}
