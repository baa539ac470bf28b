//! What the engine shows of itself.

use crate::kit::meter::WriteMeter;
use crate::notice::{LeftAlone, Notice};
use crate::services::cluster::ActiveCluster;
use crate::services::engine::{Engine, RunningCluster};
use crate::services::ledger::Holdings;
use crate::services::mirror::PartState;
use crate::services::route::ActiveRoute;
use crate::services::scopes::{Scopes, Tally};
use crate::services::spelling::NoticesOf;
use crate::spec::{Only, RunState};
use crate::status::{Hold, RouteState};
use causeway_core::{
    Carrier, ClusterId, Fresh, InstanceId, OwnerId, Part, ServiceKey, Set, Skip, SkipKind, Unreadable,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Copies of another tool that are named, of those that nobody wants.
const SOME: usize = 3;
/// Failed scopes whose errors are looked through for the different ones, at most.
const ERRORS: usize = 100;

/// One direction of one task, as it stands now.
#[derive(Clone, Debug)]
pub struct RouteStatus {
    /// The task, as it stands in marks.
    pub owner: OwnerId,
    /// Where it reads.
    pub source: ClusterId,
    /// Where it writes.
    pub destination: ClusterId,
    /// How it is doing.
    pub state: RouteState,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// Services in which it holds copies.
    pub services: usize,
    /// Copies that it holds.
    pub instances: usize,
    /// Differences that are to be written.
    pub pending: usize,
    /// Removals that a guard holds.
    pub held: usize,
    /// The guard's hold.
    pub hold: Option<Hold>,
    /// Records left alone, by the kind of reason.
    pub skipped: BTreeMap<LeftAlone, usize>,
    /// Scopes with a difference that is to be written.
    pub pending_scopes: usize,
    /// Since when the source has told of the oldest change that the destination has not accepted yet. Neither what a guard holds nor
    /// what is left alone counts.
    pub lag: Duration,
    /// What was counted of its writes.
    pub meter: Arc<WriteMeter>,
}

/// One scope as a cluster shows it.
#[derive(Clone, Debug)]
pub struct ServiceRow {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The scope.
    pub scope: ServiceKey,
    /// Native records.
    pub native: usize,
    /// Our copies.
    pub copies: usize,
    /// Copies of other installs and tools.
    pub foreign: usize,
    /// What is left alone there, and why.
    pub skipped: Vec<(InstanceId, Skip)>,
}

impl Engine {
    /// Every route, in the order of its task and destination.
    pub fn status(&self) -> Vec<RouteStatus> {
        let routes: Vec<_> = self.state.lock().routes.values().cloned().collect();
        let now = Instant::now();
        let mut statuses: Vec<_> = routes.iter().map(|route| status(route, now)).collect();
        let crashes = self.crashes.list();
        for status in statuses.iter_mut().filter(|_| !crashes.is_empty()) {
            if !matches!(status.state, RouteState::Paused | RouteState::Draining | RouteState::Drained) {
                status.state = RouteState::Failing;
            }
            status.notices.extend(crashes.iter().cloned().map(Notice::Crashed));
        }
        statuses
    }

    /// The connections or sessions that hold our copies, by cluster. A cluster without any is left out.
    pub fn carriers(&self) -> BTreeMap<ClusterId, Vec<Carrier>> {
        let state = self.state.lock();
        let of = |(id, running): (&ClusterId, &RunningCluster)| {
            Some((id.clone(), running.cluster.sink.as_ref()?.carriers()))
        };
        state.clusters.iter().filter_map(of).filter(|(_, carriers)| !carriers.is_empty()).collect()
    }

    /// How many scopes each memory of each cluster keeps something about, for tests and measurements.
    pub fn sizes(&self) -> BTreeMap<ClusterId, BTreeMap<&'static str, usize>> {
        let state = self.state.lock();
        state.clusters.iter().map(|(id, running)| (id.clone(), running.cluster.sizes())).collect()
    }

    /// What stands where records do and cannot be read as one, by cluster.
    pub fn unreadable(&self) -> BTreeMap<ClusterId, Vec<Unreadable>> {
        let state = self.state.lock();
        let of = |(id, running): (&ClusterId, &RunningCluster)| (id.clone(), running.cluster.source.unreadable());
        state.clusters.iter().map(of).filter(|(_, all)| !all.is_empty()).collect()
    }

    /// Everything of a cluster in use that its tasks select, as it is in memory. The error says in words why that is not known
    /// to be complete: a part cannot be read, or has not been settled for the time that its tasks ask for.
    pub fn contents(&self, id: &ClusterId) -> Result<Vec<Arc<Set>>, String> {
        let cluster = self.state.lock().clusters.get(id).map(|running| running.cluster.clone());
        let cluster = cluster.ok_or("no running task uses it: nothing of it is in memory")?;
        let (outbound, inbound) = (cluster.outbound.read().clone(), cluster.inbound.read().clone());
        let settle = outbound.iter().chain(&inbound).map(|route| route.spec.settle).max().unwrap_or_default();
        let mut listed = cluster.listed.lock().clone().unwrap_or_default();
        listed.retain(|part, title| outbound.iter().any(|route| route.takes_part(part, title.as_deref())));
        let now = Instant::now();
        let mirror = cluster.mirror.lock();
        if let Some(error) = &mirror.error {
            return Err(error.clone());
        }
        if let Some(part) = listed.keys().find(|part| mirror.part(part).is_none()) {
            return Err(format!("namespace {part} has not been read yet"));
        }
        if mirror.parts().is_empty() {
            return Err("it has not been read yet".into());
        }
        for (part, state) in mirror.parts() {
            match state.freshness.at(settle, now) {
                Fresh::Settled => {}
                Fresh::Settling => {
                    return Err(format!("namespace {part} has not been connected without a break for {settle:?} yet"));
                }
                Fresh::Stale => {
                    let why = state.error.clone().unwrap_or_else(|| "it is not connected".to_owned());
                    return Err(format!("namespace {part} cannot be read: {why}"));
                }
            }
        }
        Ok(mirror.parts().values().flat_map(|state| state.shown().cloned()).collect())
    }

    /// Every scope that any cluster in use holds.
    pub fn services(&self, install: &str) -> Vec<ServiceRow> {
        let clusters: Vec<_> = self.state.lock().clusters.values().map(|running| running.cluster.clone()).collect();
        let mut rows = Vec::new();
        for cluster in clusters {
            let sets: Vec<_> = {
                let mirror = cluster.mirror.lock();
                mirror.parts().values().flat_map(|state| state.shown().cloned()).collect()
            };
            for set in sets.iter().filter(|set| !set.records.is_empty()) {
                let skipped = cluster.scopes.lock().get(&set.scope).map(|state| {
                    let crowded = state.crowded.iter().map(|((id, _), left)| (id, left));
                    state.left.iter().chain(crowded).map(|(id, left)| (id.clone(), left.skip.clone())).collect()
                });
                let ours = set.records.values().filter(|held| held.copy_of(install).is_some()).count();
                let marked: usize = set.records.values().map(|held| held.copies.len()).sum();
                rows.push(ServiceRow {
                    cluster: cluster.spec.name.clone(),
                    scope: set.scope.clone(),
                    native: set.records.values().filter(|held| held.native.is_some()).count(),
                    copies: ours,
                    foreign: marked - ours,
                    skipped: skipped.unwrap_or_default(),
                });
            }
        }
        rows
    }
}

