//! Connections to the first of several servers that answers and writes.
//!
//! The library's own pool knows one server, and waits for one that refuses; here the next one is tried at once. A connection comes back
//! only by [`Borrowed::give_back`]: one that was dropped in the middle of something is closed, which ends its transaction.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::fault::{self, Fault};
use super::url::MySqlSettings;
use crate::Error;

/// How many there are at most.
const COUNT: usize = 8;
/// One that was used so recently is taken as it is; any other is asked first.
const FRESH: Duration = Duration::from_secs(1);
const PING: Duration = Duration::from_secs(2);
/// One that waits for longer is not used any more: the server is about to close it.
const IDLE: Duration = Duration::from_secs(10);
/// How long a caller waits for others to give one back.
const WAIT: Duration = Duration::from_secs(10);
const CLOSE: Duration = Duration::from_secs(1);
/// What all statements rely on, whatever the server's defaults: no gap locks, errors in place of cut texts, short waits for locks.
const SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
const MODE: &str = "SET SESSION autocommit = 1, sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'";
/// A node that is frozen in the middle of a transaction holds its locks no longer than this.
const QUIET: &str = "SET SESSION wait_timeout = 15";
const LOCK_WAIT: &str = "SET SESSION innodb_lock_wait_timeout = 5";
/// Galera: what another server has committed is read here, too.
const CAUSAL: &str = "SET SESSION wsrep_sync_wait = 1";

pub(crate) struct Connections {
    servers: Vec<Server>,
    limit: Duration,
    permits: Semaphore,
    state: Mutex<State>,
}

struct Server {
    name: String,
    options: MySqlConnectOptions,
    /// Without the database.
    bare: MySqlConnectOptions,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    /// The server that was used last.
    current: usize,
    /// Grows when no connection of before is to be used any more.
    era: u64,
}

struct Idle {
    live: MySqlConnection,
    since: Instant,
    era: u64,
}

/// A connection in use.
pub(crate) struct Borrowed<'a> {
    live: MySqlConnection,
    era: u64,
    home: &'a Connections,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    /// Connects to nothing yet.
    pub(crate) fn new(settings: &MySqlSettings) -> Result<Self, Error> {
        let base = MySqlConnectOptions::new()
            .username(&settings.user)
            .password(settings.password.expose_secret())
            // Times are numbers, and the mode is set below: what is not set cannot be refused.
            .timezone(None)
            .pipes_as_concat(false)
            .no_engine_substitution(false);
        let base = settings.tls.options(base)?;
        let server = |host: &super::url::Host| {
            let bare = base.clone().host(&host.name).port(host.port);
            Server { name: host.to_string(), options: bare.clone().database(&settings.database), bare }
        };
        let servers = settings.hosts.iter().map(server).collect();
        Ok(Self { servers, limit: settings.connect, permits: Semaphore::new(COUNT), state: Mutex::default() })
    }

    /// One that works, of a server that writes. Fails after some seconds without one: [`Error::Refused`] when a server does not let us in,
    /// [`Error::Away`] as long as it may change by itself.
    pub(crate) async fn take(&self) -> Result<Borrowed<'_>, Error> {
        let permit = match timeout(WAIT, self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(Error::Away("this node is stopping".into())),
            Err(_) => return Err(Error::Slow(WAIT.as_secs())),
        };
        while let Some(mut idle) = self.next_idle() {
            if idle.since.elapsed() < FRESH || matches!(timeout(PING, idle.live.ping()).await, Ok(Ok(()))) {
                return Ok(Borrowed { live: idle.live, era: idle.era, home: self, _permit: permit });
            }
            // The others are of the same server.
            self.forget();
        }
        let era = self.state.lock().era;
        let live = self.connect().await?;
        Ok(Borrowed { live, era, home: self, _permit: permit })
    }

    fn next_idle(&self) -> Option<Idle> {
        let mut state = self.state.lock();
        let era = state.era;
        state.idle.retain(|idle| idle.era == era && idle.since.elapsed() < IDLE);
        state.idle.pop()
    }

    /// Uses no connection of before any more: the server is gone, or writes no more.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        state.era += 1;
        state.idle.clear();
    }

    /// The one that was used last first, then the others in their order.
    async fn connect(&self) -> Result<MySqlConnection, Error> {
        let current = self.state.lock().current;
        let others = (0..self.servers.len()).filter(|n| *n != current);
        let (mut why, mut may_pass, mut is_denied) = (Vec::new(), false, false);
        for n in std::iter::once(current).chain(others) {
            let server = &self.servers[n];
            let failure = match timeout(self.limit, connect(server)).await {
                Ok(Ok(Some(live))) => {
                    if current != n {
                        tracing::warn!(server = %server.name, "another database server is used from now on");
                        self.state.lock().current = n;
                    }
                    return Ok(live);
                }
                Ok(Ok(None)) => (true, "it is read-only".to_owned()),
                Ok(Err(error)) => {
                    is_denied |= fault::is_denied(&error) || fault::is_no_database(&error);
                    (fault::may_pass(&error), refusal(&error))
                }
                Err(_) => (true, format!("no answer within {:.0?}", self.limit)),
            };
            may_pass |= failure.0;
            why.push(format!("{}: {}", server.name, failure.1));
        }
        let why = why.join("; ");
        // They are servers of one database: what one of them does not allow, the others will not either.
        Err(if may_pass && !is_denied { Error::Away(why) } else { Error::Refused(why) })
    }

    /// Makes the database, on the first server that does it.
    pub(super) async fn create_database(&self, name: &str) -> Result<(), Error> {
        let statement = super::schema::create_database(name);
        let mut last = Ok(());
        for server in &self.servers {
            let done = async {
                let mut live = server.bare.connect().await?;
                live.execute(AssertSqlSafe(statement.clone())).await?;
                Ok(())
            };
            last = timeout(self.limit, done).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
            if last.is_ok() {
                break;
            }
        }
        Ok(last?)
    }

    /// Whether the connection in use is encrypted.
    pub(super) async fn is_encrypted(&self) -> Result<bool, Error> {
        let mut db = self.take().await?;
        let row: Option<(String, String)> =
            sqlx::query_as("SHOW STATUS LIKE 'Ssl_cipher'").fetch_optional(&mut *db).await?;
        db.give_back();
        Ok(row.is_some_and(|(_, cipher)| !cipher.is_empty()))
    }

    /// Gives nothing out any more, and says goodbye on the connections that nobody uses.
    pub(crate) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut self.state.lock().idle);
        for idle in idle {
            // The process is about to end: the server sees that, too.
            drop(timeout(CLOSE, idle.live.close()).await);
        }
    }
}

