//! What we know of one cluster, part by part, and how far it can be believed. Pure: time is given.

use causeway_core::{Error, Fresh, Held, InstanceId, Part, ServiceKey, Set, Update};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Witnessed removals are remembered for this long, and longer while a copy of them stands somewhere.
const WITNESS_MEMORY: Duration = Duration::from_secs(60);
/// Scopes whose witnesses are looked at in one go.
const EXPIRING: usize = 1_000;

/// One cluster's contents.
#[derive(Default)]
pub(crate) struct Mirror {
    parts: BTreeMap<Part, PartState>,
    /// Why the whole cluster cannot be read now.
    pub error: Option<String>,
    /// Scopes of which something was seen to go, by the time when it is asked whether somebody still has to act on it. Each
    /// is in here once.
    expiring: VecDeque<(Instant, ServiceKey)>,
    expires: BTreeSet<ServiceKey>,
    /// Scopes of which nothing is known any more.
    gone: Vec<ServiceKey>,
}

/// A record was seen to go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Witness {
    pub at: Instant,
    /// It was the last of its scope.
    pub emptied: bool,
    /// What stood there. A destination may know it by another id.
    pub last: Held,
}

pub(crate) struct PartState {
    pub title: Option<Arc<str>>,
    pub error: Option<String>,
    /// The cluster has said that there is no such part.
    pub missing: bool,
    connected: bool,
    /// The connection has not broken since this process first saw the part.
    calm: bool,
    /// When it was first complete on this connection, and last growth while settling.
    complete: Option<Instant>,
    grown: Instant,
    /// Since when something is missing without a witness.
    pub implied: Instant,
    /// When the last complete look began.
    pub looked: Option<Instant>,
    sets: BTreeMap<ServiceKey, Arc<Set>>,
    /// How many of them have records.
    filled: usize,
    /// What we wrote and the cluster has not reported yet. Only the planning of that very scope sees it.
    overlays: BTreeMap<ServiceKey, Arc<Set>>,
    /// When each scope was last reported or written.
    changed: BTreeMap<ServiceKey, Instant>,
    witnessed: BTreeMap<ServiceKey, BTreeMap<InstanceId, Witness>>,
    /// Scopes of which nothing is known any more.
    dropped: Vec<ServiceKey>,
}

impl PartState {
    fn new(now: Instant) -> Self {
        Self {
            title: None,
            error: None,
            missing: false,
            connected: false,
            calm: true,
            complete: None,
            grown: now,
            implied: now,
            looked: None,
            sets: BTreeMap::new(),
            filled: 0,
            overlays: BTreeMap::new(),
            changed: BTreeMap::new(),
            witnessed: BTreeMap::new(),
            dropped: Vec::new(),
        }
    }

    /// When the part will be settled, if nothing grows or breaks.
    pub fn settles_at(&self, settle: Duration) -> Option<Instant> {
        let complete = self.complete.filter(|_| self.connected)?;
        // It may settle later while it still grows, but an estate in normal motion must settle some time.
        Some((self.grown + settle).min(complete + 4 * settle).max(complete + settle))
    }

    pub fn fresh(&self, settle: Duration, now: Instant) -> Fresh {
        match self.settles_at(settle) {
            None => Fresh::Stale,
            Some(at) if now < at => Fresh::Settling,
            Some(_) => Fresh::Settled,
        }
    }

    /// Connected and complete.
    pub fn ready(&self) -> bool {
        self.connected && self.complete.is_some()
    }

    pub fn sets(&self) -> &BTreeMap<ServiceKey, Arc<Set>> {
        &self.sets
    }

    /// How many scopes have records.
    pub fn filled(&self) -> usize {
        self.filled
    }

    pub fn set(&self, scope: &ServiceKey) -> Option<&Arc<Set>> {
        self.sets.get(scope)
    }

    /// What stands in a scope of a destination: as reported, or as we wrote it a moment ago.
    pub fn observed(&self, scope: &ServiceKey) -> Option<&Arc<Set>> {
        self.overlays.get(scope).or_else(|| self.sets.get(scope))
    }

    /// Every scope as it stands: as reported, or as we wrote it a moment ago.
    pub fn shown(&self) -> impl Iterator<Item = &Arc<Set>> {
        let reported = self.sets.iter().filter(|(scope, _)| !self.overlays.contains_key(*scope)).map(|(_, set)| set);
        reported.chain(self.overlays.values())
    }

