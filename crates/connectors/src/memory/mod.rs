//! The reference connector: a registry in this process's memory, with the manners of a real one.
//!
//! It keeps one record a publisher: a native record and our copy can stand at one address, and identical
//! records of two publishers are one entry. Beside it stands a tree of config entries, in which a parent with children stays. Both can be
//! told to fail in the ways real servers do.

mod data;
mod names;
mod ports;
mod registry;
mod state;
mod watch;

pub use data::{Backup, CallCounts, MemoryData};
pub use names::Names;
pub use ports::MemoryPorts;
pub use registry::{Fault, Memory, Publisher};

use crate::{Connect, Connector};
use causeway_core::{ClusterId, DataPort, Error, Port, Ports};
use causeway_settings::{Kind, KindFacts};
use std::sync::Arc;

/// Opens the registry of this process that is called by the address: for the demo and for tests.
pub struct MemoryConnector;

impl Kind for MemoryConnector {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn facts(&self) -> KindFacts {
        KindFacts::SERVICES
    }
}

impl Connector for MemoryConnector {
    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        let [name] = connect.addresses.as_slice() else {
            return Err(Error::Rejected("connectKeyList takes one name of a registry in memory".into()));
        };
        let ports = MemoryPorts::open(&Memory::named(name));
        let data = Arc::new(MemoryData::named(name));
        Ok(Ports { services: Some(Port::read_write(Arc::new(ports))), data: Some(DataPort::read_write(data)) })
    }
}
