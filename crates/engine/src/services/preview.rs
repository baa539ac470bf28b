//! What would be done: for the dry run, and for the comparison of both sides as they stand.

use crate::kit::call::call;
use crate::kit::pace::Pacers;
use crate::notice::Notice;
use crate::services::cluster::ActiveCluster;
use crate::services::decide::{compare, owners};
use crate::services::engine::Engine;
use crate::services::interest::RoutesInterest;
use crate::services::ledger::{CountedLedger, Ledger};
use crate::services::route::{ActiveRoute, RouteMemory};
use crate::services::spelling::NoticesOf;
use crate::services::writer::TURN;
use crate::spec::{ClusterSpec, Only, RouteSpec, Timing};
use causeway_core::{
    ClusterId, Crowded, Error, Instance, InstanceId, OwnerId, Part, Plan, Selector, ServiceKey, Skip, Update,
};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What would be done in one scope.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The destination's id.
    pub cluster: ClusterId,
    /// The plan; guards have not been asked.
    pub plan: Plan,
    /// The task whose wish a skipped record was.
    pub owners: BTreeMap<InstanceId, OwnerId>,
    /// How many records stand as wanted, by task.
    pub in_step: BTreeMap<OwnerId, usize>,
}

impl Engine {
    /// What the running routes would do now, scope by scope, as both sides stand in memory. Lets others work meanwhile.
    pub async fn compare(&self, owner: &OwnerId) -> Vec<Preview> {
        let destinations: Vec<_> = {
            let state = self.state.lock();
            let routes = state.routes.values().filter(|route| route.spec.owner == *owner);
            routes.map(|route| route.destination.clone()).collect()
        };
        let mut found = Vec::new();
        for cluster in &destinations {
            found.extend(previews(cluster, Some(owner)).await);
        }
        found
    }

    /// How many records each task holds in each cluster.
    pub fn holdings(&self) -> BTreeMap<ClusterId, BTreeMap<OwnerId, usize>> {
        let state = self.state.lock();
        let running = state.clusters.iter().map(|(id, running)| (id.clone(), running.cluster.ledger.lock().records()));
        // Of clusters that are not in use now, nothing keeps count.
        state
            .ledgers
            .iter()
            .map(|(id, ledger)| (id.clone(), CountedLedger::from(ledger.clone()).records()))
            .chain(running)
            .collect()
    }

    /// What earlier processes and this one have written, for a dry run.
    pub fn ledgers(&self) -> BTreeMap<ClusterId, Ledger> {
        let state = self.state.lock();
        let running =
            state.clusters.iter().map(|(id, running)| (id.clone(), (**running.cluster.ledger.lock()).clone()));
        // Of clusters that are not in use now, too.
        state.ledgers.iter().map(|(id, ledger)| (id.clone(), ledger.clone())).chain(running).collect()
    }
}

/// What a dry run has found.
#[derive(Debug)]
pub struct DryRun {
    /// What would be done, as far as it could be read.
    pub previews: Vec<Preview>,
    /// What could not be read: nothing is said of it.
    pub unread: Vec<UnreadPart>,
    /// What the operator should know, by task.
    pub notices: Vec<(OwnerId, Notice)>,
}

/// A part, or a whole cluster, that could not be read.
#[derive(Debug)]
pub struct UnreadPart {
    /// The cluster.
    pub cluster: ClusterId,
    /// The cluster's name.
    pub name: Arc<str>,
    /// The part; `None`: none of the cluster's.
    pub part: Option<Part>,
    /// Why.
    pub error: Error,
}

