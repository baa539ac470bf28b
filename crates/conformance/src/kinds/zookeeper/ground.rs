//! The servers that tests run on.

use anyhow::{Context, Result, ensure};
use causeway_testbed::{
    Server, ZkClient, ZkConnect, ZkDoor, ZooKeeper, ZooKeeperEnsemble, ZooOptions, ZooRelease, shared,
};
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long others live without us, where the server allows it: a test's stop of the server is no end of a provider.
pub(super) const LASTING: Duration = Duration::from_secs(30);
const LASTING_MS: u32 = 30_000;
/// Room for whole folders of long names.
const LONG: (&str, &str) = ("jute.maxbuffer", "67108864");
/// Servers of an ensemble.
const MEMBERS: usize = 3;

/// Which servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// Those that were started for many tests.
    Shared,
    /// One of this release.
    Release(ZooRelease),
    /// Three that vote; everybody is connected to the same follower, so that all see the same at any time.
    Ensemble,
}

/// What all tests on the same servers share; it ends with the last of them.
#[derive(Clone)]
pub struct ZooKeeperGround(Arc<Ground>);

struct Ground {
    servers: Servers,
    door: OnceCell<Arc<ZkDoor>>,
    shared: OnceCell<ZooKeeperEnsemble>,
    own: OnceCell<ZooKeeperEnsemble>,
}

/// A client of the vendor's at `addr`, below `path`.
pub(super) fn client(addr: &str, path: &str) -> ZkConnect {
    let connect = ZkConnect::to(&format!("{addr}{path}")).session_ms(LASTING_MS);
    ZkConnect { properties: vec![(LONG.0.into(), LONG.1.into())], ..connect }
}

impl ZooKeeperGround {
    /// Nothing is started yet.
    pub fn new(servers: Servers) -> Self {
        let (door, shared, own) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self(Arc::new(Ground { servers, door, shared, own }))
    }

    /// The servers that must have been started.
    pub fn needs(&self) -> &'static [Server] {
        &[Server::Zoo]
    }

    /// Servers without recursive watches.
    pub fn is_old(&self) -> bool {
        self.0.servers == Servers::Release(ZooRelease::V3_4)
    }

    /// Most calls to list one node.
    pub fn calls_a_node(&self) -> usize {
        if self.is_old() { 2 } else { 1 }
    }

    /// Most calls for one change.
    pub fn calls_a_change(&self) -> usize {
        if self.is_old() { 4 } else { 2 }
    }

    /// The Java process of the vendor's clients.
    pub async fn door(&self) -> Result<Arc<ZkDoor>> {
        Ok(self.0.door.get_or_try_init(async || ZkDoor::start().await.map(Arc::new)).await?.clone())
    }

    /// A client of the vendor's by this name, signed in as `user:password`.
    pub async fn operator(&self, name: &str, addr: &str, login: &str) -> Result<ZkClient> {
        self.door().await?.connect(name, &client(addr, "").digest(login)).await
    }

    /// Where other tests are at the same time.
    pub async fn shared(&self) -> Result<String> {
        if self.0.servers == Servers::Shared {
            return shared(Server::Zoo).context("no address");
        }
        address(self.0.shared.get_or_try_init(|| self.launch()).await?).await
    }

    /// Where nobody else is, and servers may be stopped.
    pub async fn own(&self) -> Result<String> {
        address(self.0.own.get_or_try_init(|| self.launch()).await?).await
    }

    async fn launch(&self) -> Result<ZooKeeperEnsemble> {
        let options = ZooOptions { max_session_ms: LASTING_MS, ..ZooOptions::default() };
        match self.0.servers {
            Servers::Shared => ZooKeeperEnsemble::start(1, options).await,
            Servers::Release(release) => ZooKeeperEnsemble::start(1, ZooOptions { release, ..options }).await,
            Servers::Ensemble => ZooKeeperEnsemble::start(MEMBERS, options).await,
        }
    }

    /// Kills the servers of one's own.
    pub async fn stop(&self) -> Result<()> {
        self.0.own.get().context("not started")?.nodes.iter().try_for_each(ZooKeeper::kill9)
    }

    /// Starts them again.
    pub async fn start(&self) -> Result<()> {
        let nodes = &self.0.own.get().context("not started")?.nodes;
        ensure!(nodes.iter().all(|node| node.pid().is_none()), "it runs");
        try_join_all(nodes.iter().map(ZooKeeper::start_again)).await.map(drop)
    }
}

/// The server that all are connected to, the same in every test: it need not lead.
async fn address(servers: &ZooKeeperEnsemble) -> Result<String> {
    servers.nodes.first().map(ZooKeeper::addr).context("no server")
}
