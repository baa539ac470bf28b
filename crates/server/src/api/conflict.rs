//! Config entries that both sides have changed.

use serde::{Deserialize, Serialize};

/// An entry that both sides have changed, and that waits for the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The task's name.
    pub task: String,
    /// The entry's path, or `namespace/group/name`.
    pub entry: String,
    /// For how many seconds it has been known.
    pub seconds: u64,
    /// What stands in the task's source; `null`: it was deleted there.
    pub source: Option<ConflictSide>,
    /// What stands in its destination; `null`: it was deleted there.
    pub destination: Option<ConflictSide>,
}

/// What one side holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictSide {
    /// Names the content: 32 hexadecimal digits.
    pub digest: String,
    /// Bytes of data.
    pub size: u32,
    /// When it was changed, by that cluster's clock, as RFC 3339; empty where it does not say.
    pub modified: String,
}

/// A decision about one conflict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resolve {
    /// The entry, as listed.
    pub entry: String,
    /// Whose content stands, or whose deletion: `source` or `destination`.
    pub take: Take,
}

/// Which side of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// The task's source.
    #[default]
    Source,
    /// Its destination.
    Destination,
}
