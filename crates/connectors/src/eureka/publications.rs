//! Everything that this process keeps in a Eureka: registered, renewed, and made again when the servers have lost it.
//!
//! A registration replaces what stands under its id, and a cancellation removes it for all clients. So before every write the
//! instance is read, which servers answer without a cache, and only what is ours is written over or removed. A provider that
//! registers between the read and a removal is told «unknown» at its next heartbeat, and registers again.

use super::client::{EurekaClient, Listing, Status, WireInstance};
use super::convert::{self, Row};
use super::kept::{Copy, Id, Kept};
use super::settings::Settings;
use super::view::View;
use crate::bridge::other_tools::tool_of;
use crate::util::keep_running;
use crate::util::lease::Renewal;
use causeway_core::{Change, Error, Instance, OwnerId, ServiceKey, Set, Written};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Writes under way at a time, in all services and in one; renewals come besides.
const WRITES: usize = 32;
const IN_ONE: usize = 8;
const RENEWALS: usize = 64;
/// Locks that keep the writers of one instance apart.
const TURNS: usize = 64;
/// A renewal that no server answered is repeated after this time; one that was refused, later.
const AGAIN: Duration = Duration::from_secs(1);
const SLOWLY: Duration = Duration::from_secs(5);
/// Copies that were taken over are renewed first within this time, spread evenly.
const TAKEN_OVER: Duration = Duration::from_secs(10);

struct Inner {
    client: Arc<EurekaClient>,
    settings: Settings,
    kept: Mutex<Kept>,
    /// What is kept has changed.
    news: Notify,
    turns: [tokio::sync::Mutex<()>; TURNS],
    writes: Semaphore,
}

/// The copies in one cluster. Clones share them; renewals end with the last one.
#[derive(Clone)]
pub(super) struct Publications {
    inner: Arc<Inner>,
    upkeep: Arc<Mutex<JoinSet<()>>>,
}

impl Publications {
    pub fn new(client: Arc<EurekaClient>, settings: &Settings) -> Self {
        let inner = Inner {
            client,
            settings: settings.clone(),
            kept: Mutex::default(),
            news: Notify::new(),
            turns: [const { tokio::sync::Mutex::const_new(()) }; TURNS],
            writes: Semaphore::new(WRITES),
        };
        Self { inner: Arc::new(inner), upkeep: Arc::default() }
    }

    fn start(&self) {
        let mut upkeep = self.upkeep.lock();
        if upkeep.is_empty() {
            let inner = self.inner.clone();
            let run = move || renewals(inner.clone());
            upkeep.spawn(async move { keep_running("renewing copies in Eureka", run, drop).await });
        }
    }

    /// What stands in an application, ours known as ours.
    pub fn set(&self, view: &View, app: &str) -> Set {
        self.inner.kept.lock().set(app, view.rows(app))
    }

    /// Applications whose sets may be otherwise though no list has changed.
    pub fn pending(&self) -> Vec<Arc<str>> {
        self.inner.kept.lock().pending()
    }

    /// The servers were away.
    pub fn believe(&self) {
        self.inner.kept.lock().believe();
    }

    /// Completes when what is kept has changed.
    pub async fn changed(&self) {
        self.inner.news.notified().await;
    }

    /// Applies the changes of one service, removals last; one outcome each.
    pub async fn apply(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        self.start();
        let mut outcomes: Vec<_> = changes.iter().map(|_| Err(Error::protocol("not applied"))).collect();
        for last in [false, true] {
            let is_now = |change: &Change| matches!(change, Change::Delete { .. }) == last;
            let mut writes: Vec<BoxFuture<'_, (usize, Result<(), Error>)>> = Vec::new();
            for (n, change) in changes.iter().enumerate().filter(|(_, change)| is_now(change)) {
                writes.push(async move { (n, self.inner.change(scope, change).await) }.boxed());
            }
            let done: Vec<_> = stream::iter(writes).buffer_unordered(IN_ONE).collect().await;
            done.into_iter().for_each(|(n, outcome)| outcomes[n] = outcome);
        }
        self.inner.news.notify_waiters();
        outcomes
    }

