//! What each route wrote, per scope, as documents of the engine's.

use std::sync::Arc;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::{Error, Store};

/// Rows per statement: few round trips, well below SQLite's limit of 32,766 values.
const ROWS: usize = 250;

/// The state of one scope of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The engine's word for the route.
    pub route: Arc<str>,
    /// The engine's word for the scope.
    pub scope: Arc<str>,
    /// What stands there; `None`: nothing any more.
    pub document: Option<Arc<str>>,
}

impl Store {
    /// Everything, by route and scope; every `document` is there.
    pub async fn ledger_load(&self) -> Result<Vec<LedgerRow>, Error> {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT route, scope, document FROM ledger ORDER BY route, scope")
                .fetch_all(&self.pools().reader)
                .await?;
        let mut last: Option<Arc<str>> = None;
        Ok(rows
            .into_iter()
            .map(|(route, scope, document)| {
                // A few routes, many scopes: one copy of each route's text.
                let route = match &last {
                    Some(same) if **same == *route => Arc::clone(same),
                    _ => Arc::clone(last.insert(route.into())),
                };
                LedgerRow { route, scope: scope.into(), document: Some(document.into()) }
            })
            .collect())
    }
}

pub(crate) async fn write(db: &mut SqliteConnection, batch: &[LedgerRow]) -> Result<(), Error> {
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
