//! One folder a kind of cluster. Each knows core and the settings file, and nothing of the engine or of another kind. What two kinds
//! share stands in [`bridge`].

pub mod bridge;
mod connect;
pub mod consul;
pub mod eureka;
pub mod file;
pub mod kong;
pub mod memory;
pub mod nacos;
mod util;
mod vault_turns;
pub mod zookeeper;

pub use connect::{Connect, Connector, InlineMarks, SocketKeeper, TlsFiles, TlsTexts, Vault};
pub use util::backoff::Backoff;
pub use util::{keep_running, tls};
pub use vault_turns::{Turn, Turns};

use causeway_settings::{Kind, Kinds};

/// Every kind there is.
#[rustfmt::skip]
pub const CONNECTORS: &[&dyn Connector] = &[
    &consul::ConsulConnector,
    &eureka::EurekaConnector,
    &file::FileConnector,
    &kong::KongConnector,
    &memory::MemoryConnector,
    &nacos::NacosConnector,
    &zookeeper::ZooKeeperConnector,
];

/// Words for kinds that are not supported yet.
const PLANNED: &[&str] = &["polaris", "kubernetes", "k8s", "etcd", "apollo", "apisix", "traefik", "envoy", "nginx"];

/// The table of all kinds, for the settings file.
pub fn kinds() -> Kinds {
    Kinds::new(CONNECTORS.iter().map(|connector| *connector as &dyn Kind), PLANNED)
}

/// The connector of a kind.
pub fn connector(kind: &str) -> Option<&'static dyn Connector> {
    CONNECTORS.iter().find(|connector| connector.name() == kind).copied()
}
