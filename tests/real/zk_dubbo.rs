//! Real Dubbo providers that are called by real consumers over another registry than their own, interface by interface.

use crate::estate::{namespace, pair, pause, seconds, until};
use crate::node::Node;
use crate::zk_estate::{Land, cluster, folder, grown, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{DUBBO_HOST, DubboConsumer, DubboProvider, GREETER, Nacos, ServiceName};
use std::collections::BTreeSet;

type Keys<'a> = &'a [(&'a str, &'a str)];

const GROUP_AND_VERSION: [(&str, &str); 2] = [("group", "g1"), ("version", "1.0.0")];

/// A provider of Dubbo's interface level.
async fn provider(registry: &str, keys: Keys<'_>) -> Result<DubboProvider> {
    DubboProvider::start(registry, &[&[("mode", "interface")], keys].concat()).await
}

/// A consumer that looks at Dubbo's interface level alone.
async fn consumer(registry: &str, keys: Keys<'_>) -> Result<DubboConsumer> {
    DubboConsumer::start(registry, &[&[("migration", "FORCE_INTERFACE")], keys].concat()).await
}

/// A namespace of a Nacos as a registry of Dubbo's.
fn registry(nacos: &Nacos, namespace: &str) -> String {
    format!("nacos://{}?namespace={namespace}", nacos.addr())
}

/// The same namespace as a cluster's line in settings.
fn nacos_cluster(nacos: &Nacos, namespace: &str) -> String {
    cluster("nacos", "NACOS", &nacos.addr(), &format!(", namespace: {namespace}"))
}

/// Waits until the consumer has nobody to call and knows none of these ports any more: it does not call them in vain.
/// After a session has expired a busy consumer was seen to take 5 s more for a changed list.
async fn nobody(consumer: &DubboConsumer, ports: &[u16]) -> Result<()> {
    let told = async || {
        let last = consumer.report().calls.pop().and_then(|call| call.answer.err());
        let unknown = |error: &str| ports.iter().all(|port| !error.contains(&format!("{DUBBO_HOST}:{port}")));
        Ok(last.is_some_and(|error| error.contains("No provider available") && unknown(&error)))
    };
    let found = until("no provider", seconds(25), told).await;
    found.map(drop).with_context(|| format!("{:?}", consumer.report().calls.last()))
}

/// Group, version, weight and tag; providers that come, leave and crash.
pub async fn by_interface() -> Result<()> {
    let land = Land::new("by-interface").await?;
    let node = Node::start().await?;
    let clusters = [cluster("src", "ZK", &land.a(), ""), cluster("dst", "ZOOKEEPER", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("src", "dst", "Unidirectional")]))?;

    let keys = GROUP_AND_VERSION;
    let with = |key, value| [&keys[..], &[(key, value)]].concat();
    let (heavy, gray) = (with("weight", "150"), with("tag", "gray"));
    let (a, b) = (land.dubbo_a(), land.dubbo_b());
    let (one, tagged) = tokio::try_join!(provider(&a, &heavy), provider(&a, &gray))?;
    let native = grown(&land.at_a, &folder(), 2, seconds(5)).await?;
    ensure!(native.keys().any(|path| path.contains("weight%3D150")), "{native:#?}");
    ensure!(native.keys().any(|path| path.contains("dubbo.tag%3Dgray")), "{native:#?}");
    ensure!(grown(&land.at_b, &folder(), 2, seconds(5)).await? == native);

    let (plain, of_gray) = tokio::try_join!(consumer(&b, &keys), consumer(&b, &gray))?;
    plain.wait_for(&[one.port()], seconds(20)).await?;
    of_gray.wait_for(&[tagged.port()], seconds(20)).await?;
    let two = provider(&a, &keys).await?;
    plain.wait_for(&[one.port(), two.port()], seconds(10)).await?;
    let called = plain.report().answers();
    ensure!(!called.contains_key(&tagged.port()), "without a tag: {called:?}");
    of_gray.stop().await?;

    plain.forget();
    one.stop().await?;
    plain.wait_for(&[two.port()], seconds(5)).await?;
    ensure!(plain.errors() == 0, "one that left was called: {:?}", plain.report().errors());
    two.kill9()?;
    nobody(&plain, &[one.port(), two.port()]).await?;
    let left = grown(&land.at_b, &folder(), 1, seconds(1)).await?;
    ensure!(left.keys().all(|path| path.contains("dubbo.tag%3Dgray")), "{left:#?}");
    Ok(())
}

