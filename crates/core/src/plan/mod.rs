//! Comparing what is wanted with what is there, and deciding: pure and ordered.
//!
//! Printing a [`Plan`] is the dry run, counting it is the metrics, refusing part of it is the safety.

mod change;
mod compare;
mod entry_map;
mod entry_reasons;
mod group;
mod map;
mod merge;
mod select;
mod take_over;
mod written;

pub use change::{Change, Crowded, Evidence, Governed, Plan, Removal, Skip, SkipKind};
pub use compare::plan;
pub use entry_map::{EntryMap, EntryNames, NoPlace, NodesBelow};
pub use entry_reasons::{EntryReason, EntrySkip};
pub use group::{Grouping, InstanceGroup};
pub use map::{CaseRule, Lens, MetadataMap, NameCase, Renaming, ServiceLens, Spell};
pub use merge::{Base, Born, Conflicts, EntryVersion, Intent, MergeRules, Verdict, Ways, merge};
pub use select::{Choice, Matcher, Select, SelectRule, Undecided, all, any, not};
pub use take_over::TakeOver;
pub use written::{Written, WrittenRecord};

use crate::model::{Attributes, ClusterId, Instance, InstanceId, OwnerId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How far a part of a source can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fresh {
    /// Not connected, or not complete yet: what is missing may well be there.
    Stale,
    /// Connected and complete, but not for long enough: a restarted server fills up slowly.
    Settling,
    /// Connected without a break for long enough: what is missing is gone.
    Settled,
}

/// What a task may do to its destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMode {
    /// Create, update and delete.
    #[default]
    Sync,
    /// Never delete.
    UpsertOnly,
    /// Never update or delete.
    CreateOnly,
}

/// What to do about a copy that an operator changed in the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overrides {
    /// Leave it, show it.
    #[default]
    Keep,
    /// Write ours again.
    Replace,
    /// Leave it, and let it travel back to the record's birthplace.
    Travel,
}

/// What one task wants to stand in one scope of the destination.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The task.
    pub owner: OwnerId,
    /// What it may do.
    pub mode: WriteMode,
    /// What it does about an operator's changes.
    pub overrides: Overrides,
    /// How far its source can be believed. While [`Fresh::Stale`] nothing is deleted; while
    /// [`Fresh::Settling`] only what was witnessed.
    pub fresh: Fresh,
    /// What it wants: forwarded, mapped, normalized and shaped.
    pub records: BTreeMap<InstanceId, Instance>,
    /// What it wants, by the source's ids, and cannot have: another record of its own has that id in the destination.
    pub crowded: BTreeSet<InstanceId>,
    /// What stands in the source and cannot go to this destination.
    pub refused: BTreeMap<InstanceId, Skip>,
    /// Native records of the destination as an operator's change of our copies in the source would have them.
    pub edits: BTreeMap<InstanceId, Instance>,
    /// What was seen to go, on a connection that can be believed.
    pub witnessed: BTreeSet<InstanceId>,
    /// What the scope itself should carry; `None`: no wish.
    pub attributes: Option<Attributes>,
    /// Which copies of another tool are taken over there.
    pub take_over: Option<TakeOver>,
}

/// What holds for all tasks of this install that write to one destination.
pub struct PlanContext<'a> {
    /// This install; copies of other installs are never touched.
    pub install: String,
    /// The destination.
    pub destination: ClusterId,
    /// Whether a native record may be backed by an identical one of ours, for a task ([`crate::Sink::shadows`]).
    pub shadows: &'a dyn Fn(&Instance, &OwnerId) -> bool,
    /// What of our copy, as it stands (first), the destination itself decides: named where that is all that tells it
    /// from what is wanted ([`crate::Sink::governed`]).
    pub governed: &'a dyn Fn(&Instance, &Instance) -> Option<Governed>,
    /// Whether a task that writes there is paused: what it wants is not among the wishes.
    pub paused: bool,
    /// Whether a task of this install does not exist any more. What it left is taken over by a task that wants it, and else stays.
    pub ended: &'a dyn Fn(&OwnerId) -> bool,
}
