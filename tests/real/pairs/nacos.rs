//! Nacos 2.5 as the source, 3.1 as the destination; one namespace a test.

use super::record::{Field, Record};
use super::{Registry, Side};
use crate::estate::{Shared, namespace_at, shared_nacos};
use anyhow::{Context, Result};
use causeway_testbed::{Backdoor, Instance, Server, ServiceName};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// One process of the vendor's client for all tests.
static PROVIDERS: Mutex<Option<Arc<Backdoor>>> = Mutex::const_new(None);

/// Ends the process.
pub fn end() {
    drop(PROVIDERS.blocking_lock().take());
}

pub struct Place {
    server: Shared,
    namespace: String,
    providers: Arc<Backdoor>,
    client: String,
    /// A client publishes all its instances of a service together.
    published: Mutex<BTreeMap<String, Vec<Record>>>,
}

fn instance(record: &Record) -> Instance {
    Instance {
        weight: record.weight,
        enabled: record.enabled,
        healthy: record.healthy,
        metadata: record.metadata.clone(),
        ..Instance::new("127.0.0.1", record.port)
    }
}

impl Place {
    fn service(&self, name: &str) -> ServiceName {
        ServiceName::new(&self.namespace, "DEFAULT_GROUP", name)
    }

    async fn publish(&self, service: &str, records: &[Record]) -> Result<()> {
        let all: Vec<_> = records.iter().map(instance).collect();
        self.providers.batch_register(&self.client, &self.service(service), &all).await
    }
}

impl Registry for Place {
    const FIELDS: &[Field] = &[Field::Weight, Field::Enabled, Field::Health];

    async fn at(side: Side, test: &str) -> Result<Self> {
        let server = shared_nacos(if side == Side::Source { Server::Nacos2 } else { Server::Nacos3 }).await?;
        let namespace = namespace_at(&[&server], test).await?;
        let mut providers = PROVIDERS.lock().await;
        if providers.is_none() {
            *providers = Some(Arc::new(Backdoor::start().await?));
        }
        let providers = providers.clone().context("no providers")?;
        let client = format!("{test}-{}", server.address);
        providers.connect(&client, &server.address, &namespace).await?;
        Ok(Self { server, namespace, providers, client, published: Mutex::default() })
    }

    fn cluster(&self, name: &str) -> String {
        let Self { server, namespace, .. } = self;
        crate::zk_estate::cluster(name, "NACOS", &server.address, &format!(", namespace: {namespace}"))
    }

    async fn put(&self, records: &[Record]) -> Result<()> {
        let Some(first) = records.first() else { return Ok(()) };
        let mut published = self.published.lock().await;
        let all = published.entry(first.service.clone()).or_default();
        all.retain(|one| records.iter().all(|new| new.port != one.port));
        all.extend_from_slice(records);
        self.publish(&first.service, all).await
    }

    async fn remove(&self, record: &Record) -> Result<()> {
        let mut published = self.published.lock().await;
        let all = published.get_mut(&record.service).context("not published")?;
        all.retain(|one| one.port != record.port);
        self.publish(&record.service, all).await
    }

    async fn all(&self) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        for (_, name) in self.server.api.services(&self.namespace).await? {
            all.extend(self.server.api.all(&self.service(&name)).await?.into_iter().map(|one| Record {
                service: name.clone(),
                port: one.port,
                metadata: one.metadata,
                weight: one.weight,
                enabled: one.enabled,
                healthy: one.healthy,
            }));
        }
        Ok(all)
    }
}
