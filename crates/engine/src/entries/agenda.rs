//! Which entries want to be looked at, each once, however much happened to it. Pure: time is given.

use crate::kit::timetable::Timetable;
use causeway_core::{EntryKey, Pair, Part, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Agenda {
    ready: BTreeSet<EntryKey>,
    later: Timetable<EntryKey>,
    /// What is being worked on, and the sides of which something was told since.
    busy: BTreeMap<EntryKey, Pair<bool>>,
    /// Marked while busy.
    again: BTreeSet<EntryKey>,
    /// Children that wait for a parent: (parent, child).
    parked: BTreeSet<(EntryKey, EntryKey)>,
    /// The last one taken: the next ones come first, so that busy ones do not keep the others waiting.
    cursor: Option<EntryKey>,
}

impl Agenda {
    /// Asks for an entry to be looked at as soon as possible.
    pub fn add(&mut self, key: &EntryKey) {
        if self.busy.contains_key(key) {
            self.again.insert(key.clone());
            return;
        }
        self.later.remove(key);
        self.ready.insert(key.clone());
    }

    /// Asks for an entry to be looked at then, and not before.
    pub fn add_at(&mut self, key: &EntryKey, at: Instant) {
        self.ready.remove(key);
        self.later.set(key.clone(), at);
    }

    /// Takes the next one that is due. Parents come before their children.
    pub fn pop(&mut self, now: Instant) -> Option<EntryKey> {
        self.ready.extend(std::iter::from_fn(|| self.later.pop(now)));
        loop {
            let after = self.cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.ready.range((after, Bound::Unbounded)).next().or_else(|| self.ready.first()).cloned()?;
            self.ready.remove(&next);
            self.cursor = Some(next.clone());
            if !self.busy.contains_key(&next) {
                return Some(next);
            }
            self.again.insert(next);
        }
    }

    /// When the next one will be due, if none is now.
    pub fn next(&self) -> Option<Instant> {
        self.later.next()
    }

    /// Work on an entry begins.
    pub fn begin(&mut self, key: &EntryKey) {
        self.busy.insert(key.clone(), Pair::default());
    }

    /// Work on an entry has ended; returns whether it was marked meanwhile.
    pub fn end(&mut self, key: &EntryKey) -> bool {
        self.busy.remove(key);
        self.again.remove(key)
    }

    /// One side has told something of an entry: what an answer to the work on it says may be older.
    pub fn told(&mut self, key: &EntryKey, side: Side) {
        if let Some(told) = self.busy.get_mut(key) {
            told[side] = true;
            self.again.insert(key.clone());
        }
    }

    /// One side has told something of a whole part.
    pub fn told_all(&mut self, part: &Part, side: Side) {
        for (key, told) in self.busy.iter_mut().filter(|(key, _)| key.namespace == part.0) {
            told[side] = true;
            self.again.insert(key.clone());
        }
    }

    /// Whether a side has told something of an entry since work on it began.
    pub fn heard(&self, key: &EntryKey, side: Side) -> bool {
        self.busy.get(key).is_some_and(|told| told[side])
    }

    /// What a side has told of an entry is known: only what comes from now on is news.
    pub fn known(&mut self, key: &EntryKey, side: Side) {
        if let Some(told) = self.busy.get_mut(key) {
            told[side] = false;
        }
    }

    /// Whether it is being worked on.
    pub fn busy(&self, key: &EntryKey) -> bool {
        self.busy.contains_key(key)
    }

    /// Whether it is to be looked at, now or later, or is being worked on.
    pub fn wants(&self, key: &EntryKey) -> bool {
        self.busy(key) || self.ready.contains(key) || self.later.contains(key)
    }

    /// Whether something happened to an entry since work on it began.
    pub fn disturbed(&self, key: &EntryKey) -> bool {
        self.again.contains(key)
    }

    /// Whether any child waits.
    pub fn any_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// A child waits until its parent stands.
    pub fn park(&mut self, parent: EntryKey, child: &EntryKey) {
        self.parked.insert((parent, child.clone()));
    }

    /// A child does not wait any more, or not for this.
    pub fn unpark(&mut self, parent: &EntryKey, child: &EntryKey) {
        self.parked.remove(&(parent.clone(), child.clone()));
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
            self.add(&child);
        }
    }

    fn children(&self, parent: &EntryKey) -> impl Iterator<Item = &EntryKey> {
        let last = parent.clone();
        let first = (parent.clone(), EntryKey::new("", "", ""));
        self.parked.range(first..).take_while(move |(of, _)| *of == last).map(|(_, child)| child)
    }

    /// How many are to be looked at, or are being worked on; those that `rests` names only wait for their turn.
    pub fn pending(&self, rests: impl Fn(&EntryKey) -> bool) -> usize {
        let counted = |key: &EntryKey| self.busy.contains_key(key) || self.ready.contains(key);
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
        let mut agenda = Agenda::default();
        agenda.add(&key("/b"));
        agenda.add(&key("/a"));
        agenda.add(&key("/a"));
        agenda.add_at(&key("/c"), later);
        assert_eq!(agenda.pop(now), Some(key("/a")));
        agenda.add(&key("/a"));
        assert_eq!(agenda.pop(now), Some(key("/b")), "a busy one does not keep the others waiting");
        assert_eq!((agenda.pop(now), agenda.pop(now)), (Some(key("/a")), None));
        assert_eq!((agenda.next(), agenda.pop(later)), (Some(later), Some(key("/c"))));
        agenda.begin(&key("/a"));
        agenda.add(&key("/a"));
        assert_eq!(agenda.pop(later), None);
        assert!(agenda.end(&key("/a")) && !agenda.end(&key("/a")));
    }

    #[test]
    fn children_wait_for_their_parent() {
        let (now, key) = (Instant::now(), EntryKey::path);
        let mut agenda = Agenda::default();
        agenda.park(key("/a"), &key("/a/b"));
        agenda.park(key("/a-b"), &key("/a-b/c"));
        assert!(agenda.awaited(&key("/a")) && !agenda.awaited(&key("/b")));
        assert_eq!(agenda.pending(|_| false), 2);
        agenda.stands(&key("/a"));
        assert_eq!((agenda.pop(now), agenda.pop(now)), (Some(key("/a/b")), None));
        assert!(!agenda.awaited(&key("/a")));
    }
}