    /// When a scope was last reported or written.
    pub fn changed(&self, scope: &ServiceKey) -> Option<Instant> {
        self.changed.get(scope).copied()
    }

    pub fn witnessed(&self, scope: &ServiceKey) -> Option<&BTreeMap<InstanceId, Witness>> {
        self.witnessed.get(scope)
    }

    fn put(&mut self, set: Set, believed: bool, now: Instant) {
        let scope = set.scope.clone();
        self.overlays.remove(&scope);
        let before = self.sets.get(&scope);
        let here = |set: &Set, id: &InstanceId| set.records.get(id).is_some_and(leaves);
        let grew = set.records.keys().any(|id| before.is_none_or(|before| !before.records.contains_key(id)));
        if grew {
            self.grown = now;
        }
        let seen = self.witnessed.entry(scope.clone()).or_default();
        seen.retain(|id, _| !here(&set, id));
        if let Some(before) = before {
            let gone = before.records.iter().filter(|(id, held)| leaves(held) && !here(&set, id));
            let emptied = !set.records.values().any(leaves);
            for (id, last) in gone {
                if believed {
                    seen.insert(id.clone(), Witness { at: now, emptied, last: last.clone() });
                } else {
                    self.implied = now;
                }
            }
        }
        if seen.is_empty() {
            self.witnessed.remove(&scope);
        }
        self.changed.insert(scope.clone(), now);
        self.filled += usize::from(!set.records.is_empty());
        let before = self.sets.insert(scope, Arc::new(set));
        self.filled -= usize::from(before.is_some_and(|before| !before.records.is_empty()));
    }
}

/// Neighbouring scopes of one part, in order, and what a complete look has found of them.
pub(crate) struct Portion {
    sets: Vec<Set>,
    /// Everything between belongs to it, also what was not found.
    between: (Bound<ServiceKey>, Bound<ServiceKey>),
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

impl Mirror {
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
    pub fn old_witnesses(&mut self, now: Instant) -> Vec<(ServiceKey, Vec<(InstanceId, Witness)>)> {
        let old = self.expiring.iter().take(EXPIRING).take_while(|(at, _)| *at <= now).count();
        let scopes: Vec<_> = self.expiring.drain(..old).map(|(_, scope)| scope).collect();
        let of = |scope: ServiceKey| {
            self.expires.remove(&scope);
            let seen = self.parts.get(&scope.part()).and_then(|state| state.witnessed.get(&scope));
            let old = seen.into_iter().flatten().filter(|(_, witness)| now - witness.at >= WITNESS_MEMORY);
            let old = old.map(|(id, witness)| (id.clone(), witness.clone())).collect();
            (scope, old)
        };
        scopes.into_iter().map(of).collect()
    }

