//! What reader, writer and routes of one cluster share.

use crate::kit::meter::WriteMeter;
use crate::kit::pace::{Pacer, Pacers};
use crate::kit::queue::{ScopeQueue, Urgency};
use crate::kit::supervise::Crashes;
use crate::services::ledger::{CountedLedger, Ledger};
use crate::services::mirror::Mirror;
use crate::services::route::{ActiveRoute, RouteMemory};
use crate::services::scopes::Scopes;
use crate::services::sweep::{Coverage, Sweeps};
use crate::spec::ClusterSpec;
use causeway_core::{ClusterId, OwnerId, Part, Parts, ServiceKey, Sink, Source, Written};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::time::Instant;

/// One cluster that is in use.
pub(crate) struct ActiveCluster {
    pub spec: ClusterSpec,
    pub source: Arc<dyn Source>,
    pub sink: Option<Arc<dyn Sink>>,
    pub mirror: Mutex<Mirror>,
    /// What this install wrote here. Changed by [`ActiveCluster::remember`] alone.
    pub ledger: Mutex<CountedLedger>,
    /// When each scope was last written by us.
    pub written: Mutex<BTreeMap<ServiceKey, Instant>>,
    /// Its writer has taken a scope out of the queue and does not write it yet.
    pub planning: AtomicBool,
    /// Writes under way.
    pub writes: AtomicUsize,
    /// Writes here that are no task's.
    pub meter: Arc<WriteMeter>,
    /// How many scopes its writer remembers something about.
    pub remembered: AtomicUsize,
    /// Scopes to be planned here.
    pub queue: ScopeQueue<ServiceKey>,
    /// Scopes to be looked at and marked here.
    pub sweeps: Sweeps,
    pub scopes: Mutex<Scopes>,
    /// Parts that were asked to be looked at whole.
    pub looks: Mutex<BTreeSet<Part>>,
    pub look: Notify,
    /// Grows when what is selected here may have changed.
    selection: AtomicU64,
    /// Parts that routes write to, or have written to. Added to by [`ActiveCluster::writes_in`] alone.
    pub written_parts: RwLock<BTreeSet<Part>>,
    /// Why a part could not be made.
    pub part_errors: Mutex<BTreeMap<Part, String>>,
    /// Why no list of what exists now can be made, for routes that are limited to that.
    pub freeze_error: Mutex<Option<String>>,
    /// In words, where servers of the cluster do not list what we wrote.
    pub unlike: Mutex<Vec<String>>,
    /// Routes that write here.
    pub inbound: RwLock<Vec<Arc<ActiveRoute>>>,
    /// Routes that read here.
    pub outbound: RwLock<Vec<Arc<ActiveRoute>>>,
    /// All tasks there are, wherever they write; `None`: it is not known.
    pub owners: RwLock<Option<Arc<BTreeSet<OwnerId>>>>,
    /// Whether everything that an earlier process wrote is kept alive again.
    pub adopted: AtomicBool,
    /// The parts that the cluster lists, as last asked. It may serve others.
    pub listed: Mutex<Option<Parts>>,
    /// Parts that were listed at some time since this process started.
    pub once_listed: Mutex<BTreeSet<Part>>,
    /// How many scopes a part has, for routes that find none of theirs.
    pub counted: Mutex<BTreeMap<Part, usize>>,
    /// Whether its reader and its writer have been started.
    pub reading: AtomicBool,
    pub writing: AtomicBool,
    /// Its reader or writer, where one has panicked and does not work again yet.
    pub crashes: Crashes,
    /// What else writes to the same cluster shares this.
    pub pacer: Arc<Pacer>,
}

impl ActiveCluster {
    pub fn new(spec: ClusterSpec, ledger: Ledger, pacers: &Pacers) -> Self {
        Self {
            pacer: pacers.of(&spec.id),
            crashes: Crashes::default(),
            source: spec.port.source(),
            sink: spec.port.sink(),
            spec,
            mirror: Mutex::default(),
            ledger: Mutex::new(ledger.into()),
            written: Mutex::default(),
            planning: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            meter: Arc::default(),
            remembered: AtomicUsize::new(0),
            queue: ScopeQueue::new(),
            sweeps: Sweeps::default(),
            scopes: Mutex::default(),
            looks: Mutex::default(),
            look: Notify::new(),
            selection: AtomicU64::new(0),
            written_parts: RwLock::default(),
            part_errors: Mutex::default(),
            freeze_error: Mutex::default(),
            unlike: Mutex::default(),
            inbound: RwLock::default(),
            outbound: RwLock::default(),
            owners: RwLock::default(),
            adopted: AtomicBool::new(false),
            listed: Mutex::default(),
            once_listed: Mutex::default(),
            counted: Mutex::default(),
            reading: AtomicBool::new(false),
            writing: AtomicBool::new(false),
        }
    }

