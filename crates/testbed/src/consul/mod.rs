//! A real Consul server.

mod api;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::time::sleep;

use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::recipe;
use crate::tls;

pub use api::{ConsulApi, ConsulRow};

/// The token that may do everything, at a server with `acl`.
pub const CONSUL_TOKEN: &str = "5a3c1b1e-0c57-4d3e-9f0e-6d2f6f0e7c11";

const RECIPE: &str = "consul/v1.20";
/// A start takes a second on two idle cores; a vote after a restart some more.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Default)]
pub struct ConsulSetup {
    /// Ask for a token, and deny what nobody was allowed.
    pub acl: bool,
    /// TLS too, on [`Consul::tls_addr`], with a certificate for 127.0.0.1 and localhost from [`Consul::ca_file`], for
    /// clients that have one of their own.
    pub tls: bool,
    /// Keep data over a restart; else it is all in memory.
    pub persists: bool,
    /// Its data centre; `dc1` when absent.
    pub datacenter: Option<String>,
    /// Servers of different data centres that know each other: the [`Consul::wide_addr`] of another one, or empty for the first.
    pub joins: Option<String>,
    /// A free one when absent.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
    /// More lines of settings, in HCL.
    pub settings: String,
}

/// A server process with ports and data of its own. Dropping it kills the process and removes the data.
#[derive(Debug)]
pub struct Consul {
    setup: ConsulSetup,
    ports: Ports,
    /// Before the folder: it ends before its data goes.
    process: Process,
    folder: Folder,
}

impl Consul {
    /// Starts a server and returns when it serves.
    pub async fn start(setup: ConsulSetup) -> Result<Self> {
        let ports = setup.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-consul-", setup.data.as_deref())?;
        let process = Process::new(folder.path().join("start.log"));
        let server = Self { setup, ports, process, folder };
        server.start_again().await?;
        Ok(server)
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// `127.0.0.1:port` of the port with TLS.
    pub fn tls_addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.console())
    }

    /// `127.0.0.1:port` at which servers of other data centres join it (with `joins`).
    pub fn wide_addr(&self) -> String {
        format!("127.0.0.1:{}", self.wide_port())
    }

    fn wide_port(&self) -> u16 {
        self.ports.main + 1_002
    }

    /// The certificate of the authority that signed the server's (with `tls`), PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.folder.path())
    }

    /// The server's own certificate and key, PEM: a client may show them as well.
    pub fn certificate(&self) -> Result<(PathBuf, PathBuf)> {
        tls::certificate(self.folder.path())
    }

    /// Its HTTP interface, as one who may do everything.
    pub fn api(&self) -> Result<ConsulApi> {
        ConsulApi::connect(&format!("http://{}", self.addr()), self.setup.acl.then_some(CONSUL_TOKEN))
    }

    /// Holds the server's settings, its data and its output (`start.log`).
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

    /// Starts it on the same port, with the same data where it persists; it serves when this returns.
    pub async fn start_again(&self) -> Result<()> {
        let program = recipe::program(RECIPE).await?;
        self.process.start(&self.command(&program)?)?;
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

    fn command(&self, program: &Path) -> Result<Command> {
        let file = self.folder().join("agent.hcl");
        std::fs::write(&file, self.settings()?)?;
        let mut command = Command::new(program);
        command.current_dir(self.folder()).arg("agent").arg("-config-file").arg(file);
        match self.setup.persists {
            true => command.args(["-server", "-bootstrap-expect=1", "-data-dir"]).arg(self.data()),
            false => command.arg("-dev"),
        };
        let port = self.ports.main;
        for (flag, value) in [
            ("-http-port", port.to_string()),
            ("-server-port", (port + 1_000).to_string()),
            ("-serf-lan-port", (port + 1_001).to_string()),
            ("-serf-wan-port", self.setup.joins.as_ref().map_or("-1".into(), |_| self.wide_port().to_string())),
            ("-dns-port", "-1".into()),
            ("-grpc-port", "-1".into()),
            ("-grpc-tls-port", "-1".into()),
            ("-https-port", if self.setup.tls { self.ports.console().to_string() } else { "-1".into() }),
            ("-bind", "127.0.0.1".into()),
            ("-client", "127.0.0.1".into()),
            ("-node", "testbed".into()),
            ("-datacenter", self.setup.datacenter.clone().unwrap_or_else(|| "dc1".into())),
            ("-log-level", "warn".into()),
        ] {
            command.arg(flag).arg(value);
        }
        command.arg("-disable-host-node-id");
        Ok(command)
    }

    /// It calls nobody, and many tests may ask it at once.
    fn settings(&self) -> Result<String> {
        let mut text = String::from(
            "disable_update_check = true\ndisable_remote_exec = true\nleave_on_terminate = false\n\
             skip_leave_on_interrupt = true\nperformance { raft_multiplier = 1 }\nconnect { enabled = false }\n\
             limits { http_max_conns_per_client = 10000 }\n",
        );
        if self.setup.acl {
            writeln!(
                text,
                "acl {{\n enabled = true\n default_policy = \"deny\"\n tokens {{\n initial_management = \"{CONSUL_TOKEN}\"\n \
                 agent = \"{CONSUL_TOKEN}\"\n }}\n}}"
            )?;
        }
        if self.setup.tls {
            let (certificate, key) = self.certificate()?;
            writeln!(
                text,
                "tls {{\n https {{\n ca_file = {:?}\n cert_file = {certificate:?}\n key_file = {key:?}\n \
                 verify_incoming = true\n }}\n}}",
                self.ca_file()
            )?;
        }
        if let Some(other) = self.setup.joins.as_ref().filter(|other| !other.is_empty()) {
            writeln!(text, "retry_join_wan = [{other:?}]\nretry_interval_wan = \"1s\"")?;
        }
        text.push_str(&self.setup.settings);
        Ok(text)
    }

    async fn ready(&self) -> Result<()> {
        let api = self.api()?;
        let end = Instant::now() + START;
        while !api.is_ready().await {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!("Consul not ready after {START:?}; its last words:\n{}", self.process.last_words());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}
