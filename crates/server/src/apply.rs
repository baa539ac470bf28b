//! Taking a settings file: all of it, or nothing.

use crate::api;
use crate::desired::{ClusterEntry, Desired, LEAVING, RunState, TaskEntry, read_task, warnings_of};
use crate::error::{Error, Result};
use crate::node::{Inner, Node, frozen_key};
use crate::tls;
use causeway_connectors::kinds;
use causeway_core::{ClusterId, Edited, Reason};
use causeway_settings::{self as settings, ProcessEnv, Settings};
use causeway_store::Edit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a file would make of the settings.
pub(crate) struct Proposal {
    pub settings: Settings,
    pub desired: Desired,
    pub applied: api::Applied,
    pub edits: Vec<Edit>,
}

impl Node {
    /// Adds and changes what the file says; with `prune` removes what it does not say. On an error nothing has changed.
    pub async fn apply(&self, request: api::ApplyRequest) -> Result<api::Applied> {
        let inner = self.inner.clone();
        self.inner
            .finish(async move {
                let _edit = inner.edit.lock().await;
                inner.again(|| inner.apply(&request)).await
            })
            .await
            // A document may have waited for this.
            .inspect(|_| self.inner.documents.again.notify_one())
    }
}

impl Inner {
    async fn apply(&self, request: &api::ApplyRequest) -> Result<api::Applied> {
        let proposal = self.draft(&request.file, &request.text, request.prune).await?;
        if !request.prune {
            return self.commit(proposal, Vec::new()).await;
        }
        let before = self.desired();
        let done = self.prune(proposal, &before, request.drain).await;
        if done.is_err() {
            self.put_back(before).await;
        }
        done
    }

    /// Reads and checks a file against what is there. Without `prune`, tasks may name clusters that are known already; with
    /// it, the namespaces that leave are checked by who prunes: a task that goes drains them.
    pub async fn draft(&self, file: &str, text: &str, prune: bool) -> Result<Proposal> {
        let before = self.desired();
        let known = if prune { Vec::new() } else { before.known() };
        let (name, text) = (file.to_owned(), text.to_owned());
        let read =
            tokio::task::spawn_blocking(move || settings::parse_beside(&name, &text, &ProcessEnv, &kinds(), &known));
        let read = read.await.map_err(|error| Error::unexpected("reading the settings", &error))?;
        let settings = read.map_err(|problems| Error::Settings(file.to_owned(), problems))?;
        let mut proposal = Proposal {
            desired: (*before).clone(),
            applied: api::Applied { warnings: settings.warnings.clone(), ..api::Applied::default() },
            settings,
            edits: Vec::new(),
        };
        tls::check(&proposal.settings.clusters).await?;
        proposal.check_documents(&before, file, &self.documents.waiting())?;
        proposal.clusters(&self.install, &before);
        proposal.tasks(&before, |_| new_id())?;
        proposal.check_ids()?;
        self.check_left_behind(&proposal, &before)?;
        self.check_moved(&proposal, &before)?;
        proposal.check_others(&before)?;
        if !prune {
            self.check_namespaces(&proposal, &before).await?;
        }
        Ok(proposal)
    }

    /// Removes what the file does not say, and takes the rest. On an error tasks may still be paused in memory.
    async fn prune(&self, mut proposal: Proposal, before: &Desired, drain: bool) -> Result<api::Applied> {
        let named: BTreeSet<String> = proposal.settings.tasks.iter().map(settings::Task::name).collect();
        let gone: Vec<_> =
            proposal.desired.tasks.values().filter(|task| !named.contains(&task.name)).cloned().collect();
        let gone = gone.into_iter().filter(|task| !before.origin.has(task));
        let gone: Vec<_> = gone.filter(|task| !proposal.rename(task)).collect();
        let empty: Vec<_> = gone.iter().filter(|task| self.holds(task) == 0).cloned().collect();
        self.quiesce(&empty).await?;
        let mut holding = Vec::new();
        for task in gone {
            match self.holds(&task) {
                0 => proposal.remove_task(&task),
                _ if drain && task.setup.is_ok() => proposal.remove_later(&task),
                copies => holding.push(format!("{} ({copies} copies)", task.name)),
            }
        }
        if !holding.is_empty() {
            return Err(Error::conflict(
                format!("tasks that are not in the file hold copies: {}", holding.join(", ")),
                "add `drain` to take the copies back, or drain or delete these tasks first",
            ));
        }
        let named: BTreeSet<&str> = proposal.settings.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let gone: Vec<_> =
            proposal.desired.clusters.keys().filter(|name| !named.contains(name.as_str())).cloned().collect();
        for name in gone {
            proposal.desired.origin.files.remove(&name);
            match proposal.desired.origin.clusters.get_mut(&name) {
                // Documents go on with it.
                Some(cluster) => cluster.alone = true,
                None => proposal.remove_cluster(&name),
            }
        }
        self.check_namespaces(&proposal, before).await?;
        self.commit(proposal, Vec::new()).await
    }

