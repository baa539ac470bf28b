//! What travels, from 2.5 to 3.1 and back.

use crate::estate::{instances, namespace, pair, pause, provide, seconds, service, settings, total, until};
use crate::node::Node;
use anyhow::{Result, ensure};
use causeway_testbed::{Backdoor, Instance, OpenApi, ServiceInfo, ServiceName};

/// The vendor's own example, as it stands but for the addresses.
fn example(a: &str, b: &str) -> String {
    format!(
        "clusters:\n  - clusterName: src\n    connectKeyList:\n      - {a}\n    clusterType: NACOS\n    \
         namespace: public,test\n  - clusterName: dst\n    connectKeyList:\n      - {b}\n    clusterType: NACOS\ntasks:\n  \
         - source: src\n    destination: dst\n    type: Service\n    mode: Bidirectional\n    \
         serviceMatchPattern: \".*\"\n    autoScanAndAddService: true\n"
    )
}

pub async fn the_vendors_example_from_2_to_3_and_back() -> Result<()> {
    let (a, b) = pair().await?;
    let (at_a, at_b) = (a.open_api().await?, b.open_api().await?);
    at_a.create_namespace("test", "Test estate").await?;
    let who = Backdoor::start().await?;
    who.connect("public", &a.addr(), "").await?;
    who.connect("test", &a.addr(), "test").await?;
    provide(&who, "public", "public", 100, 3).await?;
    provide(&who, "test", "test", 100, 3).await?;
    // One more over the open API.
    let over_http = service("public", 500);
    at_a.register(&over_http, &Instance::new("127.0.0.1", 8500)).await?;

    let node = Node::start().await?;
    node.apply(&example(&a.addr(), &b.addr()))?;
    let took = until("600 instances in two namespaces", seconds(30), async || {
        Ok(total(&at_b, "public", 100).await? == 300 && total(&at_b, "test", 100).await? == 300)
    })
    .await?;
    eprintln!("first copy of 200 services x 3: {took:?}");
    ensure!(at_b.namespaces().await?.get("test").map(String::as_str) == Some("Test estate"), "made with its name");
    until("the one over HTTP", seconds(5), async || Ok(at_b.visible(&over_http).await?.len() == 1)).await?;

    new_ones(&who, a.addr(), b.addr(), &at_a, &at_b).await?;
    every_field(&who, &at_b).await?;
    gone_ones(&who, a.addr(), &at_b).await?;

    // Nothing has come back to where it was born, and the copies stand once.
    for n in 0..20 {
        let (home, away) = (at_a.all(&service("test", n)).await?, at_b.all(&service("test", n)).await?);
        ensure!(home.iter().all(|one| !one.metadata.contains_key("causeway")), "an echo: {home:?}");
        ensure!((home.len(), away.len()) == (3, 3), "{} {}", home.len(), away.len());
    }
    let task = node.task()?;
    ensure!(task["held"] == 0 && task["pending"] == 0, "{task}");
    Ok(())
}

async fn new_ones(who: &Backdoor, a: String, b: String, at_a: &OpenApi, at_b: &OpenApi) -> Result<()> {
    let fresh = ServiceName::new("test", "ORDERS", "new-service");
    who.register("test", &fresh, &Instance::new("127.0.0.3", 9000)).await?;
    let took = until("a new service", seconds(6), async || Ok(at_b.visible(&fresh).await?.len() == 1)).await?;
    eprintln!("a new service: {took:?}");
    who.connect("more", &a, "test").await?;
    who.register("more", &fresh, &Instance::new("127.0.0.3", 9001)).await?;
    let took = until("a new instance", seconds(5), async || Ok(at_b.visible(&fresh).await?.len() == 2)).await?;
    eprintln!("a new instance: {took:?}");
    who.connect("back", &b, "test").await?;
    let born_in_b = ServiceName::new("test", "DEFAULT_GROUP", "born-in-b");
    who.register("back", &born_in_b, &Instance::new("127.0.0.4", 9100)).await?;
    until("the way back", seconds(6), async || Ok(at_a.visible(&born_in_b).await?.len() == 1)).await?;
    Ok(())
}

