//! Nacos 2.x and 3.x: publications and pushes over gRPC, lists over HTTP. Nacos 1.x: everything over HTTP.
//!
//! The version is asked at run time. While it is unknown (no server has answered yet) nothing is written and the cluster
//! counts as lost. When another version answers, after an outage or in a cluster that is upgraded server by server, the
//! watch is restarted in the way that fits, and what we publish is published again in that way.

mod beat_keys;
mod beats;
pub mod client;
mod convert;
mod data;
mod poll;
mod protocol;
mod publications;
mod reading;
mod replicas;
mod services;
mod shape;
mod trigger;
mod v1_records;
mod versioned_watch;
mod watch;

use crate::{Connect, Connector};
use causeway_core::{ClusterId, DataPort, Error, Port, Ports};
use causeway_settings::{Kind, KindFacts};
use client::{AccessKeys, Address, Login, NacosClient, Options};
use data::NacosData;
use services::NacosServices;
use std::sync::Arc;

/// For tests only: another bound of what one connection publishes, in bytes.
const CONNECTION_BYTES: &str = "CAUSEWAY_INTERNAL_NACOS_CONNECTION_BYTES";

/// Opens Nacos clusters.
pub struct NacosConnector;

impl Kind for NacosConnector {
    fn name(&self) -> &'static str {
        "nacos"
    }

    fn facts(&self) -> KindFacts {
        KindFacts { default_namespace_word: "empty_ns", ..KindFacts::SERVICES }
    }

    fn notes(&self) -> &'static str {
        include_str!("notes.md")
    }
}

impl Connector for NacosConnector {
    fn open(&self, id: ClusterId, connect: Connect) -> Result<Ports, Error> {
        let options = options(&connect)?;
        let client = NacosClient::new(options).map_err(convert::error)?;
        let Connect { namespaces, inherited, keeper, .. } = connect;
        let data = NacosData::new(client.clone(), namespaces.clone());
        let services = NacosServices::new(client, id.to_string(), namespaces, inherited, keeper);
        let services = services.map_err(convert::error)?;
        Ok(Ports {
            services: Some(Port::read_write(Arc::new(services))),
            data: Some(DataPort::read_write(Arc::new(data))),
        })
    }
}

fn options(connect: &Connect) -> Result<Options, Error> {
    let rejected = |error: client::Error| Error::Rejected(error.to_string());
    let addresses: Result<Vec<_>, _> = connect.addresses.iter().map(|text| text.parse::<Address>()).collect();
    let mut options = Options::new(addresses.map_err(rejected)?);
    if let Some(path) = &connect.context_path {
        options.context_path.clone_from(path);
    }
    if let Some(bytes) = std::env::var(CONNECTION_BYTES).ok().and_then(|text| text.parse().ok()) {
        options.connection_bytes = bytes;
    }
    options.login = connect.login.clone().map(|(user, password)| Login { user, password });
    options.keys = connect.keys.clone().map(|(access, secret)| AccessKeys { access, secret });
    options.tls.clone_from(&connect.tls);
    Ok(options)
}
