//! Polaris and Nacos, either way and both: what providers do in one is what consumers of the other see.

use crate::estate::{instances, pause, seconds, until};
use crate::node::Node;
use crate::polaris_estate::{Estate, Watch};
use crate::zk_estate::{settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Instance, PolarisRow, ServiceName};
use std::time::Duration;
use tokio::task::JoinSet;

/// The vendor's own example, in our words: one service, both ways between Nacos' public namespace and Polaris' default one.
pub async fn the_vendors_example_both_ways() -> Result<()> {
    let estate = Estate::new("polaris-example").await?;
    let clusters = [
        estate.nacos_cluster("nacos1", ", namespace: public"),
        estate.polaris_cluster("polaris1", ", namespace: default"),
    ];
    let task = "  - {source: nacos1, destination: polaris1, mode: Bidirectional, settle: 2s, \
                serviceMatchPattern: \"nacos[.]test[.]3\"}\n";
    let (name, native) = (ServiceName::public("nacos.test.3"), Instance::new("127.0.0.1", 9_301).with("zone", "a"));
    estate.nacos.api.register(&name, &native).await?;
    estate
        .api
        .register("default", "nacos.test.3", &[PolarisRow::new("127.0.0.1", 9_302).with("side", "polaris")])
        .await?;
    estate.node.apply(&settings(&clusters, &[task.to_owned()]))?;
    let ports = async || {
        let mut in_polaris: Vec<_> =
            estate.api.visible("default", "nacos.test.3").await?.into_iter().map(|row| row.port).collect();
        in_polaris.sort_unstable();
        let mut in_nacos: Vec<_> = estate.nacos.api.visible(&name).await?.into_iter().map(|one| one.port).collect();
        in_nacos.sort_unstable();
        anyhow::Ok((in_polaris, in_nacos))
    };
    let both = async || {
        // Its provider has no client that beats.
        estate.nacos.api.beat(&name, &native).await?;
        let (polaris, nacos) = ports().await?;
        Ok(polaris == [9_301, 9_302] && nacos == [9_301, 9_302])
    };
    let took = until("both on both sides", seconds(20), both).await.with_context(|| estate.state())?;
    eprintln!("both ways after {took:?}");
    let seen = estate.nacos.api.visible(&name).await?;
    ensure!(seen.iter().any(|one| one.metadata.get("side").is_some_and(|side| side == "polaris")), "{seen:?}");
    let all = estate.api.namespaces().await?;
    ensure!(all.iter().all(|name| name != "empty_ns" && name != "public"), "a namespace was made for it: {all:?}");
    estate.nacos.api.deregister(&name, &native).await?;
    let gone = async || Ok(ports().await? == (vec![9_302], vec![9_302]));
    until("one dies", seconds(10), gone).await.with_context(|| estate.state())?;
    estate.node.ok(&["drain", "nacos1-polaris1-service", "--yes"])?;
    until("drained", seconds(15), async || Ok(ports().await? == (vec![9_302], vec![]))).await?;
    Ok(())
}

