//! What the data engine shows of itself.

use super::spec::DataRoute;
use super::state::{ShownEntry, TaskState};
use crate::kit::meter::WriteMeter;
use crate::notice::{LeftAlone, Notice};
use crate::spec::RunState;
use crate::status::{Hold, RouteState};
use causeway_core::{Digest, EntryKey, EntrySkip, Error, KeptError, Pair, Reason, Side, Ways};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Conflicts that are listed at most.
pub(crate) const LISTED: usize = 1_000;

/// One task's config entries, as they stand now.
#[derive(Clone, Debug)]
pub struct DataStatus {
    /// The task's name.
    pub task: Arc<str>,
    /// The task and its two clusters.
    pub route: DataRoute,
    /// How it is doing. [`RouteState::Held`] also when the operator has to decide conflicts.
    pub state: RouteState,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// Entries that both sides have had in common.
    pub entries: usize,
    /// Entries that take part and stand on each side.
    pub here: Pair<usize>,
    /// Entries that are to be looked at or written.
    pub pending: usize,
    /// Removals from each side that a guard holds.
    pub held: Pair<usize>,
    /// The guards' holds.
    pub holds: Pair<Option<Hold>>,
    /// Entries left alone, by reason.
    pub skipped: BTreeMap<LeftAlone, usize>,
    /// Entries that the operator has to decide about; [`super::DataEngine::conflicts`] lists them.
    pub conflicts: usize,
    /// Whether each side can be read, as far as it is known: nothing has broken since it was last read whole.
    pub readable: Pair<bool>,
    /// By the side that is written to: since when the other side has told of the oldest change that is not accepted yet.
    pub lag: Pair<Duration>,
    /// What was counted of the writes to each side.
    pub meters: Pair<Arc<WriteMeter>>,
}

/// An entry that both sides have changed, and that the operator has to decide about.
#[derive(Clone, Debug)]
pub struct ConflictRow {
    /// The entry.
    pub key: EntryKey,
    /// How long ago it was found.
    pub age: Duration,
    /// What each side holds; `None`: it was deleted there.
    pub shown: Pair<Option<ShownEntry>>,
}

/// What a task knows of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownEntry {
    /// What both sides last had in common.
    pub common: Option<Digest>,
    /// Why it is not written now.
    pub refused: Option<Reason>,
}

impl TaskState {
    pub fn status(&self, now: Instant) -> DataStatus {
        let counts = || self.rows.counts();
        let entries: usize = counts().map(|count| count.bases).sum();
        let here = Pair::of(|side| counts().map(|count| count.here[side]).sum());
        let held = Pair::of(|side| self.removals[side].held());
        let conflicts = self.left.count(EntrySkip::Conflict);
        let mut skipped = self.left.counts().clone();
        let foreign: usize = counts().map(|count| count.alone.right).sum();
        if self.spec.ways == Ways::One && foreign > 0 {
            skipped.insert(EntrySkip::Foreign.into(), foreign);
        }
        skipped.extend(self.left_out().into_iter().map(|(aside, count)| (LeftAlone::Aside(aside), count)));
        let denied = self.tries.values().filter(|failed| matches!(failed.error, Error::Denied(_)));
        for failed in denied {
            let cluster = self.spec.cluster(failed.side).name.clone();
            *skipped.entry(LeftAlone::Denied { cluster }).or_insert(0) += 1;
        }
        let holds = Pair::of(|side| self.removals[side].hold(now));
        let rests = |key: &EntryKey| self.left.contains(key);
        let refused = self.probes.waiting().filter(|key| !rests(key) && !self.agenda.wants(key)).count();
        let pending = self.agenda.pending(rests) + refused;
        let errors = self.errors();
        let mut notices = Vec::new();
        if conflicts > 0 {
            notices.push(Notice::Conflicts { count: conflicts });
        }
        for side in Side::BOTH {
            if let Some(hold) = &holds[side] {
                let cluster = self.spec.cluster(side).name.clone();
                notices.push(Notice::EntriesHeld { cluster, count: held[side], why: hold.why.clone() });
            }
        }
        let known = self.loaded && Side::BOTH.iter().all(|side| self.freshness[*side].any_ready());
        let state = match self.spec.run {
            RunState::Paused => RouteState::Paused,
            RunState::Drain if self.loaded && entries == 0 => RouteState::Drained,
            RunState::Drain => RouteState::Draining,
            RunState::On if !errors.is_empty() => RouteState::Failing,
            RunState::On if held.left + held.right + conflicts > 0 => RouteState::Held,
            RunState::On if pending > 0 || !known => RouteState::Syncing,
            RunState::On => RouteState::InStep,
        };
        notices.extend(errors);
        DataStatus {
            task: self.spec.task.clone(),
            route: self.route.clone(),
            state,
            notices,
            entries,
            here,
            pending,
            held,
            holds,
            skipped,
            conflicts,
            readable: Pair::of(|side| self.freshness[side].any_ready() && self.freshness[side].errors().is_empty()),
            lag: Pair::of(|to| self.travels[to].oldest().map(|since| now - since).unwrap_or_default()),
            meters: self.meters.clone(),
        }
    }

    /// What stands in the way.
    fn errors(&self) -> Vec<Notice> {
        let mut failed = BTreeSet::new();
        let mut errors = Vec::new();
        for side in Side::BOTH {
            let name = &self.spec.cluster(side).name;
            let texts = self.freshness[side].errors();
            errors.extend(texts.into_iter().map(|text| Notice::ClusterFails { cluster: name.clone(), text }));
            if side == Side::Right && self.spec.cluster(side).port.sink().is_none() {
                errors.push(Notice::ReadOnly { cluster: name.clone() });
            }
        }
        // A single write that somebody else was quicker with is daily business.
        let tries = self.tries.values().filter(|failed| failed.count > 2 || !matches!(failed.error, Error::Conflict));
        for one in tries.take(1_000) {
            failed.insert((self.spec.cluster(one.side).name.clone(), one.error.to_string()));
        }
        let failed = failed.into_iter().take(3);
        errors.extend(failed.map(|(cluster, text)| Notice::ClusterFails { cluster, text }));
        errors
    }

    /// What the task knows of an entry that it leaves alone.
    pub fn known(&self, key: &EntryKey) -> KnownEntry {
        let failed = self.tries.get(key).filter(|failed| !failed.error.is_transient());
        let failed = failed.map(|failed| Reason::FailedThere {
            cluster: self.spec.cluster(failed.side).name.clone(),
            error: KeptError::from(&failed.error),
        });
        let rejected = self.left.get(key).filter(|left| {
            matches!(left.skip, EntrySkip::Rejected { .. } | EntrySkip::Blocked { .. } | EntrySkip::Occupied)
        });
        KnownEntry {
            common: self.row(key).base.map(|base| base.digest),
            refused: failed.or_else(|| rejected.map(|left| left.skip.clone().into())),
        }
    }

    pub fn conflicts(&self, now: Instant) -> Vec<ConflictRow> {
        let conflicts = self.left.iter().filter(|(_, left)| left.skip == EntrySkip::Conflict).take(LISTED);
        conflicts
            .map(|(key, left)| ConflictRow {
                key: key.clone(),
                age: now - left.since,
                shown: left.shown.as_deref().copied().unwrap_or_default(),
            })
            .collect()
    }
}
