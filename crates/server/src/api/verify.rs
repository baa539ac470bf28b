//! What a comparison of both sides of a task has found.

use super::{Cause, RecordRef, Unanswered};
use serde::{Deserialize, Serialize};

/// Both sides of a task, compared record by record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The task's name.
    pub task: String,
    /// Whether both sides hold the same, as far as the task goes.
    pub in_step: bool,
    /// Instances that stand as they should.
    pub instances: usize,
    /// Config entries that are the same on both sides.
    pub entries: usize,
    /// What differs: at most 10,000 of them, by cluster and name.
    pub differences: Vec<Difference>,
    /// How many differences there are.
    pub count: usize,
    /// What could not be read, and is not compared: then the sides are not known to be in step.
    #[serde(default)]
    pub unanswered: Vec<Unanswered>,
    /// What is left out on purpose, which is no difference: at most 10,000, by cluster and name.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// How many are left out.
    #[serde(default)]
    pub left_out_count: usize,
    /// What else the operator should know.
    pub notes: Vec<String>,
}

/// How a record differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Differs {
    /// It is not there, and should be.
    #[default]
    Missing,
    /// It is there, and says something else.
    Different,
    /// It is there, and should not be.
    Extra,
    /// The two sides were both changed, and nobody has decided between them.
    Conflict,
    /// It cannot or may not be as the other side has it.
    Refused,
}

impl Differs {
    /// The word in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Extra => "extra",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
        }
    }
}

/// A record that is left out on purpose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Which.
    #[serde(flatten)]
    pub at: RecordRef,
    /// Why, in words.
    pub reason: String,
}

/// One difference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// What differs.
    #[serde(flatten)]
    pub at: RecordRef,
    /// How it differs.
    pub kind: Differs,
    /// Why.
    #[serde(flatten)]
    pub cause: Cause,
}