/// Both ways: what each side can hold travels, what dies goes, and a drain leaves what is native.
pub async fn both_ways_with_nacos() -> Result<()> {
    let estate = Estate::new("polaris-both-ways").await?;
    let (api, nacos, space) = (&estate.api, &estate.nacos.api, estate.space.as_str());
    let mut full = PolarisRow::new("127.0.0.1", 8_001).with("team", "ships");
    (full.protocol, full.version, full.weight, full.priority) = ("http".into(), "2.1".into(), 30, 1);
    full.location = Some(["south", "south-1", "b"].map(str::to_owned));
    for n in 0..4 {
        let name = format!("web-{n}");
        api.register(space, &name, &[full.clone(), PolarisRow::new("127.0.0.1", 8_002)]).await?;
        let there = Instance::new("127.0.0.1", 9_001).with("a.b", "dots").with("zone", "n");
        nacos.register(&estate.service(&format!("Order-{n}")), &there).await?;
    }
    let (beaten, names) = (nacos.clone(), [0, 1, 2, 3].map(|n| estate.service(&format!("Order-{n}"))));
    let mut beating = JoinSet::new();
    beating.spawn(async move {
        loop {
            for name in &names {
                // One that has gone is told so, and stays away.
                drop(beaten.beat(name, &Instance::new("127.0.0.1", 9_001)).await);
            }
            pause(3).await;
        }
    });
    estate.apply(&[task("polaris", "nacos", "Bidirectional")])?;
    for n in 0..4 {
        estate.shows(&format!("web-{n}"), &[8_001, 8_002], seconds(15)).await?;
        estate.polaris_shows(&format!("Order-{n}"), &[9_001], seconds(15)).await?;
    }
    let seen = estate.seen("web-0").await?;
    ensure!(seen[&8_001].metadata["team"] == "ships" && seen[&8_001].weight == 0.3, "{seen:?}");
    let held = estate.held("Order-0").await?;
    ensure!(held[&9_001].metadata["a.b"] == "dots" && held[&9_001].weight == 100, "{held:?}");

    // A change of each side travels.
    api.update(space, "web-0", &[PolarisRow { weight: 70, ..full.clone() }.with("team", "boats")]).await?;
    let changed = async || {
        let seen = estate.seen("web-0").await?;
        Ok(seen
            .get(&8_001)
            .is_some_and(|one| one.weight == 0.7 && one.metadata.get("team").is_some_and(|team| team == "boats")))
    };
    let took = until("the change", seconds(8), changed).await.with_context(|| estate.state())?;
    eprintln!("a change of Polaris in Nacos after {took:?}");
    nacos.register(&estate.service("Order-0"), &Instance::new("127.0.0.1", 9_001).with("a.b", "more dots")).await?;
    let arrived = async || {
        let held = estate.held("Order-0").await?;
        Ok(held.get(&9_001).is_some_and(|row| row.metadata.get("a.b").is_some_and(|text| text == "more dots")))
    };
    let took = until("the change", seconds(8), arrived).await.with_context(|| estate.state())?;
    eprintln!("a change of Nacos in Polaris after {took:?}");

    // One dies on each side.
    api.deregister(space, "web-1", &[PolarisRow::new("127.0.0.1", 8_002)]).await?;
    estate.shows("web-1", &[8_001], seconds(8)).await?;
    nacos.deregister(&estate.service("Order-1"), &Instance::new("127.0.0.1", 9_001)).await?;
    estate.polaris_shows("Order-1", &[], seconds(10)).await?;
    estate.verify("polaris-nacos-service")?;

    // Nothing comes back to where it was born; a drain leaves what is native.
    pause(3).await;
    let all = api.all(space, "web-0").await?;
    ensure!(all.len() == 2, "an echo: {all:?}");
    estate.nothing_refused(&["grpc Discover", "POST /v1/Discover"]).await?;
    estate.node.ok(&["drain", "polaris-nacos-service", "--yes"])?;
    for n in 0..4 {
        estate.shows(&format!("web-{n}"), &[], seconds(15)).await?;
        estate.polaris_shows(&format!("Order-{n}"), &[], seconds(15)).await?;
    }
    ensure!(api.all(space, "web-0").await?.len() == 2, "what is native was touched");
    Ok(())
}

