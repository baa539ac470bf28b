//! Services of a Nacos cluster: the [`Source`] and the [`Sink`].

use super::client::{Error as WireError, NacosClient, Namespace};
use super::convert;
use super::follow::Follow;
use super::publications::{Publications, SharedPublications};
use super::reading::{Reading, parts};
use super::replicas::Servers;
use super::shape;
use super::v1_records as old;
use crate::SocketKeeper;
use causeway_core::{
    Capabilities, Carrier, Change, Error, Governed, Instance, Limits, Lost, Normalized, Part, Parts, RecordCounts,
    Replica, Selector, ServiceKey, Set, Sink, Source, Update, Wish, Written,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The default namespace, which always exists.
const PUBLIC: &str = "public";

/// One Nacos cluster's services.
pub(super) struct NacosServices {
    client: NacosClient,
    named: Vec<String>,
    publications: SharedPublications,
    servers: Servers,
    capabilities: Capabilities,
    /// Of 1.x.
    old: Capabilities,
}

impl NacosServices {
    pub fn new(
        client: NacosClient,
        name: String,
        named: Vec<String>,
        inherited: Vec<String>,
        keeper: Option<Arc<dyn SocketKeeper>>,
    ) -> Result<Self, WireError> {
        let losses = BTreeMap::from(convert::LOSSES);
        let capabilities = Capabilities { renames: false, losses, shadows: true, keeps: false };
        let publications = Arc::new(Publications::new(client.clone(), name, keeper, inherited));
        let old = old::capabilities(&capabilities);
        let servers = Servers::new(client.options())?;
        Ok(Self { client, named, publications, servers, capabilities, old })
    }

    /// The namespaces. From here on it is known which version [`Sink::normalize`] speaks for: a dry run reads, and
    /// never writes or watches.
    async fn namespaces(&self) -> Result<Parts, WireError> {
        self.publications.mode().http().await?;
        parts(&self.client).await
    }

    fn reading(&self) -> Reading {
        Reading { client: self.client.clone(), publications: self.publications.clone() }
    }
}

impl Source for NacosServices {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        let watch = Follow::new(self.reading(), select.clone(), self.named.clone());
        stream::unfold(watch, async |mut watch| {
            let item = watch.next().await;
            Some((item, watch))
        })
        .boxed()
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        Box::pin(async move {
            let listed = match self.namespaces().await {
                Ok(parts) => parts.contains_key(part),
                Err(WireError::Denied(_)) => true,
                Err(error) => return Err(convert::error(error)),
            };
            // An unknown namespace reads as an empty one, and one that is not listed may be used.
            let there = listed
                || select.needed().contains(part)
                || self.client.has_instances(&part.0).await.map_err(convert::error)?;
            match there {
                true => self.reading().read_all(&part.0, select).await.map_err(convert::error),
                false => Err(Error::Missing(format!("there is no namespace {part}"))),
            }
        })
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            let services = self.client.services(&part.0).await.map_err(convert::error)?;
            Ok(services.iter().filter(|service| service.ip_count > 0).count())
        })
    }

    fn replicas<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<Vec<Replica<RecordCounts>>, Error>> {
        Box::pin(async move { Ok(self.servers.counts(part).await) })
    }

    fn replica_sets<'a>(&'a self, scopes: &'a [ServiceKey]) -> BoxFuture<'a, Result<Vec<Replica<Vec<Set>>>, Error>> {
        Box::pin(async move { Ok(self.servers.sets(scopes).await) })
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        Box::pin(async move {
            match self.namespaces().await {
                Err(WireError::Denied(_)) if !self.named.is_empty() => {
                    Ok(self.named.iter().map(|name| (Part::new(name), None)).collect())
                }
                parts => parts.map_err(convert::error),
            }
        })
    }
}

impl Sink for NacosServices {
    fn capabilities(&self) -> &Capabilities {
        if self.publications.mode().is_http() { &self.old } else { &self.capabilities }
    }

    fn limits(&self) -> Limits {
        match self.publications.mode().is_http() {
            true => old::limits(),
            false => Limits { max_batch: 5_000, in_flight: 32, per_second: None },
        }
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        match self.publications.mode().is_http() {
            true => old::normalize(scope, record),
            false => convert::normalize(scope, record),
        }
    }

    fn place(&self, written: &Written, record: Instance) -> Instance {
        shape::place(written, record)
    }

    fn apart(&self, written: &Written, records: &mut [Instance]) {
        shape::apart(written, records);
    }

    /// A service of 1.x holds both kinds of instances.
    fn shape(&self, there: &Set, written: &Written, wishes: &mut [Wish]) {
        if !self.publications.mode().is_http() {
            shape::shape(there, written, wishes);
        }
    }

    fn governed(&self, stands: &Instance, wanted: &Instance) -> Option<Governed> {
        shape::governed(stands, wanted)
    }

    fn prepare<'a>(&'a self, part: &'a Part, title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if &*part.0 == PUBLIC || parts(&self.client).await.map_err(convert::error)?.contains_key(part) {
                return Ok(());
            }
            let name = title.unwrap_or(&part.0).to_owned();
            let namespace = Namespace { id: part.0.to_string(), name, description: String::new() };
            self.client.create_namespace(&namespace).await.map_err(convert::error)
        })
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(self.publications.apply(scope, changes))
    }

    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.publications.adopt(owned))
    }

    fn replicated(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.servers.wait_for(|| self.publications.carried()))
    }

    fn carriers(&self) -> Vec<Carrier> {
        self.publications.carriers()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.publications.close())
    }
}
