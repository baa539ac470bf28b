//! What a writer leaves out of a plan, and what it tells of it.

use super::ClusterWriter;
use crate::event::Action;
use crate::kit::{earliest, hash};
use crate::services::decide::Decision;
use crate::services::outcome::task_of;
use crate::services::scopes::{LeftRecord, ScopeState};
use causeway_core::{Change, InstanceId, OwnerId, ServiceKey, Skip};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// A difference is told of when it has stood for this long: a write is not seen at once.
const TELL: Duration = Duration::from_secs(3);

impl ClusterWriter {
    /// A write is not made again before it could be seen; returns when to look again.
    pub(super) fn drop_recent(&mut self, scope: &ServiceKey, decision: &mut Decision, now: Instant) -> Option<Instant> {
        let mut again: Option<Instant> = None;
        let mut still = BTreeSet::new();
        decision.plan.changes.retain(|change| {
            let Some(record) = change.record() else { return true };
            still.insert(hash(&record.id));
            let Some(until) = self.recent.not_before(scope, &record.id, change) else { return true };
            if now < until {
                again = earliest([again, Some(until)]);
            }
            now >= until
        });
        self.recent.keep(scope, &still, now);
        again
    }

    /// Remembers what is left alone, and tells of it once; returns when there will be something to tell. What is retried
    /// meanwhile is still left alone, and not pending.
    pub(super) fn leave(&self, scope: &ServiceKey, decision: &Decision, now: Instant) -> Option<Instant> {
        self.cluster.scopes.lock().edit(scope, |state| self.leave_in(state, scope, decision, now))
    }

    fn leave_in(
        &self,
        state: &mut ScopeState,
        scope: &ServiceKey,
        decision: &Decision,
        now: Instant,
    ) -> Option<Instant> {
        let mut before = std::mem::take(&mut state.left);
        let mut crowded = std::mem::take(&mut state.crowded);
        let mut tell_at: Option<Instant> = None;
        let mut tell = |id: &InstanceId, skip: &Skip, owner: Option<OwnerId>, known: Option<LeftRecord>| {
            let mut left = match known {
                Some(left) if left.skip == *skip && left.owner == owner => left,
                _ => LeftRecord { skip: skip.clone(), owner, since: now, told: false },
            };
            // Health that the destination decides comes and goes.
            let quiet = matches!(
                skip,
                Skip::Stale | Skip::Settling | Skip::Governed { .. } | Skip::Backs { .. } | Skip::TakingOver
            );
            if !left.told && !quiet {
                let tell = left.since + TELL;
                if now >= tell || *skip == Skip::RemovalLimit {
                    left.told = true;
                    let action = if *skip == Skip::RemovalLimit { Action::Held } else { Action::Skipped };
                    let task = task_of(&self.cluster, left.owner.as_ref());
                    self.event(task, scope, id.to_string(), action, skip.clone().into());
                } else {
                    tell_at = earliest([tell_at, Some(tell)]);
                }
            }
            left
        };
        let plan = &decision.plan;
        for (id, skip) in plan.skipped.iter().filter(|(_, skip)| **skip != Skip::Loop) {
            let owner = decision.owners.get(id).cloned();
            let left = tell(id, skip, owner, before.remove(id));
            state.left.insert(id.clone(), left);
        }
        for one in &plan.crowded {
            let key = (one.id.clone(), one.owner.clone());
            let left = tell(&one.id, &one.skip, Some(one.owner.clone()), crowded.remove(&key));
            state.crowded.insert(key, left);
        }
        state.pending.clear();
        let open = plan.changes.iter().filter(|change| {
            change.record().is_none_or(|record| !matches!(plan.skipped.get(&record.id()), Some(Skip::Blocked { .. })))
        });
        for owner in open.filter_map(Change::owner) {
            *state.pending.entry(owner.clone()).or_default() += 1;
        }
        if state.left.is_empty() && state.crowded.is_empty() && state.pending.is_empty() {
            state.error = None;
        }
        tell_at
    }
}
