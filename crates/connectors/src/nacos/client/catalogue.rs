//! Services and their whole truth, over HTTP.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use causeway_core::ServiceKey;
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::NacosClient;
use super::admin::Generation;
use super::error::{Error, Result};
use super::http::HttpCall;
use super::lenient;
use super::wire::{ServiceAttributes, ServiceSummary, ServiceTruth, WireInstance, grouped};

/// Services asked for at first. A namespace with more is asked again for all of them at once:
/// pages of a list that changes meanwhile would miss some.
pub(super) const PAGE: usize = 10_000;
/// How often a growing list is asked for again before giving up.
const TRIES: usize = 4;
/// Instances of one cluster of one service; the server cuts its own list to this.
const ALL: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SummaryPage {
    #[serde(alias = "totalCount", deserialize_with = "lenient::integer")]
    count: i64,
    #[serde(default, alias = "pageItems", deserialize_with = "lenient::list")]
    service_list: Vec<ServiceSummary>,
}

/// The services of a namespace.
pub struct ServiceNames {
    /// Of the whole answer.
    pub fingerprint: u64,
    /// None: the answer is the one that was known.
    pub list: Option<Vec<ServiceSummary>>,
}

/// One service, by 1.x and 2.x.
#[derive(Deserialize)]
struct OldDetail {
    service: ServiceAttributes,
    #[serde(default, deserialize_with = "lenient::list")]
    clusters: Vec<OldCluster>,
}

#[derive(Deserialize)]
struct OldCluster {
    name: String,
}

/// One service, by 3.x.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewDetail {
    #[serde(flatten)]
    attributes: ServiceAttributes,
    #[serde(default)]
    cluster_map: Option<BTreeMap<String, IgnoredAny>>,
}

/// The instances of one cluster, by 1.x and 2.x.
#[derive(Deserialize)]
struct OldInstances {
    #[serde(deserialize_with = "lenient::integer")]
    count: i64,
    #[serde(default, deserialize_with = "lenient::list")]
    list: Vec<WireInstance>,
}

impl NacosClient {
    /// All services of a namespace, of every group, empty ones included. Complete, or an error.
    /// An unknown namespace reads as an empty one.
    pub async fn services(&self, namespace: &str) -> Result<Vec<ServiceSummary>> {
        Ok(self.services_since(namespace, None).await?.list.unwrap_or_default())
    }

    /// The same, and nothing where the answer is that of `before`, a [`ServiceNames::fingerprint`].
    pub async fn services_since(&self, namespace: &str, before: Option<u64>) -> Result<ServiceNames> {
        let path = self.generation().await?.pick("/v3/admin/ns/service/list", "/v1/ns/catalog/services");
        let mut size = PAGE;
        for _ in 0..TRIES {
            let call = HttpCall::get(path).with("namespaceId", namespace).page(1, size);
            // A server that hangs is left soon; where none is quick, one may only be busy.
            let answer = match self.core.call(call.clone()).await {
                Err(Error::Unavailable(_)) => self.core.call(call.long()).await?,
                answer => answer?,
            };
            let mut hasher = DefaultHasher::new();
            hasher.write(answer.body.as_bytes());
            let fingerprint = hasher.finish();
            if answer.status.is_success() && before == Some(fingerprint) {
                return Ok(ServiceNames { fingerprint, list: None });
            }
            let page: SummaryPage = answer.json()?;
            let count = usize::try_from(page.count).unwrap_or(0);
            if page.service_list.len() >= count {
                return Ok(ServiceNames { fingerprint, list: Some(page.service_list) });
            }
            size = count + count / 8 + PAGE;
        }
        Err(Error::Unavailable(format!("the catalogue of namespace {namespace} could not be read whole")))
    }

