//! What Consul says in JSON, as far as it is used.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// `null` is nothing, as in Go.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A node, as an instance stands with it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    pub node: String,
    pub address: String,
}

/// An instance of a service, without its node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    pub service: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
    pub address: String,
    /// Consul takes any number for it.
    pub port: i64,
    #[serde(deserialize_with = "or_default")]
    pub meta: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub tagged_addresses: BTreeMap<String, TaggedAddress>,
    #[serde(deserialize_with = "or_default")]
    pub weights: Weights,
    pub enable_tag_override: bool,
    /// Where it comes from another cluster that is peered with this one.
    #[serde(skip_serializing)]
    pub peer_name: String,
    /// When it was last changed; in a write that compares: what it is compared with, 0: it must not be there.
    pub modify_index: u64,
}

/// Another address of an instance, for who comes from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaggedAddress {
    pub address: String,
    pub port: i64,
}

/// How much of the traffic an instance takes in either state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Weights {
    pub passing: i64,
    pub warning: i64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// A check of a node, or of an instance on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Check {
    pub node: String,
    #[serde(rename = "CheckID")]
    pub id: String,
    pub name: String,
    pub status: String,
    /// Empty: it is the node's.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    pub service_name: String,
    /// Where it comes from another cluster that is peered with this one.
    #[serde(skip_serializing)]
    pub peer_name: String,
}

/// One instance with its node and the checks of both.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Entry {
    pub node: Node,
    pub service: Service,
    #[serde(deserialize_with = "or_default")]
    pub checks: Vec<Check>,
}

/// A node with all that stands on it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Dumped {
    #[serde(flatten)]
    pub node: Node,
    pub peer_name: String,
    #[serde(deserialize_with = "or_default")]
    pub services: Vec<Service>,
    #[serde(deserialize_with = "or_default")]
    pub checks: Vec<Check>,
}

/// An instance as an agent is told of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentService<'a> {
    #[serde(rename = "ID")]
    pub id: &'a str,
    pub name: &'a str,
    pub tags: &'a [String],
    pub address: &'a str,
    pub port: i64,
    pub meta: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tagged_addresses: &'a BTreeMap<String, TaggedAddress>,
    pub weights: Weights,
    pub enable_tag_override: bool,
    pub checks: Vec<AgentCheck>,
}

/// A check that waits for a sign of life.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentCheck {
    #[serde(rename = "CheckID")]
    pub id: String,
    pub name: &'static str,
    #[serde(rename = "TTL")]
    pub ttl: String,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deregister_critical_service_after: Option<String>,
}
