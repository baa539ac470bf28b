//! When to retry what was refused and may be accepted later without a word from the cluster. Pure: time is given.

use super::rows::Stamps;
use crate::kit::backoff;
use crate::kit::timetable::Timetable;
use causeway_core::{EntryKey, Pair, Part, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// On each side the refused entries are tried this far apart: eight a second. The waits below hold for as many entries as
/// that allows; of more, each has its turn.
const APART: Duration = Duration::from_millis(125);
/// How many of its neighbours, and how many of those that have waited longest, are tried at once when one is accepted.
const FOLLOW: usize = 4;

/// Why an entry was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// For lack of rights.
    Denied,
    /// By something else in the cluster that may go.
    Blocked,
}

impl RefusalKind {
    /// The wait after so many refusals in a row.
    fn wait(self, tries: u32) -> Duration {
        match self {
            Self::Denied => Duration::from_secs(30),
            Self::Blocked => backoff((Duration::from_secs(1), Duration::from_secs(10)), tries.saturating_sub(1)),
        }
    }
}

/// One entry as it was refused.
struct RefusedEntry {
    why: RefusalKind,
    side: Side,
    stamps: Stamps,
    tries: u32,
}

/// The entries that wait for their turn on one side.
#[derive(Default)]
struct WaitingLine {
    keys: Timetable<EntryKey>,
    /// None is tried before.
    next: Option<Instant>,
}

impl WaitingLine {
    /// When the next one may be tried.
    fn due(&self) -> Option<Instant> {
        self.keys.next().map(|due| self.next.map_or(due, |next| next.max(due)))
    }
}

/// All that was refused, by entry.
#[derive(Default)]
pub(crate) struct Probes {
    refusals: BTreeMap<EntryKey, RefusedEntry>,
    lines: Pair<WaitingLine>,
}

impl Probes {
    /// `side` has refused an entry as it stands on both.
    pub fn refuse(&mut self, key: &EntryKey, side: Side, why: RefusalKind, stamps: Stamps, now: Instant) {
        let before = self.refusals.get(key).filter(|before| before.why == why && before.stamps == stamps);
        let tries = before.map_or(0, |before| before.tries) + 1;
        self.forget(key);
        self.refusals.insert(key.clone(), RefusedEntry { why, side, stamps, tries });
        self.put_back(key, now);
    }

    /// An entry that was refused could not be tried in its turn, if it has had it: it waits for the next one.
    pub fn put_back(&mut self, key: &EntryKey, now: Instant) {
        let Some(refusal) = self.refusals.get(key) else { return };
        let line = &mut self.lines[refusal.side];
        if !line.keys.contains(key) {
            line.keys.set(key.clone(), now + refusal.why.wait(refusal.tries));
        }
    }

    /// Whether an entry that stands like this waits for its turn.
    pub fn holds(&self, key: &EntryKey, stamps: &Stamps) -> bool {
        self.refusals.get(key).is_some_and(|one| one.stamps == *stamps && self.lines[one.side].keys.contains(key))
    }

    /// It is not refused any more; returns which side had refused it.
    pub fn forget(&mut self, key: &EntryKey) -> Option<Side> {
        let refusal = self.refusals.remove(key)?;
        self.lines[refusal.side].keys.remove(key);
        Some(refusal.side)
    }

    /// Forgets what `known` does not name.
    pub fn retain(&mut self, known: impl Fn(&EntryKey) -> bool) {
        let gone: Vec<_> = self.refusals.keys().filter(|key| !known(key)).cloned().collect();
        for key in gone {
            self.forget(&key);
        }
    }

    /// When the next one will have its turn.
    pub fn due(&self) -> Option<Instant> {
        Side::BOTH.iter().filter_map(|side| self.lines[*side].due()).min()
    }

    /// Those whose turn it is: at most one of each side.
    pub fn take(&mut self, now: Instant) -> Vec<EntryKey> {
        let mut taken = Vec::new();
        for side in Side::BOTH {
            let line = &mut self.lines[side];
            if line.next.is_none_or(|next| next <= now)
                && let Some(key) = line.keys.pop(now)
            {
                line.next = Some(now + APART);
                taken.push(key);
            }
        }
        taken
    }

