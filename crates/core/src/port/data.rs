//! How config entries are read and written.

use super::{Error, Limits, Lost, PortOf};
use crate::Undecided;
use crate::model::{Content, Entry, EntryKey, Fingerprint, NameShape, Part, Stamp};
use futures_core::{future::BoxFuture, stream::BoxStream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a watch of entries yields.
#[derive(Clone, Debug)]
pub enum EntryUpdate {
    /// Everything of interest in a part: its first item, and again after every reconnection. The only proof of
    /// completeness.
    Reset {
        /// What the entries are complete for.
        part: Part,
        /// Every entry.
        entries: BTreeMap<EntryKey, Entry>,
    },
    /// What entries are now, in the order in which it was seen; between two `Reset`s of their part. `None`: the cluster
    /// says that the entry is gone, which is a witnessed removal.
    Changed(Vec<(EntryKey, Option<Entry>)>),
}

/// Which entries take part. Both answers stay the same for as long as a watch goes on.
pub trait EntryInterest: Send + Sync {
    /// Whether this entry takes part; also where that is not decided ([`EntryInterest::undecided`]).
    fn takes(&self, key: &EntryKey) -> bool;
    /// Why it is not decided whether this entry, which [`EntryInterest::takes`] lets in, takes part: it is left as it is.
    fn undecided(&self, _key: &EntryKey) -> Option<Undecided> {
        None
    }
    /// Whether anything in this part may take part: a flat kind does not list it where it says no.
    fn part(&self, _part: &Part) -> bool {
        true
    }
    /// Whether anything below this node may take part: a tree is not listed below it where it says no.
    fn may_hold(&self, key: &EntryKey) -> bool;
    /// Names the settings that it was made of: selections with equal fingerprints answer alike.
    fn fingerprint(&self) -> Fingerprint;
}

/// What a watch asks for its selection.
pub type DataSelector = Arc<dyn EntryInterest>;

impl EntryInterest for super::Everything {
    fn takes(&self, _: &EntryKey) -> bool {
        true
    }
    fn may_hold(&self, _: &EntryKey) -> bool {
        true
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of("everything")
    }
}

/// What holds for the entries of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryFacts {
    /// How their names stand to each other.
    pub shape: NameShape,
    /// What their stamps say.
    pub stamps: StampKind,
}

/// What equal stamps of one entry say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampKind {
    /// Nothing has happened. The first number grows with every change in the cluster: a smaller one than before is of a past
    /// that the cluster does not have any more.
    Monotonic,
    /// Nothing has happened. They have no order.
    Unique,
    /// The content is equal. Whoever puts back what stood there puts back its stamp, and a watch that looks from time to
    /// time does not tell of what happened in between.
    ContentHash,
}

/// What a kind can hold in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryCapabilities {
    /// The largest body in bytes.
    pub largest: usize,
    /// A body of no bytes.
    pub empty: bool,
    /// No body at all, which is not the same.
    pub missing: bool,
    /// What is no text in UTF-8.
    pub binary: bool,
}

impl EntryCapabilities {
    /// Whatever it is.
    pub const ALL: Self = Self { largest: usize::MAX, empty: true, missing: true, binary: true };

    /// Why a content cannot be held.
    pub fn check(&self, content: &Content) -> Result<(), String> {
        match content.body.as_deref() {
            None if !self.missing => Err("it has no body, and entries without one are not held here".into()),
            Some([]) if !self.empty => Err("it is empty, and empty entries are not held here".into()),
            Some(body) if body.len() > self.largest => {
                Err(format!("its {} bytes are more than the {} that are held here", body.len(), self.largest))
            }
            Some(body) if !self.binary && std::str::from_utf8(body).is_err() => {
                Err("it is no text in UTF-8, and nothing else is held here".into())
            }
            _ => Ok(()),
        }
    }
}

/// An entry with what is in it; `None`: there is no such entry.
pub type FoundEntry = Option<(Entry, Content)>;

/// A cluster whose entries can be read.
pub trait DataSource: Send + Sync {
    /// What holds for its entries. Always the same.
    fn facts(&self) -> EntryFacts;

