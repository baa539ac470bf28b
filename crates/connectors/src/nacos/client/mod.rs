//! The wire client of one Nacos cluster: 2.x and 3.x over gRPC and HTTP, 1.x over HTTP.
//!
//! It speaks the protocol and keeps what it was asked to keep; it decides nothing. Building a
//! [`NacosClient`] touches no network. [`NacosClient::publisher`] and [`NacosClient::subscriber`]
//! start sessions of their own (one TCP connection each); the rest is HTTP.

mod address;
mod admin;
mod auth;
mod catalogue;
mod configs;
mod core;
mod error;
mod frames;
mod grpc;
mod http;
mod instances_http;
mod layout;
mod lenient;
mod link;
mod pending_looks;
mod publisher;
mod publisher_list;
mod pump;
mod service_pages;
mod sign;
mod size;
mod spread;
mod subscriber;
mod supervisor;
mod transport;
mod wire;
mod wish_list;

use std::sync::Arc;
use std::time::Duration;

pub use address::Address;
pub use admin::{DetectedVersion, Generation};
pub use auth::Login;
pub use catalogue::ServiceNames;
pub use causeway_core::ServiceKey;
pub use configs::{ConfigDetail, ConfigRow, DEFAULT_TYPE, md5};
pub use error::{Error, Result, or_default};
pub use layout::Load;
pub use link::{Phase, Status};
pub(super) use pending_looks::PendingLooks;
pub use publisher::Publisher;
pub use service_pages::ServicePage;
pub use sign::AccessKeys;
pub use spread::{Carried, SpreadPublisher};
pub use subscriber::PushSubscriber;
pub(super) use wire::listed;
pub use wire::{
    DEFAULT_CLUSTER, Namespace, PUBLIC, PublisherRef, ServiceAttributes, ServiceInfo, ServiceSummary, ServiceTruth,
    WireInstance,
};

use self::core::Core;
use crate::util::backoff::random_index;
use crate::{SocketKeeper, TlsTexts};

/// How to reach one cluster. [`Options::new`] has Nacos' defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Servers of the cluster; at least one.
    pub addresses: Vec<Address>,
    /// Path in front of all HTTP interfaces.
    pub context_path: String,
    /// User and password; none sends no token.
    pub login: Option<Login>,
    /// Access key; none signs nothing.
    pub keys: Option<AccessKeys>,
    /// TLS for the gRPC port, and for the addresses that begin with `https`; none trusts the system's certificates for
    /// those, and speaks none to the gRPC port.
    pub tls: Option<TlsTexts>,
    /// Distance from the HTTP port to the gRPC port.
    pub grpc_port_offset: u16,
    /// Limit for the answer to one gRPC request.
    pub request_timeout: Duration,
    /// A gRPC connection that was silent for this long is checked.
    pub health_every: Duration,
    /// gRPC requests of one connection that may wait for answers at a time.
    pub in_flight: usize,
    /// After a planned move to another server or connection, the old one stays for this long, so that
    /// the servers have told each other of the new one.
    pub overlap: Duration,
    /// Most bytes that the connections of [`NacosClient::spread_publisher`] hold each, as the servers send them to each other.
    pub connection_bytes: usize,
}

/// A server tells its peers of a change 1 s later, and again 3 s later where that failed; a subscriber there hears of it
/// after another 0.5 s. One address may stand for several servers.
const OVERLAP: Duration = Duration::from_secs(3);

/// A fifth of what a server takes from its peers in one message: room for what grows before it is handed over, and for
/// servers that are set lower. Every change of a connection sends all of it to every peer, so less is better for them;
/// 100,000 instances with 600 bytes of metadata need about 80 connections.
const CONNECTION_BYTES: usize = 2 << 20;

impl Options {
    /// Defaults for these servers.
    pub fn new(addresses: Vec<Address>) -> Self {
        Options {
            addresses,
            context_path: "/nacos".into(),
            login: None,
            keys: None,
            tls: None,
            grpc_port_offset: 1000,
            request_timeout: Duration::from_secs(3),
            health_every: Duration::from_secs(5),
            in_flight: 64,
            overlap: OVERLAP,
            connection_bytes: CONNECTION_BYTES,
        }
    }
}

/// The client of one cluster. Clones share credentials and HTTP connections.
#[derive(Clone)]
pub struct NacosClient {
    core: Arc<Core>,
}

impl NacosClient {
    /// Checks the options. Errors: `Rejected` for no address or unusable TLS material.
    pub fn new(options: Options) -> Result<Self> {
        Ok(NacosClient { core: Arc::new(Core::new(options)?) })
    }

    /// The options it was built with.
    pub fn options(&self) -> &Options {
        &self.core.options
    }

    /// Starts a connection for publications. `name` begins the tags that `keeper` sees. Must be
    /// called within a tokio runtime. Returns at once; connecting goes on by itself.
    pub fn publisher(&self, name: &str, keeper: Option<Arc<dyn SocketKeeper>>) -> Publisher {
        let first = random_index(self.core.options.addresses.len());
        Publisher::start(Arc::clone(&self.core), name, keeper, first)
    }

    /// Publications on as many connections as their size asks for; none is opened before it is needed. Must be used
    /// within a tokio runtime. `name` and `keeper` as for [`NacosClient::publisher`].
    pub fn spread_publisher(&self, name: &str, keeper: Option<Arc<dyn SocketKeeper>>) -> SpreadPublisher {
        SpreadPublisher::new(Arc::clone(&self.core), name, keeper)
    }

    /// Makes sure of a token where a user is set. Errors: `Denied`, `Unavailable`.
    pub async fn sign_in(&self) -> Result<()> {
        self.core.token().await.map(drop)
    }

    /// Which of the addresses answered the last HTTP request: another one may know other things.
    pub fn http_server(&self) -> usize {
        self.core.http.preferred()
    }

    /// The server's ids of the connections by which this client publishes, and of the latest by which it has published:
    /// at least 64. A server may not have noticed yet that an earlier one has ended.
    pub fn published_as(&self) -> Vec<String> {
        self.core.published_as()
    }

    /// Starts a connection for subscriptions and queries. Must be called within a tokio runtime.
    pub fn reader(&self) -> PushSubscriber {
        PushSubscriber::start(Arc::clone(&self.core))
    }
}
