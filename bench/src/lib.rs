//! What the benchmarks share: a node of the real program.

use anyhow::{Context, Result, ensure};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// The allocator of the real program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Between two looks at how far it is.
pub const LOOK: Duration = Duration::from_millis(20);

/// A node with a data folder of its own; dropped, it is killed.
pub struct Node {
    process: Child,
    url: String,
    _data: TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Node {
    /// Starts one that is ready; the program stands beside this one.
    pub async fn start() -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("causeway");
        let data = TempDir::with_prefix("causeway-bench-")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let mut serve = Command::new(&program);
        serve.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(data.path());
        serve.current_dir(data.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = serve.spawn().with_context(|| format!("{}: build it first", program.display()))?;
        let node = Self { process, url, _data: data };
        let until = Instant::now() + Duration::from_secs(20);
        while !reqwest::get(format!("{}/readyz", node.url)).await.is_ok_and(|answer| answer.status().is_success()) {
            ensure!(Instant::now() < until, "the node is not ready");
            sleep(LOOK).await;
        }
        Ok(node)
    }

    /// Applies settings.
    pub async fn apply(&self, text: &str) -> Result<()> {
        let request = serde_json::json!({"file": "bench.yaml", "text": text});
        let answer = reqwest::Client::new().post(format!("{}/api/v1/apply", self.url)).json(&request).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    /// What it says of its tasks.
    pub async fn tasks(&self) -> Result<String> {
        Ok(reqwest::get(format!("{}/api/v1/tasks", self.url)).await?.text().await?)
    }

    /// The processor's time that it has had, with what the system did for it.
    pub fn processor(&self) -> Result<Duration> {
        let said = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The second field, the program's name in brackets, may hold anything; a tick is a hundredth of a second.
        let fields = said.rsplit_once(") ").context("no fields")?.1.split(' ').skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The memory that it has in use, in MiB.
    pub fn resident(&self) -> Result<f64> {
        let said = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = said.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}
