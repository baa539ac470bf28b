//! Which session holds which of our ephemeral znodes. Pure.
//!
//! Since ZooKeeper 3.6 the end of a session is one transaction that lists all its paths, each with a length of four
//! bytes. A leader sends it to its followers in one piece, and every server reads it again from its log: both fail beyond
//! `jute.maxbuffer` (1 MiB by default; the servers of 3.9.3 allow as much again on top). So a session gets 256 KiB of
//! paths at most, a quarter of the default. Servers allow 60 connections from one address by default
//! (`maxClientCnxns`), which other programs on our machine share: from 16 sessions for each server on, a session may get
//! 384 KiB, from 20 on 512 KiB. So 12.5 MB of paths are 48 sessions on an ensemble of three (16 connections to each
//! server, 24 while one is away), and 25 sessions on one server.

use causeway_core::Carrier;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The number of one session's place within this process: it stays the same as long as the session is kept.
pub(in crate::zookeeper) type SessionSlot = u32;

/// The session that everything else is done with. It holds copies as the others do.
pub(in crate::zookeeper) const MAIN: SessionSlot = 0;

/// What copies one session holds at most.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Bytes of paths, while the sessions are few; twice as many when they are many.
    pub path_bytes: usize,
    /// A session that has held nothing for this long is ended.
    pub idle: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { path_bytes: 256 << 10, idle: Duration::from_secs(600) }
    }
}

/// Halves of [`SessionLimits::path_bytes`] that a session may hold while there are at most so many sessions a server.
const STAGES: [(usize, usize); 2] = [(2, 16), (3, 20)];
/// The same when there are more.
const LAST_STAGE: usize = 4;

/// The number of bytes in front of each path.
const LENGTH: usize = 4;

/// What one session holds. Invariant: `bytes` is the sum over `paths`.
#[derive(Debug, Default)]
struct SlotLoad {
    paths: BTreeSet<Arc<str>>,
    bytes: usize,
    /// Since when it has held nothing.
    empty: Option<Instant>,
    /// Nothing is assigned to it: it is about to be ended.
    closed: bool,
    /// Nothing is assigned to it: it has not been connected for a while.
    away: bool,
}

/// Which session holds which path. Invariant: a path is in the set of its slot, and in no other.
#[derive(Debug, Default)]
pub(in crate::zookeeper) struct Spread {
    limits: SessionLimits,
    servers: usize,
    /// Bytes that the servers have in front of each path.
    chroot: usize,
    slots: BTreeMap<SessionSlot, SlotLoad>,
    of: BTreeMap<Arc<str>, SessionSlot>,
    total: usize,
    /// Our sessions by id, earlier ones included; with their slot while they are in use.
    ids: BTreeMap<i64, Option<SessionSlot>>,
    /// The servers gave us no further session: those that there are take as much as they may.
    refused: bool,
    next: SessionSlot,
}

impl Spread {
    /// One session, and nothing in it. `servers`: how many addresses there are.
    pub fn new(limits: SessionLimits, servers: usize, chroot: usize) -> Self {
        let mut spread = Self { limits, servers: servers.max(1), chroot, ..Self::default() };
        spread.add();
        spread
    }

    /// A further session.
    pub fn add(&mut self) -> SessionSlot {
        let slot = self.next;
        self.next += 1;
        self.slots.insert(slot, SlotLoad { empty: Some(Instant::now()), ..SlotLoad::default() });
        slot
    }

    /// The session of a slot has this id from now on. Its earlier one is over.
    pub fn own(&mut self, session: i64, slot: SessionSlot) {
        self.disown(slot);
        self.ids.insert(session, Some(slot));
    }

    /// A session of ours that another connection uses.
    pub fn remember(&mut self, session: i64) {
        self.ids.insert(session, None);
    }

    /// The session of a slot is not used any more. It was ours, and what it may still hold is ours too.
    fn disown(&mut self, slot: SessionSlot) {
        self.ids.values_mut().filter(|of| **of == Some(slot)).for_each(|of| *of = None);
    }

    /// Whether a session is ours, or was.
    pub fn is_own(&self, session: i64) -> bool {
        session != 0 && self.ids.contains_key(&session)
    }

