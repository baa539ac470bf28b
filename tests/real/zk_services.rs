//! Services from ZooKeeper to ZooKeeper, judged by the vendor's own client.

use crate::cut::Cut;
use crate::estate::{pause, seconds, until};
use crate::node::Node;
use crate::zk::{Zoo, alike, ephemerals, provider_node, settings, spring_node};
use anyhow::{Result, ensure};
use causeway_testbed::{ZkClient, ZkNode};

/// Both servers' usual longest session.
const SESSION_MS: u32 = 40_000;

async fn put(who: &ZkClient, path: &str, data: &str) -> Result<()> {
    who.create_node(&ZkNode::ephemeral(path, data)).await.map(drop)
}

/// The folders above `path`.
async fn folders(who: &ZkClient, path: &str) -> Result<()> {
    for (at, _) in path.char_indices().filter(|(at, c)| *c == '/' && *at > 0) {
        // It may be there already.
        drop(who.create(&path[..at], "127.0.0.1").await);
    }
    Ok(())
}

/// `count` Dubbo providers of one interface.
pub async fn provide(who: &ZkClient, interface: &str, ports: std::ops::Range<u16>) -> Result<()> {
    for port in ports {
        let (folder, name) = provider_node(interface, "127.0.0.1", port, "&weight=150");
        folders(who, &format!("{folder}/x")).await?;
        put(who, &format!("{folder}/{name}"), "127.0.0.1").await?;
    }
    Ok(())
}

pub async fn every_layout_travels_byte_for_byte_both_ways() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    let one = zoo.provider("one").await?;
    provide(&one, "lab.Greeter", 20880..20885).await?;
    let (path, data) = spring_node("Orders", "a9c9232b-b5aa-4369-82f5-17b4c37ca613", 18091);
    folders(&one, &path).await?;
    put(&one, &path, &data).await?;
    // A malformed child beside it is left alone and hides nothing.
    put(&one, "/services/Orders/broken", "no json").await?;
    let app = "{\"name\":\"lab\",\"id\":\"127.0.0.1:20880\",\"address\":\"127.0.0.1\",\"port\":20880,\"sslPort\":null,\
               \"payload\":{\"@class\":\"org.apache.dubbo.registry.zookeeper.ZookeeperInstance\",\"id\":\
               \"127.0.0.1:20880\",\"name\":\"lab\",\"metadata\":{\"meta-v\":\"1.0.0\",\"dubbo.metadata.revision\":\"5\"}},\
               \"registrationTimeUTC\":1795308603036,\"serviceType\":\"DYNAMIC\",\"uriSpec\":null}";
    folders(&one, "/services/lab/x").await?;
    put(&one, "/services/lab/127.0.0.1:20880", app).await?;

    let node = Node::start().await?;
    node.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Service", "Bidirectional", ""))?;
    let took = alike(&zoo, "/dubbo", 5, seconds(10)).await?;
    eprintln!("first copy: {took:?}");
    until("the other layouts", seconds(5), async || Ok(ephemerals(&zoo.at_b.walk("/services").await?).len() == 2))
        .await?;
    let there = zoo.at_b.get(&path).await?.map(|read| (read.text(), read.stat.owner != 0));
    ensure!(there == Some((data.clone(), true)), "{there:?}");
    let (a, b) = (zoo.a.ephemerals().await?, zoo.b.ephemerals().await?);
    ensure!(b.len() == 1, "one session holds all copies: {b:?}");
    ensure!(a.keys().all(|session| !b.contains_key(session)), "no echo: {a:?}");

    // A change of data, a new one, one that leaves, and the way back.
    let changed = data.replace("\"zone\":\"z1\"", "\"zone\":\"z2\"");
    one.set(&path, &changed).await?;
    let seen = async || Ok(zoo.at_b.get(&path).await?.is_some_and(|read| read.text() == changed));
    eprintln!("a change: {:?}", until("a change of data", seconds(5), seen).await?);
    let two = zoo.provider("two").await?;
    provide(&two, "lab.Greeter", 20890..20891).await?;
    eprintln!("a new one: {:?}", alike(&zoo, "/dubbo", 6, seconds(5)).await?);
    two.close().await?;
    eprintln!("one that leaves: {:?}", alike(&zoo, "/dubbo", 5, seconds(5)).await?);
    let back = zoo.door.connect("back", &causeway_testbed::ZkConnect::to(&zoo.b.addr())).await?;
    provide(&back, "lab.Other", 20900..20902).await?;
    eprintln!("the way back: {:?}", alike(&zoo, "/dubbo", 7, seconds(5)).await?);
    let verified = node.cli(&["verify", "src-dst-service", "-o", "json"])?;
    ensure!(verified.status.code() == Some(0), "{}", String::from_utf8_lossy(&verified.stdout));

    // Draining takes exactly ours.
    node.ok(&["drain", "src-dst-service", "--yes"])?;
    until("drained", seconds(10), async || {
        let (a, b) = (zoo.at_a.walk("/").await?, zoo.at_b.walk("/").await?);
        Ok(ephemerals(&a).len() == 8 && ephemerals(&b).len() == 2)
    })
    .await?;
    Ok(())
}

