//! A Kong as a cluster of services.

use super::convert::{self, LOSSES};
use super::gateway::{Gateway, again};
use super::names::Place;
use super::settings::KongMode;
use super::watch::watch;
use super::weights;
use causeway_core::{
    Capabilities, Change, Error, Instance, Limits, Lost, Normalized, Part, Parts, Selector, ServiceKey, Set, Sink,
    Source, Update, Wish, Written,
};
use causeway_settings::PUBLIC;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::BoxStream;
use std::sync::Arc;

/// One session with a Kong.
pub(super) struct KongServices {
    gateway: Arc<Gateway>,
    capabilities: Capabilities,
}

impl KongServices {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let capabilities =
            Capabilities { losses: LOSSES.into(), renames: true, keeps: true, ..Capabilities::default() };
        Self { gateway, capabilities }
    }
}

fn only(part: &Part) -> Result<(), Error> {
    match *part.0 == *PUBLIC {
        true => Ok(()),
        false => Err(Error::Missing(format!("a Kong has no namespace {part}, only {PUBLIC}"))),
    }
}

impl Source for KongServices {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        watch(&self.gateway, select)
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(async move {
            only(part)?;
            self.gateway.sets(select).await
        })
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            only(part)?;
            self.gateway.count().await
        })
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        Box::pin(async move {
            self.gateway.check().await?;
            Ok(Parts::from([(Part::new(PUBLIC), None)]))
        })
    }
}

impl Sink for KongServices {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Each target is a call, and slower the more there are; several upstreams are written at once.
    fn limits(&self) -> Limits {
        Limits { max_batch: 100, in_flight: 8, per_second: None }
    }

    /// Names say which namespace they come from: all stand in one part.
    fn scope(&self, wanted: &ServiceKey) -> Result<ServiceKey, String> {
        let scope = wanted.in_part(&Part::new(PUBLIC));
        Place::of(&scope).map(|_| scope)
    }

    fn part(&self, _: &Part) -> Part {
        Part::new(PUBLIC)
    }

    fn stands(&self, record: &Instance) -> bool {
        convert::stands(record)
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        convert::normalize(scope, record)
    }

    /// Weights that targets cannot have are scaled together.
    fn shape(&self, _: &Set, _: &Written, wishes: &mut [Wish]) {
        weights::share(wishes.iter_mut().flat_map(|wish| wish.records.values_mut()));
    }

    fn prepare<'a>(&'a self, part: &'a Part, _: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.gateway.check().await?;
            only(part).map_err(|error| Error::Rejected(error.to_string()))
        })
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(async move {
            let place = match Place::of(scope) {
                Ok(place) => place,
                Err(why) => return changes.iter().map(|_| Err(Error::Rejected(why.clone()))).collect(),
            };
            match self.gateway.mode().await {
                Ok(KongMode::Database) => self.gateway.write(scope, &place, changes).await,
                Ok(KongMode::Dbless) => self.gateway.declare(scope, &place, changes).await,
                Err(error) => changes.iter().map(|_| Err(again(&error))).collect(),
            }
        })
    }

    /// Targets stand by themselves; only for whom they were written is remembered.
    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        self.gateway.view.adopt(owned);
        Box::pin(ready(Ok(())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