/// `None`: the server writes nothing.
async fn connect(server: &Server) -> Result<Option<MySqlConnection>, sqlx::Error> {
    let mut live = server.options.connect().await?;
    live.execute(SESSION).await?;
    live.execute(MODE).await?;
    for statement in [QUIET, LOCK_WAIT, CAUSAL] {
        match live.execute(statement).await {
            Err(error) if fault::of(&error) != Fault::Other => return Err(error),
            // A proxy or another make of server may not know the variable: it does without.
            _ => {}
        }
    }
    // Aurora's replicas tell it by the second.
    for variable in ["SELECT CAST(@@global.read_only AS CHAR)", "SELECT CAST(@@global.innodb_read_only AS CHAR)"] {
        let told: Result<(String,), _> = sqlx::query_as(variable).fetch_one(&mut live).await;
        match told {
            Ok((word,)) if !matches!(word.as_str(), "0" | "OFF" | "") => return Ok(None),
            Err(error) if fault::of(&error) != Fault::Other => return Err(error),
            _ => {}
        }
    }
    Ok(Some(live))
}

fn refusal(error: &sqlx::Error) -> String {
    match error {
        error if fault::is_tls(error) => format!("TLS: {error} (sslMode in MYSQL_URL says what is checked)"),
        sqlx::Error::Io(error) => error.to_string(),
        error => match fault::words(error) {
            "database" => error.to_string(),
            words => format!("{words}: {error}"),
        },
    }
}

impl Borrowed<'_> {
    /// For the next one. The caller has seen every statement succeed, and no transaction is open.
    pub(crate) fn give_back(self) {
        let Self { live, era, home, .. } = self;
        let mut state = home.state.lock();
        if state.era == era {
            state.idle.push(Idle { live, since: Instant::now(), era });
        }
    }
}

impl Deref for Borrowed<'_> {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.live
    }
}

impl DerefMut for Borrowed<'_> {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.live
    }
}
