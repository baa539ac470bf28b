//! Consul and Nacos, either way and both: what providers do in one is what consumers of the other see.

use crate::estate::{Shared, instances, namespace_at, pause, seconds, shared_nacos, until};
use crate::node::Node;
use crate::zk_estate::{cluster, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Consul, ConsulApi, ConsulRow, ConsulSetup, Instance, Server, ServiceName};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Clock};
use tokio::task::JoinSet;

/// A token of a test's own.
const TOKEN: &str = "7d0c9e42-2f51-4a07-b1f4-0d9b8f7a6c01";
const READS: &str = "node_prefix \"\" { policy = \"read\" }\nservice_prefix \"\" { policy = \"read\" }\n";

/// A Consul, a namespace of a Nacos, and a node between them.
struct Estate {
    consul: Consul,
    api: ConsulApi,
    nacos: Shared,
    space: String,
    node: Node,
    more: String,
}

impl Estate {
    /// `more`: further keys of the Consul cluster, each behind a comma.
    async fn new(name: &str, setup: ConsulSetup, more: &str) -> Result<Self> {
        let consul = Consul::start(setup).await?;
        let (api, nacos) = (consul.api()?, shared_nacos(Server::Nacos2).await?);
        let space = namespace_at(&[&nacos], name).await?;
        Ok(Self { consul, api, nacos, space, node: Node::start().await?, more: more.to_owned() })
    }

    fn apply(&self, tasks: &[String]) -> Result<()> {
        let clusters = [
            cluster("consul", "CONSUL", &self.consul.addr(), &self.more),
            cluster("nacos", "NACOS", &self.nacos.address, &format!(", namespace: {}", self.space)),
        ];
        self.node.apply(&settings(&clusters, tasks))
    }

    fn service(&self, name: &str) -> ServiceName {
        ServiceName::new(&self.space, "DEFAULT_GROUP", name)
    }

    /// What consumers of Nacos see of a service, by port.
    async fn seen(&self, name: &str) -> Result<BTreeMap<u16, Instance>> {
        let all = self.nacos.api.visible(&self.service(name)).await?;
        Ok(all.into_iter().map(|one| (one.port, one)).collect())
    }

    /// Waits until consumers of Nacos see exactly these ports.
    async fn shows(&self, name: &str, ports: &[u16], limit: Duration) -> Result<Duration> {
        let wanted: Vec<u16> = ports.to_vec();
        let look = async || Ok(self.seen(name).await?.into_keys().eq(wanted.iter().copied()));
        let done = until(&format!("{name} shows {ports:?} in Nacos"), limit, look).await;
        done.with_context(|| self.node.log())
    }

    /// Waits until consumers of Consul see exactly these ports.
    async fn consul_shows(&self, name: &str, ports: &[u16], limit: Duration) -> Result<Duration> {
        let look = async || {
            let mut seen: Vec<_> = self.api.visible(name).await?.into_iter().map(|row| row.port).collect();
            seen.sort_unstable();
            Ok(seen == ports)
        };
        let done = until(&format!("{name} shows {ports:?} in Consul"), limit, look).await;
        done.with_context(|| format!("{:?} {}", self.node.task(), self.node.log()))
    }

