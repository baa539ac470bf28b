//! Copies are spread over several sessions, so that the end of one is a small transaction for the servers.
//!
//! Since ZooKeeper 3.6 the end of a session is one transaction that lists all its paths. Beyond `jute.maxbuffer` (1 MiB)
//! it stops an ensemble, whose servers cannot load their log again.

use crate::estate::{pause, seconds, until};
use crate::node::Node;
use crate::zk::{Zoo, alike, provider_node, settings};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{ZkClient, ZkConnect, ZkDoor, ZkNode, ZkStep, ZooKeeper, ZooKeeperEnsemble, ZooOptions};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What the copies of one session may take, with a margin for what an estate outgrows.
const MOST: usize = 640 << 10;
const INTERFACES: usize = 20;
/// The native sessions at the source.
const PROVIDERS: usize = 40;

/// Creates Dubbo providers number `numbers` of one interface, with paths of about `length` bytes.
async fn provide(who: &ZkClient, interface: &str, numbers: std::ops::Range<usize>, length: usize) -> Result<()> {
    let mut steps = Vec::new();
    for n in numbers {
        let host = format!("127.0.{}.{}", n / 200, n % 200 + 1);
        let (folder, short) = provider_node(interface, &host, 20_880, "&pad=");
        let pad = "x".repeat(length.saturating_sub(folder.len() + 1 + short.len()));
        let (folder, name) = provider_node(interface, &host, 20_880, &format!("&pad={pad}"));
        steps.push(ZkStep::Create(ZkNode::ephemeral(&format!("{folder}/{name}"), "127.0.0.1")));
    }
    for some in steps.chunks(50) {
        who.bulk(some).await?;
    }
    Ok(())
}

async fn folders(who: &ZkClient, interface: &str) -> Result<()> {
    for path in ["/dubbo", &format!("/dubbo/{interface}"), &format!("/dubbo/{interface}/providers")] {
        // It may be there already.
        drop(who.create(path, "").await);
    }
    Ok(())
}

/// The paths of each session, by what the server says.
async fn held(server: &ZooKeeper) -> Result<BTreeMap<i64, BTreeSet<String>>> {
    let mut all = server.ephemerals().await?;
    all.retain(|_, paths| paths.iter().any(|path| path.starts_with("/dubbo")));
    Ok(all)
}

/// What the transaction at the end of a session holds: a length of four bytes, and the path, each.
fn bytes(paths: &BTreeSet<String>) -> usize {
    paths.iter().map(|path| 4 + path.len()).sum()
}

async fn count(who: &ZkClient, root: &str) -> Result<usize> {
    let mut all = 0;
    for n in 0..INTERFACES {
        // No folder yet.
        all += who.children(&format!("{root}/lab.Heavy{n}/providers")).await.map_or(0, |names| names.len());
    }
    Ok(all)
}

/// Writes all the time, and returns the longest time without a write that succeeded.
async fn longest_gap(who: &ZkClient, time: Duration) -> Result<Duration> {
    let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    let mut error = String::new();
    while began.elapsed() < time {
        match tokio::time::timeout(seconds(5), who.set("/poll", "x")).await {
            Ok(Ok(_)) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            Ok(Err(failed)) => error = failed.to_string(),
            Err(_) => error = "no answer".to_owned(),
        }
        sleep(Duration::from_millis(50)).await;
    }
    longest = longest.max(last.elapsed());
    eprintln!("longest time without a write: {longest:?} {error}");
    Ok(longest)
}

/// What `get clusters` says of a cluster's sessions: records and bytes by id.
fn reported(node: &Node, cluster: &str) -> Result<BTreeMap<String, (usize, usize)>> {
    let all: Vec<Value> = serde_json::from_str(&node.ok(&["get", "clusters", "-o", "json"])?)?;
    let one = all.into_iter().find(|one| one["name"] == cluster).context("no such cluster")?;
    let number = |one: &Value, key: &str| one[key].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let carriers = one["carriers"].as_array().cloned().unwrap_or_default();
    let of = |one: &Value| {
        (one["id"].as_str().unwrap_or_default().to_owned(), (number(one, "records"), number(one, "bytes")))
    };
    Ok(carriers.iter().map(of).collect())
}

