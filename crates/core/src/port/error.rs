//! Why talking to a cluster failed, sorted by what to do about it.

use crate::model::Part;
use std::time::Duration;

/// Any error, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why talking to a cluster failed. Nothing here is fatal to the process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not reachable, or no answer in time: try again.
    #[error("not reachable: {0}")]
    Unavailable(#[source] BoxError),
    /// The cluster wants us to wait.
    #[error("told to wait {0:?}")]
    Throttled(Duration),
    /// Somebody else changed it meanwhile: look and try again.
    #[error("changed by somebody else meanwhile")]
    Conflict,
    /// Not allowed: the operator must act.
    #[error("not allowed: {0}")]
    Denied(String),
    /// What was asked for does not exist there.
    #[error("{0}")]
    Missing(String),
    /// This record cannot be held: skip it, keep the rest.
    #[error("rejected: {0}")]
    Rejected(String),
    /// This record cannot be held now, because of something else in the cluster that may go without any notice: skip it,
    /// keep the rest, try it again within seconds.
    #[error("refused for now: {0}")]
    Blocked(String),
    /// An answer that we do not understand: a bug, or an unknown version.
    #[error("unexpected answer: {0}")]
    Protocol(#[source] BoxError),
}

impl Error {
    /// Not reachable, said in words.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(text.into().into())
    }

    /// An unexpected answer, said in words.
    pub fn protocol(text: impl Into<String>) -> Self {
        Self::Protocol(text.into().into())
    }

    /// Whether the same call may go through later without anybody acting.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Throttled(_) | Self::Conflict)
    }
}

/// A part (or, without one, the whole cluster) can no longer be read.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Lost {
    /// The part, as it was asked for where its id is not known; `None`: the whole cluster.
    pub part: Option<Part>,
    /// Why.
    #[source]
    pub error: Error,
}
