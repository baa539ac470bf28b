//! The double as a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::time::sleep;

use super::{PolarisApi, PolarisDoor};
use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::recipe;

/// The administrator's token at a server with `auth`.
pub const POLARIS_TOKEN: &str = "nu0WRA4EqSR1FagrjRj0fZwPXuGlMpXzCuWu4uMqy8xr1vRjisSbA25aAC3mtU8MeeRsKhQiDAynUR09I";

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default)]
pub struct PolarisSetup {
    /// Console calls need [`POLARIS_TOKEN`].
    pub auth: bool,
    /// What clients call needs it, too.
    pub client_auth: bool,
    /// Most records of one write, and most rows of one page; 100 when absent.
    pub limit: Option<usize>,
    /// As with a MySQL store: every instance has a location, an empty one if need be.
    pub always_location: bool,
    /// Lists of the console are up to a second old, as what clients discover is.
    pub stale_lists: bool,
    /// A free one when absent. The gRPC port is the next one, and the tests' own the one after that.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
}

/// A server process with ports and data of its own. Dropping it kills the process and removes the data.
#[derive(Debug)]
pub struct Polaris {
    setup: PolarisSetup,
    ports: Ports,
    /// Before the folder: it ends before its data goes.
    process: Process,
    folder: Folder,
}

impl Polaris {
    /// Starts a server and returns when it serves.
    pub async fn start(setup: PolarisSetup) -> Result<Self> {
        let ports = setup.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-polaris-", setup.data.as_deref())?;
        let process = Process::new(folder.path().join("start.log"));
        let server = Self { setup, ports, process, folder };
        server.start_again().await?;
        Ok(server)
    }

    /// `127.0.0.1:port` of the HTTP port.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// `127.0.0.1:port` of the gRPC port.
    pub fn grpc_addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main + 1)
    }

    /// Both ports, as settings want them: `http://…`, `grpc://…`.
    pub fn addresses(&self) -> [String; 2] {
        [format!("http://{}", self.addr()), format!("grpc://{}", self.grpc_addr())]
    }

    fn control(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main + 2)
    }

    /// Its HTTP interface, as one who may do everything.
    pub fn api(&self) -> Result<PolarisApi> {
        PolarisApi::connect(&self.addr(), self.setup.auth.then_some(POLARIS_TOKEN))
    }

    /// What it was asked, and ways to make it fail.
    pub fn door(&self) -> Result<PolarisDoor> {
        PolarisDoor::connect(&self.control())
    }

    /// Holds the server's data and its output (`start.log`).
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

    /// SIGTERM, and kill -9 after 10 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// Starts it on the same ports with the same data; it serves when this returns.
    pub async fn start_again(&self) -> Result<()> {
        self.process.start(&self.command()?)?;
        self.ready().await
    }

    /// Removes all data of a server that does not run.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.pid().is_none(), "the server at {} still runs", self.addr());
        let data = self.data();
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

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(recipe::own_program()?);
        command.current_dir(self.folder()).args(["double", "polaris"]).arg("--data").arg(self.data());
        for (flag, address) in [("--http", self.addr()), ("--grpc", self.grpc_addr()), ("--control", self.control())] {
            command.arg(flag).arg(address);
        }
        let setup = &self.setup;
        if setup.auth {
            command.arg("--token").arg(POLARIS_TOKEN);
        }
        for (flag, set) in [
            ("--client-auth", setup.client_auth),
            ("--always-location", setup.always_location),
            ("--stale-lists", setup.stale_lists),
        ] {
            command.args(set.then_some(flag));
        }
        if let Some(limit) = setup.limit {
            command.arg("--limit").arg(limit.to_string());
        }
        Ok(command)
    }

    async fn ready(&self) -> Result<()> {
        let door = self.door()?;
        let end = Instant::now() + START;
        while door.counts().await.is_err() {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!(
                    "the double of Polaris is not ready after {START:?}; its last words:\n{}",
                    self.process.last_words()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
