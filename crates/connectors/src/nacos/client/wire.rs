//! The JSON bodies of Nacos' naming interfaces, gRPC and HTTP alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_core::{Metadata, ServiceKey, intern};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::lenient;

/// Nacos' default group.
pub const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
/// The default namespace's id in every naming call. Lists of 1.x and 2.x call it "".
pub const PUBLIC: &str = "public";
/// The cluster name of an instance that names none.
pub const DEFAULT_CLUSTER: &str = "DEFAULT";

/// A service as a list names it: without a group it is in `DEFAULT_GROUP`.
pub(in crate::nacos) fn listed(namespace: &Arc<str>, group: &str, name: &str) -> ServiceKey {
    let group = if group.is_empty() { DEFAULT_GROUP } else { group };
    ServiceKey { namespace: namespace.clone(), group: intern(group), name: intern(name) }
}

/// `group@@service`, as the HTTP interfaces of 1.x and 2.x and all signatures want it.
pub(super) fn grouped(key: &ServiceKey) -> String {
    format!("{}@@{}", key.group, key.name)
}

/// One instance as the server writes and reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireInstance {
    /// IPv4, IPv6 or host name.
    pub ip: String,
    /// 0–65535.
    #[serde(deserialize_with = "lenient::port")]
    pub port: u16,
    /// 0–10,000, fractions allowed.
    #[serde(default = "one", deserialize_with = "lenient::float")]
    pub weight: f64,
    /// Health as the publisher or the server's probe says.
    #[serde(default = "yes", deserialize_with = "lenient::flag")]
    pub healthy: bool,
    /// False: taken offline; hidden from subscribers.
    #[serde(default = "yes", deserialize_with = "lenient::flag")]
    pub enabled: bool,
    /// False: persistent, kept by the server until deregistered.
    #[serde(default = "yes", deserialize_with = "lenient::flag")]
    pub ephemeral: bool,
    /// Nacos' cluster within the service; `DEFAULT` when empty.
    #[serde(default, deserialize_with = "lenient::text")]
    pub cluster_name: String,
    /// `group@@service` in answers; may be empty in requests.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    /// Keys and values.
    #[serde(default, deserialize_with = "lenient::texts")]
    pub metadata: Metadata,
    /// When somebody last registered or beat it, milliseconds of the server's clock. Only 1.x tells, and only in the
    /// list that shows disabled instances.
    #[serde(default, deserialize_with = "lenient::some", skip_serializing)]
    pub last_beat: Option<i64>,
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

impl WireInstance {
    /// A healthy, enabled, ephemeral instance of weight 1 in cluster `DEFAULT`.
    pub fn new(ip: &str, port: u16) -> Self {
        WireInstance {
            ip: ip.to_owned(),
            port,
            weight: 1.0,
            healthy: true,
            enabled: true,
            ephemeral: true,
            cluster_name: DEFAULT_CLUSTER.to_owned(),
            service_name: String::new(),
            metadata: Metadata::new(),
            last_beat: None,
        }
    }
}

/// What a subscriber is shown: enabled instances only, health subject to the protect threshold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ServiceInfo {
    /// The instances.
    #[serde(deserialize_with = "lenient::list")]
    pub hosts: Vec<WireInstance>,
}

/// What belongs to a service itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAttributes {
    /// Keys and values.
    #[serde(deserialize_with = "lenient::texts")]
    pub metadata: BTreeMap<String, String>,
    /// 0–1: below this share of healthy instances, all are shown as healthy.
    #[serde(deserialize_with = "threshold")]
    pub protect_threshold: f64,
    /// Label selector as the server wrote it; none when it is the empty one.
    #[serde(deserialize_with = "selector")]
    pub selector: Option<Value>,
    /// Whether the service is of ephemeral instances; only 3.x tells. When a service is
    /// created, none means ephemeral.
    pub ephemeral: Option<bool>,
}

