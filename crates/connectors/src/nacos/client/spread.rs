//! Publications spread over as many connections as their size asks for.
//!
//! A server sends everything that one connection holds to its peers in one message, and such a message has a limit
//! (10 MB). What is over it never reaches the other servers. [`super::layout`] says which connection carries what; this
//! module opens connections, sends, hands services over and closes what has become empty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use causeway_core::ServiceKey;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::core::Core;
use super::error::{Error, Result};
use super::layout::{ConnectionLayout, ConnectionNumber, ConnectionSet, Instances, Load, Next};
use super::link::RETRY;
use super::publisher::Publisher;
use super::wire::WireInstance;
use crate::SocketKeeper;
use crate::util::backoff::{Backoff, random_index};
use crate::util::keep_running;

/// How long a connection that carries nothing is kept open.
const IDLE: Duration = Duration::from_secs(60);

/// All connections by which one process publishes in a cluster. A service is on one of them, unless it is larger by
/// itself than [`super::Options::connection_bytes`].
pub struct SpreadPublisher {
    spread: Arc<Spread>,
    _stop: DropGuard,
}

/// One connection and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The server's id of the connection, while there is one.
    pub id: Option<String>,
    /// What is published on it.
    pub load: Load,
}

struct Spread {
    core: Arc<Core>,
    name: String,
    keeper: Option<Arc<dyn SocketKeeper>>,
    /// The address that the first connection tries first; the next one takes the next.
    first: usize,
    state: Mutex<SpreadState>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Invariant: every connection of the layout is open.
struct SpreadState {
    layout: ConnectionLayout,
    open: BTreeMap<ConnectionNumber, Open>,
    /// Services that are being handed over, each by a task.
    moving: BTreeSet<ServiceKey>,
}

struct Open {
    publisher: Arc<Publisher>,
    /// Since when it has held nothing and was not used.
    idle: Option<Instant>,
}

/// A wish that was noted with a publisher, and its version there.
type NotedWish = (Arc<Publisher>, u64);

/// The connections that hold all of a service, each with its generation.
type Proof = Vec<(ConnectionNumber, u64)>;

impl SpreadPublisher {
    pub(super) fn new(core: Arc<Core>, name: &str, keeper: Option<Arc<dyn SocketKeeper>>) -> Self {
        let stop = CancellationToken::new();
        let state = SpreadState {
            layout: ConnectionLayout::new(core.options.connection_bytes),
            open: BTreeMap::new(),
            moving: BTreeSet::new(),
        };
        let first = random_index(core.options.addresses.len());
        let spread = Spread {
            core,
            name: name.to_owned(),
            keeper,
            first,
            state: Mutex::new(state),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
        };
        SpreadPublisher { spread: Arc::new(spread), _stop: stop.drop_guard() }
    }

    /// Publishes `instances` as the whole set of `key`; an empty set withdraws. Contract and errors as
    /// [`Publisher::publish`].
    pub async fn publish(&self, key: &ServiceKey, instances: Vec<WireInstance>) -> Result<()> {
        let asked = self.spread.want(key, instances);
        meet(key, asked).await
    }

    /// Publishes many sets, `in_flight` at a time; the outcomes are in the order of `sets`. All are asked for before
    /// the first is waited for, so giving up this call loses none: they are met when a server is there.
    pub async fn publish_all(&self, sets: Vec<(ServiceKey, Vec<WireInstance>)>) -> Vec<Result<()>> {
        let want = |(key, set)| {
            let asked = self.spread.want(&key, set);
            (key, asked)
        };
        let asked: Vec<_> = sets.into_iter().map(want).collect();
        stream::iter(asked)
            .map(|(key, asked)| async move { meet(&key, asked).await })
            .buffered(self.spread.core.options.in_flight.max(1))
            .collect()
            .await
    }

    /// Registers or deregisters one persistent instance. See [`Publisher::write_persistent`].
    pub async fn write_persistent(&self, key: &ServiceKey, instance: &WireInstance, register: bool) -> Result<()> {
        self.spread.any()?.write_persistent(key, instance, register).await
    }

    /// The connections, in the order in which they were opened.
    pub fn carried(&self) -> Vec<Carried> {
        let state = self.spread.state.lock();
        let carried = |(number, load)| {
            let id = state.open.get(&number).and_then(|open| open.publisher.connection_id());
            Carried { id, load }
        };
        state.layout.loads().map(carried).collect()
    }

    /// Ends all connections for the server too, which drops all publications at once, and waits for all tasks. Dropping
    /// it instead leaves kept sockets with their keeper.
    pub async fn close(&self) {
        self.spread.stop.cancel();
        let open = std::mem::take(&mut self.spread.state.lock().open);
        join_all(open.values().map(|open| open.publisher.close())).await;
        self.spread.tasks.close();
        self.spread.tasks.wait().await;
    }
}

/// Waits until the servers have all that was asked for. Of several errors, a refusal is returned rather than an outage.
async fn meet(key: &ServiceKey, asked: Result<Vec<NotedWish>>) -> Result<()> {
    let met = asked?.into_iter().map(|(publisher, version)| async move { publisher.meet(key, version).await });
    let errors: Vec<_> = join_all(met).await.into_iter().filter_map(Result::err).collect();
    let refusal = errors.iter().find(|error| !error.is_transient()).or(errors.first());
    refusal.map_or(Ok(()), |error| Err(error.clone()))
}

impl Spread {
    /// The state, unless it was closed.
    fn open_state(&self) -> Result<MutexGuard<'_, SpreadState>> {
        let state = self.state.lock();
        match self.stop.is_cancelled() {
            true => Err(Error::Unavailable("the publications were closed".into())),
            false => Ok(state),
        }
    }

