//! Writes of which it is not known yet whether they were made. Pure.

use causeway_core::{EntryKey, Intent};
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct OpenIntents {
    open: BTreeMap<EntryKey, (u64, Intent)>,
    /// How many of each lot are open.
    counts: BTreeMap<u64, usize>,
    next: u64,
}

impl OpenIntents {
    /// What an earlier process left; returns the lots that say nothing any more, too.
    pub fn load(intents: BTreeMap<u64, Vec<Intent>>) -> (Self, Vec<u64>) {
        let mut lots = Self::default();
        let mut done = Vec::new();
        for (lot, intents) in intents {
            lots.next = lots.next.max(lot + 1);
            if intents.is_empty() {
                done.push(lot);
            }
            // A newer write of the same entry was begun when the older one's end was known.
            for intent in intents {
                done.extend(lots.close(&intent.key));
                lots.put(lot, intent);
            }
        }
        (lots, done)
    }

    fn put(&mut self, lot: u64, intent: Intent) {
        *self.counts.entry(lot).or_default() += 1;
        self.open.insert(intent.key.clone(), (lot, intent));
    }

    /// A new lot; its entries have no open intent.
    pub fn begin(&mut self, intents: &[Intent]) -> u64 {
        let lot = self.next;
        self.next += 1;
        intents.iter().for_each(|intent| self.put(lot, intent.clone()));
        lot
    }

    pub fn get(&self, key: &EntryKey) -> Option<&Intent> {
        self.open.get(key).map(|(_, intent)| intent)
    }

    pub fn keys(&self) -> impl Iterator<Item = &EntryKey> {
        self.open.keys()
    }

    /// What became of a write is known; returns its lot when that was the last one of it.
    pub fn close(&mut self, key: &EntryKey) -> Option<u64> {
        let (lot, _) = self.open.remove(key)?;
        let count = self.counts.get_mut(&lot)?;
        *count -= 1;
        (*count == 0).then(|| {
            self.counts.remove(&lot);
            lot
        })
    }

    /// What a later process must know.
    pub fn into_intents(self) -> BTreeMap<u64, Vec<Intent>> {
        let mut intents: BTreeMap<u64, Vec<Intent>> = BTreeMap::new();
        for (lot, intent) in self.open.into_values() {
            intents.entry(lot).or_default().push(intent);
        }
        intents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::Side;

    fn intent(path: &str) -> Intent {
        Intent { key: EntryKey::path(path), to: Side::Right, content: None, created: false, half: None }
    }

    #[test]
    fn a_lot_ends_with_its_last_write() {
        let mut lots = OpenIntents::default();
        let lot = lots.begin(&[intent("/a"), intent("/b")]);
        assert_eq!(lots.close(&EntryKey::path("/a")), None);
        assert_eq!(lots.close(&EntryKey::path("/a")), None);
        assert_eq!(lots.close(&EntryKey::path("/b")), Some(lot));
    }

    #[test]
    fn the_newest_intent_counts() {
        let left = BTreeMap::from([(3, vec![intent("/a")]), (7, vec![intent("/a"), intent("/b")])]);
        let (mut lots, done) = OpenIntents::load(left);
        assert_eq!(done, [3]);
        assert_eq!(lots.begin(&[intent("/c")]), 8);
        assert_eq!(lots.into_intents().keys().copied().collect::<Vec<_>>(), [7, 8]);
    }
}
