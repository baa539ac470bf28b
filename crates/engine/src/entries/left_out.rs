//! What is listed and left out on purpose: what is no data, and what the server numbered.

use super::state::TaskState;
use causeway_core::{Aside, Entry, EntryKey, Side, Ways};
use std::collections::BTreeMap;

impl TaskState {
    /// Takes what is no data out of a listing of one side, and notes it.
    pub(super) fn set_aside(&mut self, side: Side, entries: &mut BTreeMap<EntryKey, Entry>) {
        let asides = &mut self.asides[side];
        entries.retain(|key, entry| match no_data(entry) {
            Some(aside) => {
                asides.insert(key.clone(), aside);
                false
            }
            None => true,
        });
    }

    /// The same of one entry.
    pub(super) fn unless_aside(&mut self, side: Side, key: &EntryKey, entry: Option<Entry>) -> Option<Entry> {
        match entry.as_ref().and_then(no_data) {
            Some(aside) => {
                self.asides[side].insert(key.clone(), aside);
                None
            }
            None => {
                self.asides[side].remove(key);
                entry
            }
        }
    }

    /// Whether an entry is left out, since the server numbered it or a node above it. One that was copied takes part,
    /// whatever is found out later: nothing that is left out is ever taken for deleted.
    pub(super) fn is_left_out(&self, key: &EntryKey) -> bool {
        let count = self.rows.count(&key.part()).numbered;
        let numbered = |key: &EntryKey| self.rows.get(key).is_some_and(|row| row.is_numbered());
        count.left + count.right > 0 && (numbered(key) || self.spec.shape().above(key).any(|above| numbered(&above)))
    }

    /// An entry turned out to be none that the server numbered: it takes part, with all below it.
    pub(super) fn takes_part(&mut self, key: &EntryKey) {
        let Some((first, last)) = self.spec.shape().below(key) else { return };
        for (below, row) in self.rows.range(&first, &last) {
            if !row.in_step() {
                self.agenda.add(below);
            }
        }
    }

    /// How many are left out, by reason. Of a one-way task, those of its source.
    pub(super) fn left_out(&self) -> BTreeMap<Aside, usize> {
        let two = self.spec.ways == Ways::Two;
        let mut counts = BTreeMap::new();
        let other = self.asides.right.iter().filter(|(key, _)| two && !self.asides.left.contains_key(*key));
        for (_, aside) in self.asides.left.iter().chain(other) {
            *counts.entry(*aside).or_insert(0) += 1;
        }
        let numbered = |side: Side| self.rows.counts().map(|count| count.numbered[side]).sum::<usize>();
        counts.insert(Aside::Numbered, numbered(Side::Left) + if two { numbered(Side::Right) } else { 0 });
        if self.spec.services {
            counts.remove(&Aside::Services);
        }
        counts.retain(|_, count| *count > 0);
        counts
    }
}

/// Why an entry is no data. What the server numbered may be some.
pub(super) fn no_data(entry: &Entry) -> Option<Aside> {
    entry.aside.filter(|aside| *aside != Aside::Numbered)
}
