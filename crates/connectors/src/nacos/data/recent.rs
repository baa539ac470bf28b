//! What we wrote a moment ago.
//!
//! A server may answer from what it knew before our write: one that follows the server that took it, or one that began to
//! answer before. Taken for an edit back to the old content, that would undo a change on the other side of a task.

use causeway_core::{Entry, EntryKey, Stamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// For this long, what stood before our write is an old answer. Somebody who really puts it back is seen after it.
const LAG: Duration = Duration::from_secs(3);

/// Our writes of the last seconds.
#[derive(Default)]
pub(super) struct RecentWrites(Mutex<BTreeMap<EntryKey, RecentWrite>>);

struct RecentWrite {
    before: Option<Stamp>,
    after: Option<Entry>,
    at: Instant,
}

impl RecentWrites {
    /// We have written an entry.
    pub fn note(&self, key: &EntryKey, before: Option<Stamp>, after: Option<Entry>) {
        let mut all = self.0.lock();
        all.retain(|_, written| written.at.elapsed() < LAG);
        all.insert(key.clone(), RecentWrite { before, after, at: Instant::now() });
    }

    /// Whether a server that shows this has not heard of our write yet.
    pub fn is_old(&self, key: &EntryKey, seen: Option<Entry>) -> bool {
        self.0.lock().get(key).is_some_and(|written| written.hides(seen))
    }

    /// Puts what we wrote in the place of old answers.
    pub fn correct(&self, entries: &mut BTreeMap<EntryKey, Entry>, takes: impl Fn(&EntryKey) -> bool) {
        for (key, written) in self.0.lock().iter().filter(|(key, _)| takes(key)) {
            if written.hides(entries.get(key).copied()) {
                match written.after {
                    Some(entry) => drop(entries.insert(key.clone(), entry)),
                    None => drop(entries.remove(key)),
                }
            }
        }
    }
}

impl RecentWrite {
    fn hides(&self, seen: Option<Entry>) -> bool {
        let seen = seen.map(|entry| entry.stamp);
        self.at.elapsed() < LAG && seen == self.before && seen != self.after.map(|entry| entry.stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn old_answers_are_corrected_for_a_while() {
        let key = EntryKey::new("public", "g", "a");
        let entry = |n| Entry { stamp: Stamp(n, 0), modified_ms: 0, size: 0, aside: None };
        let recent = RecentWrites::default();
        let shown = |seen: Option<i64>| {
            let mut all: BTreeMap<_, _> = seen.map(|n| (key.clone(), entry(n))).into_iter().collect();
            recent.correct(&mut all, |_| true);
            all.get(&key).map(|entry| entry.stamp.0)
        };
        recent.note(&key, Some(Stamp(1, 0)), Some(entry(2)));
        assert_eq!((shown(Some(1)), shown(Some(2)), shown(Some(3)), shown(None)), (Some(2), Some(2), Some(3), None));
        assert!(recent.is_old(&key, Some(entry(1))) && !recent.is_old(&key, Some(entry(3))));
        recent.note(&key, Some(Stamp(2, 0)), None);
        assert_eq!((shown(Some(2)), shown(None)), (None, None));
        recent.note(&key, None, Some(entry(4)));
        assert_eq!((shown(None), shown(Some(4))), (Some(4), Some(4)));
        tokio::time::advance(LAG).await;
        assert_eq!(shown(None), None, "somebody has really put it back");
    }
}
