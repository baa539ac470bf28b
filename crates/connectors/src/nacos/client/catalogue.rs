//! Services and their whole truth, over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::NacosClient;
use super::admin::Generation;
use super::error::{Error, Result};
use super::http::Call;
use super::number;
use super::wire::{PublisherRef, ServiceAttributes, ServiceKey, ServiceSummary, ServiceTruth, WireInstance};

/// Services asked for at first. A namespace with more is asked again for all of them at once:
/// pages of a list that changes meanwhile would miss some.
const PAGE: usize = 10_000;
/// How often a growing list is asked for again before we give up.
const TRIES: usize = 4;
/// Instances of one cluster of one service; the server cuts its own list to this.
const ALL: &str = "1000000";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(alias = "totalCount", deserialize_with = "number::integer")]
    count: i64,
    #[serde(default, alias = "pageItems", deserialize_with = "number::list")]
    service_list: Vec<ServiceSummary>,
}

/// The services of a namespace.
pub struct Names {
    /// Of the whole answer.
    pub fingerprint: u64,
    /// None: the answer is the one that was known.
    pub list: Option<Vec<ServiceSummary>>,
}

/// 1.x and 2.x.
#[derive(Deserialize)]
struct OldDetail {
    service: OldService,
    #[serde(default, deserialize_with = "number::list")]
    clusters: Vec<OldCluster>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldService {
    #[serde(default, deserialize_with = "number::texts")]
    metadata: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "number::float")]
    protect_threshold: f64,
    #[serde(default)]
    selector: Option<Value>,
}

#[derive(Deserialize)]
struct OldCluster {
    name: String,
}

/// 3.x.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewDetail {
    #[serde(default, deserialize_with = "number::texts")]
    metadata: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "number::float")]
    protect_threshold: f64,
    #[serde(default)]
    selector: Option<Value>,
    #[serde(default)]
    ephemeral: Option<bool>,
    #[serde(default)]
    cluster_map: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct OldInstances {
    #[serde(deserialize_with = "number::integer")]
    count: i64,
    #[serde(default, deserialize_with = "number::list")]
    list: Vec<WireInstance>,
}

/// A service in which a connection publishes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct Publication {
    #[serde(alias = "namespaceId")]
    namespace: String,
    #[serde(alias = "groupName")]
    group: String,
    service_name: String,
}

/// A selector that selects nothing special reads as none.
fn real(selector: Option<Value>) -> Option<Value> {
    selector.filter(|s| s.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty() && kind != "none"))
}

impl NacosClient {
    /// All services of a namespace, of every group, empty ones included. Complete, or an error.
    /// An unknown namespace reads as an empty one.
    pub async fn services(&self, namespace: &str) -> Result<Vec<ServiceSummary>> {
        Ok(self.services_since(namespace, None).await?.list.unwrap_or_default())
    }

    /// The same, and nothing where the answer is that of `before`, a [`Names::fingerprint`].
    pub async fn services_since(&self, namespace: &str, before: Option<u64>) -> Result<Names> {
        let path = match self.version().await?.generation {
            Generation::V3 => "/v3/admin/ns/service/list",
            Generation::V1 | Generation::V2 => "/v1/ns/catalog/services",
        };
        let mut size = PAGE;
        for _ in 0..TRIES {
            let call =
                Call::get(path).with("namespaceId", namespace).with("pageNo", "1").with("pageSize", size.to_string());
            // A server that hangs is left soon; where none is quick, one may only be busy.
            let answer = match self.core.call(call.clone()).await {
                Err(Error::Unavailable(_)) => self.core.call(call.long()).await?,
                answer => answer?,
            };
            let mut hasher = DefaultHasher::new();
            hasher.write(answer.body.as_bytes());
            let fingerprint = hasher.finish();
            if answer.status.is_success() && before == Some(fingerprint) {
                return Ok(Names { fingerprint, list: None });
            }
            let page: Page = answer.json()?;
            let count = usize::try_from(page.count).unwrap_or(0);
            if page.service_list.len() >= count {
                return Ok(Names { fingerprint, list: Some(page.service_list) });
            }
            size = count + count / 8 + PAGE;
        }
        Err(Error::Unavailable(format!("the catalogue of namespace {namespace} would not come whole")))
    }

