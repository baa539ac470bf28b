//! The kinds under test. A new one is a file here and a line in `tests/conformance.rs`.

mod consul;
mod eureka;
mod file;
mod kong;
mod memory;
mod nacos;
mod providers;
mod zookeeper;

pub use consul::ConsulKind;
pub use eureka::EurekaKind;
pub use file::FileKind;
pub use kong::KongKind;
pub use memory::MemoryKind;
pub use nacos::{Door, NacosKind};
pub use zookeeper::{Form, Servers, ZooKeeperGround, ZooKeeperKind};

use crate::Session;
use anyhow::{Context, Result};
use causeway_connectors::{Connect, connector};
use causeway_core::{ClusterId, Port};

/// Opens the services of a cluster, as the product does.
pub fn open(kind: &str, connect: Connect) -> Result<Session> {
    let connector = connector(kind).with_context(|| format!("no connector named {kind}"))?;
    let ports = connector.open(ClusterId::of("under test"), connect)?;
    let sink = ports.services.as_ref().and_then(Port::sink);
    sink.with_context(|| format!("{kind} cannot write services"))
}
