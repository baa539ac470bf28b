//! Instances over HTTP: the only way on 1.x, and the operator's way on all.

use causeway_core::Metadata;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;

use super::NacosClient;
use super::admin::Generation;
use super::catalogue::about;
use super::error::{Error, Result};
use super::http::Call;
use super::number;
use super::wire::{DEFAULT_CLUSTER, ServiceInfo, ServiceKey, WireInstance};

/// The answer to a heart beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Beat again after this time.
    pub interval: Duration,
    /// False: the server does not know the instance; register it.
    pub known: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeatAnswer {
    #[serde(default, deserialize_with = "number::integer")]
    client_beat_interval: i64,
    #[serde(default, deserialize_with = "number::integer")]
    code: i64,
}

/// A beat's code for an instance that is not there.
const UNKNOWN: i64 = 20404;
/// Nacos' own default.
const BEAT: Duration = Duration::from_secs(5);

impl NacosClient {
    /// Registers an instance that lives by [`NacosClient::beat_http`] (or is persistent). Over
    /// HTTP all who register one address share one record: never use it at an address of
    /// somebody else's.
    pub async fn register_http(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let call = Call::new(Method::POST, "/v1/ns/instance");
        self.write_instance(call, Generation::V1, key, instance).await
    }

    /// Deregisters what was registered over HTTP at the address.
    pub async fn deregister_http(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let call = address(about(Call::new(Method::DELETE, "/v1/ns/instance"), key, Generation::V1), instance);
        self.core.call(call).await?.text().map(|_ok| ())
    }

    /// A light heart beat of a registered instance.
    pub async fn beat_http(&self, key: &ServiceKey, instance: &WireInstance) -> Result<Beat> {
        let call = Call::new(Method::PUT, "/v1/ns/instance/beat");
        let call = address(about(call, key, Generation::V1), instance);
        let answer: BeatAnswer = self.core.call(call).await?.json()?;
        let millis = u64::try_from(answer.client_beat_interval).unwrap_or(0);
        Ok(Beat {
            interval: if millis > 0 { Duration::from_millis(millis) } else { BEAT },
            known: answer.code != UNKNOWN,
        })
    }

    /// What a subscriber would be shown, over HTTP: enabled instances of all clusters. An unknown
    /// service reads as an empty one.
    pub async fn list_http(&self, key: &ServiceKey) -> Result<ServiceInfo> {
        let call = about(Call::get("/v1/ns/instance/list"), key, Generation::V1);
        self.core.call(call).await?.json()
    }

    /// Changes weight and enabled of an instance as an operator does in the console: laid over what its publishers say,
    /// whoever they are, and stays. Metadata are not laid over, where the server lets us leave them out (not 1.x).
    pub async fn edit_instance(&self, key: &ServiceKey, instance: &WireInstance) -> Result<()> {
        let generation = self.version().await?.generation;
        let path = match generation {
            Generation::V3 => "/v3/admin/ns/instance",
            Generation::V1 | Generation::V2 => "/v1/ns/instance",
        };
        let call = Call::new(Method::PUT, path);
        if generation == Generation::V1 {
            return self.write_instance(call, generation, key, instance).await;
        }
        let call = address(about(call, key, generation), instance)
            .with("weight", instance.weight.to_string())
            .with("enabled", instance.enabled.to_string());
        self.core.call(call).await?.text().map(|_ok| ())
    }

    async fn write_instance(
        &self,
        call: Call,
        generation: Generation,
        key: &ServiceKey,
        instance: &WireInstance,
    ) -> Result<()> {
        let call = address(about(call, key, generation), instance)
            .with("weight", instance.weight.to_string())
            .with("enabled", instance.enabled.to_string())
            .with("healthy", instance.healthy.to_string())
            .with("metadata", json(&instance.metadata)?);
        self.core.call(call).await?.text().map(|_ok| ())
    }
}

fn address(call: Call, instance: &WireInstance) -> Call {
    let cluster = match instance.cluster_name.as_str() {
        "" => DEFAULT_CLUSTER,
        name => name,
    };
    call.with("ip", &instance.ip)
        .with("port", instance.port.to_string())
        .with("clusterName", cluster)
        .with("ephemeral", instance.ephemeral.to_string())
}

fn json(metadata: &Metadata) -> Result<String> {
    serde_json::to_string(metadata).map_err(|e| Error::Protocol(format!("metadata: {e}")))
}
