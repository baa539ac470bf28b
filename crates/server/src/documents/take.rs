//! Applying documents: by difference, and all of it or nothing.

use crate::api;
use crate::apply::{Proposal, new_id};
use crate::desired::{Desired, RunState, TaskEntry, read_task};
use crate::error::{Error, Result};
use crate::node::Inner;
use crate::origin::{DocumentCluster, Origin, is_same_cluster, other_cluster, same_task};
use causeway_connectors::kinds;
use causeway_peers::polaris_sync::Converted;
use causeway_settings::{self as settings, ProcessEnv};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Inner {
    /// Makes the tasks and clusters of documents what they are to be. `slots`: the names of the documents' slots, in their order. Tasks
    /// of other slots stay. A task that no document names any more ends: copies that stay without us are left where they are, the others
    /// are taken back. On an error nothing has changed.
    pub async fn take_documents(&self, converted: &Converted, slots: &[String]) -> Result<api::Applied> {
        let _edit = self.edit.lock().await;
        self.again(|| self.take_once(converted, slots)).await
    }

    async fn take_once(&self, converted: &Converted, slots: &[String]) -> Result<api::Applied> {
        let before = self.desired();
        let proposal = self.draft_documents(converted, slots, &before)?;
        let gone: Vec<_> = gone(&proposal, &before, slots);
        let done = async {
            self.quiesce(&gone).await?;
            self.end_tasks(proposal, &before, &gone).await
        };
        let done = done.await;
        if done.is_err() {
            self.put_back(before).await;
        }
        done
    }

    /// What documents would make of the settings, but for what they do not name any more.
    fn draft_documents(&self, converted: &Converted, slots: &[String], before: &Desired) -> Result<Proposal> {
        let origin = &before.origin;
        let mut settings = converted.settings.clone();
        let place = |name: &str| converted.cluster_places.get(name).cloned().unwrap_or_default();
        let task_place = |name: &str| converted.task_places.get(name).cloned().unwrap_or_default();
        for name in settings.tasks.iter().map(settings::Task::name) {
            if before.tasks.get(&name).is_some_and(|task| !origin.has(task)) {
                return Err(same_task(&name, &task_place(&name), "the settings file"));
            }
        }
        // Clusters that a settings file has made stay as it says.
        let is_shared = |name: &str| {
            let only_leaves = before.leaving.contains(name) && !origin.files.contains_key(name);
            let alone = origin.clusters.get(name).is_some_and(|cluster| cluster.alone);
            before.clusters.contains_key(name) && !alone && !only_leaves
        };
        let mut known = Vec::new();
        for cluster in &settings.clusters {
            let Some(entry) = before.clusters.get(&cluster.name).filter(|entry| is_shared(&entry.name)) else {
                known.push(cluster.clone());
                continue;
            };
            if !is_same_cluster(&entry.settings, cluster) {
                return Err(other_cluster(&cluster.name, &place(&cluster.name), origin.file_of(&cluster.name)));
            }
            known.push(entry.settings.clone());
        }
        let named: BTreeSet<String> = settings.clusters.iter().map(|cluster| cluster.name.clone()).collect();
        settings.clusters.retain(|cluster| !is_shared(&cluster.name));
        for task in settings.tasks.iter_mut().filter(|task| is_shared(&task.source) || is_shared(&task.destination)) {
            let name = task.name();
            let misfit = |why: String| Error::Misfit(format!("{}: the task {name}: {why}", task_place(&name)));
            // What follows from its clusters may be another thing there.
            let (read, _) = read_task(&task.to_value(), &name, &known, &ProcessEnv, &kinds()).map_err(misfit)?;
            *task = read;
            check_namespaces(task, &known, origin).map_err(misfit)?;
        }
        let mut proposal = Proposal {
            desired: before.clone(),
            applied: api::Applied { warnings: converted.warnings.clone(), ..api::Applied::default() },
            settings,
            edits: Vec::new(),
        };
        proposal.clusters(&self.install, before);
        proposal.tasks(before, |name| task_id(before, name))?;
        proposal.check_ids()?;
        self.check_left_behind(&proposal, before)?;
        self.check_moved(&proposal, before)?;
        proposal.check_others(before)?;
        let own = &mut proposal.desired.origin;
        for name in named {
            let alone = !is_shared(&name);
            own.clusters.insert(name.clone(), DocumentCluster { place: place(&name), alone });
        }
        for name in proposal.settings.tasks.iter().map(settings::Task::name) {
            let slot = converted.task_documents.get(&name).and_then(|n| slots.get(*n)).cloned().unwrap_or_default();
            if let Some(task) = proposal.desired.tasks.get(&name) {
                own.tasks.insert(task.id.to_string(), slot);
            }
            own.places.insert(name.clone(), task_place(&name));
        }
        Ok(proposal)
    }

    /// Ends the tasks that no document names any more, and stores and configures everything.
    async fn end_tasks(
        &self,
        mut proposal: Proposal,
        before: &Desired,
        gone: &[Arc<TaskEntry>],
    ) -> Result<api::Applied> {
        let mut forgotten = Vec::new();
        for task in gone {
            let copies = self.holds(task);
            let stay = copies > 0 && (task.setup.is_err() || self.check_keeps(task).is_ok());
            if copies == 0 || stay {
                proposal.remove_task(task);
                forgotten.push((task.clone(), copies));
            } else if task.run != RunState::Removing {
                proposal.remove_later(task);
                tracing::info!(task = %task.name, "no document names it any more: its {copies} copies are taken back");
            }
        }
        proposal.forget_clusters();
        let Proposal { desired, settings, .. } = &mut proposal;
        let named: BTreeSet<String> = settings.tasks.iter().map(settings::Task::name).collect();
        let tasks = &desired.tasks;
        desired.origin.tasks.retain(|id, _| tasks.values().any(|task| *task.id == **id));
        desired.origin.places.retain(|name, _| named.contains(name) || tasks.contains_key(name));
        self.check_namespaces(&proposal, before).await?;
        let applied = self.commit(proposal, Vec::new()).await?;
        // After the routes have ended: they would write the ledger again.
        for (task, copies) in forgotten {
            self.engine.forget(&self.owner(&task));
            match copies {
                0 => tracing::info!(task = %task.name, "no document names it any more: it has ended"),
                _ => tracing::warn!(
                    task = %task.name,
                    "no document names it any more: it has ended, and its {copies} copies stay where they are"
                ),
            }
        }
        Ok(applied)
    }
}

