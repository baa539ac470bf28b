//! Real Dubbo consumers that know the application level alone, and call over another registry than the providers'.
//!
//! Such a consumer asks three things: which applications offer an interface (the mapping), where they are (their
//! instances), and what they offer: from the provider itself, or, with `metadata-type=remote`, from the registry.

use crate::estate::{namespace, pair, seconds, until};
use crate::node::Node;
use crate::zk_estate::{Land, cluster, grown, settings, task};
use anyhow::{Result, ensure};
use causeway_testbed::{DubboConsumer, DubboProvider, GREETER, Nacos, ZkClient};
use std::collections::{BTreeMap, BTreeSet};

/// A provider of the application `app`, which registers nothing of the interface level.
async fn provider(registry: &str, app: &str, metadata: &str) -> Result<DubboProvider> {
    let keys = [("app", app), ("mode", "instance"), ("metadata-type", metadata), ("group", "g1"), ("version", "1.0.0")];
    DubboProvider::start(registry, &keys).await
}

async fn consumer(registry: &str) -> Result<DubboConsumer> {
    let keys = [("migration", "FORCE_APPLICATION"), ("group", "g1"), ("version", "1.0.0")];
    DubboConsumer::start(registry, &keys).await
}

/// A namespace of a Nacos as a registry of Dubbo's, and as a cluster's line in settings.
fn at_nacos(nacos: &Nacos, namespace: &str) -> (String, String) {
    let line = cluster("nacos", "NACOS", &nacos.addr(), &format!(", namespace: {namespace}"));
    (format!("nacos://{}?namespace={namespace}", nacos.addr()), line)
}

/// Waits until the consumer is told that there is no provider, which is not to call one in vain.
async fn nobody(consumer: &DubboConsumer) -> Result<()> {
    let told = async || {
        let last = consumer.report().calls.pop().and_then(|call| call.answer.err());
        Ok(last.is_some_and(|error| error.contains("No provider available")))
    };
    until("no provider", seconds(15), told).await.map(drop)
}

/// The applications that offer the interface, as a ZooKeeper says.
async fn mapped(who: &ZkClient) -> Result<BTreeSet<String>> {
    let read = who.get(&format!("/dubbo/mapping/{GREETER}")).await?;
    Ok(applications(&read.map(|read| read.text()).unwrap_or_default()))
}

fn applications(text: &str) -> BTreeSet<String> {
    text.split(',').filter(|app| !app.is_empty()).map(str::to_owned).collect()
}

/// What applications offer, by `application/revision`: nothing else that stands below `metadata`.
async fn revisions(who: &ZkClient) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    if who.get("/dubbo/metadata").await?.is_none() {
        return Ok(all);
    }
    for (path, _) in who.walk("/dubbo/metadata").await?.0 {
        let name = path.trim_start_matches("/dubbo/metadata/");
        let revision = name.split_once('/').map(|(_, last)| last);
        if revision.is_some_and(|last| last.len() == 32) {
            let read = who.get(&path).await?;
            all.extend(read.map(|read| (name.to_owned(), read.text())));
        }
    }
    Ok(all)
}

/// The same at a Nacos: by data id and group, in this order.
async fn revisions_of(nacos: &Nacos, namespace: &str) -> Result<BTreeMap<String, String>> {
    let all = nacos.open_api().await?.configs(namespace).await?;
    let named = all.into_iter().map(|config| (format!("{}/{}", config.id, config.group), config.content));
    Ok(named.filter(|(name, _)| name.split_once('/').is_some_and(|(_, last)| last.len() == 32)).collect())
}

async fn mapped_at(nacos: &Nacos, namespace: &str) -> Result<BTreeSet<String>> {
    let config = nacos.open_api().await?.config(namespace, "mapping", GREETER).await?;
    Ok(applications(&config.map(|config| config.content).unwrap_or_default()))
}

fn set(apps: &[&str]) -> BTreeSet<String> {
    apps.iter().map(|app| (*app).to_owned()).collect()
}

