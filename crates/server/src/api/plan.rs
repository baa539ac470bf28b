//! What would be written, and why.

use super::{Applied, Cause, RecordRef};
use serde::{Deserialize, Serialize};

/// A settings file to be tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanRequest {
    /// The file's name, for problems.
    pub file: String,
    /// The file's text.
    pub text: String,
}

/// What applying a file would do. Guards have not been asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// What would change in the settings.
    pub settings: Applied,
    /// The file's tasks, by name.
    pub tasks: Vec<TaskPlan>,
    /// Sums over all tasks.
    pub totals: Totals,
    /// What could not be read: nothing is said of it.
    #[serde(default)]
    pub unanswered: Vec<Unanswered>,
}

/// What a cluster did not answer while it was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unanswered {
    /// The cluster, by name.
    pub cluster: String,
    /// The namespace; empty: nothing of the cluster.
    pub namespace: String,
    /// Why, or for how long there was no answer.
    pub reason: String,
}

/// What one task would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPlan {
    /// The task's name.
    pub task: String,
    /// In the order of cluster and service.
    pub changes: Vec<PlannedChange>,
    /// What is left alone.
    pub skipped: Vec<PlannedSkip>,
    /// How many of each.
    pub totals: Totals,
    /// What the operator should know: nothing is copied while the task is paused, …
    pub notes: Vec<String>,
}

/// What would be done to a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Write a copy where there is none.
    #[default]
    Create,
    /// Change our copy, or what belongs to the service itself.
    Update,
    /// Take our copy away.
    Delete,
    /// Take over a copy of ours that stands there as wanted.
    Adopt,
    /// Publish a record identical to a native one beside it.
    Shadow,
}

impl Action {
    /// The word in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Adopt => "adopt",
            Self::Shadow => "shadow",
        }
    }
}

/// One difference to write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChange {
    /// What would be written.
    #[serde(flatten)]
    pub at: RecordRef,
    /// What.
    pub action: Action,
    /// Why, or what differs.
    #[serde(flatten)]
    pub cause: Cause,
}

/// One difference that is left alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSkip {
    /// What would be written.
    #[serde(flatten)]
    pub at: RecordRef,
    /// Why.
    #[serde(flatten)]
    pub cause: Cause,
}

/// How many records of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// To be created.
    pub create: usize,
    /// To be changed.
    pub update: usize,
    /// To be removed.
    pub delete: usize,
    /// To be taken over as they stand.
    pub adopt: usize,
    /// To be backed by an identical record.
    pub shadow: usize,
    /// Left alone.
    pub skipped: usize,
    /// Standing as wanted.
    pub in_step: usize,
}

impl Totals {
    /// Whether there is something to write.
    pub fn has_changes(&self) -> bool {
        self.create + self.update + self.delete + self.adopt + self.shadow > 0
    }
}
