//! What a destination has refused as it is, and when it is retried.

use super::ClusterWriter;
use crate::kit::backoff;
use crate::services::decide::Decision;
use causeway_core::{Change, Instance, InstanceId, ServiceKey, Skip};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// What was refused as it is, is retried after this time.
const REFUSED_RETRY: Duration = Duration::from_secs(300);
/// What was refused for now, is retried after this time at first, then after twice that, and so on.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two tries of what was refused for now.
const LONGEST: Duration = Duration::from_secs(10);
/// Of one scope so many records that are refused for now are tried in a second, those that have waited longest. Once one is
/// taken, all others follow at once.
const PROBES: usize = 8;
/// The scopes of one destination that hold such records are tried this far apart on average: 100 a second. So the waits
/// above hold for up to 1,000 such scopes; of more, each has its turn.
const APART: Duration = Duration::from_millis(10);

/// One record as it was refused.
struct RefusedRecord {
    record: Instance,
    /// Whether it was to be taken away.
    delete: bool,
    skip: Skip,
    at: Instant,
    /// Tries before this one.
    tries: u32,
}

impl RefusedRecord {
    fn passes(&self) -> bool {
        matches!(self.skip, Skip::Blocked { .. })
    }

    fn due(&self) -> Instant {
        match self.passes() {
            true => self.at + backoff((FIRST, LONGEST), self.tries),
            false => self.at + REFUSED_RETRY,
        }
    }
}

/// What was refused in one scope.
#[derive(Default)]
pub(super) struct RefusedInScope {
    records: BTreeMap<InstanceId, RefusedRecord>,
    /// What was refused for now is not tried before.
    not_before: Option<Instant>,
    /// Something that was refused for now has been taken: all others are due.
    open: bool,
}

/// The record of a change, and whether it is to be taken away.
fn about(change: &Change) -> Option<(&Instance, bool)> {
    Some((change.record()?, matches!(change, Change::Delete { .. })))
}

impl ClusterWriter {
    /// Remembers a refusal.
    pub(super) fn refuse(&mut self, scope: &ServiceKey, change: &Change, skip: Skip, now: Instant) {
        let Some((record, delete)) = about(change) else { return };
        let refused = self.refused.entry(scope.clone()).or_default();
        let before = refused.records.get(&record.id()).filter(|one| one.record == *record && one.delete == delete);
        let tries = before.map_or(0, |before| before.tries + 1);
        refused.records.insert(record.id(), RefusedRecord { record: record.clone(), delete, skip, at: now, tries });
    }

    /// A record was taken: what stood in the way of its neighbours may have gone with what stood in its own.
    pub(super) fn taken(&mut self, scope: &ServiceKey, id: &InstanceId, now: Instant) {
        let Some(refused) = self.refused.get_mut(scope) else { return };
        if refused.records.remove(id).is_some_and(|refusal| refusal.passes()) {
            refused.open = true;
            refused.not_before = Some(now);
        }
    }

    /// Takes out of a plan what the destination has refused. What cannot be held stays out until the record or its scope
    /// changes, or a while has passed; what was refused for now, until it is due. Says when to plan again.
    pub(super) fn drop_refused(
        &mut self,
        scope: &ServiceKey,
        decision: &mut Decision,
        now: Instant,
    ) -> Option<Instant> {
        let refused = self.refused.get_mut(scope)?;
        let plan = &mut decision.plan;
        let wanted: BTreeMap<_, _> = plan.changes.iter().filter_map(about).map(|one| (one.0.id(), one)).collect();
        // What stood in its way may have gone: it is retried when the scope has changed, and now and then.
        let changed = self.cluster.mirror.lock().part(&scope.part()).and_then(|state| state.changed(scope));
        refused.records.retain(|id, one| {
            wanted.get(id).is_some_and(|(record, delete)| **record == one.record && *delete == one.delete)
                && (one.passes() || (now < one.due() && changed.is_none_or(|changed| changed <= one.at)))
        });
        if refused.records.is_empty() {
            self.refused.remove(scope);
            return None;
        }
        let open = std::mem::take(&mut refused.open);
        let due = |one: &RefusedRecord| one.passes() && (open || one.due() <= now);
        let mut tried: Vec<_> = refused.records.iter().filter(|(_, one)| due(one)).collect();
        if !open {
            tried.sort_by_key(|(_, one)| one.at);
            tried.truncate(PROBES);
        }
        // Each scope has a time of its own, so that thousands of them are not tried at once.
        let mut turn = || {
            self.next_try = self.next_try.max(now) + APART;
            self.next_try
        };
        let not_before = *refused.not_before.get_or_insert_with(&mut turn);
        let tried: BTreeSet<_> = match now >= not_before {
            true => tried.into_iter().map(|(id, _)| id.clone()).collect(),
            false => BTreeSet::new(),
        };
        if !tried.is_empty() {
            refused.not_before = Some(turn().max(now + FIRST));
        }
        let not_before = refused.not_before.unwrap_or(now);
        let waits = refused.records.iter().filter(|(id, _)| !tried.contains(*id)).map(|(_, one)| one);
        let again = waits.map(|one| if one.passes() { one.due().max(not_before) } else { one.due() }).min();
        // What is tried is still left alone meanwhile.
        plan.skipped.extend(refused.records.iter().map(|(id, one)| (id.clone(), one.skip.clone())));
        let left: BTreeSet<_> = refused.records.keys().filter(|id| !tried.contains(*id)).cloned().collect();
        plan.changes.retain(|change| change.record().is_none_or(|record| !left.contains(&record.id())));
        again
    }
}
