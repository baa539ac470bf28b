//! The entries that a task leaves as they are. The status is asked for often and there may be many of them, so that they are
//! counted as they come and go.

use super::rows::Stamps;
use super::state::ShownEntry;
use crate::notice::LeftAlone;
use causeway_core::{EntryKey, EntrySkip, Pair};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Why an entry is left as it is, until it changes.
#[derive(Clone)]
pub(crate) struct LeftEntry {
    pub skip: EntrySkip,
    pub since: Instant,
    pub stamps: Stamps,
    /// Of a conflict: what each side holds.
    pub shown: Option<Box<Pair<Option<ShownEntry>>>>,
}

/// All of them. The counts are those of the entries.
#[derive(Default)]
pub(crate) struct LeftEntries {
    entries: BTreeMap<EntryKey, LeftEntry>,
    counts: BTreeMap<LeftAlone, usize>,
}

impl LeftEntries {
    pub fn get(&self, key: &EntryKey) -> Option<&LeftEntry> {
        self.entries.get(key)
    }

    pub fn contains(&self, key: &EntryKey) -> bool {
        self.entries.contains_key(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&EntryKey, &LeftEntry)> {
        self.entries.iter()
    }

    /// How many there are for each reason.
    pub fn counts(&self) -> &BTreeMap<LeftAlone, usize> {
        &self.counts
    }

    /// How many there are for this reason.
    pub fn count(&self, skip: EntrySkip) -> usize {
        self.counts.get(&LeftAlone::from(skip)).copied().unwrap_or_default()
    }

    /// Notes what each side holds of an entry.
    pub fn show(&mut self, key: &EntryKey, shown: Pair<Option<ShownEntry>>) {
        if let Some(left) = self.entries.get_mut(key) {
            left.shown = Some(Box::new(shown));
        }
    }

    pub fn insert(&mut self, key: EntryKey, left: LeftEntry) {
        *self.counts.entry(left.skip.clone().into()).or_default() += 1;
        if let Some(before) = self.entries.insert(key, left) {
            self.uncount(&before);
        }
    }

    pub fn remove(&mut self, key: &EntryKey) {
        if let Some(left) = self.entries.remove(key) {
            self.uncount(&left);
        }
    }

    /// Takes out all that `stays` does not name.
    pub fn take_others(&mut self, stays: impl Fn(&EntryKey, &LeftEntry) -> bool) -> Vec<EntryKey> {
        let gone: Vec<_> = self.entries.extract_if(.., |key, left| !stays(key, left)).collect();
        gone.iter().for_each(|(_, left)| self.uncount(left));
        gone.into_iter().map(|(key, _)| key).collect()
    }

    fn uncount(&mut self, left: &LeftEntry) {
        let reason = left.skip.clone().into();
        if let Some(count) = self.counts.get_mut(&reason) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(skip: EntrySkip) -> LeftEntry {
        LeftEntry { skip, since: Instant::now(), stamps: Pair { left: None, right: None }, shown: None }
    }

    #[test]
    fn counts_are_those_of_the_entries() {
        let mut all = LeftEntries::default();
        let key = |n: usize| EntryKey::path(&format!("/{n}"));
        for n in 0..10 {
            all.insert(key(n), left(if n % 2 == 0 { EntrySkip::Mode } else { EntrySkip::Conflict }));
        }
        all.insert(key(0), left(EntrySkip::Conflict));
        all.insert(key(2), left(EntrySkip::Rejected { why: "too large".into() }));
        all.remove(&key(1));
        all.remove(&key(1));
        assert_eq!((all.count(EntrySkip::Conflict), all.count(EntrySkip::Mode)), (5, 3));
        let gone = all.take_others(|_, left| left.skip == EntrySkip::Conflict);
        assert_eq!(gone, [2, 4, 6, 8].map(key));
        assert_eq!(all.counts().values().copied().collect::<Vec<_>>(), [5]);
        assert!(all.iter().count() == 5 && all.contains(&key(0)) && all.get(&key(2)).is_none());
    }
}
