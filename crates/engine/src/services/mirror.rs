//! What we know of one cluster, part by part, and how far it can be believed. Pure: time is given.

mod names;
mod part;
mod portions;

pub(crate) use names::NameIndex;
pub(crate) use part::{PartState, Witness};
pub(crate) use portions::{Portion, portions};

use crate::kit::timetable::Timetable;
use causeway_core::{Error, InstanceId, Part, ServiceKey, Set, Update};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Witnessed removals are remembered for this long, and longer while a copy of them stands somewhere.
const WITNESS_MEMORY: Duration = Duration::from_secs(60);
/// What we wrote and the cluster has not reported after this time is looked for: servers lose what they have accepted, for
/// instance where they take in a peer's data after others could write already.
const REPORTED: Duration = Duration::from_secs(30);
/// The longest time after which the same scope is looked for again.
const REPORTED_AT_MOST: Duration = Duration::from_secs(600);
/// Scopes whose witnesses are looked at in one go.
const EXPIRING: usize = 1_000;

/// One cluster's contents.
#[derive(Default)]
pub(crate) struct Mirror {
    parts: BTreeMap<Part, PartState>,
    /// Why the whole cluster cannot be read now.
    pub error: Option<String>,
    /// Scopes of which something was seen to go, by the time when it is asked whether somebody still has to act on it.
    expiring: Timetable<ServiceKey>,
    /// Scopes that we have written, by the time when it is asked whether the cluster has reported that.
    unreported: Timetable<ServiceKey>,
    /// How often each of those was looked for that still is not reported.
    looked_for: BTreeMap<ServiceKey, u32>,
    /// Scopes of which nothing is known any more.
    gone: Vec<ServiceKey>,
    /// What else asks for services by name holds this too.
    names: Arc<NameIndex>,
}

impl Mirror {
    /// The services by name, whatever the case; kept from the first call on.
    pub fn names(&self) -> Arc<NameIndex> {
        self.names.start(self.parts.values().flat_map(|state| state.sets.values()));
        self.names.clone()
    }

    fn note_names(&self, part: &Part, changed: &BTreeSet<ServiceKey>) {
        let state = self.parts.get(part);
        changed
            .iter()
            .for_each(|scope| self.names.note(scope, state.and_then(|state| state.set(scope)).map(|set| &**set)));
    }

    /// The scopes after `after`, part by part; at most `limit`.
    pub fn after(&self, after: Option<&ServiceKey>, limit: usize) -> impl Iterator<Item = &Arc<Set>> {
        let part = after.map(ServiceKey::part);
        let from = part.clone().map_or(Bound::Unbounded, Bound::Included);
        let parts = self.parts.range((from, Bound::Unbounded));
        let sets = parts.flat_map(move |(this, state)| {
            let from = match (after, &part) {
                (Some(after), Some(part)) if part == this => Bound::Excluded(after),
                _ => Bound::Unbounded,
            };
            state.sets.range::<ServiceKey, _>((from, Bound::Unbounded)).map(|(_, set)| set)
        });
        sets.take(limit)
    }

    /// What went a while ago, by scope; each scope is to be told to [`Self::forget_witnesses`].
    pub fn expired_witnesses(&mut self, now: Instant) -> Vec<(ServiceKey, Vec<(InstanceId, Witness)>)> {
        let scopes: Vec<_> = std::iter::from_fn(|| self.expiring.pop(now)).take(EXPIRING).collect();
        let of = |scope: ServiceKey| {
            let seen = self.parts.get(&scope.part()).map_or(&[][..], |state| state.witnessed(&scope));
            let old = seen.iter().filter(|(_, witness)| now - witness.at >= WITNESS_MEMORY).cloned().collect();
            (scope, old)
        };
        scopes.into_iter().map(of).collect()
    }

    /// Forgets what was seen to go in a scope a while ago, except what is `needed`.
    pub fn forget_witnesses(&mut self, scope: &ServiceKey, needed: &BTreeSet<InstanceId>, now: Instant) {
        let Some(state) = self.parts.get_mut(&scope.part()) else { return };
        let Some(seen) = state.witnessed.get_mut(scope) else { return };
        seen.retain(|(id, witness)| now - witness.at < WITNESS_MEMORY || needed.contains(id));
        if !seen.is_empty() {
            return self.expire(scope, now);
        }
        state.witnessed.remove(scope);
        if !state.sets.contains_key(scope) {
            self.gone.push(scope.clone());
        }
    }

