//! The real ZooKeeper server and its Java clients. What starts servers of its own is part of `./test --full` alone.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_testbed::{
    Server, ZOO_SUPER, ZkConnect, ZkDoor, ZkEvent, ZkNode, ZkStep, ZooKeeper, ZooKeeperEnsemble, ZooOptions, digest_id,
    shared, trial,
};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(10);

fn main() {
    let trials = vec![
        trial("nodes_and_trees", &[Server::Zoo], || block_on(nodes_and_trees())),
        trial("watches_and_caches", &[Server::Zoo], || block_on(watches_and_caches())),
        trial("sessions_expire", &[Server::Zoo], || block_on(sessions_expire())),
        full("goes_and_comes_back", goes_and_comes_back),
        full("access_lists_and_super_user", access_lists),
        full("tls", tls),
        full("sessions_are_terminated", sessions_are_terminated),
        full("ensemble_of_three", ensemble),
        full("many_nodes", many_nodes),
    ];
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials)).exit();
}

fn full<F: Future<Output = Result<()>>>(name: &str, body: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || block_on(body()).map_err(|error| Failed::from(format!("{error:#}"))))
        .with_ignored_flag(!causeway_testbed::full())
}

fn block_on(body: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(body)
}

async fn start(options: ZooOptions) -> Result<ZooKeeper> {
    let began = Instant::now();
    let server = ZooKeeper::start(options).await?;
    println!("ready in {:.1} s", began.elapsed().as_secs_f64());
    Ok(server)
}

async fn nodes_and_trees() -> Result<()> {
    let door = ZkDoor::start().await?;
    let base = shared(Server::Zoo).context("no address")?;
    let root = door.connect("root", &ZkConnect::to(&base)).await?;
    root.create("/nodes", "").await?;
    let one = door.connect("one", &ZkConnect::to(&format!("{base}/nodes"))).await?;
    ensure!(one.create("/a", "ü漢").await? == "/a");
    ensure!(one.create_node(&ZkNode::new("/a/b", "").without_data()).await? == "/a/b");
    ensure!(one.create_node(&ZkNode::ephemeral("/a/e-", "x").sequential()).await? == "/a/e-0000000001");
    ensure!(one.children("/a").await? == ["b", "e-0000000001"]);
    ensure!(one.get("/nothing").await?.is_none());
    let read = one.get("/a").await?.context("not there")?;
    ensure!(read.text() == "ü漢" && read.stat.children == 2 && read.stat.owner == 0, "{read:?}");
    ensure!(read.acl == "world:anyone:cdrwa", "{read:?}");
    ensure!(one.get("/a/b").await?.context("not there")?.data.is_none());
    let held = one.get("/a/e-0000000001").await?.context("not there")?;
    ensure!(held.stat.owner == one.session().await?.id);

    let before = one.walk("/").await?;
    ensure!(before.0.keys().collect::<Vec<_>>() == ["/", "/a", "/a/b", "/a/e-0000000001"]);
    ensure!(before.0["/a/b"].data == "null" && before.0["/a/e-0000000001"].ephemeral());
    ensure!(before.difference(&one.walk("/").await?).is_empty());
    one.set("/a", "other").await?;
    one.delete("/a/b").await?;
    one.create("/c", "").await?;
    let difference = before.difference(&one.walk("/").await?);
    ensure!(difference.len() == 3 && difference[0].starts_with("! /a: "), "{difference:?}");
    ensure!(difference[1..] == ["- /a/b", "+ /c"], "{difference:?}");

    let refused = one.create("/c", "").await.expect_err("it is there");
    ensure!(format!("{refused:#}").contains("NodeExists"), "{refused:#}");
    let (set, check) =
        (ZkStep::Set { path: "/c".into(), data: b"no".into() }, ZkStep::Check { path: "/a".into(), version: 7 });
    ensure!(one.multi(&[set.clone(), check]).await.is_err());
    ensure!(one.get("/c").await?.context("not there")?.text().is_empty());
    one.multi(&[set, ZkStep::Delete { path: "/a/e-0000000001".into() }]).await?;
    ensure!(one.get("/c").await?.context("not there")?.text() == "no");

    let templates =
        [ZkStep::Create(ZkNode::new("/r{n}", "number {n}")), ZkStep::Create(ZkNode::ephemeral("/r{n}/e", ""))];
    one.bulk_range(1_000, &templates).await?;
    ensure!(one.walk("/").await?.0.len() == 2_003);
    ensure!(one.get("/r999").await?.context("not there")?.text() == "number 999");
    let error = one.bulk(&templates[..1]).await.and(one.bulk(&templates[..1]).await).expect_err("it is there");
    ensure!(format!("{error:#}").contains("1 failed") && format!("{error:#}").contains("/r{n}"), "{error:#}");
    one.close().await?;
    ensure!(root.walk("/nodes").await?.0.len() == 1_004);
    root.delete_all("/nodes").await?;
    root.close().await
}

