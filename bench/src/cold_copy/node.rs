//! The real program.

use crate::estate::Estate;
use anyhow::{Context, Result};
use causeway_bench::{LOOK, Node};
use causeway_testbed::ZooKeeper;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a copy took, and the processor's time that the node has had by then.
pub struct Took {
    pub time: Duration,
    pub processor: Duration,
}

/// Lets a new node copy an estate from one server to another.
pub async fn copy(a: &str, b: &ZooKeeper, estate: &Estate) -> Result<Took> {
    let node = Node::start().await?;
    let before = count(b).await?;
    let text = format!(
        "clusters:\n  - {{clusterName: a, clusterType: ZK, connectKeyList: ['{a}']}}\n  - {{clusterName: b, clusterType: \
         ZK, connectKeyList: ['{}']}}\ntasks:\n  - {{source: a, destination: b, {}}}\n",
        b.addr(),
        estate.task
    );
    let began = Instant::now();
    node.apply(&text).await?;
    loop {
        let there = count(b).await?;
        if there >= before + estate.nodes.len() {
            return Ok(Took { time: began.elapsed(), processor: node.processor()? });
        }
        if began.elapsed() > Duration::from_secs(300) {
            anyhow::bail!("{there} of {} after five minutes: {}", estate.nodes.len(), node.tasks().await?);
        }
        sleep(LOOK).await;
    }
}

/// How many znodes a server has.
async fn count(server: &ZooKeeper) -> Result<usize> {
    let said = server.word("srvr").await?;
    let count = said.lines().find_map(|line| line.strip_prefix("Node count: "));
    Ok(count.context("no count of nodes")?.trim().parse()?)
}
