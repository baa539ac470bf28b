//! A cluster of config entries under test, and the vendor's own way into it.

use crate::tap::cable::Fault;
use anyhow::Result;
use causeway_core::{Attributes, Content, DataSink, EntryFacts, EntryKey, Part};
use causeway_testbed::Server;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One connection of ours.
pub type Data = Arc<dyn DataSink>;

/// A kind of cluster, in one version: where the tests get their clusters from.
#[expect(async_fn_in_trait, reason = "each test runs on a thread of its own")]
pub trait DataKind: Clone + Send + Sync + 'static {
    /// A cluster of it.
    type Subject: DataSubject;
    /// Begins the names of its tests.
    fn label(&self) -> &'static str;
    /// The servers that must have been started for it.
    fn needs(&self) -> &'static [Server];
    /// Room of one's own in a cluster that other tests use at the same time.
    async fn shared(&self) -> Result<Self::Subject>;
    /// A cluster of one's own with sign-in, which may be stopped.
    async fn own(&self) -> Result<Self::Subject>;
}

/// Who signs in to a cluster with sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// One who may do everything; without sign-in, nobody.
    Administrator,
    /// One who may do everything until something is denied to all but the administrator.
    Other,
}

/// What holds for a kind; the bounds are what the suite asserts.
pub struct DataFacts {
    /// What the port must say of its entries.
    pub entries: EntryFacts,
    /// A change is told within this time.
    pub told_in: Duration,
    /// A change of attributes alone is told within this time; `None`: the servers tell nobody, and only a listing shows
    /// it.
    pub attributes_told_in: Option<Duration>,
    /// A connection that was cut is noticed, and one that works again is used, within this time.
    pub lost_in: Duration,
    /// Names that are out of the ordinary.
    pub names: Vec<&'static str>,
    /// Contents that are out of the ordinary: none at all, nothing, what is no text, the largest.
    pub contents: Vec<(&'static str, Content)>,
    /// Contents that cannot be held.
    pub refused: Vec<Content>,
    /// Two different ones, as they read back.
    pub attributes: [Attributes; 2],
    /// What the servers themselves compare with what must stand there.
    pub compares: Compares,
    /// One among this many changes; and most calls that this may cost within [`Self::told_in`], polls included.
    pub many: (usize, usize),
    /// Most calls to list that many.
    pub calls_to_list: usize,
}

/// Which writes servers make only where the expected version stands. Elsewhere we look first, and who writes in between
/// loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compares {
    /// All of them.
    All,
    /// All but deletions.
    NoDeletions,
    /// None.
    Nothing,
}

/// Counts what goes over the wire.
pub struct DataMeter {
    /// Calls so far.
    pub calls: Box<dyn Fn() -> usize>,
    /// Lives as long as the meter.
    pub wire: Box<dyn Any>,
}

/// A wire with faults: answers whether it can have this one.
pub type Line = Box<dyn Fn(Fault) -> bool>;

/// A cluster under test: a part of it in which nobody else writes. The methods after the first four are the vendor's own
/// way in.
#[expect(async_fn_in_trait, reason = "each test runs on a thread of its own")]
pub trait DataSubject {
    /// What holds for the kind.
    fn facts(&self) -> DataFacts;
    /// A new connection of ours, through the list of connectors.
    async fn open(&self, login: Login) -> Result<Data>;
    /// A new connection whose calls are counted.
    async fn open_metered(&self) -> Result<(Data, DataMeter)>;
    /// A new connection over a wire with faults.
    async fn open_over_line(&self) -> Result<(Data, Line)>;

    /// The part that the entries of the subject lie in.
    fn part(&self) -> Part;
    /// The entry `name` in a folder or group.
    fn key(&self, folder: &str, name: &str) -> EntryKey;
    /// Creates or replaces an entry; parents that are missing are made. Attributes that are not named are left.
    async fn put(&self, key: &EntryKey, content: &Content) -> Result<()>;
    /// Changes attributes and nothing else.
    async fn dress(&self, key: &EntryKey, attributes: &Attributes) -> Result<()>;
    /// What stands there.
    async fn get(&self, key: &EntryKey) -> Result<Option<Content>>;
    /// Removes an entry, with what is below it.
    async fn remove(&self, key: &EntryKey) -> Result<()>;
    /// Everything that is a config entry.
    async fn all(&self) -> Result<BTreeMap<EntryKey, Content>>;
    /// Makes so many entries in a folder; answers their keys.
    async fn fill(&self, folder: &str, count: usize) -> Result<Vec<EntryKey>>;
    /// Makes what stands in clusters of this kind and is no config entry; answers where.
    async fn strangers(&self) -> Result<Vec<EntryKey>>;
    /// Takes the right to read an entry, or its whole part, from all but the administrator; answers what is denied.
    async fn deny(&self, key: &EntryKey) -> Result<()>;
    /// Gives it back.
    async fn allow(&self, key: &EntryKey) -> Result<()>;
    /// Stops the server; its data stays as the vendor keeps it.
    async fn stop(&self) -> Result<()>;
    /// Starts it again.
    async fn start(&self) -> Result<()>;
    /// Removes everything.
    async fn clean(&self) -> Result<()>;
}
