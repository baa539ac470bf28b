//! What becomes of names between Eureka, which has no namespaces, no groups and no case, and Nacos, which has them.

use crate::estate::{Shared, namespace_at, pause, seconds, shared_nacos, until};
use crate::eureka::{Providers, spring};
use crate::node::Node;
use crate::zk_estate::cluster;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Eureka, EurekaApi, EurekaOptions, Instance, Server, ServiceName};
use serde_json::Value;

/// The ports at which consumers of Nacos find a service.
async fn at_nacos(nacos: &Shared, service: &ServiceName) -> Result<Vec<u16>> {
    let mut ports: Vec<_> = nacos.api.visible(service).await?.into_iter().map(|one| one.port).collect();
    ports.sort_unstable();
    Ok(ports)
}

/// The ports at which consumers of Eureka find an application.
async fn at_eureka(api: &EurekaApi, app: &str) -> Result<Vec<u64>> {
    let mut ports: Vec<_> = api.instances(app).await?.iter().filter_map(|one| one["port"]["$"].as_u64()).collect();
    ports.sort_unstable();
    Ok(ports)
}

/// A provider process of Nacos with these instances, each of a service in a namespace.
async fn provide(nacos: &Shared, all: &[(&ServiceName, u16)]) -> Result<Backdoor> {
    let who = Backdoor::start().await?;
    for (n, (service, port)) in all.iter().enumerate() {
        let client = n.to_string();
        who.connect(&client, &nacos.address, &service.namespace).await?;
        who.register(&client, service, &Instance::new("127.0.0.1", *port)).await?;
    }
    Ok(who)
}

/// What `get tasks` says of a task.
fn told(node: &Node, task: &str) -> Result<String> {
    let tasks: Vec<Value> = serde_json::from_str(&node.ok(&["get", "tasks", "-o", "json"])?)?;
    let task = tasks.iter().find(|one| one["name"] == task).with_context(|| format!("no task {task}"))?;
    Ok(task["reason"].as_str().unwrap_or_default().to_owned())
}

/// How many records the task leaves alone.
fn skipped(node: &Node) -> Result<u64> {
    let task = node.task()?;
    let counts = task["skipped"].as_object().context("no counts")?;
    Ok(counts.values().filter_map(Value::as_u64).sum())
}

/// Names that fall together, and a name beside ours, are told by `plan`, `get tasks` and `verify`; what comes back stands under
/// the name that is there.
pub async fn names_that_differ_in_case() -> Result<()> {
    let nacos = shared_nacos(Server::Nacos2).await?;
    let eureka = Eureka::start(EurekaOptions::default()).await?;
    let (api, providers) = (eureka.api()?, Providers::at(&eureka)?);
    let spaces = [namespace_at(&[&nacos], "case-into").await?, namespace_at(&[&nacos], "case-from").await?];
    let [into, from] = &spaces;
    let service = |space: &str, name: &str| ServiceName::new(space, "DEFAULT_GROUP", name);
    providers.put(spring("ORDERS", 7001)).await?;
    providers.put(spring("STOCK", 7002)).await?;
    let [orders, big, small, stock] =
        [service(into, "Orders"), service(from, "Pay"), service(from, "pay"), service(from, "Stock")];
    let _providers = provide(&nacos, &[(&orders, 7003), (&big, 7004), (&small, 7005), (&stock, 7006)]).await?;

    let settings = format!(
        "clusters:\n{}{}{}tasks:\n  - {{name: into, source: eureka, destination: into, settle: 2s, serviceMatchPattern: ORDERS}}\n  \
         - {{name: both, source: from, destination: eureka, settle: 2s, mode: Bidirectional, \
         serviceMatchPattern: \"(?i)pay|stock\"}}\n",
        cluster("eureka", "EUREKA", &eureka.addr(), ""),
        cluster("into", "NACOS", &nacos.address, &format!(", namespace: {into}")),
        cluster("from", "NACOS", &nacos.address, &format!(", namespace: {from}, clusterId: other")),
    );
    let node = Node::start().await?;
    let file = node.write("plan.yaml", &settings)?;
    let planned = String::from_utf8(node.cli(&["plan", "-f", &file.to_string_lossy()])?.stdout)?;
    let beside = "into has a service Orders beside orders";
    let one = "Pay, pay of from differ only in case, and are one service in eureka: PAY";
    ensure!(planned.contains(beside) && planned.contains(one), "{planned}");

    node.apply(&settings)?;
    until(
        "orders in lower case",
        seconds(15),
        async || Ok(at_nacos(&nacos, &service(into, "orders")).await? == [7001]),
    )
    .await
    .with_context(|| node.log())?;
    until("both are one", seconds(15), async || Ok(at_eureka(&api, "PAY").await? == [7004, 7005])).await?;
    until("the other way", seconds(15), async || Ok(at_eureka(&api, "STOCK").await? == [7002, 7006])).await?;
    until("under its own name", seconds(15), async || Ok(at_nacos(&nacos, &stock).await? == [7002, 7006])).await?;
    for (task, words) in [("into", beside), ("both", one)] {
        until(words, seconds(10), async || Ok(told(&node, task)?.contains(words))).await?;
        let verified = node.ok(&["verify", task])?;
        ensure!(verified.contains(words), "{verified}");
    }
    pause(2).await;
    for (space, name) in [(into, "ORDERS"), (from, "stock"), (from, "STOCK"), (from, "PAY"), (from, "orders")] {
        let found = at_nacos(&nacos, &service(space, name)).await?;
        ensure!(found.is_empty(), "{name} in {space}: {found:?}");
    }
    ensure!(at_nacos(&nacos, &orders).await? == [7003], "what is native");
    for task in ["into", "both"] {
        node.ok(&["drain", task, "--yes"])?;
    }
    until("drained", seconds(15), async || {
        Ok(at_nacos(&nacos, &service(into, "orders")).await?.is_empty()
            && at_nacos(&nacos, &stock).await? == [7006]
            && at_eureka(&api, "STOCK").await? == [7002]
            && at_eureka(&api, "PAY").await?.is_empty())
    })
    .await?;
    Ok(())
}

