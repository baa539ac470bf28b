//! Consul's catalog: one server for sources, one for destinations. It has no namespaces: names tell the tests apart.

use super::record::{Field, Record};
use super::{Registry, Side};
use crate::zk_estate::cluster;
use anyhow::{Context, Result};
use causeway_testbed::{Consul, ConsulApi, ConsulRow, ConsulSetup};
use std::sync::Arc;
use tokio::sync::Mutex;

static SERVERS: Mutex<Option<Arc<[Consul; 2]>>> = Mutex::const_new(None);

/// Ends the servers.
pub fn end() {
    drop(SERVERS.blocking_lock().take());
}

pub struct Place {
    address: String,
    api: ConsulApi,
    test: String,
}

fn row(record: &Record) -> ConsulRow {
    ConsulRow {
        meta: record.metadata.clone(),
        weight: record.weight as i64,
        healthy: record.healthy,
        enabled: record.enabled,
        ..ConsulRow::new(&record.service, "127.0.0.1", record.port)
    }
}

fn record(row: ConsulRow) -> Record {
    Record {
        service: row.service,
        port: row.port,
        metadata: row.meta,
        weight: row.weight as f64,
        enabled: row.enabled,
        healthy: row.healthy,
    }
}

impl Registry for Place {
    const FIELDS: &[Field] = &[Field::Weight, Field::Enabled, Field::Health];

    async fn at(side: Side, test: &str) -> Result<Self> {
        let mut servers = SERVERS.lock().await;
        if servers.is_none() {
            let start = || Consul::start(ConsulSetup::default());
            let (a, b) = tokio::try_join!(start(), start())?;
            *servers = Some(Arc::new([a, b]));
        }
        let servers = servers.clone().context("no servers")?;
        let server = &servers[usize::from(side == Side::Destination)];
        Ok(Self { address: server.addr(), api: server.api()?, test: test.to_owned() })
    }

    fn cluster(&self, name: &str) -> String {
        cluster(name, "CONSUL", &self.address, ", consul: {includeUnhealthy: true}")
    }

    async fn put(&self, records: &[Record]) -> Result<()> {
        for record in records {
            self.api.register(&format!("{}-node", self.test), &row(record)).await?;
        }
        Ok(())
    }

    async fn remove(&self, record: &Record) -> Result<()> {
        self.api.deregister(&format!("{}-node", self.test), &row(record).id).await
    }

    async fn all(&self) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        for name in self.api.names().await? {
            if name.to_lowercase().contains(&format!("{}-", self.test)) {
                all.extend(self.api.all(&name).await?.into_iter().map(|(_, row)| record(row)));
            }
        }
        Ok(all)
    }
}
