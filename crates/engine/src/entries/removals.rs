//! What may be removed from one side: the guard, and what it holds.

use crate::kit::guard::{Guard, HoldNews};
use crate::kit::hash;
use crate::spec::GuardLimits;
use crate::status::Hold;
use causeway_core::{EntryKey, Evidence, Part};
use std::collections::BTreeSet;
use tokio::time::Instant;

/// What a part has lost, for the guard to judge.
pub(crate) struct Loss {
    pub part: Part,
    /// Entries that both sides had, and that are missing without a witness.
    pub missing: usize,
    /// Entries that both sides had.
    pub total: usize,
    /// Nothing of the part is left.
    pub emptied: bool,
}

/// The removals from one side that a guard has judged.
#[derive(Default)]
pub(crate) struct Removals {
    pub guard: Guard,
    held: BTreeSet<EntryKey>,
    /// What was held and may go now.
    cleared: BTreeSet<EntryKey>,
}

impl Removals {
    pub fn new(limits: GuardLimits) -> Self {
        Self { guard: Guard::new(limits), ..Self::default() }
    }

    /// Whether it holds this removal now.
    pub fn holds(&self, key: &EntryKey) -> bool {
        self.held.contains(key)
    }

    pub fn held(&self) -> usize {
        self.held.len()
    }

    pub fn held_keys(&self) -> impl Iterator<Item = &EntryKey> {
        self.held.iter()
    }

    pub fn hold(&self, now: Instant) -> Option<Hold> {
        self.guard.hold(now).filter(|_| !self.held.is_empty())
    }

    /// Looks at the hold.
    pub fn look(&mut self, now: Instant) -> HoldNews {
        self.guard.look(self.held.len(), now)
    }

    /// The entry is not what it was: whatever was said of its removal says nothing any more.
    pub fn forget(&mut self, key: &EntryKey) {
        self.held.remove(key);
        self.cleared.remove(key);
    }

    /// Keeps only what `still` names.
    pub fn retain(&mut self, still: impl Fn(&EntryKey) -> bool) {
        self.held.retain(&still);
        self.cleared.retain(&still);
    }

    /// Which of these removals may be made now, out of `total` entries; the others are held. `losses` speaks for those
    /// without a witness, by part.
    pub fn admit(
        &mut self,
        removals: &[(EntryKey, Evidence)],
        total: usize,
        losses: &[Loss],
        now: Instant,
    ) -> Vec<bool> {
        let asks = |(key, _): &&(EntryKey, Evidence)| !self.cleared.contains(key);
        let (seen, missing): (Vec<_>, Vec<_>) =
            removals.iter().filter(asks).partition(|(_, evidence)| *evidence == Evidence::Witnessed);
        let seen: Vec<u64> = seen.into_iter().map(|(key, _)| hash(key)).collect();
        let missing = !missing.is_empty();
        let mut seen = if seen.is_empty() { Vec::new() } else { self.guard.witnessed(&seen, total, now) }.into_iter();
        let held: BTreeSet<_> = losses
            .iter()
            .filter(|loss| {
                let Loss { part, missing: count, total, emptied } = loss;
                missing && !self.guard.implied(&part.0, *count, *total, *emptied, now)
            })
            .map(|loss| &loss.part.0)
            .collect();
        let mut pass = Vec::with_capacity(removals.len());
        for (key, evidence) in removals {
            let may = self.cleared.contains(key)
                || match evidence {
                    Evidence::Witnessed => seen.next().unwrap_or_default(),
                    Evidence::Implied => !held.contains(&key.namespace),
                };
            match may {
                true => drop(self.held.remove(key)),
                false => drop(self.held.insert(key.clone())),
            }
            pass.push(may);
        }
        pass
    }

    /// Lets go of exactly what is held now, and of what `waiting` names besides; returns what was held.
    pub fn release(&mut self, waiting: impl IntoIterator<Item = EntryKey>) -> Vec<EntryKey> {
        self.guard.end_hold();
        self.cleared.extend(waiting);
        let held = std::mem::take(&mut self.held);
        self.cleared.extend(held.iter().cloned());
        held.into_iter().collect()
    }
}
