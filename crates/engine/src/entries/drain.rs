//! Draining: a task takes back exactly what it created and nobody has changed since, on both sides.

use super::job::PlannedWrite;
use super::rows::{EntryRow, Presence};
use super::state::TaskState;
use crate::event::Action;
use causeway_core::{
    EntryInterest, EntryKey, EntryWrite, Expect, Fingerprint, FoundEntry, NameShape, Pair, Part, Reason, Side,
};
use std::collections::BTreeSet;

impl TaskState {
    /// Where an entry must be read before it is taken back; `None`: there is nothing to take back, or not yet.
    pub fn drain_step(&mut self, key: &EntryKey, row: &EntryRow) -> Option<Pair<bool>> {
        let part = key.part();
        if let Some(to) = self.intents.get(key).map(|intent| intent.to) {
            return self.freshness[to].ready(&part).then(|| Pair::of(|side| side == to));
        }
        let base = row.base?;
        // A list has more than one author.
        let Some(copy) = base.born.copy().filter(|_| !self.spec.is_list(key)) else {
            self.let_go(key);
            return None;
        };
        if !self.freshness[copy].ready(&part) {
            return None;
        }
        let read = row.changed(copy) || self.doubt.contains(key);
        Some(Pair::of(|side| side == copy && read))
    }

    /// The removal of our copy, where it is as we wrote it and nothing is left below it.
    pub fn drain_judge(
        &mut self,
        key: &EntryKey,
        places: &Pair<Presence>,
        looks: &Pair<Option<FoundEntry>>,
    ) -> Option<PlannedWrite> {
        let row = self.row(key);
        let base = row.base?;
        let copy = base.born.copy()?;
        let stamp = match &looks[copy] {
            None => places[copy].stamp().filter(|stamp| *stamp == base.stamps[copy]),
            Some(None) => None,
            Some(Some((entry, content))) => {
                let same = self.spec.attributes.select(content.clone()).digest() == base.digest;
                if !same {
                    self.stays_there(key, copy, Reason::EntryChangedByHand);
                    return None;
                }
                Some(entry.stamp)
            }
        };
        let Some(stamp) = stamp else {
            // It is gone already.
            self.let_go(key);
            return None;
        };
        match self.first_below(key, copy).map(|(_, below)| below.base.and_then(|base| base.born.copy())) {
            Some(Some(side)) if side == copy => return None,
            Some(_) => {
                self.stays_there(key, copy, Reason::EntryNotEmpty);
                return None;
            }
            None => {}
        }
        let write = EntryWrite { key: key.clone(), expect: Expect::Stamp(stamp), to: None, parents: false };
        let stamps = Pair::of(|side| if side == copy { Some(stamp) } else { row.places[side].stamp() });
        Some(PlannedWrite {
            write,
            to: copy,
            why: None,
            content: None,
            before: Some(base),
            stamps,
            over: None,
            half: None,
        })
    }

    pub(super) fn stays_there(&mut self, key: &EntryKey, side: Side, why: Reason) {
        self.event(key, side, Action::Skipped, why);
        self.let_go(key);
    }

    /// The entry is nobody's copy.
    fn let_go(&mut self, key: &EntryKey) {
        self.base(key, None);
        self.settled(key);
        self.child_gone(key);
    }
}

/// These entries and no others.
pub(super) struct ListedKeys(pub BTreeSet<EntryKey>);

impl EntryInterest for ListedKeys {
    fn takes(&self, key: &EntryKey) -> bool {
        self.0.contains(key)
    }
    fn part(&self, part: &Part) -> bool {
        self.0.range(EntryKey::new(&part.0, "", "")..).next().is_some_and(|key| key.part() == *part)
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        NameShape::Tree.below(key).is_some_and(|(from, to)| self.0.range(from..to).next().is_some())
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}
