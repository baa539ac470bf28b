//! Dubbo's interface level in ZooKeeper.

use super::record::{Field, Record};
use super::{Registry, Side};
use crate::zk::provider_node;
use crate::zk_estate::{Land, cluster, leaves};
use anyhow::{Context, Result};
use causeway_testbed::{ZkClient, ZkNode};
use reqwest::Url;
use std::collections::BTreeMap;
use tokio::sync::Mutex;

pub struct Place {
    address: String,
    at: ZkClient,
    /// The znode of each record by service and port.
    made: Mutex<BTreeMap<(String, u16), String>>,
}

fn node(record: &Record) -> Result<(String, String)> {
    let interface = record.metadata.get("interface").context("no interface")?;
    // Said by the URL itself, or by what every provider says.
    let own = ["protocol", "side", "category", "path", "interface"];
    let mut more: String = record
        .metadata
        .iter()
        .filter(|(key, _)| !own.contains(&key.as_str()))
        .map(|(key, value)| format!("&{key}={}", value))
        .collect();
    if !record.enabled {
        more += "&enabled=false";
    }
    more += &format!("&weight={}", record.weight * 100.0);
    Ok(provider_node(interface, "127.0.0.1", record.port, &more))
}

/// Of a path `/dubbo/<interface>/providers/<escaped URL>`.
fn record(path: &str) -> Result<Record> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let (_, text) = Url::parse(&format!("http://127.0.0.1/?url={name}"))?
        .query_pairs()
        .next()
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .context("no URL")?;
    let url = Url::parse(&text)?;
    let mut metadata: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    let interface = url.path().trim_start_matches('/').to_owned();
    let weight = metadata.get("weight").map_or(Ok(100.0), |text| text.parse::<f64>())?;
    let enabled = metadata.get("enabled").is_none_or(|text| text != "false");
    let own = [("protocol", url.scheme()), ("category", "providers"), ("path", &interface)];
    metadata.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok(Record {
        service: format!("providers:{interface}::"),
        port: url.port().context("no port")?,
        metadata,
        weight: weight / 100.0,
        enabled,
        healthy: true,
    })
}

impl Registry for Place {
    const FIELDS: &[Field] = &[Field::Weight, Field::Enabled];
    const DUBBO: bool = true;

    async fn at(side: Side, test: &str) -> Result<Self> {
        let source = side == Side::Source;
        let land = Land::new(&format!("{test}-{}", if source { "from" } else { "to" })).await?;
        let address = if source { land.a() } else { land.b() };
        Ok(Self { address, at: if source { land.at_a } else { land.at_b }, made: Mutex::default() })
    }

    fn cluster(&self, name: &str) -> String {
        cluster(name, "ZK", &self.address, "")
    }

    async fn put(&self, records: &[Record]) -> Result<()> {
        for record in records {
            let (folder, name) = node(record)?;
            let mut at = String::new();
            for part in folder.trim_start_matches('/').split('/') {
                at = format!("{at}/{part}");
                if self.at.get(&at).await?.is_none() {
                    self.at.create(&at, "").await?;
                }
            }
            let path = format!("{folder}/{name}");
            self.at.create_node(&ZkNode::ephemeral(&path, "127.0.0.1")).await?;
            let before = self.made.lock().await.insert((record.service.clone(), record.port), path);
            if let Some(before) = before {
                self.at.delete(&before).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, record: &Record) -> Result<()> {
        let made = self.made.lock().await.remove(&(record.service.clone(), record.port));
        self.at.delete(&made.context("not made")?).await
    }

    async fn all(&self) -> Result<Vec<Record>> {
        leaves(&self.at, "/dubbo").await?.keys().map(|path| record(path)).collect()
    }
}
