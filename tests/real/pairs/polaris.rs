//! Polaris: one double for sources, one for destinations; one namespace a test.

use super::record::{Field, Record};
use super::{Registry, Side};
use anyhow::{Context, Result};
use causeway_testbed::{Polaris, PolarisApi, PolarisRow, PolarisSetup};
use std::sync::Arc;
use tokio::sync::Mutex;

static SERVERS: Mutex<Option<Arc<[Polaris; 2]>>> = Mutex::const_new(None);

/// Ends the servers.
pub fn end() {
    drop(SERVERS.blocking_lock().take());
}

pub struct Place {
    addresses: [String; 2],
    api: PolarisApi,
    namespace: String,
}

/// The weight that is 1 elsewhere.
const NORMAL: f64 = 100.0;

fn row(record: &Record) -> PolarisRow {
    PolarisRow {
        weight: (record.weight * NORMAL) as u32,
        healthy: record.healthy,
        isolated: !record.enabled,
        metadata: record.metadata.clone(),
        ..PolarisRow::new("127.0.0.1", record.port)
    }
}

impl Registry for Place {
    const FIELDS: &[Field] = &[Field::Weight, Field::Enabled, Field::Health];

    async fn at(side: Side, test: &str) -> Result<Self> {
        let mut servers = SERVERS.lock().await;
        if servers.is_none() {
            let start = || Polaris::start(PolarisSetup::default());
            let (a, b) = tokio::try_join!(start(), start())?;
            *servers = Some(Arc::new([a, b]));
        }
        let servers = servers.clone().context("no servers")?;
        let server = &servers[usize::from(side == Side::Destination)];
        // As the other kinds with namespaces name theirs.
        let namespace = format!("{test}-{}", std::process::id());
        let api = server.api()?;
        api.create_namespace(&namespace, "of a test").await?;
        Ok(Self { addresses: server.addresses(), api, namespace })
    }

    fn cluster(&self, name: &str) -> String {
        let Self { addresses: [http, grpc], namespace, .. } = self;
        format!(
            "  - {{clusterName: {name}, clusterType: POLARIS, connectKeyList: [\"{http}\", \"{grpc}\"], namespace: {namespace}}}\n"
        )
    }

    async fn put(&self, records: &[Record]) -> Result<()> {
        for record in records {
            self.api.register(&self.namespace, &record.service, &[row(record)]).await?;
        }
        Ok(())
    }

    async fn remove(&self, record: &Record) -> Result<()> {
        self.api.deregister(&self.namespace, &record.service, &[row(record)]).await
    }

    async fn all(&self) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        for service in self.api.services(&self.namespace).await? {
            all.extend(self.api.discovered(&self.namespace, &service).await?.into_iter().map(|one| Record {
                service: service.clone(),
                port: one.port,
                metadata: one.metadata,
                weight: f64::from(one.weight) / NORMAL,
                enabled: !one.isolated,
                healthy: one.healthy,
            }));
        }
        Ok(all)
    }
}
