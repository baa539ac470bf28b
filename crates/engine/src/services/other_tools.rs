//! Taking over what another tool has in a destination: which of its copies are a task's, and what becomes of those that no task
//! wants.

use crate::services::cluster::ActiveCluster;
use crate::services::decide::Exports;
use crate::services::engine::Engine;
use crate::services::route::ActiveRoute;
use crate::services::sweep::Coverage;
use causeway_core::{
    Change, ClusterId, Instance, InstanceId, OwnerId, Plan, Reason, Removal, ServiceKey, Set, Skip, TakeOver, Written,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long ours stands as another tool's copy did after that one has gone. Some tools take a whole service away for two
/// seconds and write it again whenever one instance of it changes.
const STANDS_ALONE: Duration = Duration::from_secs(5);

/// One copy of another tool that no task wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftCopy {
    /// Where it stands.
    pub cluster: ClusterId,
    /// In which service.
    pub scope: ServiceKey,
    /// Which instance.
    pub id: InstanceId,
    /// Why it could not be removed, where that was tried.
    pub refused: Option<Reason>,
}

impl ActiveRoute {
    /// What the route takes over in a scope of its destination.
    pub fn take_over(&self, target: &ServiceKey) -> Option<TakeOver> {
        let spec = self.spec.take_over.as_ref()?;
        let (tool, source) = (spec.tool.clone(), spec.source.clone());
        let learned = self.memory.learned.lock().clone();
        Some(TakeOver { tool, source, learned, reaches: self.reaches(target) })
    }

    /// Whether the route may write to a scope of its destination.
    fn reaches(&self, target: &ServiceKey) -> bool {
        if self.parts_for(&target.part()).is_empty() {
            return false;
        }
        let fed = || self.feeding(target).iter().any(|scope| self.targets(scope).contains(target));
        match self.spec.take_over.as_ref().and_then(|spec| spec.back.as_ref()) {
            Some(back) => back.scope(target, &|given| given).is_some() || fed(),
            None if self.renames() => fed(),
            None => !self.targets(target).is_empty(),
        }
    }

    /// How the tool calls the source of a copy that was taken over; what was not known before may be told of now.
    fn learn(self: &Arc<Self>, theirs: &OwnerId) {
        let takes =
            self.spec.take_over.as_ref().is_some_and(|spec| spec.tool == theirs.install && spec.source.is_none());
        if takes && self.memory.learned.lock().insert(theirs.task.clone()) {
            self.destination.sweep(Coverage::Theirs(self.clone()));
        }
    }

    /// The same from what an earlier process has taken over.
    pub fn learn_from_ledger(&self) {
        let Some(spec) = self.spec.take_over.as_ref().filter(|spec| spec.source.is_none()) else { return };
        let learned: BTreeSet<Arc<str>> = {
            let ledger = self.destination.ledger.lock();
            let ours = ledger.values().flat_map(|written| written.records.values());
            let ours = ours.filter(|written| written.owner == self.spec.owner);
            let over = ours.filter_map(|written| written.over.as_ref()).filter(|over| over.install == spec.tool);
            over.map(|over| over.task.clone()).collect()
        };
        self.memory.learned.lock().extend(learned);
    }
}

impl ActiveCluster {
    /// Whether a set holds copies of a tool.
    pub fn holds_theirs(set: &Set, tool: &str) -> bool {
        let is_theirs = |copy: &Instance| copy.mark().is_some_and(|mark| *mark.owner.install == *tool);
        set.records.values().any(|held| held.copies.iter().any(is_theirs))
    }
}

/// The tasks that copies which nobody wants are told of.
pub(crate) fn owners(plan: &Plan, exports: &Exports) -> BTreeMap<InstanceId, OwnerId> {
    let mut owners = BTreeMap::new();
    for (id, skip) in &plan.skipped {
        let Skip::LeftBehind { owner } = skip else { continue };
        let is_of = |take: &TakeOver| take.reaches && take.knows(owner);
        let of = exports.iter().find(|(_, export)| export.wish.take_over.as_ref().is_some_and(is_of));
        if let Some((_, export)) = of {
            owners.insert(id.clone(), export.wish.owner.clone());
        }
    }
    owners
}

