//! Real providers and subscribers: the vendor's Java client in a process of its own (`testbed/java/backdoor`).

mod subscription;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::java::{Java, Program};
use crate::record::{Instance, ServiceName};

use subscription::Log;
pub use subscription::{Seen, Subscription};

/// The Java client gives up a call after at most 3 tries of 3 s, and a connection after 10 s.
const ANSWER: Duration = Duration::from_secs(30);

type Logs = Arc<Mutex<HashMap<(String, String, String), Arc<Log>>>>;

/// A Java process with any number of named clients, each with a connection of its own. Dropping it kills the process:
/// the servers see its providers crash.
pub struct Backdoor {
    java: Java,
    logs: Logs,
}

/// How a client connects.
#[derive(Clone)]
pub struct Connect {
    /// `ip:port`, several with commas.
    pub server: String,
    pub namespace: String,
    pub user: Option<(String, String)>,
    /// More properties of the Java client.
    pub properties: Vec<(String, String)>,
}

impl Connect {
    pub fn to(server: &str, namespace: &str) -> Self {
        Self { server: server.into(), namespace: namespace.into(), user: None, properties: Vec::new() }
    }
}

impl Backdoor {
    /// Starts the process (under a second, once its jars are there); no client yet.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more arguments for `java`, such as `-Dnacos.remote.client.rpc.tls.enable=true`.
    pub async fn start_with(java: &[String]) -> Result<Self> {
        let mut program = Program::new("java/backdoor", "causeway.testbed.Backdoor", ANSWER)?;
        let home = program.home.path().display();
        program.java = vec![format!("-DJM.LOG.PATH={home}"), format!("-DJM.SNAPSHOT.PATH={home}")];
        program.java.extend_from_slice(java);
        let logs = Logs::default();
        let heard = logs.clone();
        let java = Java::start(program, move |said| hear(&heard, &said)).await?;
        Ok(Self { java, logs })
    }

    /// `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.java.pid()
    }

    /// All its providers crash at once.
    pub fn kill9(&self) -> Result<()> {
        self.java.kill9()
    }

    /// A new client by the name `client`; its connection stands when this returns.
    pub async fn connect(&self, client: &str, server: &str, namespace: &str) -> Result<()> {
        self.connect_as(client, &Connect::to(server, namespace)).await
    }

    pub async fn connect_as(&self, client: &str, how: &Connect) -> Result<()> {
        let mut more = Map::new();
        more.insert("server".into(), json!(how.server));
        more.insert("namespace".into(), json!(how.namespace));
        if let Some((user, password)) = &how.user {
            more.insert("user".into(), json!(user));
            more.insert("password".into(), json!(password));
        }
        let properties: Map<_, _> = how.properties.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        more.insert("properties".into(), Value::Object(properties));
        self.call("connect", client, more).await?;
        Ok(())
    }

    /// Ends one client well: it deregisters what it registered.
    pub async fn close(&self, client: &str) -> Result<()> {
        self.call("close", client, Map::new()).await?;
        Ok(())
    }

    /// One client holds one publication a service: a second one replaces the first. The namespace is the client's.
    pub async fn register(&self, client: &str, service: &ServiceName, instance: &Instance) -> Result<()> {
        self.on("register", client, service, json!({"instance": instance})).await?;
        Ok(())
    }

    pub async fn deregister(&self, client: &str, service: &ServiceName, instance: &Instance) -> Result<()> {
        self.on("deregister", client, service, json!({"instance": instance})).await?;
        Ok(())
    }

    /// Replaces all that the client publishes for the service.
    pub async fn batch_register(&self, client: &str, service: &ServiceName, instances: &[Instance]) -> Result<()> {
        self.on("batchRegister", client, service, json!({"instances": instances})).await?;
        Ok(())
    }

    pub async fn batch_deregister(&self, client: &str, service: &ServiceName, instances: &[Instance]) -> Result<()> {
        self.on("batchDeregister", client, service, json!({"instances": instances})).await?;
        Ok(())
    }

    /// What the server answers a client that asks (not what it was pushed).
    pub async fn get_all(&self, client: &str, service: &ServiceName) -> Result<Vec<Instance>> {
        Ok(serde_json::from_value(self.on("getAll", client, service, json!({})).await?)?)
    }

    /// Collects what the client is told about the service from now on.
    pub async fn subscribe(&self, client: &str, service: &ServiceName) -> Result<Subscription> {
        let key = (client.to_string(), service.group.clone(), service.name.clone());
        let log = Arc::new(Log::default());
        // Before the call, as the first event may come before its answer.
        self.logs.lock().insert(key, log.clone());
        self.on("subscribe", client, service, json!({})).await?;
        Ok(Subscription::new(log))
    }

    pub async fn unsubscribe(&self, client: &str, service: &ServiceName) -> Result<()> {
        self.on("unsubscribe", client, service, json!({})).await?;
        Ok(())
    }

    async fn on(&self, verb: &str, client: &str, service: &ServiceName, more: Value) -> Result<Value> {
        let mut all = Map::new();
        all.insert("group".into(), json!(service.group));
        all.insert("service".into(), json!(service.name));
        if let Value::Object(more) = more {
            all.extend(more);
        }
        self.call(verb, client, all).await
    }

    async fn call(&self, verb: &str, client: &str, command: Map<String, Value>) -> Result<Value> {
        self.java.ask(verb, client, command, ANSWER).await
    }
}

fn hear(logs: &Logs, said: &Value) {
    if said["event"] == "hosts" {
        let text = |key: &str| said[key].as_str().unwrap_or_default().to_string();
        let key = (text("client"), text("group"), text("service"));
        let log = logs.lock().get(&key).cloned();
        if let Some(log) = log {
            log.add(said);
        }
    }
}
