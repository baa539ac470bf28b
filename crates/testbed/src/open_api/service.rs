//! Services, namespaces, and who publishes what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use super::{Form, OpenApi, place};
use crate::nacos::NacosVersion;
use crate::record::ServiceName;

/// Between two tries at a database that is locked.
const AGAIN: Duration = Duration::from_millis(300);

/// What belongs to the service itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceInfo {
    pub metadata: BTreeMap<String, String>,
    /// 0 to 1.
    pub protect_threshold: f64,
    /// The names of its clusters.
    pub clusters: Vec<String>,
}

/// Who publishes an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// A gRPC connection's id, or `ip:port#true` (`#false`) for an ephemeral (persistent) HTTP registration.
    pub client: String,
    pub cluster: String,
}

impl OpenApi {
    fn service_path(&self) -> &'static str {
        if self.three() { "/v3/admin/ns/service" } else { "/v1/ns/service" }
    }

    pub async fn create_service(&self, service: &ServiceName, info: &ServiceInfo) -> Result<()> {
        self.ask(Method::POST, self.service_path(), &described(service, info)?).await?;
        Ok(())
    }

    /// Replaces metadata and threshold (an update of one resets the other); cluster names are not written.
    pub async fn update_service(&self, service: &ServiceName, info: &ServiceInfo) -> Result<()> {
        self.ask(Method::PUT, self.service_path(), &described(service, info)?).await?;
        Ok(())
    }

    /// Only works when it has no instances.
    pub async fn delete_service(&self, service: &ServiceName) -> Result<()> {
        self.ask(Method::DELETE, self.service_path(), &place(service)).await?;
        Ok(())
    }

    /// `None` when there is no such service.
    pub async fn service(&self, service: &ServiceName) -> Result<Option<ServiceInfo>> {
        let path = if self.three() { "/v3/admin/ns/service" } else { "/v1/ns/catalog/service" };
        let (status, body) = self.call(Method::GET, path, &place(service)).await?;
        // 2.5 says 404, 3.1 says 400 with code 21008, 1.4 says 500.
        if !status.is_success() && (status == StatusCode::NOT_FOUND || body.contains("not found")) {
            return Ok(None);
        }
        if !status.is_success() {
            bail!("{path}: {status}: {}", body.trim());
        }
        let said: Value = serde_json::from_str(&body)?;
        let (about, clusters) = if self.three() {
            let clusters = said["data"]["clusterMap"].as_object();
            let names = clusters.map(|map| map.keys().cloned().collect()).unwrap_or_default();
            (&said["data"], names)
        } else {
            let clusters = said["clusters"].as_array().cloned().unwrap_or_default();
            let names = clusters.iter().filter_map(|c| c["name"].as_str().map(String::from));
            (&said["service"], names.collect())
        };
        Ok(Some(ServiceInfo {
            metadata: serde_json::from_value(about["metadata"].clone()).unwrap_or_default(),
            protect_threshold: about["protectThreshold"].as_f64().unwrap_or_default(),
            clusters,
        }))
    }

    /// Group and name of every service of a namespace, those without instances included.
    pub async fn services(&self, namespace: &str) -> Result<BTreeSet<(String, String)>> {
        Ok(self.counts(namespace).await?.into_keys().collect())
    }

    /// How many instances this server lists in every service of a namespace, by group and name.
    pub async fn counts(&self, namespace: &str) -> Result<BTreeMap<(String, String), usize>> {
        let form: Form = vec![("namespaceId", namespace.into()), ("pageNo", "1".into()), ("pageSize", "100000".into())];
        let said = if self.three() {
            self.ask(Method::GET, "/v3/admin/ns/service/list", &form).await?
        } else {
            self.ask(Method::GET, "/v1/ns/catalog/services", &form).await?
        };
        let list = if self.three() { &said["pageItems"] } else { &said["serviceList"] };
        let list = list.as_array().context("no list of services")?;
        let count = |one: &Value| one["ipCount"].as_u64().and_then(|count| usize::try_from(count).ok());
        Ok(list
            .iter()
            .map(|one| ((text(one, "groupName"), text(one, "name")), count(one).unwrap_or_default()))
            .collect())
    }

    /// Id and display name of every namespace. The default one is `""` on 1.4 and 2.5 and `public` on 3.1.
    pub async fn namespaces(&self) -> Result<BTreeMap<String, String>> {
        let path = if self.three() { "/v3/admin/core/namespace/list" } else { "/v1/console/namespaces" };
        let said = self.ask(Method::GET, path, &Vec::new()).await?;
        let list = said.as_array().context("no list of namespaces")?;
        Ok(list.iter().map(|one| (text(one, "namespace"), text(one, "namespaceShowName"))).collect())
    }

    pub async fn create_namespace(&self, id: &str, name: &str) -> Result<()> {
        let (path, key) = if self.three() {
            ("/v3/admin/core/namespace", "namespaceId")
        } else {
            ("/v1/console/namespaces", "customNamespaceId")
        };
        let form: Form =
            vec![(key, id.into()), ("namespaceName", name.into()), ("namespaceDesc", "made by a test".into())];
        // The embedded database gives up when several are made at once; nothing was made then.
        for _ in 0..20 {
            match self.ask(Method::POST, path, &form).await {
                Err(error) if error.to_string().contains("lock could not be obtained") => sleep(AGAIN).await,
                said if *said.as_ref().unwrap_or(&Value::Null) == Value::Bool(true) => return Ok(()),
                said => bail!("creating the namespace {id} was answered {}", said?),
            }
        }
        bail!("creating the namespace {id}: the server's database stays locked")
    }

    /// What an operator does in the console; what is registered in the namespace stays.
    pub async fn delete_namespace(&self, id: &str) -> Result<()> {
        let path = if self.three() { "/v3/admin/core/namespace" } else { "/v1/console/namespaces" };
        match self.ask(Method::DELETE, path, &vec![("namespaceId", id.into())]).await? {
            Value::Bool(true) => Ok(()),
            said => bail!("deleting the namespace {id} was answered {said}"),
        }
    }

    /// How many Raft groups have a leader, as this server of a cluster of 2.5 or 3.1 knows it.
    pub(crate) async fn leaders(&self) -> Result<usize> {
        let path = if self.three() { "/v3/admin/core/cluster/node/self" } else { "/v2/core/cluster/node/self" };
        let said = self.ask(Method::GET, path, &Vec::new()).await?;
        let groups = said["extendInfo"]["raftMetaData"]["metaDataMap"].as_object();
        let led = |group: &&Value| group["leader"].as_str().is_some_and(|leader| !leader.is_empty());
        Ok(groups.map_or(0, |groups| groups.values().filter(led).count()))
    }

    /// Who publishes `ip:port` of a service. 1.4 does not say: an error there.
    pub async fn publishers(&self, service: &ServiceName, ip: &str, port: u16) -> Result<Vec<Publisher>> {
        let path = match self.version {
            NacosVersion::V1_4 => bail!("Nacos 1.4 does not tell publishers"),
            NacosVersion::V2_5 => "/v2/ns/client/service/publisher/list",
            NacosVersion::V3_1 => "/v3/admin/ns/client/service/publisher/list",
        };
        let mut form = place(service);
        form.extend([("ip", ip.to_string()), ("port", port.to_string())]);
        let said = self.ask(Method::GET, path, &form).await?;
        let list = said.as_array().context("no list of publishers")?;
        let cluster = if self.three() { "clusterName" } else { "cluster" };
        Ok(list.iter().map(|one| Publisher { client: text(one, "clientId"), cluster: text(one, cluster) }).collect())
    }
}

fn described(service: &ServiceName, info: &ServiceInfo) -> Result<Form> {
    let mut form = place(service);
    form.extend([
        ("protectThreshold", info.protect_threshold.to_string()),
        ("metadata", serde_json::to_string(&info.metadata)?),
    ]);
    Ok(form)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().into()
}
