//! What nodes remember: clusters, tasks, the ledger and the event history.
//!
//! [`Store`] reads and writes directly, and its callers may wait for the database. [`Writer`] is for the hot path: it takes
//! ledger entries and events without ever waiting, and writes them behind, while the database is locked, full or gone as soon as it
//! is there again.
//!
//! The database is an SQLite file in the data folder, for one node, or a MySQL-compatible one, which several nodes share:
//! [`Database`]. Both are the same to callers. The folder holds `node.lock`, and with SQLite `causeway.db` (with `-wal` and
//! `-shm`) and `key`, unless the key comes from the environment. Secrets are encrypted with AES-256-GCM before they reach the
//! database; nothing else is.

mod backend;
mod clock;
mod data_key;
mod error;
mod events;
mod folder;
mod ledger;
mod mysql;
mod queue;
mod secret;
mod settings;
mod sqlite;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

pub use clock::now_ms;
pub use error::Error;
pub use events::{Event, EventFilter, Keep, Recorded};
pub use folder::check_free;
pub use ledger::LedgerRow;
pub use mysql::{Database, Environment, MYSQL_VARIABLES, MySqlSettings};
pub use secret::random;
pub use settings::{Edit, StoredCluster, StoredTask};
pub use writer::{Health, Writer};

use backend::Backend;
use folder::NodeLock;
use mysql::MySqlDatabase;
use secret::{Origin, SealKey};
use sqlite::SqliteFile;

/// The environment's word for the key: 32 bytes as hex or base64, or any other text, which is hashed.
pub const KEY_VARIABLE: &str = "CAUSEWAY_KEY";

/// The database of one node, or this node's connections to the one that all share. Clones share it; the folder is free again when the last
/// clone is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// Where the secrets are kept, in words.
    place: String,
    key: SealKey,
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Opens the store in `data_dir`, made when missing (mode 0700), with its database in there. The key is [`KEY_VARIABLE`]'s when
    /// set, else the folder's `key` file, made when missing (mode 0600). Fails when another node has the folder, when the key is not
    /// the one that the secrets were encrypted with, and when the database cannot be opened.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        Self::open_at(data_dir, &Database::File).await
    }

    /// The same with the database of the caller's choice. Without [`KEY_VARIABLE`] the key of a database that several nodes share is kept
    /// in there, encrypted with its password. A database that is away is waited for, half a minute at most.
    pub async fn open_at(data_dir: &Path, database: &Database) -> Result<Self, Error> {
        let key = std::env::var(KEY_VARIABLE).ok().filter(|text| !text.trim().is_empty());
        Self::open_at_with(data_dir, database, key.map(SecretString::from)).await
    }

    /// [`Store::open`] with the key's text from the caller; `None`: from the key file.
    pub async fn open_with(data_dir: &Path, key: Option<SecretString>) -> Result<Self, Error> {
        Self::open_at_with(data_dir, &Database::File, key).await
    }

    /// [`Store::open_at`] with the key's text from the caller; `None`: from the key file, or from the shared database.
    pub async fn open_at_with(data_dir: &Path, database: &Database, key: Option<SecretString>) -> Result<Self, Error> {
        let folder = folder::prepare(data_dir)?;
        let lock = NodeLock::take(&folder)?;
        let given = key.map(|text| SealKey::from_text(&text, Origin::Given));
        let (backend, key): (Arc<dyn Backend>, _) = match database {
            Database::File => {
                let (key, file) = match given {
                    Some(key) => (key, None),
                    None => SealKey::from_folder(&folder).map(|(key, file)| (key, Some(file)))?,
                };
                (Arc::new(SqliteFile::open(folder.clone(), lock, file).await?), key)
            }
            Database::MySql(settings) => {
                let backend = MySqlDatabase::open(settings, lock).await?;
                let key = match given {
                    Some(key) => key,
                    None => data_key::of(&backend, settings).await?,
                };
                (Arc::new(backend), key)
            }
        };
        let place = match database {
            Database::File => "this data folder".to_owned(),
            Database::MySql(settings) => format!("the database {}", settings.database()),
        };
        let store = Self(Arc::new(Inner { folder, place, key, backend }));
        store.check_key().await?;
        Ok(store)
    }

    /// The data folder, as an absolute path.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Before the process ends, after [`Writer::stop`]: merges SQLite's log into the one file, or closes the connections to another
    /// database. Without it nothing is lost either.
    pub async fn close(&self) {
        self.0.backend.close().await;
    }

    fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    fn key(&self) -> &SealKey {
        &self.0.key
    }

    /// With the file, which tests break.
    #[cfg(test)]
    #[allow(clippy::unwrap_used, reason = "a test's error is its failure")]
    pub(crate) async fn open_for_test(data_dir: &Path) -> (Self, Arc<SqliteFile>) {
        let folder = folder::prepare(data_dir).unwrap();
        let (key, file) = SealKey::from_folder(&folder).unwrap();
        let lock = NodeLock::take(&folder).unwrap();
        let backend = Arc::new(SqliteFile::open(folder.clone(), lock, Some(file)).await.unwrap());
        let place = "this data folder".to_owned();
        (Self(Arc::new(Inner { folder, place, key, backend: backend.clone() })), backend)
    }
}
