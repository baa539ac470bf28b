//! Java programs of ours, driven over standard input: one JSON object a line in, one a line out.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::process::last_words;
use crate::recipe::Recipe;

/// The kernel needs milliseconds.
const DEATH: Duration = Duration::from_secs(10);

type Answers = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Value>>>>>;

/// What to start. It says `{"event":"ready"}` when it is, and ends by itself when its standard input does.
pub struct Program {
    /// A folder under `testbed/`.
    pub recipe: &'static str,
    pub main: &'static str,
    /// More arguments for `java`; they win over ours.
    pub java: Vec<String>,
    pub arguments: Vec<String>,
    /// How long it may take until it is ready.
    pub ready: Duration,
    /// Its working folder and home.
    pub home: TempDir,
}

impl Program {
    pub fn new(recipe: &'static str, main: &'static str, ready: Duration) -> Result<Self> {
        let prefix = format!("causeway-{}-", main.rsplit('.').next().unwrap_or(main).to_lowercase());
        let home = tempfile::Builder::new().prefix(&prefix).tempdir()?;
        Ok(Self { recipe, main, java: Vec::new(), arguments: Vec::new(), ready, home })
    }
}

/// A running program. Dropping it kills the process.
pub struct Java {
    process: Mutex<Child>,
    input: tokio::sync::Mutex<ChildStdin>,
    answers: Answers,
    next: AtomicU64,
    _reader: JoinSet<()>,
    home: TempDir,
}

impl Java {
    /// Starts it and waits until it is ready. `tell` gets every event.
    pub async fn start(program: Program, mut tell: impl FnMut(Value) + Send + 'static) -> Result<Self> {
        let recipe = Recipe::build(program.recipe).await?;
        let home = program.home;
        let log = home.path().join("log");
        let mut child = Command::new("java")
            .args(["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Duser.home={}", home.path().display()))
            .args(program.java)
            .args(["-cp", &recipe.class_path, program.main])
            .args(program.arguments)
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let ready = timeout(program.ready, ready(&mut lines, &mut tell)).await;
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(error)) => bail!("{}: {error:#}; its last words:\n{}", program.main, last_words(&log)),
            Err(_) => bail!("{}: not ready after {:?}:\n{}", program.main, program.ready, last_words(&log)),
        }
        let answers = Answers::default();
        let mut reader = JoinSet::new();
        reader.spawn(read(lines, answers.clone(), tell));
        Ok(Self {
            process: Mutex::new(child),
            input: tokio::sync::Mutex::new(input),
            answers,
            next: AtomicU64::new(1),
            _reader: reader,
            home,
        })
    }

    /// `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().id()
    }

    /// A crash: the process is gone, and its port free, when this returns.
    pub fn kill9(&self) -> Result<()> {
        let mut process = self.process.lock();
        if process.try_wait()?.is_some() {
            return Ok(());
        }
        process.start_kill()?;
        let end = Instant::now() + DEATH;
        while process.try_wait()?.is_none() {
            ensure!(Instant::now() < end, "it outlived kill -9 for {DEATH:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// SIGTERM; waits until the process is gone, and kills it after `limit`.
    pub async fn stop(&self, limit: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let end = Instant::now() + limit;
        while self.ended()?.is_none() {
            if Instant::now() > end {
                self.kill9()?;
                bail!("it did not end within {limit:?} of SIGTERM; its last words:\n{}", self.last_words());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// How it ended, `None` while it runs.
    fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(self.process.lock().try_wait()?)
    }

    /// Sends a signal, unless it has ended: its pid may be somebody else's by then.
    fn signal(&self, signal: Signal) -> Result<()> {
        let mut process = self.process.lock();
        if process.try_wait()?.is_none() {
            let pid = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            kill_process(pid.context("no pid")?, signal)?;
        }
        Ok(())
    }

    /// The end of what it logged.
    fn last_words(&self) -> String {
        last_words(&self.home.path().join("log"))
    }

    /// What the program answers to the command `verb` for `client`.
    pub async fn ask(
        &self,
        verb: &str,
        client: &str,
        mut command: Map<String, Value>,
        limit: Duration,
    ) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        command.insert("id".into(), json!(id));
        command.insert("do".into(), json!(verb));
        command.insert("client".into(), json!(client));
        let mut line = serde_json::to_string(&command)?;
        line.push('\n');
        let (tell, told) = oneshot::channel();
        self.answers.lock().insert(id, tell);
        self.input.lock().await.write_all(line.as_bytes()).await?;
        match timeout(limit, told).await {
            Ok(Ok(answer)) => answer.with_context(|| format!("{verb} by {client}")),
            Ok(Err(_)) => bail!("{verb} by {client}: the program ended"),
            Err(_) => bail!("{verb} by {client}: no answer within {limit:?}"),
        }
    }
}

async fn ready(lines: &mut Lines<BufReader<ChildStdout>>, tell: &mut impl FnMut(Value)) -> Result<()> {
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str::<Value>(&line) {
            Ok(said) if said["event"] == "ready" => return Ok(()),
            Ok(said) => tell(said),
            Err(_) => {}
        }
    }
    bail!("it ended at its start")
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, answers: Answers, mut tell: impl FnMut(Value)) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(mut said) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let Some(id) = said["id"].as_u64() else {
            tell(said);
            continue;
        };
        let Some(waiting) = answers.lock().remove(&id) else {
            continue;
        };
        let answer = match said["error"].as_str() {
            Some(error) => Err(anyhow!("{error}")),
            None => Ok(said["result"].take()),
        };
        // Nobody waits any more when the call timed out.
        drop(waiting.send(answer));
    }
    // Who still waits is told by the closed channel.
    answers.lock().clear();
}
