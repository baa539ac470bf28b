//! The kinds of data under test. A new one is a file here and a line in `tests/conformance.rs`.

mod memory;
mod nacos;
mod zookeeper;

pub use memory::MemoryDataKind;
pub use nacos::NacosDataKind;
pub use zookeeper::ZooKeeperDataKind;

use super::Data;
use anyhow::{Context, Result};
use causeway_connectors::{Connect, connector};
use causeway_core::{ClusterId, DataPort};

/// Opens the data of a cluster, as the product does.
fn open(kind: &str, connect: Connect) -> Result<Data> {
    let connector = connector(kind).with_context(|| format!("no connector named {kind}"))?;
    let ports = connector.open(ClusterId::of("under test"), connect)?;
    let sink = ports.data.as_ref().and_then(DataPort::sink);
    sink.with_context(|| format!("{kind} cannot write data"))
}

/// The port of `host:port`.
fn port(addr: &str) -> Result<u16> {
    Ok(addr.rsplit_once(':').context("an address without a port")?.1.parse()?)
}
