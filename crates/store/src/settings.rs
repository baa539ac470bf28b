//! Clusters, tasks and single values, as documents.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::SqliteConnection;

use crate::secret::random;
use crate::{Error, Store};

/// How long an edit may take: SQLite's own wait for a lock, and some.
const EDIT: Duration = Duration::from_secs(15);
const INSTALL: &str = "install id";

/// A cluster's settings.
#[derive(Clone, Debug)]
pub struct StoredCluster {
    /// Unique.
    pub name: String,
    /// The settings without secrets: this is stored as it stands.
    pub document: String,
    /// By field name; encrypted at rest.
    pub secrets: BTreeMap<String, SecretString>,
}

/// A task's settings and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTask {
    /// Made once, by the caller; survives a change of name.
    pub id: String,
    /// For people. That it is unique is the caller's business.
    pub name: String,
    /// The settings.
    pub document: String,
    /// The caller's word.
    pub state: String,
}

/// One change to what is stored. See [`Store::edit`].
#[derive(Clone, Debug)]
pub enum Edit {
    /// Adds or replaces, with all its secrets.
    PutCluster(StoredCluster),
    /// By name.
    RemoveCluster(String),
    /// Adds, or replaces the one with the same id.
    PutTask(StoredTask),
    /// Changes only a task's state; [`Error::Missing`] without such a task.
    SetTaskState {
        /// The task's id.
        id: String,
        /// See [`StoredTask`].
        state: String,
    },
    /// By id. The ledger's entries of its routes are the caller's to remove.
    RemoveTask(String),
    /// Sets a single value.
    PutKv(String, String),
    /// Removes a single value.
    RemoveKv(String),
}

impl Store {
    /// All of these or none, in order. Removing what is not there is no error. Waits while the database is locked, some
    /// seconds at most.
    pub async fn edit(&self, edits: Vec<Edit>) -> Result<(), Error> {
        let work = async {
            let mut transaction = self.begin().await?;
            for edit in edits {
                self.edit_one(&mut transaction, edit).await?;
            }
            Ok(transaction.commit().await?)
        };
        tokio::time::timeout(EDIT, work).await.unwrap_or(Err(Error::Slow(EDIT.as_secs())))
    }

    async fn edit_one(&self, db: &mut SqliteConnection, edit: Edit) -> Result<(), Error> {
        match edit {
            Edit::PutCluster(StoredCluster { name, document, secrets }) => {
                sqlx::query("INSERT INTO clusters (name, document) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET document = excluded.document")
                    .bind(&name)
                    .bind(document)
                    .execute(&mut *db)
                    .await?;
                forget_secrets(db, &name).await?;
                for (field, secret) in secrets {
                    let sealed = self.0.key.seal(&place(&name, &field), &secret)?;
                    sqlx::query("INSERT INTO cluster_secrets (cluster, field, sealed) VALUES (?, ?, ?)")
                        .bind(&name)
                        .bind(field)
                        .bind(sealed)
                        .execute(&mut *db)
                        .await?;
                }
            }
            Edit::RemoveCluster(name) => {
                forget_secrets(db, &name).await?;
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
                let done = query.bind(state).bind(&id).execute(db).await?;
                if done.rows_affected() == 0 {
                    return Err(Error::Missing(format!("task with the id {id}")));
                }
            }
            Edit::RemoveTask(id) => {
                sqlx::query("DELETE FROM tasks WHERE id = ?").bind(id).execute(db).await?;
            }
            Edit::PutKv(name, value) => {
                sqlx::query("INSERT INTO kv (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
                    .bind(name)
                    .bind(value)
                    .execute(db)
                    .await?;
            }
            Edit::RemoveKv(name) => {
                sqlx::query("DELETE FROM kv WHERE name = ?").bind(name).execute(db).await?;
            }
        }
        Ok(())
    }

    /// All clusters, by name, with their secrets decrypted.
    pub async fn clusters(&self) -> Result<Vec<StoredCluster>, Error> {
        // One transaction: a cluster and its secrets of the same moment.
        let mut db = self.pools().reader.begin().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT name, document FROM clusters ORDER BY name").fetch_all(&mut *db).await?;
        let sealed: Vec<(String, String, Vec<u8>)> =
            sqlx::query_as("SELECT cluster, field, sealed FROM cluster_secrets").fetch_all(&mut *db).await?;
        let mut secrets: BTreeMap<String, BTreeMap<String, SecretString>> = BTreeMap::new();
        for (cluster, field, sealed) in sealed {
            let secret = self.0.key.open(&place(&cluster, &field), &sealed)?;
            secrets.entry(cluster).or_default().insert(field, secret);
        }
        Ok(rows
            .into_iter()
            .map(|(name, document)| {
                let secrets = secrets.remove(&name).unwrap_or_default();
                StoredCluster { name, document, secrets }
            })
            .collect())
    }

    /// All tasks, by name.
    pub async fn tasks(&self) -> Result<Vec<StoredTask>, Error> {
        let rows: Vec<(String, String, String, String)> =
            sqlx::query_as("SELECT id, name, document, state FROM tasks ORDER BY name, id")
                .fetch_all(&self.pools().reader)
                .await?;
        Ok(rows.into_iter().map(|(id, name, document, state)| StoredTask { id, name, document, state }).collect())
    }

    /// A single value (the fingerprint of the applied file, the token's hash, …).
    pub async fn kv(&self, name: &str) -> Result<Option<String>, Error> {
        let row: Option<(String,)> = sqlx::query_as("SELECT value FROM kv WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pools().reader)
            .await?;
        Ok(row.map(|(value,)| value))
    }

    /// See [`Edit::PutKv`].
    pub async fn put_kv(&self, name: &str, value: &str) -> Result<(), Error> {
        self.edit(vec![Edit::PutKv(name.to_owned(), value.to_owned())]).await
    }

    /// This installation's name in marks: eight random hex digits, made at the first call and kept.
    pub async fn install_id(&self) -> Result<String, Error> {
        if let Some(id) = self.kv(INSTALL).await? {
            return Ok(id);
        }
        let id = hex::encode(random::<4>()?);
        self.set_install_id(&id).await?;
        Ok(id)
    }

    /// Overrides it, for good.
    pub async fn set_install_id(&self, id: &str) -> Result<(), Error> {
        self.put_kv(INSTALL, id).await
    }
}

async fn forget_secrets(db: &mut SqliteConnection, cluster: &str) -> Result<(), Error> {
    sqlx::query("DELETE FROM cluster_secrets WHERE cluster = ?").bind(cluster).execute(db).await?;
    Ok(())
}

/// Where a secret stands, which is part of its seal.
fn place(cluster: &str, field: &str) -> String {
    format!("the field {field} of the cluster {cluster}")
}
