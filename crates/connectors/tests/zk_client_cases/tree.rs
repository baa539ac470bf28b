//! Trees on a server that stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use causeway_connectors::zookeeper::client::{Session, Tree, TreeOptions, Watches};
use causeway_testbed::{ZkClient, ZkConnect, ZkDoor, ZkNode, ZkStep, ZooKeeper, ZooOptions};
use tokio::time::sleep;

use super::{SOON, View, open, options, own_root};

pub async fn follows(address: String) -> Result<()> {
    follow(&address, Watches::Best).await
}

pub async fn follows_single(address: String) -> Result<()> {
    follow(&address, Watches::Single).await
}

async fn follow(address: &str, watches: Watches) -> Result<()> {
    let door = ZkDoor::start().await?;
    let other = door.connect("other", &ZkConnect::to(address)).await?;
    let session = open(options(address)).await?;
    let root = own_root("tree");
    let path = |name: &str| format!("{root}/{name}");
    let mut tree = session.tree(TreeOptions { watches, ..TreeOptions::new(&root) })?;
    let mut bare = session.tree(TreeOptions { watches, bodies: false, ..TreeOptions::new(&root) })?;
    let (mut view, mut outline) = (View::default(), View::default());

    // A root that is not there is empty, and noticed when it comes.
    view.until(&mut tree, |view| view.resets == 1).await?;
    outline.until(&mut bare, |view| view.resets == 1).await?;
    ensure!(view.nodes.is_empty() && view.lost.is_empty());
    other.create(&root, "root").await?;
    other.create(&path("a"), "1").await?;
    other.create_node(&ZkNode::ephemeral(&path("a/e"), "e")).await?;
    view.until(&mut tree, |view| view.text(&path("a/e")).as_deref() == Some("e")).await?;
    view.until(&mut tree, |view| view.nodes.len() == 3).await?;
    ensure!(view.text(&root).as_deref() == Some("root"));
    ensure!(view.nodes[path("a/e").as_str()].stat.ephemeral_owner == other.session().await?.id);

    other.set(&path("a"), "2").await?;
    let begun = Instant::now();
    view.until(&mut tree, |view| view.text(&path("a")).as_deref() == Some("2")).await?;
    println!("a change was told {:?} after its answer", begun.elapsed());
    let a = path("a");
    outline.until(&mut bare, |view| view.nodes.get(a.as_str()).is_some_and(|node| node.stat.version == 1)).await?;
    ensure!(outline.nodes.values().all(|node| node.data.is_none()));

    // A subtree that comes, changes and goes in one breath.
    let mut steps: Vec<_> = (0..20).map(|n| ZkStep::Create(ZkNode::new(&path(&format!("b{n}")), "b"))).collect();
    steps.extend((0..20).map(|n| ZkStep::Create(ZkNode::new(&path(&format!("b{n}/c")), "c"))));
    other.multi(&steps).await?;
    view.until(&mut tree, |view| view.nodes.len() == 43).await?;
    let steps: Vec<_> = (0..20)
        .flat_map(|n| [path(&format!("b{n}/c")), path(&format!("b{n}"))])
        .map(|path| ZkStep::Delete { path })
        .collect();
    other.multi(&steps).await?;
    view.until(&mut tree, |view| view.nodes.len() == 3).await?;

    // Deleted and created anew at once: the same path, another node.
    let before = view.nodes[a.as_str()].stat.czxid;
    other.delete_all(&a).await?;
    other.create(&a, "3").await?;
    view.until(&mut tree, |view| view.nodes.get(a.as_str()).is_some_and(|node| node.stat.czxid != before)).await?;
    view.until(&mut tree, |view| view.nodes.len() == 2).await?;
    ensure!(view.text(&a).as_deref() == Some("3"));

    other.delete_all(&root).await?;
    view.until(&mut tree, |view| view.nodes.is_empty()).await?;
    outline.until(&mut bare, |view| view.nodes.is_empty()).await?;
    ensure!(view.resets == 1 && view.lost.is_empty() && outline.resets == 1);
    // And it comes again.
    other.create(&root, "").await?;
    other.create(&a, "4").await?;
    view.until(&mut tree, |view| view.text(&a).as_deref() == Some("4")).await?;
    ensure!(view.quiet(&mut tree, Duration::from_millis(200)).await);
    drop(tree);
    outline.until(&mut bare, |view| view.nodes.len() == 2).await?;
    other.set(&a, "5").await?;
    let version = |view: &View| view.nodes.get(a.as_str()).map(|node| node.stat.version);
    outline.until(&mut bare, |view| version(view) == Some(1)).await?;
    other.delete_all(&root).await?;
    session.end_session().await?;
    Ok(())
}

