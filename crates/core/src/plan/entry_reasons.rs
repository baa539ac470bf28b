//! Why a config entry is written, deleted or left alone.

use super::{Conflicts, Undecided};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};

/// Why an entry is written or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code")]
pub enum EntryReason {
    /// It is new on the other side.
    #[serde(rename = "entry-new")]
    New,
    /// It was edited on the other side.
    #[serde(rename = "entry-edited")]
    Edited,
    /// It was deleted on the other side.
    #[serde(rename = "entry-deleted")]
    Deleted,
    /// The destination has lost it.
    #[serde(rename = "entry-missing")]
    Missing,
    /// It was edited in the destination, and the task says that the source's is written again.
    #[serde(rename = "entry-edit-replaced")]
    Overridden,
    /// It was deleted on one side while something new came to be below it on the other.
    #[serde(rename = "entry-needed")]
    Needed,
    /// Both sides changed it.
    #[serde(rename = "entry-conflict-settled")]
    Settled {
        /// What the task's policy says; [`Conflicts::Manual`]: the operator decided.
        by: Conflicts,
    },
}

impl Display for EntryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "it is on the other side only",
            Self::Edited => "edited on the other side",
            Self::Deleted => "deleted on the other side",
            Self::Missing => "missing in the destination",
            Self::Overridden => "edited in the destination: the source's is written again",
            Self::Needed => "deleted on one side, but something new lies below it on the other",
            Self::Settled { by: Conflicts::Source } => "changed on both sides: the source's stands",
            Self::Settled { by: Conflicts::Destination } => "changed on both sides: the destination's stands",
            Self::Settled { by: Conflicts::Newest } => "changed on both sides: the newest stands",
            Self::Settled { by: Conflicts::Manual } => "changed on both sides: the operator decided",
        })
    }
}

/// Why a difference is left alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "code")]
pub enum EntrySkip {
    /// The destination's own: we did not write it.
    #[serde(rename = "entry-foreign")]
    Foreign,
    /// Our copy was edited in the destination.
    #[serde(rename = "entry-overridden")]
    Overridden,
    /// Both sides changed it; the destination's stands, and the task does not write to its source.
    #[serde(rename = "entry-kept")]
    Kept,
    /// The task's policy forbids it.
    #[serde(rename = "entry-mode")]
    Mode,
    /// Both sides changed it; the operator has to decide.
    #[serde(rename = "entry-conflict")]
    Conflict,
    /// It is gone from the source, but something of the destination's own lies below it.
    #[serde(rename = "entry-occupied")]
    Occupied,
    /// One side refuses it as it is.
    #[serde(rename = "entry-rejected")]
    Rejected {
        /// As the connector says it.
        why: String,
    },
    /// One side refuses it for now, and it is retried.
    #[serde(rename = "entry-blocked")]
    Blocked {
        /// As the cluster says it.
        why: String,
    },
    /// A filter cannot say whether it takes part: both sides are left as they are.
    #[serde(rename = "entry-undecided")]
    Undecided(Undecided),
}

impl EntrySkip {
    /// Its code, for programs: the one that it is serialized with.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Foreign => "entry-foreign",
            Self::Overridden => "entry-overridden",
            Self::Kept => "entry-kept",
            Self::Mode => "entry-mode",
            Self::Conflict => "entry-conflict",
            Self::Occupied => "entry-occupied",
            Self::Rejected { .. } => "entry-rejected",
            Self::Blocked { .. } => "entry-blocked",
            Self::Undecided(_) => "entry-undecided",
        }
    }
}

impl Display for EntrySkip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it stands in the destination alone"),
            Self::Overridden => f.write_str("it was changed by hand in the destination"),
            Self::Kept => f.write_str("changed on both sides: the destination's stands"),
            Self::Mode => f.write_str("the task's policy forbids it"),
            Self::Conflict => f.write_str("changed on both sides: the operator has to decide"),
            Self::Occupied => f.write_str("something of the destination's own lies below it"),
            Self::Rejected { why } => write!(f, "it cannot be held: {why}"),
            Self::Blocked { why } => write!(f, "it is refused for now, and tried again: {why}"),
            Self::Undecided(undecided) => undecided.fmt(f),
        }
    }
}
