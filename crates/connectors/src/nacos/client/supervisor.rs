//! Keeps one connection of a session alive: fail-over, health, planned moves, back-off.

use std::sync::Arc;
use std::time::Duration;

use causeway_core::contain;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::error::{Error, Result};
use super::grpc::Connection;
use super::link::{Live, Phase, SessionEnd, Status, away};
use super::pump::{LeaveReason, OnPush};
use super::transport::CONNECT;
use super::wish_list::{WishList, WishSender};
use crate::SocketKeeper;
use crate::util::backoff::Backoff;

/// How often a connection that lives is looked at for what it lacks.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Longest time that a connection which is to be left is kept for the sake of a new one.
const OLD_AT_MOST: Duration = Duration::from_secs(30);

/// Why a connection is not held any longer.
enum EndOfHold {
    Ended,
    Silent,
    Told(LeaveReason),
}

pub(super) struct Supervisor<S: WishSender> {
    pub(super) core: Arc<Core>,
    pub(super) wishes: Arc<WishList<S>>,
    pub(super) on_push: OnPush,
    pub(super) keeper: Option<Arc<dyn SocketKeeper>>,
    pub(super) name: String,
    pub(super) status: watch::Sender<Status>,
    pub(super) live: watch::Sender<Option<Live>>,
    pub(super) end: SessionEnd,
    pub(super) generation: u64,
    pub(super) backoff: Backoff,
    /// Index of the address to try next.
    pub(super) next: usize,
    /// Tells that the successor of a connection which is to be left has all.
    pub(super) predecessor: Option<CancellationToken>,
}

impl<S: WishSender> Supervisor<S> {
    /// Runs until the session is closed.
    pub(super) async fn run(mut self) {
        let close = self.end.close.clone();
        close.run_until_cancelled(self.supervise()).await;
        if let Some(last) = self.live.send_replace(None) {
            last.connection.close().await;
        }
        self.tell(Phase::Closed, None, None);
    }

    /// Reconnects after a panic.
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
        let limit = CONNECT + options.request_timeout * 3;
        let mut last = away();
        for _ in 0..options.addresses.len() {
            let address = &options.addresses[self.next % options.addresses.len()];
            let tag = format!("{}/{}", self.name, uuid::Uuid::new_v4().simple());
            let keeper = self.keeper.as_ref().map(|keeper| (keeper, tag));
            let opening = Connection::open(&self.core, address, Arc::clone(&self.on_push), keeper);
            let opened = timeout(limit, opening).await;
            let late = |_| Err(Error::Unavailable(format!("{address}: not set up in time")));
            match opened.unwrap_or_else(late) {
                Ok(connection) => return Ok(connection),
                // A refusal is reported rather than a server that is away.
                Err(_) if matches!(last, Error::Denied(_)) => {}
                Err(error) => last = error,
            }
            self.next = self.next.wrapping_add(1);
        }
        Err(last)
    }

    /// Uses `connection` until it ends or is to be left.
    async fn hold(&mut self, connection: Arc<Connection>) {
        self.generation += 1;
        self.wishes.sender.connected(&connection);
        let live = Live { generation: self.generation, connection: Arc::clone(&connection) };
        self.live.send_replace(Some(live.clone()));
        self.tell(Phase::Replaying, Some(&connection), None);
        tracing::info!(session = %self.name, server = %connection.server,
            id = %connection.id, "connected");
        let wishes = Arc::clone(&self.wishes);
        let watching = watch_over(&connection, self.core.options.health_every);
        let sending = async {
            wishes.replay(&live).await;
            self.backoff.reset();
            self.tell(Phase::Ready, Some(&connection), None);
            if let Some(predecessor) = self.predecessor.take() {
                predecessor.cancel();
            }
            // What failed while the connection lives is sent again too.
            loop {
                sleep(CATCH_UP).await;
                if wishes.is_behind() {
                    wishes.replay(&live).await;
                }
            }
        };
        let why = tokio::select! {
            why = watching => why,
            () = sending => EndOfHold::Ended,
        };
        self.part(connection, why).await;
    }

    /// Leaves `connection`, at once or when its successor is there.
    async fn part(&mut self, connection: Arc<Connection>, why: EndOfHold) {
        self.next = self.next.wrapping_add(1);
        let (error, keep, usable) = match why {
            EndOfHold::Ended => (format!("{}: connection lost", connection.server), false, false),
            EndOfHold::Silent => (format!("{}: does not answer", connection.server), true, false),
            EndOfHold::Told(LeaveReason::Unregistered) => {
                (format!("{}: does not know the connection", connection.server), false, false)
            }
            EndOfHold::Told(LeaveReason::Reset(hint)) => {
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
        if !keep || self.predecessor.as_ref().is_some_and(|predecessor| !predecessor.is_cancelled()) {
            connection.close().await;
        } else {
            self.retire(connection);
        }
    }

    /// The server may still show what this connection publishes. So it ends when the next one
    /// has published the same, and nobody sees a gap.
    fn retire(&mut self, connection: Arc<Connection>) {
        let succeeded = CancellationToken::new();
        self.predecessor = Some(succeeded.clone());
        let overlap = self.core.options.overlap;
        let SessionEnd { close, abandon, tasks } = self.end.clone();
        tasks.spawn(async move {
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
async fn watch_over(connection: &Connection, every: Duration) -> EndOfHold {
    let limit = every.mul_f64(0.4);
    loop {
        let nudged = tokio::select! {
            () = connection.ended() => return EndOfHold::Ended,
            () = connection.nudged() => true,
            () = sleep(every.saturating_sub(connection.silence())) => false,
        };
        if let Some(leave) = connection.leaving() {
            return EndOfHold::Told(leave);
        }
        if !nudged && connection.silence() < every {
            continue;
        }
        let mut alive = false;
        for _ in 0..2 {
            alive = alive || connection.is_healthy(limit).await || connection.silence() < limit;
        }
        if connection.has_ended() {
            return EndOfHold::Ended;
        }
        if let Some(leave) = connection.leaving() {
            return EndOfHold::Told(leave);
        }
        if !alive {
            return EndOfHold::Silent;
        }
    }
}
