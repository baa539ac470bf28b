//! What a destination refuses for now, decides by itself, or judges by what stands in a record's metadata.

use crate::estate::{Shared, namespace_at, pause, seconds, settings, shared_nacos, until};
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Instance, Server, ServiceName};
use std::time::{Duration, Instant as Clock};
use tokio::task::JoinSet;

/// A persistent instance on one side and an ephemeral one on the other: refused, said, and copied when the persistent one
/// has gone. `at_once`: the operator removes the empty service; else the server forgets it by itself.
async fn taken_back(name: &str, at_once: bool) -> Result<()> {
    let (a, b) = (shared_nacos(Server::Nacos2).await?, shared_nacos(Server::Nacos3).await?);
    let space = namespace_at(&[&a, &b], name).await?;
    let service = ServiceName::new(&space, "DEFAULT_GROUP", "php-svc");
    let fixed = Instance { ephemeral: false, ..Instance::new("127.0.0.1", 9100) };
    let live = Instance::new("127.0.0.1", 9200);
    a.api.register(&service, &fixed).await?;
    let beats = beating(&b, &service, &live).await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.address, &b.address, &space, "Bidirectional"))?;
    until("said", seconds(15), async || {
        Ok(node.task()?["skipped"].to_string().contains("for now") && node.events()?.contains("persistent service"))
    })
    .await
    .with_context(|| node.log())?;
    pause(8).await;
    let told = node.events()?.matches("for now").count();
    ensure!(told <= 2, "told of {told} times");
    a.api.deregister(&service, &fixed).await?;
    if at_once {
        pause(1).await;
        a.api.delete_service(&service).await?;
    }
    let limit = if at_once { seconds(15) } else { seconds(135) };
    let arrived = async || Ok(a.api.visible(&service).await?.iter().any(|one| one.port == live.port));
    let took = until("the ephemeral one arrives", limit, arrived).await.with_context(|| node.log())?;
    eprintln!("arrived after {took:?}");
    until("nothing is left alone", seconds(10), async || Ok(!node.task()?["skipped"].to_string().contains("for now")))
        .await?;
    drop(beats);
    Ok(())
}

/// Keeps an instance alive over HTTP.
async fn beating(at: &Shared, service: &ServiceName, instance: &Instance) -> Result<JoinSet<()>> {
    at.api.register(service, instance).await?;
    let (api, service, instance) = (at.api.clone(), service.clone(), instance.clone());
    let mut beats = JoinSet::new();
    beats.spawn(async move {
        loop {
            tokio::time::sleep(seconds(4)).await;
            drop(api.beat(&service, &instance).await);
        }
    });
    Ok(beats)
}

pub async fn a_refusal_that_passes() -> Result<()> {
    taken_back("passing-refusal", true).await
}

pub async fn a_refusal_that_the_server_takes_back() -> Result<()> {
    taken_back("passing-by-itself", false).await
}

