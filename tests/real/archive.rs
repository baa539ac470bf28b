//! The archives: made by one command, unpacked, started, asked, stopped.

use crate::node::free_port;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

const BINARY: &str = env!("CARGO_BIN_EXE_causeway");
const SOON: Duration = Duration::from_secs(60);

/// What was unpacked. Dropped, what it has started is ended.
struct Unpacked {
    root: PathBuf,
    /// Of the API and of the health check.
    ports: (u16, u16),
}

impl Unpacked {
    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg(format!("bin/{name}")).current_dir(&self.root).stdin(Stdio::null());
        command
            .env("CAUSEWAY_LISTEN", format!("127.0.0.1:{}", self.ports.0))
            .env("SERVER_PORT", self.ports.1.to_string());
        command
    }

    /// How it ended, and what it said. Into files: the program that it starts keeps them open.
    fn start(&self) -> Result<(ExitStatus, String)> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.root.join("log"))?;
        let words = self.root.join("words");
        let status = self.script("start.sh").stdout(log).stderr(std::fs::File::create(&words)?).status()?;
        Ok((status, std::fs::read_to_string(words)?))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    async fn health(&self) -> Result<(u16, String)> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/sync/health", self.ports.1)).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        drop(self.script("stop.sh").stderr(Stdio::null()).status());
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn unpack(folder: &Path) -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/vm/package");
    let made = Command::new(package).args(["polaris-sync", "--binary", BINARY]).arg(folder).output()?;
    ensure!(made.status.success(), "{}", said(&made));
    let archive = PathBuf::from(String::from_utf8(made.stdout)?.trim());
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("polaris-sync-server-{version}");
    ensure!(archive.ends_with(format!("{name}.zip")), "{}", archive.display());
    let unpacked = Command::new("unzip").arg("-q").arg(&archive).current_dir(folder).status()?;
    ensure!(unpacked.success(), "unzip: {unpacked}");
    std::fs::remove_file(archive)?;
    let root = folder.join(name);
    for file in [
        "bin/start.sh",
        "bin/stop.sh",
        "bin/application.yaml",
        "conf/sync-registry.json",
        "conf/sync-config.json",
        "VERSION",
    ] {
        ensure!(root.join(file).is_file(), "no {file}");
    }
    ensure!(std::fs::read_to_string(root.join("VERSION"))?.trim() == version);
    for file in ["conf/sync-registry.json", "conf/sync-config.json"] {
        let checked = Command::new(BINARY).args(["validate", "-f", file]).current_dir(&root).output()?;
        ensure!(checked.status.success() && !said(&checked).contains("warning"), "{file}: {}", said(&checked));
    }
    Ok(root)
}

pub async fn starts_answers_and_stops() -> Result<()> {
    let folder = TempDir::with_prefix("causeway-archive-")?;
    let server = Unpacked { root: unpack(folder.path())?, ports: (free_port()?, free_port()?) };
    let stopped = server.script("stop.sh").output()?;
    ensure!(stopped.status.success() && said(&stopped).contains("does not run"), "{}", said(&stopped));

    let began = Instant::now();
    let (started, words) = server.start()?;
    ensure!(started.success(), "{words} {}", server.log());
    let end = began + SOON;
    let (status, text) = loop {
        match server.health().await {
            Ok(answer) => break answer,
            Err(error) => ensure!(Instant::now() < end, "no answer: {error:#}: {}", server.log()),
        }
        sleep(Duration::from_millis(100)).await;
    };
    ensure!(status == 200 && text.trim() == "pk ok", "{status} {text}");
    let log = server.log();
    ensure!(log.contains("listening on"), "the log is on standard output: {log}");
    let pid = std::fs::read_to_string(server.root.join("bin/causeway.pid"))?;
    let (again, words) = server.start()?;
    ensure!(!again.success() && words.contains(&format!("pid {}", pid.trim())), "{words}");

    let stopped = server.script("stop.sh").output()?;
    ensure!(stopped.status.success() && said(&stopped).contains("has ended"), "{}", said(&stopped));
    ensure!(server.health().await.is_err(), "it still runs");

    // A number that is another program's by now is left alone.
    let mut other = Command::new("sleep").arg("60").spawn()?;
    std::fs::write(server.root.join("bin/causeway.pid"), other.id().to_string())?;
    let stopped = server.script("stop.sh").output()?;
    let untouched = other.try_wait()?.is_none();
    other.kill()?;
    other.wait()?;
    ensure!(untouched && said(&stopped).contains("does not run"), "{}", said(&stopped));
    server.health().await.err().context("it does not run")?;
    Ok(())
}

