//! What each kind of cluster can do, for the check of settings.

use causeway_connectors::CONNECTORS;
use causeway_settings::{Capability, Kinds};

/// The table of the kinds that this program has a connector for; all others are «not supported yet».
pub fn kinds() -> Kinds {
    CONNECTORS.iter().fold(Kinds::default(), |kinds, connector| {
        let kind = connector.kind();
        kinds.with(kind, capability(kind))
    })
}

/// What the connector of a kind can do. The one place that says it: a kind whose connector gets a data port gets
/// `.with_configs()` here.
fn capability(kind: &str) -> Capability {
    match kind {
        "zookeeper" => Capability::ZOOKEEPER,
        _ => Capability::SERVICES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connector_has_a_capability() {
        let kinds = kinds();
        assert_eq!(kinds.0.len(), CONNECTORS.len());
        assert_eq!(kinds.0["nacos"], Capability::SERVICES);
        let zookeeper = capability("zookeeper");
        assert!(zookeeper.services_sink && zookeeper.configs_sink && zookeeper.addresses && !zookeeper.namespaces);
    }
}
