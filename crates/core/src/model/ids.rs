//! Names of clusters, owners and parts.

use super::intern;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// One cluster, as it stands in marks: eight hexadecimal digits.
///
/// Short, because a path of several clusters must fit beside a record's own metadata. The node's store explains which
/// cluster an id belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(Arc<str>);

impl ClusterId {
    /// The id of the cluster that `name` is unique for: the operator's `clusterId`, else `<install>/<clusterName>`.
    pub fn of(name: &str) -> Self {
        Self(format!("{:08x}", xxh3_64(name.as_bytes()) as u32).into())
    }

    /// An id read back from a mark or a file.
    pub fn from_text(text: &str) -> Self {
        Self(intern(text))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who may update or delete a record: one task of one install. The task's id survives a rename.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OwnerId {
    /// The install: one data folder, or one group of nodes that share a store.
    pub install: Arc<str>,
    /// The task's id.
    pub task: Arc<str>,
}

impl OwnerId {
    /// The task `task` of the install `install`; neither may hold `/`, `;` or `,`.
    pub fn new(install: &str, task: &str) -> Self {
        Self { install: intern(install), task: intern(task) }
    }

    /// A task of `install` that nobody remembers: a connector has proof that a record is ours, and the ledger lacks it.
    pub fn lost(install: &str) -> Self {
        Self::new(install, "")
    }

    /// Whether the task is not known.
    pub fn is_lost(&self) -> bool {
        self.task.is_empty()
    }
}

impl Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.install, self.task)
    }
}

/// The piece of a cluster that one completeness speaks of: a namespace, the root of a tree, a data centre.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part(pub Arc<str>);

impl Part {
    /// The part called `id`.
    pub fn new(id: &str) -> Self {
        Self(intern(id))
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