    /// The slot of a session that is in use.
    pub fn slot_of(&self, session: i64) -> Option<SessionSlot> {
        self.ids.get(&session).copied().flatten()
    }

    /// The slot that a path is assigned to.
    pub fn slot(&self, path: &str) -> Option<SessionSlot> {
        self.of.get(path).copied()
    }

    fn size(&self, path: &str) -> usize {
        LENGTH + self.chroot + path.len()
    }

    /// What one session may hold when all of them hold `total`.
    fn bound(&self, total: usize) -> usize {
        let half = self.limits.path_bytes / 2;
        let fits = |(halves, sessions): &&(usize, usize)| total <= half * halves * sessions * self.servers;
        let stage = STAGES.iter().find(fits).filter(|_| !self.refused);
        half * stage.map_or(LAST_STAGE, |(halves, _)| *halves)
    }

    /// The most bytes that a session ever holds, unless a single path is longer.
    fn most(&self) -> usize {
        self.limits.path_bytes / 2 * LAST_STAGE
    }

    /// Assigns a path: where it is already, or to the first session that has room. `None`: there is none, and a further
    /// session has to be opened.
    pub fn assign(&mut self, path: &str) -> Option<SessionSlot> {
        if let Some(slot) = self.slot(path) {
            return Some(slot);
        }
        let slot = self.room(self.size(path), None)?;
        self.put(path.into(), slot);
        Some(slot)
    }

    /// Assigns a path that comes in the place of another one: to the same session, where it fits.
    pub fn assign_instead(&mut self, path: &str, old: &str) -> Option<SessionSlot> {
        let (size, gone) = (self.size(path), self.size(old));
        let same = self.slot(old).filter(|slot| {
            let bytes = self.slots.get(slot).map_or(0, |held| held.bytes);
            size <= gone || bytes - gone + size <= self.bound(self.total + size)
        });
        match same {
            Some(slot) => {
                self.found(path, slot);
                Some(slot)
            }
            None => self.assign(path),
        }
    }

    fn room(&self, size: usize, except: Option<SessionSlot>) -> Option<SessionSlot> {
        let bound = self.bound(self.total + size);
        let fits = |held: &SlotLoad| held.bytes + size <= bound || (held.bytes == 0 && size > bound);
        let usable = |held: &SlotLoad| !held.closed && !held.away;
        let mut slots = self.slots.iter().filter(|(slot, held)| Some(**slot) != except && usable(held));
        slots.find(|(_, held)| fits(held)).map(|(slot, _)| *slot)
    }

    fn put(&mut self, path: Arc<str>, slot: SessionSlot) {
        let size = self.size(&path);
        let Some(held) = self.slots.get_mut(&slot) else { return };
        held.bytes += size;
        held.empty = None;
        held.paths.insert(path.clone());
        self.total += size;
        self.of.insert(path, slot);
    }

    /// The servers say that this session holds a path.
    pub fn found(&mut self, path: &str, slot: SessionSlot) {
        if self.slot(path) != Some(slot) && self.slots.contains_key(&slot) {
            self.release(path);
            self.put(path.into(), slot);
        }
    }

    /// What stands at a path, as it was just read: the session that it lives by, 0 for a persistent one, `None` for nothing.
    pub fn seen(&mut self, path: &str, owner: Option<i64>) {
        match owner.filter(|owner| *owner != 0).and_then(|owner| self.slot_of(owner)) {
            Some(slot) => self.found(path, slot),
            None => self.release(path),
        }
    }

    /// Forgets a path: nothing of ours stands there any more.
    pub fn release(&mut self, path: &str) {
        let Some((path, slot)) = self.of.remove_entry(path) else { return };
        let size = self.size(&path);
        self.total -= size;
        if let Some(held) = self.slots.get_mut(&slot) {
            held.bytes -= size;
            held.paths.remove(&path);
            if held.paths.is_empty() {
                held.empty = Some(Instant::now());
            }
        }
    }

    /// What a session held went with its earlier id. Returns the paths, which must be assigned again.
    pub fn clear(&mut self, slot: SessionSlot) -> Vec<Arc<str>> {
        let paths: Vec<_> = self.slots.get(&slot).into_iter().flat_map(|held| held.paths.iter().cloned()).collect();
        paths.iter().for_each(|path| self.release(path));
        paths
    }

