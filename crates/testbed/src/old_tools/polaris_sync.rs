//! polaris-sync into a Nacos: one connection of the vendor's client publishes a whole service in one batch. When anything of a
//! service changes it takes all of it away, and writes it again two seconds later.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::backdoor::Backdoor;
use crate::record::{Instance, ServiceName};

/// The connection's name.
const CLIENT: &str = "polaris-sync";
/// Between taking a service away and writing it again.
const AWAY: Duration = Duration::from_millis(2_100);
/// The key by which it knows its copies.
pub const SYNC: &str = "__sync__";

/// The running tool. Dropping it kills it.
pub struct PolarisSync {
    client: Backdoor,
    source: String,
}

impl PolarisSync {
    /// Starts it. `source`: what its document calls the cluster that it copies from.
    pub async fn start(server: &str, namespace: &str, source: &str) -> Result<Self> {
        let client = Backdoor::start().await?;
        client.connect(CLIENT, server, namespace).await?;
        Ok(Self { client, source: source.to_owned() })
    }

    fn copies(&self, natives: &[Instance]) -> Vec<Instance> {
        natives.iter().map(|native| native.clone().with(SYNC, &self.source)).collect()
    }

    /// Copies a service for the first time.
    pub async fn copy(&self, service: &ServiceName, natives: &[Instance]) -> Result<()> {
        self.client.batch_register(CLIENT, service, &self.copies(natives)).await
    }

    /// Takes in a change of it.
    pub async fn change(&self, service: &ServiceName, before: &[Instance], after: &[Instance]) -> Result<()> {
        self.client.batch_deregister(CLIENT, service, &self.copies(before)).await?;
        sleep(AWAY).await;
        self.copy(service, after).await
    }

    /// kill -9: the server drops what its connection published.
    pub fn kill9(&self) -> Result<()> {
        self.client.kill9()
    }
}
