//! A real Spring Cloud application (`testbed/java/spring`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::java::{Java, Program};
use crate::ports::Ports;

/// A start takes 4-9 s on two idle cores; this is for busy ones.
const START: Duration = Duration::from_secs(180);
const STOP: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(30);

/// An application in a process of its own that registers itself, and whose discovery client can be asked. Dropping it
/// kills the process.
pub struct SpringApp {
    java: Java,
    ports: Ports,
    http: reqwest::Client,
}

/// What the application answered.
#[derive(Debug, Clone, PartialEq)]
pub struct SpringAnswer {
    /// 500 with Spring's error document as body when its discovery client failed.
    pub status: u16,
    pub body: Value,
}

impl SpringApp {
    /// Starts the application `name` at the ZooKeeper `zoo` (`127.0.0.1:port`); it is registered when this returns, as
    /// 127.0.0.1 and a free port. `settings` are Spring's, such as
    /// `("spring.cloud.zookeeper.discovery.metadata.zone", "z1")` or
    /// `("spring.cloud.zookeeper.discovery.register", "false")`.
    pub async fn at_zookeeper(name: &str, zoo: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let registry = [("spring.cloud.zookeeper.enabled", "true"), ("spring.cloud.zookeeper.connect-string", zoo)];
        Self::start(name, &registry, settings).await
    }

    /// The same at the Eureka `url` (`http://127.0.0.1:port/eureka/`); it registers within some seconds.
    pub async fn at_eureka(name: &str, url: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let registry = [("eureka.client.enabled", "true"), ("eureka.client.service-url.defaultZone", url)];
        Self::start(name, &registry, settings).await
    }

    async fn start(name: &str, registry: &[(&str, &str)], settings: &[(&str, &str)]) -> Result<Self> {
        let given = settings.iter().find(|(key, _)| *key == "server.port");
        let ports = match given {
            Some((_, port)) => Ports::fixed(port.parse()?)?,
            None => Ports::pick()?,
        };
        let mut program = Program::new("java/spring", "causeway.testbed.SpringApp", START)?;
        program.arguments = vec![format!("--spring.application.name={name}"), format!("--server.port={}", ports.main)];
        program.arguments.extend(registry.iter().chain(settings).map(|(key, value)| format!("--{key}={value}")));
        let java = Java::start(program, |_| {}).await?;
        let http = reqwest::Client::builder().timeout(ANSWER).build()?;
        Ok(Self { java, ports, http })
    }

    pub fn port(&self) -> u16 {
        self.ports.main
    }

    /// `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.java.pid()
    }

    /// The names that its discovery client sees.
    pub async fn services(&self) -> Result<SpringAnswer> {
        self.get("services").await
    }

    /// The instances that its discovery client sees: a list of objects with `instanceId`, `serviceId`, `host`, `port`,
    /// `secure`, `scheme`, `uri` and `metadata`.
    pub async fn instances(&self, name: &str) -> Result<SpringAnswer> {
        self.get(&format!("instances/{name}")).await
    }

    /// Has it call an instance of another [`SpringApp`] over its load balancer, without a cache: the port of who answered.
    pub async fn call(&self, name: &str) -> Result<u16> {
        let answer = self.get(&format!("call/{name}")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let port = answer.body.as_u64().and_then(|port| u16::try_from(port).ok());
        port.with_context(|| format!("{answer:?}"))
    }

    /// SIGTERM: it deregisters and ends.
    pub async fn stop(&self) -> Result<()> {
        self.java.stop(STOP).await
    }

    /// A crash: what it registered stays until its session expires.
    pub fn kill9(&self) -> Result<()> {
        self.java.kill9()
    }

    async fn get(&self, path: &str) -> Result<SpringAnswer> {
        let answer = self.http.get(format!("http://127.0.0.1:{}/{path}", self.port())).send().await?;
        let status = answer.status().as_u16();
        Ok(SpringAnswer { status, body: answer.json().await? })
    }
}
