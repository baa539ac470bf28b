//! A real etcd server: Debian's.

mod api;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::time::sleep;

use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::tls;

pub use api::EtcdApi;

/// The user that may do everything, and its password, at a server whose [`EtcdApi::ask_for_logins`] was called.
pub const ETCD_ROOT: (&str, &str) = ("root", "root-password");

/// A start takes a second on two idle cores.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Default)]
pub struct EtcdSetup {
    /// TLS, with a certificate for 127.0.0.1 and localhost from [`Etcd::ca_file`], for clients that have one of their own.
    pub tls: bool,
    /// A free one when absent.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
}

/// A server process with ports and data of its own. Dropping it kills the process and removes the data.
#[derive(Debug)]
pub struct Etcd {
    setup: EtcdSetup,
    ports: Ports,
    /// Before the folder: it ends before its data goes.
    process: Process,
    folder: Folder,
}

impl Etcd {
    /// Starts a server and returns when it serves.
    pub async fn start(setup: EtcdSetup) -> Result<Self> {
        let ports = setup.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-etcd-", setup.data.as_deref())?;
        let process = Process::new(folder.path().join("start.log"));
        let server = Self { setup, ports, process, folder };
        server.start_again().await?;
        Ok(server)
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// Where clients connect, such as `http://127.0.0.1:2379`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.addr())
    }

    fn scheme(&self) -> &'static str {
        if self.setup.tls { "https" } else { "http" }
    }

    /// The certificate of the authority that signed the server's (with `tls`), PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.folder.path())
    }

    /// The server's own certificate and key, PEM: a client may show them as well.
    pub fn certificate(&self) -> Result<(PathBuf, PathBuf)> {
        tls::certificate(self.folder.path())
    }

    /// Its JSON interface. After [`EtcdApi::ask_for_logins`] use [`EtcdApi::log_in`].
    pub fn api(&self) -> Result<EtcdApi> {
        match self.setup.tls {
            true => EtcdApi::connect_tls(&self.url(), &self.ca_file(), &self.certificate()?),
            false => EtcdApi::connect(&self.url()),
        }
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

    /// SIGTERM, and kill -9 after 20 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// Starts it on the same port with the same data; it serves when this returns.
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

    /// The Debian package has no other program than `etcd` on the path. It calls nobody.
    fn command(&self) -> Result<Command> {
        let (client, peer) = (self.url(), format!("http://127.0.0.1:{}", self.ports.main + 1_000));
        let mut command = Command::new("etcd");
        command.current_dir(self.folder()).arg("--data-dir").arg(self.data());
        for (flag, value) in [
            ("--name", "testbed"),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
            ("--initial-cluster", &format!("testbed={peer}")),
            ("--log-level", "warn"),
        ] {
            command.arg(flag).arg(value);
        }
        // What a crash of the machine would lose is of no interest.
        command.arg("--unsafe-no-fsync");
        if self.setup.tls {
            let (certificate, key) = self.certificate()?;
            command.arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
            command.arg("--trusted-ca-file").arg(self.ca_file()).arg("--client-cert-auth");
        }
        Ok(command)
    }

    async fn ready(&self) -> Result<()> {
        let api = self.api()?;
        let end = Instant::now() + START;
        while !api.is_ready().await {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!("etcd not ready after {START:?}; its last words:\n{}", self.process.last_words());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}