pub async fn an_ensemble_outlives_us_with_4_mb_of_paths() -> Result<()> {
    outlives(4_000, 3).await
}

pub async fn an_ensemble_outlives_us_with_12_mb_of_paths() -> Result<()> {
    outlives(12_000, 3).await
}

pub async fn one_server_outlives_us_with_12_mb_of_paths() -> Result<()> {
    outlives(12_000, 1).await
}

async fn outlives(providers: usize, servers: usize) -> Result<()> {
    let source = ZooKeeper::start(ZooOptions { max_session_ms: 40_000, ..ZooOptions::default() }).await?;
    // The default, which the testbed's servers do not have otherwise.
    let limit = vec![("maxClientCnxns".to_owned(), "60".to_owned())];
    let options = ZooOptions { max_session_ms: 40_000, settings: limit, ..ZooOptions::default() };
    let all = ZooKeeperEnsemble::start(servers, options).await?;
    let door = ZkDoor::start().await?;
    for session in 0..PROVIDERS {
        let who = door.connect(&format!("p{session}"), &ZkConnect::to(&source.addr()).session_ms(40_000)).await?;
        let (n, each) = (session % INTERFACES, providers / PROVIDERS);
        folders(&who, &format!("lab.Heavy{n}")).await?;
        provide(&who, &format!("lab.Heavy{n}"), session * each..(session + 1) * each, 1_040).await?;
    }
    let polls = door.connect("polls", &ZkConnect::to(&all.addr()).session_ms(40_000)).await?;
    polls.create("/poll", "").await?;

    let mut node = Node::start().await?;
    let text = settings(&source.addr(), &all.addr().replace(',', "\", \""), "Service", "Unidirectional", "");
    let text = text.replace("clusterType: ZOOKEEPER", "clusterType: ZOOKEEPER, zookeeper: {sessionTimeout: 10s}");
    node.apply(&text)?;
    let copied = async || Ok(count(&polls, "/dubbo").await? == providers);
    let took = until("the first copy", seconds(240), copied).await?;
    let leader = async || anyhow::Ok(all.leader().await.unwrap_or(&all.nodes[0]));
    let sessions = held(leader().await?).await?;
    let largest = sessions.values().map(bytes).max().unwrap_or_default();
    eprintln!("first copy of {providers}: {took:?}; {} sessions, at most {largest} bytes", sessions.len());
    ensure!(largest <= MOST, "{largest} bytes of paths in one session");
    let right: BTreeMap<String, (usize, usize)> =
        sessions.iter().map(|(id, paths)| (format!("{id:#x}"), (paths.len(), bytes(paths)))).collect();
    let same = async || Ok(reported(&node, "dst")? == right);
    until("a report of the same sessions", seconds(10), same).await?;

    for how in ["stopped", "killed"] {
        let (data, port) = if how == "stopped" { node.stop()? } else { node.kill()? };
        let gap = longest_gap(&polls, seconds(20)).await?;
        ensure!(gap < seconds(2), "{how}: no write for {gap:?}");
        until("the end of the sessions", seconds(20), async || Ok(count(&polls, "/dubbo").await? == 0)).await?;
        if how == "stopped" {
            for server in &all.nodes {
                server.stop().await?;
            }
            // Together: no server of an ensemble serves before a majority has chosen a leader.
            match &all.nodes[..] {
                [a, b, c] => drop(tokio::try_join!(a.start_again(), b.start_again(), c.start_again())?),
                [a] => a.start_again().await?,
                _ => {}
            }
            until("writes after a restart of the servers", seconds(30), async || {
                Ok(polls.set("/poll", "y").await.is_ok())
            })
            .await?;
        }
        node = Node::on(data, port).await?;
        let took = until("all copies again", seconds(240), copied).await?;
        let largest = held(leader().await?).await?.values().map(bytes).max().unwrap_or_default();
        eprintln!("{how}, and again: {took:?}, at most {largest} bytes");
        ensure!(largest <= MOST, "{largest} bytes of paths in one session");
    }

    // Back within the sessions' time: nobody sees anything.
    let watch = door.connect("watcher", &ZkConnect::to(&all.addr()).session_ms(40_000)).await?.watch("/dubbo").await?;
    let before = held(leader().await?).await?;
    let (data, port) = node.kill()?;
    node = Node::on(data, port).await?;
    pause(8).await;
    ensure!(watch.events().is_empty(), "{:?}", watch.events().first());
    ensure!(held(leader().await?).await? == before, "other sessions");
    drop(node);
    Ok(())
}

