//! A real Kubernetes API server, with an etcd for its data. No controllers run: a namespace gets no service account, and what is deleted
//! in the background stays.

mod api;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rcgen::KeyPair;
use tokio::time::sleep;

use crate::etcd::{Etcd, EtcdSetup};
use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::{recipe, tls};

pub use api::{KubeApi, KubeReply};

/// The token that may do everything.
pub const KUBE_TOKEN: &str = "admin-token";
/// The token of one who may do nothing.
pub const KUBE_NOBODY: &str = "nobody-token";

const RECIPE: &str = "kube/v1.34";
/// A start takes 4 s on two idle cores.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Default)]
pub struct KubeSetup {
    /// A free one when absent.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
}

/// A server process with ports and data of its own. Dropping it kills the process and its etcd, and removes the data.
#[derive(Debug)]
pub struct Kube {
    ports: Ports,
    /// Before its etcd and the folder: it ends before its data goes.
    process: Process,
    etcd: Etcd,
    folder: Folder,
}

impl Kube {
    /// Starts a server and returns when it serves.
    pub async fn start(setup: KubeSetup) -> Result<Self> {
        let ports = setup.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-kube-", setup.data.as_deref())?;
        let etcd = EtcdSetup { data: Some(folder.path().join("etcd")), ..EtcdSetup::default() };
        let etcd = Etcd::start(etcd).await?;
        let process = Process::new(folder.path().join("start.log"));
        let server = Self { ports, process, etcd, folder };
        server.start_again().await?;
        Ok(server)
    }

    /// `127.0.0.1:port`. It speaks HTTPS, with a certificate for 127.0.0.1 and localhost from [`Self::ca_file`].
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.main)
    }

    /// The certificate of the authority that signed the server's, PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.folder.path())
    }

    /// Its REST interface, as one who may do everything.
    pub fn api(&self) -> Result<KubeApi> {
        self.api_as(KUBE_TOKEN)
    }

    /// Its REST interface, as the one with this token.
    pub fn api_as(&self, token: &str) -> Result<KubeApi> {
        KubeApi::connect(&format!("https://{}", self.addr()), &self.ca_file(), token)
    }

    /// Where it keeps its data.
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// Holds the server's settings, its data and its output (`start.log`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// A crash of the API server; its etcd goes on. The process is gone when this returns.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGTERM, and kill -9 after 30 s. Its etcd goes on.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// Starts it on the same port with the same data; it serves when this returns.
    pub async fn start_again(&self) -> Result<()> {
        let program = recipe::program(RECIPE).await?;
        self.process.start(&self.command(&program)?)?;
        self.ready().await
    }

    /// SIGSTOP: it accepts connections (the kernel does) and never answers.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    fn command(&self, program: &Path) -> Result<Command> {
        let folder = self.folder();
        let (certificate, key) = tls::certificate(folder)?;
        let (signs, public) = account_key(folder)?;
        let tokens = folder.join("tokens.csv");
        std::fs::write(&tokens, format!("{KUBE_TOKEN},admin,admin,\"system:masters\"\n{KUBE_NOBODY},nobody,nobody\n"))?;
        let mut command = Command::new(program);
        command.current_dir(folder);
        for (flag, file) in [
            ("--tls-cert-file", &certificate),
            ("--tls-private-key-file", &key),
            ("--client-ca-file", &self.ca_file()),
            ("--service-account-signing-key-file", &signs),
            ("--service-account-key-file", &public),
            ("--token-auth-file", &tokens),
        ] {
            command.arg(flag).arg(file);
        }
        for (flag, value) in [
            ("--etcd-servers", self.etcd.url().as_str()),
            ("--secure-port", &self.ports.main.to_string()),
            ("--bind-address", "127.0.0.1"),
            ("--advertise-address", "127.0.0.1"),
            ("--external-hostname", "localhost"),
            ("--service-account-issuer", "https://kubernetes.default.svc"),
            ("--service-cluster-ip-range", "10.0.0.0/24"),
            ("--authorization-mode", "RBAC"),
            ("--disable-admission-plugins", "ServiceAccount"),
            ("--endpoint-reconciler-type", "none"),
            ("--v", "0"),
        ] {
            command.arg(flag).arg(value);
        }
        command.args(["--enable-priority-and-fairness=false", "--profiling=false"]);
        Ok(command)
    }

    async fn ready(&self) -> Result<()> {
        let api = self.api()?;
        let end = Instant::now() + START;
        while !api.is_ready().await {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!("the API server is not ready after {START:?}; its last words:\n{}", self.process.last_words());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

/// The files of the key that signs tokens of service accounts, and of its public half, PEM.
fn account_key(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let (private, public) = (folder.join("accounts.key"), folder.join("accounts.pub"));
    if !public.exists() {
        let pair = KeyPair::generate()?;
        std::fs::write(&private, pair.serialize_pem())?;
        std::fs::write(&public, pair.public_key_pem())?;
    }
    Ok((private, public))
}
