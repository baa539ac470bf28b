//! Keeps one connection of a session alive: fail-over, health, planned moves, back-off.

use std::sync::Arc;
use std::time::Duration;

use causeway_core::contain;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::core::Core;
use super::error::{Error, Result};
use super::grpc::{Connection, Plan};
use super::pump::{Leave, OnPush};
use crate::SocketKeeper;
use crate::util::backoff::Backoff;

/// First and longest wait between two tries.
pub(super) const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often a connection that lives is looked at for what it lacks.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Longest time that a connection which is to be left is kept for the sake of a new one.
const OLD_AT_MOST: Duration = Duration::from_secs(30);

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first try, or the first after a connection was lost.
    Connecting,
    /// Connected; what was asked for before is being sent again.
    Replaying,
    /// Connected, and the server has all that was asked for.
    Ready,
    /// No server could be reached; tried again with back-off.
    Down,
    /// Closed by its owner.
    Closed,
}

/// What is known of a session's connection.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// The server's name for the connection, while there is one.
    pub connection_id: Option<String>,
    /// The server it goes to.
    pub server: Option<Address>,
    /// Grows with every new connection; 0 before the first.
    pub generation: u64,
    /// Why the last connection or try failed.
    pub error: Option<Error>,
}

/// A usable connection.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) generation: u64,
    pub(super) connection: Arc<Connection>,
}

/// What a session does with its connections.
pub(super) trait Session: Send + Sync + 'static {
    /// Brings a connection to what is desired; ends when that is done.
    fn replay<'a>(&'a self, live: &'a Live) -> BoxFuture<'a, ()>;
    /// Whether the connection lacks something of what is desired.
    fn is_behind(&self) -> bool;
}

/// The owner's end. Dropping it stops the tasks but leaves kept sockets to their keeper.
pub(super) struct Link {
    status: watch::Receiver<Status>,
    live: watch::Receiver<Option<Live>>,
    close: CancellationToken,
    abandon: CancellationToken,
    tasks: TaskTracker,
    patience: Duration,
}

impl Link {
    /// Starts connecting. `name` begins the keeper's tags, `first` is the index of the address that is tried first.
    pub(super) fn start(
        core: Arc<Core>,
        session: Arc<dyn Session>,
        on_push: OnPush,
        keeper: Option<Arc<dyn SocketKeeper>>,
        name: &str,
        first: usize,
    ) -> Link {
        let (status, status_rx) = watch::channel(Status {
            phase: Phase::Connecting,
            connection_id: None,
            server: None,
            generation: 0,
            error: None,
        });
        let (live, live_rx) = watch::channel(None);
        let close = CancellationToken::new();
        let abandon = CancellationToken::new();
        let tasks = TaskTracker::new();
        let patience = core.options.connect_timeout + core.options.request_timeout;
        let supervisor = Supervisor {
            next: first,
            core,
            session,
            on_push,
            keeper,
            name: name.to_owned(),
            status,
            live,
            close: close.clone(),
            generation: 0,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            old: None,
            abandon: abandon.clone(),
            tasks: tasks.clone(),
        };
        let abandoned = abandon.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = abandoned.cancelled() => {}
                () = supervisor.run() => {}
            }
        });
        tasks.close();
        Link { status: status_rx, live: live_rx, close, abandon, tasks, patience }
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The connection to use. Waits while a first try is under way, not while all servers are
    /// known to be away.
    pub(super) async fn live(&self) -> Result<Live> {
        let mut status = self.status.clone();
        let wait = async {
            loop {
                if let Some(live) = self.live.borrow().clone()
                    && !live.connection.has_ended()
                {
                    return Ok(live);
                }
                let (phase, error) = {
                    let now = status.borrow_and_update();
                    (now.phase, now.error.clone())
                };
                match phase {
                    Phase::Down => return Err(error.unwrap_or_else(away)),
                    Phase::Closed => return Err(Error::Unavailable("session closed".into())),
                    _ => {}
                }
                if status.changed().await.is_err() {
                    return Err(Error::Unavailable("session closed".into()));
                }
            }
        };
        timeout(self.patience, wait).await.unwrap_or_else(|_| Err(away()))
    }

    /// The generation of the present connection, if any.
    pub(super) fn generation(&self) -> Option<u64> {
        self.live.borrow().as_ref().map(|live| live.generation)
    }

    /// Ends the connection for the server too, and waits for all tasks.
    pub(super) async fn close(&self) {
        self.close.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.abandon.cancel();
    }
}

