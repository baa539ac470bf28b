//! How a cluster is read and written: the traits that a connector implements.

mod data;
mod error;

pub use data::{
    DataPort, DataSelector, DataSink, DataSource, EntryCapabilities, EntryFacts, EntryInterest, EntryUpdate,
    EntryWrite, Expect, FoundEntry, StampKind,
};
pub use error::{BoxError, Error, KeptError, Lost};

use crate::model::{Attributes, Instance, OwnerId, Part, ServiceKey, Set};
use crate::plan::{Change, Governed, Wish, Written};
use futures_core::{future::BoxFuture, stream::BoxStream};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a watch yields. Every item carries whole sets, never differences.
#[derive(Clone, Debug)]
pub enum Update {
    /// Complete for its part: the first item of a part, and again after every reconnection. The only proof of
    /// completeness. `title` is the part's display name, where it has one.
    Reset {
        /// What the sets are complete for.
        part: Part,
        /// The part's display name.
        title: Option<Arc<str>>,
        /// Everything in the part.
        sets: Vec<Set>,
    },
    /// The whole new contents of one scope. May come before the part's first `Reset`: it adds and updates at once.
    Changed(Set),
    /// What belongs to a scope itself, where its [`Set`] came without.
    Attributes(ServiceKey, Attributes),
    /// The cluster says that this scope does not exist (any more).
    Removed(ServiceKey),
}

/// Which parts and scopes of a cluster take part. Parts are asked about again at every look; scopes, of which there may be
/// very many, only when they are new or [`Interest::epoch`] has changed.
pub trait Interest: Send + Sync {
    /// Whether a part that exists is of interest.
    fn part(&self, part: &Part, title: Option<&str>) -> bool;
    /// Ids or display names of parts that the operator gave. They are tried as ids where parts cannot be listed.
    fn named(&self) -> BTreeSet<Arc<str>>;
    /// Parts that are followed even where the cluster neither lists them nor shows a service in them: copies of ours were
    /// written there, or made from what stood there. What has become of those can only be known by looking.
    fn needed(&self) -> BTreeSet<Part> {
        BTreeSet::new()
    }
    /// Whether a scope is of interest.
    fn scope(&self, scope: &ServiceKey) -> bool;
    /// A number that changes whenever an answer of [`Interest::scope`] may have changed. Read it before asking: answers hold
    /// as long as it stays the same.
    fn epoch(&self) -> u64 {
        0
    }
}

/// What a watch asks for its selection.
pub type Selector = Arc<dyn Interest>;

/// Everything there is.
pub struct Everything;

impl Interest for Everything {
    fn part(&self, _: &Part, _: Option<&str>) -> bool {
        true
    }
    fn named(&self) -> BTreeSet<Arc<str>> {
        BTreeSet::new()
    }
    fn scope(&self, _: &ServiceKey) -> bool {
        true
    }
}

/// The parts of a cluster, with their display names.
pub type Parts = BTreeMap<Part, Option<Arc<str>>>;

/// The sets that each server of a cluster lists.
pub type ReplicaSets = Vec<Replica<Vec<Set>>>;

/// A cluster that can be read.
pub trait Source: Send + Sync {
    /// An endless stream of what the cluster holds. An outage or a refusal is an `Err` item that names its part, never
    /// an empty `Reset`; the stream goes on by itself after one. New parts and scopes appear in it within 2 s.
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>>;

    /// Looks once at the whole of one part: the second look before a removal that nobody witnessed, the slow sweep,
    /// and the dry run.
    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>>;

    /// How many scopes a part has, of interest or not: tells «nothing there» from «nothing that was asked for».
    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>>;

