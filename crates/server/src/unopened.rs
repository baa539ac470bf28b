//! In place of a cluster that cannot be opened: its tasks fail with the reason, and nothing is taken for gone.

use causeway_core::{
    Capabilities, Change, DataSelector, DataSink, DataSource, Entry, EntryFacts, EntryKey, EntryUpdate, EntryWrite,
    Error, FoundEntry, Instance, Limits, Lost, NameShape, Normalized, Part, Parts, Selector, ServiceKey, Set, Sink,
    Source, StampKind, Update, Written,
};
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::BTreeMap;

/// Replies to everything with why it cannot be used.
pub(crate) struct Broken {
    why: String,
    capabilities: Capabilities,
}

impl Broken {
    /// With the reason, in words.
    pub fn new(why: String) -> Self {
        Self { why, capabilities: Capabilities::default() }
    }

    fn error(&self) -> Error {
        Error::Denied(self.why.clone())
    }

    fn refuse<T: Send + 'static>(&self) -> BoxFuture<'static, Result<T, Error>> {
        Box::pin(ready(Err(self.error())))
    }
}

impl Source for Broken {
    fn watch(&self, _: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        let lost = Lost { part: None, error: self.error() };
        stream::iter([Err(lost)]).chain(stream::pending()).boxed()
    }

    fn read<'a>(&'a self, _: &'a Part, _: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        self.refuse()
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        self.refuse()
    }

    fn count<'a>(&'a self, _: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        self.refuse()
    }
}

impl Sink for Broken {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn normalize(&self, _: &ServiceKey, record: Instance) -> Normalized {
        Ok(record)
    }

    fn prepare<'a>(&'a self, _: &'a Part, _: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        self.refuse()
    }

    fn apply<'a>(&'a self, _: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(ready(changes.iter().map(|_| Err(self.error())).collect()))
    }

    fn adopt<'a>(&'a self, _: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        self.refuse()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

impl DataSource for Broken {
    fn facts(&self) -> EntryFacts {
        EntryFacts { shape: NameShape::Flat, stamps: StampKind::Unique }
    }

    fn watch(&self, _: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let lost = Lost { part: None, error: self.error() };
        stream::iter([Err(lost)]).chain(stream::pending()).boxed()
    }

    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        Box::pin(ready(keys.iter().map(|_| Err(self.error())).collect()))
    }

    fn list<'a>(&'a self, _: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        self.refuse()
    }
}

impl DataSink for Broken {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        Box::pin(ready(writes.iter().map(|_| Err(self.error())).collect()))
    }
}
