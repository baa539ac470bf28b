//! Scopes that want planning, each once, by the time they are due.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A set of scopes with due times. Marking one twice keeps the earlier time: a storm of events is one entry.
pub(crate) struct Queue<S> {
    state: Mutex<State<S>>,
    pub changed: Notify,
}

struct State<S> {
    due: BTreeMap<S, Instant>,
    order: BTreeSet<(Instant, S)>,
}

impl<S: Clone + Ord> Queue<S> {
    pub fn new() -> Self {
        Self { state: Mutex::new(State { due: BTreeMap::new(), order: BTreeSet::new() }), changed: Notify::new() }
    }

    /// Wants `scope` planned at `at`, or sooner.
    pub fn mark(&self, scope: &S, at: Instant) {
        let mut state = self.state.lock();
        if let Some(before) = state.due.get(scope).copied() {
            if before <= at {
                return;
            }
            state.order.remove(&(before, scope.clone()));
        }
        state.due.insert(scope.clone(), at);
        state.order.insert((at, scope.clone()));
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the scope that is due the longest.
    pub fn pop(&self, now: Instant) -> Option<S> {
        let mut state = self.state.lock();
        let (at, scope) = state.order.first().cloned()?;
        if at > now {
            return None;
        }
        state.order.remove(&(at, scope.clone()));
        state.due.remove(&scope);
        Some(scope)
    }

    /// When the next scope is due.
    pub fn next(&self) -> Option<Instant> {
        self.state.lock().order.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_scope_once_and_the_earliest_time_wins() {
        let (queue, now) = (Queue::new(), Instant::now());
        queue.mark(&"b", now + Duration::from_secs(2));
        queue.mark(&"a", now + Duration::from_secs(1));
        queue.mark(&"b", now);
        queue.mark(&"b", now + Duration::from_secs(9));
        assert_eq!((queue.pop(now), queue.pop(now)), (Some("b"), None));
        assert_eq!(queue.next(), Some(now + Duration::from_secs(1)));
    }
}
