//! Figures for one large tree.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use causeway_connectors::zookeeper::client::{Acl, Create, Options, Session, TreeOptions};
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

/// Our own CPU time in milliseconds: on two cores the server needs most of the other one.
fn own_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}

async fn timed<F: Future>(what: &str, work: F) -> F::Output {
    let (begun, before) = (Instant::now(), own_cpu());
    let done = work.await;
    println!("{what:46} {:7.0} ms, {:5} ms CPU", begun.elapsed().as_secs_f64() * 1000.0, own_cpu() - before);
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
    let nodes: Vec<_> = paths.iter().map(|path| (path, data.as_bytes(), Create::default())).collect();
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
    // The last node that a look comes to.
    let last = paths.last().map(String::as_str).unwrap_or_default();
    session.set_acl(last, &[Acl::new(Acl::ALL, "world", "anyone"), Acl::new(1, "ip", "127.0.0.1")], None).await?;
    tree.looker().look(None);
    let seen = |view: &View| view.nodes.get(last).is_some_and(|node| node.stat.aversion == 1);
    timed("one look at all of it", view.until(&mut tree, seen)).await?;
    Ok(())
}
