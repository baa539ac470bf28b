//! How long to wait before trying again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(1);

/// Doubles from 50 ms to 1 s, each time shortened by up to a half at random, so that many clients of one server do not
/// come back in step. Short, since a session's time may run.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(10)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        // A half where the system has no randomness.
        let random = getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX));
        full.mul_f64(0.5 + random / 2.0)
    }

    /// Begins anew after a success.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random index below `count`; 0 for none.
pub(super) fn random_index(count: usize) -> usize {
    match u32::try_from(count) {
        Ok(n) if n > 0 => (getrandom::u32().unwrap_or(0) % n) as usize,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_a_limit_and_begins_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits.iter().all(|wait| *wait <= LAST));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
        assert!((0..50).all(|_| random_index(3) < 3));
    }
}
