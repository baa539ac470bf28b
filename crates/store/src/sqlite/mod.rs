//! One SQLite file in the data folder, for one node.

mod pools;
mod rows;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use sqlx::{Sqlite, Transaction};

use crate::backend::{Backend, Change, SealedCluster};
use crate::folder::NodeLock;
use crate::secret::KeyFile;
use crate::{Error, Event, EventFilter, Keep, LedgerRow, Recorded, StoredTask};

use pools::Pools;

/// The file's connections, and what stands beside it in the folder.
pub(crate) struct SqliteFile {
    folder: PathBuf,
    key: Option<KeyFile>,
    /// Replaced when the file was moved away under us.
    pools: RwLock<Arc<Pools>>,
    lock: Mutex<NodeLock>,
}

impl SqliteFile {
    /// Opens the file in the folder, made when missing. `key` is written again when somebody removes it.
    pub(crate) async fn open(folder: PathBuf, lock: NodeLock, key: Option<KeyFile>) -> Result<Self, Error> {
        let pools = RwLock::new(Arc::new(Pools::open(&folder).await?));
        Ok(Self { folder, key, pools, lock: Mutex::new(lock) })
    }

    fn pools(&self) -> Arc<Pools> {
        Arc::clone(&self.pools.read())
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
        if old.stands(&self.folder) {
            return Ok(());
        }
        self.lock.lock().renew(&self.folder)?;
        if let Some(key) = &self.key {
            key.restore()?;
        }
        // Until the new file is in use, nobody writes into the old one: that would be missing in the copy.
        let mut only = old.writer.acquire().await?;
        let new = old.put_back(&mut only, &self.folder).await?;
        *self.pools.write() = Arc::new(new);
        drop(only);
        tracing::warn!(folder = %self.folder.display(), "the database was moved while in use, and was put back");
        old.close().await;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) async fn run_for_test(&self, sql: &'static str) {
        assert!(sqlx::query(sql).execute(&self.pools().writer).await.is_ok());
    }
}

impl Backend for SqliteFile {
    fn edit<'a>(&'a self, changes: &'a [Change], made_from: Option<i64>) -> BoxFuture<'a, Result<i64, Error>> {
        async move {
            let mut transaction = self.begin().await?;
            let revision = rows::raise_revision(&mut transaction, made_from).await?;
            for change in changes {
                rows::change(&mut transaction, change).await?;
            }
            transaction.commit().await?;
            Ok(revision)
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<i64, Error>> {
        async { rows::revision(&self.pools().reader).await }.boxed()
    }

    fn clusters(&self) -> BoxFuture<'_, Result<Vec<SealedCluster>, Error>> {
        async {
            // One transaction: a cluster and its secrets of the same moment.
            let mut db = self.pools().reader.begin().await?;
            rows::clusters(&mut db).await
        }
        .boxed()
    }

    fn tasks(&self) -> BoxFuture<'_, Result<Vec<StoredTask>, Error>> {
        async { rows::tasks(&self.pools().reader).await }.boxed()
    }

    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        async { rows::value(&self.pools().reader, name).await }.boxed()
    }

    fn put_value<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        async {
            let mut transaction = self.begin().await?;
            rows::put_value(&mut transaction, name, value).await?;
            Ok(transaction.commit().await?)
        }
        .boxed()
    }

    fn put_first<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<String, Error>> {
        async {
            let mut transaction = self.begin().await?;
            let kept = rows::put_first(&mut transaction, name, value).await?;
            transaction.commit().await?;
            Ok(kept)
        }
        .boxed()
    }

    fn ledger(&self) -> BoxFuture<'_, Result<Vec<LedgerRow>, Error>> {
        async { rows::ledger(&self.pools().reader).await }.boxed()
    }

    fn events<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<Vec<Recorded>, Error>> {
        async { rows::events(&self.pools().reader, filter).await }.boxed()
    }

    fn prune(&self, keep: Keep, now_ms: i64) -> BoxFuture<'_, Result<u64, Error>> {
        async move { rows::prune(&self.pools().writer, keep, now_ms).await }.boxed()
    }

    fn write<'a>(&'a self, rows: &'a [LedgerRow], events: &'a [Event]) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            self.restore_if_moved().await?;
            let mut db = self.begin().await?;
            rows::write_ledger(&mut db, rows).await?;
            rows::write_events(&mut db, events).await?;
            Ok(db.commit().await?)
        }
        .boxed()
    }

    fn look(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.restore_if_moved().boxed()
    }

    /// Merges SQLite's log into the one file.
    fn close(&self) -> BoxFuture<'_, ()> {
        async { self.pools().close().await }.boxed()
    }
}