    /// An entry was accepted; returns which others have their turn at once if it was refused before. A right that covers many
    /// is found out soon in this way, and one that covers few causes few more tries.
    pub fn accepted(&mut self, key: &EntryKey) -> Vec<EntryKey> {
        let Some(side) = self.forget(key) else { return Vec::new() };
        let line = &self.lines[side];
        let neighbours = line.keys.range(key..).take(FOLLOW).chain(line.keys.range(..key).rev().take(FOLLOW));
        let longest = line.keys.by_time().take(FOLLOW);
        let follow: BTreeSet<_> = neighbours.chain(longest).cloned().collect();
        self.go(follow)
    }

    /// Something between two keys may be accepted now; returns which entries have their turn at once. If they are
    /// accepted, the others follow.
    pub fn between(&mut self, first: &EntryKey, last: &EntryKey) -> Vec<EntryKey> {
        let keys = |side: Side| self.lines[side].keys.range(first..last).take(FOLLOW);
        let go: Vec<_> = keys(Side::Left).chain(keys(Side::Right)).cloned().collect();
        self.go(go)
    }

    /// A side has told all of a part again; returns which entries have their turn at once. If they are accepted, the others
    /// follow.
    pub fn told_again(&mut self, side: Side, part: &Part) -> Vec<EntryKey> {
        let keys = self.lines[side].keys.range(EntryKey::new(&part.0, "", "")..);
        let go: Vec<_> = keys.take_while(|key| key.namespace == part.0).take(FOLLOW).cloned().collect();
        self.go(go)
    }

    /// Gives these their turn: they wait no more.
    fn go(&mut self, keys: impl IntoIterator<Item = EntryKey>) -> Vec<EntryKey> {
        let keys: Vec<_> = keys.into_iter().collect();
        for key in &keys {
            let Some(refusal) = self.refusals.get(key) else { continue };
            self.lines[refusal.side].keys.remove(key);
        }
        keys
    }

    /// What waits for its turn.
    pub fn waiting(&self) -> impl Iterator<Item = &EntryKey> {
        self.lines.left.keys.keys().chain(self.lines.right.keys.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::Stamp;

    const AS_IT_WAS: Stamps = Pair { left: None, right: None };

    #[test]
    fn waits_grow_to_ten_seconds_and_end_with_a_change() {
        let (mut probes, mut now, key) = (Probes::default(), Instant::now(), EntryKey::path("/a"));
        for wait in [1, 2, 4, 8, 10, 10] {
            probes.refuse(&key, Side::Right, RefusalKind::Blocked, AS_IT_WAS, now);
            assert!(probes.holds(&key, &AS_IT_WAS) && probes.take(now).is_empty());
            assert_eq!(probes.due(), Some(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
            assert_eq!(probes.take(now), std::slice::from_ref(&key));
            assert!(!probes.holds(&key, &AS_IT_WAS));
            probes.put_back(&key, now);
            assert!(probes.holds(&key, &AS_IT_WAS), "it was not tried");
        }
        probes.refuse(&key, Side::Right, RefusalKind::Denied, AS_IT_WAS, now);
        assert!(!probes.holds(&key, &Pair { left: Some(Stamp(1, 0)), right: None }));
        assert_eq!((probes.forget(&key), probes.due()), (Some(Side::Right), None));
    }

    #[test]
    fn others_follow_one_that_is_accepted() {
        let (mut probes, now) = (Probes::default(), Instant::now());
        let keys: Vec<_> = (0..100).map(|n| EntryKey::path(&format!("/{n:02}"))).collect();
        keys.iter().for_each(|key| probes.refuse(key, Side::Left, RefusalKind::Denied, AS_IT_WAS, now));
        let mut go = vec![keys[50].clone()];
        let mut rounds = 0;
        while let Some(key) = go.pop() {
            go.extend(probes.accepted(&key));
            rounds += 1;
        }
        assert_eq!((rounds, probes.waiting().count()), (100, 0), "each once");
        assert!(probes.accepted(&keys[0]).is_empty(), "it was not refused");
    }
}
