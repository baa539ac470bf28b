//! What a node remembers: clusters, tasks, the ledger and the event history, in one SQLite file of its data folder.
//!
//! [`Store`] reads and writes directly, and its callers may wait for the database. [`Writer`] is for the hot path: it takes
//! ledger entries and events without ever waiting, and writes them behind, while the database is locked, full or gone as soon as it
//! is there again.
//!
//! The folder holds `causeway.db` (with `-wal` and `-shm`), `node.lock`, and `key` unless the key comes from the
//! environment. Secrets are encrypted with AES-256-GCM before they reach the database; nothing else is.

mod clock;
mod database;
mod error;
mod events;
mod folder;
mod ledger;
mod queue;
mod secret;
mod settings;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use secrecy::SecretString;
use sqlx::{Sqlite, Transaction};

pub use clock::now_ms;
pub use error::Error;
pub use events::{Event, EventFilter, Keep, Recorded};
pub use ledger::LedgerRow;
pub use secret::random;
pub use settings::{Edit, StoredCluster, StoredTask};
pub use writer::{Health, Writer};

use database::Pools;
use folder::NodeLock;
use secret::{Origin, SealKey};

/// The environment's word for the key: 32 bytes as hex or base64, or any other text, which is hashed.
pub const KEY_VARIABLE: &str = "CAUSEWAY_KEY";

/// The database of one node. Clones share it; the folder is free again when the last clone is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    key: SealKey,
    /// Replaced when the file was moved away under us.
    pools: RwLock<Arc<Pools>>,
    lock: Mutex<NodeLock>,
}

impl Store {
    /// Opens the store in `data_dir`, made when missing (mode 0700). The key is [`KEY_VARIABLE`]'s when set, else the folder's
    /// `key` file, made when missing (mode 0600). Fails when another node has the folder, when the key is not the one that the
    /// secrets were encrypted with, and when the database cannot be opened.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        let key = std::env::var(KEY_VARIABLE).ok().filter(|text| !text.trim().is_empty());
        Self::open_with(data_dir, key.map(SecretString::from)).await
    }

    /// The same with the key's text from the caller; `None`: from the key file.
    pub async fn open_with(data_dir: &Path, key: Option<SecretString>) -> Result<Self, Error> {
        let folder = folder::prepare(data_dir)?;
        let lock = NodeLock::take(&folder)?;
        let key = match key {
            Some(text) => SealKey::from_text(&text, Origin::Given),
            None => SealKey::from_folder(&folder)?,
        };
        let pools = Pools::open(&folder).await?;
        let store = Self(Arc::new(Inner { folder, key, pools: RwLock::new(Arc::new(pools)), lock: Mutex::new(lock) }));
        store.check_key().await?;
        Ok(store)
    }

    /// The data folder, as an absolute path.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Before the process ends, after [`Writer::stop`]: merges SQLite's log into the one file. Without it nothing is lost either.
    pub async fn close(&self) {
        self.pools().close().await;
    }

    fn pools(&self) -> Arc<Pools> {
        Arc::clone(&self.0.pools.read())
    }

    /// A transaction on the one connection that writes.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        match self.pools().writer.begin().await {
            // Waited for a database that was just put back elsewhere: the new one is open.
            Err(sqlx::Error::PoolClosed) => Ok(self.pools().writer.begin().await?),
            other => Ok(other?),
        }
    }

    /// When the database's file was moved, removed or replaced while open: puts ours back, with all that it held (the open file
    /// still has it). A foreign file in its place is set aside, not deleted. Nothing to do: returns at once.
    ///
    /// Not when the whole folder is gone, nor when another node has taken it meanwhile: that is an error.
    async fn restore_if_moved(&self) -> Result<(), Error> {
        let old = self.pools();
        if old.stands(&self.0.folder) {
            return Ok(());
        }
        self.0.lock.lock().renew(&self.0.folder)?;
        self.0.key.restore_file(&self.0.folder)?;
        // Until the new file is in use, nobody writes into the old one: that would be missing in the copy.
        let mut only = old.writer.acquire().await?;
        let new = old.put_back(&mut only, &self.0.folder).await?;
        *self.0.pools.write() = Arc::new(new);
        drop(only);
        tracing::warn!(folder = %self.0.folder.display(), "the database was moved while in use, and was put back");
        old.close().await;
        Ok(())
    }
}