/// One name in two namespaces has no place in Eureka, unless a mapping says where.
pub async fn a_name_in_two_namespaces() -> Result<()> {
    let nacos = shared_nacos(Server::Nacos2).await?;
    let eureka = Eureka::start(EurekaOptions::default()).await?;
    let api = eureka.api()?;
    let (prod, test) = (namespace_at(&[&nacos], "names-prod").await?, namespace_at(&[&nacos], "names-test").await?);
    let [one, other] = [&prod, &test].map(|space| ServiceName::new(space, "G", "order"));
    let _providers = provide(&nacos, &[(&one, 7101), (&other, 7102)]).await?;
    let settings = |map: &str| {
        format!(
            "clusters:\n{}{}tasks:\n  - {{name: flat, source: nacos, destination: eureka, settle: 2s{map}}}\n",
            cluster("nacos", "NACOS", &nacos.address, &format!(", namespace: \"{prod},{test}\"")),
            cluster("eureka", "EUREKA", &eureka.addr(), ""),
        )
    };
    let node = Node::start().await?;
    node.apply(&settings(""))?;
    until("both are refused", seconds(15), async || Ok(skipped(&node)? == 2)).await?;
    let planned: Value = serde_json::from_str(&node.ok(&["diff", "flat", "-o", "json"])?)?;
    let reasons: Vec<_> = planned["skipped"].as_array().into_iter().flatten().map(|one| one.to_string()).collect();
    ensure!(reasons.len() == 2 && reasons.iter().all(|one| one.contains("no namespaces")), "{reasons:?}");
    ensure!(api.all().await?.is_empty(), "something was written");

    // One of them, then both.
    node.apply(&settings(&format!(", map: {{namespace: {{{prod}: public}}, group: {{G: DEFAULT_GROUP}}}}")))?;
    until("that of prod", seconds(15), async || Ok(at_eureka(&api, "ORDER").await? == [7101])).await?;
    ensure!(skipped(&node)? == 1, "{}", node.task()?);
    node.apply(&settings(&format!(
        ", map: {{namespace: {{{prod}: public, {test}: public}}, group: {{G: DEFAULT_GROUP}}, \
         service: \"{{namespace}}-{{service}}\"}}"
    )))?;
    let names = [format!("{prod}-order").to_uppercase(), format!("{test}-order").to_uppercase()];
    until("both under names of their own", seconds(30), async || {
        Ok(at_eureka(&api, &names[0]).await? == [7101]
            && at_eureka(&api, &names[1]).await? == [7102]
            && at_eureka(&api, "ORDER").await?.is_empty())
    })
    .await
    .with_context(|| node.log())?;
    ensure!(skipped(&node)? == 0, "{}", node.task()?);
    Ok(())
}
