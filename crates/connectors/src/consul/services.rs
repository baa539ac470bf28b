//! A data centre as a cluster of services.

use super::agent::Agent;
use super::catalog::Catalog;
use super::convert::{LOSSES, check, normalize};
use super::reading::Reading;
use super::settings::{ConsulOptions, Destination};
use super::watch::watch;
use causeway_core::{
    Capabilities, Change, Error, Instance, Limits, Lost, Normalized, Part, Parts, Selector, ServiceKey, Set, Sink,
    Source, Unreadable, Update, Written,
};
use causeway_settings::PUBLIC;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;

/// One session with a data centre.
pub(super) struct ConsulServices {
    reading: Arc<Reading>,
    writer: Writer,
    capabilities: Capabilities,
}

enum Writer {
    Catalog(Catalog),
    Agent(Agent),
}

impl ConsulServices {
    pub fn new(reading: Arc<Reading>, options: &ConsulOptions, install: Arc<str>) -> Self {
        let writer = match options.destination {
            Destination::Catalog => Writer::Catalog(Catalog::new(reading.clone(), install)),
            Destination::Agent => Writer::Agent(Agent::new(reading.clone(), install, options.check_ttl)),
        };
        let keeps = options.destination == Destination::Catalog;
        let capabilities = Capabilities { losses: LOSSES.into(), keeps, ..Capabilities::default() };
        Self { reading, writer, capabilities }
    }
}

/// There is one part, as long as the servers know the data centre.
fn only(part: &Part) -> Result<(), Error> {
    match *part.0 == *PUBLIC {
        true => Ok(()),
        false => Err(Error::Missing(format!("a data centre of Consul has no namespace {part}, only {PUBLIC}"))),
    }
}

impl Source for ConsulServices {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        watch(&self.reading, select)
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(async move {
            only(part)?;
            self.reading.client.check_token().await?;
            let listing = self.reading.all().await?;
            if listing.filtered {
                return Err(Error::Denied(self.reading.why_filtered().into()));
            }
            let wanted = listing.sets.into_values().filter(|set| select.scope(&set.scope));
            Ok(wanted.map(Arc::unwrap_or_clone).collect())
        })
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            only(part)?;
            self.reading.count().await
        })
    }

    /// Servers that end take nothing out of the catalog: what is shown to go is gone.
    fn doubt(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        self.reading.left_out()
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        Box::pin(async move {
            self.reading.check().await?;
            Ok(Parts::from([(Part::new(PUBLIC), None)]))
        })
    }
}

impl Sink for ConsulServices {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn limits(&self) -> Limits {
        match &self.writer {
            Writer::Catalog(_) => Limits { max_batch: 512, in_flight: 16, per_second: None },
            // Each instance is a call of its own, and what an agent brings into the catalog goes one by one.
            Writer::Agent(_) => Limits { max_batch: 128, in_flight: 4, per_second: None },
        }
    }

    fn scope(&self, wanted: &ServiceKey) -> Result<ServiceKey, String> {
        check(wanted).map(|()| wanted.clone())
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        normalize(scope, record)
    }

    fn prepare<'a>(&'a self, part: &'a Part, _: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.reading.check().await?;
            only(part).map_err(|error| Error::Rejected(error.to_string()))
        })
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(async move {
            if let Err(why) = check(scope) {
                return changes.iter().map(|_| Err(Error::Rejected(why.clone()))).collect();
            }
            match &self.writer {
                Writer::Catalog(catalog) => catalog.apply(scope, changes).await,
                Writer::Agent(agent) => agent.apply(scope, changes).await,
            }
        })
    }

    /// In the catalog copies stand by themselves.
    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match &self.writer {
                Writer::Catalog(_) => Ok(()),
                Writer::Agent(agent) => agent.adopt(owned).await,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Writer::Agent(agent) = &self.writer {
                agent.close();
            }
        })
    }
}
