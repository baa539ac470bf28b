//! Publications on 1.x, over HTTP: each record is registered by itself and kept by heart beats.
//!
//! All who register one address over HTTP share one record: the second registration replaces the first, and one
//! removal removes it for both. So before every write the service is read, and only what is ours is written or removed.
//! Between the read and the write another registration may still slip in, for some milliseconds: its provider's next
//! beat is then answered «unknown» once our copy goes, and it registers again.

mod kept;
mod upkeep;

use super::client::{Error as WireError, NacosClient, WireInstance, or_default};
use super::convert::{self, MARK};
use super::protocol::ServerProtocol;
use super::v1_records;
use crate::bridge::other_tools::{is_other_tool, tool_of};
use crate::util::keep_running;
use causeway_core::{Change, Error, Instance, InstanceId, OwnerId, ServiceKey};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use kept::KeptRecords;
use parking_lot::Mutex;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Requests that write, at a time; as many more may be beats.
const WRITES: usize = 32;
/// Of these, in one service: the server copies a service's whole list at every registration, and a server with 512 MB ran
/// out of memory when 16 at a time registered 2,000 instances of one service. With 4 at a time it did not.
const IN_ONE: usize = 4;
/// Services that are taken over at a time.
const SERVICES: usize = 16;
/// Locks that keep the writers of one service apart.
const LOCKS: usize = 64;
/// How often, and how long at most, it is looked whether a record that was taken back is gone.
const LOOK: Duration = Duration::from_millis(100);
const GONE: Duration = Duration::from_secs(10);

/// One record as it stands.
pub(super) struct Standing {
    pub read: Instance,
    /// Ours although its mark is gone.
    pub claimed: Option<OwnerId>,
}

impl Standing {
    /// Whether it carries the mark of this owner.
    fn is_of(&self, owner: &OwnerId) -> bool {
        self.read.mark.as_ref().is_some_and(|mark| mark.owner == *owner)
    }

    /// Whether a record of this install may be written over it. A key of ours that was written over is ours: nobody
    /// else writes it.
    fn is_ours(&self, install: &str) -> bool {
        match &self.read.mark {
            Some(mark) => *mark.owner.install == *install,
            None => self.claimed.is_some() || self.read.metadata.contains_key(MARK),
        }
    }
}

struct Registrar {
    client: NacosClient,
    protocol: Arc<ServerProtocol>,
    kept: Mutex<KeptRecords>,
    locks: [tokio::sync::Mutex<()>; LOCKS],
    writes: Semaphore,
}

/// Everything that this process keeps in a 1.x cluster.
pub(super) struct Beats {
    registrar: Arc<Registrar>,
    /// Beats; ends with this.
    upkeep: Mutex<JoinSet<()>>,
}

impl Beats {
    pub fn new(client: NacosClient, protocol: Arc<ServerProtocol>) -> Self {
        let registrar = Registrar {
            client,
            protocol,
            kept: Mutex::default(),
            locks: [const { tokio::sync::Mutex::const_new(()) }; LOCKS],
            writes: Semaphore::new(WRITES),
        };
        Self { registrar: Arc::new(registrar), upkeep: Mutex::default() }
    }

    fn start(&self) {
        let mut upkeep = self.upkeep.lock();
        if upkeep.is_empty() {
            let registrar = self.registrar.clone();
            let run = move || upkeep::run(registrar.clone());
            upkeep.spawn(async move { keep_running("keeping copies alive by heartbeats", run, drop).await });
        }
    }

    /// Applies changes of records of one service; one outcome each.
    pub async fn apply(&self, scope: &ServiceKey, changes: &[&Change]) -> Vec<Result<(), Error>> {
        self.start();
        let _lock = self.registrar.turn(scope).lock().await;
        let standing = match self.registrar.standing(scope).await {
            Ok(standing) => standing,
            Err(error) => return changes.iter().map(|_| Err(convert::error(error.clone()))).collect(),
        };
        let writes = changes.iter().map(|change| self.registrar.write(scope, change, &standing).boxed()).collect();
        several(writes, standing.is_empty()).await
    }

    /// Takes over records that another process, or this one in another way, has written: what stands is beaten at
    /// once, what has gone is registered again. Returns the first error; what failed is retried.
    pub async fn adopt(&self, sets: Vec<(ServiceKey, Vec<(Instance, OwnerId)>)>) -> Result<(), WireError> {
        self.start();
        let now = Instant::now();
        for (scope, records) in &sets {
            let mut kept = self.registrar.kept.lock();
            records.iter().for_each(|(record, owner)| kept.put(scope, record, owner, false, now));
        }
        let takes: Vec<_> = sets.iter().map(|(scope, _)| self.registrar.restore(scope).boxed()).collect();
        let outcomes: Vec<_> = stream::iter(takes).buffer_unordered(SERVICES).collect().await;
        outcomes.into_iter().collect()
    }

