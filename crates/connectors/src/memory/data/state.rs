//! The tree itself: what stands there, and what it lets us do.

use super::CallCounts;
use crate::memory::Fault;
use causeway_core::{
    Aside, Content, DataSelector, Entry, EntryFacts, EntryKey, EntryWrite, Error, Expect, NameShape, Part, Stamp,
    StampKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The time of the last change, one after the other through all trees of this process.
static TIME: AtomicI64 = AtomicI64::new(1);

/// The attribute that says who may write an entry and below it: [`FROZEN`] for nobody.
pub(super) const ACL: &str = "acl";
/// The access list that lets nobody write.
pub(super) const FROZEN: &str = "frozen";
/// What stands in its place until everything below is written.
pub(super) const FREEZING: &str = "freezing";

/// What holds for the entries; by default, of a tree.
#[derive(Clone, Copy)]
pub(super) struct Facts(pub EntryFacts);

impl Default for Facts {
    fn default() -> Self {
        Self(EntryFacts { shape: NameShape::Tree, stamps: StampKind::Monotonic })
    }
}

#[derive(Default)]
pub(super) struct TreeState {
    pub facts: Facts,
    pub entries: BTreeMap<EntryKey, (Entry, Content)>,
    /// Every key that ever stood here, once, at the version of its last change.
    pub log: BTreeMap<u64, EntryKey>,
    pub versions: BTreeMap<EntryKey, u64>,
    pub clock: u64,
    pub fault: Fault,
    /// Grows with every break of all connections.
    pub epoch: u64,
    pub delay: Duration,
    pub refused: BTreeSet<Arc<str>>,
    pub denied: BTreeSet<Arc<str>>,
    pub blocked: BTreeSet<Arc<str>>,
    /// What is listed with a reason to leave it out.
    pub asides: BTreeMap<EntryKey, Aside>,
    /// The largest body that we may write.
    pub largest: Option<usize>,
    pub counts: CallCounts,
}

impl TreeState {
    pub fn store(&mut self, key: &EntryKey, content: Content) -> Entry {
        let version = self.touch(key);
        let stamp = if self.hashes() { content.digest().into() } else { Stamp(version, 0) };
        let size = u32::try_from(content.size()).unwrap_or(u32::MAX);
        let entry = Entry { stamp, modified_ms: TIME.fetch_add(1, Ordering::Relaxed), size, aside: None };
        self.entries.insert(key.clone(), (entry, content));
        entry
    }

    pub fn take(&mut self, key: &EntryKey) {
        if self.entries.remove(key).is_some() {
            self.touch(key);
        }
    }

    pub fn touch(&mut self, key: &EntryKey) -> i64 {
        self.clock += 1;
        if let Some(before) = self.versions.insert(key.clone(), self.clock) {
            self.log.remove(&before);
        }
        self.log.insert(self.clock, key.clone());
        self.clock.cast_signed()
    }

    pub fn hashes(&self) -> bool {
        self.facts.0.stamps == StampKind::ContentHash
    }

    fn parent(&self, key: &EntryKey) -> Option<EntryKey> {
        self.facts.0.shape.parent(key)
    }

    pub fn make_parents(&mut self, key: &EntryKey) {
        if let Some(parent) = self.parent(key).filter(|parent| !self.entries.contains_key(parent)) {
            self.make_parents(&parent);
            self.store(&parent, Content::default());
        }
    }

    /// What lies below a node, children before their parents.
    pub fn below(&self, key: &EntryKey) -> Vec<EntryKey> {
        let Some((from, to)) = self.facts.0.shape.below(key) else { return Vec::new() };
        self.entries.range(from..to).map(|(key, _)| key.clone()).rev().collect()
    }

    pub fn refusal(&self) -> Option<Error> {
        match &self.fault {
            Fault::Down => Some(Error::unavailable("connection refused")),
            Fault::Denied => Some(Error::Denied("wrong user or password".into())),
            Fault::Broken => panic!("a bug in the connector"),
            _ => None,
        }
    }

    pub fn denies(&self, key: &EntryKey) -> Result<(), Error> {
        match &self.fault {
            Fault::PartDenied(part) if key.part() == *part => Err(Error::Denied(format!("no right to read {part}"))),
            _ => Ok(()),
        }
    }

    pub fn write(&mut self, write: &EntryWrite) -> Result<Option<Entry>, Error> {
        self.denies(&write.key)?;
        let expected = match write.expect {
            Expect::Absent => None,
            Expect::Stamp(stamp) => Some(stamp),
        };
        if self.entries.get(&write.key).map(|(entry, _)| entry.stamp) != expected {
            return Err(Error::Conflict);
        }
        if self.denied.contains(&write.key.name) || self.is_frozen(&write.key) {
            return Err(Error::Denied(format!("{} may not be written", write.key)));
        }
        let moves = write.to.is_none() || write.expect == Expect::Absent;
        if let Some(parent) = self.parent(&write.key).filter(|parent| moves && self.is_frozen(parent)) {
            return Err(Error::Denied(format!("nothing may be written below {parent}")));
        }
        if self.blocked.contains(&write.key.name) {
            return Err(Error::Blocked(format!("no room for {}", write.key)));
        }
        let Some(content) = &write.to else {
            if !self.below(&write.key).is_empty() {
                return Err(Error::Conflict);
            }
            self.take(&write.key);
            self.counts.written += 1;
            return Ok(None);
        };
        if self.refused.contains(&write.key.name) {
            return Err(Error::Rejected(format!("{} is not welcome here", write.key.name)));
        }
        if self.largest.is_some_and(|most| content.size() > most) {
            return Err(Error::Rejected(format!("{} bytes are more than it takes", content.size())));
        }
        if write.parents {
            self.make_parents(&write.key);
        }
        if let Some(parent) = self.parent(&write.key).filter(|parent| !self.entries.contains_key(parent)) {
            return Err(Error::Missing(format!("there is no {parent}")));
        }
        self.counts.written += 1;
        let mut content = content.clone();
        if let Some((_, before)) = self.entries.get(&write.key) {
            // What is not named is left.
            let kept = before.attributes.0.iter().filter(|(name, _)| !content.attributes.0.contains_key(*name));
            let kept: Vec<_> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
            content.attributes.0.extend(kept);
        }
        Ok(Some(self.store(&write.key, content)))
    }

    /// Whether we may neither write an entry nor make or remove anything right below it.
    fn is_frozen(&self, key: &EntryKey) -> bool {
        let list = self.entries.get(key).and_then(|(_, content)| content.attributes.0.get(ACL));
        list.is_some_and(|list| list == FROZEN)
    }

    /// An entry as listings and watches show it.
    pub fn shown(&self, key: &EntryKey, entry: &Entry) -> Entry {
        Entry { aside: self.asides.get(key).copied(), ..*entry }
    }

    pub fn listed(&self, select: &DataSelector) -> BTreeMap<EntryKey, Entry> {
        let listed = |key: &EntryKey| self.facts.0.shape == NameShape::Tree || select.part(&key.part());
        let taken = self.entries.iter().filter(|(key, _)| listed(key) && select.takes(key));
        taken.map(|(key, (entry, _))| (key.clone(), self.shown(key, entry))).collect()
    }

    /// Everything by part; the part `public` is always there.
    pub fn parts(&self, select: &DataSelector) -> BTreeMap<Part, BTreeMap<EntryKey, Entry>> {
        let mut parts = BTreeMap::from([(Part::new("public"), BTreeMap::new())]);
        for (key, entry) in self.listed(select) {
            parts.entry(key.part()).or_default().insert(key, entry);
        }
        parts
    }
}
