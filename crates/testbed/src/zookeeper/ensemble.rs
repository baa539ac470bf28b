//! Several servers as one ensemble.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::{ZooKeeper, ZooOptions};

/// Servers that vote for a leader among themselves. Each can be killed, frozen and started again for itself.
#[derive(Debug)]
pub struct ZooKeeperEnsemble {
    pub nodes: Vec<ZooKeeper>,
}

impl ZooKeeperEnsemble {
    /// `count` servers, ready when all serve.
    pub async fn start(count: usize, options: ZooOptions) -> Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..count {
            // One port and one folder cannot be shared.
            let own = ZooOptions { port: None, data: None, ..options.clone() };
            nodes.push(ZooKeeper::prepare(own)?);
        }
        let members: Vec<u16> = nodes.iter().map(|node| node.ports.main).collect();
        // One alone is no ensemble.
        for node in nodes.iter_mut().filter(|_| members.len() > 1) {
            node.members.clone_from(&members);
        }
        // Together: no server serves before a majority has chosen a leader.
        try_join_all(nodes.iter().map(ZooKeeper::start_again)).await?;
        Ok(Self { nodes })
    }

    /// All addresses with commas, as a client's settings list them.
    pub fn addr(&self) -> String {
        let all: Vec<String> = self.nodes.iter().map(ZooKeeper::addr).collect();
        all.join(",")
    }

    /// The server that leads now.
    pub async fn leader(&self) -> Option<&ZooKeeper> {
        for node in &self.nodes {
            if node.mode().await.is_ok_and(|mode| mode == "leader") {
                return Some(node);
            }
        }
        None
    }
}
