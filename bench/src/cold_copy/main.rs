//! How long the first copy of 100,000 znodes takes, as a share of what a bare pipelined loop over the same client reaches.
//!
//! ```sh
//! cargo build --release -p causeway && cargo run --release -p causeway-bench --bin cold-copy
//! ```
//! Starts two real servers on ports of their own and, for each round, a node with a data folder of its own. Two estates:
//! persistent znodes (`type: Config`), and Dubbo providers, which are ephemeral (`type: Service`). The loop reads every
//! znode of one server and makes it on the other, 256 calls on their way at a time on each connection: it knows all paths
//! beforehand, and makes no listing, no comparison, no ledger and no access lists, and follows nothing. The node finds
//! them, and is timed from `apply` until everything stands at the destination. The name of an estate (`data`,
//! `services`) measures only that one.

mod estate;
mod node;

use anyhow::{Result, ensure};
use causeway_connectors::zookeeper::client::{Create, Options, Phase, Session};
use causeway_testbed::{ZooKeeper, ZooOptions};
use estate::Estate;
use node::Took;
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
/// Read in one go by the loop.
const BATCH: usize = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted = std::env::args().nth(1);
    for estate in [estate::data(), estate::services()] {
        if wanted.as_ref().is_none_or(|name| name == estate.name) {
            measure(&estate).await?;
        }
    }
    Ok(())
}

async fn measure(estate: &Estate) -> Result<()> {
    let options = || ZooOptions { java: vec!["-Xmx2g".into()], max_session_ms: 40_000, ..ZooOptions::default() };
    let (a, b) = tokio::try_join!(ZooKeeper::start(options()), ZooKeeper::start(options()))?;
    let (at_a, at_b) = (open(&a.addr()).await?, open(&b.addr()).await?);
    let nodes: Vec<_> =
        estate.nodes.iter().map(|node| (node.path.as_str(), node.data.as_str(), how(node.ephemeral))).collect();
    ensure!(at_a.create_many(&nodes).await.iter().all(Result::is_ok), "the source could not be filled");
    let mut shares = Vec::new();
    for round in 1..=ROUNDS {
        let bare = bare(&at_a, &at_b, estate).await?;
        clear(&at_b, estate.root).await?;
        let ours = node::copy(&a.addr(), &b, estate).await?;
        clear(&at_b, estate.root).await?;
        let Took { time, processor } = ours;
        let share = bare.as_secs_f64() / time.as_secs_f64();
        let (name, count) = (estate.name, nodes.len());
        println!(
            "{name}, round {round}: {count} znodes: bare loop {bare:.2?}, causeway {time:.2?} ({processor:.2?} of the \
             processor), share {share:.2}"
        );
        shares.push(share);
    }
    shares.sort_by(f64::total_cmp);
    println!("{}: median share of the bare loop: {:.2}", estate.name, shares[ROUNDS / 2]);
    Ok(())
}

fn how(ephemeral: bool) -> Create<'static> {
    Create { ephemeral, ..Create::default() }
}

async fn open(addr: &str) -> Result<Session> {
    let session = Session::open(Options::new(vec![addr.to_owned()]))?;
    session.status().wait_for(|status| status.phase == Phase::Connected).await?;
    Ok(session)
}

async fn bare(from: &Session, to: &Session, estate: &Estate) -> Result<Duration> {
    let began = Instant::now();
    for batch in estate.nodes.chunks(BATCH) {
        let paths: Vec<_> = batch.iter().map(|node| &node.path).collect();
        let read: Vec<_> = from.get_many(&paths).await.into_iter().collect::<Result<_, _>>()?;
        let nodes: Vec<_> =
            batch.iter().zip(&read).map(|(node, (data, _))| (&node.path, &data[..], how(node.ephemeral))).collect();
        ensure!(to.create_many(&nodes).await.iter().all(Result::is_ok), "not all could be made");
    }
    Ok(began.elapsed())
}

/// Removes everything below `root`, and `root`.
async fn clear(at: &Session, root: &str) -> Result<()> {
    let mut all = vec![root.to_owned()];
    let mut last = 0;
    while last < all.len() {
        let level = all[last..].to_vec();
        last = all.len();
        for (path, found) in level.iter().zip(at.children_many(&level).await) {
            all.extend(found?.0.iter().map(|name| format!("{path}/{name}")));
        }
    }
    let all: Vec<_> = all.iter().rev().map(|path| (path, None)).collect();
    ensure!(at.delete_many(&all).await.iter().all(Result::is_ok), "not all could be removed");
    Ok(())
}
