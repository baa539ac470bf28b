//! Documents of other tools.

use causeway_settings::Problem;
use serde::{Deserialize, Serialize};

/// A document of another tool that the node follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Where it comes from.
    pub place: String,
    /// How it is doing.
    pub state: DocumentState,
    /// `Registry` or `Configuration`, as its content says; empty while none is in use.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The tasks that were made of it, by name.
    pub tasks: Vec<String>,
    /// Why it is not in use as it stands; empty when it is.
    pub reason: String,
    /// What is wrong with it, each with its place; warnings too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Where its backup is kept.
    pub backup: String,
}

/// How a document is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentState {
    /// It is in use as it stands.
    InUse,
    /// It has not been read yet.
    #[default]
    Pending,
    /// Its backup is in use.
    Backup,
    /// It has errors. What was in use before goes on.
    Invalid,
    /// It does not fit what is there. What was in use before goes on.
    Refused,
    /// There is no document. What was in use before goes on.
    Missing,
    /// Its provider cannot be reached. What was in use before goes on.
    Away,
}

impl DocumentState {
    /// The word in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in-use",
            Self::Pending => "pending",
            Self::Backup => "backup",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Missing => "missing",
            Self::Away => "away",
        }
    }
}
