//! The copies that tasks hold. Edits of the settings that would leave copies behind are refused: no task would remove them.

use crate::api;
use crate::apply::Proposal;
use crate::desired::{Desired, RunState, TaskEntry};
use crate::error::{Error, Result};
use crate::lens::Lenses;
use crate::node::Inner;
use causeway_connectors::kinds;
use causeway_core::{ClusterId, EntryKey, OwnerId, Part, Parts, ServiceKey};
use causeway_settings as settings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a cluster may take to say which namespaces it has.
const ANSWER: Duration = Duration::from_secs(5);
/// How many namespaces a refusal names.
const SHOWN: usize = 3;

impl Inner {
    /// How many records a task holds.
    pub fn holds(&self, task: &TaskEntry) -> usize {
        let owner = OwnerId::new(&self.install, &task.id);
        let services = self.engine.holdings().values().filter_map(|owners| owners.get(&owner)).sum::<usize>();
        services + self.entries(task, &owner).len()
    }

    /// The config entries that a task created. What only comes with services is not the task's: providers that live there
    /// now rely on it.
    fn entries(&self, task: &TaskEntry, owner: &OwnerId) -> Vec<(ClusterId, EntryKey)> {
        match &task.setup {
            Ok(setup) if !setup.settings.kind.wants_configs() => Vec::new(),
            _ => self.data.copies(owner),
        }
    }

    /// Every record that a task wrote and that stands there, as the ledger knows.
    pub fn copies(&self, task: &TaskEntry) -> Vec<api::Copy> {
        let owner = OwnerId::new(&self.install, &task.id);
        let desired = self.desired();
        let mut copies = Vec::new();
        for (id, ledger) in self.engine.ledgers() {
            let cluster = desired.cluster_name(&id);
            for (scope, written) in &ledger {
                let mine = written.records.iter().filter(|(_, record)| record.owner == owner);
                copies.extend(mine.map(|(record, written)| {
                    let (cluster, scope, record) = (cluster.clone(), scope.to_string(), record.to_string());
                    api::Copy { at: api::RecordRef { cluster, scope, record }, shadow: written.shadow }
                }));
            }
        }
        copies.extend(self.entries(task, &owner).into_iter().map(|(cluster, key)| api::Copy {
            at: api::RecordRef::entry(&desired.cluster_name(&cluster), key),
            shadow: false,
        }));
        copies
    }

    /// How many records of each owner stand in each scope, as the ledger knows.
    fn owned(&self) -> Vec<(ClusterId, ServiceKey, OwnerId, usize)> {
        let mut owned = Vec::new();
        for (id, ledger) in self.engine.ledgers() {
            for (scope, written) in ledger {
                let mut counts: BTreeMap<&OwnerId, usize> = BTreeMap::new();
                written.records.values().for_each(|record| *counts.entry(&record.owner).or_default() += 1);
                let rows = counts.into_iter();
                owned.extend(rows.map(|(owner, count)| (id.clone(), scope.clone(), owner.clone(), count)));
            }
        }
        owned
    }

    /// By cluster, how many records tasks of this install wrote that are no tasks any more.
    pub fn orphans(&self) -> BTreeMap<ClusterId, usize> {
        let desired = self.desired();
        let mut orphans = BTreeMap::new();
        for (cluster, owners) in self.engine.holdings() {
            let orphan = |owner: &OwnerId| *owner.install == *self.install && desired.task_by_id(&owner.task).is_none();
            let count = owners.iter().filter(|(owner, _)| orphan(owner)).map(|(_, count)| count).sum();
            if count > 0 {
                orphans.insert(cluster, count);
            }
        }
        orphans
    }

    /// Logs a warning about copies that no task takes back.
    pub fn tell_orphans(&self) {
        let desired = self.desired();
        for (cluster, count) in self.orphans() {
            tracing::warn!(cluster = %desired.cluster_name(&cluster), "{}", orphaned(count));
        }
    }

