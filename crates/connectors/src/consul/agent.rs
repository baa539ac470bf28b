//! Copies at an agent, each with a check that waits for signs of life.
//!
//! The agent brings them into the catalog, and loses them when it loses its data: then they are registered again. When our
//! signs of life end, they turn critical, and after a while the agent takes them away.

use super::catalog::again;
use super::client::{AgentCheck, AgentService, Entry, Service};
use super::convert;
use super::reading::Reading;
use crate::bridge::other_tools::{is_other_tool, tool_of};
use crate::keep_running;
use crate::util::http::path_segment;
use crate::util::lease::{Keeper, Leases, Renewal};
use causeway_core::{Change, Error, Instance, OwnerId, ServiceKey, Written};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Signs of life under way at a time.
const SIGNS_AT_ONCE: usize = 16;
/// Writes of one service under way at a time.
const WRITES_AT_ONCE: usize = 4;
/// The signs of life that fit into the time of a check.
const SIGNS: u32 = 3;
/// What has been critical for this many times its time is taken away by the agent...
const LEFT: u32 = 10;
/// ...but no sooner than this, which is as soon as an agent does it.
const SOONEST: Duration = Duration::from_secs(60);
/// A sign of life that failed is repeated after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// After a refusal for lack of rights.
const SLOWLY: Duration = Duration::from_secs(5);
/// The time of a check that nobody gives signs to: it stays as it is.
const FOREVER: &str = "87600h";
/// Locks that copies share.
const LOCKS: usize = 64;

/// Writes copies and keeps them alive.
pub(super) struct Agent {
    inner: Arc<Inner>,
    upkeep: Mutex<JoinSet<()>>,
}

struct Inner {
    reading: Arc<Reading>,
    install: Arc<str>,
    ttl: Duration,
    kept: Mutex<BTreeMap<String, Kept>>,
    /// Who registers a copy or takes it away holds the lock of its id until `kept` says so too.
    locks: [tokio::sync::Mutex<()>; LOCKS],
    leases: Keeper<String>,
}

#[derive(Clone)]
struct Kept {
    scope: ServiceKey,
    record: Instance,
    owner: OwnerId,
}

/// What stands in a service, by id.
type Standing = BTreeMap<String, Entry>;

impl Agent {
    pub fn new(reading: Arc<Reading>, install: Arc<str>, ttl: Duration) -> Self {
        let locks = std::array::from_fn(|_| tokio::sync::Mutex::default());
        let inner = Inner { reading, install, ttl, kept: Mutex::default(), locks, leases: Keeper::default() };
        Self { inner: Arc::new(inner), upkeep: Mutex::default() }
    }

    pub async fn apply(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        self.start();
        let standing = match self.inner.standing(scope).await {
            Ok(standing) => standing,
            Err(error) => return changes.iter().map(|_| Err(again(&error))).collect(),
        };
        let writes = changes.iter().map(|change| self.inner.change(scope, change, &standing));
        stream::iter(writes.collect::<Vec<_>>()).buffered(WRITES_AT_ONCE).collect().await
    }

    /// Keeps alive what an earlier process wrote. What the agent has lost meanwhile is registered again.
    pub async fn adopt(&self, owned: &[(ServiceKey, Written)]) -> Result<(), Error> {
        self.start();
        let mut ids = Vec::new();
        for (scope, written) in owned {
            for one in written.records.values() {
                let id = convert::id_of(&one.owner, scope, &one.record.id);
                let kept = Kept { scope: scope.clone(), record: one.record.clone(), owner: one.owner.clone() };
                self.inner.keep(id.clone(), kept);
                ids.push(id);
            }
        }
        let signs = ids.into_iter().map(|id| async move { self.inner.sign(&id).await });
        let outcomes: Vec<_> = stream::iter(signs).buffer_unordered(SIGNS_AT_ONCE).collect().await;
        outcomes.into_iter().collect()
    }

    /// Gives no more signs of life, and takes nothing away.
    pub fn close(&self) {
        self.inner.kept.lock().clear();
        self.inner.leases.change(Leases::clear);
        self.upkeep.lock().abort_all();
    }

