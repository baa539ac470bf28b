//! A file or folder as a cluster of services.

use super::FileFormat;
use super::contents::normalize;
use super::prometheus::LOSSES;
use super::store::FileStore;
use super::watch::watch;
use causeway_core::{
    Capabilities, Change, Error, Instance, Limits, Lost, Normalized, Part, Parts, Selector, ServiceKey, Set, Sink,
    Source, Update, Written,
};
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::BoxStream;
use std::path::PathBuf;
use std::sync::Arc;

/// One session with a file or folder.
pub struct FilePorts {
    store: Arc<FileStore>,
    form: FileFormat,
    capabilities: Capabilities,
}

impl FilePorts {
    pub(super) fn open(path: PathBuf, form: FileFormat) -> Self {
        let losses = if form == FileFormat::Prometheus { LOSSES.into() } else { Default::default() };
        let capabilities = Capabilities { losses, keeps: true, ..Capabilities::default() };
        Self { store: Arc::new(FileStore::new(path, form)), form, capabilities }
    }
}

impl Source for FilePorts {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        watch(&self.store, select)
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(async move {
            let contents = self.store.now().await?;
            if !contents.parts().contains_key(part) && !select.needed().contains(part) {
                return Err(Error::Missing(format!("the file has no namespace {part}")));
            }
            Ok(contents.of(part).filter(|set| select.scope(&set.scope)).map(|set| (**set).clone()).collect())
        })
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move { Ok(self.store.now().await?.of(part).count()) })
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        Box::pin(async move { Ok(self.store.now().await?.parts()) })
    }
}

impl Sink for FilePorts {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Many services are written at once, since all that are on their way go into one write of the file.
    fn limits(&self) -> Limits {
        Limits { max_batch: 5_000, in_flight: 128, per_second: None }
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        normalize(self.form, scope, record)
    }

    fn prepare<'a>(&'a self, part: &'a Part, title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.store.prepare(part, title))
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(self.store.apply(scope, changes))
    }

    /// Copies stand by themselves; only for whom they were written is remembered.
    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.store.adopt(owned).await;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
