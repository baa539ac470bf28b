//! What an operator does to a task that runs.

use crate::api;
use crate::apply::{forget_frozen, leaving};
use crate::desired::{Desired, RunState, TaskEntry};
use crate::error::{Error, Result};
use crate::node::{Inner, Node};
use causeway_core::{OwnerId, Reason};
use causeway_engine::RouteState;
use causeway_store::Edit;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a condition that a caller waits for is checked.
const LOOK: Duration = Duration::from_millis(50);
/// The longest wait for writes that were begun: longer than one may take.
const QUIET: Duration = Duration::from_secs(12);

/// How a task is deleted while it holds copies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deletion {
    /// Take the copies back first.
    pub drain: bool,
    /// Leave the copies where they are, as nobody's.
    pub keep: bool,
    /// How long to wait for a drain. It goes on after that.
    pub wait: Duration,
}

impl Node {
    /// Leaves everything as it is.
    pub async fn pause(&self, name: &str) -> Result<api::Task> {
        let task = self.inner.find(name)?;
        if task.run == RunState::Drained {
            return Err(Error::conflict(format!("the task {name} is drained: there is nothing to pause"), ""));
        }
        self.set_run(name, RunState::Paused, "paused").await
    }

    /// Goes on, also after a drain.
    pub async fn resume(&self, name: &str) -> Result<api::Task> {
        check_settings(&*self.inner.find(name)?)?;
        self.set_run(name, RunState::Running, "resumed").await
    }

    /// Lets go of what guards hold.
    pub async fn release(&self, name: &str) -> Result<api::Released> {
        let task = self.inner.find(name)?;
        let owner = self.inner.owner(&task);
        let held = self.inner.engine.release(&owner) + self.inner.data.release(&owner);
        Ok(api::Released { task: name.to_owned(), held })
    }

    /// Takes back exactly what the task wrote, in both directions. Returns at once; the task is `drained` when it is done.
    pub async fn drain(&self, name: &str, preview: bool) -> Result<api::Drain> {
        let task = self.inner.find(name)?;
        let copies = self.inner.copies(&task);
        let state = match preview || task.run == RunState::Drained {
            true => self.task(name)?.state,
            false => {
                check_settings(&task)?;
                self.set_run(name, RunState::Draining, "draining").await?.state
            }
        };
        Ok(api::Drain { task: name.to_owned(), preview, copies, state, ..api::Drain::default() })
    }

    /// Removes a task. One that holds copies is refused, unless they are to be drained or kept.
    pub async fn delete(&self, name: &str, how: Deletion) -> Result<api::Deleted> {
        if how.drain && how.keep {
            return Err(Error::Request("drain and keep exclude each other".into()));
        }
        let task = self.inner.find(name)?;
        let origin = &self.inner.desired().origin;
        if origin.has(&task) && task.run != RunState::Removing {
            return Err(Error::conflict(
                format!("the task {name} stands in {}, and would come back", origin.place_of(name)),
                "take it out there, or set its `enable` to false",
            ));
        }
        if !how.drain {
            let kept = self.remove(name, how.keep).await?;
            return Ok(api::Deleted { task: name.to_owned(), drained: 0, kept });
        }
        let (id, drained) = (task.id.clone(), self.inner.holds(&task));
        if task.run == RunState::Drained {
            self.remove(name, false).await?;
        } else {
            check_settings(&task)?;
            self.set_run(name, RunState::Removing, "draining").await?;
        }
        self.wait_until_gone(name, &id, how.wait).await?;
        Ok(api::Deleted { task: name.to_owned(), drained, kept: 0 })
    }

    async fn set_run(&self, name: &str, run: RunState, action: &'static str) -> Result<api::Task> {
        let (inner, task) = (self.inner.clone(), name.to_owned());
        let work = async move {
            let _edit = inner.edit.lock().await;
            inner.again(|| inner.set_run(&task, run, action)).await
        };
        self.inner.finish(work).await?;
        self.task(name)
    }

    /// Removes a task that holds nothing, or leaves what it holds. Returns how many copies that were.
    async fn remove(&self, name: &str, keep: bool) -> Result<usize> {
        let (inner, name) = (self.inner.clone(), name.to_owned());
        let work = async move {
            let _edit = inner.edit.lock().await;
            inner.again(|| inner.remove_quietly(&name, keep)).await
        };
        self.inner.finish(work).await
    }

