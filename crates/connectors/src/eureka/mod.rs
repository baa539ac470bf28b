//! Eureka: services over HTTP, all of a registry in one part.
//!
//! Changes are asked for once a second. Copies live by leases, which are renewed; nothing of them outlives this process for
//! longer than its lease.

mod client;
mod convert;
#[cfg(test)]
mod fake;
mod kept;
mod publications;
mod services;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod view;
mod watch;
mod words;

pub use settings::{Called, Settings};

use crate::{Connect, Connector};
use causeway_core::{ClusterId, Error, Port, Ports};
use services::EurekaServices;
use std::sync::Arc;

/// Opens Eurekas.
pub struct EurekaConnector;

impl Connector for EurekaConnector {
    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        let settings = Settings::of(connect.block.as_ref());
        let services = EurekaServices::new(&connect, settings)?;
        Ok(Ports { services: Some(Port::read_write(Arc::new(services))), data: None })
    }
}
