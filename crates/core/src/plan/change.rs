//! The words of a plan.

use super::Undecided;
use super::take_over::theirs;
use crate::Reason;
use crate::model::{Attributes, Instance, InstanceId, OwnerId, ServiceKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// How we know that a record is gone from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Seen to go, on a connection that can be believed.
    Witnessed,
    /// Missing from a complete look: it may have gone while nobody watched, or the source was emptied.
    Implied,
}

/// Why a copy is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Removal {
    /// The source no longer has it.
    Gone {
        /// How that is known.
        evidence: Evidence,
    },
    /// A native record has come to its address.
    #[serde(rename = "replaced-by-native")]
    Native,
    /// The operator drains the task.
    Drained,
    /// The copy that another tool has at its address stands under another id, and an identical one of ours with it.
    GivesWay,
    /// A copy of another tool that no task wants; the operator said that it goes.
    Ousted,
}

impl Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone { evidence: Evidence::Witnessed } => "gone from the source: seen to go",
            Self::Gone { evidence: Evidence::Implied } => "gone from the source: missing from two complete looks",
            Self::Native => "a native record has come to its address",
            Self::Drained => "its task is drained",
            Self::GivesWay => "another tool has a copy at its address: an identical one of ours stands with that",
            Self::Ousted => "left behind by another tool, and wanted by no task",
        })
    }
}

/// One difference to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Write a copy where we have none.
    Create(Instance),
    /// Write again what already stands there as ours, so that this process keeps it alive.
    Adopt(Instance),
    /// Publish a record identical to a native one, or to the copy of another tool (then it carries that one's mark, which is
    /// not written), for this owner, in place of our copy if there is one.
    Shadow(Instance, OwnerId),
    /// Replace our copy or, where `from` carries the mark of another tool, that tool's. The two may have different ids at one
    /// address: then nothing stays under the former one.
    Update {
        /// As it stands.
        from: Instance,
        /// As it is to stand.
        to: Instance,
    },
    /// Lay an operator's change of our copy elsewhere over a native record, as an operator would: only where the task
    /// says that overrides travel.
    Edit {
        /// As it stands.
        from: Instance,
        /// As it is to stand.
        to: Instance,
        /// The task that says so.
        owner: OwnerId,
    },
    /// Write what belongs to the scope itself.
    Scope {
        /// As it stands.
        from: Attributes,
        /// As it is to stand.
        to: Attributes,
        /// The task that wants it.
        owner: OwnerId,
    },
    /// Take our copy away or, where the owner is another tool, that tool's.
    Delete {
        /// The copy.
        record: Instance,
        /// Its owner; a shadow carries no mark.
        owner: OwnerId,
        /// The reason, which the user can look up.
        why: Removal,
    },
}

impl Change {
    /// The record that the change is about; none for the scope itself.
    pub fn record(&self) -> Option<&Instance> {
        match self {
            Self::Create(record) | Self::Adopt(record) | Self::Shadow(record, _) => Some(record),
            Self::Update { to, .. } | Self::Edit { to, .. } => Some(to),
            Self::Delete { record, .. } => Some(record),
            Self::Scope { .. } => None,
        }
    }

    /// Why it is made: the same for the plan, the comparison and the history.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Create(_) => Reason::SourceOnly,
            Self::Adopt(_) => Reason::AlreadyOurs,
            Self::Shadow(..) => match self.over() {
                Some(owner) => Reason::BacksCopy { owner: owner.clone() },
                None => Reason::Shadow,
            },
            Self::Update { from, to } => {
                let fields = from.differences(to);
                match self.over() {
                    Some(owner) => Reason::TakenOver { owner: owner.clone(), fields },
                    None => Reason::Differs { fields },
                }
            }
            Self::Edit { from, to, .. } => Reason::OverrideTravels { fields: from.differences(to) },
            Self::Scope { .. } => Reason::AttributesDiffer,
            Self::Delete { why, .. } => Reason::Removal(*why),
        }
    }

    /// Whose copy the change takes over or backs: another tool's.
    pub fn over(&self) -> Option<&OwnerId> {
        match self {
            Self::Shadow(record, owner) => theirs(record.mark(), &owner.install),
            Self::Update { from, to } => theirs(from.mark(), &to.mark()?.owner.install),
            _ => None,
        }
    }

    /// The task that the change is made for; none for a record without a mark.
    pub fn owner(&self) -> Option<&OwnerId> {
        match self {
            Self::Shadow(_, owner) | Self::Delete { owner, .. } => Some(owner),
            Self::Edit { owner, .. } | Self::Scope { owner, .. } => Some(owner),
            Self::Create(record) | Self::Adopt(record) => record.mark().map(|mark| &mark.owner),
            Self::Update { to, .. } => to.mark().map(|mark| &mark.owner),
        }
    }
}

