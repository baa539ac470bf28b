//! How far one side can be believed, part by part. Pure: time is given.

use causeway_core::{Fresh, Part};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// One side's parts.
#[derive(Default)]
pub(crate) struct Sight {
    parts: BTreeMap<Part, View>,
    /// Why the whole side cannot be read now.
    pub error: Option<String>,
}

struct View {
    /// The connection has not broken since this process first saw the part.
    calm: bool,
    /// Since when it is complete on this connection.
    complete: Option<Instant>,
    grown: Instant,
    /// Since when something is missing without a witness.
    missing: Instant,
    error: Option<String>,
}

impl View {
    fn settles_at(&self, settle: Duration) -> Option<Instant> {
        let complete = self.complete?;
        // It may settle later while it still grows, but an estate in normal motion must settle some time.
        Some((self.grown + settle).min(complete + 4 * settle).max(complete + settle))
    }
}

impl Sight {
    /// Whether a part is connected and complete.
    pub fn ready(&self, part: &Part) -> bool {
        self.parts.get(part).is_some_and(|view| view.complete.is_some())
    }

    /// Whether any part is.
    pub fn any_ready(&self) -> bool {
        self.parts.values().any(|view| view.complete.is_some())
    }

    /// When what is missing will be believed to be gone, if nothing grows or breaks; none while it is not even known.
    pub fn settles_at(&self, part: &Part, settle: Duration) -> Option<Instant> {
        self.parts.get(part)?.settles_at(settle)
    }

    pub fn fresh(&self, part: &Part, settle: Duration, now: Instant) -> Fresh {
        match self.settles_at(part, settle) {
            None => Fresh::Stale,
            Some(at) if now < at => Fresh::Settling,
            Some(_) => Fresh::Settled,
        }
    }

    /// Whether a removal that is told now counts as seen: on a settled connection, or on one that never broke.
    pub fn believed(&self, part: &Part, settle: Duration, now: Instant) -> bool {
        match self.fresh(part, settle, now) {
            Fresh::Stale => false,
            Fresh::Settling => self.parts.get(part).is_some_and(|view| view.calm),
            Fresh::Settled => true,
        }
    }

    /// Since when something is missing without a witness.
    pub fn missing_since(&self, part: &Part) -> Option<Instant> {
        self.parts.get(part).map(|view| view.missing)
    }

    /// The part is complete.
    pub fn complete(&mut self, part: &Part, now: Instant) {
        self.error = None;
        let first = !self.parts.contains_key(part);
        let view = self.parts.entry(part.clone()).or_insert(View {
            calm: true,
            complete: None,
            grown: now,
            missing: now,
            error: None,
        });
        view.error = None;
        if view.complete.is_none() {
            (view.complete, view.grown, view.missing, view.calm) = (Some(now), now, now, first);
        }
    }

    /// Something new stands there.
    pub fn grew(&mut self, part: &Part, now: Instant) {
        if let Some(view) = self.parts.get_mut(part) {
            view.grown = now;
        }
    }

    /// Something is missing, and nobody saw it go.
    pub fn misses(&mut self, part: &Part, now: Instant) {
        if let Some(view) = self.parts.get_mut(part) {
            view.missing = now;
        }
    }

    /// A part, or the whole side, cannot be read any more.
    pub fn lost(&mut self, part: Option<&Part>, error: &str, now: Instant) {
        let broken = |view: &mut View| (view.complete, view.calm) = (None, false);
        match part {
            None => {
                self.error = Some(error.to_owned());
                self.parts.values_mut().for_each(broken);
            }
            Some(part) => {
                let new = View { calm: false, complete: None, grown: now, missing: now, error: None };
                let view = self.parts.entry(part.clone()).or_insert(new);
                broken(view);
                view.error = Some(error.to_owned());
            }
        }
    }

    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.keys()
    }

    /// What cannot be read, in words.
    pub fn errors(&self) -> Vec<String> {
        let parts = self.parts.iter().filter_map(|(part, view)| Some(format!("{part}: {}", view.error.as_ref()?)));
        self.error.iter().cloned().chain(parts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_unsettles_and_ends_belief() {
        let (part, settle, start) = (Part::new("public"), Duration::from_secs(30), Instant::now());
        let second = |n: u64| start + Duration::from_secs(n);
        let mut sight = Sight::default();
        assert_eq!(sight.fresh(&part, settle, start), Fresh::Stale);
        sight.complete(&part, start);
        assert!(sight.believed(&part, settle, start), "first connection, never broken");
        sight.grew(&part, second(20));
        assert_eq!(sight.fresh(&part, settle, second(31)), Fresh::Settling);
        assert_eq!(sight.fresh(&part, settle, second(50)), Fresh::Settled);
        sight.lost(None, "gone", second(60));
        assert!(!sight.ready(&part) && !sight.believed(&part, settle, second(60)));
        sight.complete(&part, second(61));
        assert!(!sight.believed(&part, settle, second(62)) && sight.believed(&part, settle, second(91)));
    }
}