fn status(route: &Arc<ActiveRoute>, now: Instant) -> RouteStatus {
    let owner = &route.spec.owner;
    let whole = complete(route, now) && is_known(route);
    let is_planned = whole && route.destination.is_idle(now);
    let (pending, pending_scopes, skipped, errors, held, theirs) = {
        let scopes = route.destination.scopes.lock();
        match scopes.tally(owner) {
            None => (0, 0, BTreeMap::new(), BTreeSet::new(), 0, Vec::new()),
            Some(tally) => {
                let failing = tally.failing.iter().take(ERRORS);
                let errors: BTreeSet<_> =
                    failing.filter_map(|scope| Some(scopes.get(scope)?.error.as_ref()?.to_string())).collect();
                let skipped = tally.skipped.iter().map(|(kind, count)| (LeftAlone::Instance(*kind), *count)).collect();
                let theirs = other_tools(route, &scopes, tally, is_planned);
                (tally.pending, tally.pending_scopes, skipped, errors, tally.held.values().sum(), theirs)
            }
        }
    };
    let Holdings { records, instances, services } = route.destination.ledger.lock().held_by(owner);
    let hold = route.memory.guard.lock().hold(now).filter(|_| held > 0);
    let RouteNotices { mut notices, failing } = notices(route);
    let destination = &route.destination.spec.name;
    notices.extend(
        errors.iter().take(3).map(|text| Notice::ClusterFails { cluster: destination.clone(), text: text.clone() }),
    );
    if let Some(hold) = &hold {
        notices.insert(0, Notice::Held { count: held, why: hold.why.clone() });
    }
    notices.extend(theirs);
    let has_copies = records > 0;
    let state = match route.spec.run {
        RunState::Paused => RouteState::Paused,
        RunState::Drain if has_copies => RouteState::Draining,
        RunState::Drain => RouteState::Drained,
        RunState::On if failing || !errors.is_empty() => RouteState::Failing,
        RunState::On if held > 0 => RouteState::Held,
        RunState::On if pending > 0 || !whole => RouteState::Syncing,
        RunState::On => RouteState::InStep,
    };
    RouteStatus {
        owner: owner.clone(),
        source: route.spec.source.clone(),
        destination: route.spec.destination.clone(),
        state,
        notices,
        services,
        instances,
        pending,
        held,
        hold,
        skipped,
        pending_scopes,
        lag: route.memory.travels.lock().oldest().map(|since| now - since).unwrap_or_default(),
        meter: route.memory.meter.clone(),
    }
}

