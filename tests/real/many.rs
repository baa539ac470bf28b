//! More copies than one connection can carry: a Nacos server sends all that a connection holds to its peers in one
//! message, of 10 MB at most.

use crate::estate::{instances, pair, pause, provide, seconds, service, settings, total, until};
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Cluster, Instance, Nacos, NacosVersion, OpenApi, Options, Poller, Server, shared};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An instance as a Dubbo provider registers it: 600 characters of metadata.
fn dubbo(port: u16) -> Instance {
    let known = Instance::new("127.0.0.1", port)
        .with("dubbo", "2.0.2")
        .with("side", "provider")
        .with("release", "3.3.4")
        .with("application", "orders")
        .with("interface", "com.acme.orders.api.OrderQueryService");
    let length: usize = known.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    known.with("methods", &"queryOrdersByCustomer,".repeat(40)[..600 - length - "methods".len()])
}

/// `count` instances of one service.
fn providers(count: usize) -> Vec<Instance> {
    (0..count).map(|n| dubbo(20_000 + n as u16)).collect()
}

/// How many instances each server of the cluster lists in `public`.
async fn listed(servers: &[OpenApi]) -> Result<Vec<usize>> {
    let mut sums = Vec::new();
    for server in servers {
        sums.push(server.counts("public").await?.values().sum());
    }
    Ok(sums)
}

async fn apis(cluster: &Cluster) -> Result<Vec<OpenApi>> {
    let mut apis = Vec::new();
    for node in &cluster.nodes {
        apis.push(node.open_api().await?);
    }
    Ok(apis)
}

/// Settings whose destination lists all addresses of the cluster.
fn to_cluster(source: &str, cluster: &Cluster) -> String {
    let all = cluster.addrs().iter().map(|addr| format!("\"{addr}\"")).collect::<Vec<_>>().join(", ");
    settings(source, "DESTINATION", "public", "Unidirectional").replace("\"DESTINATION\"", &all)
}

/// Waits until every server lists `count`. If they never do, tells what each lists least of, and what the node knows.
async fn everywhere(node: &Node, servers: &[OpenApi], count: usize, limit: u64) -> Result<()> {
    let took = until("every server", seconds(limit), async || {
        Ok(listed(servers).await.is_ok_and(|sums| sums.iter().all(|sum| *sum == count)))
    })
    .await;
    match took {
        Ok(took) => eprintln!("all servers list {count} after {took:?}"),
        Err(error) => {
            let mut fewest = Vec::new();
            for server in servers {
                let counts = server.counts("public").await?;
                let count = |n: usize| counts.get(&("DEFAULT_GROUP".into(), format!("svc-{n}"))).copied().unwrap_or(0);
                let mut all: Vec<_> = (0..counts.len()).map(|n| (count(n), n)).collect();
                all.sort_unstable();
                fewest.push(all.into_iter().take(3).collect::<Vec<_>>());
            }
            let (verified, log) = (node.cli(&["verify", "src-dst-service"])?, node.log());
            return Err(error.context(format!(
                "they list {:?} of {count}; fewest (count, service) {fewest:?}; the task: {:#}; verify: {}; log: {log}",
                listed(servers).await?,
                node.task()?,
                String::from_utf8_lossy(&verified.stdout),
            )));
        }
    }
    Ok(())
}

/// Another bound of what one connection holds.
const BOUND: &str = "CAUSEWAY_INTERNAL_NACOS_CONNECTION_BYTES";

/// The connections that hold our copies in `dst`: records and bytes of each.
fn connections(node: &Node) -> Result<Vec<(u64, u64)>> {
    let clusters: Value = serde_json::from_str(&node.ok(&["get", "clusters", "-o", "json"])?)?;
    let dst = clusters.as_array().into_iter().flatten().find(|cluster| cluster["name"] == "dst");
    let carriers = dst.and_then(|cluster| cluster["carriers"].as_array()).cloned().unwrap_or_default();
    let number = |one: &Value, name: &str| one[name].as_u64().unwrap_or_default();
    ensure!(carriers.iter().all(|one| one["what"] == "connection" && one["id"] != ""), "{carriers:?}");
    Ok(carriers.iter().map(|one| (number(one, "records"), number(one, "bytes"))).collect())
}