pub async fn many_sessions_go_on_as_one() -> Result<()> {
    let zoo = Zoo::start(40_000).await?;
    let one = zoo.provider("one").await?;
    // 1.2 MB of paths.
    for n in 0..4 {
        folders(&one, &format!("lab.Heavy{n}")).await?;
        provide(&one, &format!("lab.Heavy{n}"), n * 30..(n + 1) * 30, 10_000).await?;
    }
    let mut node = Node::start().await?;
    let text = settings(&zoo.a.addr(), &zoo.b.addr(), "Service", "Bidirectional", "");
    node.apply(&text)?;
    eprintln!("first copy: {:?}", alike(&zoo, "/dubbo", 120, seconds(20)).await?);
    let before = held(&zoo.b).await?;
    ensure!(before.len() >= 4 && before.values().all(|paths| bytes(paths) <= 256 << 10), "{:#?}", before.keys());
    let told = reported(&node, "dst")?;
    ensure!(told.len() == before.len() && told.values().map(|(records, _)| records).sum::<usize>() == 120, "{told:?}");
    ensure!(held(&zoo.a).await?.len() == 1, "an echo");
    let watch = zoo.watch_b("watcher", "/dubbo").await?;

    // A crash, a restart, then other settings: the sessions and what they hold stay, and nobody sees anything.
    for end in [Node::kill, Node::stop] {
        let (data, port) = end(node)?;
        node = Node::on(data, port).await?;
        pause(3).await;
    }
    node.apply(&text.replace("clusterType", "zookeeper: {sessionTimeout: 30s}, clusterType"))?;
    pause(4).await;
    ensure!(watch.events().is_empty(), "{:?}", watch.events().first());
    ensure!(held(&zoo.b).await? == before, "other sessions, or other copies in them");

    // A session that was ended: what it held comes again, and nothing else.
    let (ended, lost) = before.iter().next_back().context("no session")?;
    zoo.door.terminate_session(&zoo.b, *ended).await?;
    until("the lost copies again", seconds(10), async || {
        Ok(held(&zoo.b).await?.values().map(BTreeSet::len).sum::<usize>() == 120)
    })
    .await?;
    alike(&zoo, "/dubbo", 120, seconds(5)).await?;
    let touched: BTreeSet<String> = watch.events().into_iter().map(|event| event.path).collect();
    let others: Vec<_> = touched.difference(lost).filter(|path| path.contains("providers/")).collect();
    ensure!(others.is_empty() && touched.len() >= lost.len(), "{} of {}: {others:?}", touched.len(), lost.len());
    let now = held(&zoo.b).await?;
    let stays = before
        .iter()
        .filter(|(id, _)| *id != ended)
        .all(|(id, paths)| now.get(id).is_some_and(|now| paths.is_subset(now)));
    ensure!(
        stays && !now.contains_key(ended) && now.values().all(|paths| bytes(paths) <= 256 << 10),
        "{:?}",
        now.keys()
    );

    // A provider moves: its own znode takes the copy's place, which is nobody's loss.
    let path = before.values().next().and_then(BTreeSet::first).context("no copy")?.clone();
    let moved = zoo.door.connect("moved", &ZkConnect::to(&zoo.b.addr())).await?;
    moved.delete(&path).await?;
    moved.create_node(&ZkNode::ephemeral(&path, "127.0.0.1")).await?;
    one.delete(&path).await?;
    alike(&zoo, "/dubbo", 120, seconds(10)).await?;
    node.ok(&["drain", "src-dst-service", "--yes"])?;
    until("drained", seconds(10), async || {
        let left = held(&zoo.b).await?;
        Ok(left.values().flatten().eq([&path]))
    })
    .await?;
    Ok(())
}
