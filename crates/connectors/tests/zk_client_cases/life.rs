//! The life of a session: taken over, expired, with its server away or wiped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use causeway_connectors::Turns;
use causeway_connectors::zookeeper::client::{Create, Options, Phase, SavedSession, Session, TreeOptions, WireError};
use causeway_testbed::{ZkConnect, ZkDoor, ZooKeeper, ZooOptions};
use tokio::time::sleep;

use super::{Keeper, SOON, View, open, options, own_root, reach};

const HELD: Create<'static> = Create { ephemeral: true, acl: &[] };

fn kept(address: &str, keeper: &Arc<Keeper>, saved: Option<SavedSession>) -> Options {
    let keep: Arc<Keeper> = Arc::clone(keeper);
    Options { keep: Some(keep), saved, ..options(address) }
}

async fn hold(session: &Session, root: &str, count: usize) -> Result<()> {
    let nodes: Vec<_> = (0..count).map(|n| (format!("{root}/e{n}"), &b"held"[..], HELD)).collect();
    for made in session.create_many(&nodes).await {
        made?;
    }
    Ok(())
}

/// Everything is dropped as in a crash, and the next process goes on: who watches sees nothing at all.
pub async fn goes_on(address: String) -> Result<()> {
    let door = ZkDoor::start().await?;
    let other = door.connect("other", &ZkConnect::to(&address)).await?;
    let root = own_root("goes-on");
    other.create(&root, "").await?;
    let keeper = Arc::new(Keeper::default());
    let first = open(kept(&address, &keeper, None)).await?;
    hold(&first, &root, 100).await?;
    let saved = keeper.last().context("not saved")?;
    ensure!(keeper.all().len() == 1 && first.status().borrow().epoch == 1);
    ensure!(first.status().borrow().session == Some(saved.id) && saved.password.len() == 16);
    let watch = other.watch(&root).await?;
    let mut tree = first.tree(TreeOptions::new(&root))?;
    View::default().until(&mut tree, |view| view.nodes.len() == 101).await?;

    // The last handle is the tree's.
    drop(first);
    ensure!(View::default().quiet(&mut tree, Duration::from_millis(200)).await);
    drop(tree);
    sleep(Duration::from_secs(2)).await;
    let next = open(kept(&address, &keeper, Some(saved.clone()))).await?;
    let status = next.status().borrow().clone();
    ensure!(status.session == Some(saved.id) && status.epoch == 0 && status.generation == 1, "{status:?}");
    // Longer than the session's time.
    sleep(Duration::from_secs(7)).await;
    let stat = next.stat(&format!("{root}/e7")).await?.context("gone")?;
    ensure!(stat.ephemeral_owner == saved.id);
    next.close().await;
    ensure!(next.status().borrow().phase == Phase::Down);
    ensure!(matches!(next.get(&root).await, Err(WireError::Unavailable(_))));
    let third = open(kept(&address, &keeper, Some(saved.clone()))).await?;
    hold(&third, &format!("{root}/e0"), 1).await.expect_err("ephemeral nodes have no children");
    ensure!(third.children(&root).await?.0.len() == 100 && keeper.all().len() == 1);
    ensure!(watch.events().is_empty(), "{:?}", watch.events());

    // Nobody comes back in time, or with another password.
    drop(third);
    let events = watch.wait(SOON, |events| events.len() == 100).await?;
    ensure!(events.iter().all(|event| event.kind == "NodeDeleted"));
    for saved in [saved.clone(), SavedSession { password: vec![7; 16], ..saved }] {
        let late = open(kept(&address, &keeper, Some(saved.clone()))).await?;
        let status = late.status().borrow().clone();
        ensure!(status.epoch == 1 && status.session != Some(saved.id), "{status:?}");
        late.end_session().await?;
    }
    ensure!(keeper.all().len() == 3);
    other.delete_all(&root).await
}

/// Nothing can be written in a new session before it is kept; but where it cannot be kept, work goes on.
pub async fn is_kept_first(address: String) -> Result<()> {
    let keeper = Arc::new(Keeper::default());
    let mut known = None;
    for (slow, least, most) in [(0.5, 0.5, 1.5), (0.5, 0.0, 0.4), (3600.0, 2.0, 4.0)] {
        *keeper.slow.lock() = Duration::from_secs_f64(slow);
        let begun = Instant::now();
        let session = open(kept(&address, &keeper, known.take())).await?;
        let took = begun.elapsed().as_secs_f64();
        ensure!((least..most).contains(&took), "{took} s where keeping it takes {slow} s");
        // The second one goes on with what is kept, and has nothing to wait for.
        match keeper.all().len() {
            1 if session.status().borrow().epoch == 1 => known = keeper.last(),
            _ => session.end_session().await?,
        }
    }
    ensure!(keeper.all().len() == 2);
    Ok(())
}

