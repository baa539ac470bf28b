//! What copying 2,000 services of 10 instances with five metadata keys from one Nacos 2.5 to another takes: time, memory, and
//! processor at rest.
//!
//! ```sh
//! cargo build --release -p causeway && cargo run --release -p causeway-bench --bin nacos
//! ```
//! The bare loop lists the services of one server, asks for each, and publishes it at the other, with the same client, all on
//! one connection. It compares nothing, keeps nothing and follows nothing. The node is timed from `apply` until the
//! destination lists everything.

use anyhow::{Result, ensure};
use causeway_bench::{LOOK, Node};
use causeway_connectors::nacos::client::{NacosClient, Options, ServiceKey, WireInstance};
use causeway_testbed::{Nacos, NacosVersion, OpenApi};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const INSTANCES: usize = 10;
const ROUNDS: usize = 3;
/// How long the node is left alone before it is measured at rest, and then measured.
const REST: Duration = Duration::from_secs(40);
const MEASURED: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let services = std::env::args().nth(1).map_or(Ok(2_000), |count| count.parse::<usize>())?;
    let (a, b) = tokio::try_join!(
        Nacos::start(NacosVersion::V2_5, causeway_testbed::Options::default()),
        Nacos::start(NacosVersion::V2_5, causeway_testbed::Options::default())
    )?;
    let provider = client(&a)?.spread_publisher("bench", None);
    let sets =
        (0..services).map(|n| (ServiceKey::new("public", "DEFAULT_GROUP", &format!("svc-{n}")), instances())).collect();
    ensure!(provider.publish_all(sets).await.iter().all(Result::is_ok), "the source could not be filled");
    let all = services * INSTANCES;
    let at_b = b.open_api().await?;
    let source = a.open_api().await?;
    until(&source, all).await?;
    let mut shares = Vec::new();
    for round in 1..=ROUNDS {
        let bare = bare(&a, &b, services, &at_b).await?;
        until(&at_b, 0).await?;
        let node = Node::start().await?;
        let empty = node.resident()?;
        let began = Instant::now();
        node.apply(&settings(&a, &b)).await?;
        let first = until_some(&at_b, 1, began).await?;
        let whole = until_some(&at_b, all, began).await?;
        let share = bare.as_secs_f64() / whole.as_secs_f64();
        println!(
            "round {round}: bare loop {bare:.2?}; causeway: the first after {first:.2?}, all after {whole:.2?}, share {share:.2}"
        );
        shares.push(share);
        if round == ROUNDS {
            sleep(REST).await;
            let before = node.processor()?;
            sleep(MEASURED).await;
            let rest = (node.processor()? - before).as_secs_f64() / MEASURED.as_secs_f64();
            println!(
                "{all} instances: {:.0} MiB resident ({empty:.0} MiB when empty), {:.1} % of a core at rest",
                node.resident()?,
                rest * 100.0
            );
        }
        drop(node);
        until(&at_b, 0).await?;
    }
    shares.sort_by(f64::total_cmp);
    println!("median share of the bare loop: {:.2}", shares[ROUNDS / 2]);
    Ok(())
}

fn client(server: &Nacos) -> Result<NacosClient> {
    Ok(NacosClient::new(Options::new(vec![server.addr().parse()?]))?)
}

fn instances() -> Vec<WireInstance> {
    let one = |n: usize| {
        let mut instance = WireInstance::new("127.0.0.1", 20_000 + n as u16);
        let words = [
            ("zone", "hz-a"),
            ("version", "1.4.2"),
            ("weight.group", "blue"),
            ("protocol", "dubbo"),
            ("side", "provider"),
        ];
        instance.metadata = words.into_iter().collect();
        instance
    };
    (0..INSTANCES).map(one).collect()
}

fn settings(a: &Nacos, b: &Nacos) -> String {
    format!(
        "clusters:\n  - {{clusterName: a, clusterType: NACOS, connectKeyList: ['{}'], namespace: public}}\n  - {{clusterName: b, \
         clusterType: NACOS, connectKeyList: ['{}']}}\ntasks:\n  - {{source: a, destination: b}}\n",
        a.addr(),
        b.addr()
    )
}

/// How many instances a server lists.
async fn listed(server: &OpenApi) -> Result<usize> {
    Ok(server.counts("public").await?.values().sum())
}

async fn until_some(server: &OpenApi, count: usize, began: Instant) -> Result<Duration> {
    while listed(server).await? < count {
        ensure!(began.elapsed() < Duration::from_secs(120), "not all after two minutes");
        sleep(LOOK).await;
    }
    Ok(began.elapsed())
}

async fn until(server: &OpenApi, count: usize) -> Result<()> {
    let began = Instant::now();
    while listed(server).await? != count {
        ensure!(began.elapsed() < Duration::from_secs(120), "not {count} after two minutes");
        sleep(LOOK).await;
    }
    Ok(())
}

async fn bare(from: &Nacos, to: &Nacos, services: usize, at: &OpenApi) -> Result<Duration> {
    let began = Instant::now();
    let (from, to) = (client(from)?, client(to)?);
    let (reader, publisher) = (from.reader(), to.publisher("bare", None));
    let listed = from.services("public").await?;
    ensure!(listed.len() == services, "{} services", listed.len());
    let keys = (0..services).map(|n| ServiceKey::new("public", "DEFAULT_GROUP", &format!("svc-{n}")));
    let one = |key: ServiceKey| {
        let (reader, publisher) = (&reader, &publisher);
        async move {
            let mut read = reader.query(&key).await?;
            read.hosts.iter_mut().for_each(|host| host.service_name.clear());
            publisher.publish(&key, read.hosts).await
        }
    };
    stream::iter(keys.map(one)).buffer_unordered(64).try_collect::<Vec<_>>().await?;
    until_some(at, services * INSTANCES, began).await?;
    let took = began.elapsed();
    publisher.close().await;
    Ok(took)
}