/// What is told of the tool that a route takes over from. `is_planned`: everything has been read and planned.
fn other_tools(route: &ActiveRoute, scopes: &Scopes, tally: &Tally, is_planned: bool) -> Vec<Notice> {
    let Some(spec) = &route.spec.take_over else { return Vec::new() };
    let count = |kind: SkipKind| tally.skipped.get(&kind).copied().unwrap_or_default();
    let (cluster, tool) = (route.destination.spec.name.clone(), spec.tool.clone());
    let mut notices = Vec::new();
    let backed = count(SkipKind::Backs);
    // Not before all of them are: until then something may go missing.
    if backed > 0 && tally.pending == 0 && is_planned {
        notices.push(Notice::Backs { cluster: cluster.clone(), tool: tool.clone(), count: backed });
    }
    let left = count(SkipKind::LeftBehind);
    if left > 0 {
        let named = tally.left_behind.keys().take(SOME).flat_map(|scope| {
            let left = scopes.get(scope).into_iter().flat_map(|state| &state.left);
            let left = left.filter(|(_, left)| matches!(left.skip, Skip::LeftBehind { .. }));
            left.map(move |(id, _)| format!("{scope} {id}"))
        });
        notices.push(Notice::LeftBehind { cluster, tool, count: left, records: named.take(SOME).collect() });
    }
    notices
}

/// Whether the source has been read whole. Settling is no work: it only makes removals wait.
fn complete(route: &ActiveRoute, now: Instant) -> bool {
    let mirror = route.source.mirror.lock();
    let mut taken = route.taken(&mirror).peekable();
    taken.peek().is_some() && taken.all(|(_, state)| state.freshness.at(route.spec.settle, now) != Fresh::Stale)
}

/// Whether the destination has been read where the route wants something, or something of ours stands.
fn is_known(route: &ActiveRoute) -> bool {
    let filled: Vec<_> = {
        let mirror = route.source.mirror.lock();
        route.taken(&mirror).filter(|(_, state)| state.filled() > 0).map(|(part, _)| part.clone()).collect()
    };
    // Of a frozen list there may be nothing in a part, whatever matches there.
    let any = *route.memory.only.lock() == Only::Any;
    let wanted = filled.iter().filter(|part| any && route.matches_in(part)).map(|part| route.target_part(part));
    let wanted: BTreeSet<_> = wanted.collect();
    let held = route.destination.ledger.lock().parts_held_by(&route.spec.owner);
    let mirror = route.destination.mirror.lock();
    let is_read = |part: &Part| mirror.part(part).is_some_and(PartState::ready);
    let is_missing = |part: &Part| mirror.part(part).is_some_and(|state| state.missing);
    wanted.iter().all(is_read) && held.iter().all(|part| is_read(part) || is_missing(part))
}

/// What is told of a route, and whether any of it is a failure.
#[derive(Default)]
struct RouteNotices {
    notices: Vec<Notice>,
    failing: bool,
}