/// What the filter refuses is there, and nothing below it.
pub async fn filters(address: String) -> Result<()> {
    let session = open(options(&address)).await?;
    let door = ZkDoor::start().await?;
    let root = own_root("filter");
    let other = door.connect("other", &ZkConnect::to(&address)).await?;
    for name in ["", "/s", "/s/providers", "/s/providers/p", "/s/providers/p/x", "/s/consumers", "/s/consumers/c"] {
        other.create(&format!("{root}{name}"), name).await?;
    }
    for watches in [Watches::Best, Watches::Single] {
        let mut options = TreeOptions { watches, ..TreeOptions::new(&root) };
        options.descend = Arc::new(|path| !path.ends_with("/consumers") && !path.ends_with("/p"));
        let mut tree = session.tree(options)?;
        let mut view = View::default();
        view.until(&mut tree, |view| view.resets == 1).await?;
        let wanted = ["", "/s", "/s/consumers", "/s/providers", "/s/providers/p"].map(|name| format!("{root}{name}"));
        ensure!(view.paths() == wanted, "{:?}", view.paths());
        other.create(&format!("{root}/s/consumers/d"), "").await?;
        other.delete(&format!("{root}/s/consumers/d")).await?;
        other.set(&format!("{root}/s/providers/p/x"), "2").await?;
        tree.looker().look(Some(&format!("{root}/s/consumers/c")));
        tree.looker().look(None);
        ensure!(view.quiet(&mut tree, Duration::from_millis(500)).await);
    }
    other.delete_all(&root).await?;
    session.end_session().await?;
    Ok(())
}

/// What panics while it follows a tree is started again: until then nothing counts as known.
pub async fn panics(address: String) -> Result<()> {
    let session = open(options(&address)).await?;
    let door = ZkDoor::start().await?;
    let root = own_root("panic");
    let other = door.connect("other", &ZkConnect::to(&address)).await?;
    other.create(&root, "").await?;
    for watches in [Watches::Best, Watches::Single] {
        let mut options = TreeOptions { watches, ..TreeOptions::new(&root) };
        let panics = Arc::new(AtomicUsize::new(1));
        let left = panics.clone();
        options.descend = Arc::new(move |path| {
            let once = path.ends_with("/odd") && left.swap(0, Ordering::SeqCst) > 0;
            assert!(!once, "a bug in a filter");
            true
        });
        let mut tree = session.tree(options)?;
        let mut view = View::default();
        view.until(&mut tree, |view| view.resets == 1).await?;
        other.create(&format!("{root}/odd"), "").await?;
        other.create(&format!("{root}/odd/child"), "1").await?;
        view.until(&mut tree, |view| view.resets == 2 && view.text(&format!("{root}/odd/child")).is_some()).await?;
        ensure!(view.lost.len() == 1, "{:?}", view.lost);
        other.set(&format!("{root}/odd/child"), "2").await?;
        view.until(&mut tree, |view| view.text(&format!("{root}/odd/child")).as_deref() == Some("2")).await?;
        ensure!(panics.load(Ordering::SeqCst) == 0);
        other.delete_all(&format!("{root}/odd")).await?;
    }
    other.delete_all(&root).await?;
    session.end_session().await?;
    Ok(())
}