    async fn wait_until_gone(&self, name: &str, id: &str, wait: Duration) -> Result<()> {
        let until = Instant::now() + wait;
        while self.inner.desired().task_by_id(id).is_some() {
            if Instant::now() >= until {
                let left = self.inner.find(name).map(|task| self.inner.holds(&task)).unwrap_or_default();
                return Err(Error::Slow {
                    what: format!("the task {name} still holds {left} copies; it is removed when they are taken back"),
                    help: format!("see its reason in `get tasks`; `resume {name}` calls it off"),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Inner {
    pub fn find(&self, name: &str) -> Result<Arc<TaskEntry>> {
        self.desired().tasks.get(name).cloned().ok_or_else(|| Error::Missing(format!("task {name}")))
    }

    pub fn owner(&self, task: &TaskEntry) -> OwnerId {
        OwnerId::new(&self.install, &task.id)
    }

    async fn set_run(&self, name: &str, run: RunState, action: &'static str) -> Result<()> {
        let task = self.find(name)?;
        if task.run == run {
            return Ok(());
        }
        let (id, state) = (task.id.to_string(), run.word().to_owned());
        let mut desired = Desired::clone(&self.desired());
        desired.tasks.insert(name.to_owned(), Arc::new(task.with_run(run)));
        self.store_edits(&mut desired, vec![Edit::SetTaskState { id, state }]).await?;
        self.change(|now| *now = desired).await;
        self.scribe.operator(name, action, Reason::None);
        Ok(())
    }

    /// Removes a task once none of its writes is under way. Returns how many copies were left.
    async fn remove_quietly(&self, name: &str, keep: bool) -> Result<usize> {
        let task = self.find(name)?;
        self.check_removal(&task, keep)?;
        let before = self.desired();
        let done = async {
            self.quiesce(std::slice::from_ref(&task)).await?;
            // What was being written a moment ago counts too.
            self.check_removal(&task, keep)?;
            self.remove(name, keep).await
        };
        let done = done.await;
        if done.is_err() {
            self.put_back(before).await;
        }
        done
    }

    /// Removes a task, and the clusters that only waited for it. Returns how many copies were forgotten.
    async fn remove(&self, name: &str, forget: bool) -> Result<usize> {
        let task = self.find(name)?;
        let mut desired = Desired::clone(&self.desired());
        desired.tasks.remove(name);
        let mut edits = forget_frozen(&desired, &task);
        edits.push(Edit::RemoveTask(task.id.to_string()));
        let left = desired.leaving.clone();
        for cluster in left.into_iter().filter(|cluster| desired.users(cluster).next().is_none()).collect::<Vec<_>>() {
            desired.clusters.remove(&cluster);
            desired.leaving.remove(&cluster);
            edits.push(Edit::RemoveCluster(cluster));
        }
        edits.push(leaving(&desired));
        self.store_edits(&mut desired, edits).await?;
        self.frozen.lock().retain(|(id, _), _| *id != task.id);
        self.change(|now| *now = desired).await;
        // After its routes have ended: they would write the ledger again.
        let owner = self.owner(&task);
        let forgotten = if forget { self.engine.forget(&owner) } else { 0 };
        // What both sides have in common is not ours to hold on to; a task that goes has taken its copies back.
        let entries = self.data.forget(&owner).await;
        let forgotten = if forget { forgotten + entries } else { 0 };
        self.tell_orphans();
        let left = if forget { Reason::CopiesLeft { count: forgotten } } else { Reason::None };
        self.scribe.operator(name, "removed", left);
        Ok(forgotten)
    }

    /// Pauses tasks in memory only, and waits until none of their writes is under way. The caller holds the edit lock, and
    /// restores the desired state with [`Inner::put_back`] if it gives up.
    pub async fn quiesce(&self, tasks: &[Arc<TaskEntry>]) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        self.change(|desired| {
            for task in tasks.iter().filter(|task| task.run == RunState::Running) {
                desired.tasks.insert(task.name.clone(), Arc::new(task.with_run(RunState::Paused)));
            }
        })
        .await;
        let owners: Vec<_> = tasks.iter().map(|task| self.owner(task)).collect();
        let until = Instant::now() + QUIET;
        let mut looks = 0;
        // Two looks: what was planned when the routes were paused is pending a moment later.
        while looks < 2 && Instant::now() < until {
            tokio::select! {
                () = self.stop.cancelled() => return Err(Error::Stopping),
                () = tokio::time::sleep(LOOK) => {}
            }
            let mine = |owner: &OwnerId| owners.contains(owner);
            let busy = self.engine.status().iter().any(|route| route.pending > 0 && mine(&route.owner));
            looks = if busy { 0 } else { looks + 1 };
        }
        Ok(())
    }

    /// Whether a task may be removed as things stand.
    fn check_removal(&self, task: &TaskEntry, keep: bool) -> Result<()> {
        match self.holds(task) {
            _ if keep => self.check_keeps(task),
            0 => Ok(()),
            copies => Err(Error::conflict(
                format!("the task {} holds {copies} copies", task.name),
                "delete with `drain` to take them back; `keep` leaves them, where the destination can keep them",
            )),
        }
    }

    /// Changes what the node knows, and tells the engine. The caller holds the edit lock.
    async fn change(&self, change: impl FnOnce(&mut Desired)) {
        let mut desired = Desired::clone(&self.desired());
        change(&mut desired);
        *self.desired.write() = Arc::new(desired);
        self.configure().await;
    }

    /// Whether every cluster in which the task holds copies can keep them without us.
    pub fn check_keeps(&self, task: &TaskEntry) -> Result<()> {
        let desired = self.desired();
        let connections = self.connections.lock();
        for copy in self.copies(task) {
            // Data stand by themselves.
            if copy.at.scope.is_empty() {
                continue;
            }
            let cluster = &copy.at.cluster;
            let sink = connections.of(cluster).and_then(|opened| opened.port.sink());
            if !sink.is_some_and(|sink| sink.capabilities().keeps) {
                let kind = desired.clusters.get(cluster).map(|entry| entry.settings.kind.clone()).unwrap_or_default();
                return Err(Error::conflict(
                    format!("copies in {cluster} ({kind}) end with this node: they cannot be kept"),
                    "delete with `drain`, or leave the task paused",
                ));
            }
        }
        Ok(())
    }

    /// Ends the drains that are done. `seen`: those that looked so at the last call; a write that was planned when the drain
    /// began is pending a moment later.
    pub async fn end_drains(&self, seen: &mut BTreeSet<Arc<str>>) -> Result<()> {
        let _edit = self.edit.lock().await;
        let desired = self.desired();
        let mut done = Vec::new();
        for task in desired.tasks.values().filter(|task| task.run.drains()) {
            if self.has_drained(task).await {
                done.push(task);
            }
        }
        let before = std::mem::replace(seen, done.iter().map(|task| task.id.clone()).collect());
        for task in done.into_iter().filter(|task| before.contains(&task.id)) {
            match task.run {
                RunState::Removing => drop(self.remove(&task.name, false).await?),
                _ => self.set_run(&task.name, RunState::Drained, "drained").await?,
            }
        }
        Ok(())
    }

    async fn has_drained(&self, task: &TaskEntry) -> bool {
        let owner = self.owner(task);
        let routes: Vec<_> = self.engine.status().into_iter().filter(|route| route.owner == owner).collect();
        // The cheap question first: this is asked several times a second.
        let data = self.data.status();
        let drained =
            data.iter().filter(|data| data.route.owner == owner).all(|data| data.state == RouteState::Drained)
                && routes.iter().all(|route| route.state == RouteState::Drained && route.pending == 0)
                && self.holds(task) == 0;
        drained && self.engine.compare(&owner).await.iter().all(|preview| preview.plan.changes.is_empty())
    }
}

/// A task whose settings cannot be used has no routes: it can neither run nor drain.
fn check_settings(task: &TaskEntry) -> Result<()> {
    let refuse =
        |why| Error::conflict(format!("the settings of {} cannot be used: {why}", task.name), "apply them again");
    task.setup.as_ref().map(|_| ()).map_err(refuse)
}
