//! A real Nacos server.

mod cluster;
mod launch;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

use crate::open_api::OpenApi;
use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::recipe::Recipe;
use crate::tls;

pub use cluster::Cluster;

/// The administrator of a server with sign-in.
pub const USER: &str = "nacos";
pub const PASSWORD: &str = "causeway-test";

/// A start takes 8-25 s on two idle cores; this is for busy ones.
const START: Duration = Duration::from_secs(180);
/// `nacos_config`, `naming_instance_metadata`, `naming_persistent_service`, `…_v2`, `naming_service_metadata`. A cluster
/// whose servers answer «ready» has only the first, and refuses some writes.
const RAFT_GROUPS: usize = 5;
/// How long a server may take to end by itself.
const STOP: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NacosVersion {
    /// 1.4.1: HTTP only.
    V1_4,
    /// 2.5.0: gRPC on port + 1000.
    V2_5,
    /// 3.1.0: gRPC on port + 1000; most v1 and v2 paths answer 410.
    V3_1,
}

impl NacosVersion {
    fn recipe(self) -> &'static str {
        match self {
            Self::V1_4 => "nacos/v1",
            Self::V2_5 => "nacos/v2",
            Self::V3_1 => "nacos/v3",
        }
    }
}

impl std::str::FromStr for NacosVersion {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split('.').next() {
            Some("1") => Ok(Self::V1_4),
            Some("2") => Ok(Self::V2_5),
            Some("3") => Ok(Self::V3_1),
            _ => bail!("no Nacos {text} here: 1.4, 2.5 or 3.1"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Sign-in on all interfaces, with the administrator [`USER`] and [`PASSWORD`].
    pub auth: bool,
    /// How long a token lives (with `auth`). Whole seconds.
    pub token_ttl: Duration,
    /// TLS on HTTP and gRPC (2.5 and 3.1) with a certificate for 127.0.0.1 and localhost from [`Nacos::ca_file`].
    pub tls: bool,
    /// 3.1 only: the console too, on port + 10.
    pub console: bool,
    pub context_path: String,
    /// A free one when absent.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
    /// More properties; they win over ours.
    pub properties: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: false,
            token_ttl: Duration::from_secs(18_000),
            tls: false,
            console: false,
            context_path: "/nacos".into(),
            port: None,
            data: None,
            properties: Vec::new(),
        }
    }
}

/// A server process with ports and data of its own. Dropping it kills the process and removes the data.
#[derive(Debug)]
pub struct Nacos {
    version: NacosVersion,
    options: Options,
    ports: Ports,
    /// All addresses of the cluster it belongs to, itself included; empty when it stands alone.
    members: Vec<String>,
    /// Before the folder: it ends before its data goes.
    process: Process,
    data: Folder,
}

impl Nacos {
    /// Starts a server and returns when it is ready: it answers, and with `auth` the administrator can sign in.
    pub async fn start(version: NacosVersion, options: Options) -> Result<Self> {
        let nacos = Self::prepare(version, options)?;
        nacos.start_again().await?;
        Ok(nacos)
    }

    /// `count` servers of version 2.5 as one cluster, ready when all are and agree on a leader.
    pub async fn cluster(count: usize, options: Options) -> Result<Cluster> {
        Cluster::start(NacosVersion::V2_5, count, options).await
    }

    /// The same of version 2.5 or 3.1.
    pub async fn cluster_of(version: NacosVersion, count: usize, options: Options) -> Result<Cluster> {
        Cluster::start(version, count, options).await
    }

    fn prepare(version: NacosVersion, options: Options) -> Result<Self> {
        let ports = options.port.map_or_else(Ports::pick, Ports::fixed)?;
        let data = Folder::new("causeway-nacos-", options.data.as_deref())?;
        if options.tls && version == NacosVersion::V1_4 {
            bail!("Nacos 1.4 is started without TLS only");
        }
        let process = Process::new(data.path().join("start.log"));
        Ok(Self { version, options, ports, members: Vec::new(), process, data })
    }

    pub fn version(&self) -> NacosVersion {
        self.version
    }

    /// `127.0.0.1:port`, what a client's settings want.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// Such as `http://127.0.0.1:port/nacos`.
    pub fn http_base(&self) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.addr(), self.options.context_path)
    }

    /// The certificate of the authority that signed the server's (with `tls`), PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.data())
    }

    /// Where the server keeps what it knows; its output is in `start.log` there.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The vendor's HTTP interface, signed in when the server wants that.
    pub async fn open_api(&self) -> Result<OpenApi> {
        let ca = self.options.tls.then(|| self.ca_file());
        let api = OpenApi::connect(self.version, &self.http_base(), ca.as_deref())?;
        if self.options.auth {
            return api.sign_in(USER, PASSWORD).await;
        }
        Ok(api)
    }

    /// A crash: the process is gone when this returns, its data stays as it was.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGTERM, and kill -9 after 20 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// Starts it on the same ports with the same data; ready when this returns.
    pub async fn start_again(&self) -> Result<()> {
        // One of a cluster that asks before a leader is chosen ends itself («did not find the Leader node»), about one
        // start in four on two busy cores. Whoever runs such servers starts it again; so do we.
        let tries = if self.members.is_empty() { 1 } else { 4 };
        for _ in 1..tries {
            self.launch().await?;
            if self.ready().await.is_ok() {
                return Ok(());
            }
            self.kill9()?;
        }
        self.launch().await?;
        self.ready().await
    }

    /// Kills it, removes all its data and starts it on the same ports.
    pub async fn wipe_and_start_again(&self) -> Result<()> {
        self.kill9()?;
        for entry in std::fs::read_dir(self.data())? {
            let path = entry?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path)?;
            } else {
                std::fs::remove_file(path)?;
            }
        }
        self.start_again().await
    }

    /// SIGSTOP: it accepts connections (the kernel does) and never answers.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    async fn launch(&self) -> Result<()> {
        let recipe = Recipe::build(self.version.recipe()).await?;
        self.process.start(&launch::command(self, &recipe)?)
    }

    async fn ready(&self) -> Result<()> {
        let ca = self.options.tls.then(|| self.ca_file());
        let api = OpenApi::connect(self.version, &self.http_base(), ca.as_deref())?;
        let urls = launch::readiness(self);
        let end = Instant::now() + START;
        for url in urls {
            while !api.answers(&url).await {
                self.process.check()?;
                if Instant::now() > end {
                    self.kill9()?;
                    bail!("Nacos not ready after {START:?}; its last words:\n{}", self.process.last_words());
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        if self.options.auth {
            api.make_administrator(USER, PASSWORD).await?;
            // The server reads its users every 15 s, so a new one waits.
            api.sign_in(USER, PASSWORD).await?;
        }
        if !self.members.is_empty() {
            let api = self.open_api().await?;
            while api.leaders().await? < RAFT_GROUPS {
                if Instant::now() > end {
                    bail!("no leader known to {} after {START:?}", self.addr());
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }
}
