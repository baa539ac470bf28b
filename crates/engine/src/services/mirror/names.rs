//! The services of a cluster by name, whatever the case.

use causeway_core::{ServiceKey, Set};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Services with records, by their [`ServiceKey::folded`]. Empty until it is [`NameIndex::start`]ed. Its lock is taken last:
/// nothing else is locked under it.
#[derive(Default)]
pub(crate) struct NameIndex(Mutex<Option<Names>>);

#[derive(Default)]
struct Names {
    /// And whether any of the records is somebody else's than ours.
    by_name: BTreeMap<ServiceKey, BTreeMap<ServiceKey, bool>>,
    /// Names that several services have.
    several: BTreeSet<ServiceKey>,
}

impl NameIndex {
    /// From now on it is kept; `sets`: what there is.
    pub fn start<'a>(&self, sets: impl Iterator<Item = &'a Arc<Set>>) {
        let mut index = self.0.lock();
        if index.is_none() {
            let mut names = Names::default();
            sets.for_each(|set| names.note(&set.scope, Some(set)));
            *index = Some(names);
        }
    }

    /// A service has changed; `None`: nothing is known of it any more.
    pub fn note(&self, scope: &ServiceKey, set: Option<&Set>) {
        if let Some(names) = &mut *self.0.lock() {
            names.note(scope, set);
        }
    }

    /// Services whose names are this one but for their case, and whether others than we have records there.
    pub fn like(&self, scope: &ServiceKey) -> Vec<(ServiceKey, bool)> {
        let index = self.0.lock();
        let known = index.as_ref().and_then(|names| names.by_name.get(&scope.folded()));
        known.into_iter().flatten().map(|(scope, native)| (scope.clone(), *native)).collect()
    }

    /// Names that several services have.
    pub fn several(&self) -> Vec<ServiceKey> {
        self.0.lock().as_ref().map(|names| names.several.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Names {
    fn note(&mut self, scope: &ServiceKey, set: Option<&Set>) {
        let name = scope.folded();
        match set.filter(|set| !set.records.is_empty()) {
            Some(set) => {
                let native = set.records.values().any(|held| held.native.is_some());
                self.by_name.entry(name.clone()).or_default().insert(scope.clone(), native);
            }
            None => {
                if let Some(services) = self.by_name.get_mut(&name) {
                    services.remove(scope);
                }
            }
        }
        let count = self.by_name.get(&name).map_or(0, BTreeMap::len);
        if count == 0 {
            self.by_name.remove(&name);
        }
        if count > 1 {
            self.several.insert(name);
        } else {
            self.several.remove(&name);
        }
    }
}
