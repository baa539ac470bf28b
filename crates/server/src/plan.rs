//! What would be done: the dry run of a file, and the comparison of a running task.

use crate::api::{self, Action, Differs};
use crate::apply::Proposal;
use crate::data::{self, EntryComparison};
use crate::desired::{Desired, RunState, TaskEntry};
use crate::error::{Error, Result};
use crate::node::{Inner, Node};
use crate::routes::{Connections, routes};
use crate::tls;
use causeway_core::{Change, ClusterId, OwnerId, Reason, Skip};
use causeway_engine::{Notice, Preview, Timing, UnreadPart, dry_run};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection that was made for a look may take to close.
const CLOSE: Duration = Duration::from_secs(10);

/// What a look at clusters has found.
pub(crate) struct Findings {
    /// Of services.
    pub previews: Vec<Preview>,
    /// Of config entries, by task.
    pub data: Vec<(OwnerId, EntryComparison)>,
    /// What could not be read.
    pub unanswered: Vec<api::Unanswered>,
    /// What the operator should know of services, by task.
    pub notices: Vec<(OwnerId, Notice)>,
}

impl Node {
    /// What applying a file would do, from one complete look at its clusters. Writes nothing.
    pub async fn plan(&self, request: api::PlanRequest) -> Result<api::Planned> {
        let inner = self.inner.clone();
        // Runs to its end: connections that were made for it must be closed.
        self.inner
            .finish(async move {
                let proposal = inner.draft(&request.file, &request.text, false).await?;
                inner.dry_run(proposal).await
            })
            .await
    }

    /// What a task would do now, as both sides stand in memory.
    pub async fn diff(&self, name: &str) -> Result<api::TaskPlan> {
        let inner = &self.inner;
        let task = inner.find(name)?;
        let previews = inner.engine.compare(&inner.owner(&task)).await;
        let desired = inner.desired();
        let mut plans = Plans::new(&inner.install, &desired, std::iter::once(&task));
        previews.iter().for_each(|preview| plans.add(preview));
        let mut plan = plans.into_list().pop().unwrap_or_default();
        let state = self.task(name)?;
        plan.notes.extend((!state.reason.is_empty()).then_some(state.reason));
        Ok(plan)
    }
}

impl Inner {
    async fn dry_run(&self, proposal: Proposal) -> Result<api::Planned> {
        let named: BTreeSet<String> = proposal.settings.tasks.iter().map(causeway_settings::Task::name).collect();
        let tasks: Vec<_> =
            proposal.desired.tasks.values().filter(|task| named.contains(&task.name)).cloned().collect();
        let running: Vec<_> = tasks.iter().filter(|task| task.run == RunState::Running).cloned().collect();
        let Findings { previews, data, unanswered, notices } = self.look(&proposal.desired, &running).await?;
        let mut plans = Plans::new(&self.install, &proposal.desired, tasks.iter());
        previews.iter().for_each(|preview| plans.add(preview));
        data.iter().for_each(|(owner, compared)| plans.add_data(owner, compared));
        notices.iter().for_each(|(owner, notice)| plans.note(owner, notice));
        let tasks = plans.into_list();
        let totals = tasks.iter().fold(api::Totals::default(), |sum, task| add(sum, task.totals));
        Ok(api::Planned { settings: proposal.applied, tasks, totals, unanswered })
    }

    /// What these tasks would do, from one complete look at every cluster. Errors: nothing could be compared.
    pub async fn look(&self, desired: &Desired, tasks: &[Arc<TaskEntry>]) -> Result<Findings> {
        let names: BTreeSet<&str> = tasks.iter().flat_map(|task| task.ends()).collect();
        let named = names.iter().filter_map(|name| desired.clusters.get(*name)).map(|entry| &entry.settings);
        let tls = tls::read(named).await;
        let (connections, fresh) = self.connections.lock().for_a_look(desired, &names, tls);
        let seen = self.look_with(desired, tasks, &connections, &names).await;
        for sink in fresh.iter().filter_map(|opened| opened.port.sink()) {
            if tokio::time::timeout(CLOSE, sink.close()).await.is_err() {
                tracing::debug!("a connection of a dry run did not close in time");
            }
        }
        seen
    }

