//! Which scopes of a route's source feed which of its destination.

use crate::kit::set_map::SetMap;
use causeway_core::ServiceKey;
use std::collections::BTreeSet;

/// So many scopes that feed one are no longer compared.
const MANY: usize = 64;

/// The scopes that feed one, by what is fed.
#[derive(Default)]
pub(crate) struct Feeds {
    by_target: SetMap<ServiceKey, ServiceKey>,
    /// What several scopes feed whose names differ in nothing but case.
    several: BTreeSet<ServiceKey>,
}

impl Feeds {
    pub fn add(&mut self, target: &ServiceKey, scope: ServiceKey) {
        self.by_target.add(target, [scope]);
        self.count(target);
    }

    /// The scope feeds nothing there any more.
    pub fn remove(&mut self, target: &ServiceKey, scope: &ServiceKey) {
        self.by_target.retain(target, |one| one != scope);
        self.count(target);
    }

    fn count(&mut self, target: &ServiceKey) {
        let are_alike = |scopes: &BTreeSet<ServiceKey>| {
            // Very many are made one by a mapping, and not by their case.
            let few = scopes.len() > 1 && scopes.len() <= MANY;
            few && scopes.iter().map(ServiceKey::folded).collect::<BTreeSet<_>>().len() < scopes.len()
        };
        if !self.by_target.get(target).is_some_and(are_alike) {
            self.several.remove(target);
        } else if !self.several.contains(target) {
            self.several.insert(target.clone());
        }
    }

    pub fn of(&self, target: &ServiceKey) -> Vec<ServiceKey> {
        self.by_target.get(target).into_iter().flatten().cloned().collect()
    }

    /// What is fed by several scopes whose names differ in nothing but case.
    pub fn several(&self) -> impl Iterator<Item = &ServiceKey> {
        self.several.iter()
    }

    /// Everything that is fed.
    pub fn targets(&self) -> impl Iterator<Item = &ServiceKey> {
        self.by_target.keys()
    }

    /// How much is fed.
    pub fn len(&self) -> usize {
        self.by_target.len()
    }
}
