//! Consul: services of one data centre, read from the catalog with their health, and written there or to an agent.
//!
//! A data centre is a cluster by itself: it has a catalog, an index and rights of its own, and copies travel from one to another.

mod agent;
mod catalog;
mod client;
mod convert;
#[cfg(test)]
mod fake;
mod pack;
mod reading;
mod services;
mod settings;
mod watch;

pub use settings::{AddressOf, ConsulOptions, Destination};

use crate::{Connect, Connector};
use causeway_core::{ClusterId, Error, Port, Ports};
use client::Client;
use reading::Reading;
use services::ConsulServices;
use std::sync::Arc;

/// Opens data centres.
pub struct ConsulConnector;

impl Connector for ConsulConnector {
    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        let options = ConsulOptions::from_block(connect.block.as_ref());
        if connect.login.is_some() || connect.keys.is_some() {
            return Err(Error::Rejected(
                "Consul knows neither users nor access keys: give the cluster a `token`".into(),
            ));
        }
        if options.destination == Destination::Agent && connect.addresses.len() != 1 {
            return Err(Error::Rejected("`destination: agent` takes the address of that agent alone".into()));
        }
        if options.destination == Destination::Agent && options.datacenter.is_some() {
            return Err(Error::Rejected(
                "`destination: agent` writes into the agent's own data centre only: leave `datacenter` out".into(),
            ));
        }
        let client = Client::new(&connect, &options).map_err(Error::Rejected)?;
        let reading = Arc::new(Reading::new(client, options.clone()));
        let services = ConsulServices::new(reading, &options, connect.install.clone());
        Ok(Ports { services: Some(Port::read_write(Arc::new(services))), data: None })
    }
}
