//! Records of one service that cannot all stand in the destination as they are: persistent beside ephemeral ones, two
//! at one address.

use crate::estate::{Shared, namespace_at, pause, seconds, shared_nacos, until};
use crate::node::Node;
use crate::zk::provider_node;
use crate::zk_estate::{Land, cluster, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Instance, Server, ServiceName, ZkClient, ZkNode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant as Clock};

/// One estate in ZooKeeper, copied to a namespace of Nacos 2 and of Nacos 3, and from the first of them home to another
/// ZooKeeper.
struct Estate {
    land: Land,
    two: Shared,
    three: Shared,
    space: String,
    node: Node,
}

impl Estate {
    async fn new(name: &str) -> Result<Self> {
        let land = Land::new(name).await?;
        let (two, three) = (shared_nacos(Server::Nacos2).await?, shared_nacos(Server::Nacos3).await?);
        let space = namespace_at(&[&two, &three], name).await?;
        let node = Node::start().await?;
        let nacos =
            |cluster_name, at: &Shared| cluster(cluster_name, "NACOS", &at.address, &format!(", namespace: {space}"));
        let clusters = [
            cluster("zk", "ZK", &land.a(), ""),
            nacos("two", &two),
            nacos("three", &three),
            cluster("home", "ZK", &land.b(), ""),
        ];
        let tasks =
            [("zk", "two"), ("zk", "three"), ("two", "home")].map(|(from, to)| task(from, to, "Unidirectional"));
        node.apply(&settings(&clusters, &tasks))?;
        Ok(Self { land, two, three, space, node })
    }

    fn service(&self, interface: &str) -> ServiceName {
        ServiceName::new(&self.space, "DEFAULT_GROUP", &format!("providers:{interface}::"))
    }

    /// Makes a provider's znode, and answers its path.
    async fn put(&self, interface: &str, port: u16, ephemeral: bool) -> Result<String> {
        let (folder, name) = provider_node(interface, "127.0.0.1", port, "");
        let path = format!("{folder}/{name}");
        put(&self.land.at_a, &path, ephemeral).await?;
        Ok(path)
    }

    /// Waits until both Nacos show exactly these ports to consumers.
    async fn show(&self, interface: &str, ports: &[u16], limit: Duration) -> Result<Duration> {
        let service = self.service(interface);
        let seen = async |at: &Shared| -> Result<Vec<u16>> {
            let mut ports: Vec<_> = at.api.visible(&service).await?.iter().map(|one| one.port).collect();
            ports.sort_unstable();
            Ok(ports)
        };
        let what = format!("{interface} shows {ports:?}");
        let done =
            until(&what, limit, async || Ok(seen(&self.two).await? == ports && seen(&self.three).await? == ports))
                .await;
        let (two, three) = (seen(&self.two).await?, seen(&self.three).await?);
        done.with_context(|| format!("2.5 shows {two:?}, 3.1 {three:?}; {}", self.node.log()))
    }

    /// The znodes of an interface that came home, and whether each is ephemeral.
    async fn home(&self, interface: &str) -> Result<BTreeMap<String, bool>> {
        let folder = format!("/dubbo/{interface}/providers");
        if self.land.at_b.get(&folder).await?.is_none() {
            return Ok(BTreeMap::new());
        }
        let all = self.land.at_b.walk(&folder).await?.0;
        Ok(all.into_iter().filter(|(path, _)| *path != folder).map(|(path, at)| (path, at.ephemeral())).collect())
    }
}

async fn put(who: &ZkClient, path: &str, ephemeral: bool) -> Result<()> {
    let mut at = String::new();
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    for part in &parts[..parts.len() - 1] {
        at = format!("{at}/{part}");
        if who.get(&at).await?.is_none() {
            who.create(&at, "").await?;
        }
    }
    let node = if ephemeral { ZkNode::ephemeral(path, "127.0.0.1") } else { ZkNode::new(path, "127.0.0.1") };
    who.create_node(&node).await.map(drop)
}

fn verify(node: &Node, task: &str) -> Result<(bool, Value)> {
    let output = node.cli(&["verify", task, "-o", "json"])?;
    let report =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.code() == Some(0), report))
}

