//! Services of one Polaris: the [`Source`] and the [`Sink`].

use super::convert::{self, LOSSES};
use super::names;
use super::reading::Reading;
use super::watch::watch;
use super::writer::{BATCH, Writer};
use causeway_core::{
    Capabilities, Change, Error, Governed, Instance, Limits, Lost, Normalized, Part, Parts, Selector, ServiceKey, Set,
    Sink, Source, Unreadable, Update, Written,
};
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;

/// One session with a cluster.
pub(super) struct PolarisServices {
    reading: Arc<Reading>,
    writer: Writer,
    capabilities: Capabilities,
}

impl PolarisServices {
    pub fn new(reading: Arc<Reading>, install: Arc<str>) -> Self {
        let capabilities = Capabilities { losses: LOSSES.into(), keeps: true, ..Capabilities::default() };
        let writer = Writer::new(reading.clone(), install);
        Self { reading, writer, capabilities }
    }
}

impl Source for PolarisServices {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        watch(&self.reading, select)
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(self.reading.read(part, select))
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(self.reading.count(part))
    }

    /// Servers that end take nothing out of their store: what is shown to go is gone.
    fn doubt(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        self.reading.left_out()
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        Box::pin(self.reading.parts())
    }
}

impl Sink for PolarisServices {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn limits(&self) -> Limits {
        Limits { max_batch: BATCH, in_flight: 8, per_second: None }
    }

    fn scopes(&self, wanted: &ServiceKey) -> Result<Vec<ServiceKey>, String> {
        names::wire(wanted).map(|_| vec![wanted.clone()])
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        convert::normalize(scope, record, &self.reading.options)
    }

    fn governed(&self, stands: &Instance, wanted: &Instance) -> Option<Governed> {
        convert::governed(stands, wanted, &self.reading.options)
    }

    fn prepare<'a>(&'a self, part: &'a Part, title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.writer.prepare(&part.0, title))
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(self.writer.apply(scope, changes))
    }

    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        self.writer.adopt(owned);
        Box::pin(ready(Ok(())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.writer.close();
        Box::pin(ready(()))
    }
}
