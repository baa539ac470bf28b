//! What the engine says that happened.

use causeway_core::Reason;
use std::sync::Arc;

/// What happened to a record or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A copy was written.
    Created,
    /// A copy that stood there was taken over.
    Adopted,
    /// A copy was changed.
    Updated,
    /// A copy was taken away.
    Deleted,
    /// A difference was left alone.
    Skipped,
    /// A guard began to hold removals.
    Held,
    /// A guard let go of what it held.
    Released,
    /// Something failed.
    Failed,
    /// Both sides have changed an entry.
    Conflict,
}

impl Action {
    /// The word in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Adopted => "adopted",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Skipped => "skipped",
            Self::Held => "held",
            Self::Released => "released",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
        }
    }
}

/// One thing that happened, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The task's name; empty when it is not known.
    pub task: Arc<str>,
    /// The cluster written to, by its name.
    pub cluster: Arc<str>,
    /// The scope; empty for a whole task.
    pub scope: String,
    /// The record's id; empty for a whole scope.
    pub record: String,
    /// What.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}
