//! Keeps a session: connects, goes on with the session it had, and takes a new one only when a server says that the
//! old one is over.
//!
//! A server that was down keeps its sessions, and gives each its whole time-out again when it is back, however long
//! that took. So there is no time after which we give a session up by ourselves.
//!
//! A server closes a connection without a word while it starts, and also when the client has seen a later transaction
//! than itself: a follower that lags behind, or a server that was wiped or put back to a backup. The first must not be
//! read from, since that would be going back in time. From the second nothing else will ever come. They are told apart
//! by how many do so: what a client saw is on a majority of the servers.

use super::address::ServerAddress;
use super::connection_counts::CountedConnection;
use super::dial::{self, Stream};
use super::error::WireError;
use super::features::{Features, ServerVersion};
use super::proto::{self, ConnectAnswer, ConnectRequest, Header};
use super::session::SessionState;
use super::types::{Phase, SavedSession, SessionStatus};
use super::wire::{Wire, frame};
use crate::util::backoff::{Backoff, random_index};
use bytes::BytesMut;
use causeway_core::contain;
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

/// A majority of the servers turned us away for this long: they will not have what we have seen.
const BEHIND: Duration = Duration::from_secs(3);
/// A connection that ended sooner was no success.
const SHORT: Duration = Duration::from_secs(1);
/// How long a new session is not used while it is not kept: after a crash, no process could continue it.
const KEPT: Duration = Duration::from_secs(2);
/// How long a session that comes after another one waits for that one's connection.
const LEAD: Duration = Duration::from_secs(1);
/// How long a connection that was cut off waits for one that was opened after it.
const FOLLOW: Duration = Duration::from_secs(2);
/// First and longest wait between two tries: short, since a session's time may run.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Bounds for one try to connect.
const DIAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Limit for asking a server that took us for its version.
const ASK: Duration = Duration::from_millis(500);

/// Why a server did not take us.
enum AttachFailure {
    /// It says that the session is over.
    Expired,
    /// It closed the connection instead of answering.
    TurnedAway(WireError),
    /// Anything else.
    Failed(WireError),
}

/// Why a new session is not used.
const FOLLOWED: &str = "another connection goes on with the sessions";

/// A server that took us.
struct Attached {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    answer: ConnectAnswer,
    place: CountedConnection,
}

/// The task behind a session.
pub(super) struct Driver {
    shared: Arc<SessionState>,
    held: Option<SavedSession>,
    /// Which address is next.
    next: usize,
    /// The address whose connection ended last.
    last: Option<usize>,
    /// A server said that the session is over, and no other one is made.
    over: bool,
    /// Since when a majority turns us away.
    behind: Option<Instant>,
    /// Whether the next round forgets what we have seen.
    forget: bool,
    backoff: Backoff,
}

impl Driver {
    pub(super) fn new(shared: Arc<SessionState>) -> Driver {
        let held = shared.options.saved.clone();
        let next = random_index(shared.addresses.len());
        let backoff = Backoff::new(RETRY.0, RETRY.1);
        Driver { shared, held, next, last: None, over: false, behind: None, forget: false, backoff }
    }

