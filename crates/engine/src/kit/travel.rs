//! Changes on their way: since when the source has told of each, until the destination has accepted it. Pure: time is given.

use crate::kit::timetable::Timetable;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// What the source has told of and has not been dealt with, by what is written together: a scope or an entry. A storm of changes
/// of one is one; what is written again and again until it is accepted keeps its time.
pub(crate) struct Travels<K> {
    waiting: Timetable<K>,
    /// Being written. What the source tells meanwhile waits, with a time of its own.
    under_way: BTreeMap<K, Instant>,
}

impl<K> Default for Travels<K> {
    fn default() -> Self {
        Self { waiting: Timetable::default(), under_way: BTreeMap::new() }
    }
}

impl<K: Clone + Ord> Travels<K> {
    /// The source has told of a change.
    pub fn seen(&mut self, key: &K, now: Instant) {
        if !self.waiting.contains(key) {
            self.waiting.set(key.clone(), now);
        }
    }

    /// Whether it has told of one that is not being written yet.
    pub fn waits(&self, key: &K) -> bool {
        self.waiting.contains(key)
    }

    /// Everything of which that is so.
    pub fn waiting(&self) -> impl Iterator<Item = &K> {
        self.waiting.keys()
    }

    /// It is being written.
    pub fn begin(&mut self, key: &K) {
        if let Some(at) = self.waiting.remove(key) {
            self.under_way.entry(key.clone()).or_insert(at);
        }
    }

    /// The write has ended, and nothing of it is to be repeated; returns since when the source had told of it.
    pub fn end(&mut self, key: &K) -> Option<Instant> {
        self.under_way.remove(key)
    }

    /// The write has failed, and is repeated.
    pub fn again(&mut self, key: &K) {
        if let Some(at) = self.under_way.remove(key) {
            self.waiting.set(key.clone(), at);
        }
    }

    /// All writes under way have failed, and are repeated.
    pub fn all_again(&mut self) {
        for (key, at) in std::mem::take(&mut self.under_way) {
            self.waiting.set(key, at);
        }
    }

    /// There is nothing to write.
    pub fn forget(&mut self, key: &K) {
        self.waiting.remove(key);
    }

    /// Since when the source has told of what has been waiting for the longest time.
    pub fn oldest(&self) -> Option<Instant> {
        // As many as are written at a time.
        self.under_way.values().copied().chain(self.waiting.next()).min()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_first_word_of_a_change_counts_until_it_is_written() {
        let (mut travels, start) = (Travels::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        travels.seen(&"a", at(0));
        travels.seen(&"a", at(1));
        travels.seen(&"b", at(2));
        assert_eq!(travels.oldest(), Some(at(0)));
        travels.begin(&"a");
        travels.seen(&"a", at(3));
        assert_eq!((travels.oldest(), travels.len()), (Some(at(0)), 3));
        travels.again(&"a");
        assert_eq!((travels.oldest(), travels.len()), (Some(at(0)), 2), "one that is repeated keeps its time");
        travels.begin(&"a");
        travels.seen(&"a", at(4));
        assert_eq!(travels.end(&"a"), Some(at(0)));
        assert_eq!(travels.oldest(), Some(at(2)));
        travels.forget(&"b");
        assert_eq!((travels.oldest(), travels.end(&"b")), (Some(at(4)), None));
        travels.begin(&"a");
        travels.all_again();
        assert_eq!((travels.oldest(), travels.len()), (Some(at(4)), 1));
    }
}