/// From ZooKeeper to Nacos, where a consumer calls, and from there to another ZooKeeper.
pub async fn over_nacos_and_home_again() -> Result<()> {
    let land = Land::new("over-nacos").await?;
    let (nacos, _) = pair().await?;
    namespace(&[nacos], "zk-over").await?;
    let node = Node::start().await?;
    let clusters =
        [cluster("a", "ZK", &land.a(), ""), nacos_cluster(nacos, "zk-over"), cluster("b", "ZK", &land.b(), "")];
    let tasks = [task("a", "nacos", "Unidirectional"), task("nacos", "b", "Unidirectional")];
    node.apply(&settings(&clusters, &tasks))?;

    let a = land.dubbo_a();
    let (keys, bare) = ([&GROUP_AND_VERSION[..], &[("weight", "50")]].concat(), [("version", "2.0.0")]);
    let (one, other) = tokio::try_join!(provider(&a, &keys), provider(&a, &bare))?;
    let native = grown(&land.at_a, &folder(), 2, seconds(5)).await?;
    ensure!(grown(&land.at_b, &folder(), 2, seconds(10)).await? == native, "home again byte for byte");
    let at_nacos = nacos.open_api().await?;
    let names: BTreeSet<_> = at_nacos.services("zk-over").await?.into_iter().map(|(_, name)| name).collect();
    let wanted = [format!("providers:{GREETER}:1.0.0:g1"), format!("providers:{GREETER}:2.0.0:")];
    ensure!(names == wanted.clone().into(), "{names:?}");
    let service = ServiceName::new("zk-over", "DEFAULT_GROUP", &wanted[0]);
    let copies = at_nacos.visible(&service).await?;
    let copy = copies.first().context("no copy")?;
    ensure!(copies.len() == 1 && (copy.ip.as_str(), copy.port) == (DUBBO_HOST, one.port()), "{copies:?}");
    ensure!(copy.weight == 0.5 && copy.metadata["weight"] == "50" && copy.ephemeral, "{copy:?}");

    let (at_n, at_b) = (registry(nacos, "zk-over"), land.dubbo_b());
    let (there, home) = tokio::try_join!(consumer(&at_n, &GROUP_AND_VERSION), consumer(&at_b, &bare))?;
    there.wait_for(&[one.port()], seconds(20)).await?;
    home.wait_for(&[other.port()], seconds(20)).await?;
    let two = provider(&a, &GROUP_AND_VERSION).await?;
    there.wait_for(&[one.port(), two.port()], seconds(10)).await?;
    there.forget();
    two.stop().await?;
    there.wait_for(&[one.port()], seconds(5)).await?;
    ensure!(there.errors() == 0, "one that left was called: {:?}", there.report().errors());
    one.kill9()?;
    other.kill9()?;
    let ports = [one.port(), two.port(), other.port()];
    tokio::try_join!(nobody(&there, &ports), nobody(&home, &ports))?;
    Ok(())
}

/// Providers on both sides, consumers on both sides, and nothing comes back to where it was born.
pub async fn both_ways_with_nacos() -> Result<()> {
    let land = Land::new("nacos-both").await?;
    let (nacos, _) = pair().await?;
    namespace(&[nacos], "zk-both").await?;
    let node = Node::start().await?;
    let clusters = [nacos_cluster(nacos, "zk-both"), cluster("zk", "ZK", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("nacos", "zk", "Bidirectional")]))?;

    let (at_n, at_zk, keys) = (registry(nacos, "zk-both"), land.dubbo_b(), GROUP_AND_VERSION);
    let (one, two) = tokio::try_join!(provider(&at_n, &keys), provider(&at_zk, &keys))?;
    let (of_n, of_zk) = tokio::try_join!(consumer(&at_n, &keys), consumer(&at_zk, &keys))?;
    of_zk.wait_for(&[one.port(), two.port()], seconds(20)).await?;
    of_n.wait_for(&[one.port(), two.port()], seconds(20)).await?;

    pause(3).await;
    let service = ServiceName::new("zk-both", "DEFAULT_GROUP", &format!("providers:{GREETER}:1.0.0:g1"));
    let all = nacos.open_api().await?.all(&service).await?;
    ensure!(all.len() == 2, "an echo: {all:#?}");
    ensure!(grown(&land.at_b, &folder(), 2, seconds(1)).await?.len() == 2);

    for one in [&of_n, &of_zk] {
        one.forget();
    }
    one.stop().await?;
    of_zk.wait_for(&[two.port()], seconds(5)).await?;
    of_n.wait_for(&[two.port()], seconds(5)).await?;
    ensure!(of_zk.errors() == 0, "one that left was called: {:?}", of_zk.report().errors());
    two.kill9()?;
    let ports = [one.port(), two.port()];
    tokio::try_join!(nobody(&of_zk, &ports), nobody(&of_n, &ports))?;
    Ok(())
}
