//! The handle of a session.

use super::address::{self, ServerAddress};
use super::attach::Driver;
use super::error::{Result, WireError};
use super::features::UnknownOperations;
use super::followers::Followers;
use super::proto::{self, op};
use super::tls::Tls;
use super::types::{Options, SessionStatus};
use super::wire::{CallLimits, PreparedCall, Wire};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A ZooKeeper session that is kept alive. Clones are the same session.
///
/// It connects and connects again by itself. The session stays the same as long as a server knows it: a new one is
/// taken only after a server has said that the old one is over. Dropping all clones, or [`Session::close`], ends the
/// connection but not the session: the server keeps our ephemeral nodes for the session's time-out, and the
/// [`super::SavedSession`] can continue it.
#[derive(Clone)]
pub struct Session {
    shared: Arc<SessionState>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

/// What the handles and the task have in common.
pub(super) struct SessionState {
    pub(super) addresses: Vec<ServerAddress>,
    pub(super) tls: Option<Tls>,
    pub(super) options: Options,
    pub(super) limits: CallLimits,
    pub(super) unknown: UnknownOperations,
    pub(super) followers: Followers,
    pub(super) status: watch::Sender<SessionStatus>,
    pub(super) wire: RwLock<Option<Arc<Wire>>>,
    /// The latest transaction that we have seen the effect of.
    pub(super) seen: AtomicI64,
    /// The session was ended on purpose.
    pub(super) over: AtomicBool,
}

impl Session {
    /// Checks the options and starts connecting. Touches no network before it returns. Must be called within a tokio
    /// runtime. Errors: `Rejected` for options that cannot be used.
    pub fn open(options: Options) -> Result<Session> {
        let (addresses, chroot) = address::parse(&options.addresses)?;
        if options.login.as_ref().is_some_and(|(user, _)| user.is_empty() || user.contains(':')) {
            return Err(WireError::Rejected("a user name is not empty and holds no colon".into()));
        }
        if options.session_timeout.is_zero() || options.call_timeout.is_zero() {
            return Err(WireError::Rejected("a time-out of nothing".into()));
        }
        let chroot: Arc<str> = chroot.into();
        let followers = Followers::new(chroot.clone());
        let limits = CallLimits { chroot, patience: options.call_timeout, longest: options.max_request };
        let shared = Arc::new(SessionState {
            addresses,
            tls: options.tls.as_ref().map(Tls::new).transpose()?,
            limits,
            unknown: UnknownOperations::default(),
            followers,
            status: watch::Sender::default(),
            wire: RwLock::new(None),
            seen: AtomicI64::new(0),
            over: AtomicBool::new(false),
            options,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(Driver::new(Arc::clone(&shared)).run());
        Ok(Session { shared, tasks: Arc::new(Mutex::new(tasks)) })
    }

    /// Its status, now and from now on.
    pub fn status(&self) -> watch::Receiver<SessionStatus> {
        self.shared.status.subscribe()
    }

    /// Ends the connection and leaves the session, and with it our ephemeral nodes, to the server.
    pub async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }

    /// [`Session::close`], and the status says that the session is over, so that nothing waits for it any more.
    pub async fn give_up(&self) {
        self.shared.status.send_modify(|status| status.over = true);
        self.close().await;
    }

    /// Ends the session itself: its ephemeral nodes go at once. Errors: `Unavailable` without a connection; then it
    /// goes on, and may be ended later.
    pub async fn end_session(&self) -> Result<()> {
        let wire = self.wire()?;
        self.shared.over.store(true, Ordering::Relaxed);
        let call = PreparedCall { path: "session", frame: proto::plain(op::CLOSE), decode: |answer| answer.map(drop) };
        // The server may close the connection faster than it answers.
        if let Err(error) = wire.run(Ok(call)).await
            && !wire.has_ended()
        {
            self.shared.over.store(false, Ordering::Relaxed);
            return Err(error);
        }
        self.close().await;
        Ok(())
    }

    /// The connection there is now.
    pub(super) fn wire(&self) -> Result<Arc<Wire>> {
        if let Some(wire) = self.shared.wire.read().as_ref() {
            return Ok(Arc::clone(wire));
        }
        let error = self.shared.status.borrow().error.clone();
        Err(error.unwrap_or_else(|| WireError::Unavailable("not connected yet".into())))
    }

    /// Whether another connection of this process goes on with the session, or is about to.
    pub fn is_followed(&self) -> bool {
        self.shared.is_followed()
    }

    /// The longest request in bytes ([`Options::max_request`]).
    pub fn longest(&self) -> usize {
        self.shared.limits.longest
    }

    /// The latest transaction that was seen, of the servers as they are now; 0 before the first.
    pub fn seen(&self) -> i64 {
        self.shared.seen.load(Ordering::Relaxed)
    }

    pub(super) fn followers(&self) -> &Followers {
        &self.shared.followers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn checks_what_it_is_given() {
        let refused = |change: fn(&mut Options)| {
            let mut options = Options::new(vec!["127.0.0.1:1".into()]);
            change(&mut options);
            Session::open(options).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(refused(|o| o.addresses.clear()).contains("no address"));
        assert!(refused(|o| o.addresses = vec!["a/x".into(), "b/y".into()]).contains("two chroots"));
        assert!(refused(|o| o.login = Some(("a:b".into(), "c".into()))).contains("user name"));
        assert!(refused(|o| o.session_timeout = Duration::ZERO).contains("time-out"));
        let session = Session::open(Options::new(vec!["127.0.0.1:1".into()])).unwrap();
        assert!(matches!(session.get("/").await, Err(WireError::Unavailable(_))));
        assert!(matches!(session.end_session().await, Err(WireError::Unavailable(_))));
    }
}
