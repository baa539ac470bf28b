//! Kill anything at any time.

use crate::estate::{instances, namespace, own, pair, pause, provide, seconds, service, settings, total, until};
use crate::node::Node;
use anyhow::{Result, ensure};
use causeway_testbed::{Backdoor, Nacos, NacosVersion, OpenApi, Options, Poller, ServiceName};
use std::time::{Duration, Instant};

pub async fn kill_9_of_our_node_is_not_seen() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "kill").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "kill").await?;
    provide(&who, "p", "kill", 20, 10).await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "kill", "Bidirectional"))?;
    outlives(node, b, "kill", 20, 10).await
}

pub async fn five_thousand_instances_outlive_us() -> Result<()> {
    let (a, b) = own(NacosVersion::V2_5, NacosVersion::V2_5).await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "").await?;
    provide(&who, "p", "public", 500, 10).await?;
    let node = Node::start().await?;
    let began = Instant::now();
    node.apply(&settings(&a.addr(), &b.addr(), "public", "Bidirectional"))?;
    let at_b = b.open_api().await?;
    until("5,000 copies", seconds(90), async || Ok(total(&at_b, "public", 500).await? == 5_000)).await?;
    eprintln!("first copy of 500 services x 10: {:?}", began.elapsed());
    outlives(node, &b, "public", 500, 10).await
}

/// kill -9 and a start after 7 s, then SIGTERM and a start at once: nobody sees it.
async fn outlives(node: Node, b: &Nacos, ns: &str, services: usize, each: u16) -> Result<()> {
    let at_b = b.open_api().await?;
    let whole = services * usize::from(each);
    until("all copies", seconds(60), async || Ok(total(&at_b, ns, services).await? == whole)).await?;
    pause(2).await;
    let watched: Vec<ServiceName> = (0..services).step_by((services / 10).max(1)).map(|n| service(ns, n)).collect();
    let poller = Poller::start(at_b.clone(), watched.clone());
    let watcher = Backdoor::start().await?;
    watcher.connect("w", &b.addr(), if ns == "public" { "" } else { ns }).await?;
    let mut subscriptions = Vec::new();
    for svc in &watched {
        let subscription = watcher.subscribe("w", svc).await?;
        subscription.wait(seconds(5), |hosts| hosts.len() == usize::from(each)).await?;
        subscription.forget();
        subscriptions.push(subscription);
    }
    let (data, port) = node.kill()?;
    pause(7).await;
    let began = Instant::now();
    let node = Node::on(data, port).await?;
    eprintln!("ready again after kill -9: {:?}", began.elapsed());
    pause(30).await;
    unseen(&poller, &subscriptions, each)?;
    let (data, port) = node.stop()?;
    let node = Node::on(data, port).await?;
    pause(30).await;
    unseen(&poller, &subscriptions, each)?;
    ensure!(total(&at_b, ns, services).await? == whole);
    drop(node);
    Ok(())
}

fn unseen(poller: &Poller, subscriptions: &[causeway_testbed::Subscription], each: u16) -> Result<()> {
    let report = poller.report();
    for (service, watched) in &report.services {
        ensure!(watched.fewest == Some(usize::from(each)) && watched.gaps.is_empty(), "{service:?}: {watched:?}");
        ensure!(watched.most == usize::from(each), "seen twice: {service:?}: {watched:?}");
    }
    for subscription in subscriptions {
        let events = subscription.events();
        ensure!(events.iter().all(|event| event.instances.len() == usize::from(each)), "{events:?}");
    }
    eprintln!("polled {} rounds, the longest {:?}", report.rounds, report.longest_round);
    Ok(())
}

pub async fn a_wiped_source_empties_nothing() -> Result<()> {
    let (a, b) = own(NacosVersion::V2_5, NacosVersion::V3_1).await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "").await?;
    provide(&who, "p", "public", 5, 3).await?;
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "public", "Unidirectional"))?;
    until("copies", seconds(15), async || Ok(total(&at_b, "public", 5).await? == 15)).await?;
    pause(2).await;
    let poller = Poller::start(at_b.clone(), (0..5).map(|n| service("public", n)).collect());
    // The server is stopped in order; its providers end while it is away.
    a.stop().await?;
    who.kill9()?;
    pause(3).await;
    a.wipe_and_start_again().await?;
    until("held", seconds(90), async || Ok(node.number("held")? == 15)).await?;
    pause(5).await;
    let report = poller.report();
    ensure!(report.services.values().all(|watched| watched.fewest == Some(3) && watched.gaps.is_empty()), "{report:?}");
    let task = node.task()?;
    ensure!(task["state"] == "held" && task["reason"].as_str().unwrap_or_default().contains("held"), "{task}");
    ensure!(node.events()?.contains("held"), "{}", node.events()?);
    node.ok(&["release", "src-dst-service"])?;
    until("gone after the release", seconds(15), async || Ok(total(&at_b, "public", 5).await? == 0)).await?;
    Ok(())
}

pub async fn five_hundred_providers_come_back_slowly() -> Result<()> {
    let (a, b) = own(NacosVersion::V2_5, NacosVersion::V2_5).await?;
    let who = Backdoor::start().await?;
    for n in 0..500 {
        let client = format!("p{n}");
        who.connect(&client, &a.addr(), "").await?;
        who.register(&client, &service("public", n % 50), &instances(1, 20_000 + (n / 50) as u16)[0]).await?;
    }
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "public", "Unidirectional"))?;
    until("500 copies", seconds(30), async || Ok(total(&at_b, "public", 50).await? == 500)).await?;
    pause(35).await;
    let poller = Poller::start(at_b.clone(), (0..50).map(|n| service("public", n)).collect());
    a.kill9()?;
    pause(2).await;
    a.start_again().await?;
    pause(90).await;
    let report = poller.report();
    let short: Vec<_> = report.services.iter().filter(|(_, watched)| watched.fewest != Some(10)).collect();
    ensure!(short.is_empty(), "{short:?}");
    ensure!(node.number("held")? == 0, "{}", node.task()?);
    Ok(())
}

