//! What tasks hold, and edits of the settings that would leave it behind: those are refused, for nobody would take it back.

use crate::api;
use crate::apply::Draft;
use crate::error::{Error, Result};
use crate::node::Inner;
use crate::world::{TaskEntry, World};
use causeway_core::{ClusterId, OwnerId, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

impl Inner {
    /// How many records a task holds.
    pub fn holds(&self, task: &TaskEntry) -> usize {
        self.copies(task).len()
    }

    /// Every record that a task wrote and that stands there, as the ledger knows.
    pub fn copies(&self, task: &TaskEntry) -> Vec<api::Copy> {
        let owner = OwnerId::new(&self.install, &task.id);
        let world = self.world();
        let mut copies = Vec::new();
        for (id, ledger) in self.engine.ledgers() {
            let cluster = world.cluster_name(&id);
            for (scope, written) in &ledger {
                let mine = written.records.iter().filter(|(_, record)| record.owner == owner);
                copies.extend(mine.map(|(record, written)| api::Copy {
                    cluster: cluster.clone(),
                    scope: scope.to_string(),
                    record: record.to_string(),
                    shadow: written.shadow,
                }));
            }
        }
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
        let world = self.world();
        let mut orphans = BTreeMap::new();
        for (cluster, _, owner, count) in self.owned() {
            if *owner.install == *self.install && world.task_by_id(&owner.task).is_none() {
                *orphans.entry(cluster).or_default() += count;
            }
        }
        orphans
    }

    /// Tells of copies that no task takes back.
    pub fn tell_orphans(&self) {
        let world = self.world();
        for (cluster, count) in self.orphans() {
            tracing::warn!(cluster = %world.cluster_name(&cluster), "{}", orphaned(count));
        }
    }

    /// A task that no longer writes to a cluster must not hold copies there.
    pub fn check_left_behind(&self, draft: &Draft, before: &World) -> Result<()> {
        for name in &draft.applied.tasks.changed {
            let (Some(old), Some(new)) = (before.tasks.get(name), draft.world.tasks.get(name)) else { continue };
            let stays = destinations(&draft.world, new);
            let copies = self.copies(old).into_iter().filter(|copy| !stays.contains(&copy.cluster));
            let mut left: BTreeMap<String, usize> = BTreeMap::new();
            copies.for_each(|copy| *left.entry(copy.cluster).or_default() += 1);
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
    pub fn check_moved(&self, draft: &Draft, before: &World) -> Result<()> {
        for name in &draft.applied.clusters.changed {
            let (Some(old), Some(new)) = (before.clusters.get(name), draft.world.clusters.get(name)) else { continue };
            if old.id == new.id {
                continue;
            }
            let (mut copies, mut tasks) = (0, BTreeSet::new());
            for (_, _, owner, count) in self.owned().into_iter().filter(|(cluster, ..)| *cluster == old.id) {
                // What no task holds cannot be drained either, and must not stand in the way for ever.
                if let Some(task) = before.task_by_id(&owner.task).filter(|_| *owner.install == *self.install) {
                    copies += count;
                    tasks.insert(task.name.as_str());
                }
            }
            if copies > 0 {
                let tasks: Vec<_> = tasks.into_iter().collect();
                return Err(Error::conflict(
                    format!("the cluster {name} holds {copies} copies under its present `clusterId`"),
                    format!("drain the tasks that write to it first: {}", tasks.join(", ")),
                ));
            }
        }
        Ok(())
    }
}

/// In words.
pub(crate) fn orphaned(count: usize) -> String {
    format!("{count} copies of a task that no longer exists")
}

/// The clusters that a task writes to, by name.
fn destinations(world: &World, task: &TaskEntry) -> BTreeSet<String> {
    let [source, destination] = task.ends();
    let two_way = task.plan.as_ref().is_ok_and(|plan| plan.settings.is_two_way());
    let names = [Some(destination), two_way.then_some(source)].into_iter().flatten();
    names.filter(|name| world.clusters.contains_key(*name)).map(str::to_owned).collect()
}
