//! Keeping one config entry in step on two sides, from what both last had in common: pure.
//!
//! | since the last common version | two ways | one way |
//! | --- | --- | --- |
//! | neither side changed, or both to the same | in step | in step |
//! | the source changed | copied, or deleted, in the destination | the same |
//! | the destination changed | copied, or deleted, in the source | by `overrides`; what is missing is written again |
//! | both changed, differently | by `conflicts` | by `conflicts`; the source is never written |
//! | no common version, on one side only | copied | copied from the source; the destination's own is left alone |
//! | no common version, equal | adopted | adopted |
//! | no common version, different | by `conflicts` | by `conflicts` |

use super::{EntryReason, EntrySkip, Overrides, WriteMode};
use crate::model::{Digest, EntryKey, Pair, Side, Stamp};
use serde::{Deserialize, Serialize};

/// Which ways a task goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ways {
    /// From the source to the destination.
    #[default]
    One,
    /// Both.
    Two,
}

/// What to do when both sides have changed an entry since their last common version, or never had one and differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conflicts {
    /// The source's stands.
    Source,
    /// The destination's stands.
    Destination,
    /// What was changed last stands, by the two clusters' clocks; a change wins over a deletion, and the source's where
    /// the times are equal.
    Newest,
    /// Both stay as they are until the operator decides.
    #[default]
    Manual,
}

/// What a task says about merging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeRules {
    /// Which side the source is.
    pub source: Side,
    /// Which ways it goes.
    pub ways: Ways,
    /// What it may do.
    pub mode: WriteMode,
    /// A one-way task: what it does about changes of its copies. [`Overrides::Travel`] lets them, and deletions, go back.
    pub overrides: Overrides,
    /// What it does about conflicts.
    pub conflicts: Conflicts,
}

impl MergeRules {
    /// Whether what `side` does to a common entry is done to the other side too.
    pub fn travels_from(&self, side: Side) -> bool {
        self.ways == Ways::Two || side == self.source || self.overrides == Overrides::Travel
    }

    /// The same rules, and `side` wins a conflict.
    pub fn preferring(self, side: Side) -> Self {
        let conflicts = if side == self.source { Conflicts::Source } else { Conflicts::Destination };
        Self { conflicts, ..self }
    }
}

/// What an entry is on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryVersion {
    /// Its content.
    pub digest: Digest,
    /// When it was changed, by that cluster's clock; 0 when it is not known.
    pub modified_ms: i64,
}

/// Whose creation an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Born {
    /// It came to be on the left; what stands on the right is the copy that we made, as we made it.
    Left,
    /// The other way round.
    Right,
    /// Neither side's is a copy of ours: they were found equal, or somebody has changed our copy.
    Both,
}

impl Born {
    /// The side where our own creation stands.
    pub fn copy(self) -> Option<Side> {
        match self {
            Self::Left => Some(Side::Right),
            Self::Right => Some(Side::Left),
            Self::Both => None,
        }
    }

    fn copied_to(side: Side) -> Self {
        match side {
            Side::Left => Self::Right,
            Side::Right => Self::Left,
        }
    }
}

/// The last version that both sides had in common. Kept in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its content.
    pub digest: Digest,
    /// The sides' stamps of it: a side that still shows its stamp has not changed.
    pub stamps: Pair<Stamp>,
    /// Whose creation it is.
    pub born: Born,
}

impl Base {
    /// Both sides hold `digest`.
    pub fn found(before: Option<&Self>, digest: Digest, stamps: Pair<Stamp>) -> Self {
        // Where our copy stands at another version now, somebody has written the same there: it is theirs as well.
        let ours = |base: &&Self| base.born.copy().is_none_or(|side| base.stamps[side] == stamps[side]);
        let born = before.filter(|base| base.digest == digest).filter(ours).map_or(Born::Both, |base| base.born);
        Self { digest, stamps, born }
    }

    /// `digest` was copied to side `to`, where `created`: nothing stood before.
    pub fn copied(before: Option<&Self>, to: Side, created: bool, digest: Digest, stamps: Pair<Stamp>) -> Self {
        let copy = Born::copied_to(to);
        let ours = created || before.is_some_and(|base| base.born == copy);
        Self { digest, stamps, born: if ours { copy } else { Born::Both } }
    }
}

/// A write that is about to be made. In the ledger before it is made, so that a process that dies between the write and
/// its answer knows the write for its own afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The entry.
    pub key: EntryKey,
    /// Where it is written.
    pub to: Side,
    /// What is written, and the stamp of it on the other side; `None`: it is deleted.
    pub content: Option<(Digest, Stamp)>,
    /// Whether nothing stood there before.
    pub created: bool,
    /// What stands there when the body was written and the attributes were not yet, where that is neither the old nor the new:
    /// a kind may need two writes for the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<Digest>,
}

