//! Real Spring Cloud applications: what the discovery client of one sees of the others, over another registry than
//! theirs.

use crate::estate::{namespace, pair, seconds, until};
use crate::node::Node;
use crate::zk_estate::{Land, cluster, grown, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Instance, ServiceName, SpringApp, ZkNode};
use serde_json::{Value, json};

const METADATA: [(&str, &str); 2] = [
    ("spring.cloud.zookeeper.discovery.metadata.zone", "z1"),
    ("spring.cloud.zookeeper.discovery.metadata.owner", "Ørders & co"),
];
const READER: [(&str, &str); 1] = [("spring.cloud.zookeeper.discovery.register", "false")];

/// What the discovery client of `who` lists, which must not fail.
async fn listed(who: &SpringApp, name: &str) -> Result<Vec<Value>> {
    let answer = who.instances(name).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body.as_array().context("no list")?.clone())
}

/// Waits until `who` lists so many instances.
async fn lists(who: &SpringApp, name: &str, count: usize) -> Result<Vec<Value>> {
    let what = format!("{count} of {name}");
    let took = until(&what, seconds(10), async || Ok(listed(who, name).await?.len() == count)).await?;
    eprintln!("{what}: {took:?}");
    listed(who, name).await
}

pub async fn a_discovery_client_lists_field_by_field() -> Result<()> {
    let land = Land::new("spring").await?;
    let node = Node::start().await?;
    let clusters = [cluster("src", "ZK", &land.a(), ""), cluster("dst", "ZK", &land.b(), "")];
    node.apply(&settings(&clusters, &[task("src", "dst", "Unidirectional")]))?;

    let (a, b) = (land.a(), land.b());
    let (one, reader) = tokio::try_join!(
        SpringApp::at_zookeeper("Orders", &a, &METADATA),
        SpringApp::at_zookeeper("reader", &b, &READER)
    )?;
    let here = listed(&one, "Orders").await?;
    ensure!(here.len() == 1 && here[0]["port"] == one.port() && here[0]["metadata"]["zone"] == "z1", "{here:?}");
    ensure!(lists(&reader, "Orders", 1).await? == here, "{:?}", listed(&reader, "Orders").await?);
    ensure!(reader.services().await?.body == json!(["Orders"]));
    ensure!(reader.call("Orders").await? == one.port());

    // A child that is not JSON makes every lookup at A fail, and none at B. Those that come later travel too.
    let bad = "/services/Orders/bad";
    land.at_a.create_node(&ZkNode::ephemeral(bad, "no json")).await?;
    ensure!(listed(&one, "Orders").await.is_err(), "a malformed child hurts at the source");
    let two = SpringApp::at_zookeeper("Orders", &a, &METADATA).await?;
    let there = lists(&reader, "Orders", 2).await?;
    ensure!(there.iter().any(|one| *one == here[0]), "{there:?}");
    let copies = grown(&land.at_b, "/services", 2, seconds(5)).await?;
    land.at_a.delete(bad).await?;
    ensure!(grown(&land.at_a, "/services", 2, seconds(5)).await? == copies, "{copies:#?}");
    let sorted = |mut list: Vec<Value>| {
        list.sort_by_key(|one| one["port"].as_u64());
        list
    };
    ensure!(sorted(listed(&two, "Orders").await?) == sorted(there));

    one.stop().await?;
    ensure!(lists(&reader, "Orders", 1).await? == listed(&two, "Orders").await?);
    two.kill9()?;
    lists(&reader, "Orders", 0).await?;
    Ok(())
}

pub async fn a_discovery_client_lists_over_nacos() -> Result<()> {
    let land = Land::new("spring-nacos").await?;
    let (nacos, _) = pair().await?;
    namespace(&[nacos], "zk-spring").await?;
    let node = Node::start().await?;
    let clusters = [
        cluster("a", "ZK", &land.a(), ""),
        cluster("nacos", "NACOS", &nacos.addr(), ", namespace: zk-spring"),
        cluster("b", "ZK", &land.b(), ""),
    ];
    node.apply(&settings(&clusters, &[task("a", "nacos", "Bidirectional"), task("nacos", "b", "Bidirectional")]))?;

    let (a, b) = (land.a(), land.b());
    let (orders, payments) = tokio::try_join!(
        SpringApp::at_zookeeper("Orders", &a, &METADATA),
        SpringApp::at_zookeeper("payments", &b, &[])
    )?;
    let native = listed(&orders, "Orders").await?;
    ensure!(lists(&payments, "Orders", 1).await? == native, "{:?}", listed(&payments, "Orders").await?);
    let back = lists(&orders, "payments", 1).await?;
    ensure!(back == listed(&payments, "payments").await?, "{back:?}");
    ensure!(payments.call("Orders").await? == orders.port());
    ensure!(
        grown(&land.at_a, "/services", 2, seconds(5)).await? == grown(&land.at_b, "/services", 2, seconds(5)).await?
    );

    let service = |name: &str| ServiceName::new("zk-spring", "DEFAULT_GROUP", name);
    let at_nacos = nacos.open_api().await?;
    let copies = at_nacos.visible(&service("Orders")).await?;
    let copy = copies.first().context("no copy")?;
    ensure!(copies.len() == 1 && (copy.ip.as_str(), copy.port) == ("127.0.0.1", orders.port()), "{copies:?}");
    for (key, value) in [("zone", "z1"), ("owner", "Ørders & co"), ("instance_status", "UP")] {
        ensure!(copy.metadata.get(key).is_some_and(|there| there == value), "{copy:?}");
    }

    // One that was born in Nacos.
    let who = Backdoor::start().await?;
    who.connect("p", &nacos.addr(), "zk-spring").await?;
    let stock = Instance::new("127.0.0.9", 9300).with("zone", "z9");
    who.register("p", &service("stock"), &stock).await?;
    for reader in [&orders, &payments] {
        let seen = lists(reader, "stock", 1).await?;
        ensure!(seen[0]["host"] == "127.0.0.9" && seen[0]["port"] == 9300, "{seen:?}");
        ensure!(seen[0]["uri"] == "http://127.0.0.9:9300" && seen[0]["metadata"]["zone"] == "z9", "{seen:?}");
    }
    who.deregister("p", &service("stock"), &stock).await?;
    orders.stop().await?;
    lists(&payments, "Orders", 0).await?;
    lists(&payments, "stock", 0).await?;
    until("gone from Nacos", seconds(5), async || Ok(at_nacos.visible(&service("Orders")).await?.is_empty())).await?;
    Ok(())
}
