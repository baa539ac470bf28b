//! Compares both sides of a task record by record, from a look at each that is made for it.

use crate::api::{self, Action, Difference, Differs, LeftOut};
use crate::desired::{Desired, RunState, TaskEntry};
use crate::error::Result;
use crate::node::{Inner, Node};
use crate::plan::{Findings, Plans};
use causeway_core::{InstanceId, Reason, Skip};
use causeway_engine::Preview;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many differences are listed; all are counted.
const LISTED: usize = 10_000;

impl Node {
    /// Reads both sides of a task anew and compares them. Writes nothing. Errors: a cluster cannot be read.
    pub async fn verify(&self, name: &str) -> Result<api::Verification> {
        let inner = self.inner.clone();
        let task = inner.find(name)?;
        self.inner.finish(async move { inner.verify(task).await }).await
    }
}

/// Whether a record that is left alone is a difference between the two sides.
fn is_difference(skip: &Skip) -> bool {
    !matches!(skip, Skip::Loop | Skip::Foreign { .. } | Skip::LeftBehind { .. }) && !skip.is_in_step()
}

/// The copies of another tool that no task wants.
fn left_behind(desired: &Desired, preview: &Preview) -> Vec<LeftOut> {
    let (cluster, scope) = (desired.cluster_name(&preview.cluster), preview.plan.scope.to_string());
    let left = preview.plan.skipped.iter().filter(|(_, skip)| matches!(skip, Skip::LeftBehind { .. }));
    let of = |(id, skip): (&InstanceId, &Skip)| LeftOut {
        at: api::RecordRef { cluster: cluster.clone(), scope: scope.clone(), record: id.to_string() },
        reason: skip.to_string(),
    };
    left.map(of).collect()
}

impl Inner {
    async fn verify(&self, task: Arc<TaskEntry>) -> Result<api::Verification> {
        // As if it ran: a paused task is compared too.
        let task = Arc::new(task.with_run(RunState::Running));
        let mut desired = Desired::clone(&self.desired());
        desired.tasks.insert(task.name.clone(), task.clone());
        let mut found = api::Verification { task: task.name.clone(), ..api::Verification::default() };
        found.notes.clone_from(&task.warnings);
        if let Err(why) = &task.setup {
            found.notes.push(why.clone());
            return Ok(found);
        }
        let Findings { previews, data, unanswered, notices } = self.look(&desired, std::slice::from_ref(&task)).await?;
        for (_, compared) in data {
            found.entries += compared.same;
            found.differences.extend(compared.differences);
            found.left_out.extend(compared.left_out);
        }
        found.unanswered = unanswered;
        found.notes.extend(notices.into_iter().map(|(_, notice)| notice.to_string()));
        self.compare_replicas(&task, &mut found).await;
        found.left_out.extend(self.unreadable(&desired, &task));
        let mut in_step: BTreeMap<String, usize> = BTreeMap::new();
        let mut plans = Plans::new(&self.install, &desired, std::iter::once(&task));
        for preview in &previews {
            plans.add_with(preview, is_difference);
            for skip in preview.plan.skipped.values().filter(|skip| skip.is_in_step()) {
                *in_step.entry(skip.to_string()).or_default() += 1;
            }
        }
        found.left_out.extend(previews.iter().flat_map(|preview| left_behind(&desired, preview)));
        found
            .notes
            .extend(in_step.into_iter().map(|(why, count)| format!("{count} in step although they differ: {why}")));
        let plan = plans.into_list().pop().unwrap_or_default();
        found.instances = plan.totals.in_step + plan.totals.adopt + plan.totals.shadow;
        for change in plan.changes {
            let kind = match change.action {
                Action::Create => Differs::Missing,
                Action::Update => Differs::Different,
                Action::Delete => Differs::Extra,
                Action::Adopt | Action::Shadow => continue,
            };
            found.differences.push(Difference { at: change.at, kind, cause: change.cause });
        }
        for skip in plan.skipped {
            found.differences.push(Difference { at: skip.at, kind: Differs::Refused, cause: skip.cause });
        }
        found.differences.sort_by(|a, b| a.at.cmp(&b.at));
        found.count = found.differences.len();
        found.differences.truncate(LISTED);
        found.in_step = found.count == 0 && found.unanswered.is_empty();
        found.left_out.sort_by(|a, b| a.at.cmp(&b.at));
        found.left_out_count = found.left_out.len();
        found.left_out.truncate(LISTED);
        Ok(found)
    }

    /// Adds where single servers of the task's destinations do not list what it wrote.
    async fn compare_replicas(&self, task: &TaskEntry, found: &mut api::Verification) {
        let compared = self.engine.replicas(&self.owner(task)).await;
        for (cluster, why) in compared.unanswered {
            if !found.unanswered.iter().any(|one| *one.cluster == *cluster) {
                let (cluster, namespace) = (cluster.to_string(), String::new());
                found.unanswered.push(api::Unanswered { cluster, namespace, reason: why });
            }
        }
        found.notes.extend(compared.silent);
        for one in compared.unlike {
            let mut add = |id: &InstanceId, kind, why: Reason| {
                let (cluster, scope, record) = (one.cluster.to_string(), one.scope.to_string(), id.to_string());
                let at = api::RecordRef { cluster, scope, record };
                found.differences.push(Difference { at, kind, cause: api::Cause::of(&why) });
            };
            for id in &one.missing {
                add(id, Differs::Missing, Reason::NotListed { server: one.server.clone() });
            }
            for id in &one.extra {
                add(id, Differs::Extra, Reason::StillListed { server: one.server.clone() });
            }
        }
    }

    /// What stands where instances do and is none, on the sides that a task reads instances from.
    fn unreadable(&self, desired: &Desired, task: &TaskEntry) -> Vec<LeftOut> {
        let Ok(setup) = &task.setup else { return Vec::new() };
        if !setup.settings.kind.wants_services() {
            return Vec::new();
        }
        let unreadable = self.engine.unreadable();
        let sides = if setup.settings.is_two_way() { 2 } else { 1 };
        let mut left_out = Vec::new();
        for cluster in task.ends().into_iter().take(sides).filter_map(|name| desired.clusters.get(name)) {
            let all = unreadable.get(&cluster.id).into_iter().flatten();
            left_out.extend(
                all.map(|one| LeftOut {
                    at: api::RecordRef::entry(&cluster.name, &one.record),
                    reason: one.why.clone(),
                }),
            );
        }
        left_out
    }
}
