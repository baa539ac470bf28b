//! How much one cluster is sent at once and per second, by everything that writes to it: services and config entries, of all
//! tasks.

use causeway_core::{ClusterId, Limits};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often a waiting request looks whether the limits have changed.
const LOOK: Duration = Duration::from_secs(1);

/// The pacers of all clusters. Clones share them.
#[derive(Clone, Default)]
pub struct Pacers(Arc<Mutex<BTreeMap<ClusterId, Weak<Pacer>>>>);

impl Pacers {
    /// The one pacer of a cluster.
    pub(crate) fn of(&self, cluster: &ClusterId) -> Arc<Pacer> {
        let mut pacers = self.0.lock();
        if let Some(pacer) = pacers.get(cluster).and_then(Weak::upgrade) {
            return pacer;
        }
        let pacer = Arc::new(Pacer::default());
        pacers.retain(|_, pacer| pacer.strong_count() > 0);
        pacers.insert(cluster.clone(), Arc::downgrade(&pacer));
        pacer
    }
}

/// What is written. Each lane has its own limits, and its own queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Services = 0,
    Entries = 1,
}

/// Counts the calls to one cluster.
///
/// Of the calls that write, each lane has at most its own `in_flight` under way, and both together at most the larger of the
/// two; a lane leaves one place to the other. Requests of both together stay below the lower `per_second`. Limits are read
/// anew for every call.
#[derive(Default)]
pub(crate) struct Pacer {
    state: Mutex<PaceState>,
    /// A place has become free.
    freed: Notify,
    /// Who comes first in a lane goes first.
    queues: [tokio::sync::Mutex<()>; 2],
    /// Held by the one whose requests are next.
    clock: tokio::sync::Mutex<()>,
    pub writes: [BatchSize; 2],
    pub reads: BatchSize,
}

#[derive(Default)]
struct PaceState {
    limits: [Option<Limits>; 2],
    active: [usize; 2],
    /// When requests were last sent, and how many.
    sent: Option<(Instant, u32)>,
}

impl PaceState {
    fn in_flight(&self, lane: usize) -> Option<usize> {
        self.limits[lane].as_ref().map(|limits| limits.in_flight.max(1))
    }

    fn admit(&mut self, lane: Lane) -> bool {
        let lane = lane as usize;
        let own = self.in_flight(lane).unwrap_or(1);
        let most = own.max(self.in_flight(1 - lane).unwrap_or_default());
        let spare = usize::from(most > 1 && self.limits[1 - lane].is_some());
        let free = self.active[lane] < own.min(most - spare) && self.active[0] + self.active[1] < most;
        self.active[lane] += usize::from(free);
        free
    }

    fn per_second(&self) -> Option<u32> {
        self.limits.iter().flatten().filter_map(|limits| limits.per_second).min().map(|rate| rate.max(1))
    }

    /// When the next request may be sent.
    fn next(&self) -> Option<Instant> {
        let (rate, (at, count)) = (self.per_second()?, self.sent?);
        Some(at + Duration::from_secs(u64::from(count)) / rate)
    }
}

impl Pacer {
    /// Waits for a place among the calls that are under way.
    pub async fn enter(self: Arc<Self>, lane: Lane, limits: Limits) -> Permit {
        self.learn(lane, limits);
        {
            let _turn = self.queues[lane as usize].lock().await;
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                if self.state.lock().admit(lane) {
                    break;
                }
                freed.await;
            }
        }
        Permit { pacer: self, lane, paid: 0 }
    }

    fn learn(&self, lane: Lane, limits: Limits) {
        self.state.lock().limits[lane as usize] = Some(limits);
        // There may be more places now.
        self.freed.notify_waiters();
    }
}

/// One place among the calls to a cluster; dropping it frees the place.
pub(crate) struct Permit {
    pacer: Arc<Pacer>,
    lane: Lane,
    /// Requests that may be sent now.
    paid: u32,
}

impl Permit {
    /// What the cluster can take now.
    pub fn learn(&self, limits: Limits) {
        self.pacer.learn(self.lane, limits);
    }

    /// How many items are sent in one call of at most `most`.
    pub fn batch(&self, most: usize) -> usize {
        self.writes().size(most)
    }

    pub fn writes(&self) -> &BatchSize {
        &self.pacer.writes[self.lane as usize]
    }

    /// Most requests that may be sent in one go.
    pub fn burst(&self) -> usize {
        self.pacer.state.lock().per_second().map_or(usize::MAX, |rate| rate as usize)
    }

    /// Waits until `count` requests may be sent.
    pub async fn pay(&mut self, count: u32) {
        let count = count.saturating_sub(self.paid);
        if count == 0 {
            return;
        }
        let _turn = self.pacer.clock.lock().await;
        loop {
            let now = Instant::now();
            let next = {
                let mut state = self.pacer.state.lock();
                let next = state.next().filter(|next| *next > now);
                if next.is_none() {
                    state.sent = state.per_second().map(|_| (now, count));
                }
                next
            };
            match next {
                Some(next) => tokio::time::sleep_until(next.min(now + LOOK)).await,
                None => break,
            }
        }
        self.paid += count;
    }