    /// How many records each server of the cluster lists by itself in one part, by scope. Empty where there is only one
    /// server, or where servers cannot be asked one by one. Cheap: it is asked every minute.
    fn replicas<'a>(&'a self, _part: &'a Part) -> BoxFuture<'a, Result<Vec<Replica<RecordCounts>>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// What each of those servers lists by itself in these scopes, one set each; a scope that it does not know is empty.
    fn replica_sets<'a>(&'a self, _scopes: &'a [ServiceKey]) -> BoxFuture<'a, Result<ReplicaSets, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// How long the connection must last after the last record of a scope was seen to go before that is believed: a
    /// server that shuts down may take its records away first.
    fn doubt(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// What stands where records do and cannot be read as one, as the watch last saw it: it is left out, and its siblings
    /// are not.
    fn unreadable(&self) -> Vec<Unreadable> {
        Vec::new()
    }

    /// The parts that the cluster lists, with their display names. Some kinds serve parts that no list shows: a watch and
    /// [`Source::read`] find those too, where they are named and used, or [`Interest::needed`].
    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>>;
}

/// What one server of a cluster lists by itself.
#[derive(Debug)]
pub struct Replica<T> {
    /// The server, as the settings name it.
    pub server: String,
    /// Its list, or why it gives none.
    pub listed: Result<T, Error>,
}

/// How many records there are in each scope.
pub type RecordCounts = BTreeMap<ServiceKey, usize>;

/// A cluster that can also be written. What we write to we must be able to observe.
pub trait Sink: Source {
    /// What this kind cannot hold, each with its reason.
    fn capabilities(&self) -> &Capabilities;

    /// What the cluster can take.
    fn limits(&self) -> Limits;

    /// Where what is wanted in a service is to stand here: usually under the same name. Kinds whose names are narrower (lower
    /// case, host names, no namespaces) answer what becomes of it, and several services may become one. An error says why it
    /// has no place. Pure: the same answer to the same question, always; it lies in [`Sink::part`] of the service's part. See
    /// [`Capabilities::renames`].
    fn scope(&self, wanted: &ServiceKey) -> Result<ServiceKey, String> {
        Ok(wanted.clone())
    }

    /// The part in which the services of a part stand here. Pure.
    fn part(&self, wanted: &Part) -> Part {
        wanted.clone()
    }

    /// Whether a record is to stand here at all. A kind that holds nothing but what takes traffic leaves disabled and unhealthy
    /// instances out: one that becomes so is taken away like one that was seen to go. Pure.
    fn stands(&self, _record: &Instance) -> bool {
        true
    }

    /// Shapes a record into what this cluster can hold, so that what is written reads back the `same`; an error says
    /// why it cannot be held.
    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized;

    /// The id under which a record stands, or is to stand, where it may have one of several: `written` is what stands
    /// there as ours. What has stood for a while does not move when a neighbour at its address comes or goes.
    fn place(&self, _written: &Written, record: Instance) -> Instance {
        record
    }

    /// Gives records that have one id (the newest first) ids of their own, where the kind can tell them apart by more than it
    /// does else. Of those that still share one afterwards the newest stands, and the others are left alone.
    fn apart(&self, _written: &Written, _records: &mut [Instance]) {}

    /// Shapes what all tasks want in one scope together, after [`Sink::normalize`] has looked at each record alone: where
    /// what one may be depends on its neighbours. Ids stay as they are. `there`: what stands there, `written`: what of it
    /// is ours. A record that was shaped keeps what it was ([`Record::into_born`]).
    fn shape(&self, _there: &Set, _written: &Written, _wishes: &mut [Wish]) {}

    /// What of our copies the destination itself decides: where that is all that tells a copy as it stands from
    /// what is wanted. It is no difference, and nobody's override.
    fn governed(&self, _stands: &Instance, _wanted: &Instance) -> Option<Governed> {
        None
    }

    /// Whether a record of ours that is identical to this native one is to stand with it for a task ([`Change::Shadow`]), so
    /// that callers of the service do not see the end of either. `there`: the whole scope.
    fn shadows(&self, _there: &Set, _native: &Instance, _owner: &OwnerId) -> bool {
        self.capabilities().shadows
    }

    /// Whether a copy of this record will have no proof but the ledger: then it stands there before it is written, so that a
    /// process that dies just after the write does not leave it to nobody.
    fn proven_by_ledger(&self, _record: &Instance) -> bool {
        false
    }

