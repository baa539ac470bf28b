//! polaris-sync between a Nacos and a Polaris, both ways: it runs, ours starts beside it, it is killed, and nobody sees anything.

use crate::estate::{pause, seconds, until};
use crate::polaris_estate::{Estate, Watch};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Instance, PolarisRow, PolarisSync, Poller};
use std::time::Duration;

const SYNC: &str = "__sync__";

pub async fn both_ways() -> Result<()> {
    let estate = Estate::new("old-polaris").await?;
    let (api, space) = (&estate.api, estate.space.as_str());
    // Providers of each side.
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, space).await?;
    let natives = crate::estate::instances(3, 20_000);
    who.batch_register("p", &estate.service("orders"), &natives).await?;
    let rows: Vec<_> = (1..=3).map(|n| PolarisRow::new("127.0.0.1", 8_000 + n).with("zone", "a")).collect();
    api.register(space, "web", &rows).await?;
    // What the tool has made of them: static records in Polaris, one connection's batch in Nacos. It drops clusters and keeps weights.
    let synced = |one: &Instance, source: &str| {
        let row = PolarisRow::new(&one.ip, one.port).with("zone", "a").with(SYNC, source);
        PolarisRow { weight: 1, ..row }
    };
    let copies: Vec<_> = natives.iter().map(|one| synced(one, "nacos")).collect();
    api.register(space, "orders", &copies).await?;
    let orphan = |port, source: &str| PolarisRow::new("127.0.0.9", port).with(SYNC, source);
    api.register(
        space,
        "gone",
        &[orphan(9_001, "nacos"), orphan(9_002, "elsewhere"), PolarisRow::new("127.0.0.9", 9_003)],
    )
    .await?;
    let tool = PolarisSync::start(&estate.nacos.address, space, "polaris").await?;
    let heavy = |row: &PolarisRow| {
        let one = Instance::new(&row.host, row.port).with("zone", "a");
        Instance { weight: 100.0, ..one }
    };
    let published: Vec<_> = rows.iter().map(heavy).collect();
    tool.copy(&estate.service("web"), &published).await?;
    estate.shows("web", &[8_001, 8_002, 8_003], seconds(10)).await?;
    estate.polaris_shows("orders", &[20_000, 20_001, 20_002], seconds(10)).await?;

    let in_polaris = Watch::start(api, space, &[("orders".to_owned(), 3), ("web".to_owned(), 3)]);
    let in_nacos = Poller::start(estate.nacos.api.clone(), ["web", "orders"].map(|name| estate.service(name)).into());
    let task = "  - {source: nacos, destination: polaris, mode: Bidirectional, settle: 2s, takeOver: polaris-sync}\n";
    estate.apply(&[task.to_owned()])?;
    // Those of Polaris are ours in place, the others stand with the tool's.
    let ours = |row: &PolarisRow| row.metadata.contains_key("causeway") && !row.metadata.contains_key(SYNC);
    let taken = async || Ok(api.all(space, "orders").await?.iter().filter(|row| ours(row)).count() == 3);
    until("Polaris' records are ours", seconds(20), taken).await.with_context(|| estate.state())?;
    let told = async || {
        let task = estate.node.task()?;
        Ok(task["reason"].as_str().is_some_and(|text| text.contains("3 copies of polaris-sync stand in nacos")))
    };
    until("ours with the tool's in Nacos", seconds(20), told).await.with_context(|| estate.state())?;
    tool.change(&estate.service("web"), &published, &published).await?;
    pause(4).await;
    tool.kill9()?;
    let done = async || {
        let seen = estate.seen("web").await?;
        Ok(seen.len() == 3
            && seen.values().all(|one| one.metadata.contains_key("causeway") && !one.metadata.contains_key(SYNC)))
    };
    until("Nacos' records are ours", seconds(20), done).await.with_context(|| estate.state())?;
    pause(3).await;
    let looks = in_polaris.end().await.with_context(|| estate.state())?;
    let report = in_nacos.report();
    for (service, watched) in &report.services {
        ensure!(watched.gaps.is_empty() && watched.fewest == Some(3), "{service:?}: {watched:?}");
    }
    let double = report.longest_double(Duration::MAX);
    ensure!(looks > 100 && double <= seconds(1), "{looks} looks; seen twice for {double:?}");
    ensure!(api.all(space, "web").await?.len() == 3, "nothing comes back to where it was born");

    // What it has left behind goes when it is said, and nothing else.
    estate.node.ok(&["drain", "--theirs", "nacos-polaris-service", "--yes"])?;
    let left = async || {
        let mut ports: Vec<_> = api.all(space, "gone").await?.iter().map(|row| row.port).collect();
        ports.sort_unstable();
        Ok(ports == [9_002, 9_003])
    };
    until("one is gone", seconds(10), left).await.with_context(|| estate.state())?;
    estate.verify("nacos-polaris-service")?;
    Ok(())
}
