//! One scope's plan, with the guards' word on it. Used by the writer, the dry run and the comparison alike.

use crate::kit::{earliest, hash};
use crate::services::cluster::ActiveCluster;
use crate::services::export::{Export, export, nothing};
use crate::services::other_tools;
use crate::services::route::ActiveRoute;
use crate::spec::{RunState, Timing};
use causeway_core::{
    Change, ClusterId, Evidence, Instance, InstanceId, OwnerId, Part, Plan, PlanContext, Removal, ServiceKey, Set,
    Skip, plan,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

/// What to do in one scope, and when to plan again.
pub(crate) struct Decision {
    pub plan: Plan,
    /// A removal waits until then.
    pub again: Option<Instant>,
    /// The clusters that the scope's own attributes came through.
    pub path: Vec<ClusterId>,
    /// The task whose wish a skipped record was.
    pub owners: BTreeMap<InstanceId, OwnerId>,
}

/// What each route that writes to a scope wants there.
pub(crate) type Exports = Vec<(Arc<ActiveRoute>, Export)>;

/// Plans `scope` of `cluster` without asking the guards; `None` while the destination itself is not known completely.
pub(crate) fn compare(cluster: &ActiveCluster, scope: &ServiceKey, now: Instant) -> Option<(Plan, Exports)> {
    let observed = {
        let mirror = cluster.mirror.lock();
        let state = mirror.part(&scope.part()).filter(|state| state.ready())?;
        state.observed(scope).cloned().unwrap_or_else(|| Arc::new(Set::empty(scope.clone())))
    };
    let (paused, routes): (Vec<_>, Vec<_>) =
        cluster.inbound.read().iter().cloned().partition(|route| route.spec.run == RunState::Paused);
    let install = routes.first().map(|route| route.spec.owner.install.to_string())?;
    let mut exports: Vec<_> = routes
        .into_iter()
        .map(|route| {
            let export = export(&route, scope, now);
            (route, export)
        })
        .collect();
    let ledger = cluster.written_in(scope);
    let policy = PlanContext {
        install,
        destination: cluster.id().clone(),
        shadows: &|native, owner| cluster.sink.as_ref().is_some_and(|sink| sink.shadows(&observed, native, owner)),
        governed: &|stands, wanted| cluster.sink.as_ref()?.governed(stands, wanted),
        paused: !paused.is_empty(),
        ended: &|owner| cluster.owners.read().as_ref().is_some_and(|owners| !owners.contains(owner)),
    };
    // Lent, since a copy of all records would cost more than the plan.
    let lend =
        |(route, export): &mut (Arc<ActiveRoute>, Export)| std::mem::replace(&mut export.wish, nothing(&route.spec));
    let mut wishes: Vec<_> = exports.iter_mut().map(lend).collect();
    if let Some(sink) = &cluster.sink {
        sink.shape(&observed, &ledger, &mut wishes);
    }
    let plan = plan(&wishes, &observed, &ledger, &policy);
    for ((_, export), wish) in exports.iter_mut().zip(wishes) {
        export.wish = wish;
    }
    Some((plan, exports))
}

/// The task whose wish each record is: the first that has it. Of another tool's copies that nobody wants, the task that takes
/// over from that tool.
pub(crate) fn owners(exports: &Exports, plan: &Plan) -> BTreeMap<InstanceId, OwnerId> {
    let mut owners = other_tools::owners(plan, exports);
    for (_, export) in exports {
        for id in export.wish.records.keys().chain(export.wish.refused.keys()) {
            owners.entry(id.clone()).or_insert_with(|| export.wish.owner.clone());
        }
    }
    owners
}

/// Plans `scope` of `cluster`, and lets the guards take out what they hold.
pub(crate) fn decide(cluster: &ActiveCluster, scope: &ServiceKey, timing: &Timing, now: Instant) -> Option<Decision> {
    let Some((mut plan, exports)) = compare(cluster, scope, now) else { return gone(cluster, scope) };
    let path =
        exports.iter().find(|(_, e)| e.wish.attributes.is_some()).map(|(_, e)| e.path.clone()).unwrap_or_default();
    let owners = owners(&exports, &plan);
    let theirs = other_tools::judge(cluster, scope, &mut plan, &exports, now);
    let again = exports.iter().filter_map(|(_, export)| export.again).chain(theirs).min();
    let changes = std::mem::take(&mut plan.changes);
    let mut decision = Decision { again, path, owners, plan };
    let mut removals: BTreeMap<OwnerId, Vec<(Instance, Evidence)>> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Delete { record, owner, why: Removal::Gone { evidence } } => {
                removals.entry(owner).or_default().push((record, evidence));
            }
            change => decision.plan.changes.push(change),
        }
    }
    for (route, export) in &exports {
        let gone = removals.get(&route.spec.owner).map_or(&[][..], Vec::as_slice);
        forget_releases(cluster, route, export, scope, gone);
    }
    for (owner, records) in removals {
        let Some((route, export)) = exports.iter().find(|(route, _)| route.spec.owner == owner) else { continue };
        decision.removals(route, export, records, timing, now);
    }
    Some(decision)
}