    /// Notes the whole set of a service with the connections that are to carry it.
    fn want(self: &Arc<Self>, key: &ServiceKey, set: Vec<WireInstance>) -> Result<Vec<NotedWish>> {
        let mut state = self.open_state()?;
        let is_empty = set.is_empty();
        let mut wishes = state.layout.want(key, set.into());
        // A connection that has not taken an earlier withdrawal holds it still, though the layout does not know.
        let holds = |(number, open): (&ConnectionNumber, &Open)| open.publisher.desired(key).map(|_| *number);
        let left = state.open.iter().filter_map(holds);
        let left: Vec<_> = left.filter(|number| wishes.iter().all(|wish| wish.connection != *number)).collect();
        for connection in left {
            if is_empty {
                wishes.push(ConnectionSet { connection, set: Instances::default() });
            } else if let Some(open) = state.open.get(&connection) {
                // Sent by itself: what is published now does not wait for it.
                open.publisher.want(key, Instances::default());
            }
        }
        let asked = self.ask(&mut state, key, wishes);
        if state.layout.next(key) != Next::Done && state.moving.insert(key.clone()) {
            tracing::debug!(cluster = %self.name, service = %key, "is handed over to another connection");
            let (this, key) = (Arc::clone(self), key.clone());
            self.spawn(move || Arc::clone(&this).hand_over(key.clone()));
        }
        Ok(asked)
    }

    fn ask(self: &Arc<Self>, state: &mut SpreadState, key: &ServiceKey, wishes: Vec<ConnectionSet>) -> Vec<NotedWish> {
        let ask = |ConnectionSet { connection, set }: ConnectionSet| {
            let publisher = self.publisher(state, connection);
            let version = publisher.want(key, set);
            (publisher, version)
        };
        wishes.into_iter().map(ask).collect()
    }

    /// The publisher of a connection of the layout.
    fn publisher(self: &Arc<Self>, state: &mut SpreadState, number: ConnectionNumber) -> Arc<Publisher> {
        if state.open.is_empty() && number == 0 {
            let this = Arc::clone(self);
            self.spawn(move || Arc::clone(&this).close_idle());
        }
        let open = state.open.entry(number).or_insert_with(|| {
            let addresses = self.core.options.addresses.len().max(1);
            let first = (self.first + usize::try_from(number).unwrap_or_default()) % addresses;
            let publisher = Publisher::start(Arc::clone(&self.core), &self.name, self.keeper.clone(), first);
            Open { publisher: Arc::new(publisher), idle: None }
        });
        Arc::clone(&open.publisher)
    }

    fn any(self: &Arc<Self>) -> Result<Arc<Publisher>> {
        let mut state = self.open_state()?;
        let number = state.layout.any();
        let publisher = self.publisher(&mut state, number);
        if let Some(open) = state.open.get_mut(&number) {
            open.idle = None;
        }
        Ok(publisher)
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, start: impl Fn() -> F + Send + Sync + 'static) {
        let running = keep_running("moving copies between Nacos connections", start, drop);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(running));
    }

    /// Brings the records of one service to their homes: published there first, and withdrawn elsewhere only when the
    /// new connections have held all of it for long enough that every server of the cluster knows.
    async fn hand_over(self: Arc<Self>, key: ServiceKey) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let step = {
                let mut state = self.state.lock();
                match state.layout.next(&key) {
                    Next::Done => {
                        state.moving.remove(&key);
                        return;
                    }
                    Next::Add => {
                        let wishes = state.layout.advance(&key);
                        Some(self.ask(&mut state, &key, wishes))
                    }
                    Next::Drop(_) => None,
                }
            };
            if let Some(asked) = step {
                if let Err(error) = meet(&key, Ok(asked)).await {
                    tracing::debug!(service = %key, %error, "not handed over yet");
                    sleep(backoff.next()).await;
                }
                continue;
            }
            let Some(proof) = self.proof(&self.state.lock(), &key) else {
                sleep(backoff.next()).await;
                continue;
            };
            sleep(self.core.options.overlap).await;
            let asked = {
                let mut state = self.state.lock();
                if self.proof(&state, &key).as_ref() != Some(&proof) {
                    continue;
                }
                let wishes = state.layout.advance(&key);
                self.ask(&mut state, &key, wishes)
            };
            // What the old connection does not take now is sent again by itself.
            if let Err(error) = meet(&key, Ok(asked)).await {
                tracing::debug!(service = %key, %error, "not withdrawn from its former connection yet");
            }
        }
    }

    /// That the homes of a service hold all of it at the server; none while one does not, or records are missing there.
    fn proof(&self, state: &SpreadState, key: &ServiceKey) -> Option<Proof> {
        let Next::Drop(homes) = state.layout.next(key) else { return None };
        let held = |number: ConnectionNumber| Some((number, state.open.get(&number)?.publisher.holds(key)?));
        homes.into_iter().map(held).collect()
    }

    /// Closes connections that have carried nothing for a while.
    async fn close_idle(self: Arc<Self>) {
        loop {
            sleep(IDLE / 4).await;
            let gone = {
                let mut state = self.state.lock();
                let loads: Vec<_> = state.layout.loads().collect();
                let mut gone = Vec::new();
                for (number, load) in loads {
                    let Some(open) = state.open.get_mut(&number) else {
                        // Meant for a part of a service that has no instance.
                        state.layout.close(number);
                        continue;
                    };
                    if load.services > 0 {
                        open.idle = None;
                    } else if open.idle.get_or_insert_with(Instant::now).elapsed() >= IDLE && state.layout.close(number)
                    {
                        gone.extend(state.open.remove(&number));
                    }
                }
                gone
            };
            for open in gone {
                tracing::info!(cluster = %self.name, "a connection that carries nothing is closed");
                open.publisher.close().await;
            }
        }
    }
}