/// The kinds and paths.
fn short(events: &[ZkEvent]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event.kind.as_str(), event.path.as_str())).collect()
}

async fn watches_and_caches() -> Result<()> {
    let door = ZkDoor::start().await?;
    let addr = shared(Server::Zoo).context("no address")?;
    let one = door.connect("one", &ZkConnect::to(&addr)).await?;
    one.create("/watched", "").await?;
    let (watch, cache) = (one.watch("/watched").await?, one.cache("/watched").await?);
    one.create("/watched/a", "1").await?;
    let stat = one.set("/watched/a", "2").await?;
    one.delete("/watched/a").await?;
    let events = watch.wait(SOON, |events| events.len() == 3).await?;
    let path = "/watched/a";
    ensure!(short(&events) == [("NodeCreated", path), ("NodeDataChanged", path), ("NodeDeleted", path)], "{events:?}");
    ensure!(events[1].zxid == stat.mzxid, "{events:?} {stat:?}");
    let events = cache.wait(SOON, |events| events.last().is_some_and(|event| event.kind == "NODE_DELETED")).await?;
    let events = short(&events);
    ensure!(events[..2] == [("NODE_CREATED", "/watched"), ("INITIALIZED", "/watched")], "{events:?}");
    one.delete_all("/watched").await
}

async fn sessions_expire() -> Result<()> {
    let door = ZkDoor::start().await?;
    let addr = shared(Server::Zoo).context("no address")?;
    let how = ZkConnect::to(&addr).session_ms(1_000);
    let (one, two) = (door.connect("one", &how).await?, door.connect("two", &how).await?);
    let watch = two.watch("/expiring").await?;
    one.create_node(&ZkNode::ephemeral("/expiring", "")).await?;
    one.expire().await?;
    ensure!(two.get("/expiring").await?.is_none());
    one.states().wait(SOON, |events| events.last().is_some_and(|event| event.kind == "Expired")).await?;
    ensure!(one.create("/x", "").await.is_err() && one.session().await?.state == "CLOSED");
    one.close().await?;

    // The other way: a crash, and the server's patience.
    let three = ZkDoor::start().await?;
    three.connect("one", &how).await?.create_node(&ZkNode::ephemeral("/expiring", "")).await?;
    let began = Instant::now();
    three.kill9()?;
    watch.wait(SOON, |events| events.iter().filter(|event| event.kind == "NodeDeleted").count() == 2).await?;
    ensure!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    two.close().await
}

async fn goes_and_comes_back() -> Result<()> {
    let server = start(ZooOptions::default()).await?;
    let door = ZkDoor::start().await?;
    let one = door.connect("one", &ZkConnect::to(&server.addr())).await?;
    let id = one.session().await?.id;
    one.create("/kept", "1").await?;
    one.create_node(&ZkNode::ephemeral("/held", "")).await?;
    ensure!(server.mode().await? == "standalone");
    ensure!(server.sessions().await?.contains(&id));
    ensure!(server.ephemerals().await? == [(id, ["/held".to_string()].into())].into());
    let pid = server.pid();
    server.kill9()?;
    ensure!(server.pid().is_none() && server.mode().await.is_err());
    one.states().wait(SOON, |events| events.last().is_some_and(|event| event.kind == "Disconnected")).await?;
    server.start_again().await?;
    ensure!(server.pid().is_some() && server.pid() != pid);
    one.states().wait(SOON, |events| events.last().is_some_and(|event| event.kind == "SyncConnected")).await?;
    ensure!(one.session().await?.id == id, "the session outlives its server");
    ensure!(one.walk("/").await?.0.keys().collect::<Vec<_>>() == ["/", "/held", "/kept"]);

    server.pause()?;
    ensure!(server.mode().await.is_err());
    server.resume()?;
    server.mode().await?;

    ensure!(server.wipe().is_err());
    server.stop().await?;
    server.wipe()?;
    server.start_again().await?;
    let log = || std::fs::read_to_string(server.folder().join("start.log"));
    let began = Instant::now();
    while !log()?.contains("client must try another server") {
        ensure!(began.elapsed() < SOON, "the old client is not refused:\n{}", log()?);
        sleep(Duration::from_millis(50)).await;
    }
    ensure!(one.states().events().last().is_some_and(|event| event.kind == "Disconnected"));
    let again = door.connect("again", &ZkConnect::to(&server.addr())).await?;
    ensure!(again.walk("/").await?.0.len() == 1);
    Ok(())
}

