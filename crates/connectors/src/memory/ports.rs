//! Our side of the registry: its [`Source`] and [`Sink`].

use super::state::RegistryState;
use super::watch::watch;
use super::{Fault, Memory, Names, Publisher};
use crate::bridge::other_tools::{is_other_tool, tool_of};
use causeway_core::{
    Capabilities, Change, Error, Governed, Instance, InstanceId, Limits, Lost, Normalized, OwnerId, Part, Parts,
    RecordCounts, Replica, Selector, ServiceKey, Set, Sink, Source, Update, Written,
};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

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
        let (names, shadows) = {
            let state = memory.state.lock();
            (state.names.clone(), !state.one_record)
        };
        let renames = names != Names::default();
        let capabilities = Capabilities { losses: names.losses(), renames, shadows, keeps: false };
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
    fn servers(&self, scopes: impl Fn(&RegistryState) -> Vec<ServiceKey>) -> Vec<(String, Vec<Set>)> {
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
            if state.lost.remove(&record.id.endpoint.host) {
                return Ok(());
            }
        }
        self.owned.lock().entry(scope.clone()).or_default().insert(record.id(), owner.clone());
        self.memory.publish(scope, &Publisher::Session(self.session), record.clone());
        Ok(())
    }

    /// What is written next takes the place of this one, which has another id.
    fn replaced(&self, scope: &ServiceKey, from: &Instance) {
        if tool_of(from.mark()).is_some() {
            self.memory.withdraw_theirs(scope, from);
        }
        self.memory.withdraw(scope, &Publisher::Session(self.session), &from.id());
        if let Some(records) = self.owned.lock().get_mut(scope) {
            records.remove(&from.id());
        }
    }

    fn change(&self, scope: &ServiceKey, change: &Change) -> Result<(), Error> {
        match change {
            Change::Delete { record, owner, .. } if is_other_tool(owner) => {
                self.memory.state.lock().writes += 1;
                match self.memory.withdraw_theirs(scope, record) {
                    true => Ok(()),
                    false => Err(Error::Rejected("its own publisher alone can remove it".into())),
                }
            }
            Change::Create(record) | Change::Adopt(record) | Change::Update { to: record, .. } => {
                if let Change::Update { from, .. } = change
                    && from.id != record.id
                {
                    self.replaced(scope, from);
                }
                match record.mark().map(|mark| mark.owner.clone()) {
                    Some(owner) => self.write(scope, record, &owner),
                    None => Err(Error::protocol("a copy without a mark")),
                }
            }
            Change::Shadow(record, owner) => self.write(scope, &record.clone().with_mark(None), owner),
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

impl Source for MemoryPorts {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        watch(&self.memory, &self.owned, select)
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(async move {
            self.answer(Some(part)).await?;
            let needed = select.needed().contains(part);
            let scopes: Vec<_> = {
                let state = self.memory.state.lock();
                if !state.parts.contains_key(part) && !state.is_used(part) && !needed {
                    return Err(Error::Missing(format!("there is no namespace {part}")));
                }
                state.scopes(part).cloned().collect()
            };
            let mut sets = Vec::with_capacity(scopes.len());
            for scopes in scopes.chunks(PORTION) {
                {
                    let (state, owned) = (self.memory.state.lock(), self.owned.lock());
                    let wanted =
                        scopes.iter().filter(|scope| state.services.contains_key(*scope) && select.scope(scope));
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
            Ok(self.memory.state.lock().parts.clone())
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

    fn scope(&self, wanted: &ServiceKey) -> Result<ServiceKey, String> {
        self.names.of(wanted)
    }

    fn part(&self, wanted: &Part) -> Part {
        self.names.part(wanted)
    }

    fn stands(&self, record: &Instance) -> bool {
        self.names.stands(record)
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