pub async fn from_zookeeper_to_zookeeper() -> Result<()> {
    let land = Land::new("app-zk").await?;
    let node = Node::start().await?;
    let clusters = [cluster("src", "ZK", &land.a(), ""), cluster("dst", "ZK", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("src", "dst", "Unidirectional")]))?;

    let (a, b) = (land.dubbo_a(), land.dubbo_b());
    let (local, remote) = tokio::try_join!(provider(&a, "app-l", "local"), provider(&a, "app-r", "remote"))?;
    let consumer = consumer(&b).await?;
    consumer.wait_for(&[local.port(), remote.port()], seconds(20)).await?;
    ensure!(mapped(&land.at_b).await? == set(&["app-l", "app-r"]), "{:?}", mapped(&land.at_b).await?);
    ensure!(
        grown(&land.at_b, "/services", 2, seconds(1)).await? == grown(&land.at_a, "/services", 2, seconds(1)).await?
    );
    let offers = revisions(&land.at_b).await?;
    ensure!(offers == revisions(&land.at_a).await? && !offers.is_empty(), "{offers:#?}");

    let more = provider(&a, "app-l", "local").await?;
    consumer.wait_for(&[local.port(), remote.port(), more.port()], seconds(15)).await?;
    consumer.forget();
    local.stop().await?;
    consumer.wait_for(&[remote.port(), more.port()], seconds(10)).await?;
    ensure!(consumer.errors() == 0, "one that left was called: {:?}", consumer.report().errors());
    remote.stop().await?;
    more.kill9()?;
    nobody(&consumer).await
}

/// Short: what a provider says of itself.
pub async fn from_zookeeper_to_nacos() -> Result<()> {
    to_nacos("app-zn-l", "local").await
}

pub async fn from_zookeeper_to_nacos_with_remote_metadata() -> Result<()> {
    to_nacos("app-zn-r", "remote").await
}

async fn to_nacos(name: &str, metadata: &str) -> Result<()> {
    let land = Land::new(name).await?;
    let (two, three) = pair().await?;
    let nacos = if metadata == "local" { three } else { two };
    namespace(&[nacos], name).await?;
    let (registry, line) = at_nacos(nacos, name);
    let node = Node::start().await?;
    let clusters = [cluster("zk", "ZK", &land.a(), ""), line];
    node.apply(&settings(&clusters, &[task("zk", "nacos", "Unidirectional")]))?;

    let a = land.dubbo_a();
    let (one, consumer) = tokio::try_join!(provider(&a, "app-one", metadata), consumer(&registry))?;
    consumer.wait_for(&[one.port()], seconds(20)).await?;
    // Another application that offers the same: found as the mapping grows.
    let two = provider(&a, "app-two", metadata).await?;
    consumer.wait_for(&[one.port(), two.port()], seconds(20)).await?;
    let apps = set(&["app-one", "app-two"]);
    ensure!(mapped_at(nacos, name).await? == apps && mapped(&land.at_a).await? == apps);
    let offers = revisions_of(nacos, name).await?;
    ensure!(offers == revisions(&land.at_a).await?, "{offers:#?}");
    ensure!(offers.is_empty() == (metadata == "local"), "{offers:#?}");
    let all = nacos.open_api().await?.configs(name).await?;
    let foreign = all.iter().find(|config| config.group == "dubbo" && config.id.contains(":provider:"));
    ensure!(foreign.is_none(), "an interface's own metadata was copied: {foreign:?}");
    node.ok(&["verify", "zk-nacos-service"])?;

    consumer.forget();
    two.stop().await?;
    consumer.wait_for(&[one.port()], seconds(10)).await?;
    ensure!(consumer.errors() == 0, "one that left was called: {:?}", consumer.report().errors());
    one.kill9()?;
    nobody(&consumer).await?;
    // Providers that live there by then rely on what came with the services.
    node.ok(&["drain", "zk-nacos-service", "--yes"])?;
    until("drained", seconds(20), async || Ok(node.task()?["state"] == "drained")).await?;
    ensure!(mapped_at(nacos, name).await? == apps && mapped(&land.at_a).await? == apps);
    ensure!(revisions_of(nacos, name).await? == offers);
    Ok(())
}

pub async fn from_nacos_to_zookeeper() -> Result<()> {
    from_nacos("app-nz-l", "local").await
}

