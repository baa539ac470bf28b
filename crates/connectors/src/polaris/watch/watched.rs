//! What a watch knows of one namespace.

use super::super::names;
use super::super::reading::Reading;
use causeway_core::{Instance, Selector, ServiceKey, Set, intern};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A service that is listed and that discovery does not know for so long has no instances.
const PATIENCE: Duration = Duration::from_secs(4);

/// What is known of one namespace.
#[derive(Default)]
pub(super) struct WatchedNamespace {
    pub title: Option<Arc<str>>,
    /// Whether the servers list it, or may not be asked whether they do.
    pub is_listed: bool,
    /// Whether the server was asked to bring its cache of it up to date since the last outage.
    pub is_fresh: bool,
    /// Of the list of services; empty: none was taken in.
    pub revision: String,
    /// Whether a list was ever taken in.
    listed: bool,
    /// Whether it has been told whole since the last outage.
    pub complete: bool,
    /// By their names in Polaris.
    pub services: BTreeMap<Arc<str>, WatchedService>,
    /// What was told of each service that has something. Stays as it was in an outage.
    told: BTreeMap<ServiceKey, Arc<Set>>,
    /// Services to be told anew, whatever was found.
    pub dirty: BTreeSet<ServiceKey>,
}

/// What is known of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchedService {
    /// Empty: what stands is not known.
    pub revision: String,
    /// What stands; `None`: it is not known.
    records: Option<Arc<[Instance]>>,
    /// Whether it was asked for since the last outage began.
    pub is_answered: bool,
    /// Discovery does not know it since then, although it is listed.
    pub unknown: Option<Instant>,
    pub is_listed: bool,
    pub is_wanted: bool,
    /// It may not be read: what was known stays.
    pub is_denied: bool,
}

impl WatchedService {
    /// The same service with these instances.
    pub fn with(&self, records: Vec<Instance>, revision: String) -> Self {
        let records = Some(Arc::from(records));
        Self { records, revision, unknown: None, is_denied: false, is_answered: true, ..*self }
    }

    /// Whether it is known what stands there, or that it cannot be known.
    pub fn is_known(&self) -> bool {
        let patience = self.unknown.is_some_and(|since| since.elapsed() >= PATIENCE);
        self.is_answered && (self.records.is_some() || self.is_denied) || patience
    }
}

impl WatchedNamespace {
    /// Nothing is known for sure any more.
    pub fn lose(&mut self) {
        (self.complete, self.is_fresh) = (false, false);
        self.services.values_mut().for_each(|held| (held.is_answered, held.unknown) = (false, None));
    }

    /// Whether anything has been known of it.
    pub fn is_known(&self) -> bool {
        self.listed
    }

    /// The services that are listed.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.iter().filter(|(_, held)| held.is_listed).map(|(name, _)| name)
    }

    /// Takes in the list of services. One that is no longer listed is asked for until discovery does not know it either.
    pub fn list(&mut self, namespace: &Arc<str>, names: Vec<String>, select: &Selector) {
        self.listed = true;
        let names: BTreeSet<Arc<str>> = names.iter().map(|name| intern(name)).collect();
        self.services.retain(|name, held| {
            held.is_listed = names.contains(name);
            held.is_listed || held.is_wanted
        });
        for name in names {
            let held = self.services.entry(name).or_default();
            held.is_listed = true;
        }
        for (name, held) in &mut self.services {
            let scope = names::scope(namespace, name);
            let wanted = select.scope(&scope);
            if std::mem::replace(&mut held.is_wanted, wanted) != wanted {
                // What is not followed is not known when it is followed again.
                *held = WatchedService { is_listed: held.is_listed, is_wanted: wanted, ..WatchedService::default() };
                if !wanted {
                    self.told.remove(&scope);
                }
            }
        }
    }

    /// Whether all is known that is needed to tell it whole.
    pub fn is_whole(&self) -> bool {
        self.listed && self.services.values().all(|held| !held.is_wanted || held.is_known())
    }

    /// Everything, as it is told from now on.
    pub fn whole(&mut self, reading: &Reading, namespace: &str, select: &Selector) -> Vec<Set> {
        let mut scopes: BTreeSet<ServiceKey> = self
            .services
            .iter()
            .filter(|(_, held)| held.is_wanted)
            .map(|(name, _)| names::scope(namespace, name))
            .collect();
        scopes.extend(reading.recent.scopes(namespace).into_iter().filter(|scope| select.scope(scope)));
        self.told.clear();
        self.dirty.clear();
        for scope in scopes {
            let set = self.set(reading, &scope);
            if !set.records.is_empty() {
                self.told.insert(scope, Arc::new(set));
            }
        }
        self.complete = true;
        self.told.values().map(|set| (**set).clone()).collect()
    }

    /// The set of a service, if it is other than what was told.
    pub fn changed(&mut self, reading: &Reading, scope: &ServiceKey, select: &Selector) -> Option<Set> {
        if !select.scope(scope) {
            return None;
        }
        let set = self.set(reading, scope);
        let before = self.told.get(scope);
        if before.map_or(set.records.is_empty(), |before| **before == set) {
            return None;
        }
        match set.records.is_empty() {
            true => drop(self.told.remove(scope)),
            false => drop(self.told.insert(scope.clone(), Arc::new(set.clone()))),
        }
        Some(set)
    }

    fn set(&self, reading: &Reading, scope: &ServiceKey) -> Set {
        let stands = |name: &str| self.services.get(name).is_some_and(|held| held.is_listed);
        let other = names::alternative(scope).is_some_and(|name| stands(&name));
        reading.note_renamed(scope, other && names::wire(scope).is_ok_and(|name| !stands(&name)));
        reading.set(scope, |name| self.services.get(name)?.records.as_deref())
    }
}
