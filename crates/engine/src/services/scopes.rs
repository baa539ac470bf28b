//! How the last planning of each scope ended, and what that adds up to by task. The sums are changed together with the
//! scopes, so that showing them costs nothing.

use causeway_core::{InstanceId, OwnerId, Part, Reason, ServiceKey, Skip, SkipKind};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// What was left alone at one id, for whom, and since when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LeftRecord {
    pub skip: Skip,
    pub owner: Option<OwnerId>,
    pub since: Instant,
    /// Whether an event has told of it.
    pub told: bool,
}

impl LeftRecord {
    /// Whether a guard holds the removal for this task.
    pub fn holds(&self, owner: &OwnerId) -> bool {
        self.skip == Skip::RemovalLimit && self.owner.as_ref() == Some(owner)
    }
}

/// How the last planning of a scope ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeState {
    pub left: BTreeMap<InstanceId, LeftRecord>,
    /// What was left alone for another record that has its id, by its own id and its task.
    pub crowded: BTreeMap<(InstanceId, OwnerId), LeftRecord>,
    /// Changes planned and not yet accepted, by task.
    pub pending: BTreeMap<OwnerId, usize>,
    pub error: Option<Reason>,
}

impl ScopeState {
    fn is_empty(&self) -> bool {
        self.left.is_empty() && self.crowded.is_empty() && self.pending.is_empty() && self.error.is_none()
    }

    fn all_left(&self) -> impl Iterator<Item = &LeftRecord> {
        self.left.values().chain(self.crowded.values())
    }
}

/// The sums of one task.
#[derive(Default)]
pub(crate) struct Tally {
    /// Changes planned and not yet accepted.
    pub pending: usize,
    /// Scopes with such changes.
    pub pending_scopes: usize,
    /// Records left alone.
    pub skipped: BTreeMap<SkipKind, usize>,
    /// Scopes in which a guard holds removals, and how many.
    pub held: BTreeMap<ServiceKey, usize>,
    /// Scopes in which copies of another tool stand that no task wants, and how many.
    pub left_behind: BTreeMap<ServiceKey, usize>,
    /// Scopes whose last write failed and that still have something to write.
    pub failing: BTreeSet<ServiceKey>,
}

impl Tally {
    fn is_empty(&self) -> bool {
        self.pending == 0 && self.skipped.is_empty() && self.held.is_empty() && self.failing.is_empty()
    }
}

/// The scopes of one destination. Changed by [`Scopes::edit`] alone; a scope with nothing to say is not kept.
#[derive(Default)]
pub(crate) struct Scopes {
    states: BTreeMap<ServiceKey, ScopeState>,
    tallies: BTreeMap<OwnerId, Tally>,
}

impl Scopes {
    pub fn get(&self, scope: &ServiceKey) -> Option<&ScopeState> {
        self.states.get(scope)
    }

    /// The sums of a task; `None` when it has nothing pending, left alone or failing here.
    pub fn tally(&self, owner: &OwnerId) -> Option<&Tally> {
        self.tallies.get(owner)
    }

    /// The scopes with something to say about a task.
    pub fn of(&self, owner: &OwnerId) -> Vec<ServiceKey> {
        let is_of = |state: &ScopeState| {
            state.pending.contains_key(owner) || state.all_left().any(|left| left.owner.as_ref() == Some(owner))
        };
        self.states.iter().filter(|(_, state)| is_of(state)).map(|(scope, _)| scope.clone()).collect()
    }

    /// The scopes of a part with something to say.
    pub fn in_part(&self, part: &Part) -> Vec<ServiceKey> {
        self.states.keys().filter(|scope| scope.part() == *part).cloned().collect()
    }

    /// How many scopes have something to say.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Changes what is known of a scope.
    pub fn edit<T>(&mut self, scope: &ServiceKey, change: impl FnOnce(&mut ScopeState) -> T) -> T {
        let mut state = self.states.remove(scope).unwrap_or_default();
        self.subtract(scope, &state);
        let answer = change(&mut state);
        self.add(scope, &state);
        if !state.is_empty() {
            self.states.insert(scope.clone(), state);
        }
        answer
    }

