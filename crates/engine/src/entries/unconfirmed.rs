//! What our own reads and writes have shown, and the watch has not told yet. Pure: time is given.

use causeway_core::{EntryKey, Side};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Time for the watch to tell. A change is told within 2 s, but a watch of very many entries may look only every half minute.
const TOLD: Duration = Duration::from_secs(40);

/// Where stamps are made of contents, what stood there before may come back before the watch looks again: it sees no change,
/// and tells of none. So whatever is shown and not told is read again.
#[derive(Default)]
pub(crate) struct Unconfirmed {
    due: BTreeMap<(EntryKey, Side), Instant>,
    /// In order; it also has what was told since.
    order: VecDeque<(Instant, EntryKey, Side)>,
}

impl Unconfirmed {
    /// A read or a write has shown another version than the watch.
    pub fn add(&mut self, key: &EntryKey, side: Side, now: Instant) {
        self.due.insert((key.clone(), side), now + TOLD);
        self.order.push_back((now + TOLD, key.clone(), side));
    }

    /// The watch has told what stands there.
    pub fn told(&mut self, key: &EntryKey, side: Side) {
        if !self.due.is_empty() {
            self.due.remove(&(key.clone(), side));
        }
    }

    /// When the first one is to be read again.
    pub fn due(&self) -> Option<Instant> {
        self.order.front().map(|(at, ..)| *at)
    }

    /// What is to be read again now.
    pub fn take(&mut self, now: Instant) -> Vec<EntryKey> {
        let mut due = Vec::new();
        while let Some((at, key, side)) = self.order.pop_front_if(|(at, ..)| *at <= now) {
            let entry = (key, side);
            if self.due.get(&entry) == Some(&at) {
                self.due.remove(&entry);
                due.push(entry.0);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_read_again() {
        let (mut all, now, key) = (Unconfirmed::default(), Instant::now(), EntryKey::path);
        all.add(&key("/a"), Side::Left, now);
        all.add(&key("/b"), Side::Left, now);
        all.add(&key("/c"), Side::Right, now + TOLD / 2);
        all.told(&key("/a"), Side::Left);
        all.told(&key("/b"), Side::Right);
        assert_eq!((all.due(), all.take(now)), (Some(now + TOLD), vec![]));
        assert_eq!(all.take(now + TOLD), [key("/b")]);
        assert_eq!((all.take(now + TOLD * 2), all.due()), (vec![key("/c")], None));
    }
}