/// A second connection of the same process goes on with the session: the first ends without a word, and not before.
pub async fn followed(address: String) -> Result<()> {
    let door = ZkDoor::start().await?;
    let other = door.connect("other", &ZkConnect::to(&address)).await?;
    let root = own_root("followed");
    other.create(&root, "").await?;
    let (keeper, turns) = (Arc::new(Keeper::default()), Turns::default());
    let turn = |saved| Options { turn: Some(turns.take()), ..kept(&address, &keeper, saved) };
    let first = open(turn(None)).await?;
    hold(&first, &root, 10).await?;
    let watch = other.watch(&root).await?;
    let mut tree = first.tree(TreeOptions::new(&root))?;
    View::default().until(&mut tree, |view| view.nodes.len() == 11).await?;

    // One that finds no server takes nothing.
    let saved = keeper.last();
    let astray = Session::open(Options { addresses: vec!["127.0.0.1:1".into()], ..turn(saved.clone()) })?;
    ensure!(View::default().quiet(&mut tree, Duration::from_secs(1)).await);
    first.set(&format!("{root}/e0"), Some(b"still ours"), None).await?;
    View::default().until(&mut tree, |view| view.changes == 1).await?;
    watch.wait(SOON, |events| events.len() == 1).await?;
    watch.forget();

    let second = open(turn(saved.clone())).await?;
    reach(&first, |status| status.phase == Phase::Down).await?;
    ensure!(matches!(first.get(&root).await, Err(WireError::Unavailable(_))));
    ensure!(View::default().quiet(&mut tree, Duration::from_secs(8)).await, "the first has something to say");
    let status = second.status().borrow().clone();
    ensure!(status.generation == 1 && status.epoch == 0 && status.session == saved.map(|saved| saved.id), "{status:?}");
    ensure!(first.status().borrow().generation == 1 && astray.status().borrow().generation == 0);
    ensure!(watch.events().is_empty() && keeper.all().len() == 1, "{:?}", watch.events());
    drop((first, tree, astray));
    ensure!(second.stat(&format!("{root}/e0")).await?.is_some());
    second.end_session().await?;
    other.delete_all(&root).await
}

/// Somebody takes our session and ends it.
pub async fn expires(address: String) -> Result<()> {
    let root = own_root("expires");
    let other = open(options(&address)).await?;
    other.create(&root, Some(b""), Create::default()).await?;
    let keeper = Arc::new(Keeper::default());
    let session = open(kept(&address, &keeper, None)).await?;
    hold(&session, &root, 3).await?;
    let mut tree = session.tree(TreeOptions::new(&root))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.nodes.len() == 4).await?;
    let thief = Options { saved: keeper.last(), ..options(&address) };
    let thief = Session::open(thief)?;
    let status = reach(&thief, |status| status.phase == Phase::Connected).await?;
    ensure!(status.session == keeper.last().map(|saved| saved.id));
    // The two now take it from each other.
    while thief.end_session().await.is_err() {
        sleep(Duration::from_millis(5)).await;
    }
    let status = reach(&session, |status| status.epoch == 2 && status.phase == Phase::Connected).await?;
    ensure!(keeper.all().len() == 2 && status.session == keeper.last().map(|saved| saved.id), "{status:?}");
    view.until(&mut tree, |view| view.resets > 1 && view.nodes.len() == 1).await?;
    ensure!(!view.lost.is_empty());
    hold(&session, &root, 3).await?;
    view.until(&mut tree, |view| view.nodes.len() == 4).await?;
    let losses = view.lost.len();
    session.end_session().await?;
    view.until(&mut tree, |view| view.lost.len() == losses + 1).await?;
    other.delete(&root, None).await?;
    other.end_session().await?;
    Ok(())
}

/// An operator ends our session.
pub async fn terminated() -> Result<()> {
    let server = ZooKeeper::start(ZooOptions::default()).await?;
    let door = ZkDoor::start().await?;
    let keeper = Arc::new(Keeper::default());
    let session = open(kept(&server.addr(), &keeper, None)).await?;
    session.create("/t", Some(b""), Create::default()).await?;
    hold(&session, "/t", 10).await?;
    let mut tree = session.tree(TreeOptions::new("/t"))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.nodes.len() == 11).await?;
    let id = keeper.last().context("not saved")?.id;
    door.terminate_session(&server, id).await?;
    let begun = Instant::now();
    let status = reach(&session, |status| status.epoch == 2 && status.phase == Phase::Connected).await?;
    println!("another session after {:?}", begun.elapsed());
    ensure!(status.session != Some(id) && keeper.all().len() == 2, "{status:?}");
    view.until(&mut tree, |view| view.resets == 2).await?;
    ensure!(view.paths() == ["/t"] && view.lost.len() == 1, "{:?} {:?}", view.paths(), view.lost);
    ensure!(server.sessions().await?.contains(&status.session.unwrap_or_default()));
    Ok(())
}