/// The server keeps thresholds as 32-bit floats: 0.7 comes back as 0.699999988….
fn threshold<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let threshold = lenient::float(input)?;
    #[expect(clippy::cast_possible_truncation, reason = "the server's own precision")]
    let short = threshold as f32;
    Ok(short.to_string().parse().unwrap_or(threshold))
}

/// A selector that selects nothing special reads as none.
fn selector<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    let selects = |kind: &str| !kind.is_empty() && kind != "none";
    let found = Option::<Value>::deserialize(input)?;
    Ok(found.filter(|found| found.get("type").and_then(Value::as_str).is_some_and(selects)))
}

/// One line of the catalogue.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSummary {
    /// Service name without group.
    pub name: String,
    /// Group name.
    #[serde(default, deserialize_with = "lenient::text")]
    pub group_name: String,
    /// Number of clusters.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub cluster_count: i64,
    /// Number of instances.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub ip_count: i64,
    /// Number of healthy ones.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub healthy_instance_count: i64,
}

/// A namespace. `id` is `public` for the default one on every version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// Id, as naming calls take it.
    #[serde(default, rename = "namespace", deserialize_with = "lenient::text")]
    pub id: String,
    /// Display name.
    #[serde(default, rename = "namespaceShowName", deserialize_with = "lenient::text")]
    pub name: String,
    /// Description, often empty.
    #[serde(default, rename = "namespaceDesc", deserialize_with = "lenient::text")]
    pub description: String,
}

/// Everything about one service, disabled instances included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceTruth {
    /// What belongs to the service itself.
    pub attributes: ServiceAttributes,
    /// All instances of all clusters, with raw health.
    pub instances: Vec<WireInstance>,
}

/// Who publishes an address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherRef {
    /// A gRPC connection id, or `ip:port#ephemeral` for HTTP registrations and persistent ones.
    pub client_id: String,
    /// The instance's address.
    pub ip: String,
    /// The instance's port.
    #[serde(deserialize_with = "lenient::port")]
    pub port: u16,
    /// The instance's cluster name.
    #[serde(default, alias = "cluster", rename = "clusterName", deserialize_with = "lenient::text")]
    pub cluster: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_numbers_of_any_form() {
        let odd = json!({
            "ip": "127.0.0.1", "port": "8080", "weight": "0.5", "healthy": "true",
            "enabled": false, "ephemeral": 1, "clusterName": null, "unknown": [1],
            "metadata": {"a": "1", "b": null, "c": 3}
        });
        let read: WireInstance = serde_json::from_value(odd).unwrap();
        assert_eq!((read.port, read.weight), (8080, 0.5));
        assert!(read.healthy && !read.enabled && read.ephemeral);
        assert_eq!(&read.metadata["b"], "");
        assert_eq!(&read.metadata["c"], "3");
        let whole: WireInstance = serde_json::from_value(json!({"ip": "h", "port": 1.0, "weight": 2})).unwrap();
        assert_eq!((whole.port, whole.weight), (1, 2.0));
        assert!(
            serde_json::from_value::<WireInstance>(json!({"ip": "h", "port": 70000})).is_err(),
            "a port out of range is an error, not another port"
        );
    }

    #[test]
    fn thresholds_come_back_as_they_were_written() {
        for (told, written) in [(f64::from(0.7_f32), 0.7), (0.5, 0.5), (0.0, 0.0)] {
            let read: ServiceAttributes = serde_json::from_value(json!({"protectThreshold": told})).unwrap();
            assert_eq!(read, ServiceAttributes { protect_threshold: written, ..ServiceAttributes::default() });
        }
    }

    #[test]
    fn writes_the_servers_field_names() {
        let mut instance = WireInstance::new("::1", 80);
        instance.metadata.insert("k", "ü");
        assert_eq!(
            serde_json::to_value(&instance).unwrap(),
            json!({"ip": "::1", "port": 80, "weight": 1.0, "healthy": true, "enabled": true,
                   "ephemeral": true, "clusterName": "DEFAULT", "metadata": {"k": "ü"}})
        );
    }
}