    /// A session is over, or was never opened. Returns its paths, which must be assigned again.
    pub fn dissolve(&mut self, slot: SessionSlot) -> Vec<Arc<str>> {
        self.disown(slot);
        let paths = self.clear(slot);
        self.slots.remove(&slot);
        paths
    }

    /// Whether the servers refuse further sessions.
    pub fn refuse(&mut self, refused: bool) {
        self.refused = refused;
    }

    /// A session that holds more than it may, which it does since an earlier version.
    pub fn overfull(&self) -> Option<SessionSlot> {
        let over = |held: &SlotLoad| held.bytes > self.most() && held.paths.len() > 1;
        self.slots.iter().find(|(_, held)| over(held)).map(|(slot, _)| *slot)
    }

    /// Up to `count` paths of a session that holds too much, the last ones first.
    pub fn excess(&self, slot: SessionSlot, count: usize) -> Vec<Arc<str>> {
        let (Some(held), bound) = (self.slots.get(&slot), self.bound(self.total)) else { return Vec::new() };
        let mut rest = held.bytes;
        let mut over = |path: &Arc<str>| {
            let is = rest > bound;
            rest = rest.saturating_sub(self.size(path));
            is
        };
        let least = held.paths.len().saturating_sub(1);
        held.paths.iter().rev().take(count.min(least)).take_while(|path| over(path)).cloned().collect()
    }

    /// Assigns a path to another session than the one that it is to leave. `None`: no other one has room.
    pub fn reassign(&mut self, path: &str) -> Option<SessionSlot> {
        let slot = self.room(self.size(path), self.slot(path))?;
        self.found(path, slot);
        Some(slot)
    }

    /// Sessions that have held nothing for long enough. The main one stays.
    pub fn idle(&self) -> Vec<SessionSlot> {
        let long = |held: &SlotLoad| held.empty.is_some_and(|since| since.elapsed() >= self.limits.idle);
        self.slots.iter().filter(|(slot, held)| **slot != MAIN && long(held)).map(|(slot, _)| *slot).collect()
    }

    /// Assigns nothing more to a session that holds nothing. Returns whether it does hold nothing.
    pub fn close(&mut self, slot: SessionSlot) -> bool {
        let held = self.slots.get_mut(&slot).filter(|held| held.paths.is_empty());
        held.map(|held| held.closed = true).is_some()
    }

    /// A session that was to be ended is used again.
    pub fn reopen(&mut self, slot: SessionSlot) {
        if let Some(held) = self.slots.get_mut(&slot) {
            (held.closed, held.empty) = (false, held.paths.is_empty().then(Instant::now));
        }
    }

    /// A session has not been connected for a while, or is again: meanwhile nothing new is assigned to it.
    pub fn away(&mut self, slot: SessionSlot, away: bool) {
        if let Some(held) = self.slots.get_mut(&slot) {
            held.away = away;
        }
    }

    /// The limits that it was made with.
    pub fn limits(&self) -> SessionLimits {
        self.limits
    }

    /// How many paths a session holds.
    pub fn count(&self, slot: SessionSlot) -> usize {
        self.slots.get(&slot).map_or(0, |held| held.paths.len())
    }

    /// What is shown of the sessions that hold something, in a stable order.
    pub fn report(&self) -> Vec<Carrier> {
        let id =
            |slot: SessionSlot| self.ids.iter().find(|(_, of)| **of == Some(slot)).map(|(id, _)| format!("{id:#x}"));
        let bound = self.bound(self.total);
        let half = self.limits.path_bytes / 2;
        let limit = |bytes: usize| {
            let stages = STAGES.iter().map(|(halves, _)| half * halves);
            stages.filter(|stage| *stage >= bound && *stage >= bytes).min().unwrap_or_else(|| self.most())
        };
        let carrier = |(slot, held): (&SessionSlot, &SlotLoad)| Carrier {
            what: "session",
            id: id(*slot).unwrap_or_default(),
            records: held.paths.len(),
            bytes: held.bytes,
            limit: limit(held.bytes),
        };
        self.slots.iter().filter(|(_, held)| !held.paths.is_empty()).map(carrier).collect()
    }
}

#[cfg(test)]
mod tests;
