//! A Dubbo provider moves from one ZooKeeper to the other and back, at the same address and port.
//!
//! Nobody can answer while nobody listens at the port, and a consumer needs its time to connect again. So each move may
//! make one outage for each consumer: from when the provider is stopped until it is back, and no longer for the consumer
//! that learns of it through us than for the one at the provider's own registry.

use crate::estate::{pause, seconds};
use crate::node::Node;
use crate::zk_estate::{Land, cluster, folder, grown, leaves, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{DubboConsumer, DubboProvider, ZkNode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How much longer a consumer on the other side may wait than one on the provider's own: they try again every second.
const LATE: Duration = Duration::from_millis(1500);
/// Consumers take a changed list after 5 s at the latest.
const CALM: u64 = 6;
/// What Dubbo makes itself when it takes the place of a copy.
const OWN: Duration = Duration::from_secs(6);
/// A node of a crashed provider's is gone by then.
const EXPIRED: u64 = 9;

/// Milliseconds since 1970, as consumers count.
#[expect(clippy::disallowed_methods, reason = "what other processes say carries the wall clock")]
fn now() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// It leaves well, and takes its node away some seconds before it ends.
pub async fn a_provider_moves() -> Result<()> {
    moves("moves", "dubbo", DubboProvider::stop).await
}

/// Its old node stays until its session expires, while the new one stands. By the protocol `tri`, since consumers by
/// `dubbo` look at a broken connection once a minute, whatever their registry says.
pub async fn a_provider_moves_by_kill_9() -> Result<()> {
    moves("moves-kill", "tri", async |one| one.kill9()).await
}

/// It serves on and is registered in both for a while: another program of its has its address, then it has both places
/// itself. Nobody ever finds nobody to call, also after a crash of ours. Only when it comes to the place of our copy, Dubbo
/// itself removes that before it makes its own: a consumer that looks between the two keeps an empty list for 5 s.
pub async fn a_provider_moves_with_overlap() -> Result<()> {
    let land = Land::new("overlap").await?;
    let mut node = Node::start().await?;
    let clusters = [cluster("src", "ZK", &land.a(), ""), cluster("dst", "ZK", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("src", "dst", "Bidirectional")]))?;

    let (sides, hosts) = ([land.dubbo_a(), land.dubbo_b()], land.hosts());
    let provider = DubboProvider::start(&sides[0], &[("mode", "interface"), ("beside", &sides[1])]).await?;
    provider.leave(&hosts[1]).await?;
    let force = [("migration", "FORCE_INTERFACE")];
    let consumers = tokio::try_join!(DubboConsumer::start(&sides[0], &force), DubboConsumer::start(&sides[1], &force))?;
    let consumers: [DubboConsumer; 2] = consumers.into();
    for consumer in &consumers {
        consumer.wait_for(&[provider.port()], seconds(20)).await?;
    }
    let calm = async |what: &str, limit: Duration| {
        pause(if limit.is_zero() { CALM } else { 2 * CALM }).await;
        for (consumer, side) in consumers.iter().zip(["A", "B"]) {
            let (report, outage) = (consumer.report(), consumer.report().longest_outage());
            eprintln!("{what}: consumer of {side}: {} calls, outage {outage:?}", report.calls.len());
            ensure!(outage <= limit, "{what}: consumer of {side}: {outage:?}, {:?}", report.errors().first());
            consumer.forget();
        }
        Ok(())
    };
    let none = Duration::ZERO;
    calm("start", seconds(60)).await?;

    let all = grown(&land.at_a, &folder(), 1, seconds(1)).await?;
    let (path, data) = all.first_key_value().context("no provider")?;
    let (start, end) = path.split_at(path.len() - 3);
    let other = format!("{start}{}", if end == "000" { "111" } else { "000" });
    land.at_b.create_node(&ZkNode::ephemeral(&other, data)).await?;
    calm("another one's in B", none).await?;
    ensure!(leaves(&land.at_a, &folder()).await?.len() == 2, "not both in A");
    provider.leave(&hosts[0]).await?;
    calm("A left to the other", none).await?;
    let left = grown(&land.at_a, &folder(), 1, seconds(1)).await?;
    ensure!(left.contains_key(&other), "{left:#?}");
    provider.join(&hosts[0]).await?;
    calm("A again", none).await?;
    land.at_b.delete(&other).await?;
    calm("the other gone", none).await?;

    provider.join(&hosts[1]).await?;
    calm("in both", OWN).await?;
    let (data, port) = node.kill()?;
    node = Node::on(data, port).await?;
    calm("in both after a crash of ours", none).await?;
    provider.leave(&hosts[0]).await?;
    calm("A left", none).await?;
    provider.join(&hosts[0]).await?;
    calm("in both again", OWN).await?;
    provider.leave(&hosts[1]).await?;
    calm("B left", none).await?;
    let (at_a, at_b) = (grown(&land.at_a, &folder(), 1, seconds(9)).await?, leaves(&land.at_b, &folder()).await?);
    ensure!(at_a == at_b && at_a.contains_key(path), "{at_a:#?}\n{at_b:#?}");
    drop(node);
    Ok(())
}

async fn moves(land: &str, protocol: &str, end: impl AsyncFn(&DubboProvider) -> Result<()>) -> Result<()> {
    let land = Land::new(land).await?;
    let node = Node::start().await?;
    let clusters = [cluster("src", "ZK", &land.a(), ""), cluster("dst", "ZK", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("src", "dst", "Bidirectional")]))?;

    let sides = [land.dubbo_a(), land.dubbo_b()];
    let keys = [("mode", "interface"), ("protocol", protocol)];
    let mut moving = DubboProvider::start(&sides[0], &keys).await?;
    let port = moving.port();
    let force = [("migration", "FORCE_INTERFACE")];
    let (of_a, of_b) =
        tokio::try_join!(DubboConsumer::start(&sides[0], &force), DubboConsumer::start(&sides[1], &force))?;
    let consumers = [of_a, of_b];
    for consumer in &consumers {
        consumer.wait_for(&[port], seconds(20)).await?;
    }
    let text = port.to_string();
    let keys = [&keys[..], &[("port", &text)]].concat();
    for to in [1, 0] {
        consumers.iter().for_each(DubboConsumer::forget);
        let began = now()?;
        end(&moving).await?;
        drop(moving);
        let opened = opening(port);
        moving = DubboProvider::start(&sides[to], &keys).await?;
        let opened = opened.join_all().await.pop().context("no time")??;
        pause(EXPIRED).await;
        let mut outages = Vec::new();
        for consumer in &consumers {
            let report = consumer.report();
            let errors = report.errors();
            let (first, last) = (errors.first().context("no outage")?, errors.last().context("no outage")?);
            ensure!(first.at + 100 >= began, "an error {} ms before the end", began - first.at);
            let apart =
                report.calls.iter().filter(|call| call.answer.is_ok() && call.at > first.at && call.at < last.at);
            ensure!(apart.count() == 0, "more than one outage: {errors:#?}");
            ensure!(consumer.answers() == [port].into(), "{:?}", report.calls.last());
            outages.push(Duration::from_millis((last.at + 50).saturating_sub(opened)));
        }
        let (native, other) = (outages[to], outages[1 - to]);
        eprintln!("closed for {} ms; called {native:?} and {other:?} after that", opened - began);
        ensure!(other <= native + LATE, "through us {other:?}, at its own registry {native:?}");
        let (at_a, at_b) = (grown(&land.at_a, &folder(), 1, seconds(1)).await?, leaves(&land.at_b, &folder()).await?);
        ensure!(at_a == at_b, "{at_a:#?}\n{at_b:#?}");
    }
    Ok(())
}

/// When somebody listens at the port again.
fn opening(port: u16) -> JoinSet<Result<u64>> {
    let mut set = JoinSet::new();
    set.spawn(async move {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        now()
    });
    set
}
