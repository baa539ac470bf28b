//! A real Eureka server.

mod api;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::recipe::Recipe;
use crate::tls;

pub use api::{EurekaApi, EurekaStatus};

/// The user of a server with `auth`, and the password, which has to be encoded where it stands in a URL.
pub const EUREKA_LOGIN: (&str, &str) = ("causeway", "p@ss:w/d");

/// A start takes 5 s on two idle cores; this is for busy ones.
const START: Duration = Duration::from_secs(180);
const STOP: Duration = Duration::from_secs(20);

/// Small, and C1 only: a server lives for minutes, and tests share two cores.
const JAVA: [&str; 5] = ["-Xms32m", "-Xmx384m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

#[derive(Debug, Clone, Default)]
pub struct EurekaOptions {
    /// Asks for [`EUREKA_LOGIN`].
    pub auth: bool,
    /// TLS instead of plain HTTP, with a certificate for 127.0.0.1 and localhost from [`Eureka::ca_file`].
    pub tls: bool,
    /// A free one when absent.
    pub port: Option<u16>,
    /// More of Spring's settings, such as `("eureka.server.use-read-only-response-cache", "true")`; they win over ours, which
    /// show changes at once and do not preserve what has expired.
    pub settings: Vec<(String, String)>,
}

/// A server process with a port of its own; it keeps nothing on the disk. Dropping it kills the process.
#[derive(Debug)]
pub struct Eureka {
    options: EurekaOptions,
    ports: Ports,
    process: Process,
    folder: Folder,
}

impl Eureka {
    /// Starts a server and returns when it serves.
    pub async fn start(options: EurekaOptions) -> Result<Self> {
        let ports = options.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-eureka-", None)?;
        let process = Process::new(folder.path().join("start.log"));
        let server = Self { options, ports, process, folder };
        server.start_again().await?;
        Ok(server)
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// Where its API begins.
    pub fn base(&self) -> String {
        format!("{}://{}/eureka", if self.options.tls { "https" } else { "http" }, self.addr())
    }

    /// The certificate of the authority that signed the server's (with `tls`), PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.folder.path())
    }

    /// Holds its output (`start.log`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its API, with all rights.
    pub fn api(&self) -> Result<EurekaApi> {
        EurekaApi::new(
            &self.base(),
            self.options.auth.then_some(EUREKA_LOGIN),
            &self.options.tls.then(|| self.ca_file()),
        )
    }

    /// `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// A crash.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGTERM, and kill -9 after 20 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// SIGSTOP: it accepts connections (the kernel does) and never answers.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// Starts it on the same port, with nothing registered; it serves when this returns.
    pub async fn start_again(&self) -> Result<()> {
        let recipe = Recipe::build("java/eureka").await?;
        self.process.start(&self.command(&recipe)?)?;
        let (api, end) = (self.api()?, Instant::now() + START);
        while api.all().await.is_err() {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!("Eureka not ready after {START:?}; its last words:\n{}", self.process.last_words());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn command(&self, recipe: &Recipe) -> Result<Command> {
        let mut java = Command::new("java");
        java.current_dir(self.folder.path()).args(JAVA);
        java.args(["-cp", &recipe.class_path, "causeway.testbed.EurekaServer"]);
        java.arg(format!("--server.port={}", self.ports.main));
        if self.options.auth {
            let (user, password) = EUREKA_LOGIN;
            java.arg("--testbed.auth=true").arg(format!("--spring.security.user.name={user}"));
            java.arg(format!("--spring.security.user.password={password}"));
        }
        if self.options.tls {
            let (certificate, key) = tls::certificate(self.folder.path())?;
            java.arg(format!("--server.ssl.certificate={}", certificate.display()));
            java.arg(format!("--server.ssl.certificate-private-key={}", key.display()));
        }
        java.args(self.options.settings.iter().map(|(key, value)| format!("--{key}={value}")));
        Ok(java)
    }
}
