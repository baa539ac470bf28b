//! Many services in one answer, over HTTP: their instances (2.x, 3.x), or a fingerprint of each (1.x). Not what belongs to
//! the services themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use causeway_core::{Metadata, ServiceKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::NacosClient;
use super::admin::Generation;
use super::catalogue::PAGE as FIRST;
use super::error::{Error, Result};
use super::http::HttpCall;
use super::lenient;
use super::wire::{WireInstance, listed};

/// Services in one answer: about 1.5 MB where each has ten instances.
const PAGE: usize = 500;
/// What the ids of those that publish persistent instances end with: `ip:port#false`.
const PERSISTENT: &str = "#false";

/// A service; `C` are its clusters, `M` its metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedDetail<C, M> {
    service_name: String,
    #[serde(default, deserialize_with = "lenient::text")]
    group_name: String,
    cluster_map: Option<C>,
    metadata: Option<M>,
}

type WithInstances = ListedDetail<BTreeMap<String, ClusterHosts>, IgnoredAny>;
type WithRawParts<'a> = ListedDetail<&'a RawValue, &'a RawValue>;

#[derive(Deserialize)]
struct ClusterHosts {
    #[serde(default, deserialize_with = "lenient::list")]
    hosts: Vec<ListedHost>,
}

/// An instance; 2.x tells less of it than 3.x, in other words.
#[derive(Deserialize)]
struct ListedHost {
    ip: String,
    #[serde(deserialize_with = "lenient::port")]
    port: u16,
    #[serde(deserialize_with = "lenient::float")]
    weight: f64,
    #[serde(alias = "valid", deserialize_with = "lenient::flag")]
    healthy: bool,
    #[serde(deserialize_with = "lenient::flag")]
    enabled: bool,
    /// Only 3.x tells.
    ephemeral: Option<bool>,
    #[serde(default, deserialize_with = "lenient::texts")]
    metadata: Metadata,
}

/// 3.x.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewPage {
    page_items: Vec<WithInstances>,
}

/// Some services of a namespace with all their instances.
pub struct ServicePage {
    /// The instances of each, disabled ones included, with raw health and the operator's overrides applied. A service for
    /// which the server does not tell all of this is left out.
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
    pub async fn service_page(&self, namespace: &Arc<str>, number: usize) -> Result<ServicePage> {
        let page = |path| with_instances(path, namespace).page(number, PAGE).long();
        let mut persistent = BTreeSet::new();
        let details: Vec<WithInstances> = match self.generation().await? {
            Generation::V3 => self.core.read::<NewPage>(page("/v3/admin/ns/service/list")).await?.page_items,
            Generation::V2 => {
                // Before and after: one that comes or goes meanwhile is known as well.
                persistent.append(&mut self.persistent_addresses().await?);
                let details = self.core.read(page("/v1/ns/catalog/services")).await?;
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
        let clients: Vec<String> = self.core.read(HttpCall::get("/v2/ns/client/list")).await?;
        Ok(clients.iter().filter_map(|id| id.strip_suffix(PERSISTENT)).map(str::to_owned).collect())
    }

    /// A fingerprint of every service of a namespace, in one request. It changes with addresses, weight, enabled,
    /// health and metadata of the instances and with the service's own metadata; not with the protect threshold, nor
    /// when an instance becomes persistent. Only 1.x and 2.x.
    pub async fn fingerprints(&self, namespace: &Arc<str>) -> Result<Vec<(ServiceKey, u64)>> {
        let mut size = FIRST;
        loop {
            let call = with_instances("/v1/ns/catalog/services", namespace).page(1, size);
            let found = fingerprints(namespace, &self.core.call(call).await?.text()?)?;
            if found.len() < size {
                return Ok(found);
            }
            size *= 4;
        }
    }
}

/// The instances of a service, unless it is open whether one of them is ephemeral.
fn instances(
    namespace: &Arc<str>,
    detail: WithInstances,
    persistent: &BTreeSet<String>,
) -> Option<(ServiceKey, Vec<WireInstance>)> {
    let key = listed(namespace, &detail.group_name, &detail.service_name);
    let mut all = Vec::new();
    for (cluster, found) in detail.cluster_map.unwrap_or_default() {
        for host in found.hosts {
            let ephemeral = match host.ephemeral {
                Some(ephemeral) => ephemeral,
                None if persistent.contains(&format!("{}:{}", host.ip, host.port)) => return None,
                None => true,
            };
            all.push(WireInstance {
                ip: host.ip,
                port: host.port,
                weight: host.weight,
                healthy: host.healthy,
                enabled: host.enabled,
                ephemeral,
                cluster_name: cluster.clone(),
                metadata: host.metadata,
                ..WireInstance::new("", 0)
            });
        }
    }
    Some((key, all))
}

fn with_instances(path: &'static str, namespace: &str) -> HttpCall {
    HttpCall::get(path).with("namespaceId", namespace).with("withInstances", "true")
}

fn fingerprints(namespace: &Arc<str>, body: &str) -> Result<Vec<(ServiceKey, u64)>> {
    let unreadable = |why: &dyn std::fmt::Display| Error::Protocol(format!("the services of {namespace}: {why}"));
    let all: Vec<WithRawParts<'_>> = serde_json::from_str(body).map_err(|e| unreadable(&e))?;
    let fingerprint = |one: &WithRawParts<'_>| {
        let clusters = one.cluster_map.ok_or_else(|| unreadable(&"no clusters"))?;
        let mut hasher = DefaultHasher::new();
        clusters.get().hash(&mut hasher);
        one.metadata.map(RawValue::get).hash(&mut hasher);
        Ok((listed(namespace, &one.group_name, &one.service_name), hasher.finish()))
    };
    all.iter().map(fingerprint).collect()
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
        instances(&"n".into(), detail, &persistent).map(|(key, found)| {
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

    fn list(weight: &str, metadata: &str) -> String {
        format!(
            r#"[{{"serviceName":"s","groupName":"g","clusterMap":{{"DEFAULT":{{"hosts":[{{"ip":"h","weight":{weight}}}]}}}},"metadata":{metadata}}}]"#
        )
    }

    #[test]
    fn a_change_is_seen() {
        let of = |weight, metadata| fingerprints(&"n".into(), &list(weight, metadata)).unwrap();
        assert_eq!(of("1.0", "{}"), of("1.0", "{}"));
        assert_ne!(of("1.0", "{}"), of("0.5", "{}"));
        assert_ne!(of("1.0", "{}"), of("1.0", r#"{"a":"b"}"#));
        assert_eq!(of("1.0", "null")[0].0, ServiceKey::new("n", "g", "s"));
        assert!(fingerprints(&"n".into(), "<html>").is_err());
    }
}
