//! Compares what each server of a destination lists with what this install wrote there. A cluster whose servers no longer
//! tell each other everything looks well from the one that we write to.

use crate::kit::call::call;
use crate::services::cluster::ActiveCluster;
use crate::services::engine::Engine;
use crate::services::ledger::Ledger;
use causeway_core::{Error, Instance, InstanceId, Mark, OwnerId, Part, Replica, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long servers may take to tell each other of a change. What differs before and after it counts.
const DELAY: Duration = Duration::from_secs(5);
/// Between two looks for the status, while all is well and while something differs.
const EVERY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(10);
/// Scopes whose records are compared in one look for the status: of those with different counts, and of all others in
/// turn.
const SUSPECTS: usize = 20;
const IN_TURN: usize = 20;
/// The longest that one question to all servers may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Records of one scope in which a server differs from what we wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaDifference {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The server, by its address.
    pub server: String,
    /// The scope.
    pub scope: ServiceKey,
    /// What the cluster accepted and this server does not list.
    pub missing: BTreeSet<InstanceId>,
    /// Copies of ours that this server still lists, though they were withdrawn.
    pub extra: BTreeSet<InstanceId>,
}

/// What comparing the servers of some clusters brought.
#[derive(Clone, Debug, Default)]
pub struct ReplicaFindings {
    /// What differs, by server and scope.
    pub unlike: Vec<ReplicaDifference>,
    /// Servers that could not be asked, and why.
    pub silent: BTreeSet<String>,
    /// Clusters that could not be asked at all, and why.
    pub unanswered: Vec<(Arc<str>, String)>,
}

impl Engine {
    /// Compares what the servers of a task's destinations list, in every scope in which it holds records and in those
    /// where they count differently. Takes a replication delay longer where something differs.
    pub async fn replicas(&self, owner: &OwnerId) -> ReplicaFindings {
        let clusters: BTreeMap<_, _> = {
            let state = self.state.lock();
            let routes = state.routes.values().filter(|route| route.spec.owner == *owner);
            routes.map(|route| (route.destination.id().clone(), route.destination.clone())).collect()
        };
        let mut found = ReplicaFindings::default();
        for cluster in clusters.values() {
            let held = scopes(cluster, |written_by| written_by == owner);
            let compared = Comparison { cluster, only: Some(owner) }.compare(held, usize::MAX).await;
            match compared {
                Ok(compared) => {
                    found.unlike.extend(compared.unlike);
                    found.silent.extend(compared.silent);
                }
                Err(error) => found.unanswered.push((cluster.spec.name.clone(), error.to_string())),
            }
        }
        found
    }
}

/// Looks at a destination's servers from time to time, for the status, until `stop`.
pub(crate) async fn watch(cluster: Arc<ActiveCluster>, stop: CancellationToken) {
    let mut next = EVERY;
    let mut last = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(next) => {}
        }
        let some = after(&cluster, last.as_ref());
        last = some.iter().next_back().cloned();
        let comparison = Comparison { cluster: &cluster, only: None };
        let compared = tokio::select! {
            () = stop.cancelled() => return,
            compared = comparison.compare(some, SUSPECTS) => compared,
        };
        let told = match compared {
            Ok(compared) => words(&compared.unlike),
            Err(error) => {
                tracing::debug!(cluster = %cluster.spec.name, %error, "its servers cannot be compared");
                continue;
            }
        };
        next = if told.is_empty() { EVERY } else { AGAIN };
        told.iter().for_each(|text| tracing::warn!(cluster = %cluster.spec.name, "{text}"));
        *cluster.unlike.lock() = told;
    }
}

/// One line a server.
fn words(unlike: &[ReplicaDifference]) -> Vec<String> {
    let mut servers: BTreeMap<&str, Vec<&ReplicaDifference>> = BTreeMap::new();
    unlike.iter().for_each(|one| servers.entry(&one.server).or_default().push(one));
    let line = |(server, all): (&str, Vec<&ReplicaDifference>)| {
        let count = |of: fn(&ReplicaDifference) -> usize| all.iter().map(|one| of(one)).sum::<usize>();
        let (missing, extra) = (count(|one| one.missing.len()), count(|one| one.extra.len()));
        let mut what = Vec::new();
        if missing > 0 {
            what.push(format!("does not list {missing} of our copies"));
        }
        if extra > 0 {
            what.push(format!("still lists {extra} copies that were withdrawn"));
        }
        let first = all.first().map(|one| one.scope.to_string()).unwrap_or_default();
        format!("its server {server} {}, for example in {first}: see `causeway verify`", what.join(" and "))
    };
    servers.into_iter().map(line).collect()
}

/// The next scopes in which we hold records: in turns, and never more than a few.
fn after(cluster: &ActiveCluster, last: Option<&ServiceKey>) -> BTreeSet<ServiceKey> {
    let ledger = cluster.ledger.lock();
    let from = last.map_or(Bound::Unbounded, Bound::Excluded);
    let some: BTreeSet<_> =
        ledger.range::<ServiceKey, _>((from, Bound::Unbounded)).take(IN_TURN).map(|(scope, _)| scope.clone()).collect();
    if some.is_empty() { ledger.keys().take(IN_TURN).cloned().collect() } else { some }
}

/// The scopes in which records of such owners are held.
fn scopes(cluster: &ActiveCluster, of: impl Fn(&OwnerId) -> bool) -> BTreeSet<ServiceKey> {
    let ledger = cluster.ledger.lock();
    let held = ledger.iter().filter(|(_, written)| written.records.values().any(|record| of(&record.owner)));
    held.map(|(scope, _)| scope.clone()).collect()
}