    fn start(&self) {
        let mut upkeep = self.upkeep.lock();
        if upkeep.is_empty() {
            let inner = self.inner.clone();
            upkeep.spawn(async move {
                let run = || inner.leases.run(SIGNS_AT_ONCE, |id| inner.renew(id));
                keep_running("the upkeep of copies at an agent", run, |_| ()).await;
            });
        }
    }
}

impl Inner {
    async fn standing(&self, scope: &ServiceKey) -> Result<Standing, Error> {
        let (entries, filtered) = self.reading.entries(&scope.name).await?;
        match filtered {
            true => Err(Error::Denied(format!("the token may not read all of {}", scope.name))),
            false => Ok(entries.into_iter().map(|entry| (entry.service.id.clone(), entry)).collect()),
        }
    }

    async fn change(&self, scope: &ServiceKey, change: &Change, standing: &Standing) -> Result<(), Error> {
        match change {
            Change::Create(to) | Change::Adopt(to) => self.put(scope, to, standing).await,
            Change::Update { from, to } => {
                if tool_of(from.mark()).is_some() {
                    self.find_theirs(scope, from).await?;
                }
                self.put(scope, to, standing).await?;
                let id = |one: &Instance| convert::standing_id(scope, one);
                match id(from).filter(|before| Some(before) != id(to).as_ref()) {
                    Some(before) => self.take(&before).await,
                    None => Ok(()),
                }
            }
            Change::Delete { record, owner, .. } if is_other_tool(owner) => {
                let theirs = self.find_theirs(scope, record).await?;
                self.take(&theirs).await
            }
            Change::Delete { record, owner, .. } => self.take(&convert::id_of(owner, scope, &record.id)).await,
            Change::Shadow(..) => Err(Error::Rejected("Consul shows every record by itself".into())),
            Change::Edit { .. } => {
                Err(Error::Rejected("an instance of somebody else's is its agent's to change".into()))
            }
            Change::Scope { .. } => Ok(()),
        }
    }

    async fn put(&self, scope: &ServiceKey, record: &Instance, standing: &Standing) -> Result<(), Error> {
        let owner = record.mark().ok_or_else(|| Error::protocol("a copy without a mark"))?.owner.clone();
        let service = convert::write(scope, record, &owner).map_err(Error::Rejected)?;
        let id = service.id.clone();
        let same = |entry: &Entry| {
            convert::same(&entry.service, &service) && *record == convert::read(entry, Default::default())
        };
        let _lock = self.lock(&id).await;
        let is_kept = self.kept.lock().get(&id).is_some_and(|kept| kept.record == *record);
        if !(is_kept && standing.get(&id).is_some_and(same)) {
            self.register(&service, record, standing.get(&id)).await?;
        }
        self.keep(id, Kept { scope: scope.clone(), record: record.clone(), owner });
        Ok(())
    }

    /// The id of another tool's copy at this agent. [`Error::Rejected`] where another agent has it: nobody else can remove it.
    async fn find_theirs(&self, scope: &ServiceKey, theirs: &Instance) -> Result<String, Error> {
        let id = convert::standing_id(scope, theirs).unwrap_or_default();
        let path = format!("/v1/agent/service/{}", path_segment(&id));
        match self.reading.client.get::<IgnoredAny>(&path, &[]).await {
            Ok(_) => Ok(id),
            Err(Error::Missing(_)) => Err(Error::Rejected(format!(
                "{id} was registered with another agent than the one of this cluster's address, and only that one can remove it"
            ))),
            Err(error) => Err(error),
        }
    }

