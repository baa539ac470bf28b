//! Calls that fail: when an entry is retried, and when nothing is asked of a side for a while.

use super::probes::RefusalKind;
use super::state::{REFUSED_RETRY, TaskState};
use crate::event::Action;
use crate::kit::backoff;
use causeway_core::{EntryKey, Error, KeptError, Reason, Side};
use std::time::Duration;
use tokio::time::Instant;

/// An answer not understood is retried after this time; the wait doubles with every failure of the entry, up to
/// [`REFUSED_RETRY`].
pub(crate) const SLOW_RETRY: Duration = Duration::from_secs(30);
/// Something that failed and is retried.
pub(crate) struct Try {
    pub count: u32,
    pub side: Side,
    pub error: Error,
}

/// How calls to one side go.
#[derive(Default)]
pub(crate) struct Trouble {
    failures: u32,
    /// Nothing is asked of it before.
    pub blocked: Option<Instant>,
    /// What was last told of it.
    told: String,
}

impl TaskState {
    /// A call about an entry failed: it comes back.
    pub fn failed(&mut self, key: &EntryKey, side: Side, error: Error, now: Instant) {
        let count = self.tries.get(key).map_or(0, |before| before.count) + 1;
        let wait = match &error {
            Error::Denied(_) => None,
            Error::Throttled(wait) => Some(*wait),
            error if error.is_transient() || matches!(error, Error::Missing(_)) => {
                Some(backoff(self.timing.backoff, count - 1))
            }
            _ => Some(backoff((SLOW_RETRY, REFUSED_RETRY), count - 1)),
        };
        let text = error.to_string();
        let worth = |count: u32, error: &Error| count > 2 || !matches!(error, Error::Conflict);
        let told = |before: &Try| worth(before.count, &before.error) && before.error.to_string() == text;
        let known = self.tries.get(key).is_some_and(told) || self.trouble[side].told == text;
        if worth(count, &error) && !known {
            tracing::warn!(task = %self.spec.task, cluster = %self.spec.cluster(side).name, entry = %key, "{text}");
            self.event(key, side, Action::Failed, KeptError::from(&error).into());
            self.trouble[side].told = text;
        }
        self.tries.insert(key.clone(), Try { count, side, error });
        self.agenda.end(key);
        match wait {
            Some(wait) => {
                self.probes.forget(key);
                self.agenda.add_at(key, now + wait);
            }
            None => self.probes.refuse(key, side, RefusalKind::Denied, self.row(key).stamps(), now),
        }
    }

    /// A whole call to a side went well, or not at all: then nothing is asked of it for a while.
    pub fn answered(&mut self, side: Side, well: bool, wait: Duration, now: Instant) {
        let quiet = self.tries.is_empty();
        let trouble = &mut self.trouble[side];
        if well {
            (trouble.failures, trouble.blocked) = (0, None);
            if quiet {
                trouble.told.clear();
            }
        } else if trouble.blocked.is_none_or(|until| until <= now) {
            trouble.failures += 1;
            trouble.blocked = Some(now + wait.max(backoff(self.timing.backoff, trouble.failures - 1)));
        }
    }

    /// Work on these entries panicked: nobody knows how far it came. Several are retried at once, in smaller batches; one
    /// alone is left for a while.
    pub fn broke_off(&mut self, keys: &[EntryKey], panic: &str, now: Instant) {
        self.jobs -= 1;
        self.batch.failed(keys.len());
        let wait = if keys.len() > 1 { self.timing.backoff.0 } else { SLOW_RETRY };
        for key in keys {
            self.doubt.insert(key.clone());
            Side::BOTH.iter().for_each(|to| self.travels[*to].again(key));
            let error = Error::protocol(format!("{key} cannot be synced because of a bug in Causeway: {panic}"));
            let count = self.tries.get(key).map_or(0, |before| before.count) + 1;
            self.tries.insert(key.clone(), Try { count, side: Side::Right, error });
            self.probes.forget(key);
            self.agenda.end(key);
            self.agenda.add_at(key, now + wait);
        }
        tracing::error!(task = %self.spec.task, entries = keys.len(), "a batch of entries failed because of a bug in Causeway: {panic}");
        if let [key] = keys {
            let bug = Reason::EntryBug { retry: SLOW_RETRY, panic: panic.to_owned() };
            self.event(key, Side::Right, Action::Failed, bug);
        }
    }

    /// Until when nothing is asked of one side.
    pub fn blocked(&self, now: Instant) -> Option<Instant> {
        Side::BOTH.iter().filter_map(|side| self.trouble[*side].blocked).filter(|until| *until > now).max()
    }
}
