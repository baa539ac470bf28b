//! The product's main hour: a provider moves from A to B at the same address.

use crate::estate::{namespace, pair, pause, seconds, service, settings, until};
use crate::node::Node;
use anyhow::{Result, ensure};
use causeway_testbed::{Backdoor, Instance, Poller};
use std::time::Duration;

pub async fn a_provider_moves_with_overlap() -> Result<()> {
    moves("cut-overlap", false).await
}

pub async fn a_provider_moves_by_kill_9() -> Result<()> {
    moves("cut-kill", true).await
}

async fn moves(ns: &str, kill: bool) -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], ns).await?;
    let (old, new) = (Backdoor::start().await?, Backdoor::start().await?);
    old.connect("p", &a.addr(), ns).await?;
    let svc = service(ns, 1);
    let moving = Instance::new("127.0.0.7", 7100).with("version", "1");
    old.register("p", &svc, &moving).await?;
    let (at_a, at_b) = (a.open_api().await?, b.open_api().await?);
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), ns, "Bidirectional"))?;
    until("the copy", seconds(10), async || Ok(at_b.visible(&svc).await?.len() == 1)).await?;

    let polls = [Poller::start(at_a.clone(), vec![svc.clone()]), Poller::start(at_b.clone(), vec![svc.clone()])];
    let watcher = Backdoor::start().await?;
    watcher.connect("a", &a.addr(), ns).await?;
    watcher.connect("b", &b.addr(), ns).await?;
    let seen = [watcher.subscribe("a", &svc).await?, watcher.subscribe("b", &svc).await?];
    for one in &seen {
        one.wait(seconds(5), |hosts| hosts.len() == 1).await?;
        one.forget();
    }

    new.connect("p", &b.addr(), ns).await?;
    new.register("p", &svc, &moving.clone().with("version", "2")).await?;
    until("our copy has given way", seconds(5), async || {
        let all = at_b.all(&svc).await?;
        Ok(all.len() == 1 && !all[0].metadata.contains_key("causeway"))
    })
    .await?;
    pause(2).await;
    match kill {
        true => old.kill9()?,
        false => old.deregister("p", &svc, &moving).await?,
    }
    until("the native of B stands in A", seconds(8), async || {
        let all = at_a.visible(&svc).await?;
        Ok(all.len() == 1 && all[0].metadata.get("version").map(String::as_str) == Some("2"))
    })
    .await?;
    pause(3).await;
    for (side, poll) in ["A", "B"].iter().zip(&polls) {
        let report = poll.report();
        let watched = &report.services[&svc];
        ensure!(watched.gaps.is_empty() && watched.fewest == Some(1), "{side}: {watched:?}");
        let double = report.longest_double(Duration::MAX);
        ensure!(double <= seconds(1), "{side}: seen twice for {double:?}");
    }
    for (side, one) in ["A", "B"].iter().zip(&seen) {
        ensure!(one.events().iter().all(|event| !event.instances.is_empty()), "{side}: {:?}", one.events());
    }
    new.deregister("p", &svc, &moving).await?;
    until("gone everywhere", seconds(10), async || {
        Ok(at_a.visible(&svc).await?.is_empty() && at_b.visible(&svc).await?.is_empty())
    })
    .await?;
    Ok(())
}
