//! Real Spring Cloud applications at Eureka: what consumers of Nacos see of them, and what they see of Nacos.

use crate::estate::{namespace_at, seconds, shared_nacos, until};
use crate::node::Node;
use crate::zk_estate::{cluster, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Eureka, EurekaOptions, Instance, Server, ServiceName, SpringApp};
use serde_json::Value;

/// A lease of 4 s, and lists that are fetched every second.
const QUICK: [(&str, &str); 5] = [
    ("eureka.instance.ip-address", "127.0.0.1"),
    ("eureka.instance.lease-renewal-interval-in-seconds", "1"),
    ("eureka.instance.lease-expiration-duration-in-seconds", "2"),
    ("eureka.client.registry-fetch-interval-seconds", "1"),
    ("eureka.client.initial-instance-info-replication-interval-seconds", "1"),
];

async fn listed(who: &SpringApp, name: &str) -> Result<Vec<Value>> {
    let answer = who.instances(name).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body.as_array().context("no list")?.clone())
}

pub async fn applications_of_eureka_and_consumers_of_nacos() -> Result<()> {
    let nacos = shared_nacos(Server::Nacos2).await?;
    let space = namespace_at(&[&nacos], "eureka-spring").await?;
    let eureka = Eureka::start(EurekaOptions::default()).await?;
    let node = Node::start().await?;
    let clusters = [
        cluster("eureka", "EUREKA", &eureka.addr(), ", eureka: {lease: 30s}"),
        cluster("nacos", "NACOS", &nacos.address, &format!(", namespace: {space}")),
    ];
    node.apply(&settings(&clusters, &[task("eureka", "nacos", "Bidirectional")]))?;
    let url = format!("{}/", eureka.base());
    let with_zone = [&QUICK[..], &[("eureka.instance.metadata-map.zone", "z1")]].concat();
    let (one, two) = tokio::try_join!(
        SpringApp::at_eureka("Order-Service", &url, &with_zone),
        SpringApp::at_eureka("Order-Service", &url, &with_zone)
    )?;
    // In lower case, whatever the application calls itself.
    let orders = ServiceName::new(&space, "DEFAULT_GROUP", "order-service");
    let ports = async || {
        let mut ports: Vec<_> = nacos.api.visible(&orders).await?.into_iter().map(|one| one.port).collect();
        ports.sort_unstable();
        anyhow::Ok(ports)
    };
    let mut both = [one.port(), two.port()];
    both.sort_unstable();
    until("both in Nacos", seconds(60), async || Ok(ports().await? == both)).await.with_context(|| node.log())?;
    for copy in nacos.api.visible(&orders).await? {
        let zone = copy.metadata.get("zone").map(String::as_str);
        ensure!(copy.ip == "127.0.0.1" && copy.healthy && copy.enabled && zone == Some("z1"), "{copy:?}");
    }

    // The discovery client of an application sees what stands in Nacos, and calls it.
    let stock = ServiceName::new(&space, "DEFAULT_GROUP", "stock");
    let answers = Instance { ephemeral: false, ..Instance::new("127.0.0.1", one.port()) }.with("zone", "z9");
    nacos.api.register(&stock, &answers).await?;
    until("stock at Eureka", seconds(20), async || Ok(listed(&two, "stock").await?.len() == 1)).await?;
    let seen = listed(&two, "stock").await?;
    ensure!(seen[0]["host"] == "127.0.0.1" && seen[0]["metadata"]["zone"] == "z9", "{seen:?}");
    ensure!(two.call("stock").await? == one.port(), "it is called");

    // One says goodbye, and one dies: its lease ends.
    one.stop().await?;
    until("one has gone", seconds(20), async || Ok(ports().await? == [two.port()])).await?;
    two.kill9()?;
    until("nobody is left", seconds(40), async || Ok(ports().await?.is_empty())).await?;
    Ok(())
}
