//! The statements, in SQLite's dialect.

use std::collections::BTreeMap;

use sqlx::sqlite::SqlitePool;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::backend::{Change, SealedCluster};
use crate::events::EventRow;
use crate::ledger::Routes;
use crate::{Edit, Error, Event, EventFilter, Keep, LedgerRow, Recorded, StoredCluster, StoredTask};

/// Rows per statement: few round trips, well below SQLite's limit of 32,766 values.
const ROWS: usize = 250;

pub(super) async fn revision(db: &SqlitePool) -> Result<i64, Error> {
    let (revision,): (i64,) = sqlx::query_as("SELECT revision FROM revision").fetch_one(db).await?;
    Ok(revision)
}

/// Returns the new one.
pub(super) async fn raise_revision(db: &mut SqliteConnection, made_from: Option<i64>) -> Result<i64, Error> {
    let raise = sqlx::query_as("UPDATE revision SET revision = revision + 1 RETURNING revision");
    let (revision,): (i64,) = raise.fetch_one(db).await?;
    match made_from {
        Some(made_from) if made_from != revision - 1 => Err(Error::Outdated { made_from, now: revision - 1 }),
        _ => Ok(revision),
    }
}

pub(super) async fn change(db: &mut SqliteConnection, change: &Change) -> Result<(), Error> {
    match &change.edit {
        Edit::PutCluster(StoredCluster { name, document, .. }) => {
            sqlx::query("INSERT INTO clusters (name, document) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET document = excluded.document")
                .bind(name)
                .bind(document)
                .execute(&mut *db)
                .await?;
            forget_secrets(db, name).await?;
            for (field, sealed) in &change.sealed {
                sqlx::query("INSERT INTO cluster_secrets (cluster, field, sealed) VALUES (?, ?, ?)")
                    .bind(name)
                    .bind(field)
                    .bind(sealed)
                    .execute(&mut *db)
                    .await?;
            }
        }
        Edit::RemoveCluster(name) => {
            forget_secrets(db, name).await?;
            sqlx::query("DELETE FROM clusters WHERE name = ?").bind(name).execute(db).await?;
        }
        // The column `reason` is of an earlier version.
        Edit::PutTask(StoredTask { id, name, document, state }) => {
            sqlx::query("INSERT INTO tasks (id, name, document, state, reason) VALUES (?, ?, ?, ?, '') ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document, state = excluded.state")
                .bind(id)
                .bind(name)
                .bind(document)
                .bind(state)
                .execute(db)
                .await?;
        }
        Edit::SetTaskState { id, state } => {
            let query = sqlx::query("UPDATE tasks SET state = ? WHERE id = ?");
            let done = query.bind(state).bind(id).execute(db).await?;
            if done.rows_affected() == 0 {
                return Err(Error::no_task(id));
            }
        }
        Edit::RemoveTask(id) => {
            sqlx::query("DELETE FROM tasks WHERE id = ?").bind(id).execute(db).await?;
        }
        Edit::PutKv(name, value) => put_value(db, name, value).await?,
        Edit::RemoveKv(name) => {
            sqlx::query("DELETE FROM kv WHERE name = ?").bind(name).execute(db).await?;
        }
    }
    Ok(())
}

async fn forget_secrets(db: &mut SqliteConnection, cluster: &str) -> Result<(), Error> {
    sqlx::query("DELETE FROM cluster_secrets WHERE cluster = ?").bind(cluster).execute(db).await?;
    Ok(())
}

pub(super) async fn clusters(db: &mut SqliteConnection) -> Result<Vec<SealedCluster>, Error> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT name, document FROM clusters ORDER BY name").fetch_all(&mut *db).await?;
    let found: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as("SELECT cluster, field, sealed FROM cluster_secrets").fetch_all(db).await?;
    let mut secrets: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for (cluster, field, sealed) in found {
        secrets.entry(cluster).or_default().insert(field, sealed);
    }
    let with_secrets = |(name, document)| {
        let sealed = secrets.remove(&name).unwrap_or_default();
        SealedCluster { name, document, sealed }
    };
    Ok(rows.into_iter().map(with_secrets).collect())
}

