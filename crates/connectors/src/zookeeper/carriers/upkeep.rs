//! Looks after the sessions: makes again what a lost one held, opens and ends them, and moves what outgrew one.

use super::{Carriers, LIMIT_REACHED, MAIN, OPENING, OpenedSession, SessionSlot};
use crate::util::backoff::Backoff;
use crate::zookeeper::client::{Phase, Session, SessionStatus, WireError};
use crate::zookeeper::connected::PATIENCE;
use crate::zookeeper::writes::Writes;
use causeway_core::Error;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

/// Between two tries to make again what was lost: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A session that is not connected for this long, while others are, is logged.
const LATE: Duration = Duration::from_secs(5);
/// Between two steps of a move: a client that watches a folder lists it again after each.
const STEP: Duration = Duration::from_millis(250);
/// How often it is looked for sessions that hold nothing.
const LOOK: Duration = Duration::from_secs(60);

/// What happened to the sessions.
enum SessionEvent {
    /// A server said that a session is over.
    Over(SessionSlot),
    /// No server gives us a further session.
    Refused(SessionSlot, WireError),
    /// What was to be made again stands, or why not.
    Restored(Result<(), Error>),
    /// A step of a move is done; whether anything was moved.
    Moved(bool),
    /// Sessions that held nothing were looked at.
    Looked,
    /// Nothing more is to be done about this.
    Done,
}

/// What is to be done.
#[derive(Default)]
struct Due {
    /// Everything of ours must be checked.
    all: bool,
    /// What lost sessions held.
    paths: BTreeSet<Arc<str>>,
}

/// Runs until it is aborted. Started again after a panic, it looks after the same sessions.
pub(in crate::zookeeper) async fn keep_up(writes: Writes) {
    let carriers = writes.carriers.clone();
    carriers.tend_all();
    let mut status = carriers.0.main.status();
    let mut events: FuturesUnordered<BoxFuture<'_, SessionEvent>> = FuturesUnordered::new();
    let (mut epoch, mut due, mut pause) = (0, Due::default(), Backoff::new(AGAIN.0, AGAIN.1));
    let (mut restoring, mut restore_at) = (None::<Due>, Instant::now());
    let (mut overfull, mut moving, mut move_at) = (None, false, Instant::now());
    let mut looking = false;
    let mut look = interval(LOOK.min(carriers.0.ours.spread().limits().idle / 2));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for fresh in std::mem::take(&mut *carriers.0.fresh.lock()) {
            events.push(carriers.tend(fresh).boxed());
        }
        let now = status.borrow_and_update().epoch;
        if now != epoch {
            epoch = now;
            due.all = true;
            drop(carriers.0.ours.spread().clear(MAIN));
        }
        let waits = restoring.is_none() && (due.all || !due.paths.is_empty());
        if waits && restore_at <= Instant::now() {
            let todo = std::mem::take(&mut due);
            let paths = (!todo.all).then(|| todo.paths.clone());
            restoring = Some(todo);
            events.push(writes.restore(paths).map(SessionEvent::Restored).boxed());
        }
        // One that is too full is emptied down to its bound.
        overfull = overfull.filter(|slot| !carriers.0.ours.spread().excess(*slot, 1).is_empty());
        overfull = overfull.or_else(|| carriers.0.ours.spread().overfull());
        let moves = overfull.filter(|_| !moving && !carriers.0.main.is_followed());
        if let Some(slot) = moves.filter(|_| move_at <= Instant::now()) {
            moving = true;
            events.push(writes.move_some(slot).map(SessionEvent::Moved).boxed());
        }
        tokio::select! {
            changed = status.changed() => if changed.is_err() {
                return;
            },
            () = carriers.0.opened.notified() => {}
            () = sleep_until(restore_at), if waits => {}
            () = sleep_until(move_at), if moves.is_some() => {}
            _ = look.tick(), if !looking => {
                looking = true;
                events.push(carriers.end_idle().map(|()| SessionEvent::Looked).boxed());
            }
            Some(event) = events.next() => match event {
                SessionEvent::Over(slot) => {
                    due.paths.extend(carriers.lose(slot).await);
                    // What was seen to go before the session was known to be over is assigned to none any more.
                    due.all = true;
                }
                SessionEvent::Refused(slot, why) => due.paths.extend(carriers.refuse(slot, &why).await),
                SessionEvent::Restored(Ok(())) => {
                    restoring = None;
                    pause.reset();
                }
                SessionEvent::Restored(Err(error)) => {
                    tracing::info!(%error, "not all of ours stands under the new session yet");
                    if let Some(again) = restoring.take() {
                        due.all |= again.all;
                        due.paths.extend(again.paths);
                    }
                    restore_at = Instant::now() + pause.next();
                }
                SessionEvent::Moved(any) => {
                    moving = false;
                    move_at = Instant::now() + if any { STEP } else { AGAIN.1 };
                }
                SessionEvent::Looked => looking = false,
                SessionEvent::Done => {}
            },
        }
    }
}

