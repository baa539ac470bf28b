//! One session of a Java client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::java_clients::Shared;
use super::record::{ZkNode, ZkRead, ZkStat, ZkStep, ZkTree};
use super::watch::ZkWatch;

/// A client of a [`super::ZkDoor`]. Errors name the server's: `NoNode`, `NodeExists`, `NoAuth`, `BadVersion`,
/// `SessionExpired`, `ConnectionLoss`, … A client whose session expired is of no use any more.
#[derive(Clone)]
pub struct ZkClient {
    name: String,
    door: Arc<Shared>,
    states: ZkWatch,
    watches: Arc<AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ZkSession {
    pub id: i64,
    /// In hex.
    pub password: String,
    /// What the server granted.
    #[serde(rename = "timeoutMillis")]
    pub timeout_ms: u32,
    /// `CONNECTED`, `CONNECTING`, `CLOSED` (also after it expired), `AUTH_FAILED`.
    pub state: String,
}

impl ZkClient {
    pub(super) fn new(name: &str, door: Arc<Shared>) -> Self {
        // Before it connects, as the first event comes before the answer.
        let states = ZkWatch::new(door.log(name, "session"));
        Self { name: name.into(), door, states, watches: Arc::default() }
    }

    /// Connections, interruptions and the end of the session, all since it was asked for.
    pub fn states(&self) -> ZkWatch {
        self.states.clone()
    }

    pub async fn session(&self) -> Result<ZkSession> {
        Ok(serde_json::from_value(self.ask("session", Value::Null).await?)?)
    }

    /// Creates a persistent node that is open to everybody. Its parent must be there.
    pub async fn create(&self, path: &str, data: impl AsRef<[u8]>) -> Result<String> {
        self.create_node(&ZkNode::new(path, data)).await
    }

    /// Gives the path, which the server extends for a sequential node.
    pub async fn create_node(&self, node: &ZkNode) -> Result<String> {
        let path = self.ask("create", node.json()).await?;
        Ok(path.as_str().context("no path")?.to_string())
    }

    pub async fn set(&self, path: &str, data: impl AsRef<[u8]>) -> Result<ZkStat> {
        let said = self.ask("set", json!({"path": path, "data": BASE64.encode(data)})).await?;
        Ok(ZkStat::deserialize(said)?)
    }

    /// `acl` as in [`ZkRead::acl`].
    pub async fn set_acl(&self, path: &str, acl: &str) -> Result<()> {
        self.ask("setAcl", json!({"path": path, "acl": acl})).await?;
        Ok(())
    }

    pub async fn delete(&self, path: &str) -> Result<()> {
        self.ask("delete", json!({"path": path})).await?;
        Ok(())
    }

    /// The node and all below it.
    pub async fn delete_all(&self, path: &str) -> Result<()> {
        self.ask("deleteAll", json!({"path": path})).await?;
        Ok(())
    }

    /// `None` when there is no such node.
    pub async fn get(&self, path: &str) -> Result<Option<ZkRead>> {
        match self.ask("get", json!({"path": path})).await? {
            Value::Null => Ok(None),
            said => Ok(Some(ZkRead::parse(&said)?)),
        }
    }

    /// The names, in order.
    pub async fn children(&self, path: &str) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.ask("children", json!({"path": path})).await?)?)
    }

    /// The node and all below it. Not at one instant: what changes meanwhile may be seen before or after its change.
    pub async fn walk(&self, path: &str) -> Result<ZkTree> {
        Ok(ZkTree(serde_json::from_value(self.ask("walk", json!({"path": path})).await?)?))
    }

    /// All of them or none.
    pub async fn multi(&self, steps: &[ZkStep]) -> Result<()> {
        self.ask("multi", json!({"steps": list(steps)})).await?;
        Ok(())
    }

    /// One after the other without waiting for each, a thousand on their way at once; a parent may go just ahead of its
    /// child. Those that fail are counted in the error, the others are done.
    pub async fn bulk(&self, steps: &[ZkStep]) -> Result<()> {
        self.ask("bulk", json!({"steps": list(steps)})).await?;
        Ok(())
    }

    /// The same for each number from 0 to `count` - 1, which replaces every `{n}` in the paths and the (UTF-8) data.
    pub async fn bulk_range(&self, count: u64, steps: &[ZkStep]) -> Result<()> {
        self.ask("bulk", json!({"steps": list(steps), "count": count})).await?;
        Ok(())
    }

    /// Collects what a persistent recursive watch tells about the node and all below it.
    pub async fn watch(&self, path: &str) -> Result<ZkWatch> {
        self.collect("watch", path).await
    }

    /// Collects what a `CuratorCache` of the node and all below it tells, once it is filled. It has a session of its own.
    pub async fn cache(&self, path: &str) -> Result<ZkWatch> {
        self.collect("cache", path).await
    }

    /// Makes this client's session expire: its ephemeral nodes are gone when this returns.
    pub async fn expire(&self) -> Result<()> {
        self.ask("expire", Value::Null).await?;
        Ok(())
    }

    /// Ends the session well, and lets the name be used again.
    pub async fn close(&self) -> Result<()> {
        self.ask("close", Value::Null).await?;
        Ok(())
    }

    async fn collect(&self, verb: &str, path: &str) -> Result<ZkWatch> {
        let name = format!("{verb}-{}", self.watches.fetch_add(1, Ordering::Relaxed));
        // Before the call, as the first event may come before its answer.
        let log = self.door.log(&self.name, &name);
        self.ask(verb, json!({"path": path, "log": name})).await?;
        Ok(ZkWatch::new(log))
    }

    async fn ask(&self, verb: &str, command: Value) -> Result<Value> {
        self.door.ask(verb, &self.name, command).await
    }
}

fn list(steps: &[ZkStep]) -> Vec<Value> {
    steps.iter().map(ZkStep::json).collect()
}
