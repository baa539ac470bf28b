//! Why the node could not do what was asked, in words for the operator. No text holds a secret.

use causeway_settings::Problems;

/// Why the node could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings file has errors. The first text is the file's name.
    #[error("{0} has errors, and nothing of it was taken:\n{1}")]
    Settings(String, Problems),
    /// The settings are each right, and do not fit what is there.
    #[error("{0}")]
    Misfit(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] causeway_store::Error),
    /// There is nothing of this name.
    #[error("there is no {0}")]
    Missing(String),
    /// Not as things stand: what, and what to do about it.
    #[error("{what}")]
    Conflict {
        /// What stands in the way.
        what: String,
        /// What to do about it.
        help: String,
    },
    /// A cluster cannot be read.
    #[error("{cluster}: {why}")]
    Cluster {
        /// Its name.
        cluster: String,
        /// Why.
        why: String,
    },
    /// What is known of a cluster is not complete now.
    #[error("what is known of {cluster} is not complete: {why}")]
    Incomplete {
        /// Its name.
        cluster: String,
        /// Why.
        why: String,
    },
    /// It was begun and has not ended in time; it goes on.
    #[error("{what}")]
    Slow {
        /// What is under way.
        what: String,
        /// What to do about it.
        help: String,
    },
    /// The node ends.
    #[error("the node is stopping")]
    Stopping,
    /// What was asked for makes no sense.
    #[error("{0}")]
    Request(String),
    /// The machine refused.
    #[error("{what}: {error}")]
    Machine {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
}

impl Error {
    /// Work that we waited for has panicked, or was cut short by the end of the node.
    pub(crate) fn unexpected(what: &'static str, error: &tokio::task::JoinError) -> Self {
        if error.is_cancelled() {
            return Self::Stopping;
        }
        tracing::error!("{what} failed unexpectedly: {error}");
        let error = std::io::Error::other(format!("it failed unexpectedly: {error}"));
        Self::Machine { what, error }
    }

    pub(crate) fn conflict(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Conflict { what: what.into(), help: help.into() }
    }
}

/// The result of the node's work.
pub type Result<T> = std::result::Result<T, Error>;