    /// Forgets what was seen to go in a scope a while ago, except what is `needed`.
    pub fn forget_witnesses(&mut self, scope: &ServiceKey, needed: &BTreeSet<InstanceId>, now: Instant) {
        let Some(state) = self.parts.get_mut(&scope.part()) else { return };
        let Some(seen) = state.witnessed.get_mut(scope) else { return };
        seen.retain(|id, witness| now - witness.at < WITNESS_MEMORY || needed.contains(id));
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
        if self.expires.insert(scope.clone()) {
            self.expiring.push_back((now + WITNESS_MEMORY, scope.clone()));
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
            sum(|state| state.witnessed.values().map(BTreeMap::len).sum()),
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

    /// Takes an update of a watch in; answers the scopes that changed.
    pub fn update(&mut self, update: Update, settle: Duration, now: Instant) -> BTreeSet<ServiceKey> {
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
            Update::Changed(set) => {
                let scope = set.scope.clone();
                let state = self.parts.entry(scope.part()).or_insert_with(|| PartState::new(now));
                if state.sets.get(&scope).is_some_and(|before| **before == set) {
                    state.changed.insert(scope.clone(), now);
                    // What we wrote has not come to be: that is news to the scope itself.
                    let written = state.overlays.remove(&scope).is_some_and(|overlay| *overlay != set);
                    return written.then_some(scope).into_iter().collect();
                }
                let believed = match state.fresh(settle, now) {
                    Fresh::Stale => false,
                    // Seen to go on a connection that never broke: as good as on a settled one.
                    Fresh::Settling => state.calm,
                    Fresh::Settled => true,
                };
                state.put(set, believed, now);
                if state.witnessed.contains_key(&scope) {
                    self.expire(&scope, now);
                }
                BTreeSet::from([scope])
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
        changed
    }

    /// The watch has said everything about a part.
    pub fn complete(&mut self, part: &Part, title: Option<Arc<str>>, now: Instant) {
        self.error = None;
        let state = self.parts.entry(part.clone()).or_insert_with(|| PartState::new(now));
        // A connection that is already settled and reports itself again stays settled.
        if !state.connected || state.complete.is_none() {
            state.complete = Some(now);
            state.grown = now;
            state.implied = now;
            state.calm = state.calm && !state.connected;
        }
        state.title = title;
        state.connected = true;
        state.error = None;
        state.missing = false;
    }

    /// Takes in a portion of a complete look at one part that began at `began`; returns the scopes that changed. What
    /// changed by itself since then is newer and stays. [`Self::looked`] comes after the last portion.
    pub fn look(&mut self, part: &Part, portion: Portion, began: Instant, now: Instant) -> BTreeSet<ServiceKey> {
        let Some(state) = self.parts.get_mut(part).filter(|state| state.ready()) else { return BTreeSet::new() };
        let changed = state.replace(portion, Some(began), now);
        self.gone.append(&mut state.dropped);
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
            state.overlays.insert(scope.clone(), Arc::new(set));
            // A look that began before is older than this.
            state.changed.insert(scope.clone(), now);
        }
    }
}

/// Whether something at one id can leave the cluster. A record of ours that backs a native one (its path is empty) is
/// nothing of its own: when it is all that is left, the native has gone.
fn leaves(held: &Held) -> bool {
    held.native.is_some() || held.copies.iter().any(|copy| copy.mark().is_some_and(|mark| !mark.path.is_empty()))
}

impl PartState {
    fn break_off(&mut self, error: Option<&Error>) {
        self.connected = false;
        self.complete = None;
        self.calm = false;
        self.error = error.map(Error::to_string);
        self.missing = matches!(error, Some(Error::Missing(_)));
    }

    /// Replaces what did not change since `keep`; what is missing afterwards has no witness.
    fn replace(&mut self, portion: Portion, keep: Option<Instant>, now: Instant) -> BTreeSet<ServiceKey> {
        let Portion { sets, between } = portion;
        let newer = |changed: &BTreeMap<ServiceKey, Instant>, scope: &ServiceKey| {
            keep.is_some_and(|keep| changed.get(scope).is_some_and(|at| *at >= keep))
        };
        let mut touched = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for set in sets {
            let scope = set.scope.clone();
            seen.insert(scope.clone());
            if newer(&self.changed, &scope) {
                continue;
            }
            if self.sets.get(&scope).is_some_and(|before| **before == set) {
                if self.overlays.remove(&scope).is_some_and(|overlay| *overlay != set) {
                    touched.insert(scope);
                }
                continue;
            }
            self.put(set, false, now);
            touched.insert(scope);
        }
        // What we wrote and nobody has ever reported.
        let unseen: Vec<_> = {
            let written = self.overlays.range(between.clone()).map(|(scope, _)| scope);
            let alone = |scope: &&ServiceKey| !self.sets.contains_key(*scope) && !seen.contains(*scope);
            written.filter(alone).filter(|scope| !newer(&self.changed, scope)).cloned().collect()
        };
        for scope in &unseen {
            self.overlays.remove(scope);
            self.changed.remove(scope);
        }
        let known = self.sets.range(between).map(|(scope, _)| scope);
        let missing: Vec<_> = known.filter(|scope| !seen.contains(*scope)).cloned().collect();
        for scope in missing {
            if newer(&self.changed, &scope) {
                continue;
            }
            if self.sets.get(&scope).is_none_or(|set| set.records.is_empty()) {
                self.sets.remove(&scope);
                self.changed.remove(&scope);
                if !self.witnessed.contains_key(&scope) {
                    self.dropped.push(scope);
                }
                continue;
            }
            self.put(Set::empty(scope.clone()), false, now);
            touched.insert(scope);
        }
        touched.extend(unseen);
        touched
    }
}
