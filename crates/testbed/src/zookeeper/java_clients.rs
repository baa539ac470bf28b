//! Real ZooKeeper clients: the vendor's and Curator's, in a process of their own (`testbed/java/zookeeper`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::client::ZkClient;
use super::watch::Log;
use super::{RECIPE, ZooKeeper};
use crate::java::{Java, Program};

/// A connection is given up after 10 s, a call with the session.
const ANSWER: Duration = Duration::from_secs(60);
/// A hundred thousand nodes take some seconds.
const LONG: Duration = Duration::from_secs(300);

type Logs = Mutex<HashMap<(String, String), Arc<Log>>>;

/// A Java process with any number of named clients, each with a session of its own, at any number of servers.
/// Dropping it kills the process: its sessions expire when their time is over.
pub struct ZkDoor {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    java: Java,
    logs: Arc<Logs>,
}

/// How a client connects.
#[derive(Debug, Clone)]
pub struct ZkConnect {
    /// `ip:port`, several with commas, and a chroot after them (`/a/b`).
    pub address: String,
    /// What the client asks for; the server's limits hold.
    pub session_ms: u32,
    /// `user:password`.
    pub digest: Option<String>,
    /// More properties of the Java client (of `ZKClientConfig`).
    pub properties: Vec<(String, String)>,
}

impl ZkConnect {
    pub fn to(address: &str) -> Self {
        Self { address: address.into(), session_ms: 6_000, digest: None, properties: Vec::new() }
    }

    /// Over TLS, trusting the authority in the PEM file `ca`.
    pub fn tls(address: &str, ca: &Path) -> Self {
        let ca = ca.display().to_string();
        let properties = [
            ("zookeeper.client.secure", "true"),
            ("zookeeper.clientCnxnSocket", "org.apache.zookeeper.ClientCnxnSocketNetty"),
            ("zookeeper.ssl.trustStore.location", &ca),
            ("zookeeper.ssl.trustStore.type", "PEM"),
        ];
        let properties = properties.map(|(key, value)| (key.to_string(), value.to_string())).into();
        Self { properties, ..Self::to(address) }
    }

    pub fn session_ms(self, session_ms: u32) -> Self {
        Self { session_ms, ..self }
    }

    pub fn digest(self, digest: &str) -> Self {
        Self { digest: Some(digest.into()), ..self }
    }
}

impl ZkDoor {
    /// Starts the process (under a second, once its jars are there); no client yet.
    pub async fn start() -> Result<Self> {
        let mut program = Program::new(RECIPE, "causeway.testbed.ZkDoor", ANSWER)?;
        // Whole trees are answered in one line.
        program.java = vec!["-Xmx512m".into()];
        let logs = Arc::new(Logs::default());
        let heard = logs.clone();
        let java = Java::start(program, move |said| hear(&heard, &said)).await?;
        Ok(Self { shared: Arc::new(Shared { java, logs }) })
    }

    /// `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.shared.java.pid()
    }

    /// All its clients crash at once.
    pub fn kill9(&self) -> Result<()> {
        self.shared.java.kill9()
    }

    /// A new client by the name `client`; its session stands when this returns.
    pub async fn connect(&self, client: &str, how: &ZkConnect) -> Result<ZkClient> {
        let made = ZkClient::new(client, self.shared.clone());
        let properties: Map<_, _> = how.properties.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        let command = json!({
            "address": how.address, "timeoutMillis": how.session_ms, "digest": how.digest, "properties": properties,
        });
        self.shared.ask("connect", client, command).await?;
        Ok(made)
    }

    /// Ends a session whose id and password are known: a client takes it over and closes it.
    pub async fn expire_session(&self, address: &str, id: i64, password: &str) -> Result<()> {
        let command = json!({"address": address, "session": id, "password": password});
        self.shared.ask("expireSession", "", command).await?;
        Ok(())
    }

    /// Ends anybody's session whose client is connected to this very server, as an operator can (over JMX): its
    /// ephemeral nodes go at once, and the client hears on its next connection that it expired.
    pub async fn terminate_session(&self, server: &ZooKeeper, id: i64) -> Result<()> {
        let pid = server.pid().context("the server does not run")?;
        self.shared.ask("terminateSession", "", json!({"pid": pid, "session": id})).await?;
        Ok(())
    }
}

impl Shared {
    pub async fn ask(&self, verb: &str, client: &str, command: Value) -> Result<Value> {
        let limit = if matches!(verb, "walk" | "bulk" | "deleteAll" | "cache") { LONG } else { ANSWER };
        let command = match command {
            Value::Object(command) => command,
            _ => Map::new(),
        };
        self.java.ask(verb, client, command, limit).await
    }

    /// What the client is told under this name from now on.
    pub fn log(&self, client: &str, name: &str) -> Arc<Log> {
        let log = Arc::new(Log::default());
        self.logs.lock().insert((client.to_string(), name.to_string()), log.clone());
        log
    }
}

fn hear(logs: &Logs, said: &Value) {
    let text = |key: &str| said[key].as_str().unwrap_or_default().to_string();
    let log = logs.lock().get(&(text("client"), text("log"))).cloned();
    if let Some(log) = log {
        log.add(said);
    }
}
