//! What would be done: the dry run of a file, and the comparison of a running task.

use crate::api::{self, Action, Differs};
use crate::apply::Draft;
use crate::data::{self, Compared};
use crate::error::{Error, Result};
use crate::node::{Inner, Node};
use crate::routes::{Connections, routes};
use crate::world::{Run, TaskEntry, World};
use causeway_core::{Change, Instance, OwnerId, Skip};
use causeway_engine::{Preview, dry_run};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long one answer of a cluster may take in a dry run.
const ANSWER: Duration = Duration::from_secs(10);

impl Node {
    /// What applying a file would do, from one complete look at its clusters. Writes nothing.
    pub async fn plan(&self, request: api::PlanRequest) -> Result<api::Planned> {
        let inner = self.inner.clone();
        // To its end: connections that were made for it must be closed.
        self.inner
            .finish(async move {
                let draft = inner.draft(&request.file, &request.text, false).await?;
                inner.dry_run(draft).await
            })
            .await
    }

    /// What a task would do now, as both sides stand in memory.
    pub fn diff(&self, name: &str) -> Result<api::TaskPlan> {
        let inner = &self.inner;
        let task = inner.find(name)?;
        let previews = inner.engine.compare(&inner.owner(&task));
        let world = inner.world();
        let mut plans = Plans::new(&inner.install, &world, std::iter::once(&task));
        previews.iter().for_each(|preview| plans.add(preview));
        let mut plan = plans.into_list().pop().unwrap_or_default();
        let state = self.task(name)?;
        plan.notes.extend((!state.reason.is_empty()).then_some(state.reason));
        Ok(plan)
    }
}

impl Inner {
    async fn dry_run(&self, draft: Draft) -> Result<api::Planned> {
        let named: BTreeSet<String> = draft.settings.tasks.iter().map(causeway_settings::Task::name).collect();
        let tasks: Vec<_> = draft.world.tasks.values().filter(|task| named.contains(&task.name)).cloned().collect();
        let running: Vec<_> = tasks.iter().filter(|task| task.run == Run::Running).cloned().collect();
        let (previews, data) = self.look(&draft.world, &running).await?;
        let mut plans = Plans::new(&self.install, &draft.world, tasks.iter());
        previews.iter().for_each(|preview| plans.add(preview));
        data.iter().for_each(|(owner, compared)| plans.add_data(owner, compared));
        let tasks = plans.into_list();
        let totals = tasks.iter().fold(api::Totals::default(), |sum, task| add(sum, task.totals));
        Ok(api::Planned { settings: draft.applied, tasks, totals })
    }

    /// What these tasks would do, from one complete look at every cluster; services first, then config entries by task.
    pub async fn look(
        &self,
        world: &World,
        tasks: &[Arc<TaskEntry>],
    ) -> Result<(Vec<Preview<Instance>>, Vec<(OwnerId, Compared)>)> {
        let names: BTreeSet<&str> = tasks.iter().flat_map(|task| task.ends()).collect();
        let (connections, fresh) = self.connections.lock().for_a_look(world, &names);
        let seen = self.look_with(world, tasks, &connections, &names).await;
        for sink in fresh.iter().filter_map(|opened| opened.port.sink()) {
            if tokio::time::timeout(ANSWER, sink.close()).await.is_err() {
                tracing::debug!("a connection of a dry run did not close in time");
            }
        }
        seen
    }

    async fn look_with(
        &self,
        world: &World,
        tasks: &[Arc<TaskEntry>],
        connections: &Connections,
        names: &BTreeSet<&str>,
    ) -> Result<(Vec<Preview<Instance>>, Vec<(OwnerId, Compared)>)> {
        let routes = routes(&self.install, world, tasks.iter(), &self.frozen.lock());
        let clusters = connections.specs(world, names);
        // Within a time: the connection may be a new one.
        let previews = dry_run(clusters, routes, self.engine.ledgers(), ANSWER).await;
        let previews =
            previews.map_err(|(cluster, why)| Error::Cluster { cluster: cluster.to_string(), why: why.to_string() })?;
        let mut data = Vec::new();
        for spec in data::specs(&self.install, world, tasks.iter(), connections) {
            data.push((spec.owner.clone(), data::compare(&spec).await?));
        }
        Ok((previews, data))
    }
}

/// The plans of some tasks.
pub(crate) struct Plans<'a> {
    world: &'a World,
    tasks: BTreeMap<OwnerId, api::TaskPlan>,
}