/// A 2.5 and a 3.1 that are left running: the shared ones, where somebody has started them.
async fn two_servers() -> Result<[(String, OpenApi); 2]> {
    let at = |version, address: String| -> Result<_> {
        let api = OpenApi::connect(version, &format!("http://{address}/nacos"), None)?;
        Ok((address, api))
    };
    Ok(match (shared(Server::Nacos2), shared(Server::Nacos3)) {
        (Some(a), Some(b)) => [at(NacosVersion::V2_5, a)?, at(NacosVersion::V3_1, b)?],
        _ => {
            let (a, b) = pair().await?;
            [at(NacosVersion::V2_5, a.addr())?, at(NacosVersion::V3_1, b.addr())?]
        }
    })
}

/// Copies on many small connections: their services are handed over, a kill -9 and changed settings are survived, and
/// subscribers see nothing of it.
pub async fn copies_on_many_connections_are_not_seen() -> Result<()> {
    let [(a, at_a), (b, at_b)] = two_servers().await?;
    let ns = &format!("many-{}", std::process::id());
    at_a.create_namespace(ns, "of a test").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a, ns).await?;
    provide(&who, "p", ns, 20, 10).await?;
    let small = [(BOUND, "16384")];
    let node = Node::start_with(&small).await?;
    node.apply(&settings(&a, &b, ns, "Bidirectional"))?;
    until("all copies", seconds(15), async || Ok(total(&at_b, ns, 20).await? == 200)).await?;
    let spread = connections(&node)?;
    ensure!(spread.len() >= 5 && spread.iter().all(|(_, bytes)| *bytes <= 16_384), "{spread:?}");
    ensure!(spread.iter().map(|(records, _)| records).sum::<u64>() == 200, "{spread:?}");
    for n in 0..20 {
        let mut clients = BTreeSet::new();
        for one in instances(10, 20_000) {
            clients
                .extend(at_b.publishers(&service(ns, n), &one.ip, one.port).await?.into_iter().map(|one| one.client));
        }
        ensure!(clients.len() == 1, "service {n} is on {clients:?}");
    }

    let watched: Vec<_> = (0..20).map(|n| service(ns, n)).collect();
    let poller = Poller::start(at_b.clone(), watched.clone());
    let watcher = Backdoor::start().await?;
    watcher.connect("w", &b, ns).await?;
    let mut subscriptions = Vec::new();
    for svc in &watched {
        let subscription = watcher.subscribe("w", svc).await?;
        subscription.wait(seconds(5), |hosts| hosts.len() == 10).await?;
        subscription.forget();
        subscriptions.push(subscription);
    }
    // `cut_over`: service 1, whose providers have come up beside our copies. Until those give way, an address stands there twice.
    let unseen = |grown: usize, cut_over: bool| -> Result<()> {
        let report = poller.report();
        for (n, svc) in watched.iter().enumerate() {
            let seen = &report.services[svc];
            let moved = cut_over && n == 1;
            ensure!(seen.gaps.is_empty() && (moved || seen.doubles.is_empty()), "{svc:?}: {seen:?}");
        }
        let double = report.longest_double(Duration::MAX);
        ensure!(double <= seconds(1), "seen twice for {double:?}");
        for (n, subscription) in subscriptions.iter().enumerate() {
            let counts: Vec<_> = subscription.events().iter().map(|event| event.instances.len()).collect();
            let never_fewer =
                if cut_over && n == 1 { counts.iter().all(|count| *count >= 10) } else { counts.is_sorted() };
            ensure!(never_fewer, "service {n}: {counts:?}");
            ensure!(counts.last() == Some(if n == 0 { &grown } else { &10 }), "service {n}: {counts:?}");
        }
        Ok(())
    };
    // More than fits beside its neighbours.
    who.batch_register("p", &service(ns, 0), &instances(30, 20_000)).await?;
    until("grown", seconds(10), async || Ok(at_b.visible(&service(ns, 0)).await?.len() == 30)).await?;
    pause(5).await;
    let moved = connections(&node)?;
    ensure!(moved.iter().all(|(_, bytes)| *bytes <= 16_384), "{moved:?}");
    ensure!(moved.iter().map(|(records, _)| records).sum::<u64>() == 220, "not withdrawn from the old one: {moved:?}");
    unseen(30, false)?;

    let mut node = node;
    for end in [Node::kill, Node::stop] {
        let (data, port) = end(node)?;
        pause(3).await;
        node = Node::on_with(data, port, &small).await?;
        pause(8).await;
        unseen(30, false)?;
    }
    let again = connections(&node)?;
    ensure!(again.len() >= 5 && again.iter().map(|(records, _)| records).sum::<u64>() == 220, "{again:?}");
    if !causeway_testbed::full() {
        return Ok(());
    }
    // The same server by another name is another connection.
    let other = b.replace("127.0.0.1", "localhost");
    node.apply(&settings(&a, &other, ns, "Bidirectional"))?;
    pause(25).await;
    unseen(30, false)?;
    ensure!(connections(&node)?.iter().map(|(records, _)| records).sum::<u64>() == 220);
    // A cut-over: the providers of a service come up at the destination, and then leave the source.
    watcher.batch_register("w", &service(ns, 1), &instances(10, 20_000)).await?;
    pause(5).await;
    who.batch_deregister("p", &service(ns, 1), &instances(10, 20_000)).await?;
    pause(10).await;
    unseen(30, true)?;
    ensure!(connections(&node)?.iter().map(|(records, _)| records).sum::<u64>() == 210, "copies of what has moved");
    who.batch_register("p", &service(ns, 0), &instances(5, 20_000)).await?;
    until("shrunk", seconds(10), async || Ok(at_b.visible(&service(ns, 0)).await?.len() == 5)).await?;
    Ok(())
}