/// Static (persistent) and live (ephemeral) providers of one interface, in every order of coming and going.
pub async fn static_and_live_providers_stand_together() -> Result<()> {
    let estate = Estate::new("static-and-live").await?;
    let (first, last, only) = ("com.acme.StaticFirst", "com.acme.StaticLast", "com.acme.StaticOnly");
    let static_first = estate.put(first, 20880, false).await?;
    estate.put(first, 20881, true).await?;
    estate.put(first, 20882, true).await?;
    let mut live = vec![estate.put(last, 20891, true).await?, estate.put(last, 20892, true).await?];
    estate.put(last, 20899, false).await?;
    estate.put(only, 20870, false).await?;
    for (interface, ports) in [(first, &[20880, 20881, 20882][..]), (last, &[20891, 20892, 20899]), (only, &[20870])] {
        let took = estate.show(interface, ports, seconds(15)).await?;
        eprintln!("{interface}: {took:?}");
    }
    for at in [&estate.two, &estate.three] {
        let all = at.api.all(&estate.service(only)).await?;
        ensure!(all.len() == 1 && !all[0].ephemeral, "a static one alone stays persistent: {all:?}");
    }
    // Home again each is what it was.
    let is_static = |path: &str| ["20880", "20899", "20870"].iter().any(|port| path.contains(port));
    for (interface, count) in [(first, 3), (last, 3), (only, 1)] {
        until("home again", seconds(10), async || Ok(estate.home(interface).await?.len() == count)).await?;
        for (path, ephemeral) in estate.home(interface).await? {
            ensure!(ephemeral != is_static(&path), "{path} is ephemeral: {ephemeral}");
        }
    }
    for task in ["zk-two-service", "zk-three-service", "two-home-service"] {
        let (same, report) = verify(&estate.node, task)?;
        ensure!(same, "{report:#}");
    }

    // The static one goes, the others stay.
    estate.land.at_a.delete(&static_first).await?;
    estate.show(first, &[20881, 20882], seconds(10)).await?;
    // The live ones go, and the static one is never missed.
    for path in live.drain(..) {
        estate.land.at_a.delete(&path).await?;
    }
    let until_then = Clock::now() + seconds(5);
    while Clock::now() < until_then {
        for at in [&estate.two, &estate.three] {
            let there = at.api.visible(&estate.service(last)).await?;
            ensure!(there.iter().any(|one| one.port == 20899), "the static one is missed: {there:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    estate.show(last, &[20899], seconds(10)).await?;
    // A live one comes to one that stands as persistent.
    estate.put(only, 20871, true).await?;
    let took = estate.show(only, &[20870, 20871], seconds(15)).await?;
    eprintln!("a live one beside a static one that was alone: {took:?}");
    Ok(())
}

/// Two URLs at one address: both stand where they differ in protocol, else the newer one.
pub async fn two_urls_at_one_address() -> Result<()> {
    let estate = Estate::new("two-urls").await?;
    let interface = "com.acme.Twice";
    let folder = format!("/dubbo/{interface}/providers");
    let url = |protocol: &str, port: u16, stamp: u64| {
        let text = format!(
            "{protocol}://127.0.0.1:{port}/{interface}?application=lab&interface={interface}&side=provider&timestamp={stamp}"
        );
        let escaped = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'*' => (byte as char).to_string(),
            other => format!("%{other:02X}"),
        });
        format!("{folder}/{}", escaped.collect::<String>())
    };
    let both = [url("tri", 50051, 1_795_308_602_008), url("rest", 50051, 1_795_308_602_009)];
    let (stale, new) = (url("tri", 50052, 1_795_308_000_000), url("tri", 50052, 1_795_308_602_010));
    for path in both.iter().chain([&new, &stale]) {
        put(&estate.land.at_a, path, true).await?;
    }
    let service = estate.service(interface);
    let shown = async |at: &Shared| -> Result<Vec<(u16, String, String)>> {
        let all = at.api.visible(&service).await?;
        let key = |one: &Instance, key: &str| one.metadata.get(key).cloned().unwrap_or_default();
        let mut all: Vec<_> = all.iter().map(|one| (one.port, key(one, "protocol"), key(one, "timestamp"))).collect();
        all.sort();
        Ok(all)
    };
    let row = |port, protocol: &str, stamp: u64| (port, protocol.to_owned(), stamp.to_string());
    let wanted = vec![
        row(50051, "rest", 1_795_308_602_009),
        row(50051, "tri", 1_795_308_602_008),
        row(50052, "tri", 1_795_308_602_010),
    ];
    for at in [&estate.two, &estate.three] {
        let done = until("both protocols", seconds(15), async || Ok(shown(at).await? == wanted)).await;
        let there = shown(at).await?;
        done.with_context(|| format!("{there:#?}"))?;
    }
    // What is left alone is said, by the task and by the comparison.
    let reason = "another record of its task";
    until("said", seconds(10), async || Ok(estate.node.ok(&["get", "tasks", "-o", "json"])?.contains(reason))).await?;
    let (same, report) = verify(&estate.node, "zk-two-service")?;
    ensure!(!same && report["count"] == 1 && report.to_string().contains(reason), "{report:#}");
    until("home again", seconds(10), async || Ok(estate.home(interface).await?.len() == 3)).await?;
    let home = estate.home(interface).await?;
    ensure!(both.iter().chain([&new]).all(|path| home.contains_key(path)), "{home:#?}");

    // The newer one goes: the other takes its place. One of two protocols goes: the other stays where it is, unseen.
    estate.land.at_a.delete(&new).await?;
    estate.land.at_a.delete(&both[0]).await?;
    let wanted = vec![row(50051, "rest", 1_795_308_602_009), row(50052, "tri", 1_795_308_000_000)];
    let began = Clock::now();
    for at in [&estate.two, &estate.three] {
        let done = until("what is left", seconds(10), async || {
            let there = shown(at).await?;
            ensure!(there.contains(&wanted[0]), "the other protocol is missed: {there:?}");
            Ok(there == wanted)
        })
        .await;
        let there = shown(at).await?;
        done.with_context(|| format!("{there:#?}"))?;
    }
    eprintln!("what is left after {:?}", began.elapsed());
    pause(2).await;
    let (same, report) = verify(&estate.node, "zk-two-service")?;
    ensure!(same, "{report:#}");
    Ok(())
}
