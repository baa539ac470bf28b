//! Three servers as one ensemble.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use causeway_connectors::zookeeper::client::{Create, Options, Phase, TreeOptions, WireError};
use causeway_testbed::{ZooKeeperEnsemble, ZooOptions};
use tokio::time::sleep;

use super::{Keeper, View, open, options, reach};

/// The server that we are connected to dies, then the leader: the session goes on elsewhere.
pub async fn fails_over() -> Result<()> {
    let servers = ZooKeeperEnsemble::start(3, ZooOptions::default()).await?;
    let keeper = Arc::new(Keeper::default());
    let keep: Arc<Keeper> = Arc::clone(&keeper);
    let session = open(Options { keep: Some(keep), ..options(&servers.addr()) }).await?;
    session.create("/t", Some(b""), Create::default()).await?;
    session.create("/t/e", Some(b"1"), Create { ephemeral: true, acl: &[] }).await?;
    let before = session.stat("/t/e").await?;
    let mut tree = session.tree(TreeOptions::new("/t"))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.nodes.len() == 2).await?;
    for round in 1..=2 {
        let ours = session.status().borrow().server.clone();
        let victim = match round {
            1 => servers.nodes.iter().find(|node| Some(node.addr()) == ours),
            _ => servers.leader().await,
        };
        let victim = victim.context("no victim")?;
        let generation = session.status().borrow().generation;
        victim.kill9()?;
        let begun = Instant::now();
        while session.stat("/t/e").await.ok() != Some(before) {
            ensure!(begun.elapsed() < Duration::from_secs(20), "not back");
            sleep(Duration::from_millis(10)).await;
        }
        println!("round {round}: reads again after {:?}", begun.elapsed());
        victim.start_again().await?;
        let status = reach(&session, |status| status.phase == Phase::Connected).await?;
        ensure!(status.epoch == 1 && (round == 2 || status.generation > generation), "{status:?}");
    }
    while session.set("/t", Some(b"2"), None).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
    view.until(&mut tree, |view| view.text("/t").as_deref() == Some("2")).await?;
    ensure!(view.resets >= 2 && view.gone.is_empty() && keeper.all().len() == 1);
    ensure!(session.stat("/t/e").await? == before);
    Ok(())
}

/// One of three is left, which would serve readers: nobody reads what may be old, and the session is the same afterwards.
pub async fn loses_its_majority() -> Result<()> {
    let java = vec!["-Dreadonlymode.enabled=true".to_owned()];
    let settings = ["localSessionsEnabled", "localSessionsUpgradingEnabled"].map(|key| (key.into(), "true".into()));
    let options_of_servers = ZooOptions { java, settings: settings.into(), ..ZooOptions::default() };
    let servers = ZooKeeperEnsemble::start(3, options_of_servers).await?;
    let session = open(options(&servers.addr())).await?;
    session.create("/t", Some(b"1"), Create::default()).await?;
    session.create("/t/e", Some(b"1"), Create { ephemeral: true, acl: &[] }).await?;
    let id = session.status().borrow().session;
    let mut tree = session.tree(TreeOptions::new("/t"))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.nodes.len() == 2).await?;
    servers.nodes[0].kill9()?;
    servers.nodes[1].kill9()?;
    reach(&session, |status| status.phase == Phase::Down).await?;
    view.until(&mut tree, |view| view.lost.len() == 1).await?;
    sleep(Duration::from_secs(5)).await;
    ensure!(session.status().borrow().phase == Phase::Down && view.resets == 1, "{:?}", view.lost);
    ensure!(matches!(session.get("/t").await, Err(WireError::Unavailable(_))));

    servers.nodes[0].start_again().await?;
    let begun = Instant::now();
    let status = reach(&session, |status| status.phase == Phase::Connected).await?;
    println!("back after {:?}", begun.elapsed());
    ensure!(status.session == id && status.epoch == 1, "{status:?} {id:?}");
    session.set("/t", Some(b"2"), None).await?;
    view.until(&mut tree, |view| view.text("/t").as_deref() == Some("2")).await?;
    ensure!(session.stat("/t/e").await?.map(|stat| stat.ephemeral_owner) == id);
    Ok(())
}