    async fn look_with(
        &self,
        desired: &Desired,
        tasks: &[Arc<TaskEntry>],
        connections: &Connections,
        names: &BTreeSet<&str>,
    ) -> Result<Findings> {
        let routes = routes(&self.install, desired, tasks.iter(), &self.frozen.lock());
        let ends: Vec<_> = routes.iter().map(|route| [route.source.clone(), route.destination.clone()]).collect();
        let clusters = connections.specs(desired, names);
        let run = dry_run(clusters, routes, self.engine.ledgers(), &Timing::default()).await;
        let away = |id: &ClusterId| run.unread.iter().any(|one| one.part.is_none() && one.cluster == *id);
        let mut compared = ends.iter().filter(|ends| !ends.iter().any(away)).count();
        let mut unanswered: Vec<_> = run.unread.iter().map(unanswered).collect();
        let mut data = Vec::new();
        for spec in data::specs(&self.install, desired, tasks.iter(), connections) {
            match data::compare(&spec, &self.data).await {
                Ok(mut one) => {
                    compared += 1;
                    unanswered.append(&mut one.unanswered);
                    data.push((spec.owner.clone(), one));
                }
                Err(Error::Cluster { cluster, why }) => {
                    let reason = format!("config entries: {why}");
                    unanswered.push(api::Unanswered { cluster, namespace: String::new(), reason });
                }
                Err(error) => return Err(error),
            }
        }
        match unanswered.first().filter(|_| compared == 0) {
            Some(first) => Err(Error::Cluster { cluster: first.cluster.clone(), why: first.reason.clone() }),
            None => Ok(Findings { previews: run.previews, data, unanswered, notices: run.notices }),
        }
    }
}

fn unanswered(unread: &UnreadPart) -> api::Unanswered {
    let namespace = unread.part.as_ref().map(ToString::to_string).unwrap_or_default();
    api::Unanswered { cluster: unread.name.to_string(), namespace, reason: unread.error.to_string() }
}

/// The plans of some tasks.
pub(crate) struct Plans<'a> {
    desired: &'a Desired,
    tasks: BTreeMap<OwnerId, api::TaskPlan>,
}

