//! What the data engine is told to do.

use crate::spec::{ClusterSpec, GuardLimits, RunState};
use causeway_core::{
    ClusterId, Conflicts, Content, DataPort, DataSelector, EntryKey, MergeRules, NameShape, Overrides, OwnerId, Side,
    Ways, WriteMode,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What a task's memory of common versions belongs to: the task, and the two clusters that it was made between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DataRoute {
    /// The task.
    pub owner: OwnerId,
    /// The left side.
    pub source: ClusterId,
    /// The right side.
    pub destination: ClusterId,
}

/// One of a task's two clusters.
pub type DataCluster = ClusterSpec<DataPort>;

/// Which attributes of an entry are copied and compared. Those that are not are left as each cluster makes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AttributeFilter {
    /// None: only bodies count.
    #[default]
    None,
    /// All that the connectors know.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl AttributeFilter {
    /// The content as the task sees it.
    pub fn select(&self, mut content: Content) -> Content {
        match self {
            Self::None => content.attributes.0.clear(),
            Self::All => {}
            Self::Only(keys) => content.attributes.0.retain(|key, _| keys.contains(key)),
        }
        content
    }
}

/// One task's config entries: one route, whichever ways it goes.
#[derive(Clone)]
pub struct DataSpec {
    /// The task's name.
    pub task: Arc<str>,
    /// The task.
    pub owner: OwnerId,
    /// The left side.
    pub source: DataCluster,
    /// The right side.
    pub destination: DataCluster,
    /// Which entries take part, on both sides. Another fingerprint is another selection.
    pub select: DataSelector,
    /// Which ways it goes.
    pub ways: Ways,
    /// What it may do.
    pub mode: WriteMode,
    /// A one-way task: what it does about changes in the destination.
    pub overrides: Overrides,
    /// What it does about conflicts.
    pub conflicts: Conflicts,
    /// What of an entry counts beside its body.
    pub attributes: AttributeFilter,
    /// Where entries that begin so are lists with commas, to which each side adds its own: neither side's stands, but all
    /// that either has.
    pub lists: Vec<String>,
    /// Whether the same task copies the services of its clusters: where they stand is not left out then.
    pub services: bool,
    /// When removals are held.
    pub guard: GuardLimits,
    /// How long a side must have been connected without a break before what it lacks is believed to be gone.
    pub settle: Duration,
    /// Whether it works.
    pub run: RunState,
}

impl DataSpec {
    /// What its memory belongs to.
    pub fn route(&self) -> DataRoute {
        DataRoute {
            owner: self.owner.clone(),
            source: self.source.id.clone(),
            destination: self.destination.id.clone(),
        }
    }

    /// Whether an entry is a list to which each side adds its own.
    pub fn is_list(&self, key: &EntryKey) -> bool {
        self.lists.iter().any(|root| key.name.starts_with(root.as_str()))
    }

    pub(crate) fn cluster(&self, side: Side) -> &DataCluster {
        match side {
            Side::Left => &self.source,
            Side::Right => &self.destination,
        }
    }

    pub(crate) fn rules(&self) -> MergeRules {
        MergeRules {
            source: Side::Left,
            ways: self.ways,
            mode: self.mode,
            overrides: self.overrides,
            conflicts: self.conflicts,
        }
    }

    /// A tree where either side is one: then the other's names are paths, too.
    pub fn shape(&self) -> NameShape {
        let tree = |side: &Side| self.cluster(*side).port.facts().shape == NameShape::Tree;
        if Side::BOTH.iter().any(tree) { NameShape::Tree } else { NameShape::Flat }
    }

    /// The parent of an entry that must stand before the entry itself is written: the nearest one that takes part.
    pub(crate) fn parent(&self, key: &EntryKey) -> Option<EntryKey> {
        let takes = |parent: &EntryKey| self.select.takes(parent) && self.select.undecided(parent).is_none();
        self.shape().above(key).find(takes)
    }

    /// Whether the same watches serve both.
    pub(crate) fn same_watch(&self, other: &Self) -> bool {
        self.route() == other.route()
            && Side::BOTH.iter().all(|side| self.cluster(*side).port == other.cluster(*side).port)
            && self.select.fingerprint() == other.select.fingerprint()
            && self.attributes == other.attributes
            && (self.run == RunState::Drain) == (other.run == RunState::Drain)
    }

    /// Whether nothing is different at all, given that the same watches serve both.
    pub(crate) fn same_rules(&self, other: &Self) -> bool {
        self.task == other.task
            && self.rules() == other.rules()
            && self.lists == other.lists
            && self.services == other.services
            && self.guard == other.guard
            && self.settle == other.settle
            && self.run == other.run
            && Side::BOTH.iter().all(|side| self.cluster(*side).name == other.cluster(*side).name)
    }
}

/// Times that hold for the whole data engine.
#[derive(Clone, Debug)]
pub struct DataTiming {
    /// One entry is not written again sooner after it was written.
    pub debounce: Duration,
    /// One call to a cluster.
    pub call: Duration,
    /// Listing one side whole: a million entries take their time.
    pub list: Duration,
    /// How often everything is listed again, to repair what a watch has missed; a quarter more or less. `None`: never.
    pub sweep: Option<Duration>,
    /// First and longest wait after a failure.
    pub backoff: (Duration, Duration),
    /// How long a write waits for the ledger to keep that it is going to be made. When the ledger cannot, it is made all
    /// the same.
    pub kept: Duration,
}

impl Default for DataTiming {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(200),
            call: Duration::from_secs(10),
            list: Duration::from_secs(300),
            sweep: Some(Duration::from_secs(3600)),
            backoff: (Duration::from_millis(200), Duration::from_secs(30)),
            kept: Duration::from_secs(2),
        }
    }
}
