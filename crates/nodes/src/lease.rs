//! Until when a node may write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that goes on while the machine or the process is suspended, and that nobody can set.
pub trait Clock: Send + Sync {
    /// The time since some moment in the past.
    fn now(&self) -> Duration;
}

/// The time since the machine was started, suspension included.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    }
}

/// This node's right to write what it holds. Clones are the same lease.
///
/// It is measured from the moment at which a beat was *sent*, so that it never ends later here than at the coordinator.
#[derive(Clone)]
pub struct Lease {
    clock: Arc<dyn Clock>,
    /// Nanoseconds on the clock.
    end: Arc<AtomicU64>,
}

impl Lease {
    /// A lease that has not begun.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, end: Arc::default() }
    }

    /// Whether a write may start now.
    pub fn is_valid(&self) -> bool {
        self.left() > Duration::ZERO
    }

    /// How much of it is left.
    pub fn left(&self) -> Duration {
        Duration::from_nanos(self.end.load(Ordering::SeqCst)).saturating_sub(self.clock.now())
    }

    /// The moment at which a beat is sent.
    pub(crate) fn sent(&self) -> Duration {
        self.clock.now()
    }

    /// The coordinator has accepted a beat that was sent at this moment.
    pub(crate) fn prolong(&self, sent: Duration, length: Duration) {
        let end = (sent + length).as_nanos();
        self.end.fetch_max(u64::try_from(end).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Ends it at once.
    pub(crate) fn end(&self) {
        self.end.store(0, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Hand(Mutex<Duration>);

    impl Clock for Hand {
        fn now(&self) -> Duration {
            *self.0.lock()
        }
    }

    #[test]
    fn it_ends_by_the_time_at_which_the_beat_was_sent() {
        let hand = Arc::new(Hand::default());
        let lease = Lease::new(hand.clone());
        assert!(!lease.is_valid());
        let sent = lease.sent();
        // The answer took two seconds.
        *hand.0.lock() += Duration::from_secs(2);
        lease.prolong(sent, Duration::from_secs(5));
        assert_eq!(lease.left(), Duration::from_secs(3));
        // An answer to an earlier beat that comes later shortens nothing.
        lease.prolong(sent, Duration::from_secs(1));
        assert_eq!(lease.left(), Duration::from_secs(3));
        // The process was frozen.
        *hand.0.lock() += Duration::from_secs(60);
        assert!(!lease.is_valid());
    }

    #[test]
    fn the_clock_goes_on() {
        let before = BootClock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(BootClock.now() > before && before > Duration::ZERO);
    }
}
