//! What each kind of cluster can do, for the check of settings.

use causeway_connectors::CONNECTORS;
use causeway_settings::{Capability, Kinds};

/// The table of the kinds that this program has a connector for; all others are «not supported yet».
pub fn kinds() -> Kinds {
    CONNECTORS.iter().fold(Kinds::default(), |kinds, connector| kinds.with(connector.kind(), Capability::SERVICES))
}
