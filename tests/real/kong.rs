//! A real Nacos to a gateway: groups, live traffic, and what is not ours.

use crate::estate::{pause, seconds, until};
use crate::kong_estate::{KongEstate, Traffic, instance};
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, HttpBackend, Instance, KongSetup};
use reqwest::Method;
use serde_json::json;

const GROUPS: &str =
    ", groups: [{name: version-1, metadata: {version: 1.0.0}}, {name: version-2, metadata: {version: 2.0.0}}]";

/// One service, one upstream for each group, and the right targets in each, whatever changes.
pub async fn a_service_has_an_upstream_for_each_group() -> Result<()> {
    let estate = KongEstate::new("kong-groups", KongSetup::default(), "").await?;
    let (name, who) = ("nacos.test.3", Backdoor::start().await?);
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let of = |port: u16, version: &str| Instance::new("127.0.0.1", port).with("version", version);
    let weighs = |weight: f64, one: Instance| Instance { weight, ..one };
    let mut all = vec![
        of(9_101, "1.0.0"),
        weighs(0.5, of(9_102, "1.0.0")),
        weighs(2.0, of(9_103, "2.0.0")),
        Instance { enabled: false, ..of(9_104, "1.0.0") },
        of(9_105, "3.0.0"),
    ];
    let publish = async |all: &[Instance]| who.batch_register("p", &estate.service(name), all).await;
    publish(&all).await?;
    estate.apply("nacos", GROUPS)?;
    let [default, one, two] = ["default", "version-1", "version-2"].map(|group| estate.upstream(name, group));
    estate.shows(&default, &[(9_101, 100), (9_102, 50), (9_103, 200), (9_105, 100)], seconds(20)).await?;
    estate.shows(&one, &[(9_101, 100), (9_102, 50)], seconds(5)).await?;
    estate.shows(&two, &[(9_103, 200)], seconds(5)).await?;
    let service = format!("nacos.{}.{name}", estate.space);
    ensure!(estate.api.names("services").await? == std::slice::from_ref(&service));
    ensure!(estate.api.names("upstreams").await? == [default.clone(), one.clone(), two.clone()]);
    let stands = estate.api.call(Method::GET, &format!("/services/{service}"), None).await?;
    ensure!(stands["host"] == *default && stands["protocol"] == "http", "{stands}");
    ensure!(estate.api.list("/routes").await?.is_empty(), "nobody asked for routes");
    for (upstream, targets) in [(&default, 4), (&one, 2), (&two, 1)] {
        let rows = estate.api.targets(upstream).await?;
        let marked = rows.values().filter(|row| row.tags.iter().any(|tag| tag.starts_with("causeway.mark="))).count();
        ensure!(marked == targets, "{upstream}: {rows:?}");
    }

    // From one group to another, back into traffic, and away.
    all[1] = weighs(0.5, of(9_102, "2.0.0"));
    all[3].enabled = true;
    publish(&all).await?;
    estate.shows(&one, &[(9_101, 100), (9_104, 100)], seconds(5)).await?;
    estate.shows(&two, &[(9_102, 50), (9_103, 200)], seconds(5)).await?;
    all.retain(|one| one.metadata["version"] != "2.0.0");
    publish(&all).await?;
    estate.shows(&two, &[], seconds(5)).await?;
    estate.shows(&default, &[(9_101, 100), (9_104, 100), (9_105, 100)], seconds(5)).await?;
    estate.verify("nacos-gateway-service")?;

    // At rest nothing is written.
    pause(2).await;
    estate.desk.forget().await?;
    pause(10).await;
    ensure!(estate.desk.writes().await? == 0, "{:?}", estate.desk.calls().await?);
    Ok(())
}

