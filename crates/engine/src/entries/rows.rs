//! What is known of every entry: where it stands, and what both sides last had in common. Pure, and small: there may be
//! a million.

use causeway_core::{Aside, Base, Entry, EntryKey, NameShape, Pair, Part, Side, Stamp};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// An entry on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Not seen there.
    #[default]
    Absent,
    /// Seen to go, on a connection that can be believed.
    Witnessed,
    /// It stands there.
    Here {
        stamp: Stamp,
        size: u32,
        /// The server numbered it, as far as is known: it takes no part unless it has been copied.
        numbered: bool,
    },
}

impl Presence {
    pub fn here(entry: &Entry) -> Self {
        Self::Here { stamp: entry.stamp, size: entry.size, numbered: entry.aside == Some(Aside::Numbered) }
    }

    /// What a watch or a listing says now. What was once seen to be named by a client stays so while it stands: the
    /// more siblings go, the less can be told.
    pub fn seen(&self, entry: &Entry) -> Self {
        match self {
            Self::Here { numbered: false, .. } => Self::here(&Entry { aside: None, ..*entry }),
            _ => Self::here(entry),
        }
    }

    /// What a read says, which does not tell what was numbered.
    pub fn read(&self, entry: &Entry) -> Self {
        let aside = self.is_numbered().then_some(Aside::Numbered);
        Self::here(&Entry { aside, ..*entry })
    }

    pub fn is_numbered(&self) -> bool {
        matches!(self, Self::Here { numbered: true, .. })
    }

    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here { .. })
    }

    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Here { stamp, .. } => Some(*stamp),
            _ => None,
        }
    }

    pub fn size(&self) -> u32 {
        match self {
            Self::Here { size, .. } => *size,
            _ => 0,
        }
    }
}

/// The version that stands on each side; `None`: nothing does.
pub(crate) type Stamps = Pair<Option<Stamp>>;

/// One entry.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EntryRow {
    pub places: Pair<Presence>,
    pub base: Option<Base>,
}

impl EntryRow {
    /// Whether both sides are as they were when they last had the same.
    pub fn in_step(&self) -> bool {
        Side::BOTH.iter().all(|side| !self.changed(*side))
    }

    /// Whether one side is not as it was then.
    pub fn changed(&self, side: Side) -> bool {
        self.places[side].stamp() != self.base.map(|base| base.stamps[side])
    }

    pub fn stamps(&self) -> Stamps {
        Pair::of(|side| self.places[side].stamp())
    }

    /// Whether the server numbered it, wherever it stands, and it was never copied.
    pub fn is_numbered(&self) -> bool {
        let here = || Side::BOTH.into_iter().filter(|side| self.places[*side].is_here());
        self.base.is_none() && here().next().is_some() && here().all(|side| self.places[side].is_numbered())
    }

    fn is_empty(&self) -> bool {
        self.base.is_none() && Side::BOTH.iter().all(|side| !self.places[*side].is_here())
    }
}

/// How many there are in a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartCount {
    /// With a common version.
    pub bases: usize,
    /// That stand on a side.
    pub here: Pair<usize>,
    /// With a common version, missing on this side without a witness, and there on the other.
    pub missing: Pair<usize>,
    /// Without a common version, on this side only.
    pub alone: Pair<usize>,
    /// That take no part since the server numbered them, by the side where they stand: the left one where they stand on
    /// both. They are not among the others.
    pub numbered: Pair<usize>,
}

impl PartCount {
    fn add(&mut self, row: &EntryRow, sign: fn(usize, usize) -> usize) {
        let here = Pair::of(|side| row.places[side].is_here());
        if row.is_numbered() {
            let side = if here.left { Side::Left } else { Side::Right };
            self.numbered[side] = sign(self.numbered[side], 1);
            return;
        }
        self.bases = sign(self.bases, usize::from(row.base.is_some()));
        for side in Side::BOTH {
            let lone = !here[side] && here[side.other()];
            let missing = lone && row.base.is_some() && row.places[side] == Presence::Absent;
            self.here[side] = sign(self.here[side], usize::from(here[side]));
            self.missing[side] = sign(self.missing[side], usize::from(missing));
            self.alone[side.other()] = sign(self.alone[side.other()], usize::from(lone && row.base.is_none()));
        }
    }
}

