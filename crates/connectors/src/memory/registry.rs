//! The registry itself, and the vendor's side of it: what providers and operators do, and how it can fail.

use causeway_core::{Attributes, Error, Instance, InstanceId, Mark, Part, ServiceKey, Set};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
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

/// How the registry's names are narrower than others', as those of other kinds are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// It has no namespaces: everything stands in `public`.
    pub one_part: bool,
    /// It has no groups: everything stands in `DEFAULT_GROUP`.
    pub one_group: bool,
    /// Names are host names in lower case.
    pub host_names: bool,
    /// A service also stands in `<name>.<version>` for each of these, with the instances whose metadata name that version.
    pub versions: Vec<String>,
}

impl Names {
    pub(super) fn of(&self, wanted: &ServiceKey) -> Result<Vec<ServiceKey>, String> {
        let mut name = wanted.name.to_string();
        if self.host_names {
            name.make_ascii_lowercase();
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
                return Err(format!("{name:?} is no host name: letters, digits, points and hyphens are taken"));
            }
        }
        let part = self.part(&wanted.part());
        let group = if self.one_group { "DEFAULT_GROUP" } else { &wanted.group };
        let scope = |name: &str| ServiceKey::new(&part.0, group, name);
        let versions = self.versions.iter().map(|version| scope(&format!("{name}.{version}")));
        Ok(std::iter::once(scope(&name)).chain(versions).collect())
    }

    /// Why nothing can stand under this name as it is.
    pub(super) fn check(&self, scope: &ServiceKey) -> Result<(), String> {
        match self.of(scope)?.contains(scope) {
            true => Ok(()),
            false => Err(format!("{scope} has no place here under this name")),
        }
    }

    /// What is lost by them.
    pub(super) fn losses(&self) -> BTreeMap<&'static str, &'static str> {
        let services = [
            "punctuation in service names",
            "unicode in service names",
            "Chinese service names",
            "blanks in service names",
        ];
        let groups = ["punctuation in groups", "unicode in groups", "services without a group"];
        let names =
            services.into_iter().filter(|_| self.host_names).map(|what| (what, "names are host names in lower case"));
        names.chain(groups.into_iter().filter(|_| self.one_group).map(|what| (what, "there are no groups"))).collect()
    }

    pub(super) fn part(&self, wanted: &Part) -> Part {
        if self.one_part { Part::new("public") } else { wanted.clone() }
    }

    pub(super) fn belongs(&self, scope: &ServiceKey, record: &Instance) -> bool {
        let version = self.versions.iter().find(|version| scope.name.ends_with(&format!(".{version}")));
        version.is_none_or(|version| record.metadata.get("version") == Some(version))
    }
}

/// Nearly always one publisher each.
type Entries = BTreeMap<InstanceId, Vec<(Publisher, Instance)>>;

#[derive(Default)]
struct Service {
    attributes: Attributes,
    entries: Entries,
    /// What an operator laid over an address in the console; stays across re-registration.
    overrides: BTreeMap<InstanceId, Instance>,
    version: u64,
}

#[derive(Default)]
pub(super) struct State {
    pub names: Names,
    parts: BTreeMap<Part, Option<Arc<str>>>,
    /// Parts that are served although no list shows them.
    unlisted: BTreeSet<Part>,
    services: BTreeMap<ServiceKey, Service>,
    /// Every scope stands here once, at the version of its last change.
    log: BTreeMap<u64, ServiceKey>,
    /// The versions of those in it that are gone.
    gone: BTreeSet<u64>,
    /// How far each watch has read the log.
    readers: Vec<Weak<AtomicU64>>,
    clock: u64,
    pub(super) fault: Fault,
    /// Grows with every break of all connections.
    pub(super) epoch: u64,
    sessions: u64,
    pub(super) writes: u64,
    /// Hosts that the registry refuses to take.
    pub(super) refused: BTreeSet<Arc<str>>,
    /// A second server that has heard nothing more since it listed this.
    pub(super) behind: Option<(String, BTreeMap<ServiceKey, Set>)>,
    /// Hosts that it refuses for now.
    pub(super) blocked: BTreeSet<Arc<str>>,
}

/// One registry. Clones are the same registry.
#[derive(Clone)]
pub struct Memory {
    pub(super) state: Arc<Mutex<State>>,
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
                let before = service.entries.values().map(Vec::len).sum::<usize>();
                service.entries.retain(|_, publishers| {
                    publishers.retain(|(publisher, _)| *publisher != gone);
                    !publishers.is_empty()
                });
                if service.entries.values().map(Vec::len).sum::<usize>() != before {
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
            publishers.retain(|(one, _)| one != publisher);
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
                publishers.retain(|(one, _)| one != publisher);
                if publishers.is_empty() {
                    service.entries.remove(id);
                    service.overrides.remove(id);
                }
            }
            state.touch(scope);
        });
    }

    pub(super) fn new_session(&self) -> u64 {
        let mut state = self.state.lock();
        state.sessions += 1;
        state.sessions
    }

    fn edit(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }
}

impl Service {
    fn shown(&self, published: &Instance) -> Instance {
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

impl State {
    fn touch(&mut self, scope: &ServiceKey) {
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
    pub(super) fn follow(&mut self) -> Arc<AtomicU64> {
        let seen = Arc::new(AtomicU64::new(self.clock));
        self.readers.retain(|reader| reader.strong_count() > 0);
        self.readers.push(Arc::downgrade(&seen));
        seen
    }

    /// Forgets services that are gone, once every reader has seen that they are.
    pub(super) fn forget_gone(&mut self) {
        let seen = self.readers.iter().filter_map(Weak::upgrade).map(|seen| seen.load(Ordering::SeqCst)).min();
        let later = self.gone.split_off(&(seen.unwrap_or(self.clock) + 1));
        for version in std::mem::replace(&mut self.gone, later) {
            self.log.remove(&version);
        }
    }

    pub(super) fn has(&self, scope: &ServiceKey) -> bool {
        self.services.contains_key(scope)
    }

    pub(super) fn now(&self) -> u64 {
        self.clock
    }

    pub(super) fn since(&self, version: u64) -> Vec<ServiceKey> {
        self.log.range(version + 1..).map(|(_, scope)| scope.clone()).collect()
    }

    pub(super) fn parts(&self) -> &BTreeMap<Part, Option<Arc<str>>> {
        &self.parts
    }

    /// Whether something is registered in a part.
    pub(super) fn is_used(&self, part: &Part) -> bool {
        self.scopes(part).any(|scope| self.services.get(scope).is_some_and(|service| !service.entries.is_empty()))
    }

    pub(super) fn scopes(&self, part: &Part) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys().filter(move |scope| scope.part() == *part)
    }

    /// The whole truth of one service. Records that `sessions` alone publish are known as ours, whatever has become of
    /// their marks; `owner` says for whom they were published.
    pub(super) fn set(&self, scope: &ServiceKey, owned: &super::ports::Owned) -> Set {
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
                let mark = lost.or_else(|| row.mark.clone());
                set.put(row.with_mark(mark));
            }
        }
        set
    }

    pub(super) fn refusal(&self, part: Option<&Part>) -> Option<Error> {
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
