//! Whether a route may remove so much: evidence decides. Pure: time is given.

use super::give_back;
use crate::spec::GuardLimits;
use crate::status::Hold;
use causeway_core::HoldReason;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A hold that holds nothing any more ends after this time.
const CALM: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Holding {
    why: HoldReason,
    since: Instant,
    /// Whether [`HoldNews::Began`] has told of it.
    told: bool,
}

/// What a look at a hold has found.
#[derive(Debug, PartialEq)]
pub(crate) enum HoldNews {
    Nothing,
    /// It began to hold removals.
    Began(HoldReason),
    /// It holds nothing any more, and has ended.
    CameBack,
    /// Its time was over then. What it holds may be released.
    RanOut(Instant),
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
    holding: Option<Holding>,
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
            self.hold_from(now, HoldReason::Burst);
        }
        pass
    }

    /// Whether removals without a witness may pass. `missing` of `total` records are missing from a part; `emptied`:
    /// nothing of the part is left in the source.
    pub fn implied(&mut self, part: &Arc<str>, missing: usize, total: usize, emptied: bool, now: Instant) -> bool {
        let limit = self.limits.implied_floor.max((total as f64 * self.limits.share) as usize);
        let hold = missing > 0 && (emptied || missing > limit);
        if hold && !matches!(&self.holding, Some(Holding { why: HoldReason::Wiped { .. }, .. })) {
            self.hold_from(now, HoldReason::Wiped { part: part.clone() });
        }
        !hold
    }

    fn hold_from(&mut self, now: Instant, why: HoldReason) {
        let told = self.holding.as_ref().is_some_and(|holding| holding.told);
        self.holding = Some(Holding { why, since: now, told });
    }

    /// The hold as it is shown.
    pub fn hold(&self, now: Instant) -> Option<Hold> {
        self.holding.as_ref().map(|holding| Hold { why: holding.why.clone(), age: now - holding.since })
    }

    /// Looks at the hold, which holds so many removals now.
    pub fn look(&mut self, held: usize, now: Instant) -> HoldNews {
        let Some(holding) = &mut self.holding else { return HoldNews::Nothing };
        if held == 0 {
            if now < holding.since + CALM {
                return HoldNews::Nothing;
            }
            let told = holding.told;
            self.end_hold();
            return if told { HoldNews::CameBack } else { HoldNews::Nothing };
        }
        if !std::mem::replace(&mut holding.told, true) {
            return HoldNews::Began(holding.why.clone());
        }
        let end = holding.since + self.limits.hold;
        match holding.why == HoldReason::Burst && now >= end {
            true => HoldNews::RanOut(end),
            false => HoldNews::Nothing,
        }
    }

    /// Ends the hold: what it held was let go, one by one, or has come back. The guard itself stays as it is: what
    /// happens next is judged with everything that passed within the window.
    pub fn end_hold(&mut self) {
        self.holding = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(guard.look(0, now), HoldNews::Nothing, "nothing is known to be held yet");
        assert_eq!(guard.look(1, now), HoldNews::Began(HoldReason::Burst));
        let end = now + Duration::from_secs(300);
        assert_eq!((guard.look(1, now), guard.look(1, end)), (HoldNews::Nothing, HoldNews::RanOut(end)));
        assert_eq!((guard.look(0, end), guard.hold(end)), (HoldNews::CameBack, None));
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
        assert!(matches!(guard.look(2, now), HoldNews::Began(HoldReason::Wiped { .. })));
        let later = now + Duration::from_secs(3600);
        assert!(!guard.implied(&public, 2, 2, true, later));
        assert_eq!(guard.look(2, later), HoldNews::Nothing);
        guard.end_hold();
        assert!(!guard.implied(&public, 2, 2, true, later), "the next loss was not released");
    }
}
