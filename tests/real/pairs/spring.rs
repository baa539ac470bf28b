//! Spring Cloud's znodes in ZooKeeper.

use super::record::{Field, Record};
use super::{Registry, Side};
use crate::zk_estate::{Land, cluster, leaves};
use anyhow::{Context, Result};
use causeway_testbed::{ZkClient, ZkNode};
use serde_json::{Value, json};

/// The payload's key that says whether the application is up.
const STATUS: &str = "instance_status";

pub struct Place {
    address: String,
    at: ZkClient,
}

fn status(record: &Record) -> &'static str {
    match (record.enabled, record.healthy) {
        (false, _) => "OUT_OF_SERVICE",
        (true, false) => "DOWN",
        (true, true) => "UP",
    }
}

fn document(record: &Record) -> Value {
    let mut metadata = json!(record.metadata);
    metadata[STATUS] = json!(status(record));
    let Record { service, port, .. } = record;
    json!({
        "name": service, "id": port.to_string(), "address": "127.0.0.1", "port": port, "sslPort": null,
        "payload": {
            "@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",
            "id": service, "name": service, "metadata": metadata,
        },
        "registrationTimeUTC": 1_795_308_830_991_u64, "serviceType": "DYNAMIC",
        "uriSpec": {"parts": [
            {"value": "scheme", "variable": true}, {"value": "://", "variable": false},
            {"value": "address", "variable": true}, {"value": ":", "variable": false}, {"value": "port", "variable": true},
        ]},
    })
}

fn record(text: &str) -> Result<Record> {
    let said: Value = serde_json::from_str(text).with_context(|| format!("no document of Spring Cloud's: {text}"))?;
    let metadata = said["payload"]["metadata"].as_object().context("no metadata")?;
    let metadata: std::collections::BTreeMap<_, _> =
        metadata.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let status = metadata.get(STATUS).map_or("UP", String::as_str);
    Ok(Record {
        service: said["name"].as_str().context("no name")?.to_owned(),
        port: u16::try_from(said["port"].as_u64().context("no port")?)?,
        weight: 1.0,
        enabled: status != "OUT_OF_SERVICE",
        healthy: matches!(status, "UP" | "OUT_OF_SERVICE"),
        metadata,
    })
}

impl Registry for Place {
    const FIELDS: &[Field] = &[Field::Enabled, Field::Health];

    async fn at(side: Side, test: &str) -> Result<Self> {
        let source = side == Side::Source;
        let land = Land::new(&format!("{test}-{}", if source { "from" } else { "to" })).await?;
        let address = if source { land.a() } else { land.b() };
        Ok(Self { address, at: if source { land.at_a } else { land.at_b } })
    }

    fn cluster(&self, name: &str) -> String {
        cluster(name, "ZK", &self.address, "")
    }

    async fn put(&self, records: &[Record]) -> Result<()> {
        for record in records {
            let path = format!("/services/{}/{}", record.service, record.port);
            let text = document(record).to_string();
            if self.at.get(&path).await?.is_some() {
                self.at.set(&path, text).await?;
                continue;
            }
            for folder in ["/services", &format!("/services/{}", record.service)] {
                if self.at.get(folder).await?.is_none() {
                    self.at.create(folder, "").await?;
                }
            }
            self.at.create_node(&ZkNode::ephemeral(&path, text)).await?;
        }
        Ok(())
    }

    async fn remove(&self, record: &Record) -> Result<()> {
        self.at.delete(&format!("/services/{}/{}", record.service, record.port)).await
    }

    async fn all(&self) -> Result<Vec<Record>> {
        leaves(&self.at, "/services").await?.values().map(|text| record(text)).collect()
    }
}