    /// Makes the part when it is missing. `title` is its display name.
    fn prepare<'a>(&'a self, part: &'a Part, title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>>;

    /// Applies the changes of one scope in order and returns one outcome for each, in the same order. One bad record never
    /// spoils its batch.
    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>>;

    /// Takes over the upkeep (heartbeats, publications, sessions) of records that an earlier process wrote, as they
    /// were. Completes when the cluster has them; what does not answer in time is kept trying in the background.
    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>>;

    /// Waits until every server of the cluster knows what our present connections hold there: from then on nobody misses
    /// an earlier process's connections. Ready at once where a record does not hang on a connection.
    fn replicated(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// The connections or sessions that hold our copies there, in a stable order. Empty where copies stand by themselves.
    fn carriers(&self) -> Vec<Carrier> {
        Vec::new()
    }

    /// Ends connections and upkeep, withdrawing nothing that the kind can keep.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A record as a sink can hold it, or why it cannot.
pub type Normalized = Result<Instance, String>;

/// What a kind cannot hold, and what it can do more than others.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// What is lost on the way into this kind: the field, and the reason.
    pub losses: BTreeMap<&'static str, &'static str>,
    /// [`Sink::scope`] or [`Sink::part`] may answer another name.
    pub renames: bool,
    /// Identical records of two publishers are one to callers of the service, and the end of one is not seen. Then a native
    /// record that is nobody else's can be backed by an identical one of ours while its provider moves. Of others
    /// [`Sink::shadows`] says which.
    pub shadows: bool,
    /// Copies can outlive the node that wrote them.
    pub keeps: bool,
}

/// Something that stands where records do and cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What the cluster calls it, such as a path.
    pub record: String,
    /// Why it is no record.
    pub why: String,
}

/// One connection or session that holds copies of ours: when it ends, the cluster removes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// What the kind calls it: `session` or `connection`.
    pub what: &'static str,
    /// Its id, as the server's own tools show it; empty while there is none.
    pub id: String,
    /// How many records it holds.
    pub records: usize,
    /// The bytes that the servers handle in one piece because of it: of paths that end together, or of what is replicated.
    pub bytes: usize,
    /// The bound that `bytes` is kept below, except for one record or service that is larger by itself.
    pub limit: usize,
}

/// What one destination can take. Shared by all tasks that write to it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most records in one request.
    pub max_batch: usize,
    /// Most scopes written at once.
    pub in_flight: usize,
    /// Most requests a second.
    pub per_second: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_batch: 1000, in_flight: 16, per_second: None }
    }
}

/// What a cluster offers.
#[derive(Clone, Default)]
pub struct Ports {
    /// Services and their instances.
    pub services: Option<Port>,
    /// Config entries.
    pub data: Option<DataPort>,
}

/// How a cluster is read and, unless it can only be a source, written.
pub struct PortOf<R: ?Sized, W: ?Sized> {
    source: Arc<R>,
    sink: Option<Arc<W>>,
}

/// How services are read and written.
pub type Port = PortOf<dyn Source, dyn Sink>;

impl<R: ?Sized, W: ?Sized> PortOf<R, W> {
    /// Can only be a source.
    pub fn read_only(source: Arc<R>) -> Self {
        Self { source, sink: None }
    }

    /// The reading side.
    pub fn source(&self) -> Arc<R> {
        self.source.clone()
    }

    /// The writing side.
    pub fn sink(&self) -> Option<Arc<W>> {
        self.sink.clone()
    }
}

impl Port {
    /// Can be both a source and a destination.
    pub fn read_write(sink: Arc<dyn Sink>) -> Self {
        Self { source: sink.clone(), sink: Some(sink) }
    }
}

impl<R: ?Sized, W: ?Sized> Clone for PortOf<R, W> {
    fn clone(&self) -> Self {
        Self { source: self.source(), sink: self.sink() }
    }
}

/// Whether both are the same connection.
impl<R: ?Sized, W: ?Sized> PartialEq for PortOf<R, W> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.sink.is_some() == other.sink.is_some()
    }
}