impl<'a> Plans<'a> {
    pub fn new<'t>(install: &str, world: &'a World, tasks: impl Iterator<Item = &'t Arc<TaskEntry>>) -> Self {
        let plan = |task: &Arc<TaskEntry>| {
            let note = match task.run {
                Run::Running => None,
                run => Some(format!("the task is {}: it writes nothing before it is resumed", run.word())),
            };
            let notes = note.into_iter().chain(task.warnings.iter().cloned()).collect();
            let plan = api::TaskPlan { task: task.name.clone(), notes, ..api::TaskPlan::default() };
            (OwnerId::new(install, &task.id), plan)
        };
        Self { world, tasks: tasks.map(plan).collect() }
    }

    pub fn add(&mut self, preview: &Preview<Instance>) {
        self.add_with(preview, |_| true);
    }

    /// With those skipped records that `tell` wants.
    pub fn add_with(&mut self, preview: &Preview<Instance>, tell: impl Fn(&Skip) -> bool) {
        let cluster = self.world.cluster_name(&preview.cluster);
        let scope = preview.plan.scope.to_string();
        // What belongs to the service itself is nobody's alone.
        let first = preview.owners.values().next();
        for change in &preview.plan.changes {
            let Some(plan) = change.owner().or(first).and_then(|owner| self.tasks.get_mut(owner)) else { continue };
            let (action, reason) = describe(change);
            match action {
                Action::Create => plan.totals.create += 1,
                Action::Update => plan.totals.update += 1,
                Action::Delete => plan.totals.delete += 1,
                Action::Adopt => plan.totals.adopt += 1,
                Action::Shadow => plan.totals.shadow += 1,
            }
            let record = change.record().map(|record| record.id.to_string()).unwrap_or_default();
            let (cluster, scope) = (cluster.clone(), scope.clone());
            plan.changes.push(api::PlannedChange { cluster, scope, record, action, reason });
        }
        for (id, skip) in preview.plan.skipped.iter().filter(|(_, skip)| tell(skip)) {
            let owner = preview.owners.get(id).or(first);
            let Some(plan) = owner.and_then(|owner| self.tasks.get_mut(owner)) else { continue };
            plan.totals.skipped += 1;
            let (cluster, scope) = (cluster.clone(), scope.clone());
            plan.skipped.push(api::PlannedSkip { cluster, scope, record: id.to_string(), reason: skip.to_string() });
        }
        for (owner, count) in &preview.in_step {
            if let Some(plan) = self.tasks.get_mut(owner) {
                plan.totals.in_step += count;
            }
        }
    }

    /// Config entries of a task.
    pub fn add_data(&mut self, owner: &OwnerId, compared: &Compared) {
        let Some(plan) = self.tasks.get_mut(owner) else { return };
        plan.totals.in_step += compared.same;
        for one in &compared.differences {
            let (cluster, record, reason) = (one.cluster.clone(), one.record.clone(), one.reason.clone());
            let action = match one.kind {
                Differs::Missing => Action::Create,
                Differs::Different => Action::Update,
                Differs::Extra => Action::Delete,
                Differs::Conflict | Differs::Refused => {
                    plan.totals.skipped += 1;
                    plan.skipped.push(api::PlannedSkip { cluster, scope: String::new(), record, reason });
                    continue;
                }
            };
            match action {
                Action::Create => plan.totals.create += 1,
                Action::Update => plan.totals.update += 1,
                _ => plan.totals.delete += 1,
            }
            plan.changes.push(api::PlannedChange { cluster, scope: String::new(), record, action, reason });
        }
    }

    /// By the tasks' names; each by cluster and service.
    pub fn into_list(self) -> Vec<api::TaskPlan> {
        let mut list: Vec<_> = self.tasks.into_values().collect();
        for plan in &mut list {
            // Within one service the order is the one in which it is written.
            plan.changes.sort_by(|a, b| (&a.cluster, &a.scope).cmp(&(&b.cluster, &b.scope)));
            plan.skipped.sort_by(|a, b| (&a.cluster, &a.scope).cmp(&(&b.cluster, &b.scope)));
        }
        list.sort_by(|a, b| a.task.cmp(&b.task));
        list
    }
}

fn describe(change: &Change<Instance>) -> (Action, String) {
    match change {
        Change::Create(_) => (Action::Create, "it is not there".into()),
        Change::Adopt(_) => (Action::Adopt, "it stands there as ours".into()),
        Change::Shadow(..) => (Action::Shadow, "a native record stands at this address".into()),
        Change::Update { from, to } => (Action::Update, difference(from, to)),
        Change::Edit { from, to, .. } => {
            (Action::Update, format!("an operator's change travels back: {}", difference(from, to)))
        }
        Change::Scope { .. } => (Action::Update, "what belongs to the service itself differs".into()),
        Change::Delete { why, .. } => (Action::Delete, why.to_string()),
    }
}

/// What differs between two records, in words. Values of metadata are not told: they may be long, and may be secret.
fn difference(from: &Instance, to: &Instance) -> String {
    let mut words = Vec::new();
    if from.weight != to.weight {
        words.push(format!("weight {} → {}", from.weight, to.weight));
    }
    let flags = [
        ("enabled", from.enabled, to.enabled),
        ("healthy", from.healthy, to.healthy),
        ("ephemeral", from.ephemeral, to.ephemeral),
    ];
    words.extend(flags.into_iter().filter(|(_, a, b)| a != b).map(|(word, a, b)| format!("{word} {a} → {b}")));
    let keys: BTreeSet<_> = from.metadata.keys().chain(to.metadata.keys()).collect();
    words.extend(keys.into_iter().filter_map(|key| match (from.metadata.get(key), to.metadata.get(key)) {
        (None, Some(_)) => Some(format!("metadata +{key}")),
        (Some(_), None) => Some(format!("metadata -{key}")),
        (a, b) => (a != b).then(|| format!("metadata {key}")),
    }));
    if words.is_empty() {
        words.push("its mark".into());
    }
    words.join(", ")
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