    /// It is asked in a while whether what was seen to go is still needed.
    fn expire(&mut self, scope: &ServiceKey, now: Instant) {
        if !self.expiring.contains(scope) {
            self.expiring.set(scope.clone(), now + WITNESS_MEMORY);
        }
    }

    /// Scopes of which nothing is known any more, since this was last asked.
    pub fn take_gone(&mut self) -> Vec<ServiceKey> {
        let mut gone = std::mem::take(&mut self.gone);
        // Some may have come back meanwhile.
        let knows = |state: &PartState, scope: &ServiceKey| {
            state.sets.contains_key(scope) || state.witnessed.contains_key(scope)
        };
        gone.retain(|scope| self.parts.get(&scope.part()).is_none_or(|state| !knows(state, scope)));
        gone
    }

    /// How many scopes, overlays, times and witnesses are kept.
    pub fn sizes(&self) -> [usize; 4] {
        let sum = |of: fn(&PartState) -> usize| self.parts.values().map(of).sum();
        [
            sum(|state| state.sets.len()),
            sum(|state| state.overlays.len()),
            sum(|state| state.changed.len()),
            sum(|state| state.witnessed.values().map(Vec::len).sum()),
        ]
    }

    pub fn part(&self, part: &Part) -> Option<&PartState> {
        self.parts.get(part)
    }

    pub fn parts(&self) -> &BTreeMap<Part, PartState> {
        &self.parts
    }

    pub fn set(&self, scope: &ServiceKey) -> Option<&Arc<Set>> {
        self.parts.get(&scope.part())?.set(scope)
    }

    /// The whole cluster, or one part of it, cannot be read any more.
    pub fn lost(&mut self, part: Option<&Part>, error: &Error, now: Instant) {
        match part {
            None => self.unknown(error.to_string()),
            Some(part) => {
                let state = self.parts.entry(part.clone()).or_insert_with(|| PartState::new(now));
                state.break_off(Some(error));
            }
        }
    }

    /// Nothing of the cluster is known any more, for this reason.
    pub fn unknown(&mut self, reason: String) {
        self.error = Some(reason);
        for state in self.parts.values_mut() {
            state.break_off(None);
        }
    }

    /// Takes an update of a watch in; returns the scopes that changed. `settle`: how long a connection must have held before
    /// what goes counts as seen; `None`: nobody reads here, and nothing that goes is remembered.
    pub fn update(&mut self, update: Update, settle: Option<Duration>, now: Instant) -> BTreeSet<ServiceKey> {
        self.error = None;
        match update {
            Update::Reset { part, title, sets } => {
                let mut changed = BTreeSet::new();
                for portion in portions(sets) {
                    changed.append(&mut self.reset(&part, portion, now));
                }
                self.complete(&part, title, now);
                changed
            }
            Update::Attributes(scope, attributes) => {
                let state = self.parts.get_mut(&scope.part());
                let news = state.is_some_and(|state| state.put_attributes(&scope, attributes));
                news.then_some(scope).into_iter().collect()
            }
            Update::Changed(mut set) => {
                let scope = set.scope.clone();
                let state = self.parts.entry(scope.part()).or_insert_with(|| PartState::new(now));
                state.keep_attributes(&mut set);
                if state.sets.get(&scope).is_some_and(|before| **before == set) {
                    state.changed.insert(scope.clone(), now);
                    // What we wrote has not come to be: that is news to the scope itself.
                    let written = state.overlays.remove(&scope).is_some_and(|overlay| *overlay != set);
                    return written.then_some(scope).into_iter().collect();
                }
                let believed = settle.is_some_and(|settle| state.freshness.believes(settle, now));
                state.put(set, believed, now);
                if state.witnessed.contains_key(&scope) {
                    self.expire(&scope, now);
                }
                let changed = BTreeSet::from([scope.clone()]);
                self.note_names(&scope.part(), &changed);
                changed
            }
            Update::Removed(scope) => self.update(Update::Changed(Set::empty(scope)), settle, now),
        }
    }