/// 10,000 nodes that come, change and go as fast as a client can.
pub async fn burst(address: String) -> Result<()> {
    let door = ZkDoor::start().await?;
    let other = door.connect("other", &ZkConnect::to(&address)).await?;
    let session = open(options(&address)).await?;
    for watches in [Watches::Best, Watches::Single] {
        let root = own_root("burst");
        other.create(&root, "").await?;
        let mut tree = session.tree(TreeOptions { watches, ..TreeOptions::new(&root) })?;
        let mut view = View::default();
        view.until(&mut tree, |view| view.resets == 1).await?;
        let path = format!("{root}/n{{n}}");
        let steps = |step: fn(String) -> ZkStep| vec![step(path.clone())];
        let rounds = [
            (steps(|path| ZkStep::Create(ZkNode::new(&path, "first {n}"))), Some("first 9999")),
            (steps(|path| ZkStep::Set { path, data: b"second {n}".into() }), Some("second 9999")),
            (steps(|path| ZkStep::Delete { path }), None),
        ];
        for (steps, last) in rounds {
            let (begun, before) = (Instant::now(), view.changes);
            other.bulk_range(10_000, &steps).await?;
            let written = begun.elapsed();
            let node = format!("{root}/n9999");
            let count = if last.is_some() { 10_001 } else { 1 };
            let all = |view: &View| view.nodes.len() == count && view.text(&node).as_deref() == last;
            view.until(&mut tree, all).await?;
            println!(
                "{watches:?}: 10,000 written in {written:?}, all told after {:?} in {} batches",
                begun.elapsed(),
                view.changes - before
            );
        }
        ensure!(view.resets == 1 && view.lost.is_empty());
        other.delete_all(&root).await?;
    }
    session.end_session().await?;
    Ok(())
}

/// Megabytes that this process holds.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4 / 1024
}

async fn storm(other: &ZkClient, root: &str, rounds: usize, nodes: u64) -> Result<()> {
    for round in 0..rounds {
        let data = format!("{round} of {{n}}").into_bytes();
        other.bulk_range(nodes, &[ZkStep::Set { path: format!("{root}/n{{n}}"), data }]).await?;
    }
    Ok(())
}

/// Nobody reads while 60,000 nodes come and 200,000 changes happen to them: more than the set of dirty paths holds.
pub async fn slow_reader() -> Result<()> {
    let server = ZooKeeper::start(ZooOptions::default()).await?;
    let door = ZkDoor::start().await?;
    let other = door.connect("other", &ZkConnect::to(&server.addr())).await?;
    let session: Session = open(options(&server.addr())).await?;
    other.create("/slow", "").await?;
    let mut tree: Tree = session.tree(TreeOptions::new("/slow"))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.resets == 1).await?;

    let create = ZkStep::Create(ZkNode::new("/slow/n{n}", "first"));
    other.bulk_range(1_000, std::slice::from_ref(&create)).await?;
    view.until(&mut tree, |view| view.nodes.len() == 1_001).await?;
    let before = resident();
    storm(&other, "/slow", 100, 1_000).await?;
    let after = resident();
    println!("100,000 changes of 1,000 nodes unread: {before} MB, {after} MB");
    ensure!(after < before + 20, "grew from {before} to {after} MB");
    view.until(&mut tree, |view| view.text("/slow/n999").as_deref() == Some("99 of 999")).await?;

    sleep(Duration::from_millis(200)).await;
    other.bulk_range(60_000, &[ZkStep::Create(ZkNode::new("/slow/m{n}", "first"))]).await?;
    let full = resident();
    println!("60,000 new nodes unread: {full} MB");
    ensure!(full < before + 40, "grew from {before} to {full} MB");
    let (begun, changes) = (Instant::now(), view.changes);
    view.until(&mut tree, |view| view.nodes.len() == 61_001).await?;
    println!("told in {:?}, {} batches", begun.elapsed(), view.changes - changes);
    ensure!(view.resets == 1 && view.lost.is_empty() && view.gone.is_empty());

    // Gone while nobody looks.
    other.bulk_range(60_000, &[ZkStep::Delete { path: "/slow/m{n}".into() }]).await?;
    view.until(&mut tree, |view| view.nodes.len() == 1_001).await?;
    ensure!(view.gone.len() == 60_000 && view.resets == 1);

    // Who stops reading leaves nothing behind at the server.
    ensure!(watches_of(&server).await? == 1);
    let second = session.tree(TreeOptions::new("/slow"))?;
    drop(tree);
    ensure!(watches_of(&server).await? == 1);
    drop(second);
    let begun = Instant::now();
    while watches_of(&server).await? != 0 {
        ensure!(begun.elapsed() < SOON, "still watched");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Watches that all clients of a server have set.
async fn watches_of(server: &ZooKeeper) -> Result<usize> {
    let said = server.word("mntr").await?;
    let count = said.lines().find_map(|line| line.strip_prefix("zk_watch_count"));
    Ok(count.context("no count")?.trim().parse()?)
}