/// The server is away for longer than any client would wait; its sessions are not over for that.
pub async fn outlives() -> Result<()> {
    let server = ZooKeeper::start(ZooOptions { max_session_ms: 4_000, ..ZooOptions::default() }).await?;
    let keeper = Arc::new(Keeper::default());
    let session = open(kept(&server.addr(), &keeper, None)).await?;
    session.create("/t", Some(b""), Create::default()).await?;
    hold(&session, "/t", 50).await?;
    let mut tree = session.tree(TreeOptions::new("/t"))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.nodes.len() == 51).await?;
    let before = view.nodes.clone();
    server.kill9()?;
    view.until(&mut tree, |view| view.lost.len() == 1).await?;
    ensure!(matches!(session.get("/t").await, Err(WireError::Unavailable(_))));
    // More than 7/5 of the 4 s.
    sleep(Duration::from_secs(9)).await;
    server.start_again().await?;
    let begun = Instant::now();
    let status = reach(&session, |status| status.phase == Phase::Connected).await?;
    println!("connected {:?} after the server", begun.elapsed());
    ensure!(status.epoch == 1 && status.generation == 2 && keeper.all().len() == 1, "{status:?}");
    view.until(&mut tree, |view| view.resets == 2).await?;
    ensure!(view.nodes == before && view.lost.len() == 1);
    sleep(Duration::from_secs(5)).await;
    let held = server.ephemerals().await?;
    let id = keeper.last().context("not saved")?.id;
    ensure!(held.get(&id).is_some_and(|paths| paths.len() == 50), "{held:?}");
    Ok(())
}

/// A wiped server takes nobody who has seen more than it has, and says nothing about it.
pub async fn wiped() -> Result<()> {
    let server = ZooKeeper::start(ZooOptions::default()).await?;
    let keeper = Arc::new(Keeper::default());
    let session = open(kept(&server.addr(), &keeper, None)).await?;
    session.create("/t", Some(b"1"), Create::default()).await?;
    hold(&session, "/t", 5).await?;
    let mut tree = session.tree(TreeOptions::new("/t"))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.nodes.len() == 6).await?;
    let begun = Instant::now();
    server.kill9()?;
    server.wipe()?;
    server.start_again().await?;
    println!("started after {:?}", begun.elapsed());
    let status = reach(&session, |status| status.epoch == 2 && status.phase == Phase::Connected).await?;
    println!("a new session {:?} after the server was killed", begun.elapsed());
    ensure!(keeper.all().len() == 2, "{status:?}");
    view.until(&mut tree, |view| view.resets == 2).await?;
    ensure!(view.nodes.is_empty());
    // Its transactions begin anew, and what looks the same is not.
    session.create("/t", Some(b"2"), Create::default()).await?;
    view.until(&mut tree, |view| view.text("/t").as_deref() == Some("2")).await?;
    server.kill9()?;
    server.start_again().await?;
    let status = reach(&session, |status| status.generation == 3 && status.phase == Phase::Connected).await?;
    ensure!(status.epoch == 2, "{status:?}");
    Ok(())
}

/// A server that accepts and never answers.
pub async fn hangs() -> Result<()> {
    let server = ZooKeeper::start(ZooOptions::default()).await?;
    let keeper = Arc::new(Keeper::default());
    let options = Options { call_timeout: Duration::from_secs(1), ..kept(&server.addr(), &keeper, None) };
    let session = open(options).await?;
    session.create("/t", Some(b"1"), Create::default()).await?;
    server.pause()?;
    let begun = Instant::now();
    ensure!(matches!(session.get("/t").await, Err(WireError::Unavailable(_))));
    ensure!(begun.elapsed() < Duration::from_millis(1_500));
    reach(&session, |status| status.phase == Phase::Down).await?;
    println!("silence noticed after {:?}", begun.elapsed());
    server.resume()?;
    let begun = Instant::now();
    let status = reach(&session, |status| status.phase == Phase::Connected).await?;
    println!("connected {:?} after it goes on, epoch {}", begun.elapsed(), status.epoch);
    ensure!(session.get("/t").await?.0 == "1");
    ensure!(keeper.all().len() as u64 == status.epoch);
    Ok(())
}