fn away() -> Error {
    Error::Unavailable("no server of the cluster can be reached".into())
}

/// Why a connection is not held any longer.
enum Why {
    Ended,
    Silent,
    Told(Leave),
}

struct Supervisor {
    core: Arc<Core>,
    session: Arc<dyn Session>,
    on_push: OnPush,
    keeper: Option<Arc<dyn SocketKeeper>>,
    name: String,
    status: watch::Sender<Status>,
    live: watch::Sender<Option<Live>>,
    close: CancellationToken,
    generation: u64,
    backoff: Backoff,
    /// Index of the address to try next.
    next: usize,
    /// Tells that the successor of a connection which is to be left has all.
    old: Option<CancellationToken>,
    abandon: CancellationToken,
    tasks: TaskTracker,
}

impl Supervisor {
    async fn run(mut self) {
        let close = self.close.clone();
        tokio::select! {
            () = close.cancelled() => {}
            () = self.supervise() => {}
        }
        if let Some(last) = self.live.send_replace(None) {
            last.connection.close().await;
        }
        self.tell(Phase::Closed, None, None);
    }

    /// Connects anew after a panic.
    async fn supervise(&mut self) {
        while let Err(panic) = contain(self.stay_connected()).await {
            let why = format!("{} failed because of a bug in Causeway and connects again: {panic}", self.name);
            tracing::error!("{why}");
            if let Some(last) = self.live.send_replace(None) {
                last.connection.close().await;
            }
            self.tell(Phase::Down, None, Some(Error::Unavailable(why)));
            sleep(self.backoff.next()).await;
        }
    }

    async fn stay_connected(&mut self) {
        loop {
            match self.connect().await {
                Ok(connection) => self.hold(connection).await,
                Err(error) => {
                    tracing::info!(session = %self.name, %error, "no server can be reached");
                    self.tell(Phase::Down, None, Some(error));
                    sleep(self.backoff.next()).await;
                }
            }
        }
    }

    /// Tries every address once.
    async fn connect(&mut self) -> Result<Arc<Connection>> {
        let options = &self.core.options;
        // A login and three requests at the very most.
        let limit = options.connect_timeout + options.request_timeout * 3;
        let mut last = away();
        for _ in 0..options.addresses.len() {
            let address = &options.addresses[self.next % options.addresses.len()];
            let tag = format!("{}/{}", self.name, uuid::Uuid::new_v4().simple());
            let plan = Plan {
                core: &self.core,
                address,
                on_push: Arc::clone(&self.on_push),
                keeper: self.keeper.as_ref(),
                tag,
            };
            match timeout(limit, Connection::open(plan)).await {
                Ok(Ok(connection)) => return Ok(connection),
                // Tell of a refusal rather than of a server that is away.
                Ok(Err(error)) if !matches!(last, Error::Denied(_)) => last = error,
                Ok(Err(_)) => {}
                Err(_) if !matches!(last, Error::Denied(_)) => {
                    last = Error::Unavailable(format!("{address}: not set up in time"));
                }
                Err(_) => {}
            }
            self.next = self.next.wrapping_add(1);
        }
        Err(last)
    }

    /// Uses `connection` until it ends or is to be left.
    async fn hold(&mut self, connection: Arc<Connection>) {
        self.generation += 1;
        let live = Live { generation: self.generation, connection: Arc::clone(&connection) };
        self.live.send_replace(Some(live.clone()));
        self.tell(Phase::Replaying, Some(&connection), None);
        tracing::info!(session = %self.name, server = %connection.server,
            id = %connection.id, "connected");
        let session = Arc::clone(&self.session);
        let why = {
            let watching = watch_over(&connection, self.core.options.health_every);
            tokio::pin!(watching);
            let first = tokio::select! {
                why = &mut watching => Some(why),
                () = session.replay(&live) => None,
            };
            match first {
                Some(why) => why,
                None => {
                    self.backoff.reset();
                    self.tell(Phase::Ready, Some(&connection), None);
                    if let Some(old) = self.old.take() {
                        old.cancel();
                    }
                    // What failed while the connection lives is sent again too.
                    let catching_up = async {
                        loop {
                            sleep(CATCH_UP).await;
                            if session.is_behind() {
                                session.replay(&live).await;
                            }
                        }
                    };
                    tokio::select! {
                        why = watching => why,
                        () = catching_up => Why::Ended,
                    }
                }
            }
        };
        self.part(connection, why).await;
    }

