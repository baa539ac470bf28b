//! One folder a kind of cluster. Each knows core, and nothing of the engine or of another kind. What two kinds
//! share stands in [`bridge`].

pub mod bridge;
mod connect;
pub mod file;
pub mod memory;
pub mod nacos;
mod turn;
mod util;
pub mod zookeeper;

pub use connect::{Connect, InlineMarks, TlsFiles, TlsTexts, Vault};
pub use turn::{Turn, Turns};
pub use util::keep_running;

use causeway_core::Connector;

/// Every kind there is.
pub const CONNECTORS: &[&dyn Connector<Connect>] =
    &[&file::FileConnector, &memory::MemoryConnector, &nacos::NacosConnector, &zookeeper::ZooKeeperConnector];
