//! How long the first copy of 100,000 znodes takes, as a share of what a bare pipelined loop over the same client reaches.
//!
//! ```sh
//! cargo build --release -p causeway && cargo run --release -p causeway-bench --bin cold-copy
//! ```
//! Starts two real servers on ports of their own and, for each round, a node with a data folder of its own. The loop
//! reads every znode of one server and makes it on the other, 256 calls on their way at a time on each connection: no
//! comparison, no ledger, no access lists. The node does the same as `type: Config`, from `apply` until everything stands
//! at the destination.

use anyhow::{Context, Result, ensure};
use causeway_connectors::zookeeper::client::{Create, Options, Phase, Session};
use causeway_testbed::{ZooKeeper, ZooOptions};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FOLDERS: usize = 1_000;
const EACH: usize = 99;
const ROUNDS: usize = 3;
/// Read in one go by the loop, so that reading and making overlap.
const BATCH: usize = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    let options = || ZooOptions { java: vec!["-Xmx2g".into()], max_session_ms: 40_000, ..ZooOptions::default() };
    let (a, b) = tokio::try_join!(ZooKeeper::start(options()), ZooKeeper::start(options()))?;
    let (at_a, at_b) = (open(&a.addr()).await?, open(&b.addr()).await?);
    let paths = paths();
    let data = "x".repeat(400);
    let nodes: Vec<_> = paths.iter().map(|path| (path.as_str(), data.as_str(), Create::default())).collect();
    ensure!(at_a.create_many(&nodes).await.iter().all(Result::is_ok), "the source could not be filled");
    let mut shares = Vec::new();
    for round in 1..=ROUNDS {
        let bare = bare(&at_a, &at_b, &paths).await?;
        clear(&at_b, &paths).await?;
        let ours = ours(&a.addr(), &b.addr(), &at_b, &paths).await?;
        clear(&at_b, &paths).await?;
        let share = bare.as_secs_f64() / ours.as_secs_f64();
        println!("round {round}: {} znodes: bare loop {bare:.2?}, causeway {ours:.2?}, share {share:.2}", paths.len());
        shares.push(share);
    }
    shares.sort_by(f64::total_cmp);
    println!("median share of the bare loop: {:.2}", shares[ROUNDS / 2]);
    Ok(())
}

fn paths() -> Vec<String> {
    let mut paths = vec!["/bench".to_owned()];
    for folder in 0..FOLDERS {
        paths.push(format!("/bench/app{folder:04}"));
        paths.extend((0..EACH).map(|n| format!("/bench/app{folder:04}/key{n:02}")));
    }
    paths
}

async fn open(addr: &str) -> Result<Session> {
    let session = Session::open(Options::new(vec![addr.to_owned()]))?;
    session.status().wait_for(|status| status.phase == Phase::Connected).await?;
    Ok(session)
}

async fn bare(from: &Session, to: &Session, paths: &[String]) -> Result<Duration> {
    let began = Instant::now();
    for batch in paths.chunks(BATCH) {
        let read: Vec<_> = from.get_many(batch).await.into_iter().collect::<Result<_, _>>()?;
        let nodes: Vec<_> =
            batch.iter().zip(&read).map(|(path, (data, _))| (path.as_str(), &data[..], Create::default())).collect();
        ensure!(to.create_many(&nodes).await.iter().all(Result::is_ok), "not all could be made");
    }
    Ok(began.elapsed())
}

async fn clear(at: &Session, paths: &[String]) -> Result<()> {
    let all: Vec<_> = paths.iter().rev().map(|path| (path, None)).collect();
    ensure!(at.delete_many(&all).await.iter().all(Result::is_ok), "not all could be removed");
    Ok(())
}

/// A node; dropped, it is killed.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn ours(a: &str, b: &str, at_b: &Session, paths: &[String]) -> Result<Duration> {
    let program = std::env::current_exe()?.with_file_name("causeway");
    let data = tempfile::TempDir::with_prefix("causeway-bench-")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}");
    let mut serve = Command::new(&program);
    serve.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(data.path());
    serve.current_dir(data.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _node = Node(serve.spawn().with_context(|| format!("{}: build it first", program.display()))?);
    let until = Instant::now() + Duration::from_secs(20);
    while !reqwest::get(format!("{url}/readyz")).await.is_ok_and(|answer| answer.status().is_success()) {
        ensure!(Instant::now() < until, "the node is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let text = format!(
        "clusters:\n  - {{clusterName: a, clusterType: ZK, connectKeyList: ['{a}']}}\n  - {{clusterName: b, clusterType: ZK, \
         connectKeyList: ['{b}']}}\ntasks:\n  - {{source: a, destination: b, type: Config, serviceMatchPattern: '/bench.*'}}\n"
    );
    let began = Instant::now();
    let request = serde_json::json!({"file": "bench.yaml", "text": text});
    let answer = reqwest::Client::new().post(format!("{url}/api/v1/apply")).json(&request).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    loop {
        let tasks: serde_json::Value = reqwest::get(format!("{url}/api/v1/tasks")).await?.json().await?;
        if tasks[0]["entries"].as_u64() >= Some(paths.len() as u64) {
            break;
        }
        ensure!(began.elapsed() < Duration::from_secs(300), "{tasks}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = began.elapsed();
    ensure!(at_b.stat_many(paths).await.iter().all(|stat| matches!(stat, Ok(Some(_)))), "something is missing");
    Ok(took)
}