impl<'a> Plans<'a> {
    pub fn new<'t>(install: &str, desired: &'a Desired, tasks: impl Iterator<Item = &'t Arc<TaskEntry>>) -> Self {
        let plan = |task: &Arc<TaskEntry>| {
            let note = match task.run {
                RunState::Running => None,
                run => Some(format!("the task is {}: it writes nothing before it is resumed", run.word())),
            };
            let notes = note.into_iter().chain(task.warnings.iter().cloned()).collect();
            let plan = api::TaskPlan { task: task.name.clone(), notes, ..api::TaskPlan::default() };
            (OwnerId::new(install, &task.id), plan)
        };
        Self { desired, tasks: tasks.map(plan).collect() }
    }

    pub fn add(&mut self, preview: &Preview) {
        self.add_with(preview, |_| true);
    }

    /// Like [`Plans::add`], with only those skipped records for which `tell` returns true.
    pub fn add_with(&mut self, preview: &Preview, tell: impl Fn(&Skip) -> bool) {
        let cluster = self.desired.cluster_name(&preview.cluster);
        let scope = preview.plan.scope.to_string();
        // A change of the service itself has no owner: it is listed with the first one's.
        let first = preview.owners.values().next();
        let at = |record: &dyn ToString| {
            let (cluster, scope, record) = (cluster.clone(), scope.clone(), record.to_string());
            api::RecordRef { cluster, scope, record }
        };
        for change in &preview.plan.changes {
            let Some(plan) = change.owner().or(first).and_then(|owner| self.tasks.get_mut(owner)) else { continue };
            let record = change.record().map(|record| record.id.to_string()).unwrap_or_default();
            plan.change(at(&record), action(change), api::Cause::of(&change.reason()));
        }
        for (id, skip) in preview.plan.skipped.iter().filter(|(_, skip)| tell(skip)) {
            let owner = preview.owners.get(id).or(first);
            let Some(plan) = owner.and_then(|owner| self.tasks.get_mut(owner)) else { continue };
            plan.skip(at(id), api::Cause::of(&Reason::from(skip.clone())));
        }
        for one in preview.plan.crowded.iter().filter(|one| tell(&one.skip)) {
            let Some(plan) = self.tasks.get_mut(&one.owner) else { continue };
            plan.skip(at(&one.id), api::Cause::of(&Reason::from(one.skip.clone())));
        }
        for (owner, count) in &preview.in_step {
            if let Some(plan) = self.tasks.get_mut(owner) {
                plan.totals.in_step += count;
            }
        }
    }

    /// Config entries of a task.
    pub fn add_data(&mut self, owner: &OwnerId, compared: &EntryComparison) {
        let Some(plan) = self.tasks.get_mut(owner) else { return };
        plan.totals.in_step += compared.same;
        for one in &compared.differences {
            let (at, cause) = (one.at.clone(), one.cause.clone());
            match one.kind {
                Differs::Missing => plan.change(at, Action::Create, cause),
                Differs::Different => plan.change(at, Action::Update, cause),
                Differs::Extra => plan.change(at, Action::Delete, cause),
                Differs::Conflict | Differs::Refused => plan.skip(at, cause),
            }
        }
    }

    fn note(&mut self, owner: &OwnerId, notice: &Notice) {
        if let Some(plan) = self.tasks.get_mut(owner) {
            plan.notes.push(notice.to_string());
        }
    }

    /// By the tasks' names; each by cluster and service.
    pub fn into_list(self) -> Vec<api::TaskPlan> {
        let mut list: Vec<_> = self.tasks.into_values().collect();
        for plan in &mut list {
            // Within one service the order is the one in which it is written.
            plan.changes.sort_by(|a, b| (&a.at.cluster, &a.at.scope).cmp(&(&b.at.cluster, &b.at.scope)));
            plan.skipped.sort_by(|a, b| (&a.at.cluster, &a.at.scope).cmp(&(&b.at.cluster, &b.at.scope)));
        }
        list.sort_by(|a, b| a.task.cmp(&b.task));
        list
    }
}

impl api::TaskPlan {
    fn change(&mut self, at: api::RecordRef, action: Action, cause: api::Cause) {
        *match action {
            Action::Create => &mut self.totals.create,
            Action::Update => &mut self.totals.update,
            Action::Delete => &mut self.totals.delete,
            Action::Adopt => &mut self.totals.adopt,
            Action::Shadow => &mut self.totals.shadow,
        } += 1;
        self.changes.push(api::PlannedChange { at, action, cause });
    }

    fn skip(&mut self, at: api::RecordRef, cause: api::Cause) {
        self.totals.skipped += 1;
        self.skipped.push(api::PlannedSkip { at, cause });
    }
}

fn action(change: &Change) -> Action {
    match change {
        Change::Create(_) => Action::Create,
        Change::Adopt(_) => Action::Adopt,
        Change::Shadow(..) => Action::Shadow,
        Change::Update { .. } | Change::Edit { .. } | Change::Scope { .. } => Action::Update,
        Change::Delete { .. } => Action::Delete,
    }
}

fn add(a: api::Totals, b: api::Totals) -> api::Totals {
    api::Totals {
        create: a.create + b.create,
        update: a.update + b.update,
        delete: a.delete + b.delete,
        adopt: a.adopt + b.adopt,
        shadow: a.shadow + b.shadow,
        skipped: a.skipped + b.skipped,
        in_step: a.in_step + b.in_step,
    }
}
