//! One folder a kind of cluster. Each knows core, and nothing of the engine or of another kind.

mod backoff;
mod connect;
mod keep_running;
pub mod memory;
pub mod nacos;
mod tls;
mod turn;
pub mod zookeeper;

pub use connect::{Connect, InlineMarks, TlsFiles, TlsTexts, Vault};
pub use keep_running::keep_running;
pub use turn::{Turn, Turns};

use causeway_core::Connector;

/// Every kind there is.
pub const CONNECTORS: &[&dyn Connector<Connect>] =
    &[&memory::MemoryConnector, &nacos::NacosConnector, &zookeeper::ZooKeeperConnector];
