//! Access lists that travel with services.

use crate::estate::{pause, seconds, until};
use crate::node::Node;
use crate::zk::provider_node;
use crate::zk_estate::{Land, cluster, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{ZkClient, ZkNode, digest_id};
use std::collections::BTreeMap;

const FOLDER: &str = "/dubbo/lab.Guarded/providers";
/// Alice's list to those who are not signed in as her.
const ALICES: &str = "digest:alice:x:cdrwa,world:anyone:r";
const OPEN: &str = "world:anyone:cdrwa";

/// The lists of the providers' nodes, by port.
async fn lists(who: &ZkClient) -> Result<BTreeMap<u16, String>> {
    let mut lists = BTreeMap::new();
    for name in who.children(FOLDER).await.unwrap_or_default() {
        let port = name.split("%3A").nth(2).and_then(|rest| rest.split('%').next()).context("no port")?.parse()?;
        let read = who.get(&format!("{FOLDER}/{name}")).await?.context("gone")?;
        lists.insert(port, read.acl);
    }
    Ok(lists)
}

/// A list that we cannot see whole is not replaced by one that allows more: that provider is refused and told of.
pub async fn lists_travel_with_services() -> Result<()> {
    let land = Land::new("access").await?;
    let guarded = |user: &str| format!("digest:{}:cdrwa,world:anyone:r", digest_id(user));
    let (alices, bobs) = (guarded("alice:pw1"), guarded("bob:pw2"));
    for folder in ["/dubbo", "/dubbo/lab.Guarded", FOLDER] {
        land.at_a.create(folder, "").await?;
    }
    let provide = async |port: u16, acl: &str| {
        let (_, name) = provider_node("lab.Guarded", "127.0.0.1", port, "");
        let node = ZkNode::ephemeral(&format!("{FOLDER}/{name}"), "127.0.0.1").acl(acl);
        land.at_a.create_node(&node).await
    };
    for (port, acl) in [(1, alices.as_str()), (2, bobs.as_str()), (3, OPEN)] {
        provide(port, acl).await?;
    }
    let node = Node::start().await?;
    let login = ", userName: alice, password: pw1, zookeeper: {acl: copy}";
    let clusters = [cluster("src", "ZK", &land.a(), login), cluster("dst", "ZK", &land.b(), login)];
    node.apply(&settings(&clusters, &[task("src", "dst", "Bidirectional")]))?;
    let wanted = BTreeMap::from([(1, ALICES.to_owned()), (3, OPEN.to_owned())]);
    let found =
        until("two copies with their lists", seconds(10), async || Ok(lists(&land.at_b).await? == wanted)).await;
    let there = lists(&land.at_b).await?;
    found.with_context(|| format!("{there:#?} {}", node.log()))?;
    let refused = async || Ok(node.events()?.contains("its access list is shown without hashes"));
    until("the refusal told", seconds(10), refused).await?;
    ensure!(lists(&land.at_b).await? == wanted, "{:?}", lists(&land.at_b).await?);

    // A new one, a restart of ours, and the way home.
    provide(4, &alices).await?;
    let wanted = BTreeMap::from([(1, ALICES.to_owned()), (3, OPEN.to_owned()), (4, ALICES.to_owned())]);
    until("a third copy", seconds(5), async || Ok(lists(&land.at_b).await? == wanted)).await?;
    let (data, port) = node.kill()?;
    let node = Node::on(data, port).await?;
    let (_, name) = provider_node("lab.Guarded", "127.0.0.1", 5, "");
    let own = ZkNode::ephemeral(&format!("{FOLDER}/{name}"), "127.0.0.1").acl(&alices);
    land.at_b.create_node(&own).await?;
    until("one of B's in A", seconds(10), async || {
        Ok(lists(&land.at_a).await?.get(&5).is_some_and(|list| list == ALICES))
    })
    .await?;
    pause(3).await;
    let there = lists(&land.at_b).await?;
    ensure!(there.len() == 4 && wanted.iter().all(|(port, acl)| there.get(port) == Some(acl)), "{there:?}");
    // We are, and compare them with their hashes.
    let said = node.cli(&["verify", "src-dst-service"])?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    ensure!(text.contains("127.0.0.1:2") && !text.contains("127.0.0.1:4"), "{text}");
    Ok(())
}
