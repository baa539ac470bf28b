//! Which entries want to be looked at, each once, however much happened to it. Pure: time is given.

use causeway_core::EntryKey;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Marks {
    ready: BTreeSet<EntryKey>,
    later: BTreeMap<EntryKey, Instant>,
    order: BTreeSet<(Instant, EntryKey)>,
    busy: BTreeSet<EntryKey>,
    /// Marked while busy.
    again: BTreeSet<EntryKey>,
    /// Children that wait for a parent: (parent, child).
    parked: BTreeSet<(EntryKey, EntryKey)>,
    /// The last one taken: the next ones come first, so that busy ones do not keep the others waiting.
    cursor: Option<EntryKey>,
}

impl Marks {
    /// Wants an entry looked at as soon as may be.
    pub fn mark(&mut self, key: &EntryKey) {
        if self.busy.contains(key) {
            self.again.insert(key.clone());
            return;
        }
        self.take_back(key);
        self.ready.insert(key.clone());
    }

    /// Wants an entry looked at then, and not before.
    pub fn mark_at(&mut self, key: &EntryKey, at: Instant) {
        self.take_back(key);
        self.ready.remove(key);
        self.later.insert(key.clone(), at);
        self.order.insert((at, key.clone()));
    }

    fn take_back(&mut self, key: &EntryKey) {
        if let Some(at) = self.later.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }

    /// Takes the next one that is due. Parents come before their children.
    pub fn pop(&mut self, now: Instant) -> Option<EntryKey> {
        while self.order.first().is_some_and(|(at, _)| *at <= now) {
            let (_, key) = self.order.pop_first()?;
            self.later.remove(&key);
            self.ready.insert(key);
        }
        loop {
            let after = self.cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.ready.range((after, Bound::Unbounded)).next().or_else(|| self.ready.first()).cloned()?;
            self.ready.remove(&next);
            self.cursor = Some(next.clone());
            if !self.busy.contains(&next) {
                return Some(next);
            }
            self.again.insert(next);
        }
    }

    /// When the next one will be due, if none is now.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Work on an entry begins.
    pub fn begin(&mut self, key: &EntryKey) {
        self.busy.insert(key.clone());
    }

    /// Work on an entry has ended; answers whether it was marked meanwhile.
    pub fn end(&mut self, key: &EntryKey) -> bool {
        self.busy.remove(key);
        self.again.remove(key)
    }

    /// Whether it is being worked on.
    pub fn busy(&self, key: &EntryKey) -> bool {
        self.busy.contains(key)
    }

    /// Whether something happened to an entry since work on it began.
    pub fn disturbed(&self, key: &EntryKey) -> bool {
        self.again.contains(key)
    }

    /// A child waits until its parent stands.
    pub fn park(&mut self, parent: EntryKey, child: &EntryKey) {
        self.parked.insert((parent, child.clone()));
    }

    /// A child does not wait any more, or not for this.
    pub fn unpark(&mut self, parent: &EntryKey, child: &EntryKey) {
        if !self.parked.is_empty() {
            self.parked.remove(&(parent.clone(), child.clone()));
        }
    }

    /// Keeps only those children waiting that `known` names.
    pub fn retain_parked(&mut self, known: impl Fn(&EntryKey) -> bool) {
        self.parked.retain(|(_, child)| known(child));
    }

    /// Whether anything waits for this parent.
    pub fn awaited(&self, parent: &EntryKey) -> bool {
        self.children(parent).next().is_some()
    }

    /// A parent stands: those that waited for it are marked.
    pub fn stands(&mut self, parent: &EntryKey) {
        let children: Vec<_> = self.children(parent).cloned().collect();
        for child in children {
            self.parked.remove(&(parent.clone(), child.clone()));
            self.mark(&child);
        }
    }

    fn children(&self, parent: &EntryKey) -> impl Iterator<Item = &EntryKey> {
        let last = parent.clone();
        let first = (parent.clone(), EntryKey::new("", "", ""));
        self.parked.range(first..).take_while(move |(of, _)| *of == last).map(|(_, child)| child)
    }

    /// How many are to be looked at, or are being worked on; those that `rests` names only wait for their turn.
    pub fn pending(&self, rests: impl Fn(&EntryKey) -> bool) -> usize {
        let counted = |key: &EntryKey| self.busy.contains(key) || self.ready.contains(key);
        let parked = self.parked.iter().filter(|(_, child)| !counted(child));
        let later = self.later.keys().filter(|key| !rests(key));
        self.ready.len() + self.busy.len() + later.count() + parked.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_once_in_order_and_in_turn() {
        let (now, key) = (Instant::now(), EntryKey::path);
        let later = now + Duration::from_secs(1);
        let mut marks = Marks::default();
        marks.mark(&key("/b"));
        marks.mark(&key("/a"));
        marks.mark(&key("/a"));
        marks.mark_at(&key("/c"), later);
        assert_eq!(marks.pop(now), Some(key("/a")));
        marks.mark(&key("/a"));
        assert_eq!(marks.pop(now), Some(key("/b")), "a busy one does not keep the others waiting");
        assert_eq!((marks.pop(now), marks.pop(now)), (Some(key("/a")), None));
        assert_eq!((marks.next(), marks.pop(later)), (Some(later), Some(key("/c"))));
        marks.begin(&key("/a"));
        marks.mark(&key("/a"));
        assert_eq!(marks.pop(later), None);
        assert!(marks.end(&key("/a")) && !marks.end(&key("/a")));
    }

    #[test]
    fn children_wait_for_their_parent() {
        let (now, key) = (Instant::now(), EntryKey::path);
        let mut marks = Marks::default();
        marks.park(key("/a"), &key("/a/b"));
        marks.park(key("/a-b"), &key("/a-b/c"));
        assert!(marks.awaited(&key("/a")) && !marks.awaited(&key("/b")));
        assert_eq!(marks.pending(|_| false), 2);
        marks.stands(&key("/a"));
        assert_eq!((marks.pop(now), marks.pop(now)), (Some(key("/a/b")), None));
        assert!(!marks.awaited(&key("/a")));
    }
}