    fn add(&mut self, scope: &ServiceKey, state: &ScopeState) {
        for (owner, count) in &state.pending {
            let tally = self.tallies.entry(owner.clone()).or_default();
            tally.pending += count;
            tally.pending_scopes += 1;
            if state.error.is_some() {
                tally.failing.insert(scope.clone());
            }
        }
        for left in state.all_left() {
            let Some(owner) = &left.owner else { continue };
            let tally = self.tallies.entry(owner.clone()).or_default();
            *tally.skipped.entry(left.skip.kind()).or_default() += 1;
            if left.skip == Skip::RemovalLimit {
                *tally.held.entry(scope.clone()).or_default() += 1;
            }
            if matches!(left.skip, Skip::LeftBehind { .. }) {
                *tally.left_behind.entry(scope.clone()).or_default() += 1;
            }
        }
    }

    fn subtract(&mut self, scope: &ServiceKey, state: &ScopeState) {
        let owners: BTreeSet<_> =
            state.pending.keys().chain(state.all_left().filter_map(|left| left.owner.as_ref())).collect();
        for owner in owners {
            let Some(tally) = self.tallies.get_mut(owner) else { continue };
            if let Some(count) = state.pending.get(owner) {
                tally.pending -= count;
                tally.pending_scopes -= 1;
            }
            tally.failing.remove(scope);
            tally.held.remove(scope);
            tally.left_behind.remove(scope);
            for left in state.all_left().filter(|left| left.owner.as_ref() == Some(owner)) {
                let kind = left.skip.kind();
                if let Some(count) = tally.skipped.get_mut(&kind) {
                    *count -= 1;
                    if *count == 0 {
                        tally.skipped.remove(&kind);
                    }
                }
            }
            if tally.is_empty() {
                self.tallies.remove(owner);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use causeway_core::{Instance, InstanceId, ServiceKey};

    fn left(id: &str, owner: &OwnerId, skip: Skip) -> (InstanceId, LeftRecord) {
        let left = LeftRecord { skip, owner: Some(owner.clone()), since: Instant::now(), told: false };
        (Instance::new(id, 80).id(), left)
    }

    #[test]
    fn sums_follow_every_change_and_leave_nothing_behind() {
        let (owner, other) = (OwnerId::new("i", "t"), OwnerId::new("i", "u"));
        let scope = |name: &str| ServiceKey::new("public", "g", name);
        let mut scopes = Scopes::default();
        for name in ["a", "b"] {
            scopes.edit(&scope(name), |state| {
                state.pending.insert(owner.clone(), 2);
                state.error = Some(Reason::Text { text: "refused".into() });
                state.left.extend([
                    left("127.0.0.1", &owner, Skip::RemovalLimit),
                    left("127.0.0.2", &owner, Skip::Rejected { why: format!("{name} has no weight") }),
                    left("127.0.0.3", &other, Skip::Mode),
                ]);
            });
        }
        let tally = scopes.tally(&owner).unwrap();
        assert_eq!((tally.pending, tally.failing.len(), tally.held.values().sum::<usize>()), (4, 2, 2));
        assert_eq!(tally.pending_scopes, 2);
        assert_eq!(tally.skipped[&SkipKind::Rejected], 2, "counted by kind, not by words");
        assert_eq!(scopes.tally(&other).unwrap().skipped.len(), 1);
        scopes.edit(&scope("a"), |state| state.pending.clear());
        let tally = scopes.tally(&owner).unwrap();
        assert_eq!((tally.pending, tally.failing.len()), (2, 1), "without anything to write nothing fails");
        scopes.edit(&scope("a"), |state| *state = ScopeState::default());
        scopes.edit(&scope("b"), |state| *state = ScopeState::default());
        assert_eq!((scopes.states.len(), scopes.tallies.len()), (0, 0));
    }
}
