//! The history: what was done, where, when, why.

use std::borrow::Cow;

use causeway_core::Reason;
use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::{Error, Store, now_ms};

const ROWS: usize = 250;
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

type EventRow = (i64, i64, String, String, String, String, String, String);

impl Store {
    /// Newest first. What a [`crate::Writer`] has not written yet is not among them.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Recorded>, Error> {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(
            "SELECT id, time_ms, task, cluster, scope, record, action, reason FROM events WHERE true",
        );
        let equal =
            [(" AND task = ", &filter.task), (" AND cluster = ", &filter.cluster), (" AND action = ", &filter.action)];
        for (clause, value) in equal {
            if let Some(value) = value {
                query.push(clause).push_bind(value);
            }
        }
        if let Some(part) = &filter.service {
            query.push(" AND instr(scope, ").push_bind(part).push(") > 0");
        }
        if let Some(before) = filter.before {
            query.push(" AND id < ").push_bind(before);
        }
        let limit = filter.limit.unwrap_or(LISTED).min(MAX_LISTED);
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
        let rows: Vec<EventRow> = query.build_query_as().fetch_all(&self.pools().reader).await?;
        Ok(rows
            .into_iter()
            .map(|(id, time_ms, task, cluster, scope, record, action, reason)| {
                let action = Cow::Owned(action);
                let reason = serde_json::from_str(&reason).unwrap_or(Reason::Text { text: reason });
                Recorded { id, event: Event { time_ms, task, cluster, scope, record, action, reason } }
            })
            .collect())
    }

    /// Removes what `keep` does not cover; returns how many events that were. A [`crate::Writer`] does it by itself.
    pub async fn prune_events(&self, keep: Keep, now_ms: i64) -> Result<u64, Error> {
        let writer = &self.pools().writer;
        let done = sqlx::query("DELETE FROM events WHERE time_ms < ? OR id <= (SELECT max(id) FROM events) - ?")
            .bind(now_ms.saturating_sub(keep.age_ms))
            .bind(keep.count)
            .execute(writer)
            .await?;
        Ok(done.rows_affected())
    }
}

pub(crate) async fn write(db: &mut SqliteConnection, batch: &[Event]) -> Result<(), Error> {
    for rows in batch.chunks(ROWS) {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT INTO events (time_ms, task, cluster, scope, record, action, reason) ");
        query.push_values(rows, |mut row, event| {
            row.push_bind(event.time_ms)
                .push_bind(&event.task)
                .push_bind(&event.cluster)
                .push_bind(&event.scope)
                .push_bind(&event.record)
                .push_bind(&*event.action)
                .push_bind(serde_json::to_string(&event.reason).unwrap_or_else(|_| event.reason.to_string()));
        });
        query.build().persistent(rows.len() == ROWS).execute(&mut *db).await?;
    }
    Ok(())
}
