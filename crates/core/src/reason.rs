//! Why something was done, left alone or held: codes with arguments. Plans, events, the status and comparisons all say it with
//! these types; the words are made here and in the [`Display`] of the types named here, and nowhere else.

use crate::model::{Digest, OwnerId, ServiceKey, Side};
use crate::plan::{EntryReason, EntrySkip, Removal, Skip};
use crate::port::KeptError;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

/// Why something was done or left alone. Serialized as an object: `code`, which names the variant and is unique among all of
/// them, and the arguments beside it. What a cluster said is an argument, never the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are what the words of each variant name")]
pub enum Reason {
    /// There is nothing to say beyond what was done.
    None,
    /// A text of an earlier version.
    Text { text: String },

    /// An instance is created: it is in the source only.
    SourceOnly,
    /// Our copy is kept alive as it stands.
    AlreadyOurs,
    /// A native record in both clusters is backed by an identical one.
    Shadow,
    /// Another tool's copy is backed by an identical one of ours.
    BacksCopy { owner: OwnerId },
    /// Another tool's copy becomes ours.
    TakenOver { owner: OwnerId, fields: Vec<String> },
    /// Our copy differs from what is wanted.
    Differs { fields: Vec<String> },
    /// An operator's change of our copy is laid over the native record.
    OverrideTravels { fields: Vec<String> },
    /// A service's own attributes differ.
    AttributesDiffer,

    /// A config entry was found equal on both sides.
    EntryEqual,
    /// A write of a config entry was made, although its answer never came.
    EntryWasWritten,
    /// A drain leaves a copy of a config entry: it was changed by hand.
    EntryChangedByHand,
    /// A drain leaves a copy of a config entry: something of somebody else's lies below it.
    EntryNotEmpty,
    /// A drain leaves a copy of a config entry: its cluster refuses to delete it.
    EntryNotDeleted { text: String },
    /// A cluster shows an earlier time: what both sides had in common is forgotten.
    PutBack { count: usize },
    /// None of a cluster's entries is as it was: what both sides had in common is forgotten.
    WrittenAnew { count: usize },

    /// A guard holds removals.
    Held { count: usize, why: HoldReason },
    /// What a guard held has come back.
    CameBack,
    /// The operator released what a guard held.
    Released { count: usize },
    /// A guard lets go of removals: a second look has found the same.
    SecondLook { count: usize },
    /// A guard lets go of removals, and each is looked at once more.
    LookedAtAgain { count: usize },

    /// Planning or writing a service panicked.
    ServiceBug { scope: ServiceKey, retry: Duration, panic: String },
    /// Judging or writing a config entry panicked.
    EntryBug { retry: Duration, panic: String },
    /// A call to the cluster that is named failed.
    FailedThere { cluster: Arc<str>, error: KeptError },
    /// One of a cluster's servers lacks what the cluster has accepted.
    NotListed { server: String },
    /// One of a cluster's servers has what was withdrawn.
    StillListed { server: String },

    /// The operator applied settings.
    Applied { clusters: Edited, tasks: Edited },
    /// The operator decided a conflict about a config entry; the source is the left side.
    Resolved { entry: String, side: Side },
    /// A task was removed, and its copies were not.
    CopiesLeft { count: usize },
    /// Copies of another tool that no task wants were removed.
    TheirsRemoved { tool: Arc<str>, count: usize },
    /// Events could not be kept.
    EventsLost { count: u64 },

    /// An instance is removed.
    #[serde(untagged)]
    Removal(Removal),
    /// An instance is left alone.
    #[serde(untagged)]
    Skip(Skip),
    /// A config entry is written or deleted; `over`: what stood there, where somebody else may have written it.
    #[serde(untagged)]
    Entry {
        #[serde(flatten)]
        why: EntryReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<WrittenOver>,
    },
    /// A config entry is left alone.
    #[serde(untagged)]
    EntrySkip(EntrySkip),
    /// A call failed.
    #[serde(untagged)]
    Failed(KeptError),
}

/// Why a guard holds removals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum HoldReason {
    /// Many were seen to go within a short time.
    Burst,
    /// Much of a part was missing at once, without a witness: a source that was emptied or wiped looks like this.
    Wiped {
        /// The part.
        part: Arc<str>,
    },
}

/// A content that another one was written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenOver {
    /// Its size in bytes.
    pub size: usize,
    /// It, by its digest.
    pub digest: Digest,
}

/// Clusters or tasks by name, and what settings did to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edited {
    /// New ones.
    pub added: Vec<String>,
    /// Those that differ from before.
    pub changed: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// Those that are gone once they have taken back what they wrote.
    pub draining: Vec<String>,
}