/// What a complete look has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LookFindings {
    /// Something stands there that did not before.
    pub grew: bool,
    /// Something does not stand there any more.
    pub lost: bool,
}

/// Every entry of a task.
#[derive(Default)]
pub(crate) struct EntryRows {
    rows: BTreeMap<EntryKey, EntryRow>,
    counts: BTreeMap<Arc<str>, PartCount>,
}

impl EntryRows {
    pub fn new(bases: impl IntoIterator<Item = (EntryKey, Base)>) -> Self {
        let row = |base| EntryRow { base: Some(base), ..EntryRow::default() };
        let mut rows =
            Self { rows: bases.into_iter().map(|(key, base)| (key, row(base))).collect(), counts: BTreeMap::new() };
        rows.count_again();
        rows
    }

    pub fn get(&self, key: &EntryKey) -> Option<&EntryRow> {
        self.rows.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&EntryKey, &EntryRow)> {
        self.rows.iter()
    }

    /// Changes one row; returns whether it is different now. A row about nothing goes.
    pub fn edit(&mut self, key: &EntryKey, change: impl FnOnce(&mut EntryRow)) -> bool {
        let before = self.rows.get(key).copied().unwrap_or_default();
        let mut after = before;
        change(&mut after);
        if before == after {
            return false;
        }
        let count = self.counts.entry(key.namespace.clone()).or_default();
        count.add(&before, usize::wrapping_sub);
        count.add(&after, usize::wrapping_add);
        match (after.is_empty(), self.rows.get_mut(key)) {
            (true, _) => drop(self.rows.remove(key)),
            (false, Some(row)) => *row = after,
            (false, None) => drop(self.rows.insert(key.clone(), after)),
        }
        true
    }

    pub fn count(&self, part: &Part) -> PartCount {
        self.counts.get(&part.0).copied().unwrap_or_default()
    }

    pub fn counts(&self) -> impl Iterator<Item = &PartCount> {
        self.counts.values()
    }

    /// The rows of a part.
    pub fn part(&self, part: &Part) -> impl Iterator<Item = (&EntryKey, &EntryRow)> {
        let first = EntryKey::new(&part.0, "", "");
        self.rows.range(first..).take_while(move |(key, _)| key.namespace == part.0)
    }