pub(super) async fn tasks(db: &SqlitePool) -> Result<Vec<StoredTask>, Error> {
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT id, name, document, state FROM tasks ORDER BY name, id").fetch_all(db).await?;
    Ok(rows.into_iter().map(|(id, name, document, state)| StoredTask { id, name, document, state }).collect())
}

pub(super) async fn value(db: &SqlitePool, name: &str) -> Result<Option<String>, Error> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT value FROM kv WHERE name = ?").bind(name).fetch_optional(db).await?;
    Ok(row.map(|(value,)| value))
}

pub(super) async fn put_value(db: &mut SqliteConnection, name: &str, value: &str) -> Result<(), Error> {
    sqlx::query("INSERT INTO kv (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn put_first(db: &mut SqliteConnection, name: &str, value: &str) -> Result<String, Error> {
    sqlx::query("INSERT INTO kv (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(&mut *db)
        .await?;
    let (kept,): (String,) = sqlx::query_as("SELECT value FROM kv WHERE name = ?").bind(name).fetch_one(db).await?;
    Ok(kept)
}

pub(super) async fn ledger(db: &SqlitePool) -> Result<Vec<LedgerRow>, Error> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT route, scope, document FROM ledger ORDER BY route, scope").fetch_all(db).await?;
    let mut routes = Routes::default();
    Ok(rows
        .into_iter()
        .map(|(route, scope, document)| LedgerRow {
            route: routes.shared(route),
            scope: scope.into(),
            document: Some(document.into()),
        })
        .collect())
}

pub(super) async fn write_ledger(db: &mut SqliteConnection, batch: &[LedgerRow]) -> Result<(), Error> {
    let (there, gone): (Vec<&LedgerRow>, Vec<&LedgerRow>) = batch.iter().partition(|entry| entry.document.is_some());
    for rows in there.chunks(ROWS) {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("INSERT INTO ledger (route, scope, document) ");
        query.push_values(rows, |mut row, entry| {
            row.push_bind(&*entry.route).push_bind(&*entry.scope).push_bind(entry.document.as_deref());
        });
        query.push(" ON CONFLICT (route, scope) DO UPDATE SET document = excluded.document");
        // Statements of full size are worth remembering, the odd last one is not.
        query.build().persistent(rows.len() == ROWS).execute(&mut *db).await?;
    }
    for entry in gone {
        sqlx::query("DELETE FROM ledger WHERE route = ? AND scope = ?")
            .bind(&*entry.route)
            .bind(&*entry.scope)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

pub(super) async fn events(db: &SqlitePool, filter: &EventFilter) -> Result<Vec<Recorded>, Error> {
    let mut query: QueryBuilder<Sqlite> =
        QueryBuilder::new("SELECT id, time_ms, task, cluster, scope, record, action, reason FROM events WHERE true");
    for (clause, value) in filter.equal() {
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
    query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.at_most());
    let rows: Vec<EventRow> = query.build_query_as().fetch_all(db).await?;
    Ok(rows.into_iter().map(Recorded::of).collect())
}

pub(super) async fn prune(db: &SqlitePool, keep: Keep, now_ms: i64) -> Result<u64, Error> {
    let done = sqlx::query("DELETE FROM events WHERE time_ms < ? OR id <= (SELECT max(id) FROM events) - ?")
        .bind(now_ms.saturating_sub(keep.age_ms))
        .bind(keep.count)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}

pub(super) async fn write_events(db: &mut SqliteConnection, batch: &[Event]) -> Result<(), Error> {
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
                .push_bind(event.reason_text());
        });
        query.build().persistent(rows.len() == ROWS).execute(&mut *db).await?;
    }
    Ok(())
}