struct Comparison<'a> {
    cluster: &'a ActiveCluster,
    /// Of one task only.
    only: Option<&'a OwnerId>,
}

impl Comparison<'_> {
    /// Compares the records of `some` scopes, and of at most `suspects` in which the servers count differently, twice.
    async fn compare(&self, mut some: BTreeSet<ServiceKey>, suspects: usize) -> Result<ReplicaFindings, Error> {
        let parts: BTreeSet<Part> = self.cluster.written_parts.read().iter().cloned().collect();
        let mut silent = BTreeSet::new();
        let mut counted = BTreeSet::new();
        for part in &parts {
            let source = &self.cluster.source;
            let replicas = call(LIMIT, source.replicas(part)).await?;
            let answered = self.sort_out(replicas, &mut silent);
            counted.extend(differing(&answered.into_iter().map(|(_, counts)| counts).collect::<Vec<_>>()));
        }
        some.extend(counted.into_iter().take(suspects));
        let first = self.unlike(some, &mut silent).await?;
        if first.is_empty() {
            return Ok(ReplicaFindings { unlike: first, silent, ..ReplicaFindings::default() });
        }
        sleep(DELAY).await;
        let again = first.iter().map(|one| one.scope.clone()).collect();
        let second = self.unlike(again, &mut silent).await?;
        let both = |one: ReplicaDifference| {
            let before = first.iter().find(|before| before.server == one.server && before.scope == one.scope)?;
            let common = |a: &BTreeSet<InstanceId>, b: &BTreeSet<InstanceId>| {
                a.intersection(b).cloned().collect::<BTreeSet<_>>()
            };
            let (missing, extra) = (common(&before.missing, &one.missing), common(&before.extra, &one.extra));
            (!missing.is_empty() || !extra.is_empty()).then_some(ReplicaDifference { missing, extra, ..one })
        };
        Ok(ReplicaFindings {
            unlike: second.into_iter().filter_map(both).collect(),
            silent,
            ..ReplicaFindings::default()
        })
    }

    /// What differs now.
    async fn unlike(
        &self,
        scopes: BTreeSet<ServiceKey>,
        silent: &mut BTreeSet<String>,
    ) -> Result<Vec<ReplicaDifference>, Error> {
        if scopes.is_empty() {
            return Ok(Vec::new());
        }
        // As it stood before the question, so that nothing newer is asked for.
        let ledger: Ledger = {
            let ledger = self.cluster.ledger.lock();
            let held = scopes.iter().filter_map(|scope| Some((scope.clone(), ledger.get(scope)?.clone())));
            held.collect()
        };
        let scopes: Vec<_> = scopes.into_iter().collect();
        let replicas = call(LIMIT, self.cluster.source.replica_sets(&scopes)).await?;
        let mut unlike = Vec::new();
        for (server, sets) in self.sort_out(replicas, silent) {
            for set in sets {
                let written = ledger.get(&set.scope);
                let mine = |owner: &OwnerId| self.only.is_none_or(|only| only == owner);
                let records = || written.iter().flat_map(|written| &written.records);
                let missing = records().filter(|(id, record)| mine(&record.owner) && !set.records.contains_key(*id));
                let missing: BTreeSet<_> = missing.map(|(id, _)| id.clone()).collect();
                let known = |id: &InstanceId| written.is_some_and(|written| written.records.contains_key(id));
                let ours = |mark: &Mark| match self.only {
                    Some(only) => mark.owner == *only,
                    None => self.installs().contains(&mark.owner.install),
                };
                let copies = set
                    .records
                    .iter()
                    .filter(|(id, held)| !known(id) && held.copies.iter().filter_map(Instance::mark).any(ours));
                let extra: BTreeSet<_> = copies.map(|(id, _)| id.clone()).collect();
                if !missing.is_empty() || !extra.is_empty() {
                    let (cluster, scope) = (self.cluster.spec.name.clone(), set.scope);
                    unlike.push(ReplicaDifference { cluster, server: server.clone(), scope, missing, extra });
                }
            }
        }
        Ok(unlike)
    }

    /// This install, by the tasks that write here.
    fn installs(&self) -> BTreeSet<Arc<str>> {
        self.cluster.inbound.read().iter().map(|route| route.spec.owner.install.clone()).collect()
    }

    /// Those that answered; the others are noted.
    fn sort_out<T>(&self, replicas: Vec<Replica<T>>, silent: &mut BTreeSet<String>) -> Vec<(String, T)> {
        let sort = |Replica { server, listed }: Replica<T>| match listed {
            Ok(listed) => Some((server, listed)),
            Err(error) => {
                silent.insert(format!("{}: the server {server} cannot be asked: {error}", self.cluster.spec.name));
                None
            }
        };
        replicas.into_iter().filter_map(sort).collect()
    }
}

/// Scopes that not all servers count alike.
fn differing(counts: &[BTreeMap<ServiceKey, usize>]) -> BTreeSet<ServiceKey> {
    let Some((first, others)) = counts.split_first() else { return BTreeSet::new() };
    let of = |counts: &BTreeMap<ServiceKey, usize>, scope: &ServiceKey| counts.get(scope).copied().unwrap_or_default();
    let all: BTreeSet<&ServiceKey> = counts.iter().flat_map(BTreeMap::keys).collect();
    let differs = |scope: &&ServiceKey| others.iter().any(|other| of(other, scope) != of(first, scope));
    all.into_iter().filter(differs).cloned().collect()
}
