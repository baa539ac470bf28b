//! A real Prometheus of one's own.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// Dropped, it is killed.
pub struct Prometheus {
    child: Child,
    pub url: String,
    folder: TempDir,
}

impl Prometheus {
    /// With this configuration.
    pub async fn start(config: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("causeway-prometheus-")?;
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config)?;
        let port = crate::node::free_port()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("prometheus")?;
        let mut started = Self { child, url: format!("http://127.0.0.1:{port}"), folder };
        let until = Instant::now() + Duration::from_secs(60);
        while !reqwest::get(format!("{}/-/ready", started.url)).await.is_ok_and(|answer| answer.status().is_success()) {
            let ended = started.child.try_wait()?;
            ensure!(ended.is_none() && Instant::now() < until, "Prometheus is not ready: {ended:?} {}", started.log());
            sleep(Duration::from_millis(100)).await;
        }
        Ok(started)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The `data` of an answer of its API.
    pub async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), query)?;
        let answer: Value = reqwest::get(url).await?.json().await?;
        ensure!(answer["status"] == "success", "{path} {query:?}: {answer}");
        Ok(answer["data"].clone())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
