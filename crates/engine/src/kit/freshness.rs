//! How far what a connection shows of one part can be believed. Pure: time is given.

use causeway_core::Fresh;
use std::time::Duration;
use tokio::time::Instant;

/// One part of a cluster, by how long its connection has held.
pub(crate) struct Freshness {
    /// The connection has not broken since this process first saw the part.
    calm: bool,
    /// Since when it is complete on this connection; `None`: it is not connected, or not complete yet.
    complete: Option<Instant>,
    /// When something came last.
    grown: Instant,
    /// Since when something is missing without a witness.
    missing: Instant,
}

impl Freshness {
    pub fn new(now: Instant) -> Self {
        Self { calm: true, complete: None, grown: now, missing: now }
    }

    /// Whether the part is connected and complete.
    pub fn is_ready(&self) -> bool {
        self.complete.is_some()
    }

    /// When what is missing will be believed to be gone, if nothing grows or breaks; `None` while the part is not ready.
    pub fn settles_at(&self, settle: Duration) -> Option<Instant> {
        let complete = self.complete?;
        // It may settle later while it still grows, but an estate in normal motion must settle some time.
        Some((self.grown + settle).min(complete + 4 * settle).max(complete + settle))
    }

    pub fn at(&self, settle: Duration, now: Instant) -> Fresh {
        match self.settles_at(settle) {
            None => Fresh::Stale,
            Some(at) if now < at => Fresh::Settling,
            Some(_) => Fresh::Settled,
        }
    }

    /// Whether a removal that is reported now counts as seen: on a settled connection, or on one that never broke.
    pub fn believes(&self, settle: Duration, now: Instant) -> bool {
        match self.at(settle, now) {
            Fresh::Stale => false,
            Fresh::Settling => self.calm,
            Fresh::Settled => true,
        }
    }

    /// Since when something is missing without a witness.
    pub fn missing_since(&self) -> Instant {
        self.missing
    }

    /// Everything in the part has been reported. A part that is ready already stays settled.
    pub fn complete(&mut self, now: Instant) {
        if self.complete.is_none() {
            (self.complete, self.grown, self.missing) = (Some(now), now, now);
        }
    }

    /// The part cannot be read any more.
    pub fn break_off(&mut self) {
        (self.complete, self.calm) = (None, false);
    }

    /// Something new stands there.
    pub fn grew(&mut self, now: Instant) {
        self.grown = now;
    }

    /// Something is missing, and nobody saw it go.
    pub fn misses(&mut self, now: Instant) {
        self.missing = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_unsettles_and_ends_belief() {
        let (settle, start) = (Duration::from_secs(30), Instant::now());
        let second = |n: u64| start + Duration::from_secs(n);
        let mut part = Freshness::new(start);
        assert_eq!(part.at(settle, start), Fresh::Stale);
        part.complete(start);
        assert!(part.believes(settle, start), "first connection, never broken");
        part.grew(second(20));
        assert_eq!(part.at(settle, second(31)), Fresh::Settling);
        assert_eq!(part.at(settle, second(50)), Fresh::Settled);
        part.break_off();
        assert!(!part.is_ready() && !part.believes(settle, second(60)));
        part.complete(second(61));
        assert!(!part.believes(settle, second(62)) && part.believes(settle, second(91)));
    }
}