impl Intent {
    /// The last common version, now that `seen` was found on the side that was to be written: whether the write was made
    /// is seen by what stands there. `None`: it was not made, `before` is still true.
    pub fn made(&self, before: Option<&Base>, seen: Option<(Digest, Stamp)>) -> Option<Option<Base>> {
        match (self.content, seen) {
            (None, None) => Some(None),
            (Some((digest, from)), Some((found, stamp))) if digest == found => {
                let stamps = Pair::of(|side| if side == self.to { stamp } else { from });
                Some(Some(Base::copied(before, self.to, self.created, digest, stamps)))
            }
            // Half of it was made, and that is ours: the other side has changed since, and is written again.
            (Some(_), Some((found, stamp))) if self.half == Some(found) => {
                let stamps = Pair::of(|side| if side == self.to { stamp } else { Stamp::default() });
                let born = before.map_or(Born::Both, |base| base.born);
                Some(Some(Base { digest: found, stamps, born }))
            }
            _ => None,
        }
    }
}

/// What to do about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: both sides hold the same, which is the last common version from now on.
    InStep,
    /// Write the other side's version.
    Copy {
        /// Where.
        to: Side,
        /// The reason, which the user can look up.
        why: EntryReason,
    },
    /// Delete it. Requires evidence that it is gone from the other side.
    Delete {
        /// Where.
        from: Side,
        /// The reason, which the user can look up.
        why: EntryReason,
    },
    /// Leave both as they are.
    Leave(EntrySkip),
}

/// What to do about an entry whose last common version was `base` and that now is `sides`; see the table above.
pub fn merge(base: Option<Digest>, sides: &Pair<Option<EntryVersion>>, rules: &MergeRules) -> Verdict {
    let now = Pair::of(|side| sides[side].map(|version| version.digest));
    let verdict = if now.left == now.right {
        Verdict::InStep
    } else if base.is_some() && now.left == base {
        changed(Side::Right, sides, rules)
    } else if base.is_some() && now.right == base {
        changed(Side::Left, sides, rules)
    } else if base.is_none() && now.left.is_none() {
        only(Side::Right, rules)
    } else if base.is_none() && now.right.is_none() {
        only(Side::Left, rules)
    } else {
        conflict(base, sides, rules)
    };
    limit(verdict, sides, rules)
}

/// There never was a common version, and only `side` has one.
fn only(side: Side, rules: &MergeRules) -> Verdict {
    match rules.ways == Ways::Two || side == rules.source {
        true => Verdict::Copy { to: side.other(), why: EntryReason::New },
        false => Verdict::Leave(EntrySkip::Foreign),
    }
}

/// Only `side` has changed.
fn changed(side: Side, sides: &Pair<Option<EntryVersion>>, rules: &MergeRules) -> Verdict {
    match (sides[side].is_some(), rules.travels_from(side)) {
        (true, true) => Verdict::Copy { to: side.other(), why: EntryReason::Edited },
        (false, true) => Verdict::Delete { from: side.other(), why: EntryReason::Deleted },
        (false, false) => Verdict::Copy { to: side, why: EntryReason::Missing },
        (true, false) if rules.overrides == Overrides::Replace => {
            Verdict::Copy { to: side, why: EntryReason::Overridden }
        }
        (true, false) => Verdict::Leave(EntrySkip::Overridden),
    }
}

fn conflict(base: Option<Digest>, sides: &Pair<Option<EntryVersion>>, rules: &MergeRules) -> Verdict {
    let (source, destination) = (rules.source, rules.source.other());
    // What is missing in the destination was edited by nobody there.
    if sides[destination].is_none() && !rules.travels_from(destination) {
        return Verdict::Copy { to: destination, why: EntryReason::Missing };
    }
    let modified = |side: Side| sides[side].map(|version| version.modified_ms);
    let winner = match rules.conflicts {
        Conflicts::Source => source,
        Conflicts::Destination => destination,
        // Nothing is older than anything.
        Conflicts::Newest if modified(source) >= modified(destination) => source,
        Conflicts::Newest => destination,
        Conflicts::Manual => return Verdict::Leave(EntrySkip::Conflict),
    };
    let common = base.is_some() && rules.travels_from(destination);
    let (loser, why) = (winner.other(), EntryReason::Settled { by: rules.conflicts });
    match sides[winner] {
        _ if loser == source && rules.ways == Ways::One && !common => Verdict::Leave(EntrySkip::Kept),
        Some(_) => Verdict::Copy { to: loser, why },
        None => Verdict::Delete { from: loser, why },
    }
}

fn limit(verdict: Verdict, sides: &Pair<Option<EntryVersion>>, rules: &MergeRules) -> Verdict {
    let writes_over = match &verdict {
        Verdict::Copy { to, .. } => sides[*to].is_some(),
        Verdict::Leave(EntrySkip::Conflict) => sides.left.is_some() && sides.right.is_some(),
        _ => false,
    };
    let forbidden = match rules.mode {
        WriteMode::Sync => false,
        WriteMode::UpsertOnly => matches!(verdict, Verdict::Delete { .. }),
        WriteMode::CreateOnly => writes_over || matches!(verdict, Verdict::Delete { .. }),
    };
    if forbidden { Verdict::Leave(EntrySkip::Mode) } else { verdict }
}

#[cfg(test)]
mod tests;
