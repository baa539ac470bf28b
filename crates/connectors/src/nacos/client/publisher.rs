//! Publications: what one connection holds at the server, kept there whatever happens.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::core::Core;
use super::desired::{Desired, Wish};
use super::error::{Error, Result};
use super::frames::{BatchInstances, OneInstance, Persistent};
use super::grpc::Connection;
use super::layout::Instances;
use super::link::{Link, Live, Session, Status};
use super::wire::{ServiceKey, WireInstance};
use crate::SocketKeeper;

impl Wish for Instances {
    fn is_gone(&self) -> bool {
        self.is_empty()
    }
}

struct State {
    core: Arc<Core>,
    /// Tells publishers of one cluster apart.
    number: u64,
    desired: Desired<Instances>,
    in_flight: usize,
}

impl Session for State {
    fn replay<'a>(&'a self, live: &'a Live) -> BoxFuture<'a, ()> {
        self.core.publishes_as(self.number, &live.connection.id);
        Box::pin(self.desired.replay(live, self.in_flight, |key, set, last| {
            let connection = Arc::clone(&live.connection);
            async move { send(&connection, &key, &set, last.as_ref()).await }
        }))
    }

    fn is_behind(&self) -> bool {
        self.desired.is_behind()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.core.publishes_no_longer(self.number);
    }
}

/// One connection that publishes. A server keeps *one* publication a connection and service, so
/// every call gives the whole set of ephemeral instances that this publisher has in a service.
///
/// What was asked for is kept and sent again after every reconnect, also when the call that
/// asked for it failed: [`Publisher::withdraw`] or another [`Publisher::publish`] changes it.
pub struct Publisher {
    state: Arc<State>,
    link: Link,
}

impl Publisher {
    /// `first`: index of the address that is tried first.
    pub(super) fn start(core: Arc<Core>, name: &str, keeper: Option<Arc<dyn SocketKeeper>>, first: usize) -> Self {
        let state = Arc::new(State {
            core: Arc::clone(&core),
            number: core.next_publisher(),
            desired: Desired::new(),
            in_flight: core.options.in_flight,
        });
        let session: Arc<dyn Session> = Arc::clone(&state) as Arc<dyn Session>;
        let link = Link::start(core, session, Arc::new(|_, _, _| {}), keeper, name, first);
        Publisher { state, link }
    }

    /// Publishes `instances` as the whole set of `key`; an empty set withdraws. Returns when the
    /// server took it (or a newer set of the same service that was asked for meanwhile) on the
    /// current connection.
    ///
    /// Errors: `Unavailable` at once while no server can be reached, or when no answer came in
    /// time (then the server may or may not have it); `Rejected` and `Denied` as the server says.
    pub async fn publish(&self, key: &ServiceKey, instances: Vec<WireInstance>) -> Result<()> {
        let wanted = self.want(key, instances.into());
        self.meet(key, wanted).await
    }

    /// Notes the whole set of `key`, and gives the version that [`Publisher::meet`] waits for.
    pub(super) fn want(&self, key: &ServiceKey, instances: Instances) -> u64 {
        self.state.desired.want(key, instances)
    }

    /// Whether the server has what is asked for in `key` now: the generation of the connection that holds it.
    pub(super) fn holds(&self, key: &ServiceKey) -> Option<u64> {
        self.link.generation().filter(|generation| self.state.desired.is_met(key, *generation))
    }

    /// Waits until the server has at least this version of what is asked for in `key`.
    pub(super) async fn meet(&self, key: &ServiceKey, wanted: u64) -> Result<()> {
        loop {
            let live = self.link.live().await?;
            let connection = Arc::clone(&live.connection);
            let met = self.state.desired.meet(key, wanted, &live, |set, last| {
                let connection = Arc::clone(&connection);
                async move { send(&connection, key, &set, last.as_ref()).await }
            });
            match met.await {
                // The connection was replaced under this request: the next one may do better.
                Err(Error::Unavailable(_)) if self.link.generation().is_some_and(|g| g != live.generation) => {}
                result => return result,
            }
        }
    }

    /// Publishes many sets, `in_flight` at a time; the outcomes are in the order of `sets`. All are asked for before
    /// the first is waited for, so giving up this call loses none: they are met when a server is there.
    pub async fn publish_all(&self, sets: Vec<(ServiceKey, Vec<WireInstance>)>) -> Vec<Result<()>> {
        let want = |(key, set): (ServiceKey, Vec<WireInstance>)| {
            let wanted = self.state.desired.want(&key, set.into());
            (key, wanted)
        };
        let wishes: Vec<_> = sets.into_iter().map(want).collect();
        stream::iter(wishes)
            .map(|(key, wanted)| async move { self.meet(&key, wanted).await })
            .buffered(self.state.in_flight.max(1))
            .collect()
            .await
    }

    /// Takes back what this publisher has in `key`. Errors as [`Publisher::publish`].
    pub async fn withdraw(&self, key: &ServiceKey) -> Result<()> {
        if self.state.desired.get(key).is_none() {
            return Ok(());
        }
        self.publish(key, Vec::new()).await
    }

    /// Registers one persistent instance. The server keeps it whatever happens to us, so it is
    /// neither remembered nor sent again here.
    pub async fn register_persistent(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let live = self.link.live().await?;
        let request = Persistent(OneInstance::register(key, instance));
        live.connection.request(&request).await.map(|_done| ())
    }

    /// Deregisters one persistent instance.
    pub async fn deregister_persistent(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let live = self.link.live().await?;
        let request = Persistent(OneInstance::deregister(key, instance));
        live.connection.request(&request).await.map(|_done| ())
    }

    /// What is asked for in `key`: none, or the set (empty: being withdrawn).
    pub fn desired(&self, key: &ServiceKey) -> Option<Arc<[WireInstance]>> {
        self.state.desired.get(key)
    }

    /// All services in which something is asked for.
    pub fn keys(&self) -> Vec<ServiceKey> {
        self.state.desired.keys()
    }

    /// Sets that the server refuses, as they stand.
    pub fn refused(&self) -> Vec<(ServiceKey, Error)> {
        self.state.desired.refused()
    }

    /// The state of the connection, and news of it.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.link.status()
    }

    /// The server's id of the current connection: the client id of all its publications.
    pub fn connection_id(&self) -> Option<String> {
        self.link.status().borrow().connection_id.clone()
    }

    /// Ends the connection for the server too, which drops all publications at once, and waits
    /// for all tasks. Dropping the publisher instead leaves a kept socket with its keeper.
    pub async fn close(&self) {
        self.link.close().await;
    }
}

/// An empty batch would leave the service in the server's list of what we publish, so an empty
/// set deregisters. The server removes the whole publication whatever instance is named.
async fn send(connection: &Connection, key: &ServiceKey, set: &Instances, last: Option<&Instances>) -> Result<()> {
    if set.is_empty() {
        let placeholder = WireInstance::new("127.0.0.1", 0);
        let named = last.and_then(|l| l.first()).unwrap_or(&placeholder);
        let request = OneInstance::deregister(key, named);
        return connection.request(&request).await.map(|_done| ());
    }
    let request = BatchInstances::new(key, set);
    connection.request(&request).await.map(|_done| ())
}
