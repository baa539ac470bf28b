//! What stands in the registry, and the log of what has changed.

use super::Names;
use super::ports::Owned;
use super::registry::{Fault, Publisher};
use crate::bridge::other_tools;
use causeway_core::{Attributes, Error, Instance, InstanceId, Mark, Part, ServiceKey, Set};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Nearly always one publisher each.
pub(super) type Entries = BTreeMap<InstanceId, Vec<(Publisher, Instance)>>;

#[derive(Default)]
pub(super) struct StoredService {
    pub attributes: Attributes,
    pub entries: Entries,
    /// What an operator laid over an address in the console; stays across re-registration.
    pub overrides: BTreeMap<InstanceId, Instance>,
    version: u64,
}

#[derive(Default)]
pub(super) struct RegistryState {
    pub names: Names,
    pub parts: BTreeMap<Part, Option<Arc<str>>>,
    /// Parts that are served although no list shows them.
    pub unlisted: BTreeSet<Part>,
    pub services: BTreeMap<ServiceKey, StoredService>,
    /// Every scope stands here once, at the version of its last change.
    pub log: BTreeMap<u64, ServiceKey>,
    /// The versions of those in it that are gone.
    gone: BTreeSet<u64>,
    /// How far each watch has read the log.
    readers: Vec<Weak<AtomicU64>>,
    clock: u64,
    pub fault: Fault,
    /// Grows with every break of all connections.
    pub epoch: u64,
    pub sessions: u64,
    pub writes: u64,
    /// Hosts that the registry refuses to take.
    pub refused: BTreeSet<Arc<str>>,
    /// A second server that has heard nothing more since it listed this.
    pub behind: Option<(String, BTreeMap<ServiceKey, Set>)>,
    /// Hosts that it refuses for now.
    pub blocked: BTreeSet<Arc<str>>,
    /// Hosts whose next registration it accepts and forgets.
    pub lost: BTreeSet<Arc<str>>,
    /// Whether all who register one id share one record, which the last of them has written.
    pub one_record: bool,
}

impl StoredService {
    pub fn shown(&self, published: &Instance) -> Instance {
        match self.overrides.get(&published.id) {
            // The console cannot remove a key: it lays values over what is published.
            Some(over) => {
                let mut row = published.clone();
                row.metadata.extend(&over.metadata);
                row.weight = over.weight;
                row.enabled = over.enabled;
                row.mark = over.mark.clone();
                row
            }
            None => published.clone(),
        }
    }
}

impl RegistryState {
    pub fn touch(&mut self, scope: &ServiceKey) {
        self.clock += 1;
        if let Some(service) = self.services.get_mut(scope) {
            self.log.remove(&service.version);
            service.version = self.clock;
            self.log.insert(self.clock, scope.clone());
            if service.entries.is_empty() && service.overrides.is_empty() && service.attributes.0.is_empty() {
                self.services.remove(scope);
                self.gone.insert(self.clock);
            }
        }
    }

    /// A new reader of the log, which has seen everything up to now.
    pub fn follow(&mut self) -> Arc<AtomicU64> {
        let seen = Arc::new(AtomicU64::new(self.clock));
        self.readers.retain(|reader| reader.strong_count() > 0);
        self.readers.push(Arc::downgrade(&seen));
        seen
    }

    /// Forgets services that are gone, once every reader has seen that they are.
    pub fn forget_gone(&mut self) {
        let seen = self.readers.iter().filter_map(Weak::upgrade).map(|seen| seen.load(Ordering::SeqCst)).min();
        let later = self.gone.split_off(&(seen.unwrap_or(self.clock) + 1));
        for version in std::mem::replace(&mut self.gone, later) {
            self.log.remove(&version);
        }
    }

    pub fn now(&self) -> u64 {
        self.clock
    }

    pub fn since(&self, version: u64) -> Vec<ServiceKey> {
        self.log.range(version + 1..).map(|(_, scope)| scope.clone()).collect()
    }

    /// Whether something is registered in a part.
    pub fn is_used(&self, part: &Part) -> bool {
        self.scopes(part).any(|scope| self.services.get(scope).is_some_and(|service| !service.entries.is_empty()))
    }

    pub fn scopes(&self, part: &Part) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys().filter(move |scope| scope.part() == *part)
    }

    /// The whole truth of one service. Records that `sessions` alone publish are known as ours, whatever has become of
    /// their marks; `owner` says for whom they were published.
    pub fn set(&self, scope: &ServiceKey, owned: &Owned) -> Set {
        let mut set = Set::empty(scope.clone());
        let Some(service) = self.services.get(scope) else { return set };
        set.attributes = Some(service.attributes.clone());
        for (id, publishers) in &service.entries {
            let ours = owned.get(scope).and_then(|records| records.get(id));
            let mut rows: Vec<(Instance, bool)> = Vec::new();
            for (publisher, published) in publishers {
                let row = service.shown(published);
                let native = matches!(publisher, Publisher::Native(_));
                match rows.iter_mut().find(|(known, _)| *known == row) {
                    Some((_, has_native)) => *has_native |= native,
                    None => rows.push((row, native)),
                }
            }
            for (row, native) in rows {
                let known = ours.filter(|_| !native && row.mark.is_none());
                let lost = known.map(|owner| Mark::new(owner.clone(), Vec::new()));
                let mark = lost.or_else(|| row.mark.clone()).or_else(|| other_tools::mark(&row.metadata));
                set.put(row.with_mark(mark));
            }
        }
        set
    }

    pub fn refusal(&self, part: Option<&Part>) -> Option<Error> {
        match &self.fault {
            Fault::Down => Some(Error::unavailable("connection refused")),
            Fault::Denied => Some(Error::Denied("wrong user or password".into())),
            Fault::Broken => panic!("a bug in the connector"),
            Fault::PartDenied(denied) if Some(denied) == part => {
                Some(Error::Denied(format!("no right to read {denied}")))
            }
            _ => None,
        }
    }
}
