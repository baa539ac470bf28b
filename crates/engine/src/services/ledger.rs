//! What this install wrote into one cluster, and how much of it is each task's.

use crate::kit::set_map::SetMap;
use causeway_core::{OwnerId, Part, ServiceKey, Written};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, Deref, SubAssign};
use std::sync::Arc;

/// What an install wrote into one cluster, by scope.
pub type Ledger = BTreeMap<ServiceKey, Arc<Written>>;

/// What one task has in a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Everything.
    pub records: usize,
    /// Without those that back a native one.
    pub instances: usize,
    /// Scopes with such an instance.
    pub services: usize,
}

impl AddAssign for Holdings {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.instances += other.instances;
        self.services += other.services;
    }
}

impl SubAssign for Holdings {
    fn sub_assign(&mut self, other: Self) {
        self.records -= other.records;
        self.instances -= other.instances;
        self.services -= other.services;
    }
}

/// A ledger with the sums of each task. Changed by [`CountedLedger::set`] alone.
#[derive(Default)]
pub(crate) struct CountedLedger {
    scopes: Ledger,
    holdings: BTreeMap<OwnerId, BTreeMap<Part, Holdings>>,
    /// The scopes by [`ServiceKey::folded`], from [`CountedLedger::start_names`] on.
    names: Option<SetMap<ServiceKey, ServiceKey>>,
}

impl Deref for CountedLedger {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.scopes
    }
}

impl From<Ledger> for CountedLedger {
    fn from(scopes: Ledger) -> Self {
        let mut ledger = Self::default();
        scopes.iter().for_each(|(scope, written)| ledger.count(scope, written));
        Self { scopes, ..ledger }
    }
}

impl CountedLedger {
    /// From now on [`CountedLedger::like`] answers.
    pub fn start_names(&mut self) {
        if self.names.is_none() {
            let mut names = SetMap::default();
            self.scopes.keys().for_each(|scope| names.add(&scope.folded(), [scope.clone()]));
            self.names = Some(names);
        }
    }

    /// The scopes whose names are this one but for their case.
    pub fn like(&self, scope: &ServiceKey) -> impl Iterator<Item = &ServiceKey> {
        self.names.iter().filter_map(|names| names.get(&scope.folded())).flatten()
    }

    fn note_name(&mut self, scope: &ServiceKey, is_here: bool) {
        match &mut self.names {
            Some(names) if is_here => names.add(&scope.folded(), [scope.clone()]),
            Some(names) => names.retain(&scope.folded(), |one| one != scope),
            None => {}
        }
    }

    /// Notes what stands in a scope now; returns what stood there before.
    pub fn set(&mut self, scope: &ServiceKey, written: Written) -> Option<Arc<Written>> {
        self.count(scope, &written);
        self.note_name(scope, !written.is_empty());
        let before = match written.is_empty() {
            true => self.scopes.remove(scope),
            false => self.scopes.insert(scope.clone(), Arc::new(written)),
        };
        before.iter().for_each(|before| self.uncount(scope, before));
        before
    }

    fn count(&mut self, scope: &ServiceKey, written: &Written) {
        for (owner, here) in by_owner(written) {
            *self.holdings.entry(owner.clone()).or_default().entry(scope.part()).or_default() += here;
        }
    }

    fn uncount(&mut self, scope: &ServiceKey, written: &Written) {
        for (owner, here) in by_owner(written) {
            let Some(parts) = self.holdings.get_mut(owner) else { continue };
            let part = scope.part();
            if let Some(sum) = parts.get_mut(&part) {
                *sum -= here;
                if sum.records == 0 {
                    parts.remove(&part);
                }
            }
            if parts.is_empty() {
                self.holdings.remove(owner);
            }
        }
    }

    /// What a task holds here.
    pub fn held_by(&self, owner: &OwnerId) -> Holdings {
        let mut sum = Holdings::default();
        self.holdings.get(owner).into_iter().flatten().for_each(|(_, here)| sum += *here);
        sum
    }

    /// The parts in which a task holds records.
    pub fn parts_held_by(&self, owner: &OwnerId) -> BTreeSet<Part> {
        self.holdings.get(owner).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The parts in which any task holds records.
    pub fn parts_held(&self) -> BTreeSet<Part> {
        self.holdings.values().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// How many records each task holds here.
    pub fn records(&self) -> BTreeMap<OwnerId, usize> {
        self.holdings.keys().map(|owner| (owner.clone(), self.held_by(owner).records)).collect()
    }

    /// How many records all tasks hold here.
    pub fn total(&self) -> usize {
        self.holdings.values().flat_map(BTreeMap::values).map(|here| here.records).sum()
    }
}

/// What each task has in one scope.
fn by_owner(written: &Written) -> BTreeMap<&OwnerId, Holdings> {
    let mut held = BTreeMap::<_, Holdings>::new();
    for record in written.records.values() {
        let sum = held.entry(&record.owner).or_default();
        sum.records += 1;
        sum.instances += usize::from(!record.shadow);
        sum.services = usize::from(sum.instances > 0);
    }
    held
}