pub async fn a_restart_of_ours_is_no_event() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    let one = zoo.provider("one").await?;
    for n in 0..20 {
        provide(&one, &format!("lab.Service{n}"), 20880..20890).await?;
    }
    let node = Node::start().await?;
    node.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Service", "Unidirectional", ""))?;
    alike(&zoo, "/dubbo", 200, seconds(20)).await?;
    let watch = zoo.watch_b("watcher", "/dubbo").await?;
    let owner = zoo.b.ephemerals().await?.keys().copied().collect::<Vec<_>>();

    let (data, port) = node.kill()?;
    pause(3).await;
    let node = Node::on(data, port).await?;
    pause(6).await;
    ensure!(watch.events().is_empty(), "kill -9: {:?}", watch.events());
    let (data, port) = node.stop()?;
    pause(3).await;
    let node = Node::on(data, port).await?;
    pause(6).await;
    ensure!(watch.events().is_empty(), "SIGTERM: {:?}", watch.events());
    ensure!(zoo.b.ephemerals().await?.keys().copied().collect::<Vec<_>>() == owner, "the same session");

    // It still works, and what left while it was away has left.
    let two = zoo.provider("two").await?;
    provide(&two, "lab.Late", 20880..20881).await?;
    alike(&zoo, "/dubbo", 201, seconds(10)).await?;
    let (data, port) = node.kill()?;
    two.close().await?;
    pause(1).await;
    let _node = Node::on(data, port).await?;
    let took = alike(&zoo, "/dubbo", 200, seconds(90)).await?;
    eprintln!("gone while we were away: {took:?}");
    Ok(())
}

pub async fn outages_lose_nothing() -> Result<()> {
    let zoo = Zoo::start(6_000).await?;
    let one = zoo.provider("one").await?;
    for n in 0..20 {
        provide(&one, &format!("lab.Service{n}"), 20880..20885).await?;
    }
    let node = Node::start().await?;
    let way = Cut::to(&zoo.a.addr()).await?;
    node.apply(&settings(&way.addr(), &zoo.b.addr(), "Service", "Unidirectional", ""))?;
    alike(&zoo, "/dubbo", 100, seconds(20)).await?;
    let watch = zoo.watch_b("watcher", "/dubbo").await?;

    // We are cut off from the source for longer than any session lives: nobody on B sees anything.
    way.cut();
    pause(15).await;
    let two = zoo.provider("two").await?;
    provide(&two, "lab.Meanwhile", 20880..20881).await?;
    way.mend();
    let took = alike(&zoo, "/dubbo", 101, seconds(20)).await?;
    eprintln!("after a cut: {took:?}");
    pause(5).await;
    let gone: Vec<_> = watch.events().into_iter().filter(|event| event.kind == "NodeDeleted").collect();
    ensure!(gone.is_empty(), "{gone:?}");
    two.close().await?;
    alike(&zoo, "/dubbo", 100, seconds(5)).await?;

    // Our session on B ends: everything is there again at once, in one new session.
    watch.forget();
    let ours = *zoo.b.ephemerals().await?.keys().next().unwrap();
    zoo.door.terminate_session(&zoo.b, ours).await?;
    let took = alike(&zoo, "/dubbo", 100, seconds(10)).await?;
    eprintln!("after our session's end: {took:?}");

    // B is killed and starts again: sessions survive, nobody sees anything. What the watcher was told of the end before it
    // may still be on its way.
    watch.wait(seconds(10), |events| events.iter().filter(|event| event.kind == "NodeCreated").count() >= 100).await?;
    watch.forget();
    zoo.b.kill9()?;
    pause(1).await;
    zoo.b.start_again().await?;
    pause(6).await;
    ensure!(watch.events().iter().all(|event| event.kind != "NodeDeleted"), "{:?}", watch.events());
    alike(&zoo, "/dubbo", 100, seconds(20)).await?;

    // The source comes back empty: all is kept and held until somebody lets go.
    zoo.a.kill9()?;
    zoo.a.wipe()?;
    zoo.a.start_again().await?;
    let held = async || Ok(node.number("held")? == 100);
    until("a hold", seconds(30), held).await?;
    ensure!(ephemerals(&zoo.at_b.walk("/dubbo").await?).len() == 100);
    node.ok(&["release", "src-dst-service"])?;
    until("let go", seconds(20), async || Ok(ephemerals(&zoo.at_b.walk("/dubbo").await?).is_empty())).await?;
    Ok(())
}

pub async fn marks_in_the_data_tell_installs_apart() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    let one = zoo.provider("one").await?;
    provide(&one, "lab.Greeter", 20880..20883).await?;
    let (first, second) = (Node::start().await?, Node::start().await?);
    first.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Service", "Unidirectional", "    marks: inline\n"))?;
    let there = async || anyhow::Ok(ephemerals(&zoo.at_b.walk("/dubbo").await?));
    until("three copies with marks", seconds(10), async || {
        let all = there().await?;
        Ok(all.len() == 3 && all.keys().all(|path| path.contains("%26causeway%3D1%3B")))
    })
    .await?;
    // Another install goes the way back: these are no natives to it.
    second.apply(&settings(&zoo.b.addr(), &zoo.a.addr(), "Service", "Unidirectional", ""))?;
    let back = zoo.door.connect("back", &causeway_testbed::ZkConnect::to(&zoo.b.addr())).await?;
    provide(&back, "lab.Greeter", 20890..20891).await?;
    let home = async || anyhow::Ok(ephemerals(&zoo.at_a.walk("/dubbo").await?).len());
    until("the native of B alone", seconds(10), async || Ok(home().await? == 4)).await?;
    pause(2).await;
    ensure!((home().await?, there().await?.len()) == (4, 4), "an echo");
    // A change of marks would leave what stands under another name behind.
    let changed = first.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Service", "Unidirectional", ""));
    ensure!(changed.is_err_and(|error| format!("{error:#}").contains("drain")), "the change was taken");
    Ok(())
}