    /// Whether any service of a namespace has an instance; one call, whatever is in it. An unknown namespace reads as an
    /// empty one.
    pub async fn has_instances(&self, namespace: &str) -> Result<bool> {
        let (path, without_empty) = match self.version().await?.generation {
            Generation::V3 => ("/v3/admin/ns/service/list", "ignoreEmptyService"),
            Generation::V1 | Generation::V2 => ("/v1/ns/catalog/services", "hasIpCount"),
        };
        let call = Call::get(path).with("namespaceId", namespace).with("pageNo", "1").with("pageSize", "1");
        let page: Page = self.core.call(call.with(without_empty, "true")).await?.json()?;
        Ok(page.count > 0 || !page.service_list.is_empty())
    }

    /// What belongs to a service itself. Errors: `NotFound`.
    pub async fn attributes(&self, key: &ServiceKey) -> Result<ServiceAttributes> {
        Ok(self.detail(key).await?.0)
    }

    /// The attributes, and the names of the clusters.
    async fn detail(&self, key: &ServiceKey) -> Result<(ServiceAttributes, Vec<String>)> {
        if self.version().await?.generation == Generation::V3 {
            let call = about(Call::get("/v3/admin/ns/service"), key, Generation::V3);
            let found: NewDetail = self.core.call(call).await?.json()?;
            let attributes = ServiceAttributes {
                metadata: found.metadata,
                protect_threshold: widened(found.protect_threshold),
                selector: real(found.selector),
                ephemeral: found.ephemeral,
            };
            let clusters = found.cluster_map.unwrap_or_default().into_keys();
            return Ok((attributes, clusters.collect()));
        }
        let call = about(Call::get("/v1/ns/catalog/service"), key, Generation::V2);
        let found: OldDetail = self.core.call(call).await?.json()?;
        let attributes = ServiceAttributes {
            metadata: found.service.metadata,
            protect_threshold: widened(found.service.protect_threshold),
            selector: real(found.service.selector),
            ephemeral: None,
        };
        let clusters = found.clusters.into_iter().map(|c| c.name);
        Ok((attributes, clusters.collect()))
    }

