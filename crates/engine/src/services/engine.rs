//! The engine as a whole: it is told what is wanted, and makes it so.

use crate::kit::pace::Pacers;
use crate::kit::set_map::SetMap;
use crate::kit::supervise::{Crashes, supervise};
use crate::kit::travel::Travels;
use crate::notice::{Crash, EngineWork};
use crate::services::cluster::ActiveCluster;
use crate::services::ledger::Ledger;
use crate::services::reader::ClusterReader;
use crate::services::record::Recorder;
use crate::services::replicas;
use crate::services::route::{ActiveRoute, RouteMemory};
use crate::services::takeover::planned_once;
use crate::services::writer::ClusterWriter;
use crate::spec::{ClusterSpec, Only, RouteSpec, Timing};
use causeway_core::{ClusterId, OwnerId, contain};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often guards are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Between two looks for shared values that nobody uses any more.
const TIDY: Duration = Duration::from_secs(60);
/// How long a replaced connection stays open at least, for its successor to take over what it held.
const HANDOVER: Duration = Duration::from_secs(15);

type RouteKey = (OwnerId, ClusterId);

/// Keeps clusters in step.
pub struct Engine {
    timing: Timing,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(crate) state: Mutex<Topology>,
    stop: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
    /// The watch on guards, where it has panicked.
    pub(crate) crashes: Crashes,
    pacers: Pacers,
    me: Weak<Self>,
}

pub(crate) struct Topology {
    pub clusters: BTreeMap<ClusterId, RunningCluster>,
    pub routes: BTreeMap<RouteKey, Arc<ActiveRoute>>,
    /// What was written into clusters that are not running.
    pub ledgers: BTreeMap<ClusterId, Ledger>,
    /// See [`Engine::know_tasks`].
    pub tasks: Option<Arc<BTreeSet<OwnerId>>>,
}

pub(crate) struct RunningCluster {
    pub cluster: Arc<ActiveCluster>,
    stop: CancellationToken,
}