    /// Stores a proposal and makes it so. The caller holds the edit lock, or is alone.
    pub async fn commit(&self, proposal: Proposal, more: Vec<Edit>) -> Result<api::Applied> {
        let Proposal { mut desired, applied, mut edits, .. } = proposal;
        edits.extend(more);
        if desired.origin != self.desired().origin {
            edits.push(desired.origin.edit());
        }
        let is_edited = !edits.is_empty();
        if is_edited {
            self.store_edits(&mut desired, edits).await?;
        }
        if !applied.is_unchanged() {
            self.frozen.lock().retain(|(task, _), _| {
                let setup = desired.task_by_id(task).and_then(|task| task.setup.as_ref().ok());
                setup.is_none_or(|setup| !setup.settings.auto_scan)
            });
            let before = std::mem::replace(&mut *self.desired.write(), Arc::new(desired));
            self.configure().await;
            self.forget_gone(&before).await;
            self.tell_orphans();
            let (clusters, tasks) = (edited(&applied.clusters), edited(&applied.tasks));
            self.scribe.operator("", "applied", Reason::Applied { clusters, tasks });
        } else {
            let has_tls = desired.clusters.values().any(|entry| entry.settings.tls.is_some());
            if is_edited {
                *self.desired.write() = Arc::new(desired);
            }
            if has_tls {
                // Their files may hold something else than when they were read.
                self.configure().await;
            }
        }
        Ok(applied)
    }

    /// Forgets what the config entries of tasks that are gone had in common. Their work must have been told to end.
    pub async fn forget_gone(&self, before: &Desired) {
        let desired = self.desired();
        for task in before.tasks.values().filter(|task| desired.task_by_id(&task.id).is_none()) {
            self.data.forget(&self.owner(task)).await;
        }
    }
}

impl Proposal {
    pub fn clusters(&mut self, install: &str, before: &Desired) {
        for settings in &self.settings.clusters {
            let name = settings.name.clone();
            let changes = &mut self.applied.clusters;
            match before.clusters.get(&name) {
                Some(known) if known.error.is_none() && known.settings == *settings => {
                    changes.unchanged.push(name.clone());
                }
                known => {
                    let entry = Arc::new(ClusterEntry::new(install, settings.clone()));
                    self.edits.push(Edit::PutCluster(entry.to_store()));
                    self.desired.clusters.insert(name.clone(), entry);
                    if known.is_some() { changes.changed.push(name.clone()) } else { changes.added.push(name.clone()) }
                }
            }
            if self.desired.leaving.remove(&name) {
                self.edits.push(leaving(&self.desired));
            }
        }
    }

    /// `id` makes the id of a task that is new, from its name.
    pub fn tasks(&mut self, before: &Desired, id: impl Fn(&str) -> Result<Arc<str>>) -> Result<()> {
        for (n, settings) in self.settings.tasks.iter().enumerate() {
            let name = settings.name();
            let warnings = warnings_of(&self.settings.warnings, n);
            let changes = &mut self.applied.tasks;
            let entry = match before.tasks.get(&name) {
                Some(known) if known.setup.as_ref().is_ok_and(|setup| setup.settings == *settings) => {
                    if known.run != RunState::Removing {
                        changes.unchanged.push(name);
                        continue;
                    }
                    changes.changed.push(name.clone());
                    TaskEntry::new(known.id.clone(), settings.clone(), RunState::Running, warnings)
                }
                Some(known) => {
                    changes.changed.push(name.clone());
                    // A task that a file names again is not to be removed any more.
                    let run = if known.run == RunState::Removing { RunState::Running } else { known.run };
                    TaskEntry::new(known.id.clone(), settings.clone(), run, warnings)
                }
                None => {
                    changes.added.push(name.clone());
                    TaskEntry::new(id(&name)?, settings.clone(), RunState::Running, warnings)
                }
            };
            if settings.auto_scan {
                self.edits.extend(forget_frozen(before, &entry));
            }
            self.edits.push(Edit::PutTask(entry.to_store()));
            self.desired.tasks.insert(name, Arc::new(entry));
        }
        Ok(())
    }

    /// Two clusters of one id would be one cluster to every loop check.
    pub fn check_ids(&self) -> Result<()> {
        let mut seen: BTreeMap<&ClusterId, &str> = BTreeMap::new();
        for entry in self.desired.clusters.values() {
            if let Some(other) = seen.insert(&entry.id, &entry.name) {
                return Err(Error::Misfit(format!(
                    "the clusters {other} and {} have the same id {}: if they are one cluster, make them one; if not, give one \
                     of them another `clusterId`",
                    entry.name, entry.id
                )));
            }
        }
        Ok(())
    }