/// A removal that was let go stays so until it is written: its copy is gone then, from the plan and the ledger. What has
/// come back is judged anew when it goes again.
fn forget_releases(
    cluster: &ActiveCluster,
    route: &ActiveRoute,
    export: &Export,
    scope: &ServiceKey,
    gone: &[(Instance, Evidence)],
) {
    let mut released = route.memory.released.lock();
    if released.get(scope).is_none() {
        return;
    }
    let written = cluster.written_in(scope);
    let wish = &export.wish;
    released.retain(scope, |id| {
        let back = wish.records.contains_key(id) || wish.refused.contains_key(id);
        !back && (written.records.contains_key(id) || gone.iter().any(|(record, _)| record.id() == *id))
    });
}

/// Takes back what a draining task has in a part that the cluster says is not there: nothing can be observed any more, and
/// nothing is left of it but what the ledger says.
fn gone(cluster: &ActiveCluster, scope: &ServiceKey) -> Option<Decision> {
    cluster.mirror.lock().part(&scope.part()).filter(|state| state.missing)?;
    let inbound = cluster.inbound.read();
    let drains = |owner: &OwnerId| inbound.iter().any(|r| r.spec.owner == *owner && r.spec.run == RunState::Drain);
    let written = cluster.ledger.lock().get(scope).cloned()?;
    let ours = written.records.values().filter(|written| drains(&written.owner));
    let changes: Vec<_> = ours
        .map(|written| {
            let (record, owner) = (written.record.clone(), written.owner.clone());
            Change::Delete { record, owner, why: Removal::Drained }
        })
        .collect();
    let some = !changes.is_empty();
    let plan = Plan { scope: scope.clone(), changes, skipped: BTreeMap::new(), crowded: Vec::new() };
    some.then(|| Decision { plan, again: None, path: Vec::new(), owners: BTreeMap::new() })
}

