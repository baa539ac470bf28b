//! On servers of one's own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_core::{Change, Part, ServiceKey, Written, WrittenRecord};
use causeway_testbed::{Backdoor, Nacos, NacosVersion, Options};
use tokio::time::sleep;

use super::{Gaps, at, name};
use crate::nacos_ports::{Follow, View, copy, native, owner, until, write};

const SOON: Duration = Duration::from_secs(4);

fn scope(service: &str) -> ServiceKey {
    ServiceKey::new("public", "g", service)
}

fn resets(view: &View) -> usize {
    view.resets.get(&Part::new("public")).copied().unwrap_or(0)
}

/// Opened before the server is there; the server is killed and comes back with nothing; our process is replaced.
pub async fn killed() -> Result<()> {
    let server = Nacos::start(NacosVersion::V1_4, Options::default()).await?;
    server.kill9()?;
    let session = at(&server.addr())?;
    let follow = Follow::start(&session);
    follow.sees("lost, as nothing answers", SOON, |view| view.lost == 1).await?;
    let early = session.apply(&scope("early"), &[Change::Create(copy(7100))]).await;
    ensure!(matches!(early.as_slice(), [Err(error)] if error.is_transient()), "{early:?}");
    server.start_again().await?;
    let api = server.open_api().await?;
    follow.sees("the first reset", SOON, |view| resets(view) == 1).await?;
    ensure!(!session.capabilities().shadows);
    let scopes: Vec<_> = (0..20).map(|n| scope(&format!("s{n}"))).collect();
    for scope in &scopes {
        write(&session, scope, &[Change::Create(copy(7101)), Change::Create(copy(7102))]).await?;
    }
    let full = |view: &View| scopes.iter().all(|scope| view.sets.get(scope).is_some_and(|set| set.records.len() == 2));
    follow.sees("all", SOON, full).await?;

    // Another process takes over: no gap, also long after the first has gone.
    let gaps = Gaps::watch(&api, &scopes[0], 2);
    session.close().await;
    drop((follow, session));
    sleep(Duration::from_secs(6)).await;
    let session = at(&server.addr())?;
    let owned: Vec<_> = scopes
        .iter()
        .map(|scope| {
            let records = [copy(7101), copy(7102)].map(|record| {
                (record.id(), WrittenRecord { record, owner: owner(), shadow: false, before: None, over: None })
            });
            (scope.clone(), Written { records: records.into(), attributes: None })
        })
        .collect();
    session.adopt(&owned).await?;
    let follow = Follow::start(&session);
    sleep(Duration::from_secs(20)).await;
    ensure!(gaps.missed() == 0, "a gap was seen: {:?}", gaps.seen.lock());
    drop(gaps);

    follow.sees("whole", SOON, |view| resets(view) == 1 && view.lost == 0).await?;
    server.kill9()?;
    println!("loss told after {:?}", follow.sees("lost", Duration::from_secs(6), |view| view.lost == 1).await?);
    ensure!(resets(&follow.view.lock()) == 1, "never an empty reset");
    server.start_again().await?;
    follow.sees("a new reset", SOON, |view| resets(view) == 2).await?;
    println!("all back after {:?}", follow.sees("all again", Duration::from_secs(12), full).await?);

    // A hang is no end: nothing is lost that the server still has.
    server.pause()?;
    follow.sees("lost", Duration::from_secs(20), |view| view.lost == 2).await?;
    server.resume()?;
    follow.sees("a third reset", Duration::from_secs(10), |view| resets(view) == 3).await?;
    follow.sees("all again", Duration::from_secs(12), full).await?;
    Ok(())
}

/// The server is replaced by one of 2.5 at the same address: everything goes over gRPC then.
pub async fn upgraded() -> Result<()> {
    let old = Nacos::start(NacosVersion::V1_4, Options::default()).await?;
    let port: u16 = old.addr().rsplit_once(':').context("no port")?.1.parse()?;
    let session = at(&old.addr())?;
    let follow = Follow::start(&session);
    let scopes: Vec<_> = (0..10).map(|n| scope(&format!("s{n}"))).collect();
    for scope in &scopes {
        write(&session, scope, &[Change::Create(copy(7101)), Change::Create(copy(7102))]).await?;
    }
    let full = |view: &View| scopes.iter().all(|scope| view.sets.get(scope).is_some_and(|set| set.records.len() == 2));
    follow.sees("all", SOON, full).await?;
    old.stop().await?;
    drop(old);
    let new = Nacos::start(NacosVersion::V2_5, Options { port: Some(port), ..Options::default() }).await?;
    let api = new.open_api().await?;
    let began = Instant::now();
    follow.sees("all at the new server", Duration::from_secs(30), |view| resets(view) >= 2 && full(view)).await?;
    println!("all at the new server {:?} after it was ready", began.elapsed());
    let by_grpc = async || {
        let mut all = true;
        for scope in &scopes {
            let publishers = api.publishers(&name(scope), "127.0.0.1", 7101).await?;
            all &= publishers.len() == 1 && !publishers[0].client.contains('#');
        }
        Ok(all)
    };
    until("published by a connection alone", Duration::from_secs(40), by_grpc).await?;
    ensure!(session.capabilities().shadows);
    // Pushes are there.
    let door = Backdoor::start().await?;
    door.connect("provider", &new.addr(), "public").await?;
    let provided = scope("provided");
    door.register("provider", &name(&provided), &super::row(&native(7103))).await?;
    until("a native", SOON, async || Ok(follow.held(&provided).native.is_some())).await?;
    write(&session, &scopes[0], &[Change::Create(copy(7104))]).await?;
    follow.sees("one more", SOON, |view| view.sets[&scopes[0]].records.len() == 3).await?;
    session.close().await;
    Ok(())
}

/// 500 services of 10 instances: nothing turns unhealthy; what it costs is printed.
pub async fn many() -> Result<()> {
    let server = Nacos::start(NacosVersion::V1_4, Options::default()).await?;
    let api = server.open_api().await?;
    let session = at(&server.addr())?;
    let follow = Follow::start(&session);
    let changes: Vec<_> = (0..10).map(|n| Change::Create(copy(7100 + n))).collect();
    let scopes: Vec<_> = (0..500).map(|n| scope(&format!("s{n}"))).collect();
    let began = Instant::now();
    for some in scopes.chunks(16) {
        futures_util::future::try_join_all(some.iter().map(|scope| write(&session, scope, &changes))).await?;
    }
    println!("5,000 registered in {:?}", began.elapsed());
    let full = |view: &View| scopes.iter().all(|scope| view.sets.get(scope).is_some_and(|set| set.records.len() == 10));
    println!("all seen after {:?}", follow.sees("all", Duration::from_secs(20), full).await?);
    let pid = server.pid().context("it runs")?;
    for round in 0..3 {
        let (ours, theirs, at) = (cpu(std::process::id())?, cpu(pid)?, Instant::now());
        sleep(Duration::from_secs(15)).await;
        let share = |before: f64, after: f64| (after - before) / at.elapsed().as_secs_f64();
        println!(
            "round {round}: CPU of ours {:.3}, of the server {:.3} cores",
            share(ours, cpu(std::process::id())?),
            share(theirs, cpu(pid)?)
        );
        for scope in scopes.iter().step_by(50) {
            let all = api.all(&name(scope)).await?;
            ensure!(all.len() == 10 && all.iter().all(|one| one.healthy), "{scope}: {all:?}");
        }
    }
    ensure!(follow.view.lock().lost == 0);
    Ok(())
}

/// CPU seconds of a process so far.
fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}