    /// Whether any service of a namespace has an instance; one call, whatever is in it. An unknown namespace reads as an
    /// empty one.
    pub async fn has_instances(&self, namespace: &str) -> Result<bool> {
        let (path, without_empty) = self
            .generation()
            .await?
            .pick(("/v3/admin/ns/service/list", "ignoreEmptyService"), ("/v1/ns/catalog/services", "hasIpCount"));
        let call = HttpCall::get(path).with("namespaceId", namespace).page(1, 1).with(without_empty, "true");
        let page: SummaryPage = self.core.read(call).await?;
        Ok(page.count > 0 || !page.service_list.is_empty())
    }

    /// What belongs to a service itself. Errors: `NotFound`.
    pub async fn attributes(&self, key: &ServiceKey) -> Result<ServiceAttributes> {
        Ok(self.detail(key).await?.0)
    }

    /// The attributes, and the names of the clusters.
    async fn detail(&self, key: &ServiceKey) -> Result<(ServiceAttributes, Vec<String>)> {
        let generation = self.generation().await?;
        let path = generation.pick("/v3/admin/ns/service", "/v1/ns/catalog/service");
        let answer = self.core.call(about(HttpCall::get(path), key, generation)).await?;
        if generation == Generation::V3 {
            let found: NewDetail = answer.json()?;
            return Ok((found.attributes, found.cluster_map.unwrap_or_default().into_keys().collect()));
        }
        let found: OldDetail = answer.json()?;
        Ok((found.service, found.clusters.into_iter().map(|one| one.name).collect()))
    }

    /// Everything about one service: attributes, and all instances of all clusters, disabled
    /// ones included, with raw health and the operator's overrides applied.
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
                // A cluster that was listed a moment ago: not an empty one, so look again.
                Err(Error::NotFound(text)) => vanished = Some(text),
                instances => return Ok(ServiceTruth { attributes, instances: instances? }),
            }
        }
        Err(Error::Unavailable(vanished.unwrap_or_default()))
    }

    async fn instances_of(&self, key: &ServiceKey, clusters: &[String]) -> Result<Vec<WireInstance>> {
        let generation = self.generation().await?;
        let path = generation.pick("/v3/admin/ns/instance/list", "/v1/ns/catalog/instances");
        let mut all = Vec::new();
        for cluster in clusters {
            // The request before was answered: the server does not hang.
            let call = about(HttpCall::get(path), key, generation).with("clusterName", cluster).long();
            if generation == Generation::V3 {
                all.extend(self.core.read::<Vec<WireInstance>>(call).await?);
                continue;
            }
            let page: OldInstances = self.core.read(call.page(1, ALL)).await?;
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
        let metadata =
            serde_json::to_string(&attributes.metadata).map_err(|e| Error::Protocol(format!("metadata: {e}")))?;
        let selector = attributes.selector.as_ref().map_or_else(String::new, Value::to_string);
        let generation = self.generation().await?;
        let mut call = service_call(method, key, generation)
            .with("protectThreshold", attributes.protect_threshold.to_string())
            .with("metadata", metadata)
            .with("selector", selector);
        if generation == Generation::V3 {
            call = call.with("ephemeral", attributes.ephemeral.unwrap_or(true).to_string());
        }
        self.core.execute(call).await
    }

    /// Deletes a service without instances. Errors: `Rejected` while it has some, `NotFound`.
    pub async fn delete_service(&self, key: &ServiceKey) -> Result<()> {
        self.core.execute(service_call(Method::DELETE, key, self.generation().await?)).await
    }
}

fn service_call(method: Method, key: &ServiceKey, generation: Generation) -> HttpCall {
    about(HttpCall::new(method, generation.pick("/v3/admin/ns/service", "/v1/ns/service")), key, generation)
}

/// Says which service a call is about, in the way of the generation.
pub(super) fn about(call: HttpCall, key: &ServiceKey, generation: Generation) -> HttpCall {
    let mut call = call.with("namespaceId", &*key.namespace);
    call.service = Some(grouped(key));
    match generation {
        Generation::V3 => call.with("groupName", &*key.group).with("serviceName", &*key.name),
        Generation::V1 | Generation::V2 => call.with("serviceName", grouped(key)),
    }
}