    /// Judges all that stand in a service.
    pub fn judge(&self, scope: &ServiceKey, instances: &[WireInstance]) -> Vec<Standing> {
        self.registrar.judge(scope, instances)
    }

    /// Keeps nothing any more, and removes nothing: what stands ends by itself after 30 s.
    pub fn clear(&self) {
        self.registrar.kept.lock().clear();
    }

    pub fn close(&self) {
        self.clear();
        self.upkeep.lock().abort_all();
    }
}

/// Runs the writes of one service, some at a time; their outcomes in order. `new`: nothing stands in it.
///
/// The server makes a service at its first registration. Two at once make it twice, and what one of them registered is
/// lost: so the first goes alone.
async fn several<E>(writes: Vec<BoxFuture<'_, Result<(), E>>>, new: bool) -> Vec<Result<(), E>> {
    let (mut writes, mut outcomes) = (writes.into_iter(), Vec::new());
    while new && !outcomes.iter().any(Result::is_ok) {
        match writes.next() {
            Some(first) => outcomes.push(first.await),
            None => return outcomes,
        }
    }
    let rest: Vec<_> = stream::iter(writes).buffered(IN_ONE).collect().await;
    outcomes.extend(rest);
    outcomes
}

impl Registrar {
    fn turn(&self, scope: &ServiceKey) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        scope.hash(&mut hasher);
        &self.locks[(hasher.finish() as usize) % LOCKS]
    }

    /// What stands in a service; nothing where there is no such service.
    async fn standing(&self, scope: &ServiceKey) -> Result<Vec<Standing>, WireError> {
        Ok(self.judge(scope, &or_default(self.client.truth(scope).await)?.instances))
    }

    fn judge(&self, scope: &ServiceKey, instances: &[WireInstance]) -> Vec<Standing> {
        let now = Instant::now();
        let mut kept = self.kept.lock();
        let judge = |wire: &WireInstance| {
            let read = convert::read(wire);
            let claimed = if read.ephemeral { kept.judge(scope, &read, wire.last_beat, now) } else { None };
            Standing { read, claimed }
        };
        let all: Vec<_> = instances.iter().map(judge).collect();
        let there = all.iter().filter(|one| one.read.ephemeral).map(|one| one.read.id.clone()).collect();
        kept.absent(scope, &there, now);
        all
    }

    async fn write(&self, scope: &ServiceKey, change: &Change, all: &[Standing]) -> Result<(), Error> {
        let here = |id: &InstanceId| all.iter().filter(|one| one.read.id == *id).collect::<Vec<_>>();
        let done = match change {
            Change::Create(record) | Change::Adopt(record) => self.put(scope, record, &here(&record.id), None).await,
            Change::Update { from, to } => {
                let theirs = tool_of(from.mark());
                let done = self.put(scope, to, &here(&to.id), theirs).await;
                // Under another cluster name it is another record.
                match theirs.filter(|_| from.id != to.id && done == Ok(true)) {
                    Some(owner) => self.take_theirs(scope, owner, &here(&from.id)).await.map(|()| true),
                    None => done,
                }
            }
            Change::Delete { record, owner, .. } if is_other_tool(owner) => {
                self.take_theirs(scope, owner, &here(&record.id)).await.map(|()| true)
            }
            Change::Delete { record, owner, .. } | Change::Shadow(record, owner) => {
                return self.take(scope, &record.id, &owner.install, &here(&record.id)).await.map_err(convert::error);
            }
            Change::Scope { .. } | Change::Edit { .. } => Ok(true),
        };
        match done {
            Ok(true) => Ok(()),
            // Look again: then the plan says whose it is.
            Ok(false) => Err(Error::Conflict),
            Err(error) => Err(convert::error(error)),
        }
    }

    /// Registers a record where nothing stands but what is ours, or `theirs`; false where somebody else's does.
    async fn put(
        &self,
        scope: &ServiceKey,
        record: &Instance,
        here: &[&Standing],
        theirs: Option<&OwnerId>,
    ) -> Result<bool, WireError> {
        let Some(mark) = &record.mark else { return Ok(true) };
        let may = |one: &Standing| one.is_ours(&mark.owner.install) || theirs.is_some_and(|owner| one.is_of(owner));
        if !here.iter().all(|one| may(one)) {
            return Ok(false);
        }
        if here.is_empty() && self.kept.lock().is_pending(scope, record, Instant::now()) {
            return Ok(true);
        }
        let wire = v1_records::write(record);
        let alike = here.iter().find(|one| one.read.ephemeral == record.ephemeral);
        let healthy = alike.map(|one| one.read.healthy);
        let _slot = self.writes.acquire().await;
        if record.ephemeral && !record.healthy && healthy == Some(true) {
            // A registration leaves the health of what stands as it is. A busy server takes in both calls at once: what it
            // still shows counts as standing.
            self.client.deregister_http(scope, &wire).await?;
            self.until_gone(scope, &record.id).await?;
        }
        self.client.register_http(scope, &wire).await?;
        for other in here.iter().filter(|one| one.read.ephemeral != record.ephemeral) {
            self.client.deregister_http(scope, &convert::write(&other.read)).await?;
        }
        if record.ephemeral && record.healthy && healthy == Some(false) {
            self.client.beat_http(scope, &wire).await?;
        }
        let mut kept = self.kept.lock();
        match record.ephemeral {
            true => kept.put(scope, record, &mark.owner, true, Instant::now()),
            false => kept.forget(scope, &record.id),
        }
        Ok(true)
    }

    /// Removes what another tool registered. Its heart beats bring it back while it runs.
    async fn take_theirs(&self, scope: &ServiceKey, owner: &OwnerId, here: &[&Standing]) -> Result<(), WireError> {
        let _slot = self.writes.acquire().await;
        for one in here.iter().filter(|one| one.is_of(owner)) {
            self.client.deregister_http(scope, &convert::write(&one.read)).await?;
        }
        Ok(())
    }

    /// Waits until the server no longer shows a record, at most [`GONE`].
    async fn until_gone(&self, scope: &ServiceKey, id: &InstanceId) -> Result<(), WireError> {
        let end = Instant::now() + GONE;
        while Instant::now() < end {
            let truth = or_default(self.client.truth(scope).await)?;
            if !truth.instances.iter().map(convert::read).any(|one| one.ephemeral && one.id == *id) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Removes what stands at an address if it is ours, and keeps nothing there any more.
    async fn take(
        &self,
        scope: &ServiceKey,
        id: &InstanceId,
        install: &str,
        here: &[&Standing],
    ) -> Result<(), WireError> {
        let ours: Vec<_> = here.iter().filter(|one| one.is_ours(install)).collect();
        let _slot = self.writes.acquire().await;
        for one in &ours {
            self.client.deregister_http(scope, &convert::write(&one.read)).await?;
        }
        let mut kept = self.kept.lock();
        match ours.is_empty() && !here.is_empty() {
            true => kept.give_up(scope, id),
            false => kept.forget(scope, id),
        }
        Ok(())
    }

    /// Restores all that is kept in a service: beats what stands, registers what is missing.
    async fn restore(&self, scope: &ServiceKey) -> Result<(), WireError> {
        let _lock = self.turn(scope).lock().await;
        let standing = match self.standing(scope).await {
            Ok(standing) => standing,
            Err(error) => {
                self.retry(scope);
                return Err(error);
            }
        };
        let wanted = self.kept.lock().of(scope);
        let tries = wanted.iter().map(|record| {
            let here: Vec<_> = standing.iter().filter(|one| one.read.id == record.id).collect();
            async move {
                let outcome = self.restore_one(scope, record, &here).await;
                if outcome.is_err() {
                    self.kept.lock().again(scope, &record.id, Instant::now() + upkeep::AGAIN);
                }
                outcome
            }
            .boxed()
        });
        several(tries.collect(), standing.is_empty()).await.into_iter().collect()
    }

    fn retry(&self, scope: &ServiceKey) {
        let at = Instant::now() + upkeep::AGAIN;
        let mut kept = self.kept.lock();
        kept.of(scope).iter().for_each(|record| kept.again(scope, &record.id, at));
    }

    async fn put_again(&self, scope: &ServiceKey, record: &Instance, here: &[&Standing]) -> Result<(), WireError> {
        if !self.put(scope, record, here, None).await? {
            self.kept.lock().again(scope, &record.id, Instant::now() + upkeep::SLOWLY);
        }
        Ok(())
    }

    async fn restore_one(&self, scope: &ServiceKey, record: &Instance, here: &[&Standing]) -> Result<(), WireError> {
        let Some(mark) = &record.mark else { return Ok(()) };
        let there = here.iter().find(|one| one.read.ephemeral).filter(|one| one.is_ours(&mark.owner.install));
        let Some(there) = there.filter(|one| one.read.healthy == record.healthy || record.healthy) else {
            // Nothing there, or a health that only a new record gets. (Nothing is written over somebody else's.)
            return self.put_again(scope, record, here).await;
        };
        if there.read.mark.is_none() && !there.read.metadata.contains_key(MARK) {
            return self.put_again(scope, record, here).await;
        }
        let _slot = self.writes.acquire().await;
        if record.healthy {
            let every = self.client.beat_http(scope, &convert::write(record)).await?.unwrap_or(upkeep::AGAIN);
            self.kept.lock().beaten(scope, &record.id, Some(every), Instant::now());
        } else {
            // As it stands: an operator may have edited it.
            self.client.register_http(scope, &v1_records::write(&there.read)).await?;
            self.kept.lock().beaten(scope, &record.id, None, Instant::now());
        }
        Ok(())
    }
}
