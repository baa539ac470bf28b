//! Two ZooKeeper servers for all tests that leave them running, cut into lands of their own, and settings for them.

use crate::estate::until;
use anyhow::{Context, Result};
use causeway_testbed::{GREETER, ZkClient, ZkConnect, ZkDoor, ZooKeeper, ZooOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

static SERVERS: Mutex<Option<Arc<Servers>>> = Mutex::const_new(None);

/// Sessions live for 6 s at most, so that a crash is seen soon.
struct Servers {
    a: ZooKeeper,
    b: ZooKeeper,
    door: ZkDoor,
}

/// A tree of one test's own on both servers: to Causeway and to clients of Java a chroot.
pub struct Land {
    name: String,
    /// `host:port` of each server.
    hosts: [String; 2],
    pub at_a: ZkClient,
    pub at_b: ZkClient,
}

async fn servers() -> Result<Arc<Servers>> {
    let mut servers = SERVERS.lock().await;
    if servers.is_none() {
        let (a, b) = tokio::join!(ZooKeeper::start(ZooOptions::default()), ZooKeeper::start(ZooOptions::default()));
        *servers = Some(Arc::new(Servers { a: a?, b: b?, door: ZkDoor::start().await? }));
    }
    servers.clone().context("no servers")
}

/// Ends the servers and removes their folders.
pub fn end() {
    drop(SERVERS.blocking_lock().take());
}

impl Land {
    pub async fn new(name: &str) -> Result<Self> {
        let servers = servers().await?;
        let hosts = [servers.a.addr(), servers.b.addr()];
        let connect = async |n: usize| {
            let root = servers.door.connect(&format!("{name}-{n}-root"), &ZkConnect::to(&hosts[n])).await?;
            root.create(&format!("/{name}"), "").await?;
            root.close().await?;
            servers.door.connect(&format!("{name}-{n}"), &ZkConnect::to(&format!("{}/{name}", hosts[n]))).await
        };
        let (at_a, at_b) = (connect(0).await?, connect(1).await?);
        Ok(Self { name: name.to_owned(), hosts, at_a, at_b })
    }

    /// The servers, `host:port`.
    pub fn hosts(&self) -> &[String; 2] {
        &self.hosts
    }

    /// The address of the land on A.
    pub fn a(&self) -> String {
        format!("{}/{}", self.hosts[0], self.name)
    }

    pub fn b(&self) -> String {
        format!("{}/{}", self.hosts[1], self.name)
    }

    /// A as a registry of Dubbo's. It knows no chroot, so that its roots are set instead.
    pub fn dubbo_a(&self) -> String {
        self.dubbo(0)
    }

    pub fn dubbo_b(&self) -> String {
        self.dubbo(1)
    }

    fn dubbo(&self, n: usize) -> String {
        let (host, name) = (&self.hosts[n], &self.name);
        format!("zookeeper://{host}?group=/{name}/dubbo&rootPath=/{name}/services")
    }
}

/// A cluster's line in settings.
pub fn cluster(name: &str, kind: &str, address: &str, more: &str) -> String {
    format!("  - {{clusterName: {name}, clusterType: {kind}, connectKeyList: [\"{address}\"]{more}}}\n")
}

/// A task's line in settings; removals wait only 2 s after a start.
pub fn task(source: &str, destination: &str, mode: &str) -> String {
    format!("  - {{source: {source}, destination: {destination}, mode: {mode}, settle: 2s}}\n")
}

/// Two tasks or one between clusters.
pub fn settings(clusters: &[String], tasks: &[String]) -> String {
    format!("clusters:\n{}tasks:\n{}", clusters.concat(), tasks.concat())
}

/// Where real providers stand, by interface.
pub fn folder() -> String {
    format!("/dubbo/{GREETER}/providers")
}

/// The ephemeral nodes below `root` with what they hold; none where there is no such node.
pub async fn leaves(who: &ZkClient, root: &str) -> Result<BTreeMap<String, String>> {
    if who.get(root).await?.is_none() {
        return Ok(BTreeMap::new());
    }
    let mut all = BTreeMap::new();
    for (path, entry) in who.walk(root).await?.0 {
        if entry.ephemeral() {
            let read = who.get(&path).await?;
            all.extend(read.map(|read| (path, read.text())));
        }
    }
    Ok(all)
}

/// Waits until `root` holds `count` ephemeral nodes, and gives them.
pub async fn grown(who: &ZkClient, root: &str, count: usize, limit: Duration) -> Result<BTreeMap<String, String>> {
    let what = format!("{count} ephemeral nodes below {root}");
    let found = until(&what, limit, async || Ok(leaves(who, root).await?.len() == count)).await;
    let all = leaves(who, root).await?;
    found.with_context(|| format!("{all:#?}"))?;
    Ok(all)
}
