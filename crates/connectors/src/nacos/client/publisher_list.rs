//! Who publishes what, as the servers of 2.x and 3.x tell over HTTP.

use std::collections::BTreeSet;

use causeway_core::ServiceKey;
use serde::Deserialize;

use super::NacosClient;
use super::admin::Generation;
use super::catalogue::about;
use super::error::{Error, Result, or_default};
use super::http::HttpCall;
use super::wire::PublisherRef;

/// A service in which a connection publishes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct PublishedService {
    #[serde(alias = "namespaceId")]
    namespace: String,
    #[serde(alias = "groupName")]
    group: String,
    service_name: String,
}

impl NacosClient {
    /// Who publishes `ip:port` in a service: connection ids, or `ip:port#ephemeral` for HTTP and
    /// persistent ones. Errors: `Protocol` on 1.x, which does not tell; `Denied` where only an
    /// administrator may ask.
    pub async fn publishers(&self, key: &ServiceKey, ip: &str, port: u16) -> Result<Vec<PublisherRef>> {
        let call = self.publishers_of(key).await?.with("ip", ip).with("port", port.to_string());
        self.core.read(call).await
    }

    /// Who publishes what in a whole service, on 3.x. 2.x returns an empty list in any case. Errors as
    /// [`NacosClient::publishers`].
    pub async fn all_publishers(&self, key: &ServiceKey) -> Result<Vec<PublisherRef>> {
        self.core.read(self.publishers_of(key).await?).await
    }

    /// In how many services a connection publishes something, as this server knows; 0 for a connection that it does not
    /// know. Errors as [`NacosClient::publishers`].
    pub async fn published(&self, connection: &str) -> Result<usize> {
        let path = self.client_path("/v3/admin/ns/client/publish/list", "/v2/ns/client/publish/list").await?;
        // One row an instance.
        let rows = self.core.read::<BTreeSet<PublishedService>>(HttpCall::get(path).with("clientId", connection)).await;
        Ok(or_default(rows)?.len())
    }

    async fn publishers_of(&self, key: &ServiceKey) -> Result<HttpCall> {
        let (v3, v2) = ("/v3/admin/ns/client/service/publisher/list", "/v2/ns/client/service/publisher/list");
        // Both take group and name apart.
        Ok(about(HttpCall::get(self.client_path(v3, v2).await?), key, Generation::V3))
    }

    async fn client_path(&self, v3: &'static str, v2: &'static str) -> Result<&'static str> {
        match self.generation().await? {
            Generation::V3 => Ok(v3),
            Generation::V2 => Ok(v2),
            Generation::V1 => Err(Error::Protocol("Nacos 1.x does not tell who publishes an instance".into())),
        }
    }
}
