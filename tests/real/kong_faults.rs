//! A gateway that hangs, refuses, crashes, or has no database.

use crate::estate::{pause, seconds, until};
use crate::kong_estate::{KongEstate, Traffic, instance};
use crate::node::Node;
use crate::zk_estate::{cluster, settings};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, HttpBackend, Instance, KONG_TOKEN, Kong, KongFault, KongSetup};
use reqwest::Method;
use serde_json::{Value, json};

/// An Admin API that takes calls and does not answer stalls no other task, and gets everything once it answers.
pub async fn a_hung_admin_api_stalls_nobody() -> Result<()> {
    let estate = KongEstate::new("kong-hung", KongSetup::default(), "").await?;
    let (other, who) = (Kong::start(KongSetup::default()).await?, Backdoor::start().await?);
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let all = [9_401, 9_402, 9_403].map(|port| Instance::new("127.0.0.1", port));
    who.batch_register("p", &estate.service("orders"), &all[..1]).await?;
    let mut clusters = estate.clusters();
    clusters.push(cluster("second", "KONG", &other.addr(), ""));
    let task = |to: &str| format!("  - {{source: nacos, destination: {to}, settle: 2s}}\n");
    estate.node.apply(&settings(&clusters, &[task("gateway"), task("second")]))?;
    let default = estate.upstream("orders", "default");
    estate.shows(&default, &[(9_401, 100)], seconds(20)).await?;
    let at_other = other.api()?;
    let count = async || Ok(at_other.targets(&default).await?.len());
    until("the other one", seconds(10), async || Ok(count().await? == 1)).await?;

    estate.desk.hang().await?;
    who.batch_register("p", &estate.service("orders"), &all[..2]).await?;
    let took = until("a change at the other one", seconds(5), async || Ok(count().await? == 2)).await?;
    pause(15).await;
    who.batch_register("p", &estate.service("orders"), &all).await?;
    let later = until("one more", seconds(5), async || Ok(count().await? == 3)).await?;
    eprintln!("changes at the other gateway after {took:.1?} and {later:.1?}");
    let told = async || {
        let tasks = estate.node.ok(&["get", "tasks", "-o", "json"])?;
        let tasks: Value = serde_json::from_str(&tasks)?;
        let gateway = tasks.as_array().context("no tasks")?.iter().find(|task| task["destination"] == "gateway");
        Ok(gateway.is_some_and(|task| task["state"] != "in-step" && !task["reason"].is_null()))
    };
    until("that it does not answer", seconds(30), told).await.with_context(|| estate.node.log())?;
    estate.desk.go_on().await?;
    estate.shows(&default, &[(9_401, 100), (9_402, 100), (9_403, 100)], seconds(40)).await?;
    Ok(())
}

/// A wrong token is told, stands in no log, and the right one is enough to go on.
pub async fn a_wrong_token_is_told() -> Result<()> {
    const WRONG: &str = "not-the-token-4711";
    let setup = KongSetup { token: true, ..KongSetup::default() };
    let estate = KongEstate::new("kong-token", setup, "").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    who.register("p", &estate.service("orders"), &Instance::new("127.0.0.1", 9_501)).await?;
    let with = |token: &str| -> Result<()> {
        let mut clusters = estate.clusters();
        clusters.pop();
        clusters.push(cluster("gateway", "KONG", &estate.kong.addr(), &format!(", token: {token}")));
        let task = "  - {source: nacos, destination: gateway, settle: 2s}\n".to_owned();
        estate.node.apply(&settings(&clusters, &[task]))
    };
    with(WRONG)?;
    let said = async || Ok(estate.node.task()?["reason"].to_string().contains("Invalid RBAC credentials"));
    until("that the token is wrong", seconds(20), said).await.with_context(|| format!("{:?}", estate.node.task()))?;
    with(KONG_TOKEN)?;
    estate.shows(&estate.upstream("orders", "default"), &[(9_501, 100)], seconds(30)).await?;
    let log = estate.node.whole_log();
    ensure!(!log.contains(WRONG) && !log.contains(KONG_TOKEN), "a token stands in the log");
    Ok(())
}

/// Writes that fail, and writes that are done and say that they failed, are done once in the end.
pub async fn writes_that_fail_are_repeated() -> Result<()> {
    let estate = KongEstate::new("kong-fails", KongSetup::default(), "").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let fault = |path: &str, status, done| KongFault {
        method: Some("POST".into()),
        path: path.into(),
        status: Some(status),
        done,
        times: Some(2),
        ..KongFault::default()
    };
    for fault in [fault("/services", 500, true), fault("/upstreams/", 503, true), fault("/upstreams/", 500, false)] {
        estate.desk.fault(&fault).await?;
    }
    let all: Vec<_> = (9_601..9_611).map(|port| Instance::new("127.0.0.1", port)).collect();
    who.batch_register("p", &estate.service("orders"), &all).await?;
    estate.apply("nacos", "")?;
    let wanted: Vec<_> = all.iter().map(|one| (one.port, 100)).collect();
    estate.shows(&estate.upstream("orders", "default"), &wanted, seconds(60)).await?;
    let service = format!("nacos.{}.orders", estate.space);
    let made = async || Ok(estate.api.names("services").await? == [service.clone()]);
    until("the service", seconds(30), made).await?;
    until("in step", seconds(30), async || Ok(estate.verify("nacos-gateway-service").is_ok()))
        .await
        .with_context(|| estate.node.log())?;
    Ok(())
}