    /// Takes over what another process wrote: what is listed is renewed soon, what is not is registered again. Returns the
    /// first error; what failed is retried.
    pub async fn adopt(&self, owned: &[(ServiceKey, Written)]) -> Result<(), Error> {
        self.start();
        let records = owned.iter().flat_map(|(scope, written)| written.records.values().map(move |one| (scope, one)));
        let all: Vec<_> = records.filter(|(_, one)| !one.shadow).collect();
        if all.is_empty() {
            return Ok(());
        }
        let (listing, listed) = match self.inner.client.all().await {
            Ok(listing) => (listing, Ok(())),
            Err(error) => (Listing::default(), Err(error)),
        };
        let view = View::of(listing, &self.inner.settings);
        let (mut missing, now) = (Vec::new(), Instant::now());
        for (n, (scope, one)) in all.iter().enumerate() {
            let (id, wire) = self.inner.wire(scope, &one.record);
            let row = view.rows(&scope.name).and_then(|rows| rows.get(&*id.1));
            let every = every(&wire);
            // As far as it is not known what stands, soon: each is looked at when it is renewed.
            let wait = TAKEN_OVER.mul_f64(n as f64 / all.len() as f64).min(every);
            let dirty = row.map_or(0, |row| row.dirty);
            match row {
                Some(row) if !row.is_of(&one.owner.install) => continue,
                Some(_) => {}
                None => missing.push((*scope, &one.record, &one.owner)),
            }
            self.inner.kept.lock().adopted(&id, &one.record, &one.owner, dirty, every, now + wait);
        }
        listed?;
        let mut writes: Vec<BoxFuture<'_, Result<(), Error>>> = Vec::new();
        for (scope, record, owner) in missing {
            writes.push(self.inner.put(scope, record, owner, None).boxed());
        }
        let outcomes: Vec<_> = stream::iter(writes).buffer_unordered(WRITES).collect().await;
        // Where somebody else stands, there is nothing to take over.
        outcomes.into_iter().filter(|outcome| !matches!(outcome, Err(Error::Conflict))).collect()
    }

    /// Ends the renewals, and withdraws nothing: what stands ends by itself.
    pub fn close(&self) {
        self.inner.kept.lock().clear();
        self.upkeep.lock().abort_all();
    }
}

fn every(wire: &WireInstance) -> Duration {
    Duration::from_secs(convert::interval(wire).into())
}

