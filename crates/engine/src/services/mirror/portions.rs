//! A complete look is taken in by portions.

use causeway_core::{ServiceKey, Set};
use std::collections::VecDeque;
use std::ops::Bound;

/// Neighbouring scopes of one part, in order, and what a complete look has found of them.
pub(crate) struct Portion {
    pub(super) sets: Vec<Set>,
    /// Everything between belongs to it, also what was not found.
    pub(super) between: (Bound<ServiceKey>, Bound<ServiceKey>),
}

/// Scopes that are taken in at once: no lock is held, and nothing else kept waiting, for more than that takes.
const PORTION: usize = 256;

/// Everything that a complete look has found, in portions; at least one.
pub(crate) fn portions(mut sets: Vec<Set>) -> VecDeque<Portion> {
    sets.sort_by(|a, b| a.scope.cmp(&b.scope));
    let mut portions = VecDeque::with_capacity(sets.len() / PORTION + 1);
    let mut sets = sets.into_iter().peekable();
    let mut from = Bound::Unbounded;
    loop {
        let some: Vec<_> = sets.by_ref().take(PORTION).collect();
        let to = match (sets.peek(), some.last()) {
            (Some(_), Some(last)) => Bound::Included(last.scope.clone()),
            _ => Bound::Unbounded,
        };
        let next = match &to {
            Bound::Included(scope) => Some(Bound::Excluded(scope.clone())),
            _ => None,
        };
        portions.push_back(Portion { sets: some, between: (from, to) });
        match next {
            Some(next) => from = next,
            None => return portions,
        }
    }
}