/// Instances come, change and go, and the node is killed and started again: no request fails.
pub async fn no_request_fails_while_instances_come_and_go() -> Result<()> {
    let estate = KongEstate::new("kong-traffic", KongSetup::default(), "").await?;
    let (name, who) = ("shop", Backdoor::start().await?);
    let service = estate.service(name);
    let mut backends = Vec::new();
    for n in 0..6 {
        let backend = HttpBackend::start().await?;
        // Each provider has a connection of its own.
        who.connect(&format!("p{n}"), &estate.nacos.address, &estate.space).await?;
        backends.push(Some(backend));
    }
    let port = |n: usize| backends[n].as_ref().map(HttpBackend::port).unwrap_or_default();
    let ports: Vec<u16> = (0..6).map(port).collect();
    let of = |n: usize, version: &str| Instance::new("127.0.0.1", ports[n]).with("version", version);
    let comes = async |n: usize| who.register(&format!("p{n}"), &service, &of(n, "1.0.0")).await;
    let goes = async |n: usize| who.deregister(&format!("p{n}"), &service, &of(n, "1.0.0")).await;
    for n in 0..4 {
        comes(n).await?;
    }
    estate.apply("nacos", GROUPS)?;
    let default = estate.upstream(name, "default");
    let shows = async |all: &[usize]| {
        let wanted: Vec<_> = all.iter().map(|n| (ports[*n], 100)).collect();
        estate.shows(&default, &wanted, seconds(20)).await
    };
    shows(&[0, 1, 2, 3]).await?;
    estate.expose(&format!("nacos.{}.{name}", estate.space), "/shop").await?;
    let traffic = Traffic::start(&estate.kong, "/shop")?;
    pause(2).await;

    comes(4).await?;
    let took = shows(&[0, 1, 2, 3, 4]).await?;
    goes(0).await?;
    let left = shows(&[1, 2, 3, 4]).await?;
    eprintln!("a new target after {took:.1?}, one less after {left:.1?}");
    // A provider ends a while after it has left, as it does when it is asked to.
    pause(1).await;
    backends[0].take().context("no backend")?.stop().await;
    who.register("p1", &service, &Instance { weight: 3.0, ..of(1, "2.0.0") }).await?;
    let heavy: Vec<_> = [(1, 300), (2, 100), (3, 100), (4, 100)].map(|(n, weight)| (ports[n], weight)).into();
    estate.shows(&default, &heavy, seconds(10)).await?;
    who.register("p1", &service, &of(1, "1.0.0")).await?;
    shows(&[1, 2, 3, 4]).await?;

    // kill -9. Meanwhile one leaves, and goes on answering for a while, and another one comes.
    let KongEstate { node, kong, api, desk, nacos, space, folder, .. } = estate;
    let (data, at) = node.kill()?;
    goes_away(&who, &service, 2, &ports).await?;
    who.register("p5", &service, &Instance::new("127.0.0.1", ports[5])).await?;
    pause(4).await;
    let node = Node::on(data, at).await?;
    let targets = async || {
        let rows = api.targets(&default).await?;
        let port = |target: String| target.rsplit_once(':')?.1.parse::<u16>().ok();
        anyhow::Ok(rows.into_keys().filter_map(port).collect::<Vec<_>>())
    };
    let wanted = {
        let mut wanted: Vec<u16> = [1, 3, 4, 5].map(|n| ports[n]).into();
        wanted.sort_unstable();
        wanted
    };
    let stands = async || {
        let mut seen = targets().await?;
        seen.sort_unstable();
        anyhow::Ok(seen == wanted)
    };
    until("what changed while we were away", seconds(40), async || stands().await).await.with_context(|| node.log())?;
    pause(1).await;
    backends[2].take().context("no backend")?.stop().await;
    // SIGTERM, and back at once.
    let (data, at) = node.stop()?;
    let node = Node::on(data, at).await?;
    pause(5).await;
    ensure!(stands().await?, "a restart has changed something: {:?}", targets().await?);
    let tally = traffic.end().await;
    let count = tally.whole().with_context(|| node.log())?;
    let proxy = desk.traffic().await?;
    ensure!(proxy.retries == 0, "{} requests met a target that was not there", proxy.retries);
    ensure!([1, 3, 4, 5].iter().all(|n| tally.good.contains_key(&ports[*n])), "{:?}", tally.good);
    eprintln!("{count} requests, none failed: {:?}", tally.good);
    drop((kong, nacos, space, folder));
    Ok(())
}

async fn goes_away(who: &Backdoor, service: &causeway_testbed::ServiceName, n: usize, ports: &[u16]) -> Result<()> {
    let one = Instance::new("127.0.0.1", ports[n]).with("version", "1.0.0");
    who.deregister(&format!("p{n}"), service, &one).await
}

/// Targets, upstreams, services and routes that somebody else has made stay, also through a drain.
pub async fn what_others_made_survives() -> Result<()> {
    let estate = KongEstate::new("kong-others", KongSetup::default(), "").await?;
    let (api, who) = (&estate.api, Backdoor::start().await?);
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let all = [9_201, 9_202, 9_203].map(|port| Instance::new("127.0.0.1", port).with("version", "1.0.0"));
    who.batch_register("p", &estate.service("orders"), &all).await?;
    api.make_upstream("legacy").await?;
    api.put_target("legacy", "127.0.0.1:7001", 10, &["mine".into()]).await?;
    api.expose("legacy", "legacy", "/legacy").await?;
    estate.apply("nacos", GROUPS)?;
    let (default, one) = (estate.upstream("orders", "default"), estate.upstream("orders", "version-1"));
    estate.shows(&default, &[(9_201, 100), (9_202, 100), (9_203, 100)], seconds(20)).await?;
    // Into what is ours.
    api.put_target(&default, "127.0.0.1:7002", 20, &["mine".into()]).await?;
    api.put_target(&default, "Legacy.example:7003", 0, &[]).await?;
    let service = format!("nacos.{}.orders", estate.space);
    api.route(&service, "/orders").await?;
    let theirs = async |what: &str| -> Result<()> {
        let (legacy, ours) = (api.targets("legacy").await?, api.targets(&default).await?);
        ensure!(
            legacy["127.0.0.1:7001"].weight == 10 && legacy["127.0.0.1:7001"].tags == ["mine"],
            "{what}: {legacy:?}"
        );
        let kept = ours.get("127.0.0.1:7002").is_some_and(|one| one.weight == 20 && one.tags == ["mine"]);
        ensure!(kept && ours.contains_key("Legacy.example:7003"), "{what}: {ours:?}");
        for path in ["/services/legacy".to_owned(), "/routes/legacy".to_owned(), format!("/routes/{service}")] {
            api.call(Method::GET, &path, None).await.with_context(|| what.to_owned())?;
        }
        Ok(())
    };
    who.batch_register("p", &estate.service("orders"), &all[..2]).await?;
    estate.shows(&default, &[(9_201, 100), (9_202, 100), (7_002, 20)], seconds(10)).await?;
    pause(5).await;
    theirs("after a change").await?;
    estate.node.ok(&["drain", "nacos-gateway-service", "--yes"])?;
    estate.shows(&default, &[(7_002, 20)], seconds(20)).await?;
    estate.shows(&one, &[], seconds(10)).await?;
    pause(3).await;
    theirs("after a drain").await?;
    ensure!(!api.names("upstreams").await?.contains(&one), "an empty upstream of ours is left");
    Ok(())
}

