//! The owner's end of a session: one connection at a time, kept alive by its [`Supervisor`].

use std::sync::Arc;
use std::time::Duration;

use causeway_core::ServiceKey;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::core::Core;
use super::error::{Error, Result};
use super::grpc::Connection;
use super::pump::OnPush;
use super::supervisor::Supervisor;
use super::transport::CONNECT;
use super::wish_list::{WishList, WishSender};
use crate::SocketKeeper;
use crate::util::backoff::Backoff;

/// First and longest wait between two tries.
pub(super) const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Where a session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The first try, or the first after a connection was lost.
    #[default]
    Connecting,
    /// Connected; what was asked for before is being sent again.
    Replaying,
    /// Connected, and the server has all that was asked for.
    Ready,
    /// No server could be reached; retried with back-off.
    Down,
    /// Closed by its owner.
    Closed,
}

/// What is known of a session's connection.
#[derive(Clone, Debug, Default)]
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

/// What is asked for on one connection after the other. Dropping it stops the tasks but leaves kept sockets to their
/// keeper.
pub(super) struct Link<S: WishSender> {
    pub(super) wishes: Arc<WishList<S>>,
    status: watch::Receiver<Status>,
    live: watch::Receiver<Option<Live>>,
    end: SessionEnd,
    patience: Duration,
}

/// Ends the tasks of a session.
#[derive(Clone, Default)]
pub(super) struct SessionEnd {
    /// For the server too.
    pub(super) close: CancellationToken,
    /// Leaves kept sockets to their keeper.
    pub(super) abandon: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl<S: WishSender> Link<S> {
    /// Starts connecting. `name` begins the keeper's tags, `first` is the index of the address that is tried first.
    pub(super) fn start(
        core: Arc<Core>,
        sender: S,
        on_push: OnPush,
        keeper: Option<Arc<dyn SocketKeeper>>,
        name: &str,
        first: usize,
    ) -> Self {
        let (status, status_rx) = watch::channel(Status::default());
        let (live, live_rx) = watch::channel(None);
        let end = SessionEnd::default();
        let wishes = Arc::new(WishList::new(sender, core.options.in_flight));
        let patience = CONNECT + core.options.request_timeout;
        let supervisor = Supervisor {
            next: first,
            core,
            wishes: wishes.clone(),
            on_push,
            keeper,
            name: name.to_owned(),
            status,
            live,
            end: end.clone(),
            generation: 0,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            predecessor: None,
        };
        end.tasks.spawn(end.abandon.clone().run_until_cancelled_owned(supervisor.run()));
        end.tasks.close();
        Link { wishes, status: status_rx, live: live_rx, end, patience }
    }

    /// The state of the connection; its receiver hears of changes.
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

    /// Waits until the server has at least this version of the wish about `key`.
    ///
    /// Errors: `Unavailable` at once while no server can be reached, or when no answer came in time; else as the server
    /// says.
    pub(super) async fn meet(&self, key: &ServiceKey, wanted: u64) -> Result<()> {
        loop {
            let live = self.live().await?;
            match self.wishes.meet(key, wanted, &live).await {
                // The connection was replaced under this request: the next one may do better.
                Err(Error::Unavailable(_)) if self.generation().is_some_and(|g| g != live.generation) => {}
                result => return result,
            }
        }
    }

    /// Ends the connection for the server too, and waits for all tasks.
    pub(super) async fn close(&self) {
        self.end.close.cancel();
        self.end.tasks.wait().await;
    }
}

impl<S: WishSender> Drop for Link<S> {
    fn drop(&mut self) {
        self.end.abandon.cancel();
    }
}

pub(super) fn away() -> Error {
    Error::Unavailable("no server of the cluster can be reached".into())
}
