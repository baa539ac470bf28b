//! Services of one Eureka: the [`Source`] and the [`Sink`].

use super::client::{EurekaClient, Seen};
use super::convert::{self, LOSSES, PART, no_namespaces, scope};
use super::publications::Publications;
use super::settings::Settings;
use super::shape;
use super::view::View;
use super::watch::{Shared, watch};
use crate::Connect;
use causeway_core::{
    Capabilities, Change, Error, Instance, Limits, Lost, Normalized, Part, Parts, Selector, ServiceKey, Set, Sink,
    Source, Unreadable, Update, Wish, Written,
};
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::BoxStream;
use std::sync::Arc;

/// One cluster's services.
pub(super) struct EurekaServices {
    shared: Shared,
    capabilities: Capabilities,
}

impl EurekaServices {
    pub fn new(connect: &Connect, settings: Settings) -> Result<Self, Error> {
        let client = Arc::new(EurekaClient::new(connect)?);
        let publications = Publications::new(client.clone(), &settings);
        let shared = Shared { client, settings, publications, unreadable: Arc::default() };
        let capabilities = Capabilities { losses: LOSSES.into(), renames: true, shadows: false, keeps: false };
        Ok(Self { shared, capabilities })
    }

    async fn all(&self) -> Result<View, Error> {
        Ok(View::of(self.shared.client.all().await?, &self.shared.settings))
    }
}

impl Source for EurekaServices {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        watch(&self.shared, select)
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(async move {
            if &*part.0 != PART {
                return Err(Error::Missing(no_namespaces(&part.0)));
            }
            let view = self.all().await?;
            let pending = self.shared.publications.pending();
            let written = pending.iter().map(|app| &**app).filter(|app| view.rows(app).is_none());
            let apps = view.apps().chain(written).filter(|app| select.scope(&scope(app)));
            let sets = apps.map(|app| self.shared.publications.set(&view, app));
            Ok(sets.filter(|set| !set.records.is_empty()).collect())
        })
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move { if &*part.0 == PART { Ok(self.all().await?.len()) } else { Ok(0) } })
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        self.shared.unreadable.lock().clone()
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        Box::pin(async move {
            // Small, but where the servers tell no deltas.
            match self.shared.client.delta(&mut Seen::default()).await {
                Ok(_) => {}
                Err(Error::Denied(_) | Error::Missing(_)) => drop(self.shared.client.all().await?),
                Err(error) => return Err(error),
            }
            Ok([(Part::new(PART), None)].into())
        })
    }
}

impl Sink for EurekaServices {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Each record is some calls of its own.
    fn limits(&self) -> Limits {
        Limits { max_batch: 500, in_flight: 16, per_second: None }
    }

    /// In upper case: services whose names differ in nothing else are one.
    fn scope(&self, wanted: &ServiceKey) -> Result<ServiceKey, String> {
        convert::is_in_the_only_part(wanted)?;
        Ok(scope(&convert::app_name(&wanted.name)?))
    }

    fn part(&self, _wanted: &Part) -> Part {
        Part::new(PART)
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        convert::normalize(scope, record, &self.shared.settings)
    }

    fn shape(&self, there: &Set, written: &Written, wishes: &mut [Wish]) {
        shape::shape(there, written, wishes);
    }

    fn prepare<'a>(&'a self, part: &'a Part, _title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        let is_there = &*part.0 == PART;
        Box::pin(ready(if is_there { Ok(()) } else { Err(Error::Rejected(no_namespaces(&part.0))) }))
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(self.shared.publications.apply(scope, changes))
    }

    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.shared.publications.adopt(owned))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.publications.close();
        Box::pin(ready(()))
    }
}