/// Why a difference was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Skip {
    /// Somebody else's record.
    Foreign {
        /// Another install's or another task's; `None`: a native one.
        owner: Option<OwnerId>,
    },
    /// The record has been in the destination before.
    Loop,
    /// The task's policy forbids it.
    Mode,
    /// A guard holds the removal.
    RemovalLimit,
    /// The source is not connected.
    Stale,
    /// The source has not been connected for long enough, or a second look is due.
    Settling,
    /// Ours, it is forgotten whose, and a task that may want it is paused.
    Paused,
    /// An operator changed our copy in the destination.
    Overridden,
    /// The destination cannot hold the record.
    Rejected {
        /// As the connector says it.
        why: String,
    },
    /// A filter cannot say whether the record takes part: it is not copied, and a copy that stands is left as it is.
    Undecided(Undecided),
    /// The destination cannot hold the record for now, and it is retried.
    Blocked {
        /// As the cluster says it.
        why: String,
    },
    /// Another record has its address in the destination.
    Crowded {
        /// The task that it belongs to; `None`: this one.
        owner: Option<OwnerId>,
    },
    /// It stands as it is wanted, but for what the destination itself decides.
    Governed {
        /// What that is.
        what: Governed,
    },
    /// Another tool's copy stands there, and an identical one of ours with it.
    Backs {
        /// The tool, and its word for the source.
        owner: OwnerId,
    },
    /// Another tool's copy has just gone; ours stands as that one did until it is certain that it does not come back.
    TakingOver,
    /// Another tool's copy of which no task wants a record.
    LeftBehind {
        /// The tool, and its word for the source.
        owner: OwnerId,
    },
}

/// What a destination may decide by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Governed {
    /// Whether an instance's health checks pass.
    Health,
}

impl Skip {
    /// Whether the record stands as it is wanted nevertheless.
    pub fn is_in_step(&self) -> bool {
        matches!(self, Self::Governed { .. } | Self::Backs { .. })
    }

    /// The reason without its details.
    pub fn kind(&self) -> SkipKind {
        match self {
            Self::Foreign { owner: None } => SkipKind::Native,
            Self::Foreign { owner: Some(_) } => SkipKind::Foreign,
            Self::Loop => SkipKind::Loop,
            Self::Mode => SkipKind::Mode,
            Self::RemovalLimit => SkipKind::RemovalLimit,
            Self::Stale => SkipKind::Stale,
            Self::Settling => SkipKind::Settling,
            Self::Paused => SkipKind::Paused,
            Self::Overridden => SkipKind::Overridden,
            Self::Rejected { .. } => SkipKind::Rejected,
            Self::Undecided(_) => SkipKind::Undecided,
            Self::Blocked { .. } => SkipKind::Blocked,
            Self::Crowded { owner: None } => SkipKind::Crowded,
            Self::Crowded { owner: Some(_) } => SkipKind::CrowdedByOther,
            Self::Governed { what: Governed::Health } => SkipKind::Health,
            Self::Backs { .. } => SkipKind::Backs,
            Self::TakingOver => SkipKind::TakingOver,
            Self::LeftBehind { .. } => SkipKind::LeftBehind,
        }
    }
}

