//! What is to be done at some time, each thing once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;
use tokio::time::Instant;

/// Keys by the time at which each is due.
pub(crate) struct Timetable<K> {
    times: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timetable<K> {
    fn default() -> Self {
        Self { times: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Clone + Ord> Timetable<K> {
    /// Makes a key due at a time, whatever time it had before.
    pub fn set(&mut self, key: K, at: Instant) {
        self.remove(&key);
        self.order.insert((at, key.clone()));
        self.times.insert(key, at);
    }

    /// Takes a key out; returns when it would have been due.
    pub fn remove(&mut self, key: &K) -> Option<Instant> {
        let (key, at) = self.times.remove_entry(key)?;
        self.order.remove(&(at, key));
        Some(at)
    }

    /// Takes out the key that has been due for the longest time.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        self.next().filter(|at| *at <= now)?;
        let (_, key) = self.order.pop_first()?;
        self.times.remove(&key);
        Some(key)
    }

    /// When a key is due.
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.times.get(key).copied()
    }

    pub fn contains(&self, key: &K) -> bool {
        self.times.contains_key(key)
    }

    /// When the first key is due.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The keys in the order of their times.
    pub fn by_time(&self) -> impl Iterator<Item = &K> {
        self.order.iter().map(|(_, key)| key)
    }

    /// The keys of a range, in their own order.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = &K> {
        self.times.range(range).map(|(key, _)| key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.times.keys()
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_key_has_one_time() {
        let (mut times, now) = (Timetable::default(), Instant::now());
        let at = |n: u64| now + Duration::from_secs(n);
        times.set("a", at(1));
        times.set("b", at(2));
        times.set("a", at(3));
        assert_eq!((times.next(), times.pop(at(1)), times.len()), (Some(at(2)), None, 2));
        assert!(times.keys().eq(&["a", "b"]) && times.by_time().eq(&["b", "a"]) && times.range("b"..).eq(&["b"]));
        assert_eq!((times.pop(at(9)), times.remove(&"a"), times.next()), (Some("b"), Some(at(3)), None));
    }
}