impl RouteNotices {
    fn note(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    fn fail(&mut self, notice: Notice) {
        self.failing = true;
        self.note(notice);
    }

    fn cluster_fails(&mut self, cluster: &ActiveCluster, text: &str) {
        self.fail(Notice::ClusterFails { cluster: cluster.spec.name.clone(), text: text.to_owned() });
    }

    fn namespace_fails(&mut self, cluster: &ActiveCluster, part: &Part, text: &str) {
        let (cluster, namespace) = (cluster.spec.name.clone(), part.clone());
        self.fail(Notice::NamespaceFails { cluster, namespace, text: text.to_owned() });
    }
}

/// What stands in the way.
fn notices(route: &ActiveRoute) -> RouteNotices {
    let mut told = RouteNotices::default();
    let source = || route.source.spec.name.clone();
    for cluster in [&route.source, &route.destination] {
        let crashes = cluster.crashes.list();
        if let Some(error) = &cluster.mirror.lock().error
            && crashes.iter().all(|crash| crash.to_string() != *error)
        {
            told.cluster_fails(cluster, error);
        }
        crashes.into_iter().for_each(|crash| told.fail(Notice::Crashed(crash)));
    }
    let freezes = route.spec.only == Only::Freeze && !matches!(*route.memory.only.lock(), Only::Frozen(_));
    if let Some(text) = route.source.freeze_error.lock().clone().filter(|_| freezes) {
        told.fail(Notice::NotFrozen { cluster: source(), text });
    }
    let listed = route.source.listed.lock().clone();
    let mirror = route.source.mirror.lock();
    let named = |part: &Part, title: Option<&Arc<str>>| {
        let words = route.spec.parts.as_ref();
        words.is_none_or(|words| words.contains(&part.0) || title.is_some_and(|title| words.contains(title)))
    };
    let taken: Vec<_> = mirror.parts().iter().filter(|(part, state)| named(part, state.title.as_ref())).collect();
    for (part, state) in &taken {
        state.error.iter().for_each(|error| told.namespace_fails(&route.source, part, error));
    }
    for word in route.spec.parts.iter().flatten() {
        let part = Part(word.clone());
        let Some(listed) = listed.as_ref().filter(|listed| !listed.contains_key(&part)) else { continue };
        let state = mirror.part(&part).filter(|state| state.ready());
        let mut filled =
            state.into_iter().flat_map(|state| state.sets().values()).filter(|set| !set.records.is_empty());
        if filled.clone().any(|set| set.records.values().any(|held| held.native.is_some())) {
            told.note(Notice::NotListed { cluster: source(), namespace: word.to_string() });
            continue;
        }
        // Only copies stand there: it is made for them.
        if filled.next().is_some() {
            continue;
        }
        let (cluster, namespace) = (source(), word.to_string());
        match listed.values().filter(|title| title.as_ref() == Some(word)).count() {
            1 => {}
            0 => told.note(Notice::NoNamespace { cluster, namespace }),
            count => told.fail(Notice::AmbiguousNamespace { cluster, namespace, count }),
        }
    }
    let ready = taken.iter().filter(|(_, state)| state.ready());
    let (ready, filled): (Vec<Part>, Vec<usize>) = ready.map(|(part, state)| ((*part).clone(), state.filled())).unzip();
    drop(mirror);
    if !ready.is_empty() {
        let unseen: usize = {
            let counted = route.source.counted.lock();
            ready.iter().filter_map(|part| counted.get(part)).sum()
        };
        match filled.iter().sum::<usize>().max(unseen) {
            0 => told.note(Notice::NoInstances { cluster: source(), namespaces: ready }),
            count if !ready.iter().any(|part| route.matches_in(part)) => {
                told.note(Notice::NoMatch { cluster: source(), namespaces: ready, count });
            }
            _ => {}
        }
    }
    route.case_notices(NoticesOf::Several).into_iter().for_each(|notice| told.note(notice));
    let destination = &route.destination;
    let (errors, unlike) = (destination.part_errors.lock(), destination.unlike.lock());
    errors.values().chain(unlike.iter()).for_each(|text| told.cluster_fails(destination, text));
    drop((errors, unlike));
    let written = destination.written_parts.read().clone();
    let mirror = destination.mirror.lock();
    for part in &written {
        let error = mirror.part(part).and_then(|state| state.error.as_ref());
        error.iter().for_each(|error| told.namespace_fails(destination, part, error));
    }
    told
}
