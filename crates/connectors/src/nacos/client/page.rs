//! Many services in one answer, over HTTP: their instances, and not what belongs to the services themselves.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::Metadata;
use serde::Deserialize;

use super::NacosClient;
use super::admin::Generation;
use super::error::{Error, Result};
use super::http::Call;
use super::number;
use super::wire::{ServiceKey, WireInstance};

/// Services in one answer: about 1.5 MB where each has ten instances.
const PAGE: usize = 500;
/// What the ids of those that publish persistent instances end with: `ip:port#false`.
const PERSISTENT: &str = "#false";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    service_name: String,
    #[serde(default, deserialize_with = "number::text")]
    group_name: String,
    #[serde(default)]
    cluster_map: BTreeMap<String, Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    #[serde(default, deserialize_with = "number::list")]
    hosts: Vec<Host>,
}

/// An instance; 2.x tells less of it than 3.x, in other words.
#[derive(Deserialize)]
struct Host {
    ip: String,
    #[serde(deserialize_with = "number::port")]
    port: u16,
    #[serde(deserialize_with = "number::float")]
    weight: f64,
    #[serde(alias = "valid", deserialize_with = "number::flag")]
    healthy: bool,
    #[serde(deserialize_with = "number::flag")]
    enabled: bool,
    /// Only 3.x tells.
    ephemeral: Option<bool>,
    #[serde(default, deserialize_with = "number::texts")]
    metadata: Metadata,
}

/// 3.x.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    page_items: Vec<Detail>,
}

/// Some services of a namespace with all their instances.
pub struct ServicePage {
    /// The instances of each, disabled ones included, with raw health and the operator's overrides laid over. A service of
    /// which this was not to be had is not in it.
    pub services: Vec<(ServiceKey, Vec<WireInstance>)>,
    /// Whether there may be another page.
    pub more: bool,
}

impl NacosClient {
    /// One page of the services of a namespace; the first is 1. While services come and go, pages may miss some of them.
    /// Only 2.x and 3.x.
    ///
    /// 2.x does not tell here whether an instance is ephemeral. It is, where nothing persistent stands at its address; a
    /// service of which this cannot be said is left out.
    ///
    /// Errors: `Protocol` and `Denied` where a server has or allows no such list.
    pub async fn service_page(&self, namespace: &str, number: usize) -> Result<ServicePage> {
        let page = |path: &'static str| {
            Call::get(path)
                .with("namespaceId", namespace)
                .with("withInstances", "true")
                .with("pageNo", number.to_string())
                .with("pageSize", PAGE.to_string())
                .long()
        };
        let mut persistent = BTreeSet::new();
        let details: Vec<Detail> = match self.version().await?.generation {
            Generation::V3 => self.core.call(page("/v3/admin/ns/service/list")).await?.json::<Page>()?.page_items,
            Generation::V2 => {
                // Before and after: one that comes or goes meanwhile is known as well.
                persistent.append(&mut self.persistent_addresses().await?);
                let details = self.core.call(page("/v1/ns/catalog/services")).await?.json()?;
                persistent.append(&mut self.persistent_addresses().await?);
                details
            }
            Generation::V1 => return Err(Error::Protocol("Nacos 1.x has no such list".into())),
        };
        let more = details.len() >= PAGE;
        let services = details.into_iter().filter_map(|one| instances(namespace, one, &persistent)).collect();
        Ok(ServicePage { services, more })
    }

    /// The addresses at which persistent instances stand, as `ip:port`; of 2.x.
    async fn persistent_addresses(&self) -> Result<BTreeSet<String>> {
        let clients: Vec<String> = self.core.call(Call::get("/v2/ns/client/list")).await?.json()?;
        Ok(clients.iter().filter_map(|id| id.strip_suffix(PERSISTENT)).map(str::to_owned).collect())
    }
}

/// The instances of a service, unless it is open whether one of them is ephemeral.
fn instances(
    namespace: &str,
    detail: Detail,
    persistent: &BTreeSet<String>,
) -> Option<(ServiceKey, Vec<WireInstance>)> {
    let key = ServiceKey::new(namespace, &detail.group_name, &detail.service_name);
    let mut all = Vec::new();
    for (cluster, found) in detail.cluster_map {
        for host in found.hosts {
            let ephemeral = match host.ephemeral {
                Some(ephemeral) => ephemeral,
                None if persistent.contains(&format!("{}:{}", host.ip, host.port)) => return None,
                None => true,
            };
            let plain = WireInstance::new("", 0);
            all.push(WireInstance {
                ip: host.ip,
                port: host.port,
                weight: host.weight,
                healthy: host.healthy,
                enabled: host.enabled,
                ephemeral,
                cluster_name: cluster.clone(),
                metadata: host.metadata,
                ..plain
            });
        }
    }
    Some((key, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, persistent: &[&str]) -> Option<Vec<WireInstance>> {
        let text = format!(
            r#"{{"serviceName":"s","groupName":"g","clusterMap":{{"c1":{{"clusterName":null,"hosts":[{host}]}}}},"metadata":{{}}}}"#
        );
        let detail = serde_json::from_str(&text).unwrap();
        let persistent = persistent.iter().map(|one| (*one).to_owned()).collect();
        instances("n", detail, &persistent).map(|(key, found)| {
            assert_eq!(key, ServiceKey::new("n", "g", "s"));
            found
        })
    }

    #[test]
    fn both_generations_are_read() {
        let two = r#"{"valid":false,"metadata":{"a":"b"},"port":81,"ip":"127.0.0.1","weight":0.5,"enabled":false}"#;
        let three = r#"{"ip":"127.0.0.1","port":81,"weight":0.5,"healthy":false,"enabled":false,"ephemeral":false,
            "clusterName":"c1","serviceName":"g@@s","metadata":{"a":"b"},"ipDeleteTimeout":30000}"#;
        let mut wanted = WireInstance::new("127.0.0.1", 81);
        (wanted.weight, wanted.healthy, wanted.enabled) = (0.5, false, false);
        wanted.cluster_name = "c1".into();
        wanted.metadata = [("a", "b")].into();
        assert_eq!(read(two, &["127.0.0.2:81"]), Some(vec![wanted.clone()]));
        wanted.ephemeral = false;
        assert_eq!(read(three, &[]), Some(vec![wanted]));
    }

    #[test]
    fn what_may_be_persistent_is_left_out() {
        let host = r#"{"valid":true,"metadata":{},"port":81,"ip":"::1","weight":1.0,"enabled":true}"#;
        assert_eq!(read(host, &["::1:81"]), None);
        assert!(read(host, &["::1:8"]).is_some());
    }
}