/// Looks through a plan for what concerns copies of other tools: learns from it, lets ours stand as theirs did for a while, and
/// takes away what the operator said. Returns when to plan again.
pub(crate) fn judge(
    cluster: &ActiveCluster,
    scope: &ServiceKey,
    plan: &mut Plan,
    exports: &Exports,
    now: Instant,
) -> Option<Instant> {
    if exports.iter().all(|(_, export)| export.wish.take_over.is_none()) {
        return None;
    }
    for (change, theirs) in plan.changes.iter().filter_map(|change| Some((change, change.over()?))) {
        let route = exports.iter().map(|(route, _)| route).find(|route| Some(&route.spec.owner) == change.owner());
        route.into_iter().for_each(|route| route.learn(theirs));
    }
    let again = stand_alone(cluster, scope, plan, now);
    oust(scope, plan, exports, &cluster_copies(cluster, scope));
    again
}

/// Keeps back what makes ours, which stands as another tool's copy did, a record of its own, until that one has been away for a
/// while.
fn stand_alone(cluster: &ActiveCluster, scope: &ServiceKey, plan: &mut Plan, now: Instant) -> Option<Instant> {
    let written = cluster.written_in(scope);
    let took = |change: &Change| match change {
        // What takes the place of theirs itself is due.
        Change::Update { from, to } if change.over().is_none() => took_over(&written, from).then(|| to.id()),
        _ => None,
    };
    let since: BTreeMap<InstanceId, Instant> = {
        let scopes = cluster.scopes.lock();
        let left = scopes.get(scope).map(|state| &state.left);
        let since = |id: &InstanceId| {
            let left = left.and_then(|left| left.get(id)).filter(|left| left.skip == Skip::TakingOver);
            left.map_or(now, |left| left.since)
        };
        plan.changes.iter().filter_map(took).map(|id| (id.clone(), since(&id))).collect()
    };
    let waits: BTreeMap<_, _> = since.into_iter().filter(|(_, since)| now < *since + STANDS_ALONE).collect();
    if waits.is_empty() {
        return None;
    }
    plan.changes.retain(|change| took(change).is_none_or(|id| !waits.contains_key(&id)));
    let again = waits.values().min().map(|since| *since + STANDS_ALONE);
    plan.skipped.extend(waits.into_keys().map(|id| (id, Skip::TakingOver)));
    again
}

/// Whether ours stands as another tool's copy did.
fn took_over(written: &Written, stands: &Instance) -> bool {
    let bare = stands.mark().is_some_and(|mark| mark.path.is_empty());
    bare && written.records.get(&stands.id).is_some_and(|written| written.backs_theirs())
}

fn cluster_copies(cluster: &ActiveCluster, scope: &ServiceKey) -> Arc<Set> {
    let mirror = cluster.mirror.lock();
    let observed = mirror.part(&scope.part()).and_then(|state| state.observed(scope)).cloned();
    observed.unwrap_or_else(|| Arc::new(Set::empty(scope.clone())))
}

/// Takes away those copies that nobody wants of which the operator said so.
fn oust(scope: &ServiceKey, plan: &mut Plan, exports: &Exports, observed: &Set) {
    for (route, _) in exports {
        let Some(ids) = route.memory.ousted.lock().get(scope).cloned() else { continue };
        for id in ids {
            let Some(Skip::LeftBehind { owner }) = plan.skipped.get(&id).cloned() else { continue };
            let held = observed.records.get(&id).into_iter().flat_map(|held| &held.copies);
            let mut theirs = held.filter(|copy| copy.mark().is_some_and(|mark| mark.owner == owner));
            if let Some(record) = theirs.next().cloned() {
                plan.skipped.remove(&id);
                plan.changes.push(Change::Delete { record, owner, why: Removal::Ousted });
            }
        }
    }
}