/// A gateway that crashes is not written again; one whose database was emptied is.
pub async fn a_gateway_that_crashes_keeps_what_it_has() -> Result<()> {
    let estate = KongEstate::new("kong-crash", KongSetup::default(), "").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let all: Vec<_> = (9_701..9_706).map(|port| Instance::new("127.0.0.1", port)).collect();
    who.batch_register("p", &estate.service("orders"), &all).await?;
    estate.apply("nacos", "")?;
    let (default, wanted) =
        (estate.upstream("orders", "default"), all.iter().map(|one| (one.port, 100)).collect::<Vec<_>>());
    estate.shows(&default, &wanted, seconds(20)).await?;
    estate.kong.kill9()?;
    pause(5).await;
    estate.kong.start_again().await?;
    pause(20).await;
    ensure!(estate.desk.writes().await? == 0, "{:?}", estate.desk.calls().await?);
    estate.shows(&default, &wanted, seconds(1)).await?;
    // Somebody removes a target, then all.
    estate.api.remove_target(&default, "127.0.0.1:9703").await?;
    let took = estate.shows(&default, &wanted, seconds(90)).await?;
    eprintln!("a target that somebody has removed is back after {took:.1?}");
    estate.api.call(Method::DELETE, &format!("/upstreams/{default}"), None).await?;
    let took = estate.shows(&default, &wanted, seconds(90)).await?;
    eprintln!("an upstream that somebody has removed is back after {took:.1?}");
    Ok(())
}

/// Without a database all is written at once: what is not ours stays, and what a crash has lost is written again.
pub async fn without_a_database_others_stay() -> Result<()> {
    let setup = KongSetup { dbless: true, ..KongSetup::default() };
    let estate = KongEstate::new("kong-dbless", setup, "").await?;
    let (api, who) = (&estate.api, Backdoor::start().await?);
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let (one, two) = (HttpBackend::start().await?, HttpBackend::start().await?);
    let foreign = json!({
        "_format_version": "3.0",
        "services": [{"name": "legacy", "host": "legacy", "plugins": [{"name": "cors", "config": {"max_age": 1}}],
            "routes": [{"name": "legacy", "paths": ["/legacy"], "protocols": ["http"]}]}],
        "upstreams": [{"name": "legacy", "targets": [{"target": format!("127.0.0.1:{}", one.port()), "tags": ["mine"]}]}],
    });
    api.declare(&foreign).await?;
    who.batch_register("p", &estate.service("orders"), &[instance(&one, "1.0.0")]).await?;
    estate.apply("nacos", "")?;
    let default = estate.upstream("orders", "default");
    estate.shows(&default, &[(one.port(), 100)], seconds(30)).await?;
    let theirs = async |what: &str| -> Result<()> {
        let legacy = api.targets("legacy").await?;
        ensure!(legacy.len() == 1 && legacy.values().all(|one| one.tags == ["mine"]), "{what}: {legacy:?}");
        let plugins = api.list("/plugins").await?;
        ensure!(plugins.len() == 1 && plugins[0]["config"]["max_age"] == 1, "{what}: {plugins:?}");
        api.call(Method::GET, "/services/legacy/routes/legacy", None).await.map(drop).with_context(|| what.to_owned())
    };
    theirs("after the first copy").await?;
    let traffic = Traffic::start(&estate.kong, "/legacy")?;
    who.batch_register("p", &estate.service("orders"), &[instance(&one, "1.0.0"), instance(&two, "1.0.0")]).await?;
    estate.shows(&default, &[(one.port(), 100), (two.port(), 100)], seconds(20)).await?;
    let (data, port) = estate.node.kill()?;
    pause(3).await;
    let node = Node::on(data, port).await?;
    pause(5).await;
    theirs("after a restart of ours").await?;
    let count = traffic.end().await.whole().with_context(|| node.log())?;
    eprintln!("{count} requests to what is not ours, none failed");
    let stands = async || Ok(api.targets(&default).await?.len() == 2);
    ensure!(stands().await?, "{:?}", api.targets(&default).await?);
    // At rest nothing is written.
    estate.desk.forget().await?;
    pause(10).await;
    ensure!(estate.desk.writes().await? == 0, "{:?}", estate.desk.calls().await?);
    // It crashes and has forgotten everything; somebody else gives it the rest again.
    estate.kong.kill9()?;
    estate.kong.start_again().await?;
    let took = until("ours again", seconds(90), stands).await.with_context(|| node.log())?;
    eprintln!("what a crash has lost is written again after {took:.1?}");
    node.ok(&["drain", "nacos-gateway-service", "--yes"])?;
    until("ours are gone", seconds(20), async || Ok(api.targets(&default).await?.is_empty())).await?;
    Ok(())
}