    /// A task that no longer writes to a cluster must not hold copies there.
    pub fn check_left_behind(&self, proposal: &Proposal, before: &Desired) -> Result<()> {
        for name in &proposal.applied.tasks.changed {
            let (Some(old), Some(new)) = (before.tasks.get(name), proposal.desired.tasks.get(name)) else { continue };
            let marks = |task: &TaskEntry| task.setup.as_ref().map(|setup| setup.settings.marks).ok();
            if marks(old) != marks(new) && self.holds(old) > 0 {
                return Err(Error::conflict(
                    format!("the task {name} holds copies that were written with other `marks`"),
                    format!("drain {name} first"),
                ));
            }
            let stays = destinations(&proposal.desired, new);
            let copies = self.copies(old).into_iter().filter(|copy| !stays.contains(&copy.at.cluster));
            let mut left: BTreeMap<String, usize> = BTreeMap::new();
            copies.for_each(|copy| *left.entry(copy.at.cluster).or_default() += 1);
            if left.is_empty() {
                continue;
            }
            let left: Vec<_> =
                left.into_iter().map(|(cluster, count)| format!("{count} copies in {cluster}")).collect();
            return Err(Error::conflict(
                format!("the task {name} holds {}, where it would no longer write", left.join(" and ")),
                format!("drain {name} first, or give the new task another name"),
            ));
        }
        Ok(())
    }

    /// The ledger of a cluster goes by its id: under another one, what stands there could not be found again.
    pub fn check_moved(&self, proposal: &Proposal, before: &Desired) -> Result<()> {
        for name in &proposal.applied.clusters.changed {
            let (Some(old), Some(new)) = (before.clusters.get(name), proposal.desired.clusters.get(name)) else {
                continue;
            };
            let elsewhere = is_elsewhere(&old.settings, &new.settings);
            if old.id == new.id && !elsewhere {
                continue;
            }
            let (mut copies, mut tasks) = (0, BTreeSet::new());
            for (_, _, owner, count) in self.owned().into_iter().filter(|(cluster, ..)| *cluster == old.id) {
                // Copies that no task holds cannot be drained, so they must not block the change forever.
                if let Some(task) = before.task_by_id(&owner.task).filter(|_| *owner.install == *self.install) {
                    copies += count;
                    tasks.insert(task.name.as_str());
                }
            }
            if copies > 0 {
                let tasks: Vec<_> = tasks.into_iter().collect();
                return Err(Error::conflict(
                    match elsewhere {
                        true => {
                            format!("the cluster {name} holds {copies} copies where it would no longer be looked at")
                        }
                        false => format!("the cluster {name} holds {copies} copies under its present `clusterId`"),
                    },
                    format!("drain the tasks that write to it first: {}", tasks.join(", ")),
                ));
            }
        }
        Ok(())
    }

    /// A namespace in which a task holds copies must not leave the task: the source would never speak for it again.
    pub async fn check_namespaces(&self, proposal: &Proposal, before: &Desired) -> Result<()> {
        for new in proposal.desired.tasks.values().filter(|task| !task.run.drains() && task.run != RunState::Drained) {
            let Some(old) = before.task_by_id(&new.id) else { continue };
            let Some(wanted) = Reach::of(&proposal.desired, new) else { continue };
            if Reach::of(before, old).is_some_and(|was| was.words == wanted.words && was.map == wanted.map) {
                continue;
            }
            let lost = |listed: Option<&Parts>| self.lost(new, &wanted, listed);
            if lost(None).is_empty() {
                continue;
            }
            // What is left may be named by display names.
            let listed = self.listed(new.ends()[0]).await;
            let lost = lost(listed.as_ref());
            if !lost.is_empty() {
                let lost = lost.into_iter().take(SHOWN);
                let lost: Vec<_> = lost
                    .map(|((cluster, namespace), count)| {
                        format!("{count} copies in the namespace {namespace} of {cluster}")
                    })
                    .collect();
                return Err(Error::conflict(
                    format!("the task {} holds {}, where it would no longer write", new.name, lost.join(" and ")),
                    format!("drain {} first", new.name),
                ));
            }
        }
        Ok(())
    }

    /// How many records a task holds in namespaces that it does not reach, by cluster and namespace.
    fn lost(&self, task: &TaskEntry, reach: &Reach<'_>, listed: Option<&Parts>) -> BTreeMap<(String, Arc<str>), usize> {
        let desired = self.desired();
        let owner = self.owner(task);
        let mut lost = BTreeMap::new();
        for (cluster, scope, by, count) in self.owned() {
            if by == owner && !reach.covers(&cluster, &Part(scope.namespace.clone()), listed) {
                *lost.entry((desired.cluster_name(&cluster), scope.namespace)).or_default() += count;
            }
        }
        lost
    }