    /// An endless stream of what the cluster holds. A `Reset` of each part comes first, and again after every break. An
    /// outage or a refusal is an `Err` item that names its part, never an empty `Reset`; the stream goes on by itself
    /// after one.
    ///
    /// A change is told within 2 s, also when it was made through this very port. One that was already told by
    /// [`DataSource::read`] or [`DataSink::write`] may be told again.
    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>>;

    /// Reads these entries, all at once; returns one outcome for each, in the same order. Bodies are as large as the kind
    /// allows; the caller sees to it that one call does not ask for too much.
    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>>;

    /// With [`StampKind::Monotonic`]: a number that no first number of a stamp which was seen so far is beyond. A stamp that
    /// is remembered and lies beyond it is of a past that the cluster does not have (any more). `None`: it is not known.
    fn latest(&self) -> Option<i64> {
        None
    }

    /// Lists everything of interest once, without bodies: for the slow sweep and for a comparison.
    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>>;
}

/// A cluster whose entries can also be written.
pub trait DataSink: DataSource {
    /// What the cluster can take. `max_batch`: most entries in one call of read or write; `in_flight`: most calls of `write`
    /// at once.
    fn limits(&self) -> Limits;

    /// What it can hold in an entry, as it is known now.
    fn capabilities(&self) -> EntryCapabilities {
        EntryCapabilities::ALL
    }

    /// Why this content cannot be held under this name, as far as that is known before it is written: then it is not. An
    /// entry is never shaped to fit, since it would differ from its other side ever after.
    fn check(&self, _key: &EntryKey, content: &Content) -> Result<(), String> {
        self.capabilities().check(content)
    }

    /// What a node of a tree holds until everything below it has been written, where `content` itself would not let us
    /// write below it. Gives nobody else more rights than are needed for that. `None`: `content` can be written at once.
    /// Always the same for the same content.
    fn provisional(&self, content: &Content) -> Option<Content> {
        let _ = content;
        None
    }

    /// Makes these writes; returns one outcome for each, in the same order: the entry as it stands afterwards, `None` after a
    /// deletion. One refused write never spoils the others.
    ///
    /// Within one call an entry of a tree may rely on parents that are written before it. The call does not wait for one
    /// answer before it sends the next write where the protocol keeps the order.
    ///
    /// - What does not stand as expected: [`Error::Conflict`], and nothing is written. Also when something still lies
    ///   below a node that is to be deleted.
    /// - A parent is not there, and is not to be made: [`Error::Missing`].
    /// - The entry cannot be held as it is (too large, an ACL that is not understood): [`Error::Rejected`].
    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>>;
}

/// What must stand there for a write to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// Exactly this version.
    Stamp(Stamp),
}

/// One entry to write.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryWrite {
    /// Where.
    pub key: EntryKey,
    /// What stands there.
    pub expect: Expect,
    /// What is to stand there; `None`: nothing. Attributes that are not named are left as they are, or as the kind makes
    /// them for a new entry.
    pub to: Option<Content>,
    /// Make parents that are missing, empty: they take no part themselves.
    pub parents: bool,
}

/// How config entries are read and written.
pub type DataPort = PortOf<dyn DataSource, dyn DataSink>;

impl DataPort {
    /// Can be both a source and a destination.
    pub fn read_write(sink: Arc<dyn DataSink>) -> Self {
        Self { source: sink.clone(), sink: Some(sink) }
    }

    /// What holds for its entries.
    pub fn facts(&self) -> EntryFacts {
        self.source.facts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_held_is_said() {
        let none = EntryCapabilities { largest: 3, empty: false, missing: false, binary: false };
        for (content, words) in [
            (Content::default(), Some("no body")),
            (Content::of(""), Some("empty")),
            (Content::of("long"), Some("4 bytes are more than the 3")),
            (Content::of([0xff]), Some("no text")),
            (Content::of("abc"), None),
        ] {
            let why = none.check(&content).err();
            assert_eq!(why.is_some(), words.is_some(), "{content:?}");
            assert!(words.is_none_or(|words| why.is_some_and(|why| why.contains(words))), "{content:?}");
            assert_eq!(EntryCapabilities::ALL.check(&content), Ok(()));
        }
    }
}
