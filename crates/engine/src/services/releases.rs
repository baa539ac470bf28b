//! Removals that were let go, record by record, until they are written.

use causeway_core::{InstanceId, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

/// What one route may remove although a guard held it. Only what is held can be let go, so there are never more than
/// the route has copies. A scope without any is not kept.
#[derive(Default)]
pub(crate) struct Releases {
    scopes: BTreeMap<ServiceKey, BTreeSet<InstanceId>>,
}

impl Releases {
    pub fn add(&mut self, scope: &ServiceKey, ids: impl IntoIterator<Item = InstanceId>) {
        self.scopes.entry(scope.clone()).or_default().extend(ids);
    }

    /// What may be removed from a scope of the destination.
    pub fn of(&self, scope: &ServiceKey) -> Option<&BTreeSet<InstanceId>> {
        self.scopes.get(scope)
    }

    pub fn contains(&self, scope: &ServiceKey, id: &InstanceId) -> bool {
        self.of(scope).is_some_and(|ids| ids.contains(id))
    }

    /// Forgets what `still` does not name: it was written, or has come back and is judged anew when it goes again.
    pub fn retain(&mut self, scope: &ServiceKey, still: impl Fn(&InstanceId) -> bool) {
        let Some(ids) = self.scopes.get_mut(scope) else { return };
        ids.retain(still);
        if ids.is_empty() {
            self.scopes.remove(scope);
        }
    }

    /// In how many scopes something is let go.
    pub fn len(&self) -> usize {
        self.scopes.len()
    }

    pub fn clear(&mut self) {
        self.scopes.clear();
    }
}