/// A [`Skip`] without its details: one of a few, to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is that of the skip, or its words say more")]
pub enum SkipKind {
    Native,
    Foreign,
    Loop,
    Mode,
    RemovalLimit,
    Stale,
    Settling,
    Paused,
    Overridden,
    Rejected,
    Undecided,
    Blocked,
    Crowded,
    CrowdedByOther,
    Health,
    Backs,
    TakingOver,
    LeftBehind,
}

impl SkipKind {
    /// Each kind, in order.
    pub const ALL: [Self; 18] = [
        Self::Native,
        Self::Foreign,
        Self::Loop,
        Self::Mode,
        Self::RemovalLimit,
        Self::Stale,
        Self::Settling,
        Self::Paused,
        Self::Overridden,
        Self::Rejected,
        Self::Undecided,
        Self::Blocked,
        Self::Crowded,
        Self::CrowdedByOther,
        Self::Health,
        Self::Backs,
        Self::TakingOver,
        Self::LeftBehind,
    ];

    /// Its code, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Foreign => "foreign",
            Self::Loop => "loop",
            Self::Mode => "mode",
            Self::RemovalLimit => "removal-limit",
            Self::Stale => "stale",
            Self::Settling => "settling",
            Self::Paused => "paused",
            Self::Overridden => "overridden",
            Self::Rejected => "rejected",
            Self::Undecided => "undecided",
            Self::Blocked => "blocked",
            Self::Crowded => "crowded",
            Self::CrowdedByOther => "crowded-by-other",
            Self::Health => "health",
            Self::Backs => "backs",
            Self::TakingOver => "taking-over",
            Self::LeftBehind => "left-behind",
        }
    }
}

impl Display for SkipKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "a native record stands at this address",
            Self::Foreign => "it belongs to another task or install",
            Self::Loop => "it has been in the destination before",
            Self::Mode => "the task's policy forbids it",
            Self::RemovalLimit => "a guard holds the removal",
            Self::Stale => "the source is not connected",
            Self::Settling => "the source has not been connected for long enough",
            Self::Paused => "it is ours and forgotten whose, and a task that writes there is paused",
            Self::Overridden => "it was changed by hand in the destination",
            Self::Rejected => "the destination cannot hold it",
            Self::Undecided => Undecided::KIND,
            Self::Blocked => "the destination refuses it for now, and it is tried again",
            Self::Crowded => {
                "another record of its task has the same address in the destination, and the newer one stands"
            }
            Self::CrowdedByOther => "another task's record stands at the same address and says something else",
            Self::Health => "health is decided by the destination",
            Self::Backs => "another tool's copy stands there, and an identical one of ours with it",
            Self::TakingOver => {
                "another tool's copy has just gone, and ours stands as that one did for some seconds more"
            }
            Self::LeftBehind => "another tool's copy that no task wants; `causeway drain --theirs` removes it",
        })
    }
}

impl Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { owner: Some(owner) } => write!(f, "it belongs to {owner}"),
            Self::Backs { owner } | Self::LeftBehind { owner } => write!(f, "{} ({owner})", self.kind()),
            Self::Rejected { why } | Self::Blocked { why } => write!(f, "{}: {why}", self.kind()),
            Self::Crowded { owner: Some(owner) } => write!(f, "{}: {owner}", self.kind()),
            Self::Undecided(undecided) => undecided.fmt(f),
            _ => self.kind().fmt(f),
        }
    }
}

/// What to do in one scope, and what was left alone, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The destination's scope.
    pub scope: ServiceKey,
    /// In order: creations, updates, the scope itself, deletions.
    pub changes: Vec<Change>,
    /// What was left alone.
    pub skipped: BTreeMap<InstanceId, Skip>,
    /// What was left alone for another record that has its id.
    pub crowded: Vec<Crowded>,
}

/// A record that has no id of its own in the destination: another one stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Crowded {
    /// Its id, as the source names it.
    pub id: InstanceId,
    /// The task that wants it.
    pub owner: OwnerId,
    /// Which other record stands there.
    pub skip: Skip,
}
