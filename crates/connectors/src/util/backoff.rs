//! How long to wait before trying again.

use std::time::Duration;

/// Doubles from a first wait to a last one, each time shortened by up to a half at random, so that many clients of one
/// server do not come back in step.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, failures: 0 }
    }

    /// The next wait.
    #[expect(clippy::should_implement_trait, reason = "a wait is no item of a sequence, and no loop goes over waits")]
    pub fn next(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(10)).min(self.last);
        self.failures = self.failures.saturating_add(1);
        // A half where the system has no randomness.
        let random = getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX));
        full.mul_f64(0.5 + random / 2.0)
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random index below `count`; 0 for none.
pub(crate) fn random_index(count: usize) -> usize {
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
        let (first, last) = (Duration::from_millis(200), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, last);
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] <= first && waits[0] >= first / 2);
        assert!(waits.iter().all(|wait| *wait <= last) && waits[39] >= last / 2);
        backoff.reset();
        assert!(backoff.next() <= first);
        assert!((0..50).all(|_| random_index(3) < 3));
    }
}