/// Keys that are removed from metadata, and isolation, travel both ways; nobody else vanishes meanwhile.
pub async fn removed_keys_and_isolation_travel() -> Result<()> {
    let estate = Estate::new("polaris-keys").await?;
    let (api, space) = (&estate.api, estate.space.as_str());
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, space).await?;
    let natives = |first: Instance| [vec![first], instances(19, 9_402)].concat();
    let one = Instance::new("127.0.0.1", 9_401).with("keep", "1").with("drop", "1");
    who.batch_register("p", &estate.service("from-nacos"), &natives(one.clone())).await?;
    let row = PolarisRow::new("127.0.0.1", 9_501).with("keep", "1").with("drop", "1");
    let others: Vec<_> = (0..19).map(|n| PolarisRow::new("127.0.0.1", 9_502 + n)).collect();
    api.register(space, "from-polaris", &[std::slice::from_ref(&row), &others[..]].concat()).await?;
    estate.apply(&[task("polaris", "nacos", "Bidirectional")])?;
    let ports: Vec<u16> = (9_501..9_521).collect();
    estate.shows("from-polaris", &ports, seconds(20)).await?;
    estate.polaris_shows("from-nacos", &(9_401..9_421).collect::<Vec<_>>(), seconds(20)).await?;
    let watch = Watch::start(api, space, &[("from-nacos".to_owned(), 20)]);

    let bare = Instance { metadata: [("keep".to_owned(), "1".to_owned())].into(), ..one.clone() };
    who.batch_register("p", &estate.service("from-nacos"), &natives(bare.clone())).await?;
    let dropped = async || Ok(!estate.held("from-nacos").await?[&9_401].metadata.contains_key("drop"));
    until("a key is gone in Polaris", seconds(8), dropped).await.with_context(|| estate.state())?;
    let mut plain = row.clone();
    plain.metadata.remove("drop");
    let changes = async {
        api.update(space, "from-polaris", std::slice::from_ref(&plain)).await?;
        let dropped = async || Ok(!estate.seen("from-polaris").await?[&9_501].metadata.contains_key("drop"));
        until("a key is gone in Nacos", seconds(8), dropped).await.with_context(|| estate.state())?;
        pause(2).await;
        anyhow::Ok(())
    };
    tokio::try_join!(changes, estate.stays("from-polaris", &ports, seconds(4)))?;
    let looks = watch.end().await?;
    eprintln!("{looks} looks at 20 instances, none missing");

    // Out of use, and back.
    for isolated in [true, false] {
        let away = Instance { enabled: !isolated, ..bare.clone() };
        who.batch_register("p", &estate.service("from-nacos"), &natives(away)).await?;
        let there =
            async || Ok(estate.held("from-nacos").await?.get(&9_401).is_some_and(|row| row.isolated == isolated));
        until("isolation in Polaris", seconds(8), there).await.with_context(|| estate.state())?;
        api.update(space, "from-polaris", &[PolarisRow { isolated, ..plain.clone() }]).await?;
        let enabled = async || {
            let all = estate.nacos.api.all(&estate.service("from-polaris")).await?;
            Ok(all.iter().any(|one| one.port == 9_501 && one.enabled != isolated) && all.len() == 20)
        };
        until("isolation in Nacos", seconds(8), enabled).await.with_context(|| estate.state())?;
    }
    Ok(())
}

/// `A__B__C` is the service `B__C` of the group `A`, and keeps its name on the way back.
pub async fn a_name_of_three_parts() -> Result<()> {
    let estate = Estate::new("polaris-names").await?;
    let (api, space) = (&estate.api, estate.space.as_str());
    for (n, name) in (0..).zip(["A__B__C", "plain", "G1__pay__v2"]) {
        api.register(space, name, &[PolarisRow::new("127.0.0.1", 9_601 + n)]).await?;
    }
    let grouped = ServiceName::new(space, "NG", "x__y");
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, space).await?;
    who.batch_register("p", &grouped, &instances(1, 9_611)).await?;
    estate.apply(&[task("polaris", "nacos", "Bidirectional")])?;
    for (group, name, port) in [("A", "B__C", 9_601), ("DEFAULT_GROUP", "plain", 9_602), ("G1", "pay__v2", 9_603)] {
        let service = ServiceName::new(space, group, name);
        let look = async || Ok(estate.nacos.api.visible(&service).await?.iter().any(|one| one.port == port));
        until(&format!("{group}@@{name}"), seconds(15), look).await.with_context(|| estate.state())?;
    }
    estate.polaris_shows("NG__x__y", &[9_611], seconds(15)).await?;
    pause(3).await;
    let mut names = api.services(space).await?;
    names.sort();
    ensure!(names == ["A__B__C", "G1__pay__v2", "NG__x__y", "plain"], "{names:?}");
    Ok(())
}

