//! A cluster under test, and the vendor's own way into it.

use crate::shape::Shape;
use anyhow::Result;
use causeway_core::{Instance, ServiceKey, Sink};
use causeway_testbed::Server;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// One session of ours.
pub type Session = Arc<dyn Sink>;

/// A kind of cluster, in one version: where the tests get their clusters from.
#[expect(async_fn_in_trait, reason = "each test runs on a thread of its own")]
pub trait Kind: Clone + Send + Sync + 'static {
    /// A cluster of it.
    type Subject: Subject;
    /// Begins the names of its tests.
    fn label(&self) -> &'static str;
    /// The servers that must have been started for it.
    fn needs(&self) -> &'static [Server];
    /// A cluster that other tests use at the same time.
    async fn shared(&self) -> Result<Self::Subject>;
    /// A cluster of one's own with sign-in, which may be stopped.
    async fn own(&self) -> Result<Self::Subject>;
}

/// Who signs in to a cluster with sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// One who may do everything; without sign-in, nobody.
    Administrator,
    /// The administrator's name with another password.
    WrongPassword,
    /// One who may read and write in this namespace only; where there is only one, whoever is not the administrator.
    Only(String),
}

/// What holds for a kind; the bounds are what the suite asserts.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The connector's word.
    pub kind: &'static str,
    /// Which versions of the kind share one table of losses: a few words, or nothing.
    pub versions: &'static str,
    /// A change of a known service is seen within this time.
    pub told_in: Duration,
    /// A new service or namespace is seen within this time.
    pub found_in: Duration,
    /// A change of health by a provider is seen within this time.
    pub health_in: Duration,
    /// A server that has gone is noticed within this time.
    pub lost_in: Duration,
    /// What a closed session published is gone within this time, where the kind does not keep it.
    pub ends_in: Duration,
    /// The server's own view of persistent instances' health has come within this time.
    pub checked_in: Duration,
    /// What nobody keeps alive is gone after this time; `None`: nothing ever goes by itself.
    pub expiry: Option<Duration>,
    /// How large an instance may be.
    pub size_limit: Limit,
    /// Most calls to write this many services with this many instances each.
    pub calls_to_write: fn(usize, usize) -> usize,
    /// Most calls to read them once.
    pub calls_to_read: fn(usize, usize) -> usize,
    /// Most calls of one scope that are on their way at once.
    pub calls_at_once: usize,
    /// How its services and records look.
    pub shape: Shape,
}

/// How large an instance may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As large as one likes.
    None,
    /// So many characters in all keys and values of the metadata, our mark included. `refuses_more`: the server itself
    /// keeps to it.
    Characters { most: usize, refuses_more: bool },
    /// So many bytes of the whole record as it is written, of which a letter of the metadata is one.
    Bytes(usize),
    /// So many bytes of one key and its value; a longer pair is left out.
    Pair(usize),
}

/// Counts what goes over the wire.
pub struct Meter {
    /// Calls so far.
    pub calls: Box<dyn Fn() -> usize>,
    /// Most calls that were waiting for their answers at one time.
    pub peak: Box<dyn Fn() -> usize>,
    /// Lives as long as the meter.
    pub wire: Box<dyn Any>,
}

/// A subscriber's lists so far, oldest first.
pub type Told = Box<dyn Fn() -> Vec<Vec<Instance>>>;

/// A cluster under test. The methods besides the first three are the vendor's own way in: what providers, subscribers
/// and operators do. Marks are read from rows as any tool would find them.
#[expect(async_fn_in_trait, reason = "each test runs on a thread of its own")]
pub trait Subject {
    /// What holds for the kind.
    fn facts(&self) -> Facts;
    /// A new session of ours, through the list of connectors. `namespaces`: those that the operator named.
    async fn open(&self, who: &Who, namespaces: &[String]) -> Result<Session>;
    /// As the next process of the install that last opened one as the administrator: with all that that one left behind.
    async fn open_next(&self) -> Result<Session>;
    /// A new session whose calls are counted.
    async fn open_metered(&self) -> Result<(Session, Meter)>;

    /// Makes a namespace. A kind that has only one gets room for it: another for every test.
    async fn create_namespace(&self, id: &str) -> Result<()>;
    /// Removes a namespace.
    async fn remove_namespace(&self, id: &str) -> Result<()>;
    /// `provider`, on a connection of its own, publishes exactly these instances of a service from now on.
    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()>;
    /// An operator's change in the console: weight, enabled and metadata of what stands at the address. Returns whether
    /// operators can do so at all.
    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool>;
    /// What a subscriber is shown.
    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>>;
    /// Everything, also what subscribers are not shown.
    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>>;
    /// Listens as a subscriber does.
    async fn subscribe(&self, service: &ServiceKey) -> Result<Told>;
    /// A record that the server refuses although it looks sound to us.
    async fn unwelcome(&self, record: Instance) -> Instance;
    /// Takes the right to read the namespace of this service from those who are not the administrator (`Only` users have
    /// none anyway); the service itself where there is only one namespace.
    async fn deny(&self, service: &ServiceKey) -> Result<()>;
    /// Ends the session of the administrator that was opened last, as a server does that has not heard of it for too long,
    /// and everything that goes with it. Returns whether there is such a thing.
    async fn evict(&self) -> Result<bool> {
        Ok(false)
    }
    /// Stops the server; its data stays as the vendor keeps it.
    async fn stop(&self) -> Result<()>;
    /// Starts it again.
    async fn start(&self) -> Result<()>;
}