    /// The rows between two keys.
    pub fn range<'a>(&'a self, from: &EntryKey, to: &EntryKey) -> impl Iterator<Item = (&'a EntryKey, &'a EntryRow)> {
        self.rows.range((Bound::Excluded(from), Bound::Excluded(to)))
    }

    /// The first entry below another that stands on `side`, which has this shape.
    pub fn first_below(&self, key: &EntryKey, side: Side, shape: NameShape) -> Option<(&EntryKey, &EntryRow)> {
        let (from, to) = shape.below(key)?;
        self.range(&from, &to).find(|(_, row)| row.places[side].is_here())
    }

    /// Takes in everything that `side` has in a part. What `newer` names has changed since the look and stays.
    pub fn looked(
        &mut self,
        side: Side,
        part: &Part,
        entries: BTreeMap<EntryKey, Entry>,
        newer: impl Fn(&EntryKey) -> bool,
    ) -> LookFindings {
        let mut answer = LookFindings::default();
        let mut fresh = Vec::new();
        let first = EntryKey::new(&part.0, "", "");
        let mut rows = self.rows.range_mut(first..).take_while(|(key, _)| key.namespace == part.0).peekable();
        let lose = |key: &EntryKey, row: &mut EntryRow, answer: &mut LookFindings| {
            if row.places[side].is_here() && !newer(key) {
                row.places[side] = Presence::Absent;
                answer.lost = true;
            }
        };
        // Both are in order: one walk.
        for (key, entry) in entries {
            while let Some((gone, row)) = rows.next_if(|(known, _)| **known < key) {
                lose(gone, row, &mut answer);
            }
            match rows.next_if(|(known, _)| **known == key) {
                Some((_, row)) if !newer(&key) => {
                    answer.grew |= !row.places[side].is_here();
                    row.places[side] = row.places[side].seen(&entry);
                }
                Some(_) => {}
                None if newer(&key) => {}
                None => fresh.push((key, entry)),
            }
        }
        rows.for_each(|(key, row)| lose(key, row, &mut answer));
        answer.grew |= !fresh.is_empty();
        let mut more: BTreeMap<_, _> = fresh
            .into_iter()
            .map(|(key, entry)| {
                let mut row = EntryRow::default();
                row.places[side] = Presence::here(&entry);
                (key, row)
            })
            .collect();
        match more.len() > self.rows.len() / 8 {
            // Merges two sorted runs, and leaves the nodes full.
            true => self.rows.append(&mut more),
            false => self.rows.extend(more),
        }
        if answer.lost {
            self.rows.retain(|_, row| !row.is_empty());
        }
        self.count_again();
        answer
    }

    fn count_again(&mut self) {
        self.counts.clear();
        let mut last: Option<(Arc<str>, PartCount)> = None;
        for (key, row) in &self.rows {
            match &mut last {
                Some((part, count)) if *part == key.namespace => count.add(row, usize::wrapping_add),
                _ => {
                    self.counts.extend(last.take());
                    let mut count = PartCount::default();
                    count.add(row, usize::wrapping_add);
                    last = Some((key.namespace.clone(), count));
                }
            }
        }
        self.counts.extend(last);
    }

    /// The last common versions.
    pub fn into_bases(self) -> BTreeMap<EntryKey, Base> {
        self.rows.into_iter().filter_map(|(key, row)| Some((key, row.base?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{Born, Content};

    fn entry(n: i64) -> Entry {
        Entry { stamp: Stamp(n, 0), modified_ms: 0, size: 0, aside: None }
    }

    fn base(left: i64, right: i64) -> Base {
        let stamps = Pair { left: Stamp(left, 0), right: Stamp(right, 0) };
        Base { digest: Content::of("x").digest(), stamps, born: Born::Left }
    }

    #[test]
    fn a_look_finds_what_came_and_went() {
        let (key, part) = (EntryKey::path, Part::new("public"));
        let mut rows = EntryRows::new([(key("/a"), base(1, 1)), (key("/b"), base(2, 2))]);
        let look = |keys: &[(&str, i64)]| keys.iter().map(|(path, n)| (key(path), entry(*n))).collect();
        let found = rows.looked(Side::Left, &part, look(&[("/a", 1), ("/c", 3)]), |_| false);
        assert_eq!(found, LookFindings { grew: true, lost: false });
        rows.looked(Side::Right, &part, look(&[("/a", 1), ("/b", 2)]), |_| false);
        assert!(rows.get(&key("/a")).is_some_and(EntryRow::in_step));
        let count = rows.count(&part);
        assert_eq!(
            (count.bases, count.here, count.missing),
            (2, Pair { left: 2, right: 2 }, Pair { left: 1, right: 0 })
        );
        assert_eq!(count.alone, Pair { left: 1, right: 0 });
        let found = rows.looked(Side::Left, &part, look(&[("/a", 1)]), |_| false);
        assert!(found.lost && rows.get(&key("/c")).is_none(), "a row about nothing goes");
        rows.edit(&key("/a"), |row| row.places.left = Presence::Absent);
        let counted = rows.count(&part);
        rows.count_again();
        assert_eq!(counted, rows.count(&part), "counted one by one, or all at once");
        rows.looked(Side::Left, &part, look(&[("/a", 9)]), |_| true);
        assert!(!rows.get(&key("/a")).unwrap().places.left.is_here(), "what changed since the look stays");
    }

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<EntryRow>() <= 104, "{}", size_of::<EntryRow>());
    }
}