/// The tasks that documents have made and do not name any more. Tasks of slots that have not been read are not among them.
fn gone(proposal: &Proposal, before: &Desired, slots: &[String]) -> Vec<Arc<TaskEntry>> {
    let named: BTreeSet<String> = proposal.settings.tasks.iter().map(settings::Task::name).collect();
    let is_gone = |task: &&Arc<TaskEntry>| {
        let slot = before.origin.tasks.get(&*task.id);
        slot.is_some_and(|slot| slots.contains(slot)) && !named.contains(&task.name)
    };
    before.tasks.values().filter(is_gone).cloned().collect()
}

impl Proposal {
    /// Removes the clusters that only documents have named and that none of their tasks uses any more.
    fn forget_clusters(&mut self) {
        let named: BTreeSet<&str> =
            self.settings.tasks.iter().flat_map(|task| [task.source.as_str(), &task.destination]).collect();
        let known = self.desired.origin.clusters.keys().filter(|name| !named.contains(name.as_str()));
        for name in known.cloned().collect::<Vec<_>>() {
            // Tasks of a document that has not been read stay, and so do their clusters.
            if self.desired.users(&name).any(|task| task.run != RunState::Removing) {
                continue;
            }
            let cluster = self.desired.origin.clusters.remove(&name);
            if cluster.is_some_and(|cluster| cluster.alone) {
                self.remove_cluster(&name);
            }
        }
    }
}

/// The settings file may limit a cluster to namespaces that the document's task does not copy from.
fn check_namespaces(
    task: &settings::Task,
    known: &[settings::Cluster],
    origin: &Origin,
) -> std::result::Result<(), String> {
    let Some(source) = known.iter().find(|cluster| cluster.name == task.source) else { return Ok(()) };
    let limits = task.namespaces_of(source);
    let taken = |rule: &settings::Rule| match &rule.namespace {
        Some(pattern) => limits.iter().any(|name| pattern.matches(name).unwrap_or(true)),
        None => true,
    };
    match limits.is_empty() || task.select.include.iter().all(taken) {
        true => Ok(()),
        false => Err(format!(
            "{} limits the cluster {} to the namespaces {}, and the document copies from another",
            origin.file_of(&source.name),
            source.name,
            limits.join(", ")
        )),
    }
}

/// The same for one name ever, so that a task that was taken out of a document and comes back knows its copies.
fn task_id(before: &Desired, name: &str) -> Result<Arc<str>> {
    let digest = Sha256::digest(format!("document/{name}"));
    let id = hex::encode(&digest[..4]);
    match before.task_by_id(&id) {
        Some(other) if other.name != name => new_id(),
        _ => Ok(id.into()),
    }
}