    pub fn id(&self) -> &ClusterId {
        &self.spec.id
    }

    /// Whether the cluster lists its parts, and this is none of them.
    pub fn is_unlisted(&self, part: &Part) -> bool {
        self.listed.lock().as_ref().is_some_and(|listed| !listed.contains_key(part))
    }

    /// What this install wrote into a scope.
    pub fn written_in(&self, scope: &ServiceKey) -> Arc<Written> {
        self.ledger.lock().get(scope).cloned().unwrap_or_default()
    }

    /// Remembers what this install has in a scope now.
    pub fn remember(&self, scope: &ServiceKey, written: Written) {
        let is_here = !written.is_empty();
        let was_here = self.ledger.lock().set(scope, written).is_some();
        if !is_here {
            self.written.lock().remove(scope);
        }
        // What the routes select is of interest anyway.
        if was_here != is_here && !self.is_selected(scope) {
            self.change_selection();
        }
    }

    /// Whether a route that reads or writes here may have something to do with a scope.
    pub fn is_selected(&self, scope: &ServiceKey) -> bool {
        self.outbound.read().iter().any(|route| route.wanted(scope).is_some())
            || self.inbound.read().iter().any(|route| {
                // Under other names anything may be a target.
                route.renames() || route.wanted(scope).is_some()
            })
    }

    /// See [`causeway_core::Interest::epoch`].
    pub fn selection_epoch(&self) -> u64 {
        self.selection.load(Ordering::SeqCst)
    }

    fn change_selection(&self) {
        self.selection.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes parts that routes write to.
    pub fn writes_in(&self, parts: impl IntoIterator<Item = Part>) {
        let new: Vec<_> = {
            let known = self.written_parts.read();
            parts.into_iter().filter(|part| !known.contains(part)).collect()
        };
        if !new.is_empty() {
            self.written_parts.write().extend(new);
            self.change_selection();
        }
    }

    /// Makes the routes that read and write here those that are given.
    pub fn connect(&self, inbound: Vec<Arc<ActiveRoute>>, outbound: Vec<Arc<ActiveRoute>>) {
        let same = |a: &[Arc<ActiveRoute>], b: &[Arc<ActiveRoute>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if same(&self.inbound.read(), &inbound) && same(&self.outbound.read(), &outbound) {
            return;
        }
        *self.inbound.write() = inbound;
        *self.outbound.write() = outbound;
        self.change_selection();
    }

    /// Asks for a complete look at a part.
    pub fn ask_look(&self, part: &Part) {
        if self.looks.lock().insert(part.clone()) {
            self.look.notify_one();
        }
    }

    /// Marks what depends on a scope of this cluster: the scope itself where we write here, and the scopes that it
    /// feeds elsewhere.
    pub fn scope_changed(&self, scope: &ServiceKey, urgency: Urgency, now: Instant) {
        if !self.inbound.read().is_empty() {
            self.queue.mark_as(urgency, scope, now);
        }
        for route in self.outbound.read().iter() {
            route.source_changed(scope, urgency, now);
        }
    }

    /// Asks for a sweep over everything that this cluster's inbound routes want or have in `part`, or of which something is told.
    pub fn sweep_part(&self, part: &Part) {
        let told = self.scopes.lock().in_part(part);
        self.queue.sweep(told, Instant::now());
        self.sweep(Coverage::Held(None, Some(part.clone())));
        for route in self.inbound.read().iter() {
            self.sweep(Coverage::Wanted(route.clone(), Some(part.clone())));
        }
    }

    /// How many scopes each memory keeps something about.
    pub fn sizes(&self) -> BTreeMap<&'static str, usize> {
        let [sets, overlays, changed, witnessed] = self.mirror.lock().sizes();
        let outbound = self.outbound.read();
        let sum = |of: fn(&RouteMemory) -> usize| outbound.iter().map(|route| of(&route.memory)).sum();
        BTreeMap::from([
            ("sets", sets),
            ("overlays", overlays),
            ("changed", changed),
            ("witnessed", witnessed),
            ("ledger", self.ledger.lock().len()),
            ("written", self.written.lock().len()),
            ("queue", self.queue.len()),
            ("scopes", self.scopes.lock().len()),
            ("looks", self.looks.lock().len()),
            ("writer", self.remembered.load(Ordering::SeqCst)),
            ("feeds", sum(|memory| memory.feeds.lock().len())),
            ("released", sum(|memory| memory.released.lock().len())),
            ("travels", sum(|memory| memory.travels.lock().len())),
        ])
    }

    /// Whether nothing is due, being planned or written, or still to be swept.
    pub fn is_idle(&self, now: Instant) -> bool {
        // In the order in which work goes from one to the next.
        self.sweeps.is_empty()
            && self.queue.next().is_none_or(|at| at > now)
            && !self.planning.load(Ordering::SeqCst)
            && self.writes.load(Ordering::SeqCst) == 0
    }
}
