//! A real ZooKeeper server.

mod client;
mod ensemble;
mod java_clients;
mod launch;
mod record;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::recipe::Recipe;
use crate::tls;

pub use client::{ZkClient, ZkSession};
pub use ensemble::ZooKeeperEnsemble;
pub use java_clients::{ZkConnect, ZkDoor};
pub use record::{ZkEntry, ZkNode, ZkRead, ZkStat, ZkStep, ZkTree, digest_id};
pub use watch::{ZkEvent, ZkWatch};

/// The user who may do everything at a server with `super_user`, as a client's digest.
pub const ZOO_SUPER: &str = "super:causeway-test";

/// The recipe of the newest server and of all Java clients.
const RECIPE: &str = "java/zookeeper";
/// A start takes a second on two idle cores; an ensemble's first vote can take some more.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(20);
/// A four-letter word that is not answered by then is not answered.
const WORD: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ZooRelease {
    /// 3.4.14: no recursive watches, and a creation does not tell the node's stat.
    V3_4,
    /// 3.8.4.
    V3_8,
    /// 3.9.3.
    #[default]
    V3_9,
}

impl ZooRelease {
    fn recipe(self) -> &'static str {
        match self {
            Self::V3_4 => "zookeeper/v3.4",
            Self::V3_8 => "zookeeper/v3.8",
            Self::V3_9 => RECIPE,
        }
    }
}

#[derive(Debug, Clone)]
pub struct ZooOptions {
    pub release: ZooRelease,
    /// The server's tick. No session may ask for less than two of them, and expiry is as coarse as one.
    pub tick_ms: u32,
    /// Clients that ask for more, and Java's usually do, get this.
    pub max_session_ms: u32,
    /// Lets [`ZOO_SUPER`] do everything.
    pub super_user: bool,
    /// TLS too, on [`ZooKeeper::tls_addr`], with a certificate for 127.0.0.1 and localhost from [`ZooKeeper::ca_file`].
    pub tls: bool,
    /// A free one when absent.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
    /// More lines of `zoo.cfg`; they win over ours.
    pub settings: Vec<(String, String)>,
    /// More arguments for `java`, such as `-Djute.maxbuffer=4194304`.
    pub java: Vec<String>,
}

impl Default for ZooOptions {
    fn default() -> Self {
        Self {
            release: ZooRelease::default(),
            tick_ms: 500,
            max_session_ms: 6_000,
            super_user: false,
            tls: false,
            port: None,
            data: None,
            settings: Vec::new(),
            java: Vec::new(),
        }
    }
}

/// A server process with ports and data of its own. Dropping it kills the process and removes the data.
#[derive(Debug)]
pub struct ZooKeeper {
    options: ZooOptions,
    ports: Ports,
    /// The main ports of all servers of its ensemble, itself included; empty when it stands alone.
    members: Vec<u16>,
    /// Before the folder: it ends before its data goes.
    process: Process,
    folder: Folder,
}

impl ZooKeeper {
    /// Starts a server and returns when it serves.
    pub async fn start(options: ZooOptions) -> Result<Self> {
        let server = Self::prepare(options)?;
        server.start_again().await?;
        Ok(server)
    }

    fn prepare(options: ZooOptions) -> Result<Self> {
        let ports = options.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-zookeeper-", options.data.as_deref())?;
        let process = Process::new(folder.path().join("start.log"));
        Ok(Self { options, ports, members: Vec::new(), process, folder })
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// `127.0.0.1:port` of the port with TLS.
    pub fn tls_addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.console())
    }

    /// The certificate of the authority that signed the server's (with `tls`), PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.folder.path())
    }

    /// Holds the server's settings, its `data` and its output (`start.log`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// A crash: the process is gone when this returns, its data stays as it was.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGTERM, and kill -9 after 20 s. Sessions outlive it: they go on when it is started again in time.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// Starts it on the same port with the same data; it serves when this returns.
    pub async fn start_again(&self) -> Result<()> {
        self.launch().await?;
        self.ready().await
    }

    /// Removes all data of a server that does not run. Clients from before do not get in any more, nor hear that they
    /// expired: the server refuses who has seen a later transaction than its own last one.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.pid().is_none(), "the server at {} still runs", self.addr());
        let data = launch::data(self);
        if data.exists() {
            std::fs::remove_dir_all(data)?;
        }
        Ok(())
    }

    /// SIGSTOP: it accepts connections (the kernel does) and never answers.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// The answer to a four-letter word: `srvr`, `mntr`, `cons`, `wchp`, …
    pub async fn word(&self, word: &str) -> Result<String> {
        let asked = async {
            let mut stream = TcpStream::connect(self.addr()).await?;
            stream.write_all(word.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        timeout(WORD, asked).await.with_context(|| format!("{word}: no answer within {WORD:?}"))?
    }

    /// `standalone`, `leader` or `follower`; an error while it does not serve.
    pub async fn mode(&self) -> Result<String> {
        let answer = self.word("srvr").await?;
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        Ok(mode.with_context(|| answer.trim().to_string())?.to_string())
    }

    /// The ids of all live sessions, also of those whose client is not connected now. Only a leader or a server that
    /// stands alone knows them all.
    pub async fn sessions(&self) -> Result<BTreeSet<i64>> {
        let dump = self.word("dump").await?;
        let sets = dump.lines().take_while(|line| !line.starts_with("ephemeral nodes"));
        Ok(sets.filter(|line| line.starts_with('\t')).filter_map(session).collect())
    }

    /// The ephemeral nodes, by the session that holds them.
    pub async fn ephemerals(&self) -> Result<BTreeMap<i64, BTreeSet<String>>> {
        let dump = self.word("dump").await?;
        let mut out: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        let mut owner = None;
        for line in dump.lines().skip_while(|line| !line.starts_with("Sessions with Ephemerals")).skip(1) {
            match line.strip_prefix('\t') {
                Some(path) if path.starts_with('/') => {
                    let paths = out.entry(owner.context("a path before any session")?).or_default();
                    paths.insert(path.to_string());
                }
                _ if line.starts_with("0x") => owner = session(line.trim_end_matches(':')),
                _ => break,
            }
        }
        Ok(out)
    }

    async fn launch(&self) -> Result<()> {
        let recipe = Recipe::build(self.options.release.recipe()).await?;
        self.process.start(&launch::command(self, &recipe)?)
    }

    async fn ready(&self) -> Result<()> {
        let end = Instant::now() + START;
        while self.mode().await.is_err() {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!("ZooKeeper not ready after {START:?}; its last words:\n{}", self.process.last_words());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// An id as the server writes it. The highest bit may be set.
fn session(text: &str) -> Option<i64> {
    let digits = text.trim().strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
}
