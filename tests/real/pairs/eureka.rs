//! Eureka: one server for sources, one for destinations. It has no namespaces: names tell the tests apart.

use super::record::{Field, Record};
use super::{Registry, Side};
use crate::zk_estate::cluster;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Eureka, EurekaApi, EurekaOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;

static SERVERS: Mutex<Option<Arc<[Eureka; 2]>>> = Mutex::const_new(None);

/// Ends the servers.
pub fn end() {
    drop(SERVERS.blocking_lock().take());
}

pub struct Place {
    address: String,
    api: EurekaApi,
    test: String,
}

fn id(record: &Record) -> String {
    format!("{}:{}", record.service, record.port)
}

fn status(record: &Record) -> &'static str {
    match (record.enabled, record.healthy) {
        (false, _) => "OUT_OF_SERVICE",
        (true, false) => "DOWN",
        (true, true) => "UP",
    }
}

fn record(one: &Value) -> Result<Record> {
    let metadata = one["metadata"].as_object().context("no metadata")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let status = one["status"].as_str().context("no status")?;
    Ok(Record {
        service: text(&one["app"]),
        port: u16::try_from(one["port"]["$"].as_u64().context("no port")?)?,
        metadata: metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        weight: 1.0,
        enabled: status != "OUT_OF_SERVICE",
        healthy: matches!(status, "UP" | "OUT_OF_SERVICE"),
    })
}

impl Registry for Place {
    const FIELDS: &[Field] = &[Field::Enabled, Field::Health];

    async fn at(side: Side, test: &str) -> Result<Self> {
        let mut servers = SERVERS.lock().await;
        if servers.is_none() {
            let start = || Eureka::start(EurekaOptions::default());
            let (a, b) = tokio::try_join!(start(), start())?;
            *servers = Some(Arc::new([a, b]));
        }
        let servers = servers.clone().context("no servers")?;
        let server = &servers[usize::from(side == Side::Destination)];
        Ok(Self { address: server.base(), api: server.api()?, test: test.to_uppercase() })
    }

    fn cluster(&self, name: &str) -> String {
        cluster(name, "EUREKA", &self.address, "")
    }

    async fn put(&self, records: &[Record]) -> Result<()> {
        for record in records {
            let (app, id) = (record.service.to_uppercase(), id(record));
            let mut one = EurekaApi::instance(&app, &id, "127.0.0.1", record.port, &record.metadata);
            // Nobody renews them.
            one["leaseInfo"]["durationInSecs"] = json!(600);
            one["status"] = json!(status(record));
            self.api.register(&one).await?;
            // A registration does not turn UP into this.
            if !record.enabled {
                ensure!(self.api.set_status(&app, &id, status(record)).await?, "{app}/{id} is gone");
            }
        }
        Ok(())
    }

    async fn remove(&self, record: &Record) -> Result<()> {
        ensure!(self.api.cancel(&record.service.to_uppercase(), &id(record)).await?, "{record:?} is gone");
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Record>> {
        let all = self.api.all().await?;
        let mine =
            all.iter().filter(|one| one["app"].as_str().is_some_and(|app| app.contains(&format!("{}-", self.test))));
        mine.map(record).collect()
    }
}
