//! What can go wrong, in words for the operator. No text holds a secret.

use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteError;

use crate::mysql::fault::{self, Fault};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another node works in this folder.
    #[error("the data folder {} is in use by process {pid}; stop that node or choose another --data-dir", folder.display())]
    Taken {
        /// The data folder.
        folder: PathBuf,
        /// The process id found in its lock file, else `unknown`.
        pid: String,
    },
    /// A file of the data folder cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What says where the database is cannot be used.
    #[error("{0}")]
    Place(String),
    /// Secrets cannot be encrypted, or not be read with the key at hand.
    #[error("{0}")]
    Key(String),
    /// No server of the database can be used now.
    #[error("the database cannot be used: {0}")]
    Away(String),
    /// Every server of the database has refused us: somebody has to do something about it.
    #[error("the database refuses us: {0}")]
    Refused(String),
    /// The database refused; see [`Error::is_temporary`].
    #[error("{}", explain(.0))]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought to this version.
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migration(String),
    /// The database did not answer in time.
    #[error("the database did not answer within {0} s")]
    Slow(u64),
    /// Somebody else has changed the settings meanwhile, and nothing was done.
    #[error(
        "the settings have been changed meanwhile: this change was made from revision {made_from}, and they are at revision {now}; \
         look at them again, and repeat it"
    )]
    Outdated {
        /// The revision that the change was made from.
        made_from: i64,
        /// The revision that was found.
        now: i64,
    },
    /// No such cluster or task.
    #[error("there is no {0}")]
    Missing(String),
}

impl Error {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn no_task(id: &str) -> Self {
        Self::Missing(format!("task with the id {id}"))
    }

    /// Whether the same call may succeed later by itself: the database is busy or away.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Slow(_) | Self::Away(_) | Self::Database(sqlx::Error::PoolTimedOut) => true,
            Self::Database(e) => matches!(primary(e), Some(5 | 6)) || fault::of(e) != Fault::Other,
            _ => false,
        }
    }
}

/// SQLite's primary result code: the low byte of the extended one.
fn primary(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    let code = sqlx::error::DatabaseError::code(error)?;
    Some(code.parse::<u32>().ok()? & 0xff)
}

fn explain(error: &sqlx::Error) -> String {
    let what = match primary(error) {
        Some(5 | 6) => "the database is locked by another program",
        Some(8) => "the database is read-only",
        Some(10) => "the database's disk fails",
        Some(11 | 26) => "the database file is damaged",
        Some(13) => "the database's disk is full",
        Some(14) => "the database file cannot be opened",
        Some(_) => "database",
        None => fault::words(error),
    };
    format!("{what}: {error}")
}
