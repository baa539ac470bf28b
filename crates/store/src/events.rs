//! The history: what was done, where, when, why.

use std::borrow::Cow;

use causeway_core::Reason;
use serde::{Deserialize, Serialize};

use crate::{Error, Store, now_ms};

/// Events of one answer, and the most of them.
const LISTED: u32 = 100;
const MAX_LISTED: u32 = 10_000;

/// Something that happened. Fields that do not apply are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// See [`crate::now_ms`].
    pub time_ms: i64,
    /// The task's id or name: the caller's choice, and the filter's word.
    pub task: String,
    /// Where it was written.
    pub cluster: String,
    /// The service or config group.
    pub scope: String,
    /// The instance or config entry.
    pub record: String,
    /// What, in a word: `created`, `lost`, …
    pub action: Cow<'static, str>,
    /// Why. Kept as JSON; what an earlier version kept as a plain text is [`Reason::Text`].
    pub reason: Reason,
}

impl Event {
    /// Something that happened now, without a place.
    pub fn now(action: &'static str, reason: Reason) -> Self {
        let [task, cluster, scope, record] = [const { String::new() }; 4];
        Self { time_ms: now_ms(), task, cluster, scope, record, action: action.into(), reason }
    }
}

/// An event as found in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Grows with each event; for [`EventFilter::before`].
    pub id: i64,
    /// The event.
    pub event: Event,
}

/// Which events; a missing part means any.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Exactly this task.
    pub task: Option<String>,
    /// Exactly this cluster.
    pub cluster: Option<String>,
    /// A service, or another scope, that contains this text.
    pub service: Option<String>,
    /// Exactly this action's word.
    pub action: Option<String>,
    /// Older than the event with this id: the next page.
    pub before: Option<i64>,
    /// At most so many; 100 when it is not given, and never more than 10,000.
    pub limit: Option<u32>,
}

/// How much of the history is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Milliseconds.
    pub age_ms: i64,
    /// Events.
    pub count: i64,
}

impl Default for Keep {
    /// Seven days, and 100,000 events.
    fn default() -> Self {
        Self { age_ms: 7 * 24 * 3600 * 1000, count: 100_000 }
    }
}

/// An event as a database has it: its id, its time, and its texts in the order of [`Event`].
pub(crate) type EventRow = (i64, i64, String, String, String, String, String, String);

impl Event {
    /// The reason as it is kept.
    pub(crate) fn reason_text(&self) -> String {
        serde_json::to_string(&self.reason).unwrap_or_else(|_| self.reason.to_string())
    }
}

impl Recorded {
    pub(crate) fn of((id, time_ms, task, cluster, scope, record, action, reason): EventRow) -> Self {
        let action = Cow::Owned(action);
        let reason = serde_json::from_str(&reason).unwrap_or(Reason::Text { text: reason });
        Self { id, event: Event { time_ms, task, cluster, scope, record, action, reason } }
    }
}

impl EventFilter {
    /// The columns that must be equal to something, each as a further condition.
    pub(crate) fn equal(&self) -> [(&'static str, &Option<String>); 3] {
        [(" AND task = ", &self.task), (" AND cluster = ", &self.cluster), (" AND action = ", &self.action)]
    }

    pub(crate) fn at_most(&self) -> i64 {
        i64::from(self.limit.unwrap_or(LISTED).min(MAX_LISTED))
    }
}

impl Store {
    /// Newest first. What a [`crate::Writer`] has not written yet is not among them.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Recorded>, Error> {
        self.backend().events(filter).await
    }

    /// Removes what `keep` does not cover; returns how many events that were. A [`crate::Writer`] does it by itself.
    pub async fn prune_events(&self, keep: Keep, now_ms: i64) -> Result<u64, Error> {
        self.backend().prune(keep, now_ms).await
    }
}