    async fn lock(&self, id: &str) -> tokio::sync::MutexGuard<'_, ()> {
        self.locks[xxh3_64(id.as_bytes()) as usize % LOCKS].lock().await
    }

    fn keep(&self, id: String, kept: Kept) {
        self.kept.lock().insert(id.clone(), kept);
        self.leases.change(|leases| leases.keep(id, self.ttl / SIGNS, Instant::now()));
    }

    /// Registers a copy with its checks, and takes away those that it has no more.
    async fn register(&self, service: &Service, record: &Instance, there: Option<&Entry>) -> Result<(), Error> {
        let left = (self.ttl * LEFT).max(SOONEST);
        let mut checks = vec![AgentCheck {
            id: alive(&service.id),
            name: "Signs of life from Causeway",
            ttl: format!("{}s", self.ttl.as_secs()),
            status: "passing",
            deregister_critical_service_after: Some(format!("{}s", left.as_secs())),
        }];
        let ill = convert::health_check(&service.id);
        if !record.healthy {
            checks.push(AgentCheck {
                id: ill.clone(),
                name: "Unhealthy where Causeway copied it from",
                ttl: FOREVER.into(),
                status: "critical",
                deregister_critical_service_after: None,
            });
        }
        let body = AgentService {
            id: &service.id,
            name: &service.service,
            tags: &service.tags,
            address: &service.address,
            port: service.port,
            meta: &service.meta,
            tagged_addresses: &service.tagged_addresses,
            weights: service.weights,
            enable_tag_override: service.enable_tag_override,
            checks,
        };
        let client = &self.reading.client;
        client.put("/v1/agent/service/register", &[], &body).await?;
        let has = |id: &str| there.is_some_and(|entry| entry.checks.iter().any(|check| check.id == id));
        if record.healthy && has(&ill) {
            gone(client.put(&format!("/v1/agent/check/deregister/{}", path_segment(&ill)), &[], &()).await)?;
        }
        let was_enabled = there.is_none_or(|entry| convert::read(entry, Default::default()).enabled);
        // What is shown as disabled may be what stood there before the agent lost its data.
        if !record.enabled || !was_enabled {
            let path = format!("/v1/agent/service/maintenance/{}", path_segment(&service.id));
            let enable = if record.enabled { "false" } else { "true" };
            client.put(&path, &[("enable", enable), ("reason", "disabled where Causeway copied it from")], &()).await?;
        }
        Ok(())
    }

    async fn take(&self, id: &str) -> Result<(), Error> {
        let _lock = self.lock(id).await;
        let path = format!("/v1/agent/service/deregister/{}", path_segment(id));
        gone(self.reading.client.put(&path, &[], &()).await)?;
        self.kept.lock().remove(id);
        self.leases.change(|leases| leases.remove(&id.to_owned()));
        Ok(())
    }

    /// One sign of life. What the agent does not know is registered again, as it is to be now.
    async fn sign(&self, id: &str) -> Result<(), Error> {
        let path = format!("/v1/agent/check/pass/{}", path_segment(&alive(id)));
        match self.reading.client.put(&path, &[], &()).await {
            Err(Error::Missing(_)) => {}
            done => return done,
        }
        let _lock = self.lock(id).await;
        let Some(kept) = self.kept.lock().get(id).cloned() else { return Ok(()) };
        if *kept.owner.install != *self.install {
            return Ok(());
        }
        let service = convert::write(&kept.scope, &kept.record, &kept.owner).map_err(Error::Rejected)?;
        let standing = self.standing(&kept.scope).await?;
        self.register(&service, &kept.record, standing.get(id)).await
    }

    async fn renew(&self, id: String) -> Renewal {
        match self.sign(&id).await {
            Ok(()) => Renewal::Done(None),
            Err(error) => {
                tracing::debug!(id, %error, "a sign of life failed");
                match error {
                    Error::Unavailable(why) => Renewal::Away(AGAIN, why.to_string()),
                    Error::Throttled(wait) => Renewal::Failed(wait.max(AGAIN)),
                    Error::Conflict => Renewal::Failed(AGAIN),
                    _ => Renewal::Failed(SLOWLY),
                }
            }
        }
    }
}

/// The check that waits for signs of life.
fn alive(id: &str) -> String {
    format!("{id}:alive")
}

/// What is not there is as good as taken away.
fn gone(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(Error::Missing(_)) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests;
