//! One process of ours, driven through its command line.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sqlx::Connection;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_causeway");

/// A running node; dropped, it is killed.
pub struct Node {
    child: Child,
    port: u16,
    data: Arc<TempDir>,
}

impl Node {
    /// A node on a data folder of its own.
    pub async fn start() -> Result<Self> {
        Self::on(Arc::new(TempDir::with_prefix("causeway-test-")?), free_port()?).await
    }

    /// The same with variables in its environment.
    pub async fn start_with(variables: &[(&str, &str)]) -> Result<Self> {
        Self::on_with(Arc::new(TempDir::with_prefix("causeway-test-")?), free_port()?, variables).await
    }

    /// A node on a data folder that another node has left.
    pub async fn on(data: Arc<TempDir>, port: u16) -> Result<Self> {
        Self::on_with(data, port, &[]).await
    }

    /// The same with variables in its environment.
    pub async fn on_with(data: Arc<TempDir>, port: u16, variables: &[(&str, &str)]) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.path().join("node.log"))?;
        let child = Command::new(BINARY)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(data.path())
            .current_dir(data.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut node = Self { child, port, data };
        // With many records to take over on a busy machine.
        let until = Instant::now() + Duration::from_secs(120);
        let url = format!("http://127.0.0.1:{port}/readyz");
        loop {
            if reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(node);
            }
            if let Some(status) = node.child.try_wait()? {
                bail!("the node ended with {status}: {}", node.log());
            }
            ensure!(Instant::now() < until, "the node is not ready: {}", node.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Keeps the node from writing into its database until the answer is dropped.
    pub async fn lock_database(&self) -> Result<sqlx::SqliteConnection> {
        let path = self.data.path().join("causeway.db");
        let mut lock = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
        sqlx::query("PRAGMA busy_timeout = 5000").execute(&mut lock).await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await?;
        Ok(lock)
    }

    /// What the node has said.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("node.log")).unwrap_or_default()
    }

    /// The end of what the node has said.
    pub fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Runs a subcommand against this node.
    pub fn cli(&self, arguments: &[&str]) -> Result<Output> {
        let server = format!("http://127.0.0.1:{}", self.port);
        Ok(Command::new(BINARY).args(["--server", &server]).args(arguments).stdin(Stdio::null()).output()?)
    }

    /// Runs a subcommand that must succeed; answers what it printed.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cli(arguments)?;
        let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8(output.stdout)?);
        let failed = || {
            let first: String = printed.chars().take(2_000).collect();
            format!("{arguments:?}: {} {said}\n{first}\n{}", output.status, self.log())
        };
        ensure!(output.status.success(), failed());
        Ok(printed)
    }

    /// Applies settings.
    pub fn apply(&self, settings: &str) -> Result<()> {
        let file = self.write("settings.yaml", settings)?;
        self.ok(&["apply", "-f", &file.to_string_lossy()]).map(drop)
    }

    /// The folder that it runs in and keeps its data in.
    pub fn folder(&self) -> &Path {
        self.data.path()
    }

    /// Writes a file into the node's folder.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.data.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// `get tasks -o json`, the first of them.
    pub fn task(&self) -> Result<Value> {
        let tasks: Value = serde_json::from_str(&self.ok(&["get", "tasks", "-o", "json"])?)?;
        tasks.get(0).cloned().context("no task")
    }

    /// A number of the first task.
    pub fn number(&self, field: &str) -> Result<u64> {
        self.task()?[field].as_u64().with_context(|| format!("no number {field}"))
    }

    /// `get events -o json`.
    pub fn events(&self) -> Result<String> {
        self.ok(&["get", "events", "-o", "json", "--limit", "1000"])
    }

    /// kill -9. What is left can be started again with [`Node::on`].
    pub fn kill(mut self) -> Result<(Arc<TempDir>, u16)> {
        self.child.kill()?;
        self.child.wait()?;
        Ok((self.data.clone(), self.port))
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> Result<(Arc<TempDir>, u16)> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success());
        let until = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok((self.data.clone(), self.port))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("CAUSEWAY_TEST_LOGS").is_some() {
            eprintln!("{}", self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
