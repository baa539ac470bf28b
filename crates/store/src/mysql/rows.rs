//! The statements, in MySQL's dialect.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use sqlx::{MySql, MySqlConnection, QueryBuilder};

use super::pieces::{self, ROWS, batches};
use crate::backend::{Change, SealedCluster};
use crate::events::EventRow;
use crate::ledger::Routes;
use crate::{Edit, Error, Event, EventFilter, Keep, LedgerRow, Recorded, StoredCluster, StoredTask};

/// Old events that are removed by one statement.
const PRUNED: u64 = 2_000;

/// What became of the revision.
pub(super) enum Raised {
    /// It was raised by this very edit, whose answer was lost.
    Before(i64),
    /// To this.
    Now(i64),
}

pub(super) async fn revision(db: &mut MySqlConnection) -> Result<i64, Error> {
    let row: (i64,) = sqlx::query_as("SELECT revision FROM causeway_revision WHERE id = 1").fetch_one(db).await?;
    Ok(row.0)
}

/// Also locks out other edits until the transaction ends.
pub(super) async fn raise_revision(
    db: &mut MySqlConnection,
    edit: &[u8],
    made_from: Option<i64>,
) -> Result<Raised, Error> {
    let (now, last): (i64, Vec<u8>) =
        sqlx::query_as("SELECT revision, edit FROM causeway_revision WHERE id = 1 FOR UPDATE")
            .fetch_one(&mut *db)
            .await?;
    if last == edit {
        return Ok(Raised::Before(now));
    }
    if let Some(made_from) = made_from.filter(|made_from| *made_from != now) {
        return Err(Error::Outdated { made_from, now });
    }
    sqlx::query("UPDATE causeway_revision SET revision = ?, edit = ? WHERE id = 1")
        .bind(now + 1)
        .bind(edit)
        .execute(db)
        .await?;
    Ok(Raised::Now(now + 1))
}

fn cluster_id(name: &str) -> Vec<u8> {
    pieces::id("cluster", &[name])
}

fn task_id(id: &str) -> Vec<u8> {
    pieces::id("task", &[id])
}

fn value_id(name: &str) -> Vec<u8> {
    pieces::id("kv", &[name])
}

pub(super) async fn change(db: &mut MySqlConnection, change: &Change) -> Result<(), Error> {
    match &change.edit {
        Edit::PutCluster(StoredCluster { name, document, .. }) => {
            let id = cluster_id(name);
            sqlx::query("INSERT INTO causeway_clusters (id, name, document) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE document = VALUES(document)")
                .bind(&id)
                .bind(name)
                .bind(document)
                .execute(&mut *db)
                .await?;
            forget_secrets(db, &id).await?;
            for (field, sealed) in &change.sealed {
                sqlx::query("INSERT INTO causeway_cluster_secrets (id, cluster, field, sealed) VALUES (?, ?, ?, ?)")
                    .bind(pieces::id("secret", &[name, field]))
                    .bind(&id)
                    .bind(field)
                    .bind(sealed)
                    .execute(&mut *db)
                    .await?;
            }
        }
        Edit::RemoveCluster(name) => {
            let id = cluster_id(name);
            forget_secrets(db, &id).await?;
            sqlx::query("DELETE FROM causeway_clusters WHERE id = ?").bind(id).execute(db).await?;
        }
        Edit::PutTask(StoredTask { id, name, document, state }) => {
            sqlx::query("INSERT INTO causeway_tasks (id, task, name, document, state) VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE name = VALUES(name), document = VALUES(document), state = VALUES(state)")
                .bind(task_id(id))
                .bind(id)
                .bind(name)
                .bind(document)
                .bind(state)
                .execute(db)
                .await?;
        }
        Edit::SetTaskState { id, state } => {
            let query = sqlx::query("UPDATE causeway_tasks SET state = ? WHERE id = ?");
            // Rows that were found, also where nothing changed in them.
            let done = query.bind(state).bind(task_id(id)).execute(db).await?;
            if done.rows_affected() == 0 {
                return Err(Error::no_task(id));
            }
        }
        Edit::RemoveTask(id) => {
            sqlx::query("DELETE FROM causeway_tasks WHERE id = ?").bind(task_id(id)).execute(db).await?;
        }
        Edit::PutKv(name, value) => put_value(db, name, value).await?,
        Edit::RemoveKv(name) => {
            let ids = [value_id(name)];
            pieces::delete(db, "causeway_kv", &ids).await?;
            pieces::forget(db, &ids).await?;
        }
    }
    Ok(())
}

async fn forget_secrets(db: &mut MySqlConnection, cluster: &[u8]) -> Result<(), Error> {
    sqlx::query("DELETE FROM causeway_cluster_secrets WHERE cluster = ?").bind(cluster).execute(db).await?;
    Ok(())
}