impl Engine {
    /// An engine that does nothing yet. `ledger` is what earlier processes of this install wrote.
    pub fn new(timing: Timing, recorder: Arc<dyn Recorder>, ledger: BTreeMap<ClusterId, Ledger>) -> Arc<Self> {
        let engine = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            timing,
            recorder,
            state: Mutex::new(Topology {
                clusters: BTreeMap::new(),
                routes: BTreeMap::new(),
                ledgers: ledger,
                tasks: None,
            }),
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
            crashes: Crashes::default(),
            pacers: Pacers::default(),
        });
        let (warden, stop, crashes) = (Arc::downgrade(&engine), engine.stop.clone(), engine.crashes.clone());
        engine.tasks.lock().spawn(async move {
            let watch = || async {
                let (mut tick, mut tidy) = (tokio::time::interval(TICK), tokio::time::interval(TIDY));
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        _ = tidy.tick() => causeway_core::tidy(),
                        _ = tick.tick() => match warden.upgrade() {
                            Some(engine) => engine.watch_guards(),
                            None => return,
                        },
                    }
                }
            };
            supervise(EngineWork::Guards, &crashes, &stop, watch, |_| {}).await;
        });
        engine
    }

    /// What else writes to the same clusters shares these.
    pub fn pacers(&self) -> Pacers {
        self.pacers.clone()
    }

    /// Work inside the engine that panicked and does not work again yet.
    pub fn crashes(&self) -> Vec<Crash> {
        let state = self.state.lock();
        let clusters = state.clusters.values().flat_map(|running| running.cluster.crashes.list());
        self.crashes.list().into_iter().chain(clusters).collect()
    }

    /// Says which tasks there are, also those that cannot run: what any other one has left may be taken over by a task that wants
    /// it. Holds from the next [`Engine::configure`] on; until it is said, no task counts as ended.
    pub fn know_tasks(&self, tasks: BTreeSet<OwnerId>) {
        self.state.lock().tasks = Some(Arc::new(tasks));
    }

    /// Makes the running clusters and routes those that are given. What is the same goes on untouched.
    pub fn configure(&self, clusters: Vec<ClusterSpec>, routes: Vec<RouteSpec>) {
        let mut state = self.state.lock();
        let mut wanted: BTreeMap<ClusterId, ClusterSpec> =
            clusters.into_iter().map(|spec| (spec.id.clone(), spec)).collect();
        let differs = |id: &ClusterId, running: &mut RunningCluster| {
            wanted.get(id).is_none_or(|spec| spec.port != running.cluster.spec.port)
        };
        let gone: Vec<_> = state.clusters.extract_if(.., differs).collect();
        for (id, running) in gone {
            state.ledgers.insert(id.clone(), (**running.cluster.ledger.lock()).clone());
            self.retire(running, wanted.contains_key(&id));
        }
        wanted.retain(|id, _| !state.clusters.contains_key(id));
        for (id, spec) in wanted {
            let ledger = state.ledgers.remove(&id).unwrap_or_default();
            let running = RunningCluster {
                cluster: Arc::new(ActiveCluster::new(spec, ledger, &self.pacers)),
                stop: self.stop.child_token(),
            };
            state.clusters.insert(id, running);
        }
        state.connect(routes);
        state.clusters.values().for_each(|running| self.start(running));
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
    }

    /// Starts reader and writer once the cluster is used.
    fn start(&self, running: &RunningCluster) {
        let (cluster, name) = (&running.cluster, running.cluster.spec.name.clone());
        let writes = !cluster.inbound.read().is_empty() || !cluster.ledger.lock().is_empty();
        let used = writes || !cluster.outbound.read().is_empty();
        let with = || (self.timing.clone(), self.recorder.clone());
        if used && !cluster.reading.swap(true, Ordering::SeqCst) {
            let (timing, recorder) = with();
            let read = move |cluster, stop| ClusterReader::new(cluster, timing.clone(), recorder.clone()).run(stop);
            self.spawn(running, EngineWork::Reading { cluster: name.clone() }, read, ClusterReader::crashed);
        }
        if let Some(sink) = cluster.sink.clone().filter(|_| writes)
            && !cluster.writing.swap(true, Ordering::SeqCst)
        {
            self.spawn(running, EngineWork::Comparing { cluster: name.clone() }, replicas::watch, |_, _| {});
            let (timing, recorder) = with();
            let write = move |cluster, stop| {
                ClusterWriter::new(cluster, sink.clone(), timing.clone(), recorder.clone()).run(stop)
            };
            self.spawn(running, EngineWork::Writing { cluster: name }, write, |cluster, _| {
                ClusterWriter::crashed(cluster)
            });
        }
    }

    /// Runs work of a cluster until the cluster is stopped, and starts it anew when it panics.
    fn spawn<W: Future<Output = ()> + Send>(
        &self,
        running: &RunningCluster,
        work: EngineWork,
        start: impl Fn(Arc<ActiveCluster>, CancellationToken) -> W + Send + Sync + 'static,
        crashed: impl Fn(&ActiveCluster, &Crash) + Send + Sync + 'static,
    ) {
        let (cluster, stop) = (running.cluster.clone(), running.stop.clone());
        self.tasks.lock().spawn(async move {
            let start = || start(cluster.clone(), stop.clone());
            supervise(work, &cluster.crashes, &stop, start, |crash| crashed(&cluster, crash)).await;
        });
    }

    /// Stops a cluster; its connection stays until a successor has taken over what it held: where new settings never work,
    /// what the old ones kept alive stands on.
    fn retire(&self, running: RunningCluster, replaced: bool) {
        running.stop.cancel();
        if let Some(sink) = running.cluster.sink.clone() {
            let (stop, me, id) = (self.stop.clone(), self.me.clone(), running.cluster.id().clone());
            self.tasks.lock().spawn(async move {
                let followed = async {
                    tokio::time::sleep(HANDOVER).await;
                    while me.upgrade().is_some_and(|engine| !engine.is_followed(&id)) {
                        tokio::time::sleep(TICK).await;
                    }
                };
                if replaced {
                    tokio::select! {
                        // The process ends: the connection must not be closed in order.
                        () = stop.cancelled() => return std::mem::forget(sink),
                        () = followed => {}
                    }
                }
                let close = contain(async { sink.close().await });
                tokio::select! {
                    () = stop.cancelled() => {}
                    closed = close => if let Err(panic) = closed {
                        tracing::error!("a replaced connection could not be closed because of a bug in Causeway: {panic}");
                    }
                }
            });
        }
    }

    /// Whether a cluster's present connection keeps alive everything that is ours there, or nothing is any more.
    fn is_followed(&self, id: &ClusterId) -> bool {
        let state = self.state.lock();
        let Some(cluster) = state.clusters.get(id).map(|running| &running.cluster) else { return true };
        let works = || {
            let mirror = cluster.mirror.lock();
            let written = cluster.written_parts.read();
            mirror.error.is_none() && written.iter().all(|part| mirror.part(part).is_some_and(|state| state.ready()))
        };
        !cluster.writing.load(Ordering::SeqCst)
            || (cluster.adopted.load(Ordering::SeqCst) && works() && planned_once(cluster))
    }

    /// Forgets what a task wrote, so that its copies are nobody's. Returns how many records that were.
    pub fn forget(&self, owner: &OwnerId) -> usize {
        let state = self.state.lock();
        let mut forgotten = 0;
        for running in state.clusters.values() {
            let cluster = &running.cluster;
            let ledger = (**cluster.ledger.lock()).clone();
            for (scope, written) in ledger {
                let mut written = (*written).clone();
                let before = written.records.len();
                written.records.retain(|_, record| record.owner != *owner);
                if written.records.len() != before {
                    forgotten += before - written.records.len();
                    self.recorder.ledger(cluster.id(), &scope, &written);
                    cluster.remember(&scope, written);
                }
            }
        }
        forgotten
    }

    /// Stops reading and writing. Connections stay as they are: what they hold ends with the process, or not.
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

