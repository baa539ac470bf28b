//! Connections to the SQLite file: one that writes, a few that read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, SqliteConnection};

use crate::Error;
use crate::clock::now_ms;
use crate::folder::{identity, private};

pub(crate) const FILE: &str = "causeway.db";
/// How long SQLite itself waits for another program's lock.
const BUSY: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(10);
const READERS: u32 = 4;
/// The log file is cut back to this after a burst.
const LOG_LIMIT: &str = "67108864";

pub(crate) struct Pools {
    pub(crate) writer: SqlitePool,
    pub(crate) reader: SqlitePool,
    identity: (u64, u64),
}

impl Pools {
    pub(crate) async fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        // Made here for the mode, which SQLite copies to the files beside it.
        private(&path).map_err(|e| Error::file(&path, e))?;
        let identity = identity(&path).map_err(|e| Error::file(&path, e))?;
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(BUSY);
        // NORMAL: with WAL a killed process loses nothing that was committed; a power cut may lose the last moments.
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("journal_size_limit", LOG_LIMIT);
        // Never closed for age: a connection is what keeps a file alive that was removed.
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let writer = pool.clone().max_connections(1).connect_with(writing).await?;
        migrations().run(&writer).await.map_err(|error| Error::Migration(error.to_string()))?;
        let reader = pool.max_connections(READERS).connect_lazy_with(options.read_only(true));
        Ok(Self { writer, reader, identity })
    }

    /// Whether the path still names the file that is open here.
    pub(crate) fn stands(&self, folder: &Path) -> bool {
        identity(&folder.join(FILE)).is_ok_and(|now| now == self.identity)
    }

    /// Writes what the open file holds to its path again, and opens that. `only` is the writer's connection.
    pub(crate) async fn put_back(&self, only: &mut SqliteConnection, folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let copy = folder.join(format!("{FILE}.copy"));
        let failed = |e| Error::file(&path, e);
        remove(&copy).map_err(failed)?;
        private(&copy).map_err(failed)?;
        let target = copy.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO ?").bind(target).execute(only).await?;
        // SQLite closes a database whose file was moved without touching what now stands at the path.
        let aside = now_ms();
        for suffix in ["", "-wal", "-shm"] {
            let from = beside(&path, suffix);
            let to = beside(&folder.join(format!("{FILE}.replaced-{aside}")), suffix);
            match fs::rename(from, to) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
                _ => {}
            }
        }
        fs::rename(&copy, &path).map_err(failed)?;
        Self::open(folder).await
    }

    /// Closes both pools. Does not wait longer than [`BUSY`] for a reader that hangs.
    pub(crate) async fn close(&self) {
        let both = async {
            self.reader.close().await;
            self.writer.close().await;
        };
        if tokio::time::timeout(BUSY, both).await.is_err() {
            tracing::warn!("an old database connection is still busy");
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// All versions of the tables, oldest first. A published one is never changed: the next one is added.
fn migrations() -> Migrator {
    let all = [
        (1, "first", include_str!("../../migrations/sqlite/0001_first.sql")),
        (2, "revision", include_str!("../../migrations/sqlite/0002_revision.sql")),
    ];
    let all = all.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(all.into())
}
