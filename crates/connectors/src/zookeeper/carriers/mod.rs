//! The sessions that hold our ephemeral znodes: as many as their paths need.

mod saved_sessions;
mod spread;
mod upkeep;

pub(super) use saved_sessions::{SavedSessions, decode};
pub use spread::SessionLimits;
pub(super) use spread::{MAIN, SessionSlot, Spread};
pub(super) use upkeep::keep_up;

use super::client::{self, Phase, SavedSession, Session};
use super::connected::PATIENCE;
use super::publications::Publications;
use causeway_core::Error;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a further session may take to be opened. Then those that there are hold more.
const OPENING: Duration = Duration::from_secs(3);

/// What probably keeps a session from being connected while the main one is.
const LIMIT_REACHED: &str = ". If the server has reached its limit of connections from one address, raise its \
                             maxClientCnxns (60 by default)";

/// The sessions of one cluster. Clones share them.
#[derive(Clone)]
pub(super) struct Carriers(Arc<CarriersState>);

struct CarriersState {
    main: Session,
    /// How a further session is opened.
    options: client::Options,
    kept: Arc<SavedSessions>,
    ours: Publications,
    /// By slot, the main one among them.
    open: Mutex<BTreeMap<SessionSlot, Session>>,
    /// Held while a session is chosen or opened.
    opening: Mutex<()>,
    /// Sessions that were opened and that [`keep_up`] has not taken over yet.
    fresh: Mutex<Vec<OpenedSession>>,
    opened: Notify,
    /// How many sessions of an earlier process are there of which it is not known yet what they hold.
    unknown: watch::Sender<usize>,
    closed: watch::Sender<bool>,
}

/// Which session a path is assigned to, if it is not assigned yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum SessionChoice<'a> {
    /// Any.
    Any,
    /// The one that holds this path, which it replaces.
    Instead(&'a str),
    /// Another one than this.
    Leave(SessionSlot),
}

/// A session that was just opened.
struct OpenedSession {
    slot: SessionSlot,
    session: Session,
    /// It continues a session of an earlier process.
    saved: bool,
}

impl Carriers {
    /// Opens the main session and those that were kept.
    pub fn open(
        options: client::Options,
        kept: Arc<SavedSessions>,
        ours: Publications,
        others: Vec<SavedSession>,
    ) -> Result<Self, client::WireError> {
        let saved = options.saved.is_some();
        let mut further = options.clone();
        let main = Session::open(options)?;
        (further.saved, further.renew, further.after) = (None, false, Some(main.status()));
        let fresh = OpenedSession { slot: MAIN, session: main.clone(), saved };
        let carriers = Self(Arc::new(CarriersState {
            main: main.clone(),
            options: further,
            kept,
            ours,
            open: Mutex::new([(MAIN, main)].into()),
            opening: Mutex::default(),
            fresh: Mutex::new(vec![fresh]),
            opened: Notify::new(),
            unknown: watch::Sender::new(usize::from(saved)),
            closed: watch::Sender::new(false),
        }));
        for saved in others {
            carriers.add(Some(saved))?;
        }
        Ok(carriers)
    }

    /// Opens a further session, or continues one of an earlier process.
    fn add(&self, saved: Option<SavedSession>) -> Result<SessionSlot, client::WireError> {
        let inner = &self.0;
        let slot = inner.ours.spread().add();
        let mut options = inner.options.clone();
        options.keep = Some(inner.kept.keeper(slot));
        options.saved.clone_from(&saved);
        if let Some(saved) = &saved {
            inner.kept.load(slot, saved.clone());
            inner.unknown.send_modify(|unknown| *unknown += 1);
        }
        let session = Session::open(options).inspect_err(|_| drop(inner.ours.spread().dissolve(slot)))?;
        inner.open.lock().insert(slot, session.clone());
        inner.fresh.lock().push(OpenedSession { slot, session, saved: saved.is_some() });
        inner.opened.notify_one();
        Ok(slot)
    }

    /// Assigns a path to a session, and returns that one as soon as it is connected. Errors: `Unavailable`, with the
    /// reason, where there is no session for it.
    pub async fn hold(&self, path: &str, wish: SessionChoice<'_>) -> Result<Session, Error> {
        self.known().await;
        let until = Instant::now() + PATIENCE;
        let assigned = self.0.ours.spread().slot(path).is_some();
        loop {
            let slot = self.assign(path, wish)?;
            let Some(session) = self.session(slot) else {
                return Err(Error::unavailable("the session that was to hold it is over"));
            };
            if slot == MAIN {
                return Ok(session);
            }
            let mut status = session.status();
            drop(timeout_at(until, status.wait_for(|status| status.phase != Phase::Down || status.over)).await);
            if session.status().borrow().phase != Phase::Down {
                return Ok(session);
            }
            if Instant::now() >= until {
                // The next try may find room in one that is connected.
                if !assigned {
                    self.0.ours.spread().release(path);
                }
                return Err(self.not_connected(&session));
            }
            // It is over, or the servers did not take it: another one is to hold the path.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn not_connected(&self, session: &Session) -> Error {
        let why = session.status().borrow().error.clone();
        let why = why.map_or_else(|| "no server answers".to_owned(), |error| error.to_string());
        let connected = self.0.main.status().borrow().phase == Phase::Connected;
        let hint = if connected { LIMIT_REACHED } else { "" };
        Error::unavailable(format!("the session that is to hold it is not connected: {why}{hint}"))
    }

    fn assign(&self, path: &str, wish: SessionChoice<'_>) -> Result<SessionSlot, Error> {
        // Many who find no room open one session together.
        let _opening = self.0.opening.lock();
        let choose = |spread: &mut Spread| match wish {
            SessionChoice::Any => spread.assign(path),
            SessionChoice::Instead(old) => spread.assign_instead(path, old),
            SessionChoice::Leave(slot) if spread.slot(path) == Some(slot) => spread.reassign(path),
            SessionChoice::Leave(_) => spread.assign(path),
        };
        if let Some(slot) = choose(&mut self.0.ours.spread()) {
            return Ok(slot);
        }
        if *self.0.closed.borrow() || self.0.main.is_followed() {
            return Err(Error::unavailable("another connection goes on with the sessions"));
        }
        let added = self.add(None)?;
        Ok(choose(&mut self.0.ours.spread()).unwrap_or(added))
    }

    /// The session that everything else is done with.
    pub fn main(&self) -> Session {
        self.0.main.clone()
    }

    fn session(&self, slot: SessionSlot) -> Option<Session> {
        self.0.open.lock().get(&slot).cloned()
    }

    /// The session that holds a path, else the main one. What it has written, its server shows.
    pub fn session_of(&self, path: &str) -> Session {
        let slot = self.0.ours.spread().slot(path);
        let connected = |session: &Session| session.status().borrow().phase == Phase::Connected;
        slot.and_then(|slot| self.session(slot)).filter(connected).unwrap_or_else(|| self.0.main.clone())
    }

    /// Waits, up to [`PATIENCE`], until it is known what the sessions of an earlier process hold.
    async fn known(&self) {
        if *self.0.unknown.borrow() > 0 {
            let mut unknown = self.0.unknown.subscribe();
            drop(timeout(PATIENCE, unknown.wait_for(|unknown| *unknown == 0)).await);
        }
    }

    /// Ends all connections, and leaves the sessions to the servers.
    pub async fn close(&self) {
        self.0.closed.send_replace(true);
        let open: Vec<_> = self.0.open.lock().values().cloned().collect();
        futures_util::future::join_all(open.iter().map(Session::close)).await;
    }
}