impl Reason {
    /// A config entry is written or deleted.
    pub fn entry(why: EntryReason) -> Self {
        Self::Entry { why, over: None }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Text { text } | Self::EntryNotDeleted { text } => f.write_str(text),
            Self::SourceOnly => f.write_str("it is in the source only"),
            Self::AlreadyOurs => f.write_str("it is there as ours already: this node keeps it alive from now on"),
            Self::Shadow => f.write_str("backs a native record that is in both clusters"),
            Self::BacksCopy { owner } => write!(f, "stands with an identical copy of {owner} until that one goes"),
            Self::TakenOver { owner, fields } => {
                write!(f, "the copy of {owner} becomes ours: {}", joined(fields))
            }
            Self::Differs { fields } => write!(f, "differs from the source: {}", joined(fields)),
            Self::OverrideTravels { fields } => {
                write!(f, "an operator's change of our copy travels back: {}", joined(fields))
            }
            Self::AttributesDiffer => f.write_str("the service's own attributes differ from the source"),
            Self::EntryEqual => f.write_str("equal on both sides"),
            Self::EntryWasWritten => f.write_str("it was written, although no answer came"),
            Self::EntryChangedByHand => f.write_str("our copy was changed by hand: it stays"),
            Self::EntryNotEmpty => f.write_str("something that is not ours lies below it: it stays"),
            Self::PutBack { count } => anew(f, "the cluster was put back to an earlier time", *count),
            Self::WrittenAnew { count } => anew(f, "another cluster, or everything in it was written anew", *count),
            Self::Held { count, why } => write!(f, "{count} removals held: {why}"),
            Self::CameBack => f.write_str("what was missing has come back"),
            Self::Released { count } => write!(f, "{count} removals released by the operator"),
            Self::SecondLook { count } => {
                write!(f, "{count} removals released: a second look agrees that they are gone")
            }
            Self::LookedAtAgain { count } => {
                write!(f, "{count} removals get a second look; what is still missing goes")
            }
            Self::ServiceBug { scope, retry, panic } => write!(
                f,
                "{scope} cannot be written because of a bug in Causeway, and is retried every {retry:?}: {panic}"
            ),
            Self::EntryBug { retry, panic } => write!(f, "a bug in Causeway; retried every {retry:?}: {panic}"),
            Self::FailedThere { cluster, error } => write!(f, "{cluster}: {error}"),
            Self::NotListed { server } => {
                write!(f, "its server {server} does not list it, though the cluster has accepted it")
            }
            Self::StillListed { server } => write!(f, "its server {server} still lists it, though it was withdrawn"),
            Self::Applied { clusters, tasks } => {
                f.write_str(&[clusters.words("clusters"), tasks.words("tasks")].concat().join("; "))
            }
            Self::Resolved { entry, side: Side::Left } => write!(f, "{entry}: the source's"),
            Self::Resolved { entry, side: Side::Right } => write!(f, "{entry}: the destination's"),
            Self::CopiesLeft { count } => write!(f, "{count} copies were left"),
            Self::TheirsRemoved { tool, count } => write!(f, "{count} copies of {tool} that no task wants"),
            Self::EventsLost { count } => {
                write!(f, "{count} older events were dropped while the database was away")
            }
            Self::Removal(why) => why.fmt(f),
            Self::Skip(skip) => skip.fmt(f),
            Self::Entry { why, over: None } => why.fmt(f),
            Self::Entry { why, over: Some(WrittenOver { size, digest }) } => {
                write!(f, "{why}; written over: {size} bytes, digest {digest}")
            }
            Self::EntrySkip(skip) => skip.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Burst => {
                f.write_str("too many went within the guard's window; ends by itself when a second look agrees")
            }
            Self::Wiped { part } => write!(
                f,
                "too much of {part} is missing at once, as if the source was emptied; release it if that is right"
            ),
        }
    }
}

impl Edited {
    fn words(&self, what: &str) -> Vec<String> {
        let lists = [
            ("added", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
            ("draining", &self.draining),
        ];
        let said = lists.into_iter().filter(|(_, names)| !names.is_empty());
        said.map(|(word, names)| format!("{what} {word}: {}", names.join(", "))).collect()
    }
}

/// What tells two records apart; nothing but the mark that they carry, where there is nothing else.
fn joined(fields: &[String]) -> String {
    if fields.is_empty() { "its mark".to_owned() } else { fields.join(", ") }
}

fn anew(f: &mut fmt::Formatter<'_>, why: &str, count: usize) -> fmt::Result {
    write!(f, "{why}: {count} entries are compared anew, and what differs is a conflict")
}

impl From<Skip> for Reason {
    fn from(skip: Skip) -> Self {
        Self::Skip(skip)
    }
}

impl From<EntrySkip> for Reason {
    fn from(skip: EntrySkip) -> Self {
        Self::EntrySkip(skip)
    }
}

impl From<KeptError> for Reason {
    fn from(error: KeptError) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
mod tests;
