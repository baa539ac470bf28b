//! Whether a route may remove so much: evidence decides. Pure: time is given.

use super::give_back;
use crate::spec::GuardLimits;
use causeway_core::HoldReason;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Holding {
    pub why: HoldReason,
    pub since: Instant,
}

/// One route's guard.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    limits: GuardLimits,
    /// What passed within the window, each once: a removal that fails is planned again.
    removed: BTreeSet<u64>,
    /// When each of them passed, oldest first.
    passed: VecDeque<(Instant, u64)>,
    /// How many records the route held when the window's first removal came.
    whole: usize,
    pub holding: Option<Holding>,
}

impl Guard {
    pub fn new(limits: GuardLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub fn set_limits(&mut self, limits: GuardLimits) {
        self.limits = limits;
    }

    /// Forgets what passed before the window.
    pub fn forget(&mut self, now: Instant) {
        while let Some((_, key)) = self.passed.pop_front_if(|(at, _)| now - *at > self.limits.window) {
            self.removed.remove(&key);
        }
        give_back(&mut self.passed);
    }

    /// Which of these witnessed removals may pass now, out of `total` records that the route holds; `wanted` names each
    /// by a hash that stays the same.
    pub fn witnessed(&mut self, wanted: &[u64], total: usize, now: Instant) -> Vec<bool> {
        self.forget(now);
        let held = matches!(&self.holding, Some(Holding { why: HoldReason::Burst, .. }));
        // What passed may still stand in the ledger, so the total cannot be had by adding.
        self.whole = if self.removed.is_empty() { total } else { self.whole.max(total) };
        let limit = self.limits.floor.max((self.whole as f64 * self.limits.share) as usize);
        let mut pass = Vec::with_capacity(wanted.len());
        for key in wanted {
            let known = self.removed.contains(key);
            let passes = known || (!held && self.removed.len() < limit);
            if passes && !known {
                self.removed.insert(*key);
                self.passed.push_back((now, *key));
            }
            pass.push(passes);
        }
        if pass.contains(&false) && self.holding.is_none() {
            self.holding = Some(Holding { why: HoldReason::Burst, since: now });
        }
        pass
    }

    /// Whether removals without a witness may pass. `missing` of `total` records are missing from a part; `emptied`:
    /// nothing of the part is left in the source.
    pub fn implied(&mut self, part: &Arc<str>, missing: usize, total: usize, emptied: bool, now: Instant) -> bool {
        let limit = self.limits.implied_floor.max((total as f64 * self.limits.share) as usize);
        let hold = missing > 0 && (emptied || missing > limit);
        if hold && !matches!(&self.holding, Some(Holding { why: HoldReason::Wiped { .. }, .. })) {
            self.holding = Some(Holding { why: HoldReason::Wiped { part: part.clone() }, since: now });
        }
        !hold
    }

    /// When a hold of witnessed removals wants its second look.
    pub fn expires_at(&self) -> Option<Instant> {
        match &self.holding {
            Some(Holding { why: HoldReason::Burst, since }) => Some(*since + self.limits.hold),
            _ => None,
        }
    }

    /// Ends the hold: what it held was let go, one by one, or has come back. The guard itself stays as it is: what
    /// happens next is judged with everything that passed within the window.
    pub fn end_hold(&mut self) -> Option<Holding> {
        self.holding.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn guard() -> Guard {
        Guard::new(GuardLimits::default())
    }

    fn passed(guard: &mut Guard, wanted: std::ops::Range<u64>, total: usize, now: Instant) -> usize {
        let wanted: Vec<u64> = wanted.collect();
        guard.witnessed(&wanted, total, now).into_iter().filter(|passes| *passes).count()
    }

    #[test]
    fn a_burst_is_held_beyond_the_window() {
        let (mut guard, now) = (guard(), Instant::now());
        assert_eq!(passed(&mut guard, 0..100, 600, now), 100);
        assert_eq!(passed(&mut guard, 0..100, 600, now), 100, "tried again: not counted again");
        assert_eq!(
            passed(&mut guard, 100..200, 600, now),
            80,
            "30 % of 600 within the window, though none is written yet"
        );
        assert_eq!(passed(&mut guard, 200..201, 420, now), 0, "held");
        guard.end_hold();
        assert_eq!(passed(&mut guard, 200..400, 420, now), 0, "what passed still counts");
        guard.end_hold();
        let later = now + Duration::from_secs(61);
        assert_eq!(passed(&mut guard, 200..400, 420, later), 126, "another window");
    }

    #[test]
    fn few_may_always_go() {
        let (mut guard, now) = (guard(), Instant::now());
        assert_eq!(passed(&mut guard, 0..6, 6, now), 6);
        let later = now + Duration::from_secs(61);
        assert_eq!(passed(&mut guard, 10..60, 50, later), 50);
    }

    #[test]
    fn an_emptied_part_is_held_without_end() {
        let (mut guard, now, public) = (guard(), Instant::now(), Arc::from("public"));
        assert!(guard.implied(&public, 2, 100, false, now));
        assert!(!guard.implied(&public, 2, 2, true, now));
        assert_eq!(guard.expires_at(), None);
        let later = now + Duration::from_secs(3600);
        assert!(!guard.implied(&public, 2, 2, true, later));
        assert!(guard.end_hold().is_some());
        assert!(!guard.implied(&public, 2, 2, true, later), "the next loss was not released");
    }
}
