//! What we know of one part of a cluster, and how far it can be believed.

use super::portions::Portion;
use crate::kit::freshness::Freshness;
use causeway_core::{Attributes, Error, InstanceId, Occupants, ServiceKey, Set};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// A record was seen to go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Witness {
    pub at: Instant,
    /// It was the last of its scope.
    pub emptied: bool,
    /// What stood there. A destination may know it by another id.
    pub last: Occupants,
}

pub(crate) struct PartState {
    pub title: Option<Arc<str>>,
    pub error: Option<String>,
    /// The cluster has said that there is no such part.
    pub missing: bool,
    pub freshness: Freshness,
    /// When the last complete look began.
    pub looked: Option<Instant>,
    pub(super) sets: BTreeMap<ServiceKey, Arc<Set>>,
    /// How many of them have records.
    filled: usize,
    /// What we wrote and the cluster has not reported yet. Only the planning of that very scope sees it.
    pub(super) overlays: BTreeMap<ServiceKey, Arc<Set>>,
    /// When each scope was last reported or written.
    pub(super) changed: BTreeMap<ServiceKey, Instant>,
    /// What was seen to go, each id once. Short lists: a map would take ten times the memory for one record.
    pub(super) witnessed: BTreeMap<ServiceKey, Vec<(InstanceId, Witness)>>,
    /// Scopes of which nothing is known any more.
    pub(super) dropped: Vec<ServiceKey>,
}

impl PartState {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            title: None,
            error: None,
            missing: false,
            freshness: Freshness::new(now),
            looked: None,
            sets: BTreeMap::new(),
            filled: 0,
            overlays: BTreeMap::new(),
            changed: BTreeMap::new(),
            witnessed: BTreeMap::new(),
            dropped: Vec::new(),
        }
    }

    /// Connected and complete.
    pub fn ready(&self) -> bool {
        self.freshness.is_ready()
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

    /// What was known of a scope itself stays where a report says nothing of it.
    pub(super) fn keep_attributes(&self, set: &mut Set) {
        if set.attributes.is_none()
            && let Some(before) = self.observed(&set.scope)
        {
            set.attributes.clone_from(&before.attributes);
        }
    }

    /// Takes in what belongs to a scope itself; whether that is news.
    pub(super) fn put_attributes(&mut self, scope: &ServiceKey, attributes: Attributes) -> bool {
        let mut news = false;
        for set in [self.sets.get_mut(scope), self.overlays.get_mut(scope)].into_iter().flatten() {
            if set.attributes.as_ref() != Some(&attributes) {
                Arc::make_mut(set).attributes = Some(attributes.clone());
                news = true;
            }
        }
        news
    }

    /// When a scope was last reported or written.
    pub fn changed(&self, scope: &ServiceKey) -> Option<Instant> {
        self.changed.get(scope).copied()
    }

    pub fn witnessed(&self, scope: &ServiceKey) -> &[(InstanceId, Witness)] {
        self.witnessed.get(scope).map_or(&[], Vec::as_slice)
    }

    pub(super) fn put(&mut self, mut set: Set, believed: bool, now: Instant) {
        self.keep_attributes(&mut set);
        let scope = set.scope.clone();
        self.overlays.remove(&scope);
        let before = self.sets.get(&scope);
        let here = |set: &Set, id: &InstanceId| set.records.get(id).is_some_and(leaves);
        let grew = set.records.keys().any(|id| before.is_none_or(|before| !before.records.contains_key(id)));
        if grew {
            self.freshness.grew(now);
        }
        let seen = self.witnessed.entry(scope.clone()).or_default();
        seen.retain(|(id, _)| !here(&set, id));
        if let Some(before) = before {
            let mut gone = before.records.iter().filter(|(id, held)| leaves(held) && !here(&set, id)).peekable();
            let emptied = !set.records.values().any(leaves);
            if believed {
                let witness = |last: &Occupants| Witness { at: now, emptied, last: last.clone() };
                seen.reserve_exact(gone.clone().count());
                seen.extend(gone.map(|(id, last)| (id.clone(), witness(last))));
            } else if gone.peek().is_some() {
                self.freshness.misses(now);
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

    pub(super) fn break_off(&mut self, error: Option<&Error>) {
        self.freshness.break_off();
        self.error = error.map(Error::to_string);
        self.missing = matches!(error, Some(Error::Missing(_)));
    }

    /// Replaces what did not change since `keep`; what is missing afterwards has no witness.
    pub(super) fn replace(&mut self, portion: Portion, keep: Option<Instant>, now: Instant) -> BTreeSet<ServiceKey> {
        let Portion { sets, between } = portion;
        let newer = |changed: &BTreeMap<ServiceKey, Instant>, scope: &ServiceKey| {
            keep.is_some_and(|keep| changed.get(scope).is_some_and(|at| *at >= keep))
        };
        let mut touched = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for mut set in sets {
            let scope = set.scope.clone();
            seen.insert(scope.clone());
            if newer(&self.changed, &scope) {
                continue;
            }
            self.keep_attributes(&mut set);
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

/// Whether something at one id can leave the cluster. A record of ours that backs a native one (its path is empty) is
/// nothing of its own: when it is all that is left, the native has gone.
fn leaves(held: &Occupants) -> bool {
    held.native.is_some() || held.copies.iter().any(|copy| copy.mark().is_some_and(|mark| !mark.path.is_empty()))
}
