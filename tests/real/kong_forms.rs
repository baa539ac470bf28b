//! Other ways into a gateway: TLS and a workspace, and a file that it loads.

use crate::estate::{seconds, until};
use crate::kong_estate::KongEstate;
use crate::zk_estate::{cluster, settings};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Instance, KONG_TOKEN, Kong, KongSetup};
use reqwest::Method;
use serde_json::{Value, json};

/// Over TLS, with a token, into a workspace of its own: nothing goes into another one.
pub async fn over_tls_into_a_workspace() -> Result<()> {
    let setup = KongSetup { tls: true, token: true, workspaces: vec!["team-a".into()], ..KongSetup::default() };
    let (estate, who) = (KongEstate::new("kong-tls", setup, "").await?, Backdoor::start().await?);
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let all = [9_801, 9_802].map(|port| Instance::new("127.0.0.1", port));
    who.batch_register("p", &estate.service("orders"), &all).await?;
    let mut clusters = estate.clusters();
    clusters.pop();
    let ca = estate.kong.ca_file();
    let more = format!(", token: {KONG_TOKEN}, tls: {{ca: {}}}, kong: {{workspace: team-a}}", ca.display());
    clusters.push(cluster("gateway", "KONG", &format!("https://{}", estate.kong.tls_addr()), &more));
    let task = "  - {source: nacos, destination: gateway, settle: 2s}\n".to_owned();
    estate.node.apply(&settings(&clusters, &[task]))?;
    let path = format!("/team-a/upstreams/{}/targets", estate.upstream("orders", "default"));
    let count = async || {
        let (_, said) = estate.api.ask(Method::GET, &path, None).await?;
        anyhow::Ok(said["data"].as_array().map(Vec::len))
    };
    let both = until("two targets", seconds(20), async || Ok(count().await? == Some(2))).await;
    both.with_context(|| format!("{:?}\n{}", estate.node.task(), estate.node.log()))?;
    ensure!(estate.api.names("upstreams").await?.is_empty(), "something stands in the default workspace");
    estate.node.ok(&["drain", "nacos-gateway-service", "--yes"])?;
    until("nothing is left", seconds(20), async || Ok(count().await?.is_none_or(|count| count == 0))).await?;
    Ok(())
}

/// The whole configuration goes into a file, with what another file says of everything that is not ours; a Kong without a
/// database loads it.
pub async fn a_file_that_a_gateway_loads() -> Result<()> {
    let (estate, who) = (KongEstate::new("kong-file", KongSetup::default(), "").await?, Backdoor::start().await?);
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let all = [9_811, 9_812, 9_813].map(|port| Instance::new("127.0.0.1", port));
    who.batch_register("p", &estate.service("orders"), &all[..2]).await?;
    let (base, file) = (estate.folder.path().join("base.json"), estate.folder.path().join("kong.json"));
    let foreign = json!({
        "_format_version": "3.0",
        "upstreams": [{"name": "legacy", "targets": [{"target": "127.0.0.1:7001", "tags": ["mine"]}]}],
        "consumers": [{"username": "someone"}],
    });
    std::fs::write(&base, foreign.to_string())?;
    let mut clusters = estate.clusters();
    clusters.pop();
    let more = format!(", kong: {{mode: dbless, file: '{}', base: '{}'}}", file.display(), base.display());
    clusters.push(cluster("gateway", "KONG", &estate.kong.addr(), &more));
    let task = "  - {source: nacos, destination: gateway, settle: 2s}\n".to_owned();
    estate.node.apply(&settings(&clusters, &[task]))?;
    let has = async |target: &str| Ok(std::fs::read_to_string(&file).is_ok_and(|text| text.contains(target)));
    until("the file", seconds(20), async || has("127.0.0.1:9812").await).await.with_context(|| estate.node.log())?;
    ensure!(estate.desk.writes().await? == 0, "the Admin API was written to");

    let kong = Kong::start(KongSetup { dbless: true, declarative: Some(file.clone()), ..KongSetup::default() }).await?;
    let (api, default) = (kong.api()?, estate.upstream("orders", "default"));
    let ports = async || anyhow::Ok(api.targets(&default).await?.into_keys().collect::<Vec<_>>());
    ensure!(ports().await? == ["127.0.0.1:9811", "127.0.0.1:9812"], "{:?}", ports().await?);
    who.batch_register("p", &estate.service("orders"), &all).await?;
    until("the third", seconds(10), async || has("127.0.0.1:9813").await).await?;
    kong.reload()?;
    until("it is loaded", seconds(5), async || Ok(ports().await?.len() == 3)).await?;
    let legacy = api.targets("legacy").await?;
    ensure!(legacy.values().all(|one| one.tags == ["mine"]) && legacy.len() == 1, "{legacy:?}");
    let consumers: Vec<Value> = api.list("/consumers").await?;
    ensure!(consumers.len() == 1 && consumers[0]["username"] == "someone", "{consumers:?}");
    Ok(())
}