/// `upstreamName`: only targets of ours come and go in an upstream that exists already.
pub async fn an_existing_upstream_gets_targets_only() -> Result<()> {
    let estate = KongEstate::new("kong-given", KongSetup::default(), "").await?;
    let (api, who) = (&estate.api, Backdoor::start().await?);
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let all = [9_301, 9_302].map(|port| Instance::new("127.0.0.1", port).with("version", "1.0.0"));
    who.batch_register("p", &estate.service("orders"), &all).await?;
    let body = json!({"algorithm": "least-connections", "tags": ["mine"]});
    let before = api.call(Method::PUT, "/upstreams/orders-live", Some(&body)).await?;
    api.put_target("orders-live", "127.0.0.1:7001", 10, &["mine".into()]).await?;
    let groups = "groups: [{name: default, upstreamName: '{service}-live'}, {name: version-1, metadata: {version: 1.0.0}, \
                  upstreamName: '{service}-later'}]";
    estate.apply("nacos", &format!(", {groups}"))?;
    estate.shows("orders-live", &[(9_301, 100), (9_302, 100), (7_001, 10)], seconds(20)).await?;
    pause(3).await;
    ensure!(api.names("upstreams").await? == ["orders-live"], "{:?}", api.names("upstreams").await?);
    ensure!(api.names("services").await?.is_empty());
    // One that comes later is found.
    api.make_upstream("orders-later").await?;
    estate.shows("orders-later", &[(9_301, 100), (9_302, 100)], seconds(30)).await?;
    who.batch_register("p", &estate.service("orders"), &all[..1]).await?;
    estate.shows("orders-live", &[(9_301, 100), (7_001, 10)], seconds(10)).await?;
    estate.node.ok(&["drain", "nacos-gateway-service", "--yes"])?;
    estate.shows("orders-live", &[(7_001, 10)], seconds(20)).await?;
    estate.shows("orders-later", &[], seconds(10)).await?;
    pause(2).await;
    let after = api.call(Method::GET, "/upstreams/orders-live", None).await?;
    ensure!(after == before, "somebody else's upstream was written: {before} {after}");
    ensure!(api.names("upstreams").await?.len() == 2, "somebody else's upstream is gone");
    Ok(())
}

/// A source that is back with nothing empties no upstream until the operator says so.
pub async fn an_emptied_source_is_held() -> Result<()> {
    use causeway_testbed::{Nacos, NacosVersion, Options};
    let (source, mut estate) = tokio::try_join!(
        Nacos::start(NacosVersion::V2_5, Options::default()),
        KongEstate::new("kong-emptied", KongSetup::default(), "")
    )?;
    // That of this test alone.
    (estate.nacos.address, estate.nacos.api) = (source.addr(), source.open_api().await?);
    estate.nacos.api.create_namespace(&estate.space, "of a test").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &source.addr(), &estate.space).await?;
    let (one, two) = (HttpBackend::start().await?, HttpBackend::start().await?);
    let all = [instance(&one, "1.0.0"), instance(&two, "1.0.0")];
    who.batch_register("p", &estate.service("orders"), &all).await?;
    estate.apply("nacos", "")?;
    let default = estate.upstream("orders", "default");
    estate.shows(&default, &[(one.port(), 100), (two.port(), 100)], seconds(20)).await?;
    estate.expose(&format!("nacos.{}.orders", estate.space), "/orders").await?;
    pause(3).await;
    let traffic = Traffic::start(&estate.kong, "/orders")?;
    source.kill9()?;
    who.kill9()?;
    source.start_again().await?;
    let held = async || Ok(estate.node.number("held")? == 2);
    until("two are held", seconds(60), held).await.with_context(|| estate.node.log())?;
    estate.stays(&default, &[one.port(), two.port()], seconds(5)).await?;
    let count = traffic.end().await.whole().with_context(|| estate.node.log())?;
    eprintln!("{count} requests while the source was empty, none failed");
    estate.node.ok(&["release", "nacos-gateway-service"])?;
    estate.shows(&default, &[], seconds(20)).await?;
    Ok(())
}
