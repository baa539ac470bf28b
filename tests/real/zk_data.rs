//! Persistent data from ZooKeeper to ZooKeeper, judged by a walk of the vendor's own client.

use crate::estate::{pause, seconds, until};
use crate::node::Node;
use crate::zk::{Zoo, settings};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{ZkConnect, ZkNode, ZkStep, ZooKeeper, digest_id};
use std::path::Path;
use std::time::Duration;

const SESSION_MS: u32 = 6_000;

/// Waits until both sides are the same below `root`, data, kinds and access lists; answers how many nodes that are.
async fn alike(zoo: &Zoo, root: &str, limit: Duration) -> Result<usize> {
    let began = std::time::Instant::now();
    loop {
        let (a, b) = tokio::try_join!(zoo.at_a.walk(root), zoo.at_b.walk(root))?;
        let difference = a.difference(&b);
        if difference.is_empty() {
            eprintln!("{} nodes alike after {:?}", a.0.len(), began.elapsed());
            return Ok(a.0.len());
        }
        let some = &difference[..difference.len().min(10)];
        ensure!(began.elapsed() < limit, "not alike within {limit:?}, {} differences: {some:#?}", difference.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn verified(node: &Node) -> Result<(bool, serde_json::Value)> {
    let output = node.cli(&["verify", "src-dst-config", "-o", "json"])?;
    let report =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.code() == Some(0), report))
}

pub async fn twenty_thousand_nodes_both_ways() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    zoo.at_a.create("/config", "root").await?;
    zoo.at_a.bulk_range(200, &[ZkStep::Create(ZkNode::new("/config/app{n}", "application {n}"))]).await?;
    for app in 0..200 {
        let node = ZkNode::new(&format!("/config/app{app}/key{{n}}"), format!("value {app} {{n}}"));
        zoo.at_a.bulk_range(100, &[ZkStep::Create(node)]).await?;
    }
    // An ephemeral node, a lock and a service are no data.
    zoo.at_a.create_node(&ZkNode::ephemeral("/config/leader", "me")).await?;
    zoo.at_a.create("/locks", "").await?;
    zoo.at_a.create_node(&ZkNode::new("/locks/lock-", "").sequential()).await?;

    let node = Node::start().await?;
    let began = std::time::Instant::now();
    // Who may administer a node may copy its access list.
    let signed = settings(&zoo.a.addr(), &zoo.b.addr(), "Config", "Bidirectional", "");
    let signed = signed.replace("clusterType: Z", "userName: alice, password: pw1, clusterType: Z");
    node.apply(&signed)?;
    until("20,000 entries", seconds(60), async || Ok(node.number("entries")? >= 20_202)).await?;
    eprintln!("first copy of 20,202 entries: {:?}", began.elapsed());
    zoo.at_a.delete("/config/leader").await?;
    ensure!(alike(&zoo, "/config", seconds(20)).await? == 20_201);
    ensure!(zoo.at_b.children("/locks").await?.is_empty(), "a lock was copied");
    let (same, report) = verified(&node)?;
    ensure!(same && report["entries"] == 20_202, "{report}");

    // Edits, new ones and deletions on both sides.
    zoo.at_a.set("/config/app1/key1", "edited in a").await?;
    zoo.at_b.set("/config/app2/key2", "edited in b").await?;
    zoo.at_a.create("/config/app3/new", "from a").await?;
    zoo.at_b.create("/config/app4/new", "").await?;
    zoo.at_b.create_node(&ZkNode::new("/config/app4/none", "").without_data()).await?;
    zoo.at_a.delete_all("/config/app5").await?;
    zoo.at_b.delete("/config/app6/key6").await?;
    zoo.at_b.create_node(&ZkNode::new("/config/large", vec![b'x'; 1_040_000])).await?;
    let hash = digest_id("alice:pw1");
    zoo.at_a
        .create_node(&ZkNode::new("/config/open", "mine").acl(&format!("digest:{hash}:cdrwa,world:anyone:r")))
        .await?;
    ensure!(alike(&zoo, "/config", seconds(30)).await? == 20_201 + 5 - 101 - 1);

    // A node deleted while we are down, and one edited.
    let (data, port) = node.kill()?;
    zoo.at_a.delete("/config/app7/key7").await?;
    zoo.at_b.set("/config/app8/key8", "while down").await?;
    let node = Node::on(data, port).await?;
    alike(&zoo, "/config", seconds(30)).await?;
    ensure!(zoo.at_b.get("/config/app7/key7").await?.is_none());
    ensure!(zoo.at_a.get("/config/app8/key8").await?.is_some_and(|read| read.text() == "while down"));
    let (same, report) = verified(&node)?;
    ensure!(same, "{report}");
    Ok(())
}