    /// Leaves `connection`, at once or when its successor is there.
    async fn part(&mut self, connection: Arc<Connection>, why: Why) {
        self.next = self.next.wrapping_add(1);
        let (error, keep, usable) = match why {
            Why::Ended => (format!("{}: connection lost", connection.server), false, false),
            Why::Silent => (format!("{}: does not answer", connection.server), true, false),
            Why::Told(Leave::Unregistered) => {
                (format!("{}: does not know the connection", connection.server), false, false)
            }
            Why::Told(Leave::Reset(hint)) => {
                self.follow(hint.as_ref());
                (format!("{}: sends us away", connection.server), true, true)
            }
        };
        tracing::info!(session = %self.name, error, "reconnecting");
        if !usable {
            self.live.send_replace(None);
        }
        self.tell(Phase::Connecting, None, Some(Error::Unavailable(error)));
        // With a predecessor still there, this connection never got to hold everything.
        if !keep || self.old.as_ref().is_some_and(|old| !old.is_cancelled()) {
            connection.close().await;
        } else {
            self.retire(connection);
        }
    }

    /// The server may still show what this connection publishes. So it ends when the next one
    /// has published the same, and nobody sees a gap.
    fn retire(&mut self, connection: Arc<Connection>) {
        let succeeded = CancellationToken::new();
        self.old = Some(succeeded.clone());
        let overlap = self.core.options.overlap;
        let (close, abandon) = (self.close.clone(), self.abandon.clone());
        self.tasks.spawn(async move {
            let replaced = async {
                succeeded.cancelled().await;
                sleep(overlap).await;
            };
            tokio::select! {
                () = abandon.cancelled() => return,
                () = close.cancelled() => {}
                () = connection.ended() => {}
                () = sleep(OLD_AT_MOST) => {}
                () = replaced => {}
            }
            succeeded.cancel();
            connection.close().await;
        });
    }

    /// Tries the server that was named first, if it is one of ours.
    fn follow(&mut self, hint: Option<&(String, String)>) {
        let addresses = &self.core.options.addresses;
        let named =
            hint.and_then(|(ip, port)| addresses.iter().position(|a| a.host == *ip && a.port.to_string() == *port));
        if let Some(index) = named {
            self.next = index;
        }
    }

    fn tell(&self, phase: Phase, connection: Option<&Arc<Connection>>, error: Option<Error>) {
        self.status.send_replace(Status {
            phase,
            connection_id: connection.map(|c| c.id.clone()),
            server: connection.map(|c| c.server.clone()),
            generation: self.generation,
            error,
        });
    }
}

/// Waits for the end of `connection`, or for a reason to leave it. A server that accepts and
/// never answers is noticed within 1.8 × `every`.
async fn watch_over(connection: &Connection, every: Duration) -> Why {
    let limit = every.mul_f64(0.4);
    loop {
        let nudged = tokio::select! {
            () = connection.ended() => return Why::Ended,
            () = connection.nudged() => true,
            () = sleep(every.saturating_sub(connection.silence())) => false,
        };
        if let Some(leave) = connection.leaving() {
            return Why::Told(leave);
        }
        if !nudged && connection.silence() < every {
            continue;
        }
        let mut alive = false;
        for _ in 0..2 {
            alive = connection.is_healthy(limit).await || connection.silence() < limit;
            if alive {
                break;
            }
        }
        if connection.has_ended() {
            return Why::Ended;
        }
        if let Some(leave) = connection.leaving() {
            return Why::Told(leave);
        }
        if !alive {
            return Why::Silent;
        }
    }
}
