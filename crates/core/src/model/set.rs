//! All instances of one service, as a cluster holds them.

use super::{Instance, InstanceId, OwnerId, ServiceKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What belongs to the scope itself, such as a service's metadata and protect threshold. Empty: the kind's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes(pub BTreeMap<String, String>);

/// What stands at one id: a native record and copies can stand there side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Occupants {
    /// The record that nobody's mark claims.
    pub native: Option<Instance>,
    /// Marked records, at most one an owner, in the order of their owners.
    pub copies: Vec<Instance>,
}

impl Occupants {
    /// Whether nothing stands here.
    pub fn is_empty(&self) -> bool {
        self.native.is_none() && self.copies.is_empty()
    }

    /// Puts a record where its mark says; replaces the one of the same owner.
    pub fn put(&mut self, record: Instance) {
        match record.mark().map(|mark| mark.owner.clone()) {
            None => self.native = Some(record),
            Some(owner) => {
                self.remove(&owner);
                self.copies.reserve_exact(1);
                self.copies.push(record);
                self.copies.sort_by(|a, b| a.mark().map(|mark| &mark.owner).cmp(&b.mark().map(|mark| &mark.owner)));
            }
        }
    }

    /// Takes the copy of `owner` out.
    pub fn remove(&mut self, owner: &OwnerId) {
        self.copies.retain(|copy| copy.mark().is_none_or(|mark| mark.owner != *owner));
    }

    /// The copy that a task of `install` wrote.
    pub fn copy_of(&self, install: &str) -> Option<&Instance> {
        self.copies.iter().find(|copy| copy.mark().is_some_and(|mark| &*mark.owner.install == install))
    }
}

/// All records of one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Whose records these are.
    pub scope: ServiceKey,
    /// What belongs to the scope itself. `None`: not read yet; what was known of it before stays.
    pub attributes: Option<Attributes>,
    /// What stands at each id; never an empty [`Occupants`].
    pub records: BTreeMap<InstanceId, Occupants>,
}

impl Set {
    /// The scope with nothing in it.
    pub fn empty(scope: ServiceKey) -> Self {
        Self { scope, attributes: Some(Attributes::default()), records: BTreeMap::new() }
    }

    /// The scope with these records.
    pub fn of(scope: ServiceKey, records: impl IntoIterator<Item = Instance>) -> Self {
        let mut set = Self::empty(scope);
        for record in records {
            set.put(record);
        }
        set
    }

    /// Puts a record where its id and its mark say.
    pub fn put(&mut self, record: Instance) {
        self.records.entry(record.id()).or_default().put(record.shared());
    }

    /// Takes the copy of `owner` at `id` out.
    pub fn remove_copy(&mut self, id: &InstanceId, owner: &OwnerId) {
        if let Some(held) = self.records.get_mut(id) {
            held.remove(owner);
            if held.is_empty() {
                self.records.remove(id);
            }
        }
    }
}