    /// No consumer of Nacos misses this port of a service for so long.
    async fn stays(&self, name: &str, ports: &[u16], time: Duration) -> Result<()> {
        let end = Clock::now() + time;
        while Clock::now() < end {
            let seen = self.seen(name).await?;
            ensure!(ports.iter().all(|port| seen.contains_key(port)), "{name} lacks some of {ports:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn verify(&self, task: &str) -> Result<()> {
        let output = self.node.cli(&["verify", task, "-o", "json"])?;
        ensure!(output.status.success(), "{task}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }
}

/// Both ways: what each side can hold travels, what dies goes, and a drain leaves what is native.
pub async fn both_ways_with_nacos() -> Result<()> {
    let estate = Estate::new("consul-both-ways", ConsulSetup::default(), "").await?;
    let (api, nacos) = (&estate.api, &estate.nacos.api);
    for n in 0..4 {
        let mut row = ConsulRow::new(&format!("web-{n}"), "127.0.0.1", 8001);
        row.tags = vec!["canary".into(), "v=2".into()];
        row.meta = [("zone".into(), "a".into())].into();
        row.weight = 3;
        api.register("node-a", &row).await?;
        api.register("node-b", &ConsulRow::new(&format!("web-{n}"), "127.0.0.1", 8002)).await?;
        let there = Instance::new("127.0.0.1", 9001).with("a.b", "dots").with("zone", "n");
        nacos.register(&estate.service(&format!("Order-{n}")), &there).await?;
    }
    estate.apply(&[task("consul", "nacos", "Bidirectional")])?;
    for n in 0..4 {
        estate.shows(&format!("web-{n}"), &[8001, 8002], seconds(15)).await?;
        estate.consul_shows(&format!("Order-{n}"), &[9001], seconds(15)).await?;
    }
    let seen = estate.seen("web-0").await?;
    let first = &seen[&8001];
    ensure!(first.metadata["zone"] == "a" && first.metadata["consul.tags"] == r#"["canary","v=2"]"#, "{first:?}");
    ensure!(first.weight == 3.0, "{first:?}");

    // Metadata, tags and weights travel on.
    let mut row = ConsulRow::new("web-0", "127.0.0.1", 8001);
    (row.tags, row.weight) = (vec!["stable".into()], 7);
    row.meta = [("zone".into(), "b".into())].into();
    api.register("node-a", &row).await?;
    let changed = async || {
        let seen = estate.seen("web-0").await?;
        Ok(seen.get(&8001).is_some_and(|one| {
            one.metadata.get("zone").is_some_and(|zone| zone == "b")
                && one.metadata.get("consul.tags").is_some_and(|tags| tags == r#"["stable"]"#)
                && one.weight == 7.0
        }))
    };
    eprintln!("a change of Consul in Nacos after {:?}", until("the change", seconds(5), changed).await?);
    let changed = Instance::new("127.0.0.1", 9001).with("a.b", "more dots");
    nacos.register(&estate.service("Order-0"), &changed).await?;
    let arrived = async || {
        let all = api.all("Order-0").await?;
        Ok(all.iter().any(|(_, row)| row.meta.values().any(|text| text.contains("more dots"))))
    };
    eprintln!("a change of Nacos in Consul after {:?}", until("the change", seconds(5), arrived).await?);

    // One dies on each side.
    api.deregister("node-b", "web-1-127.0.0.1-8002").await?;
    estate.shows("web-1", &[8001], seconds(5)).await?;
    nacos.deregister(&estate.service("Order-1"), &Instance::new("127.0.0.1", 9001)).await?;
    estate.consul_shows("Order-1", &[], seconds(10)).await?;
    estate.verify("consul-nacos-service")?;

    // Nothing comes back to where it was born.
    pause(3).await;
    ensure!(api.all("web-0").await?.len() == 2, "an echo: {:?}", api.all("web-0").await?);
    estate.node.ok(&["drain", "consul-nacos-service", "--yes"])?;
    for n in 0..4 {
        estate.shows(&format!("web-{n}"), &[], seconds(15)).await?;
        estate.consul_shows(&format!("Order-{n}"), &[], seconds(15)).await?;
    }
    ensure!(
        api.all("web-0").await?.len() == 2 && !estate.seen("Order-0").await?.is_empty(),
        "what is native was touched"
    );
    Ok(())
}

/// A check that turns critical is followed as fast as Consul shows it, and only that service is read for it.
pub async fn a_check_turns_critical() -> Result<()> {
    let estate = Estate::new("consul-check", ConsulSetup::default(), "").await?;
    let body = json!({"ID": "live", "Name": "live", "Address": "127.0.0.1", "Port": 8100,
        "Check": {"CheckID": "beat", "TTL": "2s", "Status": "passing"}});
    let beat = async || estate.api.call(Method::PUT, "/v1/agent/check/pass/beat", None).await;
    estate.api.call(Method::PUT, "/v1/agent/service/register", Some(&body)).await?;
    estate.apply(&[task("consul", "nacos", "Unidirectional")])?;
    let end = Clock::now() + seconds(15);
    while estate.seen("live").await?.is_empty() {
        beat().await?;
        ensure!(Clock::now() < end, "it does not arrive: {}", estate.node.log());
        pause(1).await;
    }
    estate.shows("live", &[8100], seconds(15)).await?;
    // No more beats.
    until("Consul's own answer", seconds(10), async || Ok(estate.api.visible("live").await?.is_empty())).await?;
    let took = estate.shows("live", &[], seconds(5)).await?;
    eprintln!("critical in Consul, gone in Nacos after {took:?}");
    ensure!(took < seconds(1), "{took:?} after Consul's own answer");
    beat().await?;
    let took = estate.shows("live", &[8100], seconds(5)).await?;
    eprintln!("passing in Consul, back in Nacos after {took:?}");
    Ok(())
}

/// A token that is revoked, or may read nothing any more, empties nothing; when it may again, all goes on.
pub async fn a_token_that_is_lost_empties_nothing() -> Result<()> {
    let setup = ConsulSetup { acl: true, ..ConsulSetup::default() };
    let estate = Estate::new("consul-token", setup, &format!(", token: {TOKEN}")).await?;
    let api = &estate.api;
    api.allow(TOKEN, READS).await?;
    for (n, name) in (0..).zip(["web", "shop", "till"]) {
        api.register("node-a", &ConsulRow::new(name, "127.0.0.1", 8200 + n)).await?;
    }
    estate.apply(&[task("consul", "nacos", "Unidirectional")])?;
    for (n, name) in (0..).zip(["web", "shop", "till"]) {
        estate.shows(name, &[8200 + n], seconds(15)).await?;
    }
    pause(3).await;
    let all_stay = async |time: u64| -> Result<()> {
        let (web, shop, till) = (
            estate.stays("web", &[8200], seconds(time)),
            estate.stays("shop", &[8201], seconds(time)),
            estate.stays("till", &[8202], seconds(time)),
        );
        tokio::try_join!(web, shop, till).map(drop)
    };

    // One service is closed to us, then all of them: Consul answers 200 with less, then with nothing.
    api.allow(TOKEN, &format!("{READS}service \"shop\" {{ policy = \"deny\" }}\n")).await?;
    api.register("node-a", &ConsulRow::new("web", "127.0.0.1", 8300)).await?;
    estate.shows("web", &[8200, 8300], seconds(5)).await?;
    all_stay(4).await?;
    api.allow(TOKEN, "key_prefix \"\" { policy = \"read\" }\n").await?;
    api.register("node-a", &ConsulRow::new("web", "127.0.0.1", 8301)).await?;
    all_stay(6).await?;
    let said = async || Ok(estate.node.ok(&["get", "tasks", "-o", "json"])?.contains("may read nothing"));
    until("that nothing may be read", seconds(10), said).await.with_context(|| estate.node.log())?;

    // Back, then gone altogether.
    api.allow(TOKEN, READS).await?;
    estate.shows("web", &[8200, 8300, 8301], seconds(15)).await?;
    api.revoke(TOKEN).await?;
    api.deregister("node-a", "till-127.0.0.1-8202").await?;
    all_stay(6).await?;
    let said = async || Ok(estate.node.ok(&["get", "tasks", "-o", "json"])?.contains("ACL not found"));
    until("that the token is none", seconds(30), said).await.with_context(|| estate.node.log())?;
    ensure!(!estate.node.whole_log().contains(TOKEN), "the token stands in the log");
    Ok(())
}

/// A Consul that hangs, is killed, or comes back without its data empties nothing.
pub async fn outages_lose_nothing() -> Result<()> {
    let setup = ConsulSetup { persists: true, ..ConsulSetup::default() };
    let estate = Estate::new("consul-outages", setup, "").await?;
    let (api, names) = (&estate.api, ["web", "shop", "till"]);
    for (n, name) in (0..).zip(names) {
        api.register("node-a", &ConsulRow::new(name, "127.0.0.1", 8400 + n)).await?;
    }
    estate.apply(&[task("consul", "nacos", "Unidirectional")])?;
    for (n, name) in (0..).zip(names) {
        estate.shows(name, &[8400 + n], seconds(15)).await?;
    }
    pause(3).await;
    estate.consul.pause()?;
    estate.stays("web", &[8400], seconds(40)).await?;
    estate.consul.resume()?;
    api.register("node-a", &ConsulRow::new("web", "127.0.0.1", 8500)).await?;
    let took = estate.shows("web", &[8400, 8500], seconds(30)).await?;
    eprintln!("a change after a server that hung: {took:?}");

    estate.consul.kill9()?;
    estate.stays("web", &[8400, 8500], seconds(5)).await?;
    estate.consul.start_again().await?;
    api.deregister("node-a", "web-127.0.0.1-8400").await?;
    estate.shows("web", &[8500], seconds(40)).await?;

    // Another life of the server: its index begins anew, and its catalog is empty.
    estate.consul.kill9()?;
    estate.consul.wipe()?;
    estate.consul.start_again().await?;
    let (web, shop) = (estate.stays("web", &[8500], seconds(15)), estate.stays("shop", &[8401], seconds(15)));
    tokio::try_join!(web, shop)?;
    let held = async || Ok(estate.node.number("held")? == 3);
    until("three are held", seconds(30), held).await.with_context(|| estate.node.log())?;
    for (port, name) in [(8500, "web"), (8401, "shop"), (8402, "till")] {
        api.register("node-a", &ConsulRow::new(name, "127.0.0.1", port)).await?;
    }
    until("in step again", seconds(40), async || Ok(estate.verify("consul-nacos-service").is_ok())).await?;
    Ok(())
}

/// A provider moves from Consul to Nacos at its address: consumers of Nacos always see it, and no removal of ours hits it.
pub async fn a_provider_moves() -> Result<()> {
    let estate = Estate::new("consul-moves", ConsulSetup::default(), "").await?;
    let row = ConsulRow::new("web", "127.0.0.1", 8600);
    estate.api.register("node-a", &row).await?;
    estate.apply(&[task("consul", "nacos", "Bidirectional")])?;
    estate.shows("web", &[8600], seconds(15)).await?;
    pause(3).await;
    let moves = async {
        // It comes there before it goes here.
        let native = Instance::new("127.0.0.1", 8600);
        estate.nacos.api.register(&estate.service("web"), &native).await?;
        pause(3).await;
        estate.api.deregister("node-a", &row.id).await?;
        // Its own beats keep it.
        for _ in 0..6 {
            estate.nacos.api.beat(&estate.service("web"), &native).await?;
            pause(1).await;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(moves, estate.stays("web", &[8600], seconds(9)))?;
    estate.consul_shows("web", &[8600], seconds(10)).await?;
    let all = estate.api.all("web").await?;
    ensure!(all.len() == 1 && all[0].0.starts_with("causeway-"), "{all:?}");
    Ok(())
}

/// kill -9 of our node, and back: who asks Consul finds our copies all the time, in the catalog and at an agent.
pub async fn a_restart_of_ours_is_not_seen() -> Result<()> {
    for (name, more) in [("catalog", ""), ("agent", ", consul: {destination: agent, checkTtl: 15s}")] {
        let estate = Estate::new(&format!("consul-restart-{name}"), ConsulSetup::default(), more).await?;
        let who = Backdoor::start().await?;
        who.connect("p", &estate.nacos.address, &estate.space).await?;
        for n in 0..20 {
            who.batch_register("p", &estate.service(&format!("held-{n}")), &instances(3, 9701)).await?;
        }
        estate.apply(&[task("nacos", "consul", "Unidirectional")])?;
        for n in 0..20 {
            estate.consul_shows(&format!("held-{n}"), &[9701, 9702, 9703], seconds(20)).await?;
        }
        let looks = Arc::<AtomicUsize>::default();
        let (api, counted) = (estate.api.clone(), looks.clone());
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            for n in (0..20).cycle() {
                let service = format!("held-{n}");
                let seen = api.visible(&service).await?;
                ensure!(seen.len() == 3, "{service} shows {seen:?}");
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(())
        });
        let Estate { node, consul: _server, .. } = estate;
        let mut node = node;
        for _ in 0..2 {
            let (data, port) = node.kill()?;
            pause(6).await;
            node = Node::on(data, port).await?;
            pause(8).await;
        }
        ensure!(watching.try_join_next().is_none(), "{:?}", watching.join_next().await);
        eprintln!("{name}: {} looks, nothing missing", looks.load(Ordering::Relaxed));
    }
    Ok(())
}

/// Each data centre is a cluster of its own, at the same servers; where one of them is away, only that one is.
pub async fn two_data_centres() -> Result<()> {
    let setup = ConsulSetup { joins: Some(String::new()), ..ConsulSetup::default() };
    let estate = Estate::new("consul-dcs", setup, "").await?;
    let setup = ConsulSetup {
        datacenter: Some("dc2".into()),
        joins: Some(estate.consul.wide_addr()),
        persists: true,
        ..ConsulSetup::default()
    };
    let far = Consul::start(setup).await?;
    let at_far = far.api()?;
    let known = async || {
        let all = estate.api.call(Method::GET, "/v1/catalog/datacenters", None).await?;
        Ok(all.as_array().is_some_and(|all| all.len() == 2))
    };
    until("the data centres know each other", seconds(40), known).await?;
    estate.api.register("node-a", &ConsulRow::new("web", "127.0.0.1", 8701)).await?;
    at_far.register("node-z", &ConsulRow::new("web", "127.0.0.2", 8702)).await?;
    at_far.register("node-z", &ConsulRow::new("far", "127.0.0.2", 8703)).await?;
    let clusters = [
        cluster("near", "CONSUL", &estate.consul.addr(), ""),
        cluster("far", "CONSUL", &estate.consul.addr(), ", consul: {datacenter: dc2}"),
        cluster("nacos", "NACOS", &estate.nacos.address, &format!(", namespace: {}", estate.space)),
    ];
    let tasks = [task("near", "far", "Bidirectional"), task("near", "nacos", "Unidirectional")];
    estate.node.apply(&settings(&clusters, &tasks))?;
    let both = async |api: &ConsulApi| {
        let mut ports: Vec<_> = api.visible("web").await?.into_iter().map(|row| row.port).collect();
        ports.sort_unstable();
        Ok(ports == [8701, 8702])
    };
    until("both in dc1", seconds(20), async || both(&estate.api).await).await.with_context(|| estate.node.log())?;
    until("both in dc2", seconds(20), async || both(&at_far).await).await.with_context(|| estate.node.log())?;
    // What came from dc2 goes on from dc1.
    estate.shows("web", &[8701, 8702], seconds(20)).await?;
    estate.shows("far", &[8703], seconds(20)).await?;

    // dc2 is away: what came from there stays, and dc1 goes on.
    far.kill9()?;
    pause(3).await;
    estate.api.register("node-a", &ConsulRow::new("web", "127.0.0.1", 8704)).await?;
    estate.shows("web", &[8701, 8702, 8704], seconds(10)).await?;
    tokio::try_join!(estate.stays("web", &[8701, 8702, 8704], seconds(8)), estate.stays("far", &[8703], seconds(8)))?;
    far.start_again().await?;
    let arrived = async || Ok(at_far.visible("web").await.is_ok_and(|all| all.len() == 3));
    until("dc2 again", seconds(60), arrived).await.with_context(|| estate.node.log())?;
    until("in step", seconds(40), async || Ok(estate.verify("near-far-service").is_ok())).await?;
    Ok(())
}