impl Carriers {
    /// Every open session is to be looked after.
    fn tend_all(&self) {
        let mut fresh = self.0.fresh.lock();
        for (slot, session) in &*self.0.open.lock() {
            if fresh.iter().all(|one| one.slot != *slot) {
                fresh.push(OpenedSession { slot: *slot, session: session.clone(), saved: true });
            }
        }
        self.0.unknown.send_replace(fresh.iter().filter(|one| one.saved).count());
    }

    /// Follows one session until there is something to do about it.
    async fn tend(&self, fresh: OpenedSession) -> SessionEvent {
        let OpenedSession { slot, session, saved } = fresh;
        let mut status = session.status();
        self.0.ours.spread().away(slot, false);
        if saved {
            let known = timeout(PATIENCE, self.take_stock(slot, &session)).await.is_ok();
            self.0.unknown.send_modify(|unknown| *unknown = unknown.saturating_sub(1));
            if !known {
                self.take_stock(slot, &session).await;
            }
        } else if slot != MAIN {
            while timeout(OPENING, status.wait_for(|status| status.generation > 0 || status.over)).await.is_err() {
                let main = self.0.main.status().borrow().phase;
                let why = session.status().borrow().error.clone();
                if let Some(why) = why.filter(|_| main != Phase::Down) {
                    return SessionEvent::Refused(slot, why);
                }
            }
            self.0.ours.spread().refuse(false);
        }
        if slot == MAIN {
            return SessionEvent::Done;
        }
        let is_back = |status: &SessionStatus| status.phase != Phase::Down || status.over;
        loop {
            match status.wait_for(|status| status.phase == Phase::Down || status.over).await {
                Ok(status) if status.over => return SessionEvent::Over(slot),
                Ok(_) => {}
                Err(_) => return SessionEvent::Done,
            }
            if timeout(LATE, status.wait_for(is_back)).await.is_err() {
                self.0.ours.spread().away(slot, true);
                let records = self.0.ours.spread().count(slot);
                let (why, followed) = (session.status().borrow().error.clone(), self.0.main.is_followed());
                if let Some(why) = why.filter(|_| !followed && records > 0) {
                    tracing::warn!(
                        records, %why,
                        "a session is not connected: its copies go when its time-out is over{LIMIT_REACHED}"
                    );
                }
                drop(status.wait_for(is_back).await);
                self.0.ours.spread().away(slot, false);
            }
        }
    }

    /// Reads from the servers what a session of an earlier process holds. After a crash that may be more than the ledger says.
    async fn take_stock(&self, slot: SessionSlot, session: &Session) {
        let mut status = session.status();
        drop(status.wait_for(|status| status.generation > 0 || status.over).await);
        for _ in 0..3 {
            let now = session.status().borrow().clone();
            if now.epoch > 0 || now.over {
                return;
            }
            match session.ephemerals().await {
                Ok(paths) => {
                    let mut spread = self.0.ours.spread();
                    paths.iter().for_each(|path| spread.found(path, slot));
                    return;
                }
                Err(error) if error.is_transient() => tokio::time::sleep(AGAIN.0).await,
                // Before 3.6, where the end of a session is no transaction that lists its paths.
                Err(_) => return,
            }
        }
    }

    /// A session is over: what it held is to be made again in others.
    async fn lose(&self, slot: SessionSlot) -> Vec<Arc<str>> {
        let paths = self.0.ours.spread().dissolve(slot);
        self.0.kept.remove(slot);
        let session = self.0.open.lock().remove(&slot);
        if let Some(session) = session {
            session.give_up().await;
        }
        paths
    }

    /// There is no further session: those that there are hold more, up to twice as much.
    async fn refuse(&self, slot: SessionSlot, why: &WireError) -> Vec<Arc<str>> {
        let sessions = self.0.open.lock().len() - 1;
        tracing::warn!(
            sessions, %why,
            "no server opens a further session for more copies: those that there are hold more{LIMIT_REACHED}"
        );
        self.0.ours.spread().refuse(true);
        self.lose(slot).await
    }

    /// Ends sessions that have held nothing for long, as the servers say too.
    async fn end_idle(&self) {
        let idle = self.0.ours.spread().idle();
        for slot in idle {
            if self.0.main.is_followed() {
                return;
            }
            let Some(session) = self.0.open.lock().get(&slot).cloned() else { continue };
            // Nothing is assigned to it while it is looked at.
            if !self.0.ours.spread().close(slot) {
                continue;
            }
            match timeout(OPENING, session.ephemerals()).await {
                Ok(Ok(paths)) if paths.is_empty() => {
                    if session.end_session().await.is_ok() {
                        tracing::info!(slot, "a session that held nothing any more was ended");
                        drop(self.lose(slot).await);
                    } else {
                        self.0.ours.spread().reopen(slot);
                    }
                }
                Ok(Ok(paths)) => {
                    let mut spread = self.0.ours.spread();
                    spread.reopen(slot);
                    paths.iter().for_each(|path| spread.found(path, slot));
                }
                _ => self.0.ours.spread().reopen(slot),
            }
        }
    }
}