pub async fn a_restart_while_the_source_is_down() -> Result<()> {
    let (a, b) = own(NacosVersion::V2_5, NacosVersion::V3_1).await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "").await?;
    provide(&who, "p", "public", 10, 3).await?;
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "public", "Bidirectional"))?;
    until("copies", seconds(15), async || Ok(total(&at_b, "public", 10).await? == 30)).await?;
    pause(2).await;
    let poller = Poller::start(at_b.clone(), (0..10).map(|n| service("public", n)).collect());
    a.kill9()?;
    pause(2).await;
    let (data, port) = node.kill()?;
    pause(5).await;
    let node = Node::on(data, port).await?;
    pause(60).await;
    let report = poller.report();
    ensure!(report.services.values().all(|watched| watched.fewest == Some(3) && watched.gaps.is_empty()), "{report:?}");
    ensure!(node.task()?["reason"].as_str().unwrap_or_default().contains("src"), "{}", node.task()?);
    Ok(())
}

pub async fn the_destination_restarts() -> Result<()> {
    let (a, b) = own(NacosVersion::V2_5, NacosVersion::V2_5).await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "").await?;
    provide(&who, "p", "public", 50, 4).await?;
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "public", "Unidirectional"))?;
    until("copies", seconds(15), async || Ok(total(&at_b, "public", 50).await? == 200)).await?;
    b.kill9()?;
    pause(3).await;
    b.start_again().await?;
    let took =
        until("filled again", seconds(30), async || Ok(total(&at_b, "public", 50).await.unwrap_or(0) == 200)).await?;
    eprintln!("a restarted destination is whole after {took:?}");
    pause(5).await;
    ensure!(node.number("held")? == 0 && node.number("pending")? == 0, "{}", node.task()?);
    Ok(())
}

pub async fn a_hung_destination_holds_up_nobody() -> Result<()> {
    let (a, b) = own(NacosVersion::V2_5, NacosVersion::V2_5).await?;
    let (_, c) = pair().await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "").await?;
    provide(&who, "p", "public", 5, 2).await?;
    let mut text = settings(&a.addr(), &b.addr(), "public", "Unidirectional");
    text = text.replace(
        "tasks:\n",
        &format!(
            "  - clusterName: third\n    connectKeyList: [\"{}\"]\n    clusterType: NACOS\ntasks:\n  - source: src\n    \
             destination: third\n",
            c.addr()
        ),
    );
    let node = Node::start().await?;
    node.apply(&text)?;
    let (at_b, at_c): (OpenApi, OpenApi) = (b.open_api().await?, c.open_api().await?);
    let whole = async |api: &OpenApi| -> Result<bool> { Ok(total(api, "public", 5).await? >= 10) };
    until("both", seconds(15), async || Ok(whole(&at_b).await? && whole(&at_c).await?)).await?;
    b.pause()?;
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let svc = ServiceName::public(&format!("while-hung-{n}"));
        who.register("p", &svc, &instances(1, 21_000)[0]).await?;
        let took = until("through", seconds(6), async || Ok(at_c.visible(&svc).await?.len() == 1)).await?;
        slowest = slowest.max(took);
    }
    b.resume()?;
    eprintln!("the slowest new service while another destination hung: {slowest:?}");
    let last = ServiceName::public("while-hung-19");
    until("caught up", seconds(60), async || Ok(at_b.visible(&last).await.map(|all| all.len()).unwrap_or(0) == 1))
        .await?;
    Ok(())
}

pub async fn a_server_of_three_is_killed() -> Result<()> {
    let cluster = Nacos::cluster(3, Options::default()).await?;
    let b = Nacos::start(NacosVersion::V3_1, Options::default()).await?;
    let who = Backdoor::start().await?;
    for (n, server) in cluster.nodes.iter().enumerate() {
        let client = format!("p{n}");
        who.connect(&client, &server.addr(), "").await?;
        let first = 20_000 + 100 * n as u16;
        who.batch_register(&client, &service("public", 0), &instances(3, first)).await?;
    }
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    let mut addresses = cluster.addrs();
    addresses.reverse();
    let text = settings(&cluster.nodes[0].addr(), &b.addr(), "public", "Unidirectional");
    let all = addresses.iter().map(|addr| format!("\"{addr}\"")).collect::<Vec<_>>().join(", ");
    node.apply(&text.replacen(&format!("\"{}\"", cluster.nodes[0].addr()), &all, 1))?;
    let svc = service("public", 0);
    until("copies of all publishers", seconds(30), async || Ok(at_b.visible(&svc).await?.len() == 9)).await?;
    pause(35).await;
    let poller = Poller::start(at_b.clone(), vec![svc.clone()]);
    // Whichever server ours reads from: each is killed and comes back in turn.
    for server in &cluster.nodes[1..] {
        server.kill9()?;
        pause(25).await;
        server.start_again().await?;
        pause(25).await;
    }
    let report = poller.report();
    let watched = &report.services[&svc];
    ensure!(watched.fewest == Some(9), "{watched:?}");
    drop(node);
    Ok(())
}
