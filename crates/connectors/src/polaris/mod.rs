//! Polaris: services of its namespaces, followed by discovery over gRPC (HTTP where that is not to be had), and written as static
//! instances.

mod beats;
mod client;
mod convert;
#[cfg(test)]
mod fake;
mod names;
mod pack;
mod reading;
mod recent;
mod services;
mod settings;
mod watch;
mod writer;

pub use settings::{HealthChecks, PolarisOptions};

use crate::{Connect, Connector};
use causeway_core::{ClusterId, Error, Port, Ports};
use client::Client;
use reading::Reading;
use services::PolarisServices;
use std::sync::Arc;

/// Opens clusters of Polaris.
pub struct PolarisConnector;

impl Connector for PolarisConnector {
    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        if connect.login.is_some() || connect.keys.is_some() {
            return Err(Error::Rejected(
                "Polaris' API knows neither passwords nor access keys: give the cluster a `token`, which the console shows for \
                 each user"
                    .into(),
            ));
        }
        let options = PolarisOptions::from_block(connect.block.as_ref());
        let client = Arc::new(Client::new(&connect).map_err(Error::Rejected)?);
        let reading = Arc::new(Reading::new(client, options, connect.namespaces.clone()));
        let services = PolarisServices::new(reading, connect.install.clone());
        Ok(Ports { services: Some(Port::read_write(Arc::new(services))), data: None })
    }
}
