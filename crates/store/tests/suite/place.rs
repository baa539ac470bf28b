//! A database of a test's own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use causeway_store::{Database, MySqlSettings, Store};
use causeway_testbed::{MariaDb, MariaDbSetup};
use tempfile::TempDir;
use tokio::sync::OnceCell;

static SERVER: OnceCell<MariaDb> = OnceCell::const_new();
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// All that an account needs.
pub const ALL: &str = "ALL";
/// What it needs once the tables stand.
pub const ROWS: &str = "SELECT, INSERT, UPDATE, DELETE";

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Sqlite,
    MySql,
}

/// A database, and the folders of the nodes that use it.
pub struct Place {
    pub database: Database,
    kind: Kind,
    folder: TempDir,
}

/// The server that these tests share. Its defaults are as unlike a good client's as they can be.
pub async fn server() -> Result<&'static MariaDb> {
    let settings =
        ["autocommit=0", "sql_mode=ANSI", "transaction-isolation=SERIALIZABLE", "innodb_lock_wait_timeout=50"];
    let settings = settings.map(str::to_owned).to_vec();
    SERVER.get_or_try_init(|| MariaDb::start(MariaDbSetup { settings, tls: true, ..MariaDbSetup::default() })).await
}

pub async fn stop_server() {
    if let Some(server) = SERVER.get() {
        drop(server.stop().await);
    }
}

/// A name that no other test has.
pub fn new_name() -> String {
    format!("d{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The database `name` at some servers (`host:port`, with commas), as the account of the same name.
pub fn at(servers: &str, name: &str) -> MySqlSettings {
    with(servers, name, name, "?useSSL=false")
}

/// The same with a password and parameters.
pub fn with(servers: &str, name: &str, password: &str, parameters: &str) -> MySqlSettings {
    MySqlSettings::parse(&format!("jdbc:mysql://{servers}/{name}{parameters}"), name, password.into()).unwrap()
}

impl Place {
    pub async fn new(kind: Kind) -> Result<Self> {
        let database = match kind {
            Kind::Sqlite => Database::File,
            Kind::MySql => {
                let (server, name) = (server().await?, new_name());
                server.make_database(&name, &name, ALL)?;
                Database::MySql(Box::new(at(&server.addr(), &name)))
            }
        };
        Ok(Self { database, kind, folder: tempfile::tempdir()? })
    }

    /// One at servers of the test's own.
    pub fn of(settings: MySqlSettings) -> Result<Self> {
        let database = Database::MySql(Box::new(settings));
        Ok(Self { database, kind: Kind::MySql, folder: tempfile::tempdir()? })
    }

    /// Opens it as the node whose data folder is the first one.
    pub async fn open(&self) -> Store {
        self.try_open(0).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it as one of several nodes; of a file there is only one.
    pub async fn try_open(&self, node: usize) -> Result<Store, causeway_store::Error> {
        let node = if self.kind == Kind::Sqlite { 0 } else { node };
        Store::open_at_with(&self.data_folder(node), &self.database, None).await
    }

    pub fn data_folder(&self, node: usize) -> PathBuf {
        self.folder.path().join(node.to_string())
    }
}