pub async fn conflicts_follow_the_tasks_policy() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    for policy in ["source", "destination", "newest", "manual"] {
        let root = format!("/{policy}");
        zoo.at_a.create(&root, "").await?;
        for name in ["both", "gone"] {
            zoo.at_a.create(&format!("{root}/{name}"), "base").await?;
        }
        let more =
            format!("    name: src-dst-config\n    conflict: {policy}\n    serviceMatchPattern: '{root}(/.*)?'\n");
        let node = Node::start().await?;
        node.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Config", "Bidirectional", &more))?;
        alike(&zoo, &root, seconds(20)).await?;
        let (data, port) = node.kill()?;
        zoo.at_a.set(&format!("{root}/both"), "older, of a").await?;
        zoo.at_a.delete(&format!("{root}/gone")).await?;
        pause(1).await;
        zoo.at_b.set(&format!("{root}/both"), "newer, of b").await?;
        zoo.at_b.set(&format!("{root}/gone"), "edited in b").await?;
        let node = Node::on(data, port).await?;
        if policy == "manual" {
            until("two conflicts", seconds(20), async || Ok(node.number("conflicts")? == 2)).await?;
            let held = zoo.at_a.get("/manual/both").await?.map(|read| read.text());
            ensure!(held.as_deref() == Some("older, of a"), "{held:?}");
            let listed = node.ok(&["get", "conflicts", "-o", "json"])?;
            ensure!(listed.contains("/manual/both") && listed.contains("/manual/gone"), "{listed}");
            let (same, report) = verified(&node)?;
            ensure!(!same && report["differences"][0]["kind"] == "conflict", "{report}");
            node.ok(&["resolve", "src-dst-config", "/manual/both", "--take", "destination"])?;
            node.ok(&["resolve", "src-dst-config", "/manual/gone", "--take", "source"])?;
        }
        alike(&zoo, &root, seconds(20)).await?;
        let read =
            async |name: &str| anyhow::Ok(zoo.at_a.get(&format!("{root}/{name}")).await?.map(|read| read.text()));
        let (both, gone) = (read("both").await?, read("gone").await?);
        let want = match policy {
            "source" => (Some("older, of a"), None),
            "manual" => (Some("newer, of b"), None),
            _ => (Some("newer, of b"), Some("edited in b")),
        };
        ensure!((both.as_deref(), gone.as_deref()) == want, "{policy}: {both:?} {gone:?}");
        node.stop()?;
    }
    Ok(())
}

pub async fn outages_lose_no_data() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    zoo.at_a.create("/config", "root").await?;
    zoo.at_a.bulk_range(2_000, &[ZkStep::Create(ZkNode::new("/config/key{n}", "value {n}"))]).await?;
    let node = Node::start().await?;
    node.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Config", "Bidirectional", ""))?;
    // Our sessions end in the middle of the copy.
    pause(1).await;
    for server in [&zoo.a, &zoo.b] {
        for session in server.sessions().await? {
            drop(zoo.door.terminate_session(server, session).await);
        }
    }
    let at_a = zoo.provider("again-a").await?;
    let at_b = zoo.door.connect("again-b", &ZkConnect::to(&zoo.b.addr())).await?;
    let same = async || Ok(at_a.walk("/config").await?.difference(&at_b.walk("/config").await?).is_empty());
    until("alike", seconds(40), same).await?;
    at_b.set("/config/key1", "of b").await?;
    until("the way back", seconds(20), same).await?;
    ensure!(at_a.get("/config/key1").await?.is_some_and(|read| read.text() == "of b"));

    // A comes back empty: everything on B is kept, held, shown; one release lets go.
    zoo.a.kill9()?;
    zoo.a.wipe()?;
    zoo.a.start_again().await?;
    until("held", seconds(40), async || Ok(node.number("held")? >= 2_000)).await?;
    ensure!(at_b.walk("/config").await?.0.len() == 2_001, "kept");
    Ok(())
}

/// One server is put back from a backup while we run, the other while we are down: what the healthy one holds stands.
pub async fn a_server_that_is_put_back_wins_nothing() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    zoo.at_a.create("/config", "root").await?;
    zoo.at_a.bulk_range(40, &[ZkStep::Create(ZkNode::new("/config/key{n}", "value {n}"))]).await?;
    let node = Node::start().await?;
    node.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Config", "Bidirectional", ""))?;
    alike(&zoo, "/config", seconds(20)).await?;
    let mut running = Some(node);
    let backup = |server: &ZooKeeper, name: &str| server.folder().join(name);
    zoo.b.stop().await?;
    copy(&backup(&zoo.b, "data"), &backup(&zoo.b, "backup"))?;
    zoo.b.start_again().await?;
    for n in 0..30 {
        zoo.at_a.set(&format!("/config/key{n}"), "newer").await?;
    }
    for n in 0..10 {
        zoo.at_a.create(&format!("/config/new{n}"), "new").await?;
    }
    alike(&zoo, "/config", seconds(40)).await?;
    let healthy = zoo.at_a.walk("/config").await?;
    for (round, down) in [false, true].into_iter().enumerate() {
        let mut stopped = None;
        if down {
            stopped = Some(running.take().context("no node")?.kill()?);
        }
        zoo.b.stop().await?;
        std::fs::remove_dir_all(backup(&zoo.b, "data"))?;
        copy(&backup(&zoo.b, "backup"), &backup(&zoo.b, "data"))?;
        zoo.b.start_again().await?;
        if let Some((data, port)) = stopped {
            running = Some(Node::on(data, port).await?);
        }
        let node = running.as_ref().context("no node")?;
        let at_b = zoo.door.connect(&format!("back-{round}"), &ZkConnect::to(&zoo.b.addr())).await?;
        until("conflicts", seconds(60), async || Ok(node.number("conflicts")? == 30)).await?;
        until("the new ones", seconds(20), async || Ok(at_b.walk("/config").await?.0.len() == 51)).await?;
        pause(5).await;
        let differs = healthy.difference(&zoo.at_a.walk("/config").await?);
        ensure!(differs.is_empty(), "{differs:?}");
        ensure!(node.events()?.contains("put back to an earlier time"), "not told");
        // All is well again for the next round.
        for n in 0..30 {
            node.ok(&["resolve", "src-dst-config", &format!("/config/key{n}"), "--take", "source"])?;
        }
        until("in step", seconds(20), async || {
            Ok(healthy.difference(&at_b.walk("/config").await?).is_empty() && verified(node)?.0)
        })
        .await?;
    }
    Ok(())
}

/// A folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name()))?,
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name()))?),
        }
    }
    Ok(())
}
