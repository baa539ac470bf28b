//! Marks everything of a destination for planning, a portion at a time: the caller does not wait for it, no lock
//! is held for long, and live changes go ahead of it.

use crate::services::cluster::ActiveCluster;
use crate::services::route::ActiveRoute;
use causeway_core::{Instance, Occupants, OwnerId, Part, ServiceKey, Written};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use tokio::time::Instant;

/// Scopes that are looked at in one go.
const PORTION: usize = 256;

/// The scopes to be marked of those that were looked at, and the last one that was.
type SweepPortion = (Vec<ServiceKey>, Option<ServiceKey>);

/// What is to be marked in a destination.
pub(crate) enum Coverage {
    /// What a route wants there, in one of the destination's parts or in all.
    Wanted(Arc<ActiveRoute>, Option<Part>),
    /// What the ledger has: of one task or of all, in one part or in all.
    Held(Option<OwnerId>, Option<Part>),
    /// Copies of ours of which it is forgotten whose: no ledger names them.
    Lost,
    /// Copies of the tool that a route takes over.
    Theirs(Arc<ActiveRoute>),
}

impl Coverage {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wanted(a, in_a), Self::Wanted(b, in_b)) => Arc::ptr_eq(a, b) && in_a == in_b,
            (Self::Held(a, in_a), Self::Held(b, in_b)) => a == b && in_a == in_b,
            (Self::Lost, Self::Lost) => true,
            (Self::Theirs(a), Self::Theirs(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

struct Sweep {
    what: Coverage,
    /// The last scope that was looked at.
    after: Option<ServiceKey>,
}

/// The sweeps that a destination still has to make, in order. Of each kind one may be under way and one be waiting.
#[derive(Default)]
pub(crate) struct Sweeps(Mutex<SweepState>);

#[derive(Default)]
struct SweepState {
    waiting: VecDeque<Sweep>,
    /// A portion of one that was taken out is being marked.
    marking: bool,
}

impl Sweeps {
    /// Whether nothing is left to be marked.
    pub fn is_empty(&self) -> bool {
        let state = self.0.lock();
        state.waiting.is_empty() && !state.marking
    }

    /// Whoever was marking has panicked.
    pub fn crashed(&self) {
        self.0.lock().marking = false;
    }

    fn add(&self, what: Coverage) {
        let sweeps = &mut self.0.lock().waiting;
        if !sweeps.iter().any(|sweep| sweep.after.is_none() && sweep.what.same(&what)) {
            sweeps.push_back(Sweep { what, after: None });
        }
    }
}

impl ActiveCluster {
    /// Asks for a sweep.
    pub fn sweep(&self, what: Coverage) {
        if self.sink.is_some() {
            self.sweeps.add(what);
            self.queue.changed.notify_one();
        }
    }

    /// Whether a sweep goes on: while few of the scopes that it has marked wait to be planned.
    pub fn may_sweep(&self) -> bool {
        !self.sweeps.is_empty() && self.queue.swept() < PORTION
    }

    /// Goes on with the first sweep by one portion.
    pub fn sweep_on(&self, now: Instant) {
        if !self.may_sweep() {
            return;
        }
        let Sweep { what, after } = {
            let mut state = self.sweeps.0.lock();
            let Some(sweep) = state.waiting.pop_front() else { return };
            state.marking = true;
            sweep
        };
        let (scopes, last) = match &what {
            Coverage::Wanted(route, part) => self.next_wanted(route, part.as_ref(), after.as_ref()),
            Coverage::Held(owner, part) => self.next_held(owner.as_ref(), part.as_ref(), after.as_ref()),
            Coverage::Lost => self.next_lost(after.as_ref()),
            Coverage::Theirs(route) => self.next_theirs(route, after.as_ref()),
        };
        self.queue.sweep(scopes, now);
        let mut state = self.sweeps.0.lock();
        state.marking = false;
        if last.is_some() {
            state.waiting.push_front(Sweep { what, after: last });
        }
    }

    fn next_wanted(&self, route: &Arc<ActiveRoute>, part: Option<&Part>, after: Option<&ServiceKey>) -> SweepPortion {
        // It may have ended meanwhile.
        if !self.inbound.read().iter().any(|one| Arc::ptr_eq(one, route)) {
            return SweepPortion::default();
        }
        let scopes: Vec<_> = route.source.mirror.lock().after(after, PORTION).map(|set| set.scope.clone()).collect();
        let targets = scopes.iter().flat_map(|scope| route.feed(scope));
        let targets = targets.filter(|target| part.is_none_or(|part| target.part() == *part)).collect();
        (targets, scopes.last().cloned())
    }

    fn next_held(&self, owner: Option<&OwnerId>, part: Option<&Part>, after: Option<&ServiceKey>) -> SweepPortion {
        let ledger = self.ledger.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let portion = || ledger.range::<ServiceKey, _>((from, Bound::Unbounded)).take(PORTION);
        let is_of = |written: &Written, owner: &OwnerId| written.records.values().any(|record| record.owner == *owner);
        let held = portion().filter(|(scope, written)| {
            part.is_none_or(|part| scope.part() == *part) && owner.is_none_or(|owner| is_of(written, owner))
        });
        (held.map(|(scope, _)| scope.clone()).collect(), portion().last().map(|(scope, _)| scope.clone()))
    }

    fn next_lost(&self, after: Option<&ServiceKey>) -> SweepPortion {
        let is_lost = |held: &Occupants| held.copies.iter().filter_map(Instance::mark).any(|mark| mark.owner.is_lost());
        let mirror = self.mirror.lock();
        let lost = mirror.after(after, PORTION).filter(|set| set.records.values().any(is_lost));
        let last = mirror.after(after, PORTION).last();
        (lost.map(|set| set.scope.clone()).collect(), last.map(|set| set.scope.clone()))
    }

    fn next_theirs(&self, route: &ActiveRoute, after: Option<&ServiceKey>) -> SweepPortion {
        let Some(spec) = &route.spec.take_over else { return SweepPortion::default() };
        let mirror = self.mirror.lock();
        let theirs = mirror.after(after, PORTION).filter(|set| Self::holds_theirs(set, &spec.tool));
        let last = mirror.after(after, PORTION).last();
        (theirs.map(|set| set.scope.clone()).collect(), last.map(|set| set.scope.clone()))
    }
}