/// A persistent copy whose health the destination checks by itself is nobody's override.
pub async fn health_is_the_destinations() -> Result<()> {
    let (a, b) = (shared_nacos(Server::Nacos2).await?, shared_nacos(Server::Nacos3).await?);
    let space = namespace_at(&[&a, &b], "whose-health").await?;
    let service = ServiceName::new(&space, "DEFAULT_GROUP", "fixed");
    let fixed = Instance { ephemeral: false, ..Instance::new("127.0.0.1", 9101) };
    a.api.register(&service, &fixed).await?;
    // The source checks nothing.
    let off = vec![
        ("namespaceId", space.clone()),
        ("serviceName", "DEFAULT_GROUP@@fixed".to_owned()),
        ("clusterName", "DEFAULT".to_owned()),
        ("checkPort", "80".to_owned()),
        ("useInstancePort4Check", "true".to_owned()),
        ("healthChecker", r#"{"type":"NONE"}"#.to_owned()),
    ];
    let (status, said) = a.api.call(reqwest::Method::PUT, "/v1/ns/cluster", &off).await?;
    ensure!(status.is_success(), "{said}");
    let node = Node::start().await?;
    node.apply(&(settings(&a.address, &b.address, &space, "Unidirectional") + "    overrides: replace\n"))?;
    let health =
        async |at: &Shared| -> Result<Option<bool>> { Ok(at.api.all(&service).await?.first().map(|one| one.healthy)) };
    until("a copy", seconds(15), async || Ok(health(&b).await?.is_some())).await?;
    let took = until("unhealthy there", seconds(90), async || Ok(health(&b).await? == Some(false))).await?;
    ensure!(health(&a).await? == Some(true), "healthy at home");
    eprintln!("unhealthy in the destination after {took:?}");
    pause(8).await;
    let events = node.events()?;
    ensure!(!events.contains("by hand") && !events.contains("updated"), "{events}");
    let task = node.task()?;
    ensure!(task["state"] == "in-step" && !task["skipped"].to_string().contains("by hand"), "{task:#}");
    ensure!(task["skipped"].to_string().contains("health is decided by the destination"), "{task:#}");
    let output = node.cli(&["verify", "src-dst-service"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(0) && said.contains("health is decided by the destination"), "{said}");
    a.api.deregister(&service, &fixed).await?;
    until("gone", seconds(10), async || Ok(health(&b).await?.is_none())).await?;
    Ok(())
}

/// A provider whose owner took milliseconds for seconds: its copy on 1.4 is always there, and healthy.
async fn heart_beat_keys(name: &str, looks: Duration) -> Result<()> {
    let (a, old) = (shared_nacos(Server::Nacos2).await?, shared_nacos(Server::Nacos1).await?);
    let space = namespace_at(&[&a, &old], name).await?;
    let service = ServiceName::new(&space, "DEFAULT_GROUP", "beats");
    let keys = |beat: &str, timeout: &str, delete: &str, port| {
        let one = Instance::new("127.0.0.1", port);
        one.with("preserved.heart.beat.interval", beat)
            .with("preserved.heart.beat.timeout", timeout)
            .with("preserved.ip.delete.timeout", delete)
            .with("zone", "a")
    };
    let odd = keys("30", "120", "180", 9300);
    let quick = keys("1000", "3000", "6000", 9301);
    let who = causeway_testbed::Backdoor::start().await?;
    who.connect("p", &a.address, &space).await?;
    who.batch_register("p", &service, &[odd.clone(), quick.clone()]).await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.address, &old.address, &space, "Unidirectional"))?;
    until("copies", seconds(15), async || Ok(old.api.visible(&service).await?.len() == 2)).await?;
    let (until_then, mut count, mut missed) = (Clock::now() + looks, 0, Vec::new());
    while Clock::now() < until_then {
        let there = old.api.visible(&service).await?;
        count += 1;
        for port in [9300, 9301] {
            if !there.iter().any(|one| one.port == port && one.healthy) {
                missed.push((count, port));
            }
        }
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    ensure!(missed.is_empty(), "{} of {count} looks miss one: {missed:?}", missed.len());
    eprintln!("{count} looks, none missed");
    for native in [&odd, &quick] {
        let all = old.api.all(&service).await?;
        let copy = all.iter().find(|one| one.port == native.port).context("no copy")?;
        let same = native.metadata.iter().all(|(key, value)| copy.metadata[key].trim() == value);
        ensure!(same, "{copy:?}");
    }
    // On its way on it is as it was.
    let verified = node.cli(&["verify", "src-dst-service"])?;
    ensure!(verified.status.code() == Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let beyond = shared_nacos(Server::Nacos3).await?;
    namespace_at(&[&beyond], name).await?;
    let next = Node::start().await?;
    let relay = settings(&old.address, &beyond.address, &space, "Unidirectional") + "    relay: true\n";
    next.apply(&relay)?;
    until("copies of copies", seconds(15), async || Ok(beyond.api.visible(&service).await?.len() == 2)).await?;
    for native in [&odd, &quick] {
        let all = beyond.api.all(&service).await?;
        let copy = all.iter().find(|one| one.port == native.port).context("no copy")?;
        ensure!(native.metadata.iter().all(|(key, value)| copy.metadata.get(key) == Some(value)), "{copy:?}");
    }
    Ok(())
}

pub async fn heart_beat_keys_are_no_flapping() -> Result<()> {
    heart_beat_keys("beat-keys", seconds(16)).await
}

pub async fn heart_beat_keys_for_a_minute() -> Result<()> {
    heart_beat_keys("beat-keys-long", seconds(60)).await
}
