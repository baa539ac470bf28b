//! What became of writes.

use super::job::{PlannedWrite, WriteDone};
use super::probes::RefusalKind;
use super::rows::{Presence, Stamps};
use super::state::TaskState;
use crate::event::Action;
use crate::kit::meter::{WriteKind, WriteOutcome};
use crate::spec::RunState;
use causeway_core::{Base, Entry, EntryKey, EntryReason, EntrySkip, Error, Pair, Reason, Removal, Side, WrittenOver};
use std::time::Duration;
use tokio::time::Instant;

impl TaskState {
    pub fn wrote(&mut self, done: WriteDone, now: Instant) {
        self.jobs -= 1;
        let WriteDone { job, answers } = done;
        let well = answers.iter().any(|answer| answer.as_ref().map_or_else(is_of_the_entry, |_| true));
        let wait = answers.iter().filter_map(|answer| answer.as_ref().err()).map(pause).max().unwrap_or_default();
        self.answered(job.to, well, wait, now);
        for (planned, answer) in job.planned.into_iter().zip(answers) {
            self.meters[job.to].wrote(planned.kind(), WriteOutcome::of(&answer));
            match answer {
                Ok(entry) => self.accepted(&planned, entry, now),
                Err(error) => self.refused(planned, error, now),
            }
        }
    }

    fn accepted(&mut self, planned: &PlannedWrite, entry: Option<Entry>, now: Instant) {
        let (key, to) = (planned.key(), planned.to);
        let base = match (planned.content, entry) {
            (Some((digest, from)), Some(entry)) => {
                let stamps = Pair::of(|side| if side == to { entry.stamp } else { from });
                Some(Base::copied(planned.before.as_ref(), to, planned.stamps[to].is_none(), digest, stamps))
            }
            (None, None) => None,
            // The write was made, or not: it is looked at.
            _ => return self.failed(key, to, Error::protocol("an entry is missing in the answer"), now),
        };
        // What the watch has said meanwhile may be newer, also when it is what was there before.
        if !self.agenda.heard(key, to) && self.row(key).places[to].stamp() == planned.stamps[to] {
            self.place_shown(key, to, entry.map_or(Presence::Absent, |entry| Presence::here(&entry)), now);
        }
        self.base(key, base);
        self.close(key);
        self.allowed(key);
        self.settled(key);
        self.tell_written(planned);
        if let Some(since) = self.travels[to].end(key) {
            self.meters[to].arrived(now - since);
        }
        self.finish(key);
        if base.is_some() {
            self.written.insert(key.clone(), now);
            self.agenda.stands(key);
        }
        if !self.row(key).in_step() {
            self.agenda.add(key);
        }
    }

    fn tell_written(&self, planned: &PlannedWrite) {
        let action = match planned.kind() {
            WriteKind::Delete => Action::Deleted,
            WriteKind::Create => Action::Created,
            _ => Action::Updated,
        };
        let over = planned.over.map(|over| WrittenOver { size: over.size, digest: over.digest });
        let reason = planned.why.map_or(Reason::Removal(Removal::Drained), |why| Reason::Entry { why, over });
        if matches!(planned.why, Some(EntryReason::Settled { .. })) {
            self.event(planned.key(), planned.to, Action::Conflict, reason.clone());
        }
        self.event(planned.key(), planned.to, action, reason);
    }

    fn refused(&mut self, planned: PlannedWrite, error: Error, now: Instant) {
        let key = planned.key();
        let known = !matches!(error, Error::Unavailable(_) | Error::Protocol(_));
        if known {
            self.close(key);
        }
        self.travels[planned.to].again(key);
        match error {
            Error::Rejected(why) if self.spec.run == RunState::Drain => {
                self.stays_there(key, planned.to, Reason::EntryNotDeleted { text: why });
                self.finish(key);
            }
            Error::Rejected(why) => {
                self.leave(key, EntrySkip::Rejected { why }, planned.stamps, now);
            }
            Error::Blocked(why) => self.blocked_now(key, planned.to, why, planned.stamps, now),
            error => {
                // Whatever the stamps say, it is not as it was thought to be.
                self.doubt.insert(key.clone());
                self.failed(key, planned.to, error, now);
            }
        }
    }

    /// A side refuses an entry for now.
    pub(super) fn blocked_now(&mut self, key: &EntryKey, side: Side, why: String, stamps: Stamps, now: Instant) {
        self.probes.refuse(key, side, RefusalKind::Blocked, stamps, now);
        self.leave(key, EntrySkip::Blocked { why }, stamps, now);
    }
}

/// Whether an error concerns one entry only. The others concern the whole cluster.
pub(super) fn is_of_the_entry(error: &Error) -> bool {
    !matches!(error, Error::Unavailable(_) | Error::Throttled(_))
}

/// How long nothing is asked of a side that returned only such errors.
fn pause(error: &Error) -> Duration {
    match error {
        Error::Throttled(wait) => *wait,
        _ => Duration::ZERO,
    }
}
