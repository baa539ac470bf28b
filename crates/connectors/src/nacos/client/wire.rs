//! The JSON bodies of Nacos' naming interfaces, gRPC and HTTP alike.

use std::collections::BTreeMap;
use std::fmt;

use causeway_core::Metadata;
use serde::{Deserialize, Serialize};

use super::number;

/// Nacos' default group.
pub const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
/// The default namespace's id in every naming call. Lists of 1.x and 2.x call it "".
pub const PUBLIC: &str = "public";
/// The cluster name of an instance that names none.
pub const DEFAULT_CLUSTER: &str = "DEFAULT";

/// Names one service of a Nacos cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Namespace id; `public` for the default one.
    pub namespace: String,
    /// Group name.
    pub group: String,
    /// Service name without group.
    pub service: String,
}

impl ServiceKey {
    /// A key; an empty namespace becomes `public`, an empty group `DEFAULT_GROUP`.
    pub fn new(namespace: &str, group: &str, service: &str) -> Self {
        let or = |given: &str, default: &str| if given.is_empty() { default } else { given }.to_owned();
        ServiceKey { namespace: or(namespace, PUBLIC), group: or(group, DEFAULT_GROUP), service: service.to_owned() }
    }

    /// `group@@service`, as the HTTP interfaces of 1.x and 2.x want it.
    pub fn grouped(&self) -> String {
        format!("{}@@{}", self.group, self.service)
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.group, self.service)
    }
}

/// One instance as the server writes and reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireInstance {
    /// IPv4, IPv6 or host name.
    pub ip: String,
    /// 0–65535.
    #[serde(deserialize_with = "number::port")]
    pub port: u16,
    /// 0–10,000, fractions allowed.
    #[serde(default = "one", deserialize_with = "number::float")]
    pub weight: f64,
    /// Health as the publisher or the server's probe says.
    #[serde(default = "yes", deserialize_with = "number::flag")]
    pub healthy: bool,
    /// False: taken offline; hidden from subscribers.
    #[serde(default = "yes", deserialize_with = "number::flag")]
    pub enabled: bool,
    /// False: persistent, kept by the server until deregistered.
    #[serde(default = "yes", deserialize_with = "number::flag")]
    pub ephemeral: bool,
    /// Nacos' cluster within the service; `DEFAULT` when empty.
    #[serde(default, deserialize_with = "number::text")]
    pub cluster_name: String,
    /// `group@@service` in answers; may be empty in requests.
    #[serde(default, deserialize_with = "number::text", skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    /// Keys and values.
    #[serde(default, deserialize_with = "number::texts")]
    pub metadata: Metadata,
    /// When somebody last registered or beat it, milliseconds of the server's clock. Only 1.x tells, and only in the
    /// list that shows disabled instances.
    #[serde(default, deserialize_with = "number::some", skip_serializing)]
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
/// A trigger to look again, not the truth.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceInfo {
    /// Service name, with or without the group in front.
    #[serde(deserialize_with = "number::text")]
    pub name: String,
    /// Group name.
    #[serde(deserialize_with = "number::text")]
    pub group_name: String,
    /// The instances.
    #[serde(deserialize_with = "number::list")]
    pub hosts: Vec<WireInstance>,
    /// The server's time of this answer, milliseconds.
    #[serde(deserialize_with = "number::integer")]
    pub last_ref_time: i64,
    /// True when too few are healthy and all are shown as healthy.
    #[serde(deserialize_with = "number::flag")]
    pub reach_protection_threshold: bool,
}

impl ServiceInfo {
    /// Group and service name, whichever way the server wrote them.
    pub fn names(&self) -> (&str, &str) {
        match self.name.split_once("@@") {
            Some((group, service)) => (group, service),
            None => (&self.group_name, &self.name),
        }
    }
}

/// What belongs to a service itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceAttributes {
    /// Keys and values.
    pub metadata: BTreeMap<String, String>,
    /// 0–1: below this share of healthy instances, all are shown as healthy.
    pub protect_threshold: f64,
    /// Label selector as the server wrote it; none when it is the empty one.
    pub selector: Option<serde_json::Value>,
    /// Whether the service is of ephemeral instances; only 3.x tells. When a service is
    /// created, none means ephemeral.
    pub ephemeral: Option<bool>,
}

/// One line of the catalogue.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSummary {
    /// Service name without group.
    pub name: String,
    /// Group name.
    #[serde(default, deserialize_with = "number::text")]
    pub group_name: String,
    /// Number of clusters.
    #[serde(default, deserialize_with = "number::integer")]
    pub cluster_count: i64,
    /// Number of instances.
    #[serde(default, deserialize_with = "number::integer")]
    pub ip_count: i64,
    /// Number of healthy ones.
    #[serde(default, deserialize_with = "number::integer")]
    pub healthy_instance_count: i64,
}

/// A namespace. `id` is `public` for the default one on every version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Id, as naming calls take it.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Description, often empty.
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
    #[serde(deserialize_with = "number::port")]
    pub port: u16,
    /// The instance's cluster name.
    #[serde(default, alias = "cluster", rename = "clusterName", deserialize_with = "number::text")]
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
    fn writes_the_servers_field_names() {
        let mut instance = WireInstance::new("::1", 80);
        instance.metadata.insert("k", "ü");
        assert_eq!(
            serde_json::to_value(&instance).unwrap(),
            json!({"ip": "::1", "port": 80, "weight": 1.0, "healthy": true, "enabled": true,
                   "ephemeral": true, "clusterName": "DEFAULT", "metadata": {"k": "ü"}})
        );
    }

    #[test]
    fn takes_names_apart() {
        let mut info = ServiceInfo { name: "g@@s".into(), ..ServiceInfo::default() };
        assert_eq!(info.names(), ("g", "s"));
        info.name = "s".into();
        info.group_name = "g2".into();
        assert_eq!(info.names(), ("g2", "s"));
    }
}