/// The copies in one scope, each with why it could not be removed.
fn left_in(
    cluster: &ActiveCluster,
    scope: &ServiceKey,
    owner: &OwnerId,
    ousted: &BTreeSet<InstanceId>,
) -> BTreeMap<InstanceId, Option<Reason>> {
    let observed = cluster_copies(cluster, scope);
    let theirs = |id: &InstanceId| {
        let copies = observed.records.get(id).into_iter().flat_map(|held| &held.copies);
        copies.filter_map(Instance::mark).any(|mark| mark.owner.install != owner.install)
    };
    // What is being removed is neither left alone nor gone.
    let mut found: BTreeMap<_, _> = ousted.iter().filter(|id| theirs(id)).map(|id| (id.clone(), None)).collect();
    let scopes = cluster.scopes.lock();
    let left = scopes.get(scope).into_iter().flat_map(|state| &state.left);
    for (id, left) in left.filter(|(_, left)| left.owner.as_ref() == Some(owner)) {
        match &left.skip {
            Skip::LeftBehind { .. } => drop(found.insert(id.clone(), None)),
            skip @ (Skip::Rejected { .. } | Skip::Blocked { .. }) if ousted.contains(id) => {
                found.insert(id.clone(), Some(Reason::from(skip.clone())));
            }
            _ => {}
        }
    }
    found
}

impl Engine {
    /// The copies of the tool that a task takes over of which no task wants a record, as last planned; in the order of cluster
    /// and scope. One that is being removed is among them until it is gone.
    pub fn left_copies(&self, owner: &OwnerId) -> Vec<LeftCopy> {
        let mut copies = Vec::new();
        for route in self.taking(owner) {
            let cluster = &route.destination;
            let ousted = route.memory.ousted.lock().clone();
            let mut told = cluster.scopes.lock().of(owner);
            told.extend(ousted.keys().cloned());
            told.sort();
            told.dedup();
            for scope in told {
                let ousted = ousted.get(&scope).cloned().unwrap_or_default();
                let left = left_in(cluster, &scope, owner, &ousted);
                copies.extend(left.into_iter().map(|(id, refused)| LeftCopy {
                    cluster: cluster.id().clone(),
                    scope: scope.clone(),
                    id,
                    refused,
                }));
            }
        }
        copies
    }

    /// Removes exactly these of them, as far as they still are such copies, and retries what fails until [`Engine::end_ousting`].
    pub fn oust(&self, owner: &OwnerId, copies: &[LeftCopy]) {
        let now = Instant::now();
        for route in self.taking(owner) {
            for copy in copies.iter().filter(|copy| copy.cluster == *route.destination.id()) {
                route.memory.ousted.lock().add(&copy.scope, [copy.id.clone()]);
                route.destination.queue.mark(&copy.scope, now);
            }
        }
    }

    /// Nothing more is removed of another tool's copies.
    pub fn end_ousting(&self, owner: &OwnerId) {
        let now = Instant::now();
        for route in self.taking(owner) {
            let ended = std::mem::take(&mut *route.memory.ousted.lock());
            ended.keys().for_each(|scope| route.destination.queue.mark(scope, now));
        }
    }

    /// Why it is not known which copies of the other tool no task wants; `None`: it is.
    pub fn unsure_of_left(&self, owner: &OwnerId) -> Option<ClusterId> {
        let now = Instant::now();
        let unsettled = |route: &Arc<ActiveRoute>| {
            let mirror = route.source.mirror.lock();
            let mut taken = route.taken(&mirror).peekable();
            let settle = route.spec.settle;
            let settled = |state: &crate::services::mirror::PartState| {
                state.freshness.at(settle, now) == causeway_core::Fresh::Settled
            };
            taken.peek().is_none() || !taken.all(|(_, state)| settled(state))
        };
        self.taking(owner).iter().find(|route| unsettled(route)).map(|route| route.source.id().clone())
    }

    fn taking(&self, owner: &OwnerId) -> Vec<Arc<ActiveRoute>> {
        let state = self.state.lock();
        let routes = state.routes.values();
        routes.filter(|route| route.spec.owner == *owner && route.spec.take_over.is_some()).cloned().collect()
    }
}
