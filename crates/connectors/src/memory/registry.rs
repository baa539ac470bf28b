//! The registry itself, and the vendor's side of it: what providers and operators do, and how it can fail.

use super::Names;
use super::state::RegistryState;
use causeway_core::{Attributes, Instance, InstanceId, Part, ServiceKey};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use tokio::sync::Notify;

/// Who published a record: a native provider, or one session of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Publisher {
    /// A provider, by any name.
    Native(Arc<str>),
    /// A session of ours.
    Session(u64),
}

/// How the registry misbehaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Refuses connections.
    Down,
    /// Accepts and never answers.
    Hung,
    /// Replies to everything with a refusal.
    Denied,
    /// Refuses whatever touches this part.
    PartDenied(Part),
    /// Panics, as a bug in a connector would.
    Broken,
}

/// One registry. Clones are the same registry.
#[derive(Clone)]
pub struct Memory {
    pub(super) state: Arc<Mutex<RegistryState>>,
    pub(super) changed: Arc<Notify>,
}

static NAMED: LazyLock<Mutex<BTreeMap<String, Memory>>> = LazyLock::new(Mutex::default);

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty registry with the namespace `public`.
    pub fn new() -> Self {
        let memory = Self { state: Arc::default(), changed: Arc::default() };
        memory.create_part("public", None);
        memory
    }

    /// The registry of this name in this process; made when it is missing.
    pub fn named(name: &str) -> Self {
        NAMED.lock().entry(name.to_owned()).or_default().clone()
    }

    /// Makes a namespace.
    pub fn create_part(&self, id: &str, title: Option<&str>) {
        self.edit(|state| {
            state.unlisted.remove(&Part::new(id));
            state.parts.entry(Part::new(id)).or_insert_with(|| title.map(Into::into));
        });
    }

    /// Takes a namespace off the list, as deleting it in a server's console may do: what is registered in it stays, and more may
    /// come. It may also be one that nobody has made.
    pub fn unlist_part(&self, id: &str) {
        self.edit(|state| {
            state.parts.remove(&Part::new(id));
            state.unlisted.insert(Part::new(id));
        });
    }

    /// Whether a list shows a namespace.
    pub fn lists_part(&self, id: &str) -> bool {
        self.state.lock().parts.contains_key(&Part::new(id))
    }

    /// Removes a namespace with all that is in it.
    pub fn remove_part(&self, id: &str) {
        let part = Part::new(id);
        self.edit(|state| {
            state.parts.remove(&part);
            state.unlisted.remove(&part);
            state.services.retain(|scope, _| scope.part() != part);
            state.log.retain(|_, scope| scope.part() != part);
        });
    }

    /// A provider registers; again replaces.
    pub fn register(&self, scope: &ServiceKey, provider: &str, instance: Instance) {
        self.publish(scope, &Publisher::Native(provider.into()), instance);
    }

    /// A provider leaves (or crashes: the registry cannot tell).
    pub fn deregister(&self, scope: &ServiceKey, provider: &str, id: &InstanceId) {
        self.withdraw(scope, &Publisher::Native(provider.into()), id);
    }

    /// An operator changes what stands at an address, in the console: it lies over every publication, also later ones.
    pub fn override_with(&self, scope: &ServiceKey, as_shown: Instance) {
        self.edit(|state| {
            let service = state.services.entry(scope.clone()).or_default();
            service.overrides.insert(as_shown.id(), as_shown);
            state.touch(scope);
        });
    }

    /// Sets what belongs to a service itself.
    pub fn set_attributes(&self, scope: &ServiceKey, attributes: Attributes) {
        self.edit(|state| {
            state.services.entry(scope.clone()).or_default().attributes = attributes;
            state.touch(scope);
        });
    }

    /// The server loses everything that it holds, with or without a break of its connections.
    pub fn wipe(&self, broken: bool) {
        self.edit(|state| {
            let scopes: Vec<_> = state.services.keys().cloned().collect();
            for scope in scopes {
                if let Some(service) = state.services.get_mut(&scope) {
                    service.entries.clear();
                }
                state.touch(&scope);
            }
            state.epoch += u64::from(broken);
        });
    }

    /// Starts or ends a misbehaviour. Every change of it breaks all connections.
    pub fn fail(&self, fault: Fault) {
        self.edit(|state| {
            state.fault = fault;
            state.epoch += 1;
        });
    }

    /// From now on there are two servers, and the second hears of no change.
    pub fn fall_behind(&self, server: &str) {
        let mut state = self.state.lock();
        let sets = state.services.keys().map(|scope| (scope.clone(), state.set(scope, &BTreeMap::new())));
        state.behind = Some((server.to_owned(), sets.collect()));
    }

    /// The second server knows everything again.
    pub fn catch_up(&self) {
        self.state.lock().behind = None;
    }

    /// Refuses registrations of this host from now on.
    pub fn refuse_host(&self, host: &str) {
        self.state.lock().refused.insert(host.into());
    }

    /// Refuses registrations of this host for now, or takes them again. Nobody is told.
    pub fn block_host(&self, host: &str, blocked: bool) {
        let hosts = &mut self.state.lock().blocked;
        match blocked {
            true => drop(hosts.insert(host.into())),
            false => drop(hosts.remove(host)),
        }
    }

    /// Accepts our next registration of this host, and forgets it.
    pub fn lose_host(&self, host: &str) {
        self.state.lock().lost.insert(host.into());
    }

    /// From now on all who register one id share one record: the last of them has written it, and anybody removes it. Before ports
    /// are opened.
    pub fn share_records(&self) {
        self.state.lock().one_record = true;
    }

    /// Narrows the names that are taken from us. Before ports are opened.
    pub fn narrow(&self, names: Names) {
        self.state.lock().names = names;
    }

    /// The registry's own check of a persistent instance says this now.
    pub fn checked(&self, scope: &ServiceKey, id: &InstanceId, healthy: bool) {
        self.edit(|state| {
            let Some(service) = state.services.get_mut(scope) else { return };
            for (_, row) in service.entries.get_mut(id).into_iter().flatten() {
                row.healthy = healthy;
            }
            state.touch(scope);
        });
    }

    /// Ends a session of ours: what only it published goes.
    pub fn expire(&self, session: u64) {
        self.edit(|state| {
            let gone = Publisher::Session(session);
            let scopes: Vec<_> = state.services.keys().cloned().collect();
            for scope in scopes {
                let Some(service) = state.services.get_mut(&scope) else { continue };
                let mut changed = false;
                service.entries.retain(|_, publishers| {
                    changed |= publishers.extract_if(.., |(publisher, _)| *publisher == gone).count() > 0;
                    !publishers.is_empty()
                });
                if changed {
                    state.touch(&scope);
                }
            }
        });
    }

    /// What a subscriber of the service sees: one row for each different record, disabled ones left out.
    pub fn list(&self, scope: &ServiceKey) -> Vec<Instance> {
        self.rows(scope, |row| row.enabled)
    }

    /// Everything of the service: one row for each different record, with what an operator laid over it.
    pub fn truth(&self, scope: &ServiceKey) -> Vec<Instance> {
        self.rows(scope, |_| true)
    }

    fn rows(&self, scope: &ServiceKey, wanted: impl Fn(&Instance) -> bool) -> Vec<Instance> {
        let state = self.state.lock();
        let Some(service) = state.services.get(scope) else { return Vec::new() };
        let mut rows: Vec<Instance> = Vec::new();
        for (_, row) in service.entries.values().flatten() {
            let row = service.shown(row);
            if wanted(&row) && !rows.contains(&row) {
                rows.push(row);
            }
        }
        rows
    }

    /// Every service that has an instance.
    pub fn services(&self) -> Vec<ServiceKey> {
        let state = self.state.lock();
        state
            .services
            .iter()
            .filter(|(_, service)| !service.entries.is_empty())
            .map(|(scope, _)| scope.clone())
            .collect()
    }

    /// How many writes the registry has taken from us.
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    pub(super) fn publish(&self, scope: &ServiceKey, publisher: &Publisher, instance: Instance) {
        self.edit(|state| {
            if !state.unlisted.contains(&scope.part()) {
                state.parts.entry(scope.part()).or_insert(None);
            }
            let service = state.services.entry(scope.clone()).or_default();
            let publishers = service.entries.entry(instance.id()).or_default();
            publishers.retain(|(one, _)| one != publisher && !state.one_record);
            publishers.reserve_exact(1);
            publishers.push((publisher.clone(), instance));
            publishers.sort_by(|(a, _), (b, _)| a.cmp(b));
            state.touch(scope);
        });
    }

    pub(super) fn withdraw(&self, scope: &ServiceKey, publisher: &Publisher, id: &InstanceId) {
        self.edit(|state| {
            let Some(service) = state.services.get_mut(scope) else { return };
            if let Some(publishers) = service.entries.get_mut(id) {
                publishers.retain(|(one, _)| one != publisher && !state.one_record);
                if publishers.is_empty() {
                    service.entries.remove(id);
                    service.overrides.remove(id);
                }
            }
            state.touch(scope);
        });
    }

    /// Removes a copy of another tool, where anybody may: `false` where its publisher alone can.
    pub(super) fn withdraw_theirs(&self, scope: &ServiceKey, theirs: &Instance) -> bool {
        let shared = self.state.lock().one_record;
        if shared || !theirs.ephemeral {
            self.edit(|state| {
                let Some(service) = state.services.get_mut(scope) else { return };
                if let Some(publishers) = service.entries.get_mut(&theirs.id()) {
                    publishers.retain(|(_, row)| row.metadata != theirs.metadata);
                    if publishers.is_empty() {
                        service.entries.remove(&theirs.id());
                    }
                }
                state.touch(scope);
            });
        }
        shared || !theirs.ephemeral
    }

    pub(super) fn new_session(&self) -> u64 {
        let mut state = self.state.lock();
        state.sessions += 1;
        state.sessions
    }

    fn edit(&self, change: impl FnOnce(&mut RegistryState)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }
}