/// A cluster's name and document, and one of its secrets.
type ClusterSecret = (String, String, Option<String>, Option<Vec<u8>>);

/// By one statement: a cluster and its secrets of the same moment.
pub(super) async fn clusters(db: &mut MySqlConnection) -> Result<Vec<SealedCluster>, Error> {
    let rows: Vec<ClusterSecret> = sqlx::query_as(
        "SELECT c.name, c.document, s.field, s.sealed FROM causeway_clusters c LEFT JOIN causeway_cluster_secrets s ON s.cluster = c.id",
    )
    .fetch_all(db)
    .await?;
    let mut clusters: BTreeMap<String, SealedCluster> = BTreeMap::new();
    for (name, document, field, sealed) in rows {
        let new = || SealedCluster { name: name.clone(), document, sealed: BTreeMap::new() };
        let cluster = clusters.entry(name.clone()).or_insert_with(new);
        cluster.sealed.extend(field.zip(sealed));
    }
    Ok(clusters.into_values().collect())
}

pub(super) async fn tasks(db: &mut MySqlConnection) -> Result<Vec<StoredTask>, Error> {
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT task, name, document, state FROM causeway_tasks").fetch_all(db).await?;
    let mut tasks: Vec<_> =
        rows.into_iter().map(|(id, name, document, state)| StoredTask { id, name, document, state }).collect();
    tasks.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(tasks)
}

pub(super) async fn value(db: &mut MySqlConnection, name: &str) -> Result<Option<String>, Error> {
    let rows: Vec<(String, Option<i32>, Option<String>)> = sqlx::query_as(
        "SELECT k.value, p.part, p.piece FROM causeway_kv k LEFT JOIN causeway_pieces p ON p.id = k.id AND p.part <= k.more WHERE k.id = ?",
    )
    .bind(value_id(name))
    .fetch_all(db)
    .await?;
    let (mut first, mut others) = (None, Vec::new());
    for (value, part, piece) in rows {
        first = Some(value);
        others.extend(part.zip(piece));
    }
    Ok(first.map(|first| pieces::join(first, others)))
}

pub(super) async fn put_value(db: &mut MySqlConnection, name: &str, value: &str) -> Result<(), Error> {
    let id = value_id(name);
    let (head, rest) = pieces::first(value);
    sqlx::query("INSERT INTO causeway_kv (id, name, value, more) VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value), more = VALUES(more)")
        .bind(&id)
        .bind(name)
        .bind(head)
        .bind(pieces::count(rest))
        .execute(&mut *db)
        .await?;
    pieces::forget(db, std::slice::from_ref(&id)).await?;
    Ok(pieces::write(db, &id, rest).await?)
}

/// For short values.
pub(super) async fn put_first(db: &mut MySqlConnection, name: &str, new: &str) -> Result<String, Error> {
    sqlx::query("INSERT INTO causeway_kv (id, name, value, more) VALUES (?, ?, ?, 0) ON DUPLICATE KEY UPDATE id = id")
        .bind(value_id(name))
        .bind(name)
        .bind(new)
        .execute(&mut *db)
        .await?;
    value(db, name).await?.ok_or_else(|| Error::Missing(format!("value {name}, which was kept just now")))
}

fn ledger_id(row: &LedgerRow) -> Vec<u8> {
    pieces::id("ledger", &[&row.route, &row.scope])
}

/// The first piece, and the others with their numbers.
type LongText = (String, Vec<(i32, String)>);
/// Route, scope, the document's first piece, and another one.
type LedgerPart = (String, String, String, Option<i32>, Option<String>);

/// By one statement, so that a document's pieces are of one moment.
pub(super) async fn ledger(db: &mut MySqlConnection) -> Result<Vec<LedgerRow>, Error> {
    let mut parts = sqlx::query_as::<_, LedgerPart>(
        "SELECT l.route, l.scope, l.document, p.part, p.piece FROM causeway_ledger l LEFT JOIN causeway_pieces p ON p.id = l.id AND p.part <= l.more",
    )
    .fetch(db);
    let mut rows = Vec::new();
    let mut long: BTreeMap<(String, String), LongText> = BTreeMap::new();
    while let Some((route, scope, document, part, piece)) = parts.try_next().await? {
        match part.zip(piece) {
            None => rows.push((route, scope, document)),
            Some(more) => long.entry((route, scope)).or_insert_with(|| (document, Vec::new())).1.push(more),
        }
    }
    rows.extend(long.into_iter().map(|((route, scope), (first, others))| (route, scope, pieces::join(first, others))));
    rows.sort_unstable();
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

/// A row on its way into the database.
struct NewRow<'a> {
    id: Vec<u8>,
    row: &'a LedgerRow,
    first: &'a str,
    rest: &'a str,
}

