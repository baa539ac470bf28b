//! Leases that are kept alive by renewals at regular intervals.

mod keeper;
#[cfg(test)]
mod tests;

pub(crate) use keeper::{Keeper, Renewal};

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A renewal that is late by no more than this does not delay those after it: timers count in milliseconds.
const LAG: Duration = Duration::from_millis(20);

/// Where in a queue: the time, and a number that tells equal times apart.
type Slot = (Instant, u64);

/// Which leases there are, and when each is renewed next. Pure: the caller gives the time.
///
/// Leases with the same interval form a ring. Of `count` leases, the one with the earliest deadline is renewed every
/// `interval / count`, and none is due later than its deadline. So renewals are spread evenly, whenever leases were added: one
/// that is new, or whose neighbours have gone, is renewed early once, and then in its interval.
///
/// Invariant: each known lease is in one place, either in the queue of its ring, or in `exact`, or taken out by
/// [`Leases::pop`] until it is planned again, and counted as [`Ring::out`]. A ring of none does not exist.
pub(crate) struct Leases<K> {
    known: BTreeMap<K, Lease>,
    rings: BTreeMap<Duration, Ring<K>>,
    /// Renewed at a certain time, not earlier.
    exact: BTreeMap<Slot, K>,
    /// Renewals that were sent and not answered, with the time.
    under_way: BTreeMap<K, Instant>,
    serial: u64,
}

struct Lease {
    every: Duration,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Ring(Slot),
    Exact(Slot),
    /// Planned when its renewal has been answered.
    Out,
}

/// The leases with one interval.
struct Ring<K> {
    /// By deadline.
    queue: BTreeMap<Slot, K>,
    /// Those in [`Place::Out`].
    out: usize,
    /// When the last one was renewed, or the first one came.
    last: Instant,
}

impl<K> Default for Leases<K> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            rings: BTreeMap::new(),
            exact: BTreeMap::new(),
            under_way: BTreeMap::new(),
            serial: 0,
        }
    }
}

impl<K: Ord + Clone> Leases<K> {
    /// Keeps a lease alive that was granted or renewed just now: the next renewal is within `every`.
    pub fn keep(&mut self, key: K, every: Duration, now: Instant) {
        self.plan(key, every, now + every, now);
    }

    /// Renews a lease at this time and not before, and then in its interval.
    pub fn renew_at(&mut self, key: K, every: Duration, at: Instant) {
        self.remove(&key);
        self.serial += 1;
        let slot = (at, self.serial);
        self.exact.insert(slot, key.clone());
        self.known.insert(key, Lease { every, place: Place::Exact(slot) });
    }

    /// No longer keeps a lease. A renewal that is under way is not stopped.
    pub fn remove(&mut self, key: &K) {
        let Some(lease) = self.known.remove(key) else { return };
        if let Place::Exact(slot) = lease.place {
            self.exact.remove(&slot);
            return;
        }
        let Some(ring) = self.rings.get_mut(&lease.every) else { return };
        match lease.place {
            Place::Ring(slot) => drop(ring.queue.remove(&slot)),
            Place::Out | Place::Exact(_) => ring.out -= 1,
        }
        if ring.out == 0 && ring.queue.is_empty() {
            self.rings.remove(&lease.every);
        }
    }

    /// No longer keeps any.
    pub fn clear(&mut self) {
        self.known.clear();
        self.rings.clear();
        self.exact.clear();
    }

    /// When the next renewal is due.
    pub fn next(&self) -> Option<Instant> {
        self.first().map(|(at, _)| at)
    }

    /// A lease to renew now, if one is due. It is not returned again before [`Leases::renewed`] or [`Leases::failed`].
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        loop {
            let (_, ring) = self.first().filter(|(at, _)| *at <= now)?;
            let (_, key) = match ring {
                Some(every) => self.ring(every, now).pop(every, now)?,
                None => self.exact.pop_first()?,
            };
            let lease = self.known.get_mut(&key)?;
            lease.place = Place::Out;
            let every = lease.every;
            self.ring(every, now).out += 1;
            // Otherwise an earlier renewal has not been answered yet.
            if !self.under_way.contains_key(&key) {
                self.under_way.insert(key.clone(), now);
                return Some(key);
            }
        }
    }

    /// A renewal succeeded; the server may have asked for another interval. What the caller has planned since it was sent
    /// stands.
    pub fn renewed(&mut self, key: &K, every: Option<Duration>, now: Instant) {
        let Some((before, sent)) = self.answered(key) else { return };
        let every = every.unwrap_or(before);
        // The interval counts from the request on. A slow server still gets a rest after its answer.
        let deadline = (sent + every).max(now + every / 2);
        self.plan(key.clone(), every, deadline, now);
    }

    /// A renewal failed and is repeated at this time. What the caller has planned since it was sent stands.
    pub fn failed(&mut self, key: &K, again: Instant) {
        if let Some((every, _)) = self.answered(key) {
            self.renew_at(key.clone(), every, again);
        }
    }

    /// What was under way was dropped without an answer: it is due now.
    pub fn restart(&mut self, now: Instant) {
        self.under_way.clear();
        let out = self.known.iter().filter(|(_, lease)| matches!(lease.place, Place::Out));
        for (key, every) in out.map(|(key, lease)| (key.clone(), lease.every)).collect::<Vec<_>>() {
            self.renew_at(key, every, now);
        }
    }

    /// The interval of a lease that waits for this answer, and when its renewal was sent.
    fn answered(&mut self, key: &K) -> Option<(Duration, Instant)> {
        let sent = self.under_way.remove(key)?;
        let lease = self.known.get(key).filter(|lease| matches!(lease.place, Place::Out))?;
        Some((lease.every, sent))
    }

    fn plan(&mut self, key: K, every: Duration, deadline: Instant, now: Instant) {
        self.remove(&key);
        self.serial += 1;
        let slot = (deadline, self.serial);
        self.ring(every, now).queue.insert(slot, key.clone());
        self.known.insert(key, Lease { every, place: Place::Ring(slot) });
    }

    fn ring(&mut self, every: Duration, now: Instant) -> &mut Ring<K> {
        self.rings.entry(every).or_insert_with(|| Ring { queue: BTreeMap::new(), out: 0, last: now })
    }

    /// When and where the next renewal is due: in the ring of an interval, or in `exact`.
    fn first(&self) -> Option<(Instant, Option<Duration>)> {
        let exact = self.exact.first_key_value().map(|(slot, _)| (slot.0, None));
        self.rings.iter().filter_map(|(every, ring)| Some((ring.next(*every)?, Some(*every)))).chain(exact).min()
    }
}

impl<K> Ring<K> {
    /// When a lease is renewed although the earliest deadline is later. While most are out, those that are left are not renewed
    /// as often as all would be.
    fn turn(&self, every: Duration) -> Instant {
        let count = self.queue.len() + self.out.min(self.queue.len());
        self.last + every / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
    }

    fn next(&self, every: Duration) -> Option<Instant> {
        self.queue.first_key_value().map(|(slot, _)| slot.0.min(self.turn(every)))
    }

    fn pop(&mut self, every: Duration, now: Instant) -> Option<(Slot, K)> {
        self.last = self.turn(every).max(now.checked_sub(LAG).unwrap_or(now)).min(now);
        self.queue.pop_first()
    }
}
