//! A Kong: a strict double of ours, since no package carries the real one.

mod api;
mod backend;
mod desk;
mod double;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::recipe::own_program;
use crate::tls;

pub use api::{KongApi, KongTarget};
pub use backend::HttpBackend;
pub use desk::KongDesk;
pub use double::{KongArguments, KongFault, KongTraffic, serve_kong};

/// The token of a double that asks for one.
pub const KONG_TOKEN: &str = "kong-token-5d0c1f7e";

/// A program to be started in the double's place, with the double's options: what starts a real Kong behind a door for tests.
const REAL: &str = "CAUSEWAY_TEST_REAL_KONG";

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
pub struct KongSetup {
    /// Ask for [`KONG_TOKEN`] in `Kong-Admin-Token`.
    pub token: bool,
    /// Take the token from `authorization`, too, as it is.
    pub authorization: bool,
    /// The Admin API over TLS as well, on [`Kong::tls_addr`].
    pub tls: bool,
    /// Run without a database.
    pub dbless: bool,
    /// Without a database: what is read at the start, and at [`Kong::reload`].
    pub declarative: Option<PathBuf>,
    /// Workspaces besides `default`.
    pub workspaces: Vec<String>,
    /// A free one when absent.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
    /// More options of `causeway-testbed double kong`, such as `--latency`, `17`.
    pub more: Vec<String>,
}

/// A process with ports and data of its own. Dropping it kills the process and removes the data.
#[derive(Debug)]
pub struct Kong {
    setup: KongSetup,
    ports: Ports,
    /// Before the folder: it ends before its data goes.
    process: Process,
    folder: Folder,
}

impl Kong {
    /// Starts one and returns when it serves.
    pub async fn start(setup: KongSetup) -> Result<Self> {
        let ports = setup.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-kong-", setup.data.as_deref())?;
        let process = Process::new(folder.path().join("start.log"));
        let server = Self { setup, ports, process, folder };
        server.start_again().await?;
        Ok(server)
    }

    /// The Admin API: `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// The Admin API over TLS.
    pub fn tls_addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main + 1_001)
    }

    /// The proxy: `127.0.0.1:port`.
    pub fn proxy_addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main + 1_000)
    }

    fn desk_addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.console())
    }

    /// The certificate of the authority that signed the server's (with `tls`), PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.folder.path())
    }

    /// Its Admin API, as one who may do everything.
    pub fn api(&self) -> Result<KongApi> {
        KongApi::connect(&format!("http://{}", self.addr()), self.setup.token.then_some(KONG_TOKEN))
    }

    /// What it was asked for, and the faults that it is to have.
    pub fn desk(&self) -> Result<KongDesk> {
        KongDesk::connect(&format!("http://{}", self.desk_addr()))
    }

    /// Holds its data and its output (`start.log`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// A crash: the process is gone when this returns.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGTERM, and kill -9 after 5 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// Starts it on the same ports, with the same database where it has one; it serves when this returns.
    pub async fn start_again(&self) -> Result<()> {
        self.process.start(&self.command()?)?;
        self.ready().await
    }

    /// SIGSTOP: the Admin API and the proxy accept connections (the kernel does) and never answer. A hung Admin API beside a
    /// proxy that works is [`KongDesk::hang`].
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// SIGHUP: it reads its declarative configuration again.
    pub fn reload(&self) -> Result<()> {
        self.process.hang_up()
    }

    fn command(&self) -> Result<Command> {
        let program = match std::env::var_os(REAL).filter(|path| !path.is_empty()) {
            Some(path) => path.into(),
            None => own_program()?,
        };
        let mut command = Command::new(program);
        command.current_dir(self.folder()).args(["double", "kong"]);
        for (flag, value) in [("--admin", self.addr()), ("--proxy", self.proxy_addr()), ("--control", self.desk_addr())]
        {
            command.args([flag, &value]);
        }
        command.arg("--data").arg(self.folder().join("data"));
        if self.setup.token {
            command.args(["--token", KONG_TOKEN]);
        }
        for (on, flag) in [(self.setup.authorization, "--authorization"), (self.setup.dbless, "--dbless")] {
            if on {
                command.arg(flag);
            }
        }
        if let Some(file) = &self.setup.declarative {
            command.arg("--declarative").arg(file);
        }
        for name in &self.setup.workspaces {
            command.args(["--workspace", name]);
        }
        if self.setup.tls {
            let (certificate, key) = tls::certificate(self.folder())?;
            command.args(["--admin-tls", &self.tls_addr()]).arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        command.args(&self.setup.more);
        Ok(command)
    }

    async fn ready(&self) -> Result<()> {
        let api = self.api()?;
        let end = Instant::now() + START;
        while !api.is_ready().await {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!(
                    "the double of Kong is not ready after {START:?}; its last words:\n{}",
                    self.process.last_words()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