/// With a bound that is no bound: what all copies on one connection come to, and that it is told.
pub async fn a_connection_that_is_too_full_is_told() -> Result<()> {
    let (cluster, source, who) = estate(NacosVersion::V2_5, 700, 20).await?;
    let servers = apis(&cluster).await?;
    let node = Node::start_with(&[(BOUND, "1000000000")]).await?;
    node.apply(&to_cluster(&source.addr(), &cluster))?;
    until("one server", seconds(60), async || Ok(listed(&servers).await.is_ok_and(|sums| sums.contains(&14_000))))
        .await?;
    pause(15).await;
    let sums = listed(&servers).await?;
    eprintln!("on one connection the servers list {sums:?}");
    ensure!(sums.iter().any(|sum| *sum < 14_000), "all of it reached every server: {sums:?}");
    let verified = node.cli(&["verify", "src-dst-service"])?;
    let said = String::from_utf8_lossy(&verified.stdout);
    ensure!(!verified.status.success(), "{said}");
    let short = servers_of(&cluster, &sums);
    ensure!(short.iter().all(|server| said.contains(server)) && said.contains("svc-"), "{short:?}: {said}");
    let named = async || {
        let reason = node.task()?["reason"].as_str().unwrap_or_default().to_owned();
        Ok(short.iter().any(|server| reason.contains(server)))
    };
    let told = until("the status names it", seconds(100), named).await;
    told.with_context(|| format!("{short:?}: {:?} {:?}", node.task(), node.log()))?;
    eprintln!("{}", node.task()?["reason"]);
    drop(who);
    Ok(())
}

/// The servers that list less than the fullest.
fn servers_of(cluster: &Cluster, sums: &[usize]) -> Vec<String> {
    let most = sums.iter().max().copied().unwrap_or_default();
    cluster.addrs().into_iter().zip(sums).filter(|(_, sum)| **sum < most).map(|(server, _)| server).collect()
}

pub async fn fourteen_thousand_reach_every_server() -> Result<()> {
    reach_every_server(NacosVersion::V2_5).await
}

pub async fn fourteen_thousand_reach_every_server_of_3_1() -> Result<()> {
    reach_every_server(NacosVersion::V3_1).await
}