    /// The namespaces that a cluster in use has, if it says so in time.
    async fn listed(&self, cluster: &str) -> Option<Parts> {
        let source = self.connections.lock().of(cluster)?.port.source();
        tokio::time::timeout(ANSWER, source.parts()).await.ok()?.ok()
    }
}

/// Whether a cluster is looked at in other places, such as below another root of its own.
fn is_elsewhere(old: &settings::Cluster, new: &settings::Cluster) -> bool {
    let kinds = kinds();
    let places = |cluster: &settings::Cluster| kinds.get(&old.kind).map(|kind| kind.places(cluster));
    places(old) != places(new)
}

/// In words.
pub(crate) fn orphaned(count: usize) -> String {
    format!("{count} copies of a task that no longer exists")
}

/// The clusters that a task writes to, by name.
fn destinations(desired: &Desired, task: &TaskEntry) -> BTreeSet<String> {
    let [source, destination] = task.ends();
    let two_way = task.setup.as_ref().is_ok_and(|setup| setup.settings.is_two_way());
    let names = [Some(destination), two_way.then_some(source)].into_iter().flatten();
    names.filter(|name| desired.clusters.contains_key(*name)).map(str::to_owned).collect()
}

/// Which namespaces a task copies, and from where to where.
struct Reach<'a> {
    source: &'a ClusterId,
    destination: &'a ClusterId,
    /// Ids or display names in the source; empty: all.
    words: BTreeSet<&'a str>,
    map: Option<&'a settings::Rename>,
    lenses: &'a Lenses,
}

impl<'a> Reach<'a> {
    fn of(desired: &'a Desired, task: &'a TaskEntry) -> Option<Self> {
        let setup = task.setup.as_ref().ok()?;
        let [source, destination] = task.ends().map(|name| desired.clusters.get(name));
        let (source, destination) = (source?, destination?);
        Some(Self {
            source: &source.id,
            destination: &destination.id,
            words: setup.settings.namespaces_of(&source.settings).iter().map(String::as_str).collect(),
            map: setup.settings.map.namespace.as_ref(),
            lenses: &setup.lenses,
        })
    }

    /// Whether anything in the other cluster can stand for copies in `part`. Where the task does not write, that is
    /// another check's.
    fn covers(&self, cluster: &ClusterId, part: &Part, listed: Option<&Parts>) -> bool {
        let there = |from: &Part| self.lenses.there.part(from);
        if cluster == self.destination && self.lenses.there.grouping().is_some() {
            // Names say which namespace they come from, and what is named otherwise now goes.
            return true;
        }
        if cluster == self.destination {
            return match (self.map, self.words.is_empty()) {
                // The namespace depends on more than the source's namespace.
                (Some(settings::Rename::Template(text)), _)
                    if text.contains("{group}") || text.contains("{service}") =>
                {
                    true
                }
                (_, false) => self.taken(listed).iter().any(|from| there(from) == *part),
                (Some(settings::Rename::Table(table)), true) => {
                    there(part) == *part || table.keys().any(|from| there(&Part::new(from)) == *part)
                }
                (_, true) => true,
            };
        }
        match &self.lenses.back {
            Some(back) if cluster == self.source => {
                (self.words.is_empty() || self.taken(listed).contains(part)) && back.part(&there(part)) == *part
            }
            _ => true,
        }
    }

    /// The source's namespaces that the words name. A display name counts where it is no id, and only one has it.
    fn taken(&self, listed: Option<&Parts>) -> BTreeSet<Part> {
        let mut taken: BTreeSet<Part> = self.words.iter().map(|word| Part::new(word)).collect();
        for word in &self.words {
            let Some(parts) = listed.filter(|parts| !parts.contains_key(&Part::new(word))) else { continue };
            let mut named = parts.iter().filter(|(_, title)| title.as_deref() == Some(*word)).map(|(part, _)| part);
            if let (Some(part), None) = (named.next(), named.next()) {
                taken.insert(part.clone());
            }
        }
        taken
    }
}
