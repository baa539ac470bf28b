//! The JSON of the HTTP API. Absent fields are `null`; names mix two styles, as the servers' own do.

use causeway_proto::polaris;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An answer of any call: only what is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::polaris) struct Answer {
    pub code: Option<u32>,
    pub info: Option<String>,
    /// How many there are, of which a list shows one page.
    pub amount: Option<u32>,
    pub namespaces: Option<Vec<NamespaceJson>>,
    pub services: Option<Vec<ServiceJson>>,
    pub instances: Option<Vec<InstanceJson>>,
    /// Of a call with several records: one each, or only those that are not sound.
    pub responses: Option<Vec<Option<Answer>>>,
    pub service: Option<ServiceJson>,
    #[serde(alias = "alias_for", rename = "aliasFor")]
    pub alias_for: Option<ServiceJson>,
    pub instance: Option<InstanceJson>,
}

/// A namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::polaris) struct NamespaceJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A service.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::polaris) struct ServiceJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<HashMap<String, String>>,
}

/// An instance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::polaris) struct InstanceJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(rename = "vpc_id", alias = "vpcId", skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_health_check: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<HashMap<String, String>>,
    #[serde(rename = "logic_set", alias = "logicSet", skip_serializing_if = "Option::is_none")]
    pub logic_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtime: Option<String>,
}

/// How the server learns that an instance lives.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(in crate::polaris) struct HealthCheckJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatJson>,
}

/// Heartbeats, one in so many seconds at least.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(in crate::polaris) struct HeartbeatJson {
    #[serde(default)]
    pub ttl: Option<u32>,
}

/// Where an instance stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::polaris) struct LocationJson {
    pub region: Option<String>,
    pub zone: Option<String>,
    pub campus: Option<String>,
}

impl Answer {
    /// The code, 0 where there is none.
    pub fn code(&self) -> u32 {
        self.code.unwrap_or_default()
    }

    /// What the server says beside the code.
    pub fn words(&self) -> &str {
        self.info.as_deref().unwrap_or_default()
    }
}

impl From<InstanceJson> for polaris::Instance {
    fn from(json: InstanceJson) -> Self {
        let location =
            json.location.map(|at| polaris::Location { region: at.region, zone: at.zone, campus: at.campus });
        let heartbeat = |check: HealthCheckJson| polaris::HealthCheck {
            r#type: polaris::health_check::HealthCheckType::Heartbeat.into(),
            heartbeat: check.heartbeat.map(|beat| polaris::HeartbeatHealthCheck { ttl: beat.ttl }),
        };
        Self {
            id: json.id,
            service: json.service,
            namespace: json.namespace,
            vpc_id: json.vpc_id,
            host: json.host,
            port: json.port,
            protocol: json.protocol,
            version: json.version,
            priority: json.priority,
            weight: json.weight,
            enable_health_check: json.enable_health_check,
            health_check: json.health_check.map(heartbeat),
            healthy: json.healthy,
            isolate: json.isolate,
            location,
            metadata: json.metadata.unwrap_or_default(),
            logic_set: json.logic_set,
            mtime: json.mtime,
            ..Self::default()
        }
    }
}

impl From<polaris::Instance> for InstanceJson {
    fn from(wire: polaris::Instance) -> Self {
        let heartbeat = |check: polaris::HealthCheck| HealthCheckJson {
            heartbeat: check.heartbeat.map(|beat| HeartbeatJson { ttl: beat.ttl }),
        };
        Self {
            id: wire.id,
            service: wire.service,
            namespace: wire.namespace,
            vpc_id: wire.vpc_id,
            host: wire.host,
            port: wire.port,
            protocol: wire.protocol,
            version: wire.version,
            priority: wire.priority,
            weight: wire.weight,
            enable_health_check: wire.enable_health_check,
            health_check: wire.health_check.map(heartbeat),
            healthy: wire.healthy,
            isolate: wire.isolate,
            location: wire.location.map(|at| LocationJson { region: at.region, zone: at.zone, campus: at.campus }),
            metadata: Some(wire.metadata),
            logic_set: wire.logic_set,
            mtime: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_as_the_server_writes_it() {
        let text = r#"{"id": "abc", "service": "orders", "namespace": "default", "vpc_id": null, "host": "10.0.0.1",
            "port": 80, "protocol": "grpc", "version": null, "priority": 0, "weight": 100, "enableHealthCheck": true,
            "healthCheck": {"type": "HEARTBEAT", "heartbeat": {"ttl": 5}}, "healthy": true, "isolate": false,
            "location": null, "metadata": {"a": "b"}, "logic_set": "s", "ctime": "2026-01-01 00:00:00",
            "mtime": "2026-01-01 00:00:00", "revision": "r", "service_token": "", "someday": [1]}"#;
        let json: InstanceJson = serde_json::from_str(text).unwrap();
        let wire = polaris::Instance::from(json);
        let ttl = wire.health_check.and_then(|check| check.heartbeat).and_then(|beat| beat.ttl);
        assert_eq!((wire.port, wire.weight, ttl, wire.logic_set.as_deref()), (Some(80), Some(100), Some(5), Some("s")));
        let back = serde_json::to_value(InstanceJson::from(wire)).unwrap();
        assert_eq!(back["healthCheck"]["heartbeat"]["ttl"], 5);
        assert!(back.get("version").is_none() && back.get("vpc_id").is_none() && back["logic_set"] == "s");
    }
}
