//! Services of a Nacos cluster: the [`Source`] and the [`Sink`].

use super::client::{Error as WireError, NacosClient, Namespace, PUBLIC};
use super::convert;
use super::publications::Publications;
use super::reading::{Reading, parts};
use super::replicas::ReplicaClients;
use super::shape;
use super::v1_records;
use super::versioned_watch::VersionedWatch;
use crate::SocketKeeper;
use crate::bridge::other_tools::tool_of;
use causeway_core::{
    Capabilities, Carrier, Change, Error, Governed, Instance, Limits, Lost, Normalized, OwnerId, Part, Parts,
    RecordCounts, Replica, Selector, ServiceKey, Set, Sink, Source, Update, Wish, Written,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One Nacos cluster's services.
pub(super) struct NacosServices {
    reading: Reading,
    named: Vec<String>,
    servers: ReplicaClients,
    capabilities: Capabilities,
    /// Of 1.x.
    v1_capabilities: Capabilities,
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
        let reading = Reading { client, publications };
        let v1_capabilities = v1_records::capabilities(&capabilities);
        let servers = ReplicaClients::new(reading.client.options())?;
        Ok(Self { reading, named, servers, capabilities, v1_capabilities })
    }

    /// The namespaces. From here on it is known which version [`Sink::normalize`] speaks for: a dry run reads, and
    /// never writes or watches.
    async fn namespaces(&self) -> Result<Parts, WireError> {
        self.reading.publications.protocol().http().await?;
        parts(&self.reading.client).await
    }

    /// Whether the servers are of 1.x, as far as it is known.
    fn is_v1(&self) -> bool {
        self.reading.publications.protocol().is_http()
    }
}

impl Source for NacosServices {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        let watch = VersionedWatch::new(self.reading.clone(), select.clone(), self.named.clone());
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
                || self.reading.client.has_instances(&part.0).await.map_err(convert::error)?;
            match there {
                true => self.reading.read_all(&part.0, select).await.map_err(convert::error),
                false => Err(Error::Missing(format!("there is no namespace {part}"))),
            }
        })
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            let services = self.reading.client.services(&part.0).await.map_err(convert::error)?;
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
        if self.is_v1() { &self.v1_capabilities } else { &self.capabilities }
    }

    fn limits(&self) -> Limits {
        match self.is_v1() {
            true => v1_records::limits(),
            false => Limits { max_batch: 5_000, in_flight: 32, per_second: None },
        }
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        match self.is_v1() {
            true => v1_records::normalize(scope, record),
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
        if !self.is_v1() {
            shape::shape(there, written, wishes);
        }
    }

    fn governed(&self, stands: &Instance, wanted: &Instance) -> Option<Governed> {
        shape::governed(stands, wanted)
    }

    /// Of other tools' copies those that live by a connection or by heart beats, as long as they do.
    fn shadows(&self, there: &Set, record: &Instance, _: &OwnerId) -> bool {
        let lives = || record.healthy || !self.reading.publications.is_beaten(&there.scope, &record.id);
        self.capabilities().shadows && (tool_of(record.mark()).is_none() || (record.ephemeral && lives()))
    }

    fn prepare<'a>(&'a self, part: &'a Part, title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            // The default one is always there.
            if &*part.0 == PUBLIC || parts(&self.reading.client).await.map_err(convert::error)?.contains_key(part) {
                return Ok(());
            }
            let name = title.unwrap_or(&part.0).to_owned();
            let namespace = Namespace { id: part.0.to_string(), name, description: String::new() };
            self.reading.client.create_namespace(&namespace).await.map_err(convert::error)
        })
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        Box::pin(self.reading.publications.apply(scope, changes))
    }

    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.reading.publications.adopt(owned))
    }

    fn replicated(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.servers.wait_for(|| self.reading.publications.carried()))
    }

    fn carriers(&self) -> Vec<Carrier> {
        self.reading.publications.carriers()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.reading.publications.close())
    }
}
