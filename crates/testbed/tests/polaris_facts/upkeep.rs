//! What becomes of instances, of data and of calls.

use super::place::{Place, told};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{PolarisFault, PolarisRow, TokenChange};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

fn is_healthy(said: &Value) -> Option<bool> {
    said["instances"][0]["healthy"].as_bool()
}

/// With a TTL of 1 s an instance is unhealthy some 4 s after its last heartbeat, and says when that was; heartbeats make
/// it healthy again.
pub async fn no_heartbeat(at: Place) -> Result<()> {
    let row = PolarisRow { ttl: Some(1), ..PolarisRow::new("127.0.0.1", 80) };
    at.api.register_as_client(&at.space, "web", &row).await?;
    at.until("web", "", Duration::from_secs(3), |said| is_healthy(said) == Some(true)).await?;
    let beat = || at.api.beat(&at.space, "web", "127.0.0.1", 80);
    // The checks begin up to 5 s later.
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        ensure!(beat().await?);
        let said = at.discover("web", "").await?;
        ensure!(is_healthy(&said) == Some(true), "unhealthy although it beats: {said}");
        sleep(Duration::from_millis(500)).await;
    }
    let (said, took) = at.until("web", "", Duration::from_secs(10), |said| is_healthy(said) == Some(false)).await?;
    println!("unhealthy {took:.1?} after the last heartbeat");
    ensure!(took > Duration::from_millis(2_500), "{took:?}");
    let last = said["instances"][0]["metadata"]["internal-lastheartbeat"].as_str().context("no last heartbeat")?;
    ensure!(last.parse::<i64>().is_ok(), "{said}");
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        ensure!(beat().await?);
        let said = at.discover("web", "").await?;
        if is_healthy(&said) == Some(true) {
            ensure!(said["instances"][0]["metadata"].get("internal-lastheartbeat").is_none(), "{said}");
            return Ok(());
        }
        ensure!(Instant::now() < end, "unhealthy although it beats: {said}");
        sleep(Duration::from_millis(500)).await;
    }
}

/// Four heartbeats of an instance that nobody registered are taken, the fifth is not.
pub async fn heartbeats_of_unknown_instances(at: Place) -> Result<()> {
    for n in 1..=6 {
        let known = at.api.beat(&at.space, "none", "127.0.0.1", 80).await?;
        ensure!(known == (n <= 4), "heartbeat {n}: {known}");
    }
    Ok(())
}

pub async fn a_restart_keeps_everything(at: Place) -> Result<()> {
    let rows: Vec<_> = (0..150).map(|n| PolarisRow::new("127.0.0.1", 1_000 + n).with("n", &n.to_string())).collect();
    at.api.register(&at.space, "web", &rows).await?;
    at.api.create_service(&at.space, "empty").await?;
    at.api.deregister(&at.space, "web", &rows[..10]).await?;
    let double = at.double.as_ref().context("no double")?;
    for crash in [false, true] {
        if crash {
            double.kill9()?
        } else {
            double.stop().await?
        }
        ensure!(at.api.namespaces().await.is_err(), "it still answers");
        double.start_again().await?;
        // At once: the cache is filled before it serves.
        let all = at.api.all(&at.space, "web").await?;
        ensure!(all.len() == 140, "{} instances", all.len());
        let of = |port: u16| all.iter().find(|row| row.port == port).map(|row| row.metadata["n"].clone());
        ensure!(of(1_009).is_none() && of(1_149).as_deref() == Some("149"), "{all:?}");
        let mut services = at.api.services(&at.space).await?;
        services.sort();
        ensure!(services == ["empty", "web"], "{services:?}");
    }
    double.stop().await?;
    double.wipe()?;
    double.start_again().await?;
    let mut spaces = at.api.namespaces().await?;
    spaces.sort();
    ensure!(spaces == ["Polaris", "default"], "{spaces:?}");
    Ok(())
}

pub async fn calls_fail_as_told(at: Place) -> Result<()> {
    let door = at.double.as_ref().context("no double")?.door()?;
    at.api.create_namespace(&at.space, "").await?;
    at.api.register(&at.space, "web", &(0..150).map(|n| PolarisRow::new("127.0.0.1", n)).collect::<Vec<_>>()).await?;
    let counts = door.counts().await?;
    ensure!(counts.calls["POST /naming/v1/instances"] == 2 && counts.largest["POST /naming/v1/instances"] == 100);
    ensure!(counts.total == 3 && counts.peak == 1 && counts == door.counts_now()?, "{counts:?}");
    door.count_again().await?;

    let list = async || at.api.ask(Method::GET, "/naming/v1/namespaces", None).await;
    let fault = PolarisFault { calls: "GET /naming".into(), times: Some(1), ..PolarisFault::default() };
    door.fail(&[PolarisFault { code: Some(500_001), ..fault.clone() }]).await?;
    let (status, said) = list().await?;
    ensure!(status == 500 && said["code"] == 500_001, "{said}");
    ensure!(list().await?.0 == 200, "only once");
    door.fail(&[PolarisFault { status: Some(503), ..fault.clone() }]).await?;
    ensure!(list().await?.0 == 503);
    let began = Instant::now();
    door.fail(&[PolarisFault { delay: 300, ..fault.clone() }]).await?;
    ensure!(list().await?.0 == 200 && began.elapsed() >= Duration::from_millis(300));
    door.fail(&[PolarisFault { hang: true, ..fault }]).await?;
    ensure!(tokio::time::timeout(Duration::from_millis(500), list()).await.is_err(), "it answers");
    ensure!(list().await?.0 == 200);
    let counts = door.counts().await?;
    ensure!(counts.refused["GET /naming/v1/namespaces"] == [(500_001, 1), (503_000, 1)].into(), "{counts:?}");

    // Tokens: one that was reset is another thing than one that never was.
    let users = [("limited".to_owned(), [at.space.clone()].into())].into();
    door.change_tokens(&TokenChange { admin: Some("next".into()), users: Some(users), ..TokenChange::default() })
        .await?;
    let (status, said) = list().await?;
    ensure!(status == 401 && said["code"] == 401_004, "{said}");
    let names = async |token: &str| -> Result<Vec<Value>> {
        let (_, body) = at.raw(Method::GET, "/naming/v1/namespaces", &headers(token), "").await?;
        let said: Value = serde_json::from_str(&body)?;
        Ok(said["namespaces"].as_array().context("no list")?.iter().map(|one| one["name"].clone()).collect())
    };
    ensure!(names("next").await?.len() == 3);
    sleep(Duration::from_millis(1_200)).await;
    ensure!(names("limited").await? == [json!(at.space)], "others are not shown");
    let there = json!([{"namespace": "default", "service": "web", "host": "127.0.0.1", "port": 1}]).to_string();
    let (status, said) = at.raw(Method::POST, "/naming/v1/instances", &headers("limited"), &there).await?;
    ensure!(status == 401 && said.contains("no permission"), "{said}");
    let disabled = Some(["next".to_owned()].into());
    door.change_tokens(&TokenChange { disabled, ..TokenChange::default() }).await?;
    let (_, said) = at.raw(Method::GET, "/naming/v1/namespaces", &headers("next"), "").await?;
    ensure!(said.contains("401003"), "{said}");
    ensure!(told(&at.discover("web", "").await?) == 150, "clients need no token");
    Ok(())
}

fn headers(token: &str) -> [(&str, &str); 2] {
    [("X-Polaris-Token", token), ("Content-Type", "application/json")]
}