pub async fn from_nacos_to_zookeeper_with_remote_metadata() -> Result<()> {
    from_nacos("app-nz-r", "remote").await
}

async fn from_nacos(name: &str, metadata: &str) -> Result<()> {
    let land = Land::new(name).await?;
    let (two, three) = pair().await?;
    let nacos = if metadata == "local" { two } else { three };
    namespace(&[nacos], name).await?;
    let (registry, line) = at_nacos(nacos, name);
    let api = nacos.open_api().await?;
    // Nobody's business, though it stands where Dubbo's own does.
    api.publish_config(name, "mapping", "users.yaml", "a: 1\nb: 2\n", &[("type", "yaml")]).await?;
    api.publish_config(name, "DEFAULT_GROUP", "app.yaml", "a: 1", &[("type", "yaml")]).await?;
    let node = Node::start().await?;
    let clusters = [line, cluster("zk", "ZK", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("nacos", "zk", "Unidirectional")]))?;

    let zk = land.dubbo_b();
    let (one, consumer) = tokio::try_join!(provider(&registry, "app-one", metadata), consumer(&zk))?;
    consumer.wait_for(&[one.port()], seconds(20)).await?;
    let two = provider(&registry, "app-two", metadata).await?;
    consumer.wait_for(&[one.port(), two.port()], seconds(20)).await?;
    let apps = set(&["app-one", "app-two"]);
    ensure!(mapped(&land.at_b).await? == apps && mapped_at(nacos, name).await? == apps);
    let offers = revisions(&land.at_b).await?;
    ensure!(offers == revisions_of(nacos, name).await?, "{offers:#?}");
    ensure!(offers.is_empty() == (metadata == "local"), "{offers:#?}");
    let interfaces = land.at_b.children("/dubbo/mapping").await?;
    ensure!(interfaces == [GREETER], "{interfaces:?}");
    node.ok(&["verify", "nacos-zk-service"])?;

    consumer.forget();
    two.stop().await?;
    consumer.wait_for(&[one.port()], seconds(10)).await?;
    ensure!(consumer.errors() == 0, "one that left was called: {:?}", consumer.report().errors());
    one.kill9()?;
    nobody(&consumer).await
}

/// Applications on both sides, also one that stands on both: every consumer calls all of them.
pub async fn both_ways_with_nacos() -> Result<()> {
    let land = Land::new("app-both").await?;
    let (nacos, _) = pair().await?;
    namespace(&[nacos], "app-both").await?;
    let (registry, line) = at_nacos(nacos, "app-both");
    let zk = land.dubbo_b();
    // What is there before us is united, and never chosen from.
    let (here, there) = tokio::try_join!(provider(&registry, "app-n", "remote"), provider(&zk, "app-z", "remote"))?;
    let node = Node::start().await?;
    let clusters = [line, cluster("zk", "ZK", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("nacos", "zk", "Bidirectional")]))?;

    let (of_nacos, of_zk) = tokio::try_join!(consumer(&registry), consumer(&zk))?;
    of_nacos.wait_for(&[here.port(), there.port()], seconds(20)).await?;
    of_zk.wait_for(&[here.port(), there.port()], seconds(20)).await?;
    let apps = set(&["app-n", "app-z"]);
    ensure!(mapped(&land.at_b).await? == apps && mapped_at(nacos, "app-both").await? == apps);
    let more = provider(&zk, "app-n", "local").await?;
    let all = [here.port(), there.port(), more.port()];
    tokio::try_join!(of_nacos.wait_for(&all, seconds(20)), of_zk.wait_for(&all, seconds(20)))?;
    ensure!(revisions(&land.at_b).await? == revisions_of(nacos, "app-both").await?);

    for one in [&of_nacos, &of_zk] {
        one.forget();
    }
    here.stop().await?;
    let left = [there.port(), more.port()];
    tokio::try_join!(of_nacos.wait_for(&left, seconds(10)), of_zk.wait_for(&left, seconds(10)))?;
    ensure!(of_nacos.errors() + of_zk.errors() == 0, "one that left was called");
    ensure!(mapped(&land.at_b).await? == apps, "the mapping stays, as Dubbo itself leaves it");
    Ok(())
}