impl NewRow<'_> {
    fn size(&self) -> usize {
        self.row.route.len() + self.row.scope.len() + self.first.len() + 64
    }
}

pub(super) async fn write_ledger(db: &mut MySqlConnection, batch: &[LedgerRow]) -> Result<(), Error> {
    // Long documents are rare: most of the time there are no pieces to forget.
    let pieces_stand = pieces::any(db).await?;
    let mut there = Vec::new();
    let mut gone = Vec::new();
    for row in batch {
        match &row.document {
            Some(document) => {
                let (first, rest) = pieces::first(document);
                there.push(NewRow { id: ledger_id(row), row, first, rest });
            }
            None => gone.push(ledger_id(row)),
        }
    }
    for rows in batches(&there, NewRow::size) {
        let mut query: QueryBuilder<MySql> =
            QueryBuilder::new("INSERT INTO causeway_ledger (id, route, scope, document, more) ");
        query.push_values(rows, |mut values, new| {
            values
                .push_bind(new.id.as_slice())
                .push_bind(&*new.row.route)
                .push_bind(&*new.row.scope)
                .push_bind(new.first)
                .push_bind(pieces::count(new.rest));
        });
        query.push(" ON DUPLICATE KEY UPDATE document = VALUES(document), more = VALUES(more)");
        // Statements of full size are worth remembering, others are not.
        query.build().persistent(rows.len() == ROWS).execute(&mut *db).await?;
        // Pieces that another node writes meanwhile belong to a row that is overwritten here: nobody reads them.
        let old = rows.iter().filter(|new| pieces_stand || !new.rest.is_empty());
        pieces::forget(db, &old.map(|new| new.id.clone()).collect::<Vec<_>>()).await?;
        for new in rows {
            pieces::write(db, &new.id, new.rest).await?;
        }
    }
    for ids in gone.chunks(ROWS) {
        pieces::delete(db, "causeway_ledger", ids).await?;
        pieces::forget(db, ids).await?;
    }
    Ok(())
}

pub(super) async fn events(db: &mut MySqlConnection, filter: &EventFilter) -> Result<Vec<Recorded>, Error> {
    let mut query: QueryBuilder<MySql> = QueryBuilder::new(
        "SELECT id, time_ms, task, cluster, scope, record, action, reason FROM causeway_events WHERE true",
    );
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

/// In portions: other nodes write meanwhile. Ids have gaps, so that events are counted.
pub(super) async fn prune(db: &mut MySqlConnection, keep: Keep, now_ms: i64) -> Result<u64, Error> {
    let oldest: Option<(i64,)> = sqlx::query_as("SELECT id FROM causeway_events ORDER BY id DESC LIMIT 1 OFFSET ?")
        .bind(keep.count.max(0))
        .fetch_optional(&mut *db)
        .await?;
    let mut pruned = 0;
    loop {
        let done = sqlx::query("DELETE FROM causeway_events WHERE time_ms < ? ORDER BY time_ms LIMIT 2000")
            .bind(now_ms.saturating_sub(keep.age_ms))
            .execute(&mut *db)
            .await?;
        pruned += done.rows_affected();
        if done.rows_affected() < PRUNED {
            break;
        }
    }
    let Some((last,)) = oldest else { return Ok(pruned) };
    loop {
        let done = sqlx::query("DELETE FROM causeway_events WHERE id <= ? ORDER BY id LIMIT 2000")
            .bind(last)
            .execute(&mut *db)
            .await?;
        pruned += done.rows_affected();
        if done.rows_affected() < PRUNED {
            return Ok(pruned);
        }
    }
}

/// What was done to one record is short; a cluster's own words may be of any length.
fn cut(text: &str) -> &str {
    pieces::first(text).0
}

pub(super) async fn write_events(db: &mut MySqlConnection, batch: &[Event]) -> Result<(), Error> {
    let rows: Vec<(&Event, String)> = batch.iter().map(|event| (event, event.reason_text())).collect();
    let size = |(event, reason): &(&Event, String)| {
        let texts = [&event.task, &event.cluster, &event.scope, &event.record, reason];
        64 + texts.iter().map(|text| cut(text).len()).sum::<usize>()
    };
    for rows in batches(&rows, size) {
        let mut query: QueryBuilder<MySql> =
            QueryBuilder::new("INSERT INTO causeway_events (time_ms, task, cluster, scope, record, action, reason) ");
        query.push_values(rows, |mut values, (event, reason)| {
            values
                .push_bind(event.time_ms)
                .push_bind(&event.task)
                .push_bind(&event.cluster)
                .push_bind(cut(&event.scope))
                .push_bind(cut(&event.record))
                .push_bind(&*event.action)
                .push_bind(cut(reason));
        });
        query.build().persistent(rows.len() == ROWS).execute(&mut *db).await?;
    }
    Ok(())
}
