//! Figures for one large tree.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use causeway_connectors::zookeeper::client::{Create, Options, Session, TreeOptions};
use causeway_testbed::{ZooKeeper, ZooOptions};

use super::{View, open, options};

const SERVICES: usize = 1_000;
const EACH: usize = 98;

fn paths() -> Vec<String> {
    let mut paths = vec!["/big".to_owned()];
    for s in 0..SERVICES {
        paths.push(format!("/big/com.example.Service{s:04}"));
        paths.push(format!("/big/com.example.Service{s:04}/providers"));
        let instance = |n| format!("/big/com.example.Service{s:04}/providers/10.0.{}.{}:20880", n / 250, n % 250);
        paths.extend((0..EACH).map(instance));
    }
    paths
}

async fn timed<F: Future>(what: &str, work: F) -> F::Output {
    let begun = Instant::now();
    let done = work.await;
    println!("{what:46} {:7.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    done
}

async fn follow(session: &Session, bodies: bool, count: usize) -> Result<()> {
    let mut tree = session.tree(TreeOptions { bodies, ..TreeOptions::new("/big") })?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.resets == 1).await?;
    ensure!(view.nodes.len() == count, "{}", view.nodes.len());
    Ok(())
}

/// A server of its own, 100,001 znodes with 400 bytes each.
pub async fn listing() -> Result<()> {
    let java = vec!["-Xmx2g".to_owned()];
    let server = ZooKeeper::start(ZooOptions { java, max_session_ms: 40_000, ..ZooOptions::default() }).await?;
    let options = Options { session_timeout: Duration::from_secs(30), ..options(&server.addr()) };
    let session = open(options).await?;
    let (paths, data) = (paths(), "x".repeat(400));
    let nodes: Vec<_> = paths.iter().map(|path| (path, &data, Create::default())).collect();
    let made = timed("create_many", session.create_many(&nodes)).await;
    ensure!(made.iter().all(Result::is_ok));
    for round in 1..=3 {
        println!("round {round}");
        ensure!(
            timed("bare loop: get + children for each path", async {
                let (got, listed) = tokio::join!(session.get_many(&paths), session.children_many(&paths));
                got.iter().all(Result::is_ok) && listed.iter().all(Result::is_ok)
            })
            .await
        );
        ensure!(timed("bare loop: get for each path", session.get_many(&paths)).await.iter().all(Result::is_ok));
        timed("tree with bodies", follow(&session, true, paths.len())).await?;
        timed("tree without bodies", follow(&session, false, paths.len())).await?;
    }
    let mut tree = session.tree(TreeOptions::new("/big"))?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.resets == 1).await?;
    for _ in 0..3 {
        server.kill9()?;
        server.start_again().await?;
        let resets = view.resets;
        view.until(&mut tree, |view| view.lost.len() == resets).await?;
        super::reach(&session, |status| status.generation > resets as u64).await?;
        timed("tree with bodies, listed again", view.until(&mut tree, |view| view.resets == resets + 1)).await?;
        ensure!(view.nodes.len() == paths.len() && view.nodes.values().all(|node| node.data.is_some()));
    }
    timed("one look at all of it", async {
        tree.looker().look(None);
        session.set("/big/com.example.Service0999/providers/10.0.0.97:20880", b"last", None).await
    })
    .await?;
    Ok(())
}
