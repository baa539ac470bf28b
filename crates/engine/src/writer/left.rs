//! What a writer leaves out of a plan, and what it tells of it.

use super::{MAX_TRIES, Writer};
use crate::decide::Decision;
use crate::outcome::task_of;
use crate::record::Action;
use crate::scopes::{Left, ScopeState};
use causeway_core::{Change, Record, Scope, Skip};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// What was refused as it is, is tried again after this time.
const REFUSED_RETRY: Duration = Duration::from_secs(300);
/// A difference is told of when it has stood for this long: a write is not seen at once.
const TELL: Duration = Duration::from_secs(3);

impl<R: Record> Writer<R> {
    /// What the destination has refused stays refused until the record or its scope changes, or a while has passed; answers
    /// when it is to be tried again.
    pub(super) fn drop_refused(
        &mut self,
        scope: &R::Scope,
        decision: &mut Decision<R>,
        now: Instant,
    ) -> Option<Instant> {
        let refused = self.refused.get_mut(scope)?;
        let plan = &mut decision.plan;
        let wanted: BTreeSet<_> = plan.changes.iter().filter_map(Change::record).map(Record::id).collect();
        // What stood in its way may have gone: it is tried again when the scope has changed, and now and then.
        let changed = self.cluster.mirror.lock().part(&scope.part()).and_then(|state| state.changed(scope));
        let fresh = |at: Instant| now < at + REFUSED_RETRY && changed.is_none_or(|changed| changed <= at);
        refused.retain(|id, (_, _, at)| wanted.contains(id) && fresh(*at));
        if refused.is_empty() {
            self.refused.remove(scope);
            return None;
        }
        let retry = refused.values().map(|(_, _, at)| *at + REFUSED_RETRY).min();
        plan.changes.retain(|change| {
            let known = change.record().and_then(|record| Some((record, refused.get(&record.id())?)));
            match known {
                Some((record, (before, why, _))) if record == before && !matches!(change, Change::Delete { .. }) => {
                    plan.skipped.insert(record.id(), Skip::Rejected(why.clone()));
                    false
                }
                _ => true,
            }
        });
        retry
    }

    /// A write is not made again before it could be seen; answers when to look again.
    pub(super) fn drop_recent(
        &mut self,
        scope: &R::Scope,
        decision: &mut Decision<R>,
        now: Instant,
    ) -> Option<Instant> {
        let visible = self.timing.visible;
        let recent = self.recent.get_mut(scope)?;
        let mut again = None;
        let mut still = BTreeSet::new();
        decision.plan.changes.retain(|change| {
            let Some(record) = change.record() else { return true };
            still.insert(record.id());
            let Some(last) = recent.get(&record.id()).filter(|last| last.change == *change) else { return true };
            let until = last.at + visible * 2u32.saturating_pow(last.tries.min(MAX_TRIES));
            if now < until {
                again = Some(again.map_or(until, |again: Instant| again.min(until)));
            }
            now >= until
        });
        recent.retain(|id, last| still.contains(id) || now < last.at + visible);
        if recent.is_empty() {
            self.recent.remove(scope);
        }
        again
    }

    /// Remembers what is left alone, and tells of it once; answers when there will be something to tell.
    pub(super) fn leave(&self, scope: &R::Scope, decision: &Decision<R>, now: Instant) -> Option<Instant> {
        self.cluster.scopes.lock().edit(scope, |state| self.leave_in(state, scope, decision, now))
    }

    fn leave_in(
        &self,
        state: &mut ScopeState<R>,
        scope: &R::Scope,
        decision: &Decision<R>,
        now: Instant,
    ) -> Option<Instant> {
        let mut before = std::mem::take(&mut state.left);
        let mut tell_at: Option<Instant> = None;
        for (id, skip) in &decision.plan.skipped {
            if *skip == Skip::Loop {
                continue;
            }
            let owner = decision.owners.get(id).cloned();
            let mut left = match before.remove(id) {
                Some(left) if left.skip == *skip => left,
                _ => Left { skip: skip.clone(), owner, since: now, told: false },
            };
            let quiet = matches!(skip, Skip::Stale | Skip::Settling);
            if !left.told && !quiet {
                let tell = left.since + TELL;
                if now >= tell || *skip == Skip::RemovalLimit {
                    left.told = true;
                    let action = if *skip == Skip::RemovalLimit { Action::Held } else { Action::Skipped };
                    let task = task_of(&self.cluster, left.owner.as_ref());
                    self.event(task, scope, id.to_string(), action, skip.to_string());
                } else {
                    tell_at = Some(tell_at.map_or(tell, |at| at.min(tell)));
                }
            }
            state.left.insert(id.clone(), left);
        }
        state.pending.clear();
        for owner in decision.plan.changes.iter().filter_map(Change::owner) {
            *state.pending.entry(owner.clone()).or_default() += 1;
        }
        if state.left.is_empty() && state.pending.is_empty() {
            state.error = None;
        }
        tell_at
    }
}