/// The archive in MSE Sync's form: its script starts a node that needs a token, and its command needs to be told neither port nor token.
pub async fn in_the_form_of_mse_sync() -> Result<()> {
    let folder = TempDir::with_prefix("causeway-archive-")?;
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/vm/package");
    let made = Command::new(package).args(["mse-sync", "--binary", BINARY]).arg(folder.path()).output()?;
    ensure!(made.status.success(), "{}", said(&made));
    let unpacked = Command::new("unzip").arg("-q").arg("MseSync.zip").current_dir(folder.path()).status()?;
    ensure!(unpacked.success(), "unzip: {unpacked}");
    let port = free_port()?;
    let server = MseSync { root: folder.path().join("MseSync") };
    std::fs::write(
        server.root.join("conf/java.env"),
        format!("JAVA_OPT=\"$JAVA_OPT -Xms1g\"\nCAUSEWAY_LISTEN=0.0.0.0:{port}\n"),
    )?;
    let status = server.script("startup.sh").arg("status").output()?;
    ensure!(status.status.code() == Some(3), "{}", said(&status));
    // Called from elsewhere: it finds conf/ from its own place.
    let words = folder.path().join("words");
    let file = std::fs::File::create(&words)?;
    let started = server.script("startup.sh").arg("start").stdout(file.try_clone()?).stderr(file).status()?;
    let words = std::fs::read_to_string(&words)?;
    ensure!(started.success() && words.contains("token: ") && words.contains("Causeway runs"), "{words}");

    let url = format!("http://127.0.0.1:{port}");
    ensure!(reqwest::get(format!("{url}/healthz")).await?.status() == 200, "a probe needs no token");
    ensure!(reqwest::get(format!("{url}/api/v1/tasks")).await?.status() == 401, "the API needs one");
    let token = words.lines().find_map(|line| line.strip_prefix("token: ")).context("no token")?;
    let asked = reqwest::Client::new().get(format!("{url}/api/v1/tasks")).bearer_auth(token).send().await?;
    ensure!(asked.status() == 200, "{}", asked.status());

    let settings = folder.path().join("settings.yaml");
    let clusters = "clusters: [{clusterName: a, clusterType: MEMORY, connectKeyList: ['a:1']}, {clusterName: b, clusterType: MEMORY, connectKeyList: ['b:1']}]";
    std::fs::write(&settings, format!("{clusters}\ntasks: [{{source: a, destination: b}}]\n"))?;
    let applied = server.script("msesyncCMD.sh").args(["apply", "-f"]).arg(&settings).output()?;
    ensure!(applied.status.success(), "{}", said(&applied));
    let listed = server.script("startup.sh").arg("status").output()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    ensure!(listed.status.success() && text.contains("a-b"), "{text} {}", said(&listed));

    let stopped = server.script("startup.sh").arg("stop").output()?;
    ensure!(stopped.status.success(), "{}", said(&stopped));
    ensure!(reqwest::get(format!("{url}/healthz")).await.is_err(), "it still runs");
    ensure!(!server.root.join("data/local.json").exists(), "its door is closed");
    Ok(())
}

/// The unpacked archive. Dropped, what it has started is ended.
struct MseSync {
    root: PathBuf,
}

impl MseSync {
    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg(self.root.join("bin").join(name)).current_dir("/").stdin(Stdio::null());
        command.env_remove("CAUSEWAY_TOKEN").env("no_proxy", "*");
        command
    }
}

impl Drop for MseSync {
    fn drop(&mut self) {
        drop(self.script("startup.sh").arg("stop").stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}
