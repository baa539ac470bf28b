//! What tests register and read back, the same for every way in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a service is. `namespace` is an id; the default one is `public` in every version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    pub namespace: String,
    pub group: String,
    pub name: String,
}

impl ServiceName {
    pub fn new(namespace: &str, group: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), group: group.into(), name: name.into() }
    }

    /// A service of namespace `public` and group `DEFAULT_GROUP`.
    pub fn public(name: &str) -> Self {
        Self::new("public", "DEFAULT_GROUP", name)
    }
}

/// One instance as a provider says it and a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub ip: String,
    pub port: u16,
    pub weight: f64,
    pub healthy: bool,
    pub enabled: bool,
    pub ephemeral: bool,
    #[serde(alias = "clusterName")]
    pub cluster: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl Instance {
    /// Weight 1, healthy, enabled, ephemeral, cluster `DEFAULT`, no metadata. Use only 127.x addresses: a server opens
    /// connections to persistent instances.
    pub fn new(ip: &str, port: u16) -> Self {
        Self {
            ip: ip.into(),
            port,
            weight: 1.0,
            healthy: true,
            enabled: true,
            ephemeral: true,
            cluster: "DEFAULT".into(),
            metadata: BTreeMap::new(),
        }
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// `ip:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }
}