    /// Everything about one service: attributes, and all instances of all clusters, disabled
    /// ones included, with raw health and the operator's overrides laid over.
    ///
    /// The server gathers changes for about half a second: a read right after a write shows the
    /// state before it, and a service that was just made may show no cluster yet.
    ///
    /// Errors: `NotFound` when the server says that it has no such service; `Unavailable` when
    /// its clusters change under us.
    pub async fn truth(&self, key: &ServiceKey) -> Result<ServiceTruth> {
        let mut vanished = None;
        for _ in 0..2 {
            let (attributes, clusters) = self.detail(key).await?;
            match self.instances_of(key, &clusters).await {
                Ok(instances) => {
                    return Ok(ServiceTruth { attributes, instances });
                }
                // A cluster that was listed a moment ago: not an empty one, so look again.
                Err(Error::NotFound(text)) => vanished = Some(text),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unavailable(vanished.unwrap_or_default()))
    }

    async fn instances_of(&self, key: &ServiceKey, clusters: &[String]) -> Result<Vec<WireInstance>> {
        let generation = self.version().await?.generation;
        let mut all = Vec::new();
        for cluster in clusters {
            if generation == Generation::V3 {
                let call =
                    about(Call::get("/v3/admin/ns/instance/list"), key, generation).with("clusterName", cluster).long();
                let list: Vec<WireInstance> = self.core.call(call).await?.json()?;
                all.extend(list);
                continue;
            }
            let call = about(Call::get("/v1/ns/catalog/instances"), key, generation)
                .with("clusterName", cluster)
                .with("pageNo", "1")
                .with("pageSize", ALL)
                // The request before was answered: the server does not hang.
                .long();
            let page: OldInstances = self.core.call(call).await?.json()?;
            if i64::try_from(page.list.len()).unwrap_or(i64::MAX) < page.count {
                return Err(Error::Protocol(format!("{key}: instances were left out")));
            }
            all.extend(page.list);
        }
        Ok(all)
    }

    /// Makes a service. Errors: `Rejected` when it exists.
    pub async fn create_service(&self, key: &ServiceKey, attributes: &ServiceAttributes) -> Result<()> {
        self.write_service(Method::POST, key, attributes).await
    }

    /// Replaces metadata, threshold and selector. Errors: `NotFound` or `Rejected` when the
    /// service does not exist. Subscribers hear of it with the next change of an instance.
    pub async fn update_service(&self, key: &ServiceKey, attributes: &ServiceAttributes) -> Result<()> {
        self.write_service(Method::PUT, key, attributes).await
    }

    async fn write_service(&self, method: Method, key: &ServiceKey, attributes: &ServiceAttributes) -> Result<()> {
        let generation = self.version().await?.generation;
        let path = match generation {
            Generation::V3 => "/v3/admin/ns/service",
            Generation::V1 | Generation::V2 => "/v1/ns/service",
        };
        let metadata =
            serde_json::to_string(&attributes.metadata).map_err(|e| Error::Protocol(format!("metadata: {e}")))?;
        let selector = attributes.selector.as_ref().map_or_else(String::new, Value::to_string);
        let mut call = about(Call::new(method, path), key, generation)
            .with("protectThreshold", attributes.protect_threshold.to_string())
            .with("metadata", metadata)
            .with("selector", selector);
        if generation == Generation::V3 {
            call = call.with("ephemeral", attributes.ephemeral.unwrap_or(true).to_string());
        }
        self.core.call(call).await?.text().map(|_ok| ())
    }

    /// Deletes a service without instances. Errors: `Rejected` while it has some, `NotFound`.
    pub async fn delete_service(&self, key: &ServiceKey) -> Result<()> {
        let generation = self.version().await?.generation;
        let path = match generation {
            Generation::V3 => "/v3/admin/ns/service",
            Generation::V1 | Generation::V2 => "/v1/ns/service",
        };
        let call = about(Call::new(Method::DELETE, path), key, generation);
        self.core.call(call).await?.text().map(|_ok| ())
    }

    /// Who publishes `ip:port` in a service: connection ids, or `ip:port#ephemeral` for HTTP and
    /// persistent ones. Errors: `Protocol` on 1.x, which does not tell; `Denied` where only an
    /// administrator may ask.
    pub async fn publishers(&self, key: &ServiceKey, ip: &str, port: u16) -> Result<Vec<PublisherRef>> {
        self.publishers_at(key, Some((ip, port))).await
    }

    /// Who publishes what in a whole service, on 3.x. 2.x answers an empty list whoever publishes. Errors as
    /// [`NacosClient::publishers`].
    pub async fn all_publishers(&self, key: &ServiceKey) -> Result<Vec<PublisherRef>> {
        self.publishers_at(key, None).await
    }

    /// In how many services a connection publishes something, as this server knows; 0 for a connection that it does not
    /// know. Errors as [`NacosClient::publishers`].
    pub async fn published(&self, connection: &str) -> Result<usize> {
        let path = match self.version().await?.generation {
            Generation::V3 => "/v3/admin/ns/client/publish/list",
            Generation::V2 => "/v2/ns/client/publish/list",
            Generation::V1 => return Err(Error::Protocol("Nacos 1.x has no connections that publish".into())),
        };
        // One row an instance.
        let answer = self.core.call(Call::get(path).with("clientId", connection)).await?;
        match answer.json::<BTreeSet<Publication>>() {
            Err(Error::NotFound(_)) => Ok(0),
            services => Ok(services?.len()),
        }
    }

    async fn publishers_at(&self, key: &ServiceKey, at: Option<(&str, u16)>) -> Result<Vec<PublisherRef>> {
        let path = match self.version().await?.generation {
            Generation::V3 => "/v3/admin/ns/client/service/publisher/list",
            Generation::V2 => "/v2/ns/client/service/publisher/list",
            Generation::V1 => {
                return Err(Error::Protocol("Nacos 1.x does not tell who publishes an instance".into()));
            }
        };
        // Both take group and name apart.
        let mut call = about(Call::get(path), key, Generation::V3);
        if let Some((ip, port)) = at {
            call = call.with("ip", ip).with("port", port.to_string());
        }
        self.core.call(call).await?.json()
    }
}

/// The server keeps thresholds as 32-bit floats: 0.7 comes back as 0.699999988….
fn widened(threshold: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the server's own precision")]
    let short = threshold as f32;
    short.to_string().parse().unwrap_or(threshold)
}

/// Says which service a call is about, in the way of the generation.
pub(super) fn about(call: Call, key: &ServiceKey, generation: Generation) -> Call {
    let mut call = call.with("namespaceId", &key.namespace);
    call.service = Some(key.grouped());
    match generation {
        Generation::V3 => call.with("groupName", &key.group).with("serviceName", &key.service),
        Generation::V1 | Generation::V2 => call.with("serviceName", key.grouped()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_come_back_as_they_were_written() {
        assert_eq!(widened(f64::from(0.7_f32)), 0.7);
        assert_eq!(widened(0.5), 0.5);
        assert_eq!(widened(0.0), 0.0);
    }
}
