//! What reader, writer and routes of one cluster share.

use crate::kit::guard::Guard;
use crate::kit::pace::{Pacer, Pacers};
use crate::kit::queue::{Lane, Queue};
use crate::kit::supervise::Crashes;
use crate::services::census::Counts;
use crate::services::export::export;
use crate::services::mirror::Mirror;
use crate::services::releases::Releases;
use crate::services::scopes::Scopes;
use crate::services::sweep::{Sweeps, What};
use crate::spec::{ClusterSpec, Only, RouteSpec};
use causeway_core::{ClusterId, InstanceId, OwnerId, Part, Parts, ServiceKey, Set, Sink, Source, Written};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What an install wrote into one cluster, by scope.
pub type Ledger = BTreeMap<ServiceKey, Arc<Written>>;

/// One cluster that is in use.
pub(crate) struct Cluster {
    pub spec: ClusterSpec,
    pub source: Arc<dyn Source>,
    pub sink: Option<Arc<dyn Sink>>,
    pub mirror: Mutex<Mirror>,
    /// What this install wrote here. Changed by [`Cluster::remember`] alone.
    pub ledger: Mutex<Ledger>,
    /// What each task has in the ledger, by part.
    holdings: Mutex<BTreeMap<OwnerId, BTreeMap<Part, Holdings>>>,
    /// When each scope was last written by us.
    pub written: Mutex<BTreeMap<ServiceKey, Instant>>,
    /// Its writer has taken a scope out of the queue and does not write it yet.
    pub planning: AtomicBool,
    /// Writes under way.
    pub writes: AtomicUsize,
    /// How many scopes its writer remembers something about.
    pub remembered: AtomicUsize,
    /// Scopes to be planned here.
    pub queue: Queue<ServiceKey>,
    /// Scopes to be looked at and marked here.
    pub sweeps: Sweeps,
    pub scopes: Mutex<Scopes>,
    /// Parts that were asked to be looked at whole.
    pub looks: Mutex<BTreeSet<Part>>,
    pub look: Notify,
    /// Grows when what is selected here may have changed.
    selection: AtomicU64,
    /// Parts that routes write to, or have written to. Added to by [`Cluster::writes_in`] alone.
    pub written_parts: RwLock<BTreeSet<Part>>,
    /// Why a part could not be made.
    pub part_errors: Mutex<BTreeMap<Part, String>>,
    /// Why no list of what exists now can be made, for routes that are limited to that.
    pub freeze_error: Mutex<Option<String>>,
    /// In words, where servers of the cluster do not list what we wrote.
    pub unlike: Mutex<Vec<String>>,
    /// Routes that write here.
    pub inbound: RwLock<Vec<Arc<Route>>>,
    /// Routes that read here.
    pub outbound: RwLock<Vec<Arc<Route>>>,
    /// Whether everything that an earlier process wrote is kept alive again.
    pub adopted: watch::Sender<bool>,
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

impl Cluster {
    pub fn new(spec: ClusterSpec, ledger: Ledger, pacers: &Pacers) -> Self {
        Self {
            pacer: pacers.of(&spec.id),
            crashes: Crashes::default(),
            source: spec.port.source(),
            sink: spec.port.sink(),
            spec,
            mirror: Mutex::default(),
            holdings: Mutex::new(count(ledger.iter().map(|(scope, written)| (scope.part(), &**written)))),
            ledger: Mutex::new(ledger),
            written: Mutex::default(),
            planning: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            remembered: AtomicUsize::new(0),
            queue: Queue::new(),
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
            adopted: watch::channel(false).0,
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

    /// What a task holds here.
    pub fn held_by(&self, owner: &OwnerId) -> Holdings {
        let mut sum = Holdings::default();
        self.holdings.lock().get(owner).into_iter().flatten().for_each(|(_, here)| sum.add(*here));
        sum
    }

    /// The parts in which a task holds records.
    pub fn parts_held_by(&self, owner: &OwnerId) -> BTreeSet<Part> {
        self.holdings.lock().get(owner).map(|parts| parts.keys().cloned().collect()).unwrap_or_default()
    }

    /// The parts in which any task holds records.
    pub fn parts_held(&self) -> BTreeSet<Part> {
        self.holdings.lock().values().flat_map(|parts| parts.keys().cloned()).collect()
    }

    /// Whether the cluster lists its parts, and this is none of them.
    pub fn is_unlisted(&self, part: &Part) -> bool {
        self.listed.lock().as_ref().is_some_and(|listed| !listed.contains_key(part))
    }

    /// How many records each task holds here.
    pub fn records(&self) -> BTreeMap<OwnerId, usize> {
        let sum = |parts: &BTreeMap<Part, Holdings>| parts.values().map(|here| here.records).sum();
        self.holdings.lock().iter().map(|(owner, parts)| (owner.clone(), sum(parts))).collect()
    }

    /// How many records all tasks hold here.
    pub fn total(&self) -> usize {
        self.holdings.lock().values().flat_map(BTreeMap::values).map(|here| here.records).sum()
    }

    /// Remembers what this install has in a scope now.
    pub fn remember(&self, scope: &ServiceKey, written: Written) {
        let mut ledger = self.ledger.lock();
        let mut holdings = self.holdings.lock();
        let part = scope.part();
        for (owner, before) in count(ledger.get(scope).map(|before| (part.clone(), &**before)).into_iter()) {
            let Some(parts) = holdings.get_mut(&owner) else { continue };
            for (part, before) in before {
                if let Some(sum) = parts.get_mut(&part) {
                    sum.subtract(before);
                    if sum.records == 0 {
                        parts.remove(&part);
                    }
                }
            }
            if parts.is_empty() {
                holdings.remove(&owner);
            }
        }
        for (owner, now) in count(std::iter::once((part, &written))) {
            let parts = holdings.entry(owner).or_default();
            now.into_iter().for_each(|(part, now)| parts.entry(part).or_default().add(now));
        }
        let was_here = ledger.contains_key(scope);
        let is_here = !written.is_empty();
        match is_here {
            false => drop(ledger.remove(scope)),
            true => drop(ledger.insert(scope.clone(), Arc::new(written))),
        }
        drop((ledger, holdings));
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
        self.outbound.read().iter().any(|route| route.spec.lens.scope(scope).is_some())
            || self.inbound.read().iter().any(|route| {
                // Under other names anything may be a target.
                route.renames() || route.spec.lens.scope(scope).is_some()
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
    pub fn connect(&self, inbound: Vec<Arc<Route>>, outbound: Vec<Arc<Route>>) {
        let same =
            |a: &[Arc<Route>], b: &[Arc<Route>]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b));
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
    pub fn touched(&self, scope: &ServiceKey, lane: Lane, now: Instant) {
        if !self.inbound.read().is_empty() {
            self.queue.mark_in(lane, scope, now);
        }
        for route in self.outbound.read().iter() {
            route.touched(scope, lane, now);
        }
    }

    /// Asks for a sweep over everything that this cluster's inbound routes want or have in `part`.
    pub fn touch_part(&self, part: &Part) {
        self.sweep(What::Held(None, Some(part.clone())));
        for route in self.inbound.read().iter() {
            self.sweep(What::Wanted(route.clone(), Some(part.clone())));
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

/// What one task has in the ledger of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Everything.
    pub records: usize,
    /// Without those that back a native one.
    pub instances: usize,
    /// Scopes with such an instance.
    pub services: usize,
}

impl Holdings {
    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.instances += other.instances;
        self.services += other.services;
    }

    fn subtract(&mut self, other: Self) {
        self.records -= other.records;
        self.instances -= other.instances;
        self.services -= other.services;
    }
}

/// How many records each task has in a ledger.
pub(crate) fn records(ledger: &Ledger) -> BTreeMap<OwnerId, usize> {
    let sums = count(ledger.iter().map(|(scope, written)| (scope.part(), &**written)));
    let sum = |parts: BTreeMap<Part, Holdings>| parts.values().map(|here| here.records).sum();
    sums.into_iter().map(|(owner, parts)| (owner, sum(parts))).collect()
}

fn count<'a>(written: impl Iterator<Item = (Part, &'a Written)>) -> BTreeMap<OwnerId, BTreeMap<Part, Holdings>> {
    let mut sums = BTreeMap::<OwnerId, BTreeMap<Part, Holdings>>::new();
    for (part, written) in written {
        let mut here = BTreeMap::<&OwnerId, Holdings>::new();
        for record in written.records.values() {
            let sum = here.entry(&record.owner).or_default();
            sum.records += 1;
            sum.instances += usize::from(!record.shadow);
            sum.services = usize::from(sum.instances > 0);
        }
        for (owner, here) in here {
            match sums.get_mut(owner).and_then(|parts| parts.get_mut(&part)) {
                Some(sum) => sum.add(here),
                None => drop(sums.entry(owner.clone()).or_default().insert(part.clone(), here)),
            }
        }
    }
    sums
}

/// One direction of one task at work.
pub(crate) struct Route {
    pub spec: RouteSpec,
    pub source: Arc<Cluster>,
    pub destination: Arc<Cluster>,
    pub memory: Arc<RouteMemory>,
    /// What is missing from each part of the source. With other settings it is counted anew.
    pub counts: Counts,
    /// For each part of the source, one scope with records that matches the filters; `None`: there is none.
    samples: Mutex<BTreeMap<Part, Option<ServiceKey>>>,
}

/// What of a route outlives a change of its settings.
pub(crate) struct RouteMemory {
    pub guard: Mutex<Guard>,
    /// What guards held and was let go.
    pub released: Mutex<Releases>,
    /// Whether an event has told of the guard's hold.
    pub told: Mutex<bool>,
    /// Which scopes of the source feed a scope of the destination, where names change on the way.
    pub feeds: Mutex<BTreeMap<ServiceKey, BTreeSet<ServiceKey>>>,
    /// The scopes that take part, where later ones do not.
    pub only: Mutex<Only>,
}

impl Route {
    pub fn new(spec: RouteSpec, source: &Arc<Cluster>, destination: &Arc<Cluster>, memory: Arc<RouteMemory>) -> Self {
        let (source, destination) = (source.clone(), destination.clone());
        Self { spec, source, destination, memory, counts: Counts::default(), samples: Mutex::default() }
    }

    /// Whether any scope with records in a part of the source matches the filters. Looks for one only at first and when
    /// the one that was found last has lost its records.
    pub fn matches_in(&self, part: &Part) -> bool {
        let mut samples = self.samples.lock();
        let mirror = self.source.mirror.lock();
        let Some(state) = mirror.part(part) else { return false };
        match samples.get(part) {
            Some(None) => return false,
            Some(Some(scope)) if state.set(scope).is_some_and(|set| !set.records.is_empty()) => return true,
            _ => {}
        }
        let mut filled = state.sets().values().filter(|set| !set.records.is_empty());
        let found = filled.find(|set| self.spec.lens.scope(&set.scope).is_some()).map(|set| set.scope.clone());
        let matches = found.is_some();
        samples.insert(part.clone(), found);
        matches
    }

    /// A scope of the source has changed: where none has matched until now, it may.
    fn note_match(&self, scope: &ServiceKey) {
        let part = scope.part();
        let mut samples = self.samples.lock();
        if matches!(samples.get(&part), Some(None))
            && self.source.mirror.lock().set(scope).is_some_and(|set| !set.records.is_empty())
            && self.spec.lens.scope(scope).is_some()
        {
            samples.insert(part, Some(scope.clone()));
        }
    }

    /// Whether a part of the source belongs to this route.
    pub fn takes_part(&self, part: &Part, title: Option<&str>) -> bool {
        let Some(words) = &self.spec.parts else { return true };
        if words.contains(&part.0) {
            return true;
        }
        // A display name counts where no part has the word as its id.
        title.is_some_and(|title| words.contains(title) && self.by_title(title) == Some(part.clone()))
    }

    /// The one part of this display name; none when two have it, or when it is another part's id.
    fn by_title(&self, title: &str) -> Option<Part> {
        let listed = self.source.listed.lock();
        let parts = listed.as_ref()?;
        let mut named = parts.iter().filter(|(_, name)| name.as_deref() == Some(title)).map(|(part, _)| part);
        match (parts.contains_key(&Part::new(title)), named.next(), named.next()) {
            (false, Some(part), None) => Some(part.clone()),
            _ => None,
        }
    }

    /// Whether services or parts may have other names in the destination.
    pub fn renames(&self) -> bool {
        let sink = self.destination.sink.as_ref();
        self.spec.lens.renames() || sink.is_some_and(|sink| sink.capabilities().renames)
    }

    /// The destination's part for a part of the source.
    pub fn target_part(&self, part: &Part) -> Part {
        let wanted = self.spec.lens.part(part);
        self.destination.sink.as_ref().map_or_else(|| wanted.clone(), |sink| sink.part(&wanted))
    }

    /// The destination's scopes for one that the filters take. One that has no place there keeps its name, so that its
    /// records can be refused by name.
    fn named(&self, scope: &ServiceKey) -> Vec<ServiceKey> {
        let Some(wanted) = self.spec.lens.scope(scope) else { return Vec::new() };
        let Some(sink) = &self.destination.sink else { return vec![wanted] };
        sink.scopes(&wanted).unwrap_or_else(|_| vec![wanted.in_part(&sink.part(&wanted.part()))])
    }

    /// Why a scope has no place in the destination. Every one has in a destination that does not choose names.
    pub fn no_place(&self, scope: &ServiceKey) -> Option<String> {
        let sink = self.destination.sink.as_ref().filter(|sink| sink.capabilities().renames)?;
        sink.scopes(&self.spec.lens.scope(scope)?).err()
    }

    /// The destination's scopes; none where the scope takes no part.
    pub fn targets(&self, scope: &ServiceKey) -> Vec<ServiceKey> {
        match &*self.memory.only.lock() {
            Only::Any => {}
            Only::Freeze => return Vec::new(),
            Only::Frozen(scopes) if !scopes.contains(scope) => return Vec::new(),
            Only::Frozen(_) => {}
        }
        let targets = self.named(scope);
        let mirror = self.source.mirror.lock();
        let title = mirror.part(&scope.part()).and_then(|state| state.title.clone());
        drop(mirror);
        if self.takes_part(&scope.part(), title.as_deref()) { targets } else { Vec::new() }
    }

    /// Every scope that the source is known to have.
    pub fn source_scopes(&self) -> Vec<ServiceKey> {
        let mirror = self.source.mirror.lock();
        mirror.parts().values().flat_map(|state| state.sets().keys().cloned()).collect()
    }

    /// The scopes of the source that feed a scope of the destination.
    pub fn feeding(&self, target: &ServiceKey) -> Vec<ServiceKey> {
        match self.renames() {
            false => vec![target.clone()],
            true => {
                self.memory.feeds.lock().get(target).map(|scopes| scopes.iter().cloned().collect()).unwrap_or_default()
            }
        }
    }

    /// Finds out which scopes feed which, all at once: a scope that is planned between two of its feeds would lose the
    /// second one's records.
    pub fn map_feeds(&self) {
        if !self.renames() {
            return;
        }
        let mut feeds: BTreeMap<ServiceKey, BTreeSet<ServiceKey>> = BTreeMap::new();
        for scope in self.source_scopes() {
            for target in self.targets(&scope) {
                feeds.entry(target).or_default().insert(scope.clone());
            }
        }
        *self.memory.feeds.lock() = feeds;
    }

    /// Whether anything in the source wants to stand in this scope.
    pub fn target_wanted(&self, target: &ServiceKey) -> bool {
        let feeding = self.feeding(target);
        let mirror = self.source.mirror.lock();
        feeding.iter().any(|scope| mirror.set(scope).is_some_and(|set| !set.records.is_empty()))
    }

    /// Whether a part that the destination serves and does not list is made there, so that it does. A way back leaves one
    /// alone that the operator's providers use without a list having shown it: the task only says so.
    pub fn lists(&self, target: &Part) -> bool {
        if self.always_lists(target) {
            return true;
        }
        let mirror = self.destination.mirror.lock();
        let native = |set: &Arc<Set>| set.records.values().any(|held| held.native.is_some());
        !mirror.part(target).is_some_and(|state| state.sets().values().any(native))
    }

    /// Whether it is made even where others use it.
    pub fn always_lists(&self, target: &Part) -> bool {
        !self.spec.way_back || self.destination.once_listed.lock().contains(target)
    }

    /// The display name that a part of the destination is to have.
    pub fn title_for(&self, target: &Part) -> Option<Arc<str>> {
        let mirror = self.source.mirror.lock();
        let (_, state) = mirror.parts().iter().find(|(part, _)| self.target_part(part) == *target)?;
        state.title.clone()
    }

    fn touched(&self, scope: &ServiceKey, lane: Lane, now: Instant) {
        self.note_match(scope);
        for target in self.feed(scope) {
            self.judge_anew(&target, now);
            self.destination.queue.mark_in(lane, &target, now);
        }
    }

    /// The destination's scopes, like [`Self::targets`]; notes what feeds them.
    pub fn feed(&self, scope: &ServiceKey) -> Vec<ServiceKey> {
        let targets = self.targets(scope);
        if self.renames() {
            let mut feeds = self.memory.feeds.lock();
            for target in &targets {
                feeds.entry(target.clone()).or_default().insert(scope.clone());
            }
        }
        targets
    }

    /// A scope of the source is gone and forgotten: it feeds nothing any more.
    pub fn unfeed(&self, scope: &ServiceKey) {
        if !self.renames() {
            return;
        }
        let targets = self.named(scope);
        let mut feeds = self.memory.feeds.lock();
        for target in targets {
            if let Some(scopes) = feeds.get_mut(&target) {
                scopes.remove(scope);
                if scopes.is_empty() {
                    feeds.remove(&target);
                }
            }
        }
    }

    /// Forgets that the removal of what has come back was let go: it may go again before the next planning.
    fn judge_anew(&self, target: &ServiceKey, now: Instant) {
        if self.memory.released.lock().of(target).is_some() {
            let wish = export(self, target, now).wish;
            let back = |id: &InstanceId| wish.records.contains_key(id) || wish.refused.contains_key(id);
            self.memory.released.lock().retain(target, |id| !back(id));
        }
    }

    /// Asks for a sweep over everything that this route wants or has.
    pub fn touch_all(self: &Arc<Self>) {
        self.destination.sweep(What::Wanted(self.clone(), None));
        self.destination.sweep(What::Held(Some(self.spec.owner.clone()), None));
        self.destination.sweep(What::Lost);
    }
}