    /// Tasks that the file does not name must still fit the clusters that it changes.
    pub fn check_others(&mut self, before: &Desired) -> Result<()> {
        let named: BTreeSet<String> = self.settings.tasks.iter().map(settings::Task::name).collect();
        let known = self.desired.known();
        for task in before.tasks.values().filter(|task| !named.contains(&task.name) && task.setup.is_ok()) {
            if !task.ends().iter().any(|name| self.applied.clusters.changed.iter().any(|changed| changed == name)) {
                continue;
            }
            match read_task(&task.document, &task.name, &known, &ProcessEnv, &kinds()) {
                Err(why) => {
                    let name = &task.name;
                    let text = format!("the task {name}, which is not in the file, would not work any more: {why}");
                    return Err(Error::Misfit(text));
                }
                // What follows from its clusters may be another thing now.
                Ok((settings, warnings)) if task.setup.as_ref().is_ok_and(|setup| setup.settings != settings) => {
                    let fresh = TaskEntry::new(task.id.clone(), settings, task.run, warnings);
                    self.desired.tasks.insert(task.name.clone(), Arc::new(fresh));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Whether the file has the same task under another name. It stays the same task, and so do its copies.
    fn rename(&mut self, gone: &TaskEntry) -> bool {
        let Ok(before) = &gone.setup else { return false };
        let same = |entry: &&Arc<TaskEntry>| {
            let settings = entry.setup.as_ref().map(|setup| setup.settings.clone());
            self.applied.tasks.added.contains(&entry.name)
                && settings.is_ok_and(|s| {
                    settings::Task { given_name: before.settings.given_name.clone(), ..s } == before.settings
                })
        };
        let Some(found) = self.desired.tasks.values().find(same).cloned() else { return false };
        let run = if gone.run == RunState::Removing { RunState::Running } else { gone.run };
        let entry = TaskEntry { id: gone.id.clone(), run, ..TaskEntry::clone(&found) };
        self.edits.retain(|edit| !matches!(edit, Edit::PutTask(task) if task.id == *found.id));
        self.edits.push(Edit::PutTask(entry.to_store()));
        self.desired.tasks.remove(&gone.name);
        self.applied.tasks.added.retain(|name| *name != entry.name);
        self.applied.tasks.changed.push(entry.name.clone());
        self.desired.tasks.insert(entry.name.clone(), Arc::new(entry));
        true
    }

    pub fn remove_task(&mut self, task: &TaskEntry) {
        self.edits.extend(forget_frozen(&self.desired, task));
        self.edits.push(Edit::RemoveTask(task.id.to_string()));
        self.desired.tasks.remove(&task.name);
        self.applied.tasks.removed.push(task.name.clone());
    }

    pub fn remove_later(&mut self, task: &TaskEntry) {
        let entry = task.with_run(RunState::Removing);
        self.edits.push(Edit::PutTask(entry.to_store()));
        self.desired.tasks.insert(task.name.clone(), Arc::new(entry));
        self.applied.tasks.draining.push(task.name.clone());
    }

    /// Removes a cluster now, or when the last task that drains into it has gone.
    pub fn remove_cluster(&mut self, name: &str) {
        if self.desired.users(name).next().is_some() {
            self.desired.leaving.insert(name.to_owned());
            self.edits.push(leaving(&self.desired));
            self.applied.clusters.draining.push(name.to_owned());
            return;
        }
        self.edits.push(Edit::RemoveCluster(name.to_owned()));
        self.desired.clusters.remove(name);
        self.applied.clusters.removed.push(name.to_owned());
    }
}

/// Keeps which clusters go when no task uses them any more.
pub(crate) fn leaving(desired: &Desired) -> Edit {
    Edit::PutKv(LEAVING.into(), serde_json::json!(desired.leaving).to_string())
}

/// Forgets which scopes a task was limited to.
pub(crate) fn forget_frozen(desired: &Desired, task: &TaskEntry) -> Vec<Edit> {
    let ends = task.ends();
    let clusters = ends.iter().filter_map(|name| desired.clusters.get(*name));
    clusters.map(|cluster| Edit::RemoveKv(frozen_key(&task.id, &cluster.id))).collect()
}

/// Eight random hexadecimal digits.
pub(crate) fn new_id() -> Result<Arc<str>> {
    Ok(hex::encode(causeway_store::random::<4>()?).into())
}

fn edited(changes: &api::Changes) -> Edited {
    let api::Changes { added, changed, removed, draining, .. } = changes.clone();
    Edited { added, changed, removed, draining }
}
