//! Sets by key.

use std::collections::{BTreeMap, BTreeSet};

/// Several values for each key. A key without any is not kept.
#[derive(Clone)]
pub(crate) struct SetMap<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for SetMap<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord, V: Clone + Ord> SetMap<K, V> {
    pub fn add(&mut self, key: &K, values: impl IntoIterator<Item = V>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.0.entry(key.clone()).or_default().extend(values);
        }
    }

    pub fn get(&self, key: &K) -> Option<&BTreeSet<V>> {
        self.0.get(key)
    }

    /// Keeps only those values of a key that `still` names.
    pub fn retain(&mut self, key: &K, still: impl FnMut(&V) -> bool) {
        if let Some(values) = self.0.get_mut(key) {
            values.retain(still);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// How many keys have values.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