    /// Runs until it is aborted, or until the session was ended, or another connection of this process goes on with it.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let over = async {
            match &shared.options.turn {
                Some(turn) => turn.over().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.drive() => {}
            () = over => {
                let session = self.held.as_ref().map(|held| format!("{:#x}", held.id));
                tracing::info!(session, "another connection goes on with the session");
                shared.down(WireError::Unavailable("another connection goes on with the session".into()));
            }
        }
    }

    /// Goes on after a panic with what is known of the session.
    async fn drive(&mut self) {
        while let Err(panic) = contain(self.connect_again()).await {
            let why = format!("the ZooKeeper session failed because of a bug in Causeway and connects again: {panic}");
            tracing::error!("{why}");
            self.shared.down(WireError::Unavailable(why));
            sleep(self.backoff.next()).await;
        }
    }

    async fn connect_again(&mut self) {
        while !self.shared.over.load(Ordering::Relaxed) {
            self.let_lead().await;
            match self.round().await {
                Ok(attached) => {
                    let begun = Instant::now();
                    let why = self.serve(attached).await;
                    self.shared.down(why);
                    self.let_follow().await;
                    if begun.elapsed() >= SHORT {
                        self.backoff.reset();
                        continue;
                    }
                }
                Err(why) if self.over => return self.shared.expire(why),
                Err(why) => self.shared.down(why),
            }
            sleep(self.backoff.next()).await;
        }
        self.shared.down(WireError::Unavailable("the session was ended".into()));
    }

    /// Where another connection of this process is about to go on with the session, it has probably just taken it, and would
    /// lose it for a moment if we took it back at once.
    async fn let_follow(&self) {
        if self.shared.is_followed() {
            sleep(FOLLOW).await;
        }
    }

    /// Waits for the session that comes first: until its first connection, and after an outage up to [`LEAD`].
    async fn let_lead(&self) {
        let Some(mut after) = self.shared.options.after.clone() else { return };
        if after.wait_for(|status| status.generation > 0).await.is_ok() {
            drop(timeout(LEAD, after.wait_for(|status| status.phase != Phase::Down)).await);
        }
    }

    /// Tries every address once.
    async fn round(&mut self) -> Result<Attached, WireError> {
        let count = self.shared.addresses.len();
        let order = self.shared.options.connections.order(count, self.next % count, self.last);
        let behind = self.behind.is_some_and(|since| since.elapsed() >= BEHIND);
        self.forget = behind && !self.forget;
        let mut last = None;
        let mut turned_away = 0;
        for server in order {
            self.next = server;
            let mut tried = self.attach(self.held.as_ref()).await;
            if matches!(tried, Err(AttachFailure::Expired)) {
                if self.shared.is_followed() {
                    let why = "the session is over, and another connection makes the next one";
                    return Err(WireError::Unavailable(why.into()));
                }
                tracing::warn!(session = self.held.as_ref().map(|h| format!("{:#x}", h.id)), "session is over");
                self.held = None;
                if !self.shared.options.renew {
                    self.over = true;
                    return Err(WireError::Unavailable("the session is over".into()));
                }
                tried = self.attach(None).await;
            }
            let error = match tried {
                Ok(attached) => {
                    self.behind = None;
                    return Ok(attached);
                }
                Err(AttachFailure::Expired) => {
                    WireError::Protocol(format!("{}: a new session, and over", self.address()))
                }
                Err(AttachFailure::TurnedAway(error)) => {
                    turned_away += 1;
                    error
                }
                Err(AttachFailure::Failed(error)) => error,
            };
            tracing::debug!(%error, "not connected");
            // Tell of a refusal rather than of a server that is away.
            if !matches!(last, Some(WireError::Denied(_) | WireError::Rejected(_))) {
                last = Some(error);
            }
        }
        self.next = self.next.wrapping_add(1);
        if turned_away * 2 > count {
            self.behind.get_or_insert_with(Instant::now);
        } else {
            self.behind = None;
        }
        Err(last.unwrap_or_else(|| WireError::Unavailable("no address".into())))
    }

    fn address(&self) -> &ServerAddress {
        &self.shared.addresses[self.next % self.shared.addresses.len()]
    }

    /// Limit for one step of connecting: several tries must fit into the session's time.
    fn limit(&self) -> Duration {
        (self.shared.options.session_timeout / 4).clamp(DIAL.0, DIAL.1)
    }

    /// The next server's version, if it tells. One of our other sessions may know it.
    async fn version(&self) -> Option<ServerVersion> {
        let (counts, server) = (&self.shared.options.connections, self.next % self.shared.addresses.len());
        if self.shared.options.after.is_some()
            && let Some(number) = counts.number(server)
        {
            return Some(number);
        }
        let number = dial::version(self.address(), self.shared.tls.as_ref(), ASK).await;
        counts.told(server, number);
        number
    }

    /// Tries the next address, with the session `held` or with none.
    async fn attach(&self, held: Option<&SavedSession>) -> Result<Attached, AttachFailure> {
        let (address, limit) = (self.address(), self.limit());
        let place = self.shared.options.connections.take(self.next % self.shared.addresses.len());
        let stream = dial::dial(address, self.shared.tls.as_ref(), limit).await.map_err(AttachFailure::Failed)?;
        match timeout(limit, self.greet(stream, held, place)).await {
            Ok(result) => result,
            Err(_) => {
                let why = format!("{address}: no answer within {} ms", limit.as_millis());
                Err(AttachFailure::Failed(WireError::Unavailable(why)))
            }
        }
    }

    /// Asks for the session, and signs in.
    async fn greet(
        &self,
        mut stream: Box<dyn Stream>,
        held: Option<&SavedSession>,
        place: CountedConnection,
    ) -> Result<Attached, AttachFailure> {
        let address = self.address();
        let lost = |error: std::io::Error| AttachFailure::Failed(WireError::Unavailable(format!("{address}: {error}")));
        let nothing = vec![0; 16];
        let request = ConnectRequest {
            last_zxid: if self.forget { 0 } else { self.shared.seen.load(Ordering::Relaxed) },
            timeout_ms: i32::try_from(self.shared.options.session_timeout.as_millis()).unwrap_or(i32::MAX),
            session: held.map_or(0, |held| held.id),
            password: held.map_or(&nothing, |held| &held.password),
        };
        stream.write_all(&request.encode()).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;
        let mut buffer = BytesMut::new();
        let body = match frame(&mut *stream, &mut buffer).await {
            Ok(body) => body,
            Err(WireError::Unavailable(_)) => {
                let why = "closed the connection instead of answering: it is starting, has too many connections, or \
                           lacks what we have seen";
                return Err(AttachFailure::TurnedAway(WireError::Unavailable(format!("{address}: {why}"))));
            }
            Err(error) => return Err(AttachFailure::Failed(error)),
        };
        if body.len() == Header::LENGTH {
            // A read-only server that gives no sessions of its own says so as if it had been asked something else.
            let header = Header::decode(&body).map_err(AttachFailure::Failed)?;
            return Err(AttachFailure::Failed(WireError::of_code(header.code, &address.to_string())));
        }
        let answer = ConnectAnswer::decode(&body).map_err(AttachFailure::Failed)?;
        if answer.session == 0 || answer.timeout_ms <= 0 {
            return Err(AttachFailure::Expired);
        }
        if let Some((user, password)) = &self.shared.options.login {
            let login = format!("{user}:{}", password.expose_secret());
            stream.write_all(&proto::sign_in(login.as_bytes())).await.map_err(lost)?;
            stream.flush().await.map_err(lost)?;
            let body = frame(&mut *stream, &mut buffer).await.map_err(AttachFailure::Failed)?;
            let header = Header::decode(&body).map_err(AttachFailure::Failed)?;
            if header.code != 0 {
                return Err(AttachFailure::Failed(WireError::Denied(format!("{address}: does not take the login"))));
            }
        }
        Ok(Attached { stream, buffer, answer, place })
    }

    /// Tells of the connection, and serves it until it ends.
    async fn serve(&mut self, attached: Attached) -> WireError {
        let Attached { mut stream, buffer, answer, place } = attached;
        if self.forget {
            // Of a session that comes after another one, the servers may have refused no more than the connection.
            if self.shared.options.after.is_none() {
                tracing::warn!(server = %self.address(), "the servers lack what was seen of them: wiped, or put back");
            }
            self.shared.seen.store(0, Ordering::Relaxed);
            self.forget = false;
        }
        let session = format!("{:#x}", answer.session);
        let (mut epoch, generation) = {
            let before = self.shared.status.borrow();
            (before.epoch, before.generation + 1)
        };
        if self.held.as_ref().is_none_or(|held| held.id != answer.session) {
            epoch += 1;
            let saved = SavedSession { id: answer.session, password: answer.password };
            if let Some(keep) = &self.shared.options.keep {
                if !keep.save(&saved) {
                    // No later process could continue it.
                    let ended = stream.write_all(&proto::plain(proto::op::CLOSE)).await;
                    tracing::debug!(?ended, "a new session is not used");
                    return WireError::Unavailable(FOLLOWED.into());
                }
                if timeout(KEPT, keep.kept()).await.is_err() {
                    tracing::warn!(session, "the session is not kept yet: a crash now would cost its ephemeral nodes");
                }
            }
            self.held = Some(saved);
        }
        if let Some(turn) = self.shared.options.turn.as_ref().filter(|_| self.shared.options.after.is_none()) {
            turn.begin();
        }
        let features = Features { number: self.version().await, unknown: Arc::clone(&self.shared.unknown) };
        let server = self.address().to_string();
        tracing::debug!(%server, ?features, "asked for its version");
        let (wire, line) = Wire::new(self.shared.limits.clone(), features, generation);
        tracing::info!(%server, session, generation, epoch, "connected");
        *self.shared.wire.write() = Some(wire);
        self.shared.status.send_replace(SessionStatus {
            phase: Phase::Connected,
            generation,
            session: Some(answer.session),
            epoch,
            server: Some(server),
            error: None,
            over: false,
        });
        let keep = Duration::from_millis(u64::try_from(answer.timeout_ms).unwrap_or(0));
        let why = line.serve(stream, buffer, keep, &self.shared.seen, &self.shared.followers).await;
        self.last = Some(place.server);
        self.next = self.next.wrapping_add(1);
        why
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.down(WireError::Unavailable("closed".into()));
    }
}

impl SessionState {
    /// Whether another connection of this process goes on with the session, or is about to.
    pub(super) fn is_followed(&self) -> bool {
        self.options.turn.as_ref().is_some_and(|turn| !turn.is_last())
    }

    /// The session is over, and there will be no other.
    fn expire(&self, why: WireError) {
        self.down(why);
        self.status.send_modify(|status| status.over = true);
    }

    /// There is no connection.
    fn down(&self, why: WireError) {
        *self.wire.write() = None;
        self.status.send_modify(|status| {
            if status.phase != Phase::Down && !self.is_followed() {
                tracing::info!(%why, "not connected");
            }
            status.phase = Phase::Down;
            status.server = None;
            status.error = Some(why);
        });
    }
}
