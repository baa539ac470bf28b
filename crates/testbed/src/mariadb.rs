//! A real MariaDB server: Debian's, with a folder, a port and settings of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::time::sleep;

use crate::ports::Ports;
use crate::process::{Folder, Process};
use crate::{host, tls};

/// The account that may do everything. It has no password.
pub const MARIADB_ROOT: &str = "root";

/// A start takes half a second on two idle cores, the first one 3 s more.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Default)]
pub struct MariaDbSetup {
    /// Offer TLS, with a certificate for 127.0.0.1 and localhost from [`MariaDb::ca_file`].
    pub tls: bool,
    /// Further lines of its settings, such as `read_only=ON`.
    pub settings: Vec<String>,
    /// A free one when absent.
    pub port: Option<u16>,
    /// A temporary folder when absent; a given one is left behind.
    pub data: Option<PathBuf>,
}

/// A server process with a port and data of its own. Started by root it runs as the package's own user. Dropping it kills the process and
/// removes the data.
#[derive(Debug)]
pub struct MariaDb {
    ports: Ports,
    /// Before the folder: it ends before its data goes.
    process: Process,
    folder: Folder,
}

impl MariaDb {
    /// Starts a server and returns when it serves.
    pub async fn start(setup: MariaDbSetup) -> Result<Self> {
        let ports = setup.port.map_or_else(Ports::pick, Ports::fixed)?;
        let folder = Folder::new("causeway-mariadb-", setup.data.as_deref())?;
        // The server has another user, and its socket's path must be short.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711))?;
        let process = Process::new(folder.path().join("start.log"));
        let server = Self { ports, process, folder };
        server.write_settings(&setup)?;
        if !server.data().join("mysql").exists() {
            server.install()?;
        }
        server.start_again().await?;
        Ok(server)
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.ports.main
    }

    /// The certificate of the authority that signed the server's (with `tls`), PEM.
    pub fn ca_file(&self) -> PathBuf {
        tls::authority(self.folder.path())
    }

    /// Holds the server's data and its output (`start.log`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a database, and an account with these rights in it whose password is its name.
    pub fn make_database(&self, name: &str, account: &str, rights: &str) -> Result<()> {
        self.sql(&format!("CREATE DATABASE IF NOT EXISTS `{name}`"))?;
        self.make_account(name, account, rights)
    }

    /// An account with these rights in a database; its password is its name.
    pub fn make_account(&self, database: &str, account: &str, rights: &str) -> Result<()> {
        self.sql(&format!("CREATE USER IF NOT EXISTS '{account}'@'%' IDENTIFIED BY '{account}'"))?;
        self.sql(&format!("GRANT {rights} ON `{database}`.* TO '{account}'@'%'"))?;
        Ok(())
    }

    /// Runs statements as the one who may do everything. Returns the rows, columns with tabs between them.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=socket", "-u", MARIADB_ROOT]);
        command.arg("--socket").arg(self.socket()).arg("-e").arg(statements).stdin(Stdio::null());
        let out = command.output().context("mariadb, the client")?;
        ensure!(out.status.success(), "{statements}: {}", String::from_utf8_lossy(&out.stderr).trim());
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// A crash: the process is gone when this returns.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGTERM, and kill -9 after 30 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await
    }

    /// Starts it on the same port with the same data; it serves when this returns.
    pub async fn start_again(&self) -> Result<()> {
        let mut command = Command::new(host::mariadb_server());
        command.arg(self.defaults()).args(user()).current_dir(self.folder());
        self.process.start(&command)?;
        let end = Instant::now() + START;
        while self.sql("SELECT 1").is_err() {
            self.process.check()?;
            if Instant::now() > end {
                self.kill9()?;
                bail!("MariaDB not ready after {START:?}; its last words:\n{}", self.process.last_words());
            }
            sleep(Duration::from_millis(100)).await;
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

    fn socket(&self) -> PathBuf {
        self.data().join("socket")
    }

    fn defaults(&self) -> String {
        format!("--defaults-file={}", self.folder().join("my.cnf").display())
    }

    fn write_settings(&self, setup: &MariaDbSetup) -> Result<()> {
        let mut lines = vec![
            "[mysqld]".to_owned(),
            format!("datadir={}", self.data().display()),
            format!("socket={}", self.socket().display()),
            format!("pid-file={}", self.data().join("pid").display()),
            format!("port={}", self.port()),
            "bind-address=127.0.0.1".to_owned(),
            "skip-name-resolve".to_owned(),
            // As many servers have it.
            "max_allowed_packet=4M".to_owned(),
            "character-set-server=latin1".to_owned(),
            // Small; a crash of the machine loses a second, one of the server nothing.
            "innodb_log_file_size=16M".to_owned(),
            "innodb_buffer_pool_size=32M".to_owned(),
            "innodb_flush_log_at_trx_commit=2".to_owned(),
            "performance_schema=OFF".to_owned(),
        ];
        if setup.tls {
            let (certificate, key) = tls::certificate(self.folder())?;
            lines.push(format!("ssl-ca={}", self.ca_file().display()));
            lines.push(format!("ssl-cert={}", certificate.display()));
            lines.push(format!("ssl-key={}", key.display()));
        }
        lines.extend(setup.settings.iter().cloned());
        std::fs::write(self.folder().join("my.cnf"), lines.join("\n") + "\n")?;
        Ok(())
    }

    fn install(&self) -> Result<()> {
        let mut command = Command::new("mariadb-install-db");
        command.arg(self.defaults()).args(user()).args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        let out = command.stdin(Stdio::null()).output().context("mariadb-install-db")?;
        ensure!(out.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&out.stderr));
        Ok(())
    }
}

/// The server refuses to be root.
fn user() -> Option<&'static str> {
    rustix::process::getuid().is_root().then_some("--user=mysql")
}
