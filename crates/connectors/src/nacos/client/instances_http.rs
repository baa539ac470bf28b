//! Instances over HTTP: the only way on 1.x, and the operator's way on all.

use causeway_core::ServiceKey;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;

use super::NacosClient;
use super::admin::Generation;
use super::catalogue::about;
use super::error::{Error, Result};
use super::http::HttpCall;
use super::lenient;
use super::wire::{DEFAULT_CLUSTER, WireInstance};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeatAnswer {
    #[serde(default, deserialize_with = "lenient::integer")]
    client_beat_interval: i64,
    #[serde(default, deserialize_with = "lenient::integer")]
    code: i64,
}

const INSTANCE: &str = "/v1/ns/instance";
/// A beat's code for an instance that is not there.
const UNKNOWN: i64 = 20404;
/// Nacos' own default.
const BEAT: Duration = Duration::from_secs(5);

impl NacosClient {
    /// Registers an instance that lives by [`NacosClient::beat_http`] (or is persistent). Over
    /// HTTP all who register one address share one record: never use it at an address that
    /// somebody else uses.
    pub async fn register_http(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        self.write_instance(Method::POST, key, instance).await
    }

    /// Deregisters what was registered over HTTP at the address.
    pub async fn deregister_http(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let generation = self.generation().await?;
        let path = generation.pick("/v3/admin/ns/instance", INSTANCE);
        self.core.execute(address(about(HttpCall::new(Method::DELETE, path), key, generation), instance)).await
    }

    /// A light heart beat of a registered instance. Returns the time after which to beat again; `None`: the server does
    /// not know the instance.
    pub async fn beat_http(&self, key: &ServiceKey, instance: &WireInstance) -> Result<Option<Duration>> {
        let call = HttpCall::new(Method::PUT, "/v1/ns/instance/beat");
        let call = address(about(call, key, Generation::V1), instance);
        let answer: BeatAnswer = self.core.read(call).await?;
        let millis = u64::try_from(answer.client_beat_interval).unwrap_or(0);
        let interval = if millis > 0 { Duration::from_millis(millis) } else { BEAT };
        Ok((answer.code != UNKNOWN).then_some(interval))
    }

    /// Changes weight and enabled of an instance as an operator does in the console: the change overrides what all its
    /// publishers say, and stays. Metadata are not overridden where the server lets us leave them out (not 1.x).
    pub async fn edit_instance(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let generation = self.generation().await?;
        if generation == Generation::V1 {
            return self.write_instance(Method::PUT, key, instance).await;
        }
        let path = generation.pick("/v3/admin/ns/instance", INSTANCE);
        self.core.execute(weighted(about(HttpCall::new(Method::PUT, path), key, generation), instance)).await
    }

    async fn write_instance(&self, method: Method, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let metadata = serde_json::to_string(&instance.metadata);
        let metadata = metadata.map_err(|e| Error::Protocol(format!("metadata: {e}")))?;
        let call = weighted(about(HttpCall::new(method, INSTANCE), key, Generation::V1), instance);
        self.core.execute(call.with("healthy", instance.healthy.to_string()).with("metadata", metadata)).await
    }
}

fn address(call: HttpCall, instance: &WireInstance) -> HttpCall {
    let cluster = match instance.cluster_name.as_str() {
        "" => DEFAULT_CLUSTER,
        name => name,
    };
    call.with("ip", &instance.ip)
        .with("port", instance.port.to_string())
        .with("clusterName", cluster)
        .with("ephemeral", instance.ephemeral.to_string())
}

fn weighted(call: HttpCall, instance: &WireInstance) -> HttpCall {
    address(call, instance).with("weight", instance.weight.to_string()).with("enabled", instance.enabled.to_string())
}