    /// These requests are sent.
    pub fn spend(&mut self, count: u32) {
        self.paid = self.paid.saturating_sub(count);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.pacer.state.lock();
            state.active[self.lane as usize] -= 1;
            // What was not sent does not make others wait.
            if let Some((_, count)) = &mut state.sent {
                *count = count.saturating_sub(self.paid);
            }
        }
        self.pacer.freed.notify_waiters();
    }
}

/// How many items one call to a cluster can have: fewer after a call that did not return in time, more again after quick ones.
pub(crate) struct BatchSize(Mutex<usize>);

impl Default for BatchSize {
    fn default() -> Self {
        Self(Mutex::new(usize::MAX))
    }
}

impl BatchSize {
    pub fn size(&self, most: usize) -> usize {
        (*self.0.lock()).min(most).max(1)
    }

    /// A call with `count` items returned.
    pub fn returned(&self, count: usize, quickly: bool) {
        let mut size = self.0.lock();
        if quickly && count >= *size {
            *size = size.saturating_mul(2);
        }
    }

    /// A call with `count` items did not.
    pub fn failed(&self, count: usize) {
        let mut size = self.0.lock();
        if count > 1 {
            *size = (*size).min(count / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn limits(in_flight: usize, per_second: Option<u32>) -> Limits {
        Limits { in_flight, per_second, ..Limits::default() }
    }

    fn try_enter(pacer: &Arc<Pacer>, lane: Lane, limits: Limits) -> Option<Permit> {
        pacer.clone().enter(lane, limits).now_or_never()
    }

    #[tokio::test]
    async fn places_are_counted_together() {
        let pacer = Pacers::default().of(&ClusterId::of("a"));
        let first = try_enter(&pacer, Lane::Entries, limits(2, None)).unwrap();
        let services: Vec<_> = std::iter::from_fn(|| try_enter(&pacer, Lane::Services, limits(4, None))).collect();
        assert_eq!(services.len(), 3);
        assert!(try_enter(&pacer, Lane::Entries, limits(2, None)).is_none());
        drop(first);
        assert!(try_enter(&pacer, Lane::Services, limits(4, None)).is_none(), "one place is left for entries");
        let first = try_enter(&pacer, Lane::Entries, limits(2, None));
        assert!(first.is_some());
        drop((services, first));
        assert!(try_enter(&pacer, Lane::Services, limits(1, None)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn more_places_are_used_at_once() {
        let pacer = Pacers::default().of(&ClusterId::of("a"));
        let one = try_enter(&pacer, Lane::Services, limits(1, None)).unwrap();
        let waits = pacer.clone().enter(Lane::Services, limits(1, None));
        let raise = async { one.learn(limits(2, None)) };
        let (_two, ()) = tokio::join!(waits, raise);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_counted_together_and_by_the_limit_of_now() {
        let pacers = Pacers::default();
        let (a, again) = (pacers.of(&ClusterId::of("a")), pacers.of(&ClusterId::of("a")));
        let (began, at) = (Instant::now(), |began: Instant| began.elapsed().as_millis());
        let mut services = a.enter(Lane::Services, limits(9, Some(10))).await;
        services.pay(1).await;
        services.spend(1);
        let mut entries = again.clone().enter(Lane::Entries, limits(9, None)).await;
        assert_eq!(entries.burst(), 10);
        entries.pay(5).await;
        assert_eq!(at(began), 100);
        services.pay(1).await;
        assert_eq!(at(began), 600);
        drop(services);
        drop(entries);
        let mut unspent = again.clone().enter(Lane::Services, limits(9, Some(1))).await;
        unspent.pay(1).await;
        assert_eq!(at(began), 600, "what was not sent costs nothing");
        unspent.spend(1);
        unspent.learn(limits(9, None));
        unspent.pay(100).await;
        assert_eq!(at(began), 600);
    }

    #[test]
    fn calls_get_smaller_when_they_fail_and_larger_when_they_are_quick() {
        let batch = BatchSize::default();
        assert_eq!(batch.size(1_000), 1_000);
        batch.failed(1_000);
        assert_eq!(batch.size(1_000), 500);
        batch.returned(500, false);
        batch.returned(100, true);
        assert_eq!(batch.size(1_000), 500);
        batch.returned(500, true);
        assert_eq!((batch.size(1_000), batch.size(0)), (1_000, 1));
        batch.failed(1);
        assert_eq!(batch.size(1_000), 1_000, "it was not too large");
        batch.failed(3);
        assert_eq!(batch.size(1_000), 1);
    }
}
