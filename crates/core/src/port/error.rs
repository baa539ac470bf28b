//! Why talking to a cluster failed, sorted by what to do about it.

use crate::model::Part;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::time::Duration;

/// Any error, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why talking to a cluster failed. Nothing here is fatal to the process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not reachable, or no answer in time: try again.
    Unavailable(#[source] BoxError),
    /// The cluster wants us to wait.
    Throttled(Duration),
    /// Somebody else changed it meanwhile: look and try again.
    Conflict,
    /// Not allowed: the operator must act.
    Denied(String),
    /// What was asked for does not exist there.
    Missing(String),
    /// This record cannot be held: skip it, keep the rest.
    Rejected(String),
    /// This record cannot be held now, because of something else in the cluster that may go without any notice: skip it,
    /// keep the rest, try it again within seconds.
    Blocked(String),
    /// An answer that we do not understand: a bug, or an unknown version.
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

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        KeptError::from(self).fmt(f)
    }
}

/// An [`Error`] as it can be kept: what the cluster said is a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code")]
#[expect(missing_docs, reason = "each variant is that of the error")]
pub enum KeptError {
    #[serde(rename = "error-unavailable")]
    Unavailable { text: String },
    #[serde(rename = "error-throttled")]
    Throttled { wait: Duration },
    #[serde(rename = "error-conflict")]
    Conflict,
    #[serde(rename = "error-denied")]
    Denied { text: String },
    #[serde(rename = "error-missing")]
    Missing { text: String },
    #[serde(rename = "error-rejected")]
    Rejected { text: String },
    #[serde(rename = "error-blocked")]
    Blocked { text: String },
    #[serde(rename = "error-protocol")]
    Protocol { text: String },
}

impl From<&Error> for KeptError {
    fn from(error: &Error) -> Self {
        match error {
            Error::Unavailable(cause) => Self::Unavailable { text: cause.to_string() },
            Error::Throttled(wait) => Self::Throttled { wait: *wait },
            Error::Conflict => Self::Conflict,
            Error::Denied(text) => Self::Denied { text: text.clone() },
            Error::Missing(text) => Self::Missing { text: text.clone() },
            Error::Rejected(text) => Self::Rejected { text: text.clone() },
            Error::Blocked(text) => Self::Blocked { text: text.clone() },
            Error::Protocol(cause) => Self::Protocol { text: cause.to_string() },
        }
    }
}

impl Display for KeptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { text } => write!(f, "not reachable: {text}"),
            Self::Throttled { wait } => write!(f, "told to wait {wait:?}"),
            Self::Conflict => f.write_str("changed by somebody else meanwhile"),
            Self::Denied { text } => write!(f, "not allowed: {text}"),
            Self::Missing { text } => f.write_str(text),
            Self::Rejected { text } => write!(f, "rejected: {text}"),
            Self::Blocked { text } => write!(f, "refused for now: {text}"),
            Self::Protocol { text } => write!(f, "unexpected answer: {text}"),
        }
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
