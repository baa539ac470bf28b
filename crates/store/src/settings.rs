//! Clusters, tasks and single values, as documents.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::backend::Change;
use crate::secret::random;
use crate::{Error, Store};

/// How long an edit may take: SQLite's own wait for a lock, or a few tries at another database, and some.
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
    /// All of these or none, in order. Removing what is not there is no error. Waits while the database is locked or away, some
    /// seconds at most. Raises the revision by one, and returns it.
    pub async fn edit(&self, edits: Vec<Edit>) -> Result<i64, Error> {
        self.edit_if(None, edits).await
    }

    /// The same, unless the revision is not `made_from` any more: then nothing is changed, and the error is [`Error::Outdated`].
    pub async fn edit_from(&self, made_from: i64, edits: Vec<Edit>) -> Result<i64, Error> {
        self.edit_if(Some(made_from), edits).await
    }

    async fn edit_if(&self, made_from: Option<i64>, edits: Vec<Edit>) -> Result<i64, Error> {
        let changes = edits.into_iter().map(|edit| self.sealed(edit)).collect::<Result<Vec<_>, _>>()?;
        in_time(self.backend().edit(&changes, made_from)).await
    }

    fn sealed(&self, edit: Edit) -> Result<Change, Error> {
        let mut sealed = BTreeMap::new();
        if let Edit::PutCluster(cluster) = &edit {
            for (field, secret) in &cluster.secrets {
                sealed.insert(field.clone(), self.key().seal(&place(&cluster.name, field), secret)?);
            }
        }
        Ok(Change { edit, sealed })
    }

    /// Grows by one with every edit of any node: as long as it stays the same, so do clusters, tasks and the values that edits set.
    /// Values that are set alone ([`Store::put_kv`]) do not count.
    pub async fn revision(&self) -> Result<i64, Error> {
        self.backend().revision().await
    }

    /// All clusters, by name, with their secrets decrypted.
    pub async fn clusters(&self) -> Result<Vec<StoredCluster>, Error> {
        let mut clusters = Vec::new();
        for stored in self.backend().clusters().await? {
            let mut secrets = BTreeMap::new();
            for (field, sealed) in stored.sealed {
                let secret = self.key().open(&place(&stored.name, &field), &sealed)?;
                secrets.insert(field, secret);
            }
            clusters.push(StoredCluster { name: stored.name, document: stored.document, secrets });
        }
        Ok(clusters)
    }

    /// All tasks, by name.
    pub async fn tasks(&self) -> Result<Vec<StoredTask>, Error> {
        self.backend().tasks().await
    }

    /// A single value (the fingerprint of the applied file, the token's hash, …).
    pub async fn kv(&self, name: &str) -> Result<Option<String>, Error> {
        self.backend().value(name).await
    }

    /// Sets a single value. This is no edit of the settings: the revision stays.
    pub async fn put_kv(&self, name: &str, value: &str) -> Result<(), Error> {
        in_time(self.backend().put_value(name, value)).await
    }

    /// Sets a single value unless there is one; returns the one that is kept, which is the same for all nodes.
    pub async fn put_first_kv(&self, name: &str, value: &str) -> Result<String, Error> {
        in_time(self.backend().put_first(name, value)).await
    }

    /// This installation's name in marks: eight random hex digits, made at the first call and kept.
    pub async fn install_id(&self) -> Result<String, Error> {
        match self.kv(INSTALL).await? {
            Some(id) => Ok(id),
            None => self.put_first_kv(INSTALL, &hex::encode(random::<4>()?)).await,
        }
    }

    /// Overrides it, for good.
    pub async fn set_install_id(&self, id: &str) -> Result<(), Error> {
        self.put_kv(INSTALL, id).await
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(EDIT, work).await.unwrap_or(Err(Error::Slow(EDIT.as_secs())))
}

/// Where a secret stands, which is part of its seal.
fn place(cluster: &str, field: &str) -> String {
    format!("the field {field} of the cluster {cluster}")
}
