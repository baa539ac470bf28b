//! Scopes that are to be planned, each once, by the time they are due.

use crate::kit::earliest;
use crate::kit::timetable::Timetable;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use tokio::sync::Notify;
use tokio::time::Instant;

/// So many changes in a row go ahead of what sweeps have marked; then one of the latter has its turn.
const AHEAD: u32 = 8;

/// Why a scope is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Something happened to it.
    Live,
    /// Everything is looked at again, or has just been read for the first time. Live changes go ahead.
    Sweep,
}

/// A set of scopes with due times. Marking one twice keeps the earlier time: a storm of events is one entry.
pub(crate) struct ScopeQueue<S> {
    state: Mutex<QueueState<S>>,
    pub changed: Notify,
}

struct QueueState<S> {
    live: Timetable<S>,
    /// Due when nothing in `live` is.
    swept: BTreeSet<S>,
    /// When the first of them came.
    swept_since: Option<Instant>,
    /// How many live ones went ahead of them.
    ahead: u32,
}

impl<S: Clone + Ord> ScopeQueue<S> {
    pub fn new() -> Self {
        let state = QueueState { live: Timetable::default(), swept: BTreeSet::new(), swept_since: None, ahead: 0 };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Asks for `scope` to be planned at `at`, or sooner.
    pub fn mark(&self, scope: &S, at: Instant) {
        let mut state = self.state.lock();
        if state.live.get(scope).is_none_or(|before| at < before) {
            state.live.set(scope.clone(), at);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Asks for scopes to be planned when no change is due.
    pub fn sweep(&self, scopes: impl IntoIterator<Item = S>, now: Instant) {
        let mut state = self.state.lock();
        state.swept.extend(scopes);
        if !state.swept.is_empty() {
            state.swept_since.get_or_insert(now);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Marks a scope as due now.
    pub fn mark_as(&self, urgency: Urgency, scope: &S, now: Instant) {
        match urgency {
            Urgency::Live => self.mark(scope, now),
            Urgency::Sweep => self.sweep([scope.clone()], now),
        }
    }

    /// Takes the scope that is due the longest, live ones first.
    pub fn pop(&self, now: Instant) -> Option<S> {
        let state = &mut *self.state.lock();
        let may_go_ahead = state.swept.is_empty() || state.ahead < AHEAD;
        let scope = if let Some(scope) = may_go_ahead.then(|| state.live.pop(now)).flatten() {
            state.ahead += 1;
            state.swept.remove(&scope);
            scope
        } else {
            let scope = state.swept.pop_first()?;
            state.ahead = 0;
            if state.live.get(&scope).is_some_and(|at| at <= now) {
                state.live.remove(&scope);
            }
            scope
        };
        if state.swept.is_empty() {
            (state.swept_since, state.ahead) = (None, 0);
        }
        Some(scope)
    }

    /// When the next scope is due.
    pub fn next(&self) -> Option<Instant> {
        let state = self.state.lock();
        earliest([state.live.next(), state.swept_since])
    }

    /// How many scopes wait for their turn after live ones.
    pub fn swept(&self) -> usize {
        self.state.lock().swept.len()
    }

    /// How many scopes are marked.
    pub fn len(&self) -> usize {
        let state = self.state.lock();
        state.live.len() + state.swept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_scope_once_and_the_earliest_time_wins() {
        let (queue, now) = (ScopeQueue::new(), Instant::now());
        queue.mark(&"b", now + Duration::from_secs(2));
        queue.mark(&"a", now + Duration::from_secs(1));
        queue.mark(&"b", now);
        queue.mark(&"b", now + Duration::from_secs(9));
        assert_eq!((queue.pop(now), queue.pop(now)), (Some("b"), None));
        assert_eq!(queue.next(), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_live_change_goes_ahead_of_a_sweep_and_does_not_starve_it() {
        let (queue, now) = (ScopeQueue::new(), Instant::now());
        queue.sweep(0..1_000, now);
        queue.mark(&500, now);
        assert_eq!(queue.next(), Some(now));
        assert_eq!(queue.pop(now), Some(500), "999 others wait");
        assert_eq!(queue.pop(now), Some(0));
        let mut swept = 0;
        for n in 0..900 {
            queue.mark(&(10_000 + n), now);
            swept += usize::from(queue.pop(now).is_some_and(|scope| scope < 10_000));
        }
        assert_eq!(swept, 100, "one of nine");
        while queue.pop(now).is_some() {}
        assert_eq!((queue.len(), queue.next()), (0, None));
    }

    #[test]
    fn what_is_marked_twice_is_planned_once() {
        let (queue, now) = (ScopeQueue::new(), Instant::now());
        queue.mark(&1, now);
        queue.sweep([1], now);
        assert_eq!((queue.pop(now), queue.pop(now)), (Some(1), None));
        queue.mark(&2, now + Duration::from_secs(5));
        queue.sweep([2], now);
        assert_eq!((queue.pop(now), queue.pop(now)), (Some(2), None));
        assert_eq!(queue.next(), Some(now + Duration::from_secs(5)), "a later look was asked for, and stays");
    }
}