async fn every_field(who: &Backdoor, at_b: &OpenApi) -> Result<()> {
    let svc = ServiceName::new("test", "ORDERS", "changing");
    let base = Instance::new("127.0.0.5", 9200).with("version", "1").with("lane", "gray");
    who.register("test", &svc, &base).await?;
    let seen = async |what: &str, want: &Instance| {
        until(what, seconds(6), async || {
            let all = at_b.all(&svc).await?;
            Ok(all.iter().any(|one| {
                let mut bare = one.clone();
                bare.metadata.remove("causeway");
                bare == *want
            }))
        })
        .await
    };
    seen("the first", &base).await?;
    let mut now = base.clone();
    now.weight = 0.5;
    for (what, change) in [
        ("weight", None),
        ("metadata", Some(("version", Some("2")))),
        ("a removed key", Some(("lane", None))),
        ("disabled", Some(("", Some("disabled")))),
        ("enabled again", Some(("", Some("enabled")))),
        ("unhealthy", Some(("", Some("unhealthy")))),
    ] {
        match change {
            None => {}
            Some(("", Some("disabled"))) => now.enabled = false,
            Some(("", Some("enabled"))) => now.enabled = true,
            Some(("", _)) => now.healthy = false,
            Some((key, Some(value))) => now = now.with(key, value),
            Some((key, None)) => drop(now.metadata.remove(key)),
        }
        who.register("test", &svc, &now).await?;
        let took = seen(what, &now).await?;
        eprintln!("{what}: {took:?}");
    }
    Ok(())
}

async fn gone_ones(who: &Backdoor, a: String, at_b: &OpenApi) -> Result<()> {
    let svc = ServiceName::new("test", "ORDERS", "leaving");
    who.connect("leaver", &a, "test").await?;
    who.register("leaver", &svc, &Instance::new("127.0.0.6", 9300)).await?;
    let crashing = Backdoor::start().await?;
    crashing.connect("c", &a, "test").await?;
    crashing.register("c", &svc, &Instance::new("127.0.0.6", 9301)).await?;
    until("both", seconds(6), async || Ok(at_b.visible(&svc).await?.len() == 2)).await?;
    crashing.kill9()?;
    let took = until("a crash", seconds(6), async || Ok(at_b.visible(&svc).await?.len() == 1)).await?;
    eprintln!("a provider's crash: {took:?}");
    who.deregister("leaver", &svc, &Instance::new("127.0.0.6", 9300)).await?;
    let took = until("a deregistration", seconds(8), async || Ok(at_b.visible(&svc).await?.is_empty())).await?;
    eprintln!("a deregistration: {took:?}");
    Ok(())
}

/// A → B → C, where C is another namespace of A's server under a name of its own.
pub async fn a_chain_passes_changes_on() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "chain").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "chain").await?;
    let svc = service("chain", 0);
    let first = Instance::new("127.0.0.8", 9400);
    who.register("p", &svc, &first).await?;
    let at_end = a.open_api().await?;
    let node = Node::start().await?;
    let ends = settings(&a.addr(), &b.addr(), "chain", "Unidirectional");
    let third = format!("  - {{clusterName: third, connectKeyList: [\"{}\"], clusterType: NACOS}}\ntasks:\n", a.addr());
    let text =
        ends.replace("clusterName: dst\n", "clusterName: dst\n    namespace: chain\n").replace("tasks:\n", &third)
            + "  - source: dst\n    destination: third\n    map:\n      namespace: {chain: chain-end}\n";
    node.apply(&text)?;
    let end = service("chain-end", 0);
    let weighs = async |what: &str, weight: f64| {
        let took =
            until(what, seconds(10), async || Ok(at_end.visible(&end).await?.iter().any(|one| one.weight == weight)))
                .await?;
        eprintln!("through a chain, {what}: {took:?}");
        anyhow::Ok(())
    };
    weighs("the first", 1.0).await?;
    for weight in [2.0, 3.0, 4.0] {
        who.register("p", &svc, &Instance { weight, ..first.clone() }).await?;
        weighs("a change", weight).await?;
    }
    let fresh = service("chain", 1);
    who.register("p", &fresh, &Instance::new("127.0.0.8", 9401)).await?;
    until("a new service", seconds(10), async || Ok(at_end.visible(&service("chain-end", 1)).await?.len() == 1))
        .await?;
    who.deregister("p", &svc, &first).await?;
    until("gone at the end", seconds(10), async || Ok(at_end.visible(&end).await?.is_empty())).await?;
    Ok(())
}