/// Milliseconds of the time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "a time stamp on the wire, which servers compare with those of other clients"
)]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Inner {
    fn turn(&self, id: &Id) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        &self.turns[(hasher.finish() as usize) % TURNS]
    }

    /// A copy as it is written, and where it stands.
    fn wire(&self, scope: &ServiceKey, record: &Instance) -> (Id, WireInstance) {
        let wire = convert::write(&scope.name, record, &self.settings);
        ((scope.name.clone(), wire.id().into()), wire)
    }

    async fn change(&self, scope: &ServiceKey, change: &Change) -> Result<(), Error> {
        match change {
            Change::Create(record) | Change::Adopt(record) => self.write(scope, record, None).await,
            Change::Update { from, to } => {
                let theirs = tool_of(from.mark());
                self.write(scope, to, theirs).await?;
                let moved = self.wire(scope, from).0 != self.wire(scope, to).0;
                match &to.mark {
                    Some(mark) if moved => {
                        let install = &theirs.unwrap_or(&mark.owner).install;
                        self.take(scope, from, install, true).await
                    }
                    _ => Ok(()),
                }
            }
            Change::Delete { record, owner, .. } | Change::Shadow(record, owner) => {
                self.take(scope, record, &owner.install, false).await
            }
            Change::Edit { from, to, .. } => self.edit(scope, from, to).await,
            Change::Scope { .. } => Ok(()),
        }
    }

    async fn write(&self, scope: &ServiceKey, record: &Instance, theirs: Option<&OwnerId>) -> Result<(), Error> {
        convert::check(scope, record).map_err(Error::Rejected)?;
        let Some(mark) = &record.mark else { return Err(Error::protocol("a copy without a mark")) };
        self.put(scope, record, &mark.owner, theirs).await
    }

    async fn standing(&self, id: &Id) -> Result<Option<Row>, Error> {
        let found = self.client.instance(&id.0, &id.1).await?;
        Ok(found.map(|wire| convert::read(wire, &self.settings)))
    }

    /// Registers a copy and keeps it. [`Error::Conflict`] where somebody else's instance stands than `theirs`.
    async fn put(
        &self,
        scope: &ServiceKey,
        record: &Instance,
        owner: &OwnerId,
        theirs: Option<&OwnerId>,
    ) -> Result<(), Error> {
        let (id, wire) = self.wire(scope, record);
        let _turn = self.turn(&id).lock().await;
        self.register(&id, wire, (record, owner), theirs, false).await
    }

    /// Registers a copy that the server does not know, unless it was withdrawn or written since it was looked up.
    async fn put_again(&self, id: &Id, wire: WireInstance, copy: &Copy) -> Result<(), Error> {
        let _turn = self.turn(id).lock().await;
        if self.kept.lock().copy(id).is_none_or(|now| now.dirty != copy.dirty) {
            return Ok(());
        }
        self.register(id, wire, (&copy.record, &copy.owner), None, true).await
    }

    /// Only within the turn of `id`. `again`: nothing new is wanted, and what somebody has laid over it stays.
    async fn register(
        &self,
        id: &Id,
        mut wire: WireInstance,
        (record, owner): (&Instance, &OwnerId),
        theirs: Option<&OwnerId>,
        again: bool,
    ) -> Result<(), Error> {
        let _slot = self.writes.acquire().await;
        let stands = self.standing(id).await?;
        let may = |row: &Row| row.is_of(&owner.install) || theirs.is_some_and(|theirs| row.is_marked(theirs));
        if stands.as_ref().is_some_and(|row| !may(row)) {
            self.kept.lock().forget(id);
            return Err(Error::Conflict);
        }
        // A registration with an older time stamp than the one that stands is ignored, and clocks differ. By its time stamp a
        // list that is older than this, or than a withdrawal, is told from a newer one.
        let before = stands.as_ref().map_or(0, |row| row.dirty).max(self.kept.lock().latest(id));
        wire.last_dirty_timestamp = before.saturating_add(1).max(now());
        self.client.register(&wire).await?;
        let over = stands.filter(|row| !again || row.laid_over == Status::Unknown);
        if let Some(status) = over.and_then(|row| laid_over(&row, wire.status)) {
            self.client.lay_over(&id.0, &id.1, status, wire.last_dirty_timestamp).await?;
        }
        self.kept.lock().written(id, record, owner, wire.last_dirty_timestamp, every(&wire));
        Ok(())
    }

    /// Withdraws a copy where it stands and is of this install, and keeps it no more. What has come to stand under its id at
    /// another address is another copy, and stays. `moved`: this one stands under another id already.
    async fn take(&self, scope: &ServiceKey, record: &Instance, install: &str, moved: bool) -> Result<(), Error> {
        let (id, _) = self.wire(scope, record);
        let is_it = |one: &Instance| one.id.endpoint == record.id.endpoint;
        let _turn = self.turn(&id).lock().await;
        let _slot = self.writes.acquire().await;
        let copy = self.kept.lock().copy(&id);
        if copy.as_ref().is_some_and(|copy| !is_it(&copy.record)) {
            return Ok(());
        }
        if moved {
            // It is not renewed any more, so it ends by itself where it cannot be removed now.
            self.kept.lock().forget(&id);
        }
        let Some(row) = self.standing(&id).await? else {
            self.kept.lock().withdrawn(&id, copy.map_or(0, |copy| copy.dirty));
            return Ok(());
        };
        if !row.is_of(install) || !is_it(&row.record) {
            self.kept.lock().forget(&id);
            return Ok(());
        }
        match self.client.cancel(&id.0, &id.1).await {
            Ok(()) | Err(Error::Missing(_)) => self.kept.lock().withdrawn(&id, row.dirty),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What an operator changed of a copy elsewhere, laid over the native record.
    async fn edit(&self, scope: &ServiceKey, from: &Instance, to: &Instance) -> Result<(), Error> {
        if from.enabled == to.enabled {
            return Ok(());
        }
        let id = self.wire(scope, from).0;
        let Some(row) = self.standing(&id).await? else { return Err(Error::Conflict) };
        // With its own time stamp: a later one would have the server ignore a provider whose clock is behind.
        let dirty = row.dirty;
        match (to.enabled, row.laid_over) {
            (true, Status::OutOfService) => self.client.lay_bare(&id.0, &id.1, Status::Up, dirty).await,
            // Its provider says that it is out of service: there is nothing to take away.
            (true, _) => self.client.lay_over(&id.0, &id.1, Status::Up, dirty).await,
            (false, _) => self.client.lay_over(&id.0, &id.1, Status::OutOfService, dirty).await,
        }
    }

    /// Renews a copy, or makes it again where it is lost.
    async fn renew(&self, id: Id) -> Renewal {
        let Some(copy) = self.kept.lock().copy(&id) else { return Renewal::Done(None) };
        let scope = convert::scope(&id.0);
        let (_, wire) = self.wire(&scope, &copy.record);
        let outcome = match self.client.renew(&id.0, &id.1, wire.status, copy.dirty).await {
            Err(Error::Missing(_)) => {
                let made = self.put_again(&id, wire, &copy).await;
                self.news.notify_waiters();
                made
            }
            outcome => outcome,
        };
        match outcome {
            Ok(()) => Renewal::Done(None),
            // It is somebody else's now, and no longer kept.
            Err(Error::Conflict) => Renewal::Done(None),
            Err(Error::Unavailable(why)) => Renewal::Away(AGAIN, why.to_string()),
            // All would be told the same.
            Err(Error::Denied(why)) => Renewal::Away(SLOWLY, why),
            Err(Error::Throttled(wait)) => Renewal::Away(wait.max(AGAIN), format!("told to wait {wait:?}")),
            Err(error) => {
                tracing::debug!(app = &*id.0, id = &*id.1, %error, "a copy was not renewed");
                Renewal::Failed(SLOWLY)
            }
        }
    }
}

/// A registration does not turn what is up into out of service, or back, nor take away what was laid over: then the wanted
/// status is laid over.
fn laid_over(stands: &Row, wanted: Status) -> Option<Status> {
    let firm = |status: Status| matches!(status, Status::Up | Status::OutOfService);
    if !firm(wanted) {
        return None;
    }
    let laid_over = Some(stands.laid_over).filter(|status| *status != Status::Unknown);
    let shown = laid_over.or(Some(stands.status).filter(|status| firm(*status)));
    shown.is_some_and(|shown| shown != wanted).then_some(wanted)
}

async fn renewals(inner: Arc<Inner>) {
    let leases = inner.kept.lock().leases();
    leases.run(RENEWALS, |id| inner.renew(id)).await;
}

#[cfg(test)]
mod tests;