async fn access_lists() -> Result<()> {
    let server = start(ZooOptions { super_user: true, ..ZooOptions::default() }).await?;
    let door = ZkDoor::start().await?;
    let stranger = door.connect("stranger", &ZkConnect::to(&server.addr())).await?;
    let alice = door.connect("alice", &ZkConnect::to(&server.addr()).digest("alice:pw:1")).await?;
    let root = door.connect("root", &ZkConnect::to(&server.addr()).digest(ZOO_SUPER)).await?;
    alice.create_node(&ZkNode::new("/own", "secret").acl("auth::cdrwa")).await?;
    let own = format!("digest:{}:cdrwa", digest_id("alice:pw:1"));
    ensure!(alice.get("/own").await?.context("not there")?.acl == own);
    let refused = stranger.get("/own").await.expect_err("not theirs");
    ensure!(format!("{refused:#}").contains("NoAuth"), "{refused:#}");
    let entry = stranger.walk("/").await?.0["/own"].clone();
    ensure!(entry.data == "unreadable" && entry.acl == "unreadable" && entry.stat.czxid == 0, "{entry:?}");
    ensure!(root.get("/own").await?.context("not there")?.text() == "secret");
    let list = format!("world:anyone:r,{own}");
    alice.set_acl("/own", &list).await?;
    let read = stranger.get("/own").await?.context("not there")?;
    ensure!(read.acl.starts_with("world:anyone:r,digest:alice:") && read.text() == "secret", "{read:?}");
    ensure!(stranger.set("/own", "").await.is_err());
    Ok(())
}

async fn tls() -> Result<()> {
    let server = start(ZooOptions { tls: true, ..ZooOptions::default() }).await?;
    let door = ZkDoor::start().await?;
    let one = door.connect("one", &ZkConnect::tls(&server.tls_addr(), &server.ca_file())).await?;
    one.create("/secured", "1").await?;
    let open = door.connect("open", &ZkConnect::to(&server.addr())).await?;
    ensure!(open.get("/secured").await?.is_some());
    ensure!(door.connect("none", &ZkConnect::to(&server.tls_addr())).await.is_err());
    Ok(())
}

async fn sessions_are_terminated() -> Result<()> {
    let server = start(ZooOptions::default()).await?;
    let door = ZkDoor::start().await?;
    let one = door.connect("one", &ZkConnect::to(&server.addr())).await?;
    one.create_node(&ZkNode::ephemeral("/held", "")).await?;
    let owner = one.get("/held").await?.context("not there")?.stat.owner;
    door.terminate_session(&server, owner).await?;
    one.states().wait(SOON, |events| events.last().is_some_and(|event| event.kind == "Expired")).await?;
    ensure!(server.ephemerals().await?.is_empty());

    let two = door.connect("two", &ZkConnect::to(&server.addr())).await?;
    let session = two.session().await?;
    ZkDoor::start().await?.expire_session(&server.addr(), session.id, &session.password).await?;
    two.states().wait(SOON, |events| events.last().is_some_and(|event| event.kind == "Expired")).await?;
    Ok(())
}

async fn ensemble() -> Result<()> {
    let began = Instant::now();
    let servers = ZooKeeperEnsemble::start(3, ZooOptions::default()).await?;
    println!("three ready in {:.1} s", began.elapsed().as_secs_f64());
    let door = ZkDoor::start().await?;
    let one = door.connect("one", &ZkConnect::to(&servers.addr())).await?;
    one.create_node(&ZkNode::ephemeral("/held", "")).await?;
    let leader = servers.leader().await.context("no leader")?;
    leader.kill9()?;
    let began = Instant::now();
    while servers.leader().await.is_none() {
        ensure!(began.elapsed() < SOON * 2, "no new leader");
        sleep(Duration::from_millis(50)).await;
    }
    println!("a new leader after {:.1} s", began.elapsed().as_secs_f64());
    while one.get("/held").await.ok().flatten().is_none() {
        ensure!(began.elapsed() < SOON * 2, "the session is lost");
        sleep(Duration::from_millis(50)).await;
    }
    leader.start_again().await?;
    ensure!(leader.mode().await? == "follower");
    Ok(())
}

async fn many_nodes() -> Result<()> {
    let server = start(ZooOptions::default()).await?;
    let door = ZkDoor::start().await?;
    let one = door.connect("one", &ZkConnect::to(&server.addr())).await?;
    let step = ZkStep::Create(ZkNode::new("/node{n}", "x".repeat(200)));
    let began = Instant::now();
    one.bulk_range(50_000, &[step]).await?;
    println!("50,000 nodes written in {:.1} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    ensure!(one.walk("/").await?.0.len() == 50_001);
    println!("and walked in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