/// A cluster of three, a server with `services` of `each` providers, and their process.
async fn estate(version: NacosVersion, services: usize, each: usize) -> Result<(Cluster, Nacos, Backdoor)> {
    let cluster = Nacos::cluster_of(version, 3, Options::default()).await?;
    let source = Nacos::start(NacosVersion::V2_5, Options::default()).await?;
    let who = Backdoor::start().await?;
    who.connect("p", &source.addr(), "").await?;
    for n in 0..services {
        who.batch_register("p", &service("public", n), &providers(each)).await?;
    }
    Ok((cluster, source, who))
}

/// Ends a node and starts it again on its data: no look at any server finds a copy missing, until everything is
/// in step again and a while longer.
async fn taken_over(
    node: Node,
    end: fn(Node) -> Result<(Arc<TempDir>, u16)>,
    servers: &[OpenApi],
    count: usize,
) -> Result<Node> {
    let (data, port) = end(node)?;
    pause(3).await;
    let (began, looks, ended) = (Instant::now(), Cell::new(0), Cell::new(false));
    let looking = async {
        while !ended.get() {
            let sums = listed(servers).await?;
            ensure!(sums.iter().all(|sum| *sum >= count), "{sums:?} after {:.1?}", began.elapsed());
            looks.set(looks.get() + 1);
        }
        Ok(())
    };
    let starting = async {
        let node = Node::on(data, port).await?;
        eprintln!("ready again after {:.1?}", began.elapsed());
        until("in step again", seconds(300), async || Ok(node.task()?["state"] == "in-step")).await?;
        eprintln!("in step again after {:.1?}", began.elapsed());
        pause(30).await;
        ended.set(true);
        Ok(node)
    };
    let (node, ()) = tokio::try_join!(starting, looking)?;
    ensure!(node.task()?["state"] == "in-step", "{:?}", node.task());
    eprintln!("taken over without a gap in {} looks", looks.get());
    Ok(node)
}

async fn reach_every_server(version: NacosVersion) -> Result<()> {
    let (cluster, source, who) = estate(version, 700, 20).await?;
    let servers = apis(&cluster).await?;
    let node = Node::start().await?;
    node.apply(&to_cluster(&source.addr(), &cluster))?;
    // 3.1 takes longer, with five servers on one machine.
    everywhere(&node, &servers, 14_000, 120).await?;
    eprintln!("{}", node.ok(&["get", "clusters"])?);
    node.ok(&["verify", "src-dst-service"])?;
    let node = taken_over(node, Node::kill, &servers, 14_000).await?;
    let node = taken_over(node, Node::stop, &servers, 14_000).await?;

    for n in 0..10 {
        who.batch_deregister("p", &service("public", n), &providers(20)).await?;
    }
    everywhere(&node, &servers, 13_800, 60).await?;
    node.ok(&["verify", "src-dst-service"])?;

    // One service larger than a connection; then three times as much in all.
    who.connect("large", &source.addr(), "").await?;
    who.batch_register("large", &service("public", 1_000), &providers(5_000)).await?;
    everywhere(&node, &servers, 18_800, 60).await?;
    for n in 0..10 {
        who.batch_register("p", &service("public", n), &providers(20)).await?;
    }
    who.connect("more", &source.addr(), "").await?;
    for n in 0..1_400 {
        who.batch_register("more", &service("public", 2_000 + n), &providers(20)).await?;
    }
    everywhere(&node, &servers, 47_000, 120).await?;
    eprintln!("{}", node.ok(&["get", "clusters"])?);
    // Five servers share this machine: a server that is still busy does not answer in time, and verify says so.
    let said = Cell::new(String::new());
    let verified = until("verify", seconds(240), async || {
        let output = node.cli(&["verify", "src-dst-service"])?;
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        said.set(out + &err);
        Ok(output.status.success())
    })
    .await;
    verified.with_context(|| said.take())?;
    who.close("large").await?;
    everywhere(&node, &servers, 42_000, 30).await?;
    ensure!(node.number("pending")? == 0);
    Ok(())
}