/// What these routes would do, from one complete look at every cluster. Writes nothing. A call may take as long as one of the
/// engine's; what is not answered by then is named, and the rest is compared.
pub async fn dry_run(
    clusters: Vec<ClusterSpec>,
    routes: Vec<RouteSpec>,
    mut ledgers: BTreeMap<ClusterId, Ledger>,
    timing: &Timing,
) -> DryRun {
    let pacers = Pacers::default();
    let used: BTreeSet<_> = routes.iter().flat_map(|route| [&route.source, &route.destination]).cloned().collect();
    let open = |spec: ClusterSpec| {
        let (id, ledger) = (spec.id.clone(), ledgers.remove(&spec.id).unwrap_or_default());
        (id, Arc::new(ActiveCluster::new(spec, ledger, &pacers)))
    };
    let clusters: BTreeMap<_, _> = clusters.into_iter().filter(|spec| used.contains(&spec.id)).map(open).collect();
    for mut spec in routes {
        // It looks whole, so what is missing is missing; guards are not asked.
        spec.settle = Duration::ZERO;
        if spec.only == Only::Freeze {
            spec.only = Only::Any;
        }
        let (Some(source), Some(destination)) = (clusters.get(&spec.source), clusters.get(&spec.destination)) else {
            continue;
        };
        let memory = Arc::new(RouteMemory::new(&spec));
        let route = Arc::new(ActiveRoute::new(spec, source, destination, memory));
        source.outbound.write().push(route.clone());
        destination.inbound.write().push(route);
    }
    // A slow cluster does not hold up the others.
    let looks = |cluster: &Arc<ActiveCluster>| Looks { cluster: cluster.clone(), unread: Vec::new() };
    let mut looks: Vec<_> = clusters.values().map(looks).collect();
    join_all(looks.iter_mut().map(|look| look.take(timing))).await;
    looks.iter().for_each(|look| copies_parts(&look.cluster, &look.unread));
    join_all(looks.iter_mut().map(|look| look.take(timing))).await;
    let (mut found, mut notices) = (Vec::new(), Vec::new());
    for cluster in clusters.values() {
        let inbound = cluster.inbound.read().clone();
        for route in &inbound {
            route.map_feeds();
            route.learn_from_ledger();
            let told = route.case_notices(NoticesOf::All).into_iter();
            notices.extend(told.map(|notice| (route.spec.owner.clone(), notice)));
        }
        found.extend(previews(cluster, None).await);
    }
    for cluster in clusters.values() {
        cluster.inbound.write().clear();
        cluster.outbound.write().clear();
    }
    DryRun { previews: found, unread: looks.into_iter().flat_map(|look| look.unread).collect(), notices }
}

/// The parts that a destination will be written in; those that are not there yet are empty. Of what could not be read it is not
/// known what is there.
fn copies_parts(cluster: &ActiveCluster, unread: &[UnreadPart]) {
    let now = Instant::now();
    let inbound: Vec<_> = cluster.inbound.read().clone();
    for route in inbound {
        let parts: Vec<Part> = {
            let mirror = route.source.mirror.lock();
            route.taken(&mirror).map(|(part, _)| route.target_part(part)).collect()
        };
        let read = |part: &Part| unread.iter().all(|one| one.part.as_ref().is_some_and(|unread| unread != part));
        for part in parts.into_iter().filter(read) {
            cluster.writes_in([part.clone()]);
            let mut mirror = cluster.mirror.lock();
            if mirror.part(&part).is_none() {
                mirror.update(Update::Reset { part, title: None, sets: Vec::new() }, None, now);
            }
        }
    }
}

/// The looks at one cluster.
struct Looks {
    cluster: Arc<ActiveCluster>,
    unread: Vec<UnreadPart>,
}

impl Looks {
    /// Reads whole what takes part and has not been read yet. What failed once is not tried again.
    async fn take(&mut self, timing: &Timing) {
        let cluster = self.cluster.clone();
        if self.unread.iter().any(|one| one.part.is_none()) {
            return;
        }
        let select: Selector = Arc::new(RoutesInterest(Arc::downgrade(&cluster)));
        let parts = match call(timing.call, cluster.source.parts()).await {
            Ok(parts) => parts,
            Err(error) => return self.failed(None, error),
        };
        *cluster.listed.lock() = Some(parts.clone());
        let mut silent = None;
        // Parts may be served that are not listed.
        let is_title = |part: &Part| parts.values().any(|title| title.as_ref() == Some(&part.0));
        let named = select.named().into_iter().map(Part).filter(|part| !is_title(part)).chain(select.needed());
        let unlisted: BTreeSet<_> = named.filter(|part| !parts.contains_key(part)).collect();
        let mut all: Vec<_> = unlisted.iter().map(|part| (part.clone(), None)).collect();
        all.extend(parts.into_iter().filter(|(part, title)| select.part(part, title.as_deref())));
        for (part, title) in all {
            let read = cluster.mirror.lock().part(&part).is_some_and(|state| state.ready() && state.looked.is_some());
            if read || self.unread.iter().any(|one| one.part.as_ref() == Some(&part)) {
                continue;
            }
            if let Some(before) = &silent {
                let why = format!("not read, since there was no answer about namespace {before}");
                self.failed(Some(part), Error::unavailable(why));
                continue;
            }
            let began = Instant::now();
            match call(timing.look, cluster.source.read(&part, &select)).await {
                Ok(sets) => {
                    let mut mirror = cluster.mirror.lock();
                    let update = Update::Reset { part: part.clone(), title, sets };
                    mirror.update(update, None, began);
                    mirror.looked(&part, began);
                }
                Err(Error::Missing(_)) if unlisted.contains(&part) => {}
                Err(error) => {
                    silent = (began.elapsed() >= timing.look).then(|| part.clone());
                    self.failed(Some(part), error);
                }
            }
        }
    }

