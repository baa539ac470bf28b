//! The names of the services in one namespace, as the polls tell them, and how far the namespace is known.

use super::reads::Round;
use super::{AGAIN, PATIENCE, ServiceWatch};
use crate::nacos::client::{Error as WireError, ServiceNames, ServiceSummary, listed};
use crate::nacos::convert;
use causeway_core::{Lost, Part, ServiceKey, Set, Update};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// How far one namespace is known.
#[derive(Default)]
pub(super) enum Knowledge {
    /// Not read on this connection.
    #[default]
    Unknown,
    /// Being read: what is still missing, and what has come.
    Filling { missing: BTreeSet<ServiceKey>, sets: BTreeMap<ServiceKey, Set> },
    /// Reported whole.
    Complete,
}

/// What the list of names says of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServiceCounts {
    clusters: i64,
    pub instances: i64,
    healthy: i64,
}

impl ServiceCounts {
    pub fn of(one: &ServiceSummary) -> Self {
        Self { clusters: one.cluster_count, instances: one.ip_count, healthy: one.healthy_instance_count }
    }
}

/// One service that is listed and of interest.
pub(super) struct ListedService {
    pub counts: ServiceCounts,
    /// Whether its own attributes were read on this connection.
    pub has_attributes: bool,
}

/// One namespace that is followed.
#[derive(Default)]
pub(super) struct FollowedNamespace {
    pub title: Option<Arc<str>>,
    /// Whether the cluster lists it. It serves others too.
    pub listed: bool,
    pub knowledge: Knowledge,
    pub names: BTreeMap<ServiceKey, ListedService>,
    /// Of the list of names that `names` were made of; `None`: they are to be made again.
    pub fingerprint: Option<u64>,
    /// Services that are listed and not of interest, by the selection of the epoch `selection`; those in `names` are of
    /// interest by the same one.
    pub left_out: BTreeSet<ServiceKey>,
    pub selection: Option<u64>,
    pub asking: bool,
    pub failing: Option<Instant>,
    pub told: bool,
    /// Its pages are being read.
    pub round: Option<Round>,
    /// It has refused them.
    pub refuses_pages: bool,
}

impl FollowedNamespace {
    pub fn new(title: Option<Arc<str>>, listed: bool) -> Self {
        Self { title, listed, ..Self::default() }
    }

    /// Nothing of it is known any more.
    pub fn lose(&mut self) {
        self.forget();
        (self.told, self.refuses_pages) = (false, false);
    }

    /// It has to be read whole again.
    pub fn forget(&mut self) {
        (self.knowledge, self.fingerprint, self.round) = (Knowledge::Unknown, None, None);
        self.names.values_mut().for_each(|one| one.has_attributes = false);
    }
}

impl ServiceWatch {
    pub(super) fn is_listed(&self, key: &ServiceKey) -> bool {
        self.namespaces.get(&key.part()).is_some_and(|namespace| namespace.names.contains_key(key))
    }

    pub(super) fn ask_names(&mut self, part: Part) {
        let epoch = Some(self.select.epoch());
        if let Some(namespace) = self.namespaces.get_mut(&part) {
            namespace.asking = true;
            let client = self.reading.client.clone();
            let before = namespace.fingerprint.filter(|_| namespace.selection == epoch);
            let name = part.0.clone();
            let asked = async move { client.services_since(&name, before).await };
            self.spawn(asked, move |watch, names| watch.names(&part, names));
        }
    }

    pub(super) fn names(&mut self, part: &Part, names: Result<ServiceNames, WireError>) {
        let Some(namespace) = self.namespaces.get_mut(part) else { return };
        namespace.asking = false;
        let ServiceNames { fingerprint, list } = match names {
            Ok(names) => names,
            Err(error) => {
                let since = *namespace.failing.get_or_insert_with(Instant::now);
                let passing = error.is_transient() && since.elapsed() < PATIENCE;
                if !passing && !namespace.told {
                    namespace.forget();
                    namespace.told = true;
                    self.ready.push_back(Err(Lost { part: Some(part.clone()), error: convert::error(error) }));
                }
                return;
            }
        };
        namespace.failing = None;
        let Some(names) = list.filter(|_| self.connected) else {
            // What was known when it was asked may be unknown by now.
            if self.connected && namespace.fingerprint.is_none() {
                self.ask_names(part.clone());
            }
            return;
        };
        let epoch = Some(self.select.epoch());
        let same = std::mem::replace(&mut namespace.selection, epoch) == epoch;
        namespace.fingerprint = Some(fingerprint);
        let left_out = std::mem::take(&mut namespace.left_out);
        let before = std::mem::take(&mut namespace.names);
        let mut found = BTreeMap::new();
        for one in names {
            let key = listed(&part.0, &one.group_name, &one.name);
            let known = before.get(&key);
            let selected = match same {
                true if known.is_some() => true,
                true if left_out.contains(&key) => false,
                _ => self.select.scope(&key),
            };
            if selected {
                let has_attributes = known.is_some_and(|known| known.has_attributes);
                found.insert(key, ListedService { counts: ServiceCounts::of(&one), has_attributes });
            } else {
                namespace.left_out.insert(key);
            }
        }
        let fresh: Vec<_> = found.keys().filter(|key| !before.contains_key(*key)).cloned().collect();
        let gone: Vec<_> = before.keys().filter(|key| !found.contains_key(*key)).cloned().collect();
        // A count that moved without a push is looked at too: pushes may get lost.
        let moved = found.iter().filter(|(key, one)| before.get(*key).is_some_and(|old| old.counts != one.counts));
        let mut later: Vec<_> = moved.map(|(key, _)| key.clone()).collect();
        let mut now = Vec::new();
        match &mut namespace.knowledge {
            Knowledge::Unknown => {
                now = found.keys().cloned().collect();
                namespace.knowledge =
                    Knowledge::Filling { missing: now.iter().cloned().collect(), sets: BTreeMap::new() };
            }
            Knowledge::Filling { missing, sets } => {
                gone.iter().for_each(|key| {
                    missing.remove(key);
                    sets.remove(key);
                });
            }
            Knowledge::Complete => {
                // The names say so at once, the instances' list only when it has forgotten them too.
                later.extend(gone.iter().cloned());
                later.extend(fresh.iter().cloned());
            }
        }
        namespace.names = found;
        now.into_iter().for_each(|key| self.want(key));
        if !later.is_empty() {
            self.later(AGAIN, |watch| later.into_iter().for_each(|key| watch.want(key)));
        }
        self.subscriptions.waiting.extend(fresh);
        gone.into_iter().for_each(|key| self.unsubscribe(key));
        self.report_if_filled(part);
    }

    pub(super) fn report_if_filled(&mut self, part: &Part) {
        let Some(namespace) = self.namespaces.get_mut(part) else { return };
        let Knowledge::Filling { missing, sets } = &mut namespace.knowledge else { return };
        if missing.is_empty() {
            let sets = std::mem::take(sets).into_values().collect();
            let title = namespace.title.clone();
            namespace.knowledge = Knowledge::Complete;
            namespace.told = false;
            self.ready.push_back(Ok(Update::Reset { part: part.clone(), title, sets }));
        }
    }
}