impl Decision {
    fn removals(
        &mut self,
        route: &Arc<ActiveRoute>,
        export: &Export,
        records: Vec<(Instance, Evidence)>,
        timing: &Timing,
        now: Instant,
    ) {
        let owner = &route.spec.owner;
        let released = route.memory.released.lock().get(&self.plan.scope).cloned().unwrap_or_default();
        let mut seen = Vec::new();
        let mut missing = Vec::new();
        for (record, evidence) in records {
            self.owners.insert(record.id(), owner.clone());
            let doubt = timing.emptied.min(route.source.source.doubt());
            match (route.spec.run, evidence, export.witnesses.get(&record.id())) {
                (RunState::Drain, ..) => self.delete(record, owner, Removal::Drained),
                (_, Evidence::Witnessed, Some(witness)) if witness.emptied && now < witness.at + doubt => {
                    self.wait(&record, Skip::Settling, witness.at + doubt);
                }
                (_, Evidence::Witnessed, _) if released.contains(&record.id()) => {
                    self.delete(record, owner, Removal::Gone { evidence: Evidence::Witnessed });
                }
                (_, Evidence::Witnessed, _) => seen.push(record),
                (_, Evidence::Implied, _) => missing.push(record),
            }
        }
        if !seen.is_empty() {
            let total = route.destination.ledger.lock().held_by(owner).records;
            let keys: Vec<_> = seen.iter().map(|record| hash(&(&self.plan.scope, &record.id))).collect();
            let pass = route.memory.guard.lock().witnessed(&keys, total, now);
            for (record, passes) in seen.into_iter().zip(pass) {
                match passes {
                    true => self.delete(record, owner, Removal::Gone { evidence: Evidence::Witnessed }),
                    false => drop(self.plan.skipped.insert(record.id(), Skip::RemovalLimit)),
                }
            }
        }
        if missing.is_empty() {
            return;
        }
        let is_released = |record: &Instance| released.contains(&record.id());
        let mut verdict = looked_twice(route, &export.parts);
        if verdict == RemovalVerdict::Pass && !missing.iter().all(is_released) {
            verdict = implied(route, &export.parts, &self.plan.scope, now);
        }
        for record in missing {
            match verdict {
                RemovalVerdict::Hold if is_released(&record) => {
                    self.delete(record, owner, Removal::Gone { evidence: Evidence::Implied });
                }
                RemovalVerdict::Pass => self.delete(record, owner, Removal::Gone { evidence: Evidence::Implied }),
                RemovalVerdict::Hold => drop(self.plan.skipped.insert(record.id(), Skip::RemovalLimit)),
                RemovalVerdict::Look => self.wait(&record, Skip::Settling, now + timing.visible),
                RemovalVerdict::Count => drop(self.plan.skipped.insert(record.id(), Skip::Settling)),
            }
        }
    }

    fn delete(&mut self, record: Instance, owner: &OwnerId, why: Removal) {
        self.plan.changes.push(Change::Delete { record, owner: owner.clone(), why });
    }

    fn wait(&mut self, record: &Instance, skip: Skip, until: Instant) {
        self.plan.skipped.insert(record.id(), skip);
        self.again = earliest([self.again, Some(until)]);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum RemovalVerdict {
    Pass,
    Hold,
    /// It waits for a second look.
    Look,
    /// It waits for the count of what is missing, which has it planned again.
    Count,
}

/// Whether a second complete look agrees that something is missing; asks for it where it does not yet.
fn looked_twice(route: &ActiveRoute, parts: &[Part]) -> RemovalVerdict {
    for part in parts {
        let (since, looked) = {
            let mirror = route.source.mirror.lock();
            let Some(state) = mirror.part(part) else { return RemovalVerdict::Look };
            (state.freshness.missing_since(), state.looked)
        };
        if looked.is_none_or(|looked| looked < since) {
            route.source.ask_look(part);
            return RemovalVerdict::Look;
        }
    }
    if parts.is_empty() { RemovalVerdict::Look } else { RemovalVerdict::Pass }
}

/// Whether what two complete looks lack may go: not when too much is missing. While that is being counted, `scope` waits.
fn implied(route: &ActiveRoute, parts: &[Part], scope: &ServiceKey, now: Instant) -> RemovalVerdict {
    for part in parts {
        let Some(since) = route.source.mirror.lock().part(part).map(|state| state.freshness.missing_since()) else {
            return RemovalVerdict::Look;
        };
        let Some(census) = route.counts.of(part, since, scope, now) else { return RemovalVerdict::Count };
        let mut guard = route.memory.guard.lock();
        if !guard.implied(&part.0, census.missing, census.total, census.alive == 0, now) {
            return RemovalVerdict::Hold;
        }
    }
    RemovalVerdict::Pass
}