    fn failed(&mut self, part: Option<Part>, error: Error) {
        let (cluster, name) = (self.cluster.id().clone(), self.cluster.spec.name.clone());
        self.unread.push(UnreadPart { cluster, name, part, error });
    }
}

/// Lets others work, where the last time that it did so is a while ago.
async fn take_turns(last: &mut std::time::Instant) {
    if last.elapsed() >= TURN {
        tokio::task::yield_now().await;
        *last = std::time::Instant::now();
    }
}

async fn previews(cluster: &ActiveCluster, only: Option<&OwnerId>) -> Vec<Preview> {
    let now = Instant::now();
    let mut last = std::time::Instant::now();
    let mut scopes: BTreeSet<_> = cluster.ledger.lock().keys().cloned().collect();
    let inbound = cluster.inbound.read().clone();
    for route in inbound {
        for scope in route.source_scopes() {
            scopes.extend(route.targets(&scope));
            take_turns(&mut last).await;
        }
        if let Some(spec) = &route.spec.take_over {
            let mirror = cluster.mirror.lock();
            let sets = mirror.parts().values().flat_map(|state| state.shown());
            let theirs = sets.filter(|set| ActiveCluster::holds_theirs(set, &spec.tool));
            scopes.extend(theirs.map(|set| set.scope.clone()));
        }
    }
    let mut previews = Vec::new();
    for scope in scopes {
        previews.extend(preview(cluster, &scope, only, now));
        take_turns(&mut last).await;
    }
    previews
}

/// What would be done in one scope; `None` while the destination is not known, or nothing is done there.
fn preview(cluster: &ActiveCluster, scope: &ServiceKey, only: Option<&OwnerId>, now: Instant) -> Option<Preview> {
    let (mut plan, exports) = compare(cluster, scope, now)?;
    let owners = owners(&exports, &plan);
    let mine = |owner: Option<&OwnerId>| only.is_none() || owner.is_none() || owner == only;
    plan.changes.retain(|change| mine(change.owner()));
    plan.skipped.retain(|id, _| mine(owners.get(id)));
    plan.crowded.retain(|one| mine(Some(&one.owner)));
    let open: BTreeSet<_> = plan.changes.iter().filter_map(|c| c.record()).map(Instance::id).collect();
    let mut in_step = BTreeMap::new();
    for (route, export) in exports.iter().filter(|(route, _)| mine(Some(&route.spec.owner))) {
        let owner = &route.spec.owner;
        // Where another task's record stands. (Of a task's own records the one that is wanted stands.)
        let by_other = |one: &&Crowded| one.owner == *owner && matches!(one.skip, Skip::Crowded { owner: Some(_) });
        let away: BTreeSet<_> = plan.crowded.iter().filter(by_other).map(|one| &one.id).collect();
        let stands = |id: &InstanceId| plan.skipped.get(id).is_none_or(Skip::is_in_step) && !away.contains(id);
        let settled = |id: &&InstanceId| !open.contains(*id) && stands(id);
        let count = export.wish.records.keys().filter(settled).count();
        *in_step.entry(owner.clone()).or_default() += count;
    }
    Some(Preview { cluster: cluster.id().clone(), plan, owners, in_step })
}
