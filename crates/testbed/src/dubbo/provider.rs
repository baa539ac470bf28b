//! A provider.

use std::time::Duration;

use anyhow::Result;
use serde_json::Map;

use super::{DUBBO_HOST, STOP, program};
use crate::java::Java;
use crate::ports::Ports;

/// A registry answers within milliseconds.
const ANSWER: Duration = Duration::from_secs(10);

/// A Dubbo provider in a process of its own. Dropping it kills the process.
pub struct DubboProvider {
    java: Java,
    ports: Ports,
}

impl DubboProvider {
    /// Starts it; it listens and is registered when this returns. `registry` is such as `zookeeper://127.0.0.1:2181` or
    /// `nacos://127.0.0.1:8848?namespace=n`.
    ///
    /// Keys: `app` (else `provider`), `mode` (`all`, `interface` or `instance`), `metadata-type` (`local`, `remote`),
    /// `protocol` (`dubbo`, `tri`), `host`, `port` (else a free one), `group`, `version`, `weight`, `tag`, `token`,
    /// `beside` (a second registry). Any other becomes a parameter of its URL.
    pub async fn start(registry: &str, keys: &[(&str, &str)]) -> Result<Self> {
        let given = keys.iter().find(|(key, _)| *key == "port");
        let ports = match given {
            Some((_, port)) => Ports::fixed(port.parse()?)?,
            None => Ports::pick()?,
        };
        let mut all = vec![
            ("app", "provider"),
            ("mode", "all"),
            ("metadata-type", "local"),
            ("protocol", "dubbo"),
            ("host", DUBBO_HOST),
        ];
        all.retain(|(ours, _)| keys.iter().all(|(key, _)| key != ours));
        all.extend(keys.iter().filter(|(key, _)| *key != "port"));
        let arguments = vec![registry.to_string(), ports.main.to_string()];
        let java = Java::start(program("causeway.testbed.Provider", arguments, &all)?, |_| {}).await?;
        Ok(Self { java, ports })
    }

    pub fn port(&self) -> u16 {
        self.ports.main
    }

    /// Takes itself back from one of its registries, such as `127.0.0.1:2181`, and goes on serving. By interface alone.
    pub async fn leave(&self, registry: &str) -> Result<()> {
        self.register(registry, "leave").await
    }

    /// Registers itself again in one of its registries.
    pub async fn join(&self, registry: &str) -> Result<()> {
        self.register(registry, "join").await
    }

    async fn register(&self, registry: &str, verb: &str) -> Result<()> {
        let port: u16 =
            registry.rsplit(':').next().unwrap_or_default().split('/').next().unwrap_or_default().parse()?;
        let command = Map::from_iter([("port".to_owned(), port.into())]);
        self.java.ask(verb, "provider", command, ANSWER).await.map(drop)
    }

    /// `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.java.pid()
    }

    /// SIGTERM: it deregisters and ends.
    pub async fn stop(&self) -> Result<()> {
        self.java.stop(STOP).await
    }

    /// A crash: what it registered stays until its session expires.
    pub fn kill9(&self) -> Result<()> {
        self.java.kill9()
    }
}
