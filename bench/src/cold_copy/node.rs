//! The real program.

use crate::estate::Estate;
use anyhow::{Context, Result, ensure};
use causeway_testbed::ZooKeeper;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);

/// A node; dropped, it is killed.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How long a copy took, and the processor's time that the node has had by then.
pub struct Took {
    pub time: Duration,
    pub processor: Duration,
}

/// Lets a new node copy an estate from one server to another.
pub async fn copy(a: &str, b: &ZooKeeper, estate: &Estate) -> Result<Took> {
    let program = std::env::current_exe()?.with_file_name("causeway");
    let data = tempfile::TempDir::with_prefix("causeway-bench-")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}");
    let mut serve = Command::new(&program);
    serve.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(data.path());
    serve.current_dir(data.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let node = Node(serve.spawn().with_context(|| format!("{}: build it first", program.display()))?);
    let until = Instant::now() + Duration::from_secs(20);
    while !reqwest::get(format!("{url}/readyz")).await.is_ok_and(|answer| answer.status().is_success()) {
        ensure!(Instant::now() < until, "the node is not ready");
        sleep(LOOK).await;
    }
    let before = count(b).await?;
    let text = format!(
        "clusters:\n  - {{clusterName: a, clusterType: ZK, connectKeyList: ['{a}']}}\n  - {{clusterName: b, clusterType: \
         ZK, connectKeyList: ['{}']}}\ntasks:\n  - {{source: a, destination: b, {}}}\n",
        b.addr(),
        estate.task
    );
    let began = Instant::now();
    let request = serde_json::json!({"file": "bench.yaml", "text": text});
    let answer = reqwest::Client::new().post(format!("{url}/api/v1/apply")).json(&request).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    loop {
        let there = count(b).await?;
        if there >= before + estate.nodes.len() {
            return Ok(Took { time: began.elapsed(), processor: processor(node.0.id())? });
        }
        if began.elapsed() > Duration::from_secs(300) {
            let tasks = reqwest::get(format!("{url}/api/v1/tasks")).await?.text().await?;
            anyhow::bail!("{there} of {} after five minutes: {tasks}", estate.nodes.len());
        }
        sleep(LOOK).await;
    }
}

/// The processor's time that a process has had, with what the system did for it.
fn processor(process: u32) -> Result<Duration> {
    let said = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, the program's name in brackets, may hold anything; a tick is a hundredth of a second.
    let fields = said.rsplit_once(") ").context("no fields")?.1.split(' ').skip(11).take(2);
    let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// How many znodes a server has.
async fn count(server: &ZooKeeper) -> Result<usize> {
    let said = server.word("srvr").await?;
    let count = said.lines().find_map(|line| line.strip_prefix("Node count: "));
    Ok(count.context("no count of nodes")?.trim().parse()?)
}
