//! Publications: what one connection holds at the server, kept there whatever happens.

use std::sync::Arc;

use causeway_core::ServiceKey;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::core::Core;
use super::error::Result;
use super::frames::ServiceRequest;
use super::grpc::Connection;
use super::layout::Instances;
use super::link::{Link, Status};
use super::wire::WireInstance;
use super::wish_list::WishSender;
use crate::SocketKeeper;

/// Publishes the whole set of a service.
struct Batches {
    core: Arc<Core>,
    /// Tells publishers of one cluster apart.
    number: u64,
}

impl WishSender for Batches {
    type Wish = Instances;

    fn is_gone(wish: &Instances) -> bool {
        wish.is_empty()
    }

    /// An empty batch would leave the service in the server's list of what we publish, so an empty
    /// set deregisters. The server removes the whole publication whatever instance is named.
    fn send<'a>(
        &'a self,
        connection: &'a Connection,
        key: &'a ServiceKey,
        set: Instances,
        last: Option<Instances>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if !set.is_empty() {
                return connection.request(&ServiceRequest::batch(key, &set)).await.map(drop);
            }
            let placeholder = WireInstance::new("127.0.0.1", 0);
            let named = last.as_ref().and_then(|set| set.first()).unwrap_or(&placeholder);
            connection.request(&ServiceRequest::withdrawal(key, named)).await.map(drop)
        })
    }

    fn connected(&self, connection: &Connection) {
        self.core.publishes_as(self.number, &connection.id);
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.core.publishes_no_longer(self.number);
    }
}

/// One connection that publishes. A server keeps *one* publication a connection and service, so
/// every call gives the whole set of ephemeral instances that this publisher has in a service.
///
/// What was asked for is kept and sent again after every reconnect, also when the call that
/// asked for it failed: another [`Publisher::publish`] changes it.
pub struct Publisher {
    link: Link<Batches>,
}

impl Publisher {
    /// `first`: index of the address that is tried first.
    pub(super) fn start(core: Arc<Core>, name: &str, keeper: Option<Arc<dyn SocketKeeper>>, first: usize) -> Self {
        let batches = Batches { core: Arc::clone(&core), number: core.next_publisher() };
        Publisher { link: Link::start(core, batches, Arc::new(|_, _| {}), keeper, name, first) }
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
        self.link.wishes.want(key, instances)
    }

    /// Whether the server has what is asked for in `key` now: the generation of the connection that holds it.
    pub(super) fn holds(&self, key: &ServiceKey) -> Option<u64> {
        self.link.generation().filter(|generation| self.link.wishes.is_met(key, *generation))
    }

    /// Waits until the server has at least this version of what is asked for in `key`.
    pub(super) async fn meet(&self, key: &ServiceKey, wanted: u64) -> Result<()> {
        self.link.meet(key, wanted).await
    }

    /// Registers or deregisters one persistent instance. The server keeps it whatever happens to us, so it is
    /// neither remembered nor sent again here.
    pub async fn write_persistent(&self, key: &ServiceKey, instance: &WireInstance, register: bool) -> Result<()> {
        let live = self.link.live().await?;
        live.connection.request(&ServiceRequest::persistent(key, instance, register)).await.map(drop)
    }

    /// What is asked for in `key`: none, or the set (empty: being withdrawn).
    pub fn desired(&self, key: &ServiceKey) -> Option<Arc<[WireInstance]>> {
        self.link.wishes.get(key)
    }

    /// The state of the connection; its receiver hears of changes.
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
