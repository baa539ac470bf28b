//! Kong: services go to it as upstreams with their targets, one upstream for each group of instances, through the Admin API, or
//! as one declarative configuration where Kong has no database.
//!
//! Only what carries our tags is changed. A destination only: what stands in Kong is not where it was registered.

mod api;
mod apply;
mod client;
mod convert;
mod declarative;
mod document;
mod entities;
#[cfg(test)]
mod fake;
mod gateway;
mod names;
mod services;
mod settings;
#[cfg(test)]
mod tests;
mod upkeep;
mod view;
mod watch;
mod weights;

pub use settings::{KongMode, KongOptions, RouteTemplate};

use crate::{Connect, Connector};
use causeway_core::{ClusterId, Error, Port, Ports};
use client::Client;
use gateway::Gateway;
use services::KongServices;
use std::sync::Arc;

/// Opens gateways.
pub struct KongConnector;

impl Connector for KongConnector {
    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        let options = KongOptions::from_block(connect.block.as_ref());
        if connect.login.is_some() || connect.keys.is_some() {
            return Err(Error::Rejected("Kong's Admin API knows neither users nor access keys: write `token`".into()));
        }
        let client = Client::new(&connect, &options).map_err(Error::Rejected)?;
        let gateway = Gateway::new(client, options, connect.install.clone(), connect.looks);
        let services = KongServices::new(Arc::new(gateway));
        Ok(Ports { services: Some(Port::read_write(Arc::new(services))), data: None })
    }
}