pub async fn a_services_own_attributes_travel() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "attributes").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "attributes").await?;
    let (at_a, at_b, svc) = (a.open_api().await?, b.open_api().await?, service("attributes", 0));
    who.register("p", &svc, &Instance::new("127.0.0.10", 9600)).await?;
    until("the service", seconds(5), async || Ok(at_a.service(&svc).await?.is_some())).await?;
    let info = |owner: &str, protect_threshold| ServiceInfo {
        metadata: [("owner".to_owned(), owner.to_owned())].into(),
        protect_threshold,
        ..ServiceInfo::default()
    };
    at_a.update_service(&svc, &info("team-1", 0.5)).await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "attributes", "Bidirectional"))?;
    let stands = async |owner: &str, threshold: f64| {
        until(owner, seconds(10), async || {
            let there = at_b.service(&svc).await?.unwrap_or_default();
            let same = there.metadata.get("owner").map(String::as_str) == Some(owner);
            Ok(same && (there.protect_threshold - threshold).abs() < 1e-6)
        })
        .await
    };
    stands("team-1", 0.5).await?;
    at_a.update_service(&svc, &info("team-2", 0.0)).await?;
    // The server tells nobody of this; it is seen with the service's next change.
    who.register("p", &svc, &Instance { weight: 2.0, ..Instance::new("127.0.0.10", 9600) }).await?;
    stands("team-2", 0.0).await?;
    pause(3).await;
    ensure!(at_a.service(&svc).await?.unwrap_or_default().metadata["owner"] == "team-2", "no echo");
    Ok(())
}

/// As many changes as the server takes, on one service: few writes, and the last one wins.
pub async fn a_storm_on_one_service_is_few_writes() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "storm").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "storm").await?;
    let (at_b, svc, one) = (b.open_api().await?, service("storm", 0), Instance::new("127.0.0.9", 9500));
    who.register("p", &svc, &one).await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "storm", "Unidirectional"))?;
    until("the copy", seconds(10), async || Ok(at_b.visible(&svc).await?.len() == 1)).await?;
    let began = std::time::Instant::now();
    let changes = 1_000;
    for n in 1..=changes {
        who.register("p", &svc, &Instance { weight: f64::from(n), ..one.clone() }).await?;
    }
    let storm = began.elapsed();
    until("the last", seconds(10), async || {
        Ok(at_b.visible(&svc).await?.iter().any(|one| one.weight == f64::from(changes)))
    })
    .await?;
    let writes = node.events()?.matches("\"updated\"").count();
    eprintln!("{changes} changes in {storm:?}: {writes} writes");
    ensure!(writes as f64 <= 5.0 + 3.0 * storm.as_secs_f64(), "{writes} writes");
    Ok(())
}

pub async fn a_task_says_why_it_finds_nothing() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "reasons-empty").await?;
    let node = Node::start().await?;
    for (namespace, words) in [("no-such-place", "no-such-place"), ("reasons-empty", "no service")] {
        node.apply(&settings(&a.addr(), &b.addr(), namespace, "Unidirectional"))?;
        until(words, seconds(15), async || Ok(node.task()?["reason"].as_str().unwrap_or_default().contains(words)))
            .await?;
    }
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "reasons-empty").await?;
    who.batch_register("p", &service("reasons-empty", 1), &instances(1, 20_000)).await?;
    let mut text = settings(&a.addr(), &b.addr(), "reasons-empty", "Unidirectional");
    text.push_str("    serviceMatchPattern: \"other-.*\"\n");
    node.apply(&text)?;
    until("nothing matches", seconds(15), async || {
        Ok(node.task()?["reason"].as_str().unwrap_or_default().contains("match"))
    })
    .await?;
    pause(0).await;
    Ok(())
}