impl Topology {
    /// Makes the routes those that are given, keeping the memory of those that go on.
    fn connect(&mut self, specs: Vec<RouteSpec>) {
        let mut before = std::mem::take(&mut self.routes);
        let mut fresh = Vec::new();
        self.clusters.values().for_each(|running| *running.cluster.owners.write() = self.tasks.clone());
        for spec in specs {
            let (Some(source), Some(destination)) =
                (self.clusters.get(&spec.source), self.clusters.get(&spec.destination))
            else {
                continue;
            };
            let key = (spec.owner.clone(), spec.destination.clone());
            let old = before.remove(&key);
            if let Some(old) = old.as_ref().filter(|old| {
                old.spec.same(&spec)
                    && Arc::ptr_eq(&old.source, &source.cluster)
                    && Arc::ptr_eq(&old.destination, &destination.cluster)
            }) {
                self.routes.insert(key, old.clone());
                continue;
            }
            // What was remembered of another source says nothing of this one.
            let kept = old.filter(|old| old.spec.source == spec.source);
            // What was let go was let go for the task as it was.
            let only_run = |old: &Arc<ActiveRoute>| RouteSpec { run: spec.run, ..old.spec.clone() }.same(&spec);
            if let Some(old) = kept.as_ref().filter(|old| !only_run(old)) {
                *old.memory.released.lock() = SetMap::default();
            }
            let memory = kept.map_or_else(|| Arc::new(RouteMemory::new(&spec)), |old| old.memory.clone());
            memory.guard.lock().set_limits(spec.guard);
            // What does not take part any more is planned no more.
            *memory.travels.lock() = Travels::default();
            if spec.only != Only::Freeze {
                *memory.only.lock() = spec.only.clone();
            }
            let route = Arc::new(ActiveRoute::new(spec, &source.cluster, &destination.cluster, memory));
            route.map_feeds();
            route.learn_from_ledger();
            fresh.push(route.clone());
            self.routes.insert(key, route);
        }
        for running in self.clusters.values() {
            let id = running.cluster.id();
            let pick = |at: fn(&ActiveRoute) -> &ClusterId| -> Vec<_> {
                self.routes.values().filter(|route| at(route) == id).cloned().collect()
            };
            running.cluster.connect(pick(|route| &route.spec.destination), pick(|route| &route.spec.source));
        }
        fresh.iter().for_each(ActiveRoute::sweep_all);
        // What was told of a task that has gone may concern another one.
        for gone in before.into_values() {
            let told = gone.destination.scopes.lock().of(&gone.spec.owner);
            gone.destination.queue.sweep(told, Instant::now());
        }
    }
}