/// A provider moves from Polaris to Nacos at its address: consumers of Nacos always see it, and no removal of ours hits it.
pub async fn a_provider_moves() -> Result<()> {
    let estate = Estate::new("polaris-moves").await?;
    let (api, space) = (&estate.api, estate.space.as_str());
    let row = PolarisRow::new("127.0.0.1", 8_600);
    api.register(space, "web", std::slice::from_ref(&row)).await?;
    estate.apply(&[task("polaris", "nacos", "Bidirectional")])?;
    estate.shows("web", &[8_600], seconds(15)).await?;
    pause(3).await;
    let moves = async {
        // It comes there before it goes here.
        let native = Instance::new("127.0.0.1", 8_600);
        estate.nacos.api.register(&estate.service("web"), &native).await?;
        pause(3).await;
        api.deregister(space, "web", &[row]).await?;
        for _ in 0..6 {
            estate.nacos.api.beat(&estate.service("web"), &native).await?;
            pause(1).await;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(moves, estate.stays("web", &[8_600], seconds(9)))?;
    estate.polaris_shows("web", &[8_600], seconds(10)).await?;
    Ok(())
}

/// A provider moves from Nacos to Polaris: consumers of Polaris that look every 20 ms always see it.
pub async fn a_provider_moves_to_polaris() -> Result<()> {
    let estate = Estate::new("polaris-moved").await?;
    let (api, space) = (&estate.api, estate.space.as_str());
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, space).await?;
    who.batch_register("p", &estate.service("web"), &instances(3, 8_700)).await?;
    estate.apply(&[task("polaris", "nacos", "Bidirectional")])?;
    estate.polaris_shows("web", &[8_700, 8_701, 8_702], seconds(15)).await?;
    pause(3).await;
    let watch = async {
        let end = std::time::Instant::now() + seconds(12);
        let mut looks = 0;
        while std::time::Instant::now() < end {
            let mut seen: Vec<_> = api.visible(space, "web").await?.into_iter().map(|row| row.port).collect();
            seen.sort_unstable();
            seen.dedup();
            ensure!(seen == [8_700, 8_701, 8_702], "{seen:?}");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(looks)
    };
    let moves = async {
        api.register(space, "web", &[PolarisRow::new("127.0.0.1", 8_700)]).await?;
        pause(3).await;
        who.batch_register("p", &estate.service("web"), &instances(2, 8_701)).await?;
        pause(5).await;
        anyhow::Ok(())
    };
    let (looks, ()) = tokio::try_join!(watch, moves)?;
    eprintln!("{looks} looks, none without it");
    estate.shows("web", &[8_700, 8_701, 8_702], seconds(10)).await?;
    let all = api.discovered(space, "web").await?;
    ensure!(all.len() == 3, "a twin is left: {all:?}");
    Ok(())
}

/// kill -9 of our node, and back: consumers of Polaris that look every 20 ms find our copies all the time.
pub async fn a_restart_of_ours_is_not_seen() -> Result<()> {
    let estate = Estate::new("polaris-restart").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    let services: Vec<_> = (0..10).map(|n| (format!("held-{n}"), 3)).collect();
    for (name, _) in &services {
        who.batch_register("p", &estate.service(name), &instances(3, 9_701)).await?;
    }
    estate.apply(&[task("nacos", "polaris", "Unidirectional")])?;
    for (name, _) in &services {
        estate.polaris_shows(name, &[9_701, 9_702, 9_703], seconds(20)).await?;
    }
    let watch = Watch::start(&estate.api, &estate.space, &services);
    let Estate { node, polaris: _server, .. } = estate;
    let mut node = node;
    for _ in 0..2 {
        let (data, port) = node.kill()?;
        pause(6).await;
        node = Node::on(data, port).await?;
        pause(8).await;
    }
    let looks = watch.end().await?;
    eprintln!("{looks} looks, nothing missing");
    ensure!(looks > 1_000, "{looks} looks only");
    Ok(())
}