    /// Takes in a portion of what a watch says of a whole part; returns the scopes that changed. [`Self::complete`] comes
    /// after the last one, and no other update of the part between.
    pub fn reset(&mut self, part: &Part, portion: Portion, now: Instant) -> BTreeSet<ServiceKey> {
        let state = self.parts.entry(part.clone()).or_insert_with(|| PartState::new(now));
        let witnessed = std::mem::take(&mut state.witnessed);
        self.gone.extend(witnessed.into_keys().filter(|scope| !state.sets.contains_key(scope)));
        let changed = state.replace(portion, None, now);
        self.gone.append(&mut state.dropped);
        self.note_names(part, &changed);
        changed
    }

    /// The watch has said everything about a part.
    pub fn complete(&mut self, part: &Part, title: Option<Arc<str>>, now: Instant) {
        self.error = None;
        let state = self.parts.entry(part.clone()).or_insert_with(|| PartState::new(now));
        state.freshness.complete(now);
        (state.title, state.error, state.missing) = (title, None, false);
    }

    /// Takes in a portion of a complete look at one part that began at `began`; returns the scopes that changed. What
    /// changed by itself since then is newer and stays. [`Self::looked`] comes after the last portion.
    pub fn look(&mut self, part: &Part, portion: Portion, began: Instant, now: Instant) -> BTreeSet<ServiceKey> {
        let Some(state) = self.parts.get_mut(part).filter(|state| state.ready()) else { return BTreeSet::new() };
        let changed = state.replace(portion, Some(began), now);
        self.gone.append(&mut state.dropped);
        self.note_names(part, &changed);
        changed
    }

    /// A complete look at one part that began at `began` has been taken in.
    pub fn looked(&mut self, part: &Part, began: Instant) {
        if let Some(state) = self.parts.get_mut(part).filter(|state| state.ready()) {
            state.looked = Some(began);
        }
    }

    /// Notes a write of ours in the destination, before the destination itself reports it.
    pub fn overlay(&mut self, scope: &ServiceKey, now: Instant, change: impl FnOnce(&mut Set)) {
        if let Some(state) = self.parts.get_mut(&scope.part()) {
            let mut set = state.observed(scope).map_or_else(|| Set::empty(scope.clone()), |set| (**set).clone());
            change(&mut set);
            // A look that began before is older than this.
            state.changed.insert(scope.clone(), now);
            // The report was faster than the answer to the write: nothing is to be waited for.
            let is_reported = state.sets.get(scope).is_some_and(|reported| **reported == set);
            if is_reported && !state.overlays.contains_key(scope) {
                return;
            }
            state.overlays.insert(scope.clone(), Arc::new(set));
            if !self.unreported.contains(scope) {
                self.unreported.set(scope.clone(), now + self.patience(scope));
            }
        }
    }

    /// How long a write may stay unreported: longer for a scope that was looked for in vain.
    fn patience(&self, scope: &ServiceKey) -> Duration {
        let times = self.looked_for.get(scope).copied().unwrap_or_default();
        (REPORTED * 2_u32.saturating_pow(times)).min(REPORTED_AT_MOST)
    }

    /// Parts in which the cluster has not reported what we wrote a while ago.
    pub fn unreported(&mut self, now: Instant) -> BTreeSet<Part> {
        let mut parts = BTreeSet::new();
        while let Some(scope) = self.unreported.pop(now) {
            let (part, patience) = (scope.part(), self.patience(&scope));
            // What cannot be read is not looked at: it is read whole when it can be again.
            let state = self.parts.get_mut(&part).filter(|state| state.ready());
            let pending = state.and_then(|state| Some((state.overlays.get(&scope).cloned()?, state)));
            let Some((overlay, state)) = pending else {
                self.looked_for.remove(&scope);
                continue;
            };
            // Written and withdrawn before anything of it was reported.
            if overlay.records.is_empty() && !state.sets.contains_key(&scope) {
                state.overlays.remove(&scope);
                state.changed.remove(&scope);
                self.looked_for.remove(&scope);
                continue;
            }
            let written = state.changed.get(&scope).copied().unwrap_or(now);
            if written + patience > now {
                self.unreported.set(scope, written + patience);
                continue;
            }
            *self.looked_for.entry(scope.clone()).or_default() += 1;
            let again = now + self.patience(&scope);
            self.unreported.set(scope, again);
            parts.insert(part);
        }
        parts
    }
}

#[cfg(test)]
mod tests;
