//! Several servers as one cluster.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::{Nacos, NacosVersion, Options};

/// Real servers that know one another from `cluster.conf`. Each keeps its own embedded database, replicated by JRaft
/// (`-DembeddedStorage=true`), so no outside database is needed.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Nacos>,
}

impl Cluster {
    pub(super) async fn start(version: NacosVersion, count: usize, options: Options) -> Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..count {
            // One port and one folder cannot be shared.
            let own = Options { port: None, data: None, ..options.clone() };
            nodes.push(Nacos::prepare(version, own)?);
        }
        let members: Vec<String> = nodes.iter().map(Nacos::addr).collect();
        for node in &mut nodes {
            node.members.clone_from(&members);
        }
        // Together: no server gets ready before a majority can choose a leader.
        try_join_all(nodes.iter().map(Nacos::start_again)).await?;
        Ok(Self { nodes })
    }

    /// The addresses of all servers, as a client's settings list them.
    pub fn addrs(&self) -> Vec<String> {
        self.nodes.iter().map(Nacos::addr).collect()
    }
}
