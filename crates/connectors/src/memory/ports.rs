//! Our side of the registry: its [`Source`] and [`Sink`].

use super::registry::{Fault, Memory, Names, Publisher, State};
use causeway_core::{
    Capabilities, Change, Error, Governed, Instance, InstanceId, Limits, Lost, Normalized, OwnerId, Part, Parts,
    RecordCounts, Replica, Selector, ServiceKey, Set, Sink, Source, Update, Written,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Services that are read in one go.
const PORTION: usize = 256;

/// What this session publishes, and for whom.
pub(super) type Owned = BTreeMap<ServiceKey, BTreeMap<InstanceId, OwnerId>>;

/// One session with a registry.
pub struct MemoryPorts {
    memory: Memory,
    session: u64,
    owned: Arc<Mutex<Owned>>,
    capabilities: Capabilities,
    /// Copied, since it is asked for while the registry is locked.
    names: Names,
}

impl MemoryPorts {
    /// A new session.
    pub fn open(memory: &Memory) -> Self {
        let names = memory.state.lock().names.clone();
        let renames = names != Names::default();
        let capabilities = Capabilities { losses: names.losses(), renames, shadows: true, keeps: false };
        Self { memory: memory.clone(), session: memory.new_session(), owned: Arc::default(), capabilities, names }
    }

    /// The session's number, for [`Memory::expire`].
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Waits while the registry hangs; then says whether it refuses.
    async fn answer(&self, part: Option<&Part>) -> Result<(), Error> {
        loop {
            let changed = self.memory.changed.notified();
            {
                let state = self.memory.state.lock();
                if state.fault != Fault::Hung {
                    return state.refusal(part).map_or(Ok(()), Err);
                }
            }
            changed.await;
        }
    }

    /// What each of two servers lists in these scopes; nothing where there is only one.
    fn servers(&self, scopes: impl Fn(&State) -> Vec<ServiceKey>) -> Vec<(String, Vec<Set>)> {
        let state = self.memory.state.lock();
        let Some((name, behind)) = &state.behind else { return Vec::new() };
        let scopes = scopes(&state);
        let owned = self.owned.lock();
        let first = scopes.iter().map(|scope| state.set(scope, &owned)).collect();
        let set = |scope: &ServiceKey| behind.get(scope).cloned().unwrap_or_else(|| Set::empty(scope.clone()));
        vec![("first".to_owned(), first), (name.clone(), scopes.iter().map(set).collect())]
    }

    fn write(&self, scope: &ServiceKey, record: &Instance, owner: &OwnerId) -> Result<(), Error> {
        self.names.check(scope).map_err(Error::Rejected)?;
        {
            let mut state = self.memory.state.lock();
            state.writes += 1;
            if state.refused.contains(&record.id.endpoint.host) {
                return Err(Error::Rejected(format!("host {} is not welcome here", record.id.endpoint.host)));
            }
            if state.blocked.contains(&record.id.endpoint.host) {
                return Err(Error::Blocked(format!("host {} is not welcome now", record.id.endpoint.host)));
            }
        }
        self.owned.lock().entry(scope.clone()).or_default().insert(record.id(), owner.clone());
        self.memory.publish(scope, &Publisher::Session(self.session), record.clone());
        Ok(())
    }

    fn change(&self, scope: &ServiceKey, change: &Change) -> Result<(), Error> {
        match change {
            Change::Create(record) | Change::Adopt(record) | Change::Update { to: record, .. } => {
                match record.mark().map(|mark| mark.owner.clone()) {
                    Some(owner) => self.write(scope, record, &owner),
                    None => Err(Error::protocol("a copy without a mark")),
                }
            }
            Change::Shadow(record, owner) => self.write(scope, record, owner),
            Change::Delete { record, .. } => {
                self.memory.state.lock().writes += 1;
                self.memory.withdraw(scope, &Publisher::Session(self.session), &record.id());
                let mut owned = self.owned.lock();
                if let Some(records) = owned.get_mut(scope) {
                    records.remove(&record.id());
                    if records.is_empty() {
                        owned.remove(scope);
                    }
                }
                Ok(())
            }
            Change::Edit { to, .. } => {
                self.memory.override_with(scope, to.clone());
                Ok(())
            }
            Change::Scope { to, .. } => {
                self.memory.set_attributes(scope, to.clone());
                Ok(())
            }
        }
    }
}

/// Where one watch has got to.
struct Watch {
    memory: Memory,
    owned: Arc<Mutex<Owned>>,
    select: Selector,
    /// What is not of interest, by the selection of this epoch.
    left_out: BTreeSet<ServiceKey>,
    selection: u64,
    epoch: Option<u64>,
    seen: Arc<AtomicU64>,
    complete: BTreeSet<Part>,
    /// What is followed although no list shows it.
    unlisted: BTreeSet<Part>,
    /// The one part of a registry that has no others is not there, and that was told.
    missing: bool,
    ready: VecDeque<Result<Update, Lost>>,
}

impl Watch {
    fn look(&mut self) {
        let needed = self.select.needed();
        let named: BTreeSet<_> = self.select.named().into_iter().map(Part).collect();
        let mut state = self.memory.state.lock();
        if state.fault == Fault::Hung && self.epoch != Some(state.epoch) {
            return;
        }
        if let Some(error) = state.refusal(None) {
            if self.epoch != Some(state.epoch) {
                self.epoch = Some(state.epoch);
                self.complete.clear();
                self.ready.push_back(Err(Lost { part: None, error }));
            }
            return;
        }
        if self.epoch != Some(state.epoch) {
            if self.epoch.is_some() {
                let error = Error::unavailable("connection closed");
                self.ready.push_back(Err(Lost { part: None, error }));
            }
            self.epoch = Some(state.epoch);
            self.complete.clear();
        }
        let listed = |part: &Part| state.parts().contains_key(part);
        let unlisted: BTreeSet<_> = named
            .iter()
            .filter(|part| state.is_used(part))
            .chain(&needed)
            .chain(&self.unlisted)
            .filter(|part| !listed(part))
            .cloned()
            .collect();
        let mut gone: Vec<_> =
            self.complete.iter().filter(|part| !listed(part) && !self.unlisted.contains(*part)).cloned().collect();
        let only = Part::new("public");
        let missing = state.names.one_part && !listed(&only) && !unlisted.contains(&only);
        if missing && !self.missing && !gone.contains(&only) {
            gone.push(only);
        }
        self.missing = missing;
        for part in gone {
            self.complete.remove(&part);
            let error = Error::Missing(format!("namespace {part} is no longer there"));
            self.ready.push_back(Err(Lost { part: Some(part), error }));
        }
        let all = state.parts().iter().map(|(part, title)| (part, title.clone()));
        for (part, title) in all.chain(unlisted.iter().map(|part| (part, None))) {
            let wanted = unlisted.contains(part) || self.select.part(part, title.as_deref());
            if self.complete.contains(part) || !wanted {
                continue;
            }
            self.complete.insert(part.clone());
            if let Some(error) = state.refusal(Some(part)) {
                self.ready.push_back(Err(Lost { part: Some(part.clone()), error }));
                continue;
            }
            let owned = self.owned.lock();
            let (scopes, left_out): (Vec<_>, Vec<_>) = state.scopes(part).partition(|scope| self.select.scope(scope));
            self.left_out.retain(|scope| scope.part() != *part);
            self.left_out.extend(left_out.into_iter().cloned());
            let sets = scopes.into_iter().map(|scope| state.set(scope, &owned)).collect();
            self.ready.push_back(Ok(Update::Reset { part: part.clone(), title, sets }));
        }
        let selection = self.select.epoch();
        if std::mem::replace(&mut self.selection, selection) != selection {
            let select = &self.select;
            let taken: Vec<_> = self.left_out.extract_if(.., |scope| select.scope(scope)).collect();
            for scope in taken.into_iter().filter(|scope| self.complete.contains(&scope.part())) {
                self.ready.push_back(Ok(Update::Changed(state.set(&scope, &self.owned.lock()))));
            }
        }
        for scope in state.since(self.seen.load(Ordering::SeqCst)) {
            let readable = self.complete.contains(&scope.part()) && state.refusal(Some(&scope.part())).is_none();
            if !readable {
                continue;
            }
            let known = self.left_out.contains(&scope);
            if !known && self.select.scope(&scope) {
                self.ready.push_back(Ok(Update::Changed(state.set(&scope, &self.owned.lock()))));
            } else if state.has(&scope) {
                self.left_out.insert(scope);
            } else {
                self.left_out.remove(&scope);
            }
        }
        self.seen.store(state.now(), Ordering::SeqCst);
        state.forget_gone();
        drop(state);
        self.unlisted = unlisted;
    }
}

impl Source for MemoryPorts {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        let watch = Watch {
            memory: self.memory.clone(),
            owned: self.owned.clone(),
            select: select.clone(),
            left_out: BTreeSet::new(),
            selection: select.epoch(),
            epoch: None,
            seen: self.memory.state.lock().follow(),
            complete: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            missing: false,
            ready: VecDeque::new(),
        };
        stream::unfold(watch, async |mut watch| {
            loop {
                if let Some(item) = watch.ready.pop_front() {
                    return Some((item, watch));
                }
                let memory = watch.memory.clone();
                let changed = memory.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                watch.look();
                if watch.ready.is_empty() {
                    // A part may have become interesting without any change here.
                    drop(tokio::time::timeout(Duration::from_secs(1), changed).await);
                }
            }
        })
        .boxed()
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(async move {
            self.answer(Some(part)).await?;
            let needed = select.needed().contains(part);
            let scopes: Vec<_> = {
                let state = self.memory.state.lock();
                if !state.parts().contains_key(part) && !state.is_used(part) && !needed {
                    return Err(Error::Missing(format!("there is no namespace {part}")));
                }
                state.scopes(part).cloned().collect()
            };
            let mut sets = Vec::with_capacity(scopes.len());
            for scopes in scopes.chunks(PORTION) {
                {
                    let (state, owned) = (self.memory.state.lock(), self.owned.lock());
                    let wanted = scopes.iter().filter(|scope| state.has(scope) && select.scope(scope));
                    sets.extend(wanted.map(|scope| state.set(scope, &owned)));
                }
                tokio::task::yield_now().await;
            }
            Ok(sets)
        })
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            self.answer(Some(part)).await?;
            Ok(self.memory.services().iter().filter(|scope| scope.part() == *part).count())
        })
    }

    fn replicas<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<Vec<Replica<RecordCounts>>, Error>> {
        let count = |sets: Vec<Set>| {
            let sets = sets.into_iter().filter(|set| !set.records.is_empty());
            sets.map(|set| (set.scope.clone(), set.records.len())).collect()
        };
        Box::pin(async move {
            self.answer(Some(part)).await?;
            let servers = self.servers(|state| state.scopes(part).cloned().collect());
            Ok(servers.into_iter().map(|(server, sets)| Replica { server, listed: Ok(count(sets)) }).collect())
        })
    }

    fn replica_sets<'a>(&'a self, scopes: &'a [ServiceKey]) -> BoxFuture<'a, Result<Vec<Replica<Vec<Set>>>, Error>> {
        Box::pin(async move {
            self.answer(None).await?;
            let servers = self.servers(|_| scopes.to_vec());
            Ok(servers.into_iter().map(|(server, sets)| Replica { server, listed: Ok(sets) }).collect())
        })
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        Box::pin(async move {
            self.answer(None).await?;
            Ok(self.memory.state.lock().parts().clone())
        })
    }
}

