//! Many targets in one upstream, and many services: how many calls they take, the first time and at rest.

use crate::estate::{pause, seconds, until};
use crate::kong_estate::KongEstate;
use anyhow::{Context, Result, ensure};
use causeway_testbed::KongSetup;
use std::collections::BTreeMap;
use std::time::Instant as Clock;

/// More targets than a page has arrive, and all leave again.
pub async fn more_targets_than_a_page_come_and_leave() -> Result<()> {
    let estate = KongEstate::new("kong-pages", KongSetup::default(), "").await?;
    let services = |ports: std::ops::Range<u16>| BTreeMap::from([("orders".to_owned(), ports.collect::<Vec<_>>())]);
    estate.write(&services(10_000..10_250))?;
    // The operator lets so many go at once.
    estate.apply("static", ", guard: {floor: 1000}")?;
    let upstream = "static.public.orders.default";
    let wanted = |ports: std::ops::Range<u16>| ports.map(|port| (port, 100)).collect::<Vec<_>>();
    let took = estate.shows(upstream, &wanted(10_000..10_250), seconds(60)).await?;
    eprintln!("250 targets after {took:.1?}");
    estate.write(&services(10_200..10_330))?;
    estate.shows(upstream, &wanted(10_200..10_330), seconds(60)).await?;
    estate.write(&services(10_330..10_331))?;
    estate.shows(upstream, &wanted(10_330..10_331), seconds(60)).await?;
    estate.write(&BTreeMap::from([("orders".to_owned(), Vec::new())]))?;
    let gone = async || Ok(estate.targets(upstream).await?.is_empty());
    let gone = until("all leave", seconds(60), gone).await;
    gone.with_context(|| format!("{:?}\n{}", estate.node.task(), estate.node.log()))?;
    Ok(())
}

/// 500 services of 10 targets: a bounded number of calls the first time, and next to none at rest.
pub async fn five_hundred_services_of_ten() -> Result<()> {
    const SERVICES: u16 = 500;
    const TARGETS: usize = 10;
    let estate = KongEstate::new("kong-many", KongSetup::default(), "").await?;
    let of = |n: u16| (format!("svc-{n}"), (0..TARGETS as u16).map(|one| 20_000 + one).collect::<Vec<_>>());
    estate.write(&(0..SERVICES).map(of).collect())?;
    let began = Clock::now();
    estate.apply("static", "")?;
    let all = u64::from(SERVICES) * TARGETS as u64;
    let done = until("all targets", seconds(240), async || Ok(estate.node.number("instances")? == all)).await;
    done.with_context(|| format!("{:?}\n{}", estate.node.task(), estate.node.log()))?;
    let (calls, writes) = (estate.desk.total().await?, estate.desk.writes().await?);
    eprintln!("500 x 10 after {:.1?}, with {calls} calls, {writes} of which write", began.elapsed());
    // One for each upstream, service and target, and a look.
    let most = usize::from(SERVICES) * (TARGETS + 2);
    ensure!(writes <= most, "{writes} writes, {most} are enough");
    ensure!(calls <= most + 1_700, "{calls} calls");
    ensure!(estate.api.names("upstreams").await?.len() == usize::from(SERVICES));
    pause(20).await;
    estate.desk.forget().await?;
    pause(60).await;
    let (calls, writes) = (estate.desk.total().await?, estate.desk.writes().await?);
    eprintln!("at rest {calls} calls a minute, {writes} of which write");
    ensure!(writes == 0 && calls <= 700, "{calls} calls a minute at rest, {writes} write");

    // After a restart of ours: a look, and nothing written.
    let (data, port) = estate.node.kill()?;
    estate.desk.forget().await?;
    let node = crate::node::Node::on(data, port).await?;
    pause(30).await;
    let (calls, writes) = (estate.desk.total().await?, estate.desk.writes().await?);
    eprintln!("{calls} calls in the first 30 s after a restart, {writes} of which write");
    ensure!(writes == 0, "{:?}\n{}", estate.desk.calls().await?, node.log());
    Ok(())
}