impl Sink for MemoryPorts {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn scopes(&self, wanted: &ServiceKey) -> Result<Vec<ServiceKey>, String> {
        self.names.of(wanted)
    }

    fn part(&self, wanted: &Part) -> Part {
        self.names.part(wanted)
    }

    fn belongs(&self, scope: &ServiceKey, record: &Instance) -> bool {
        self.names.belongs(scope, record)
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        self.names.check(scope)?;
        match record.weight.is_finite() && record.weight >= 0.0 {
            true => Ok(record),
            false => Err(format!("weight {} is not a number from 0 up", record.weight)),
        }
    }

    /// The registry checks persistent ones by itself.
    fn governed(&self, stands: &Instance, wanted: &Instance) -> Option<Governed> {
        let alike = stands.clone().with(|one| one.healthy = wanted.healthy) == *wanted;
        (alike && !stands.ephemeral).then_some(Governed::Health)
    }

    /// A persistent copy might be anybody's, as where nothing of ours is written into the data.
    fn proven_by_ledger(&self, record: &Instance) -> bool {
        !record.ephemeral
    }

    fn prepare<'a>(&'a self, part: &'a Part, title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.answer(Some(part)).await?;
            if self.names.part(part) != *part {
                return Err(Error::Rejected(format!("there is no namespace but {}", self.names.part(part))));
            }
            self.memory.create_part(&part.0, title);
            Ok(())
        })
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(changes.len());
            for change in changes {
                let outcome = match self.answer(Some(&scope.part())).await {
                    Ok(()) => self.change(scope, change),
                    Err(error) => Err(error),
                };
                outcomes.push(outcome);
            }
            outcomes
        })
    }

    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.answer(None).await?;
            for (scope, written) in owned {
                // A persistent one stands by itself, or not.
                for record in written.records.values().filter(|one| one.record.ephemeral) {
                    self.write(scope, &record.record, &record.owner)?;
                }
            }
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.memory.expire(self.session);
        Box::pin(std::future::ready(()))
    }
}
