//! Writes that were made a moment ago: the same one is not made again before it could be seen.

use crate::kit::hash;
use causeway_core::{Change, InstanceId, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;
use tokio::time::Instant;

/// A write that is not seen is waited for twice as long each time, up to so many times.
pub(super) const MAX_TRIES: u32 = 5;

/// The latest writes of each scope. Small, since a first copy makes one for every record: of a change only a fingerprint is
/// kept, and each is forgotten once it has long been visible.
pub(super) struct RecentWrites {
    /// How long a write may take to be seen.
    visible: Duration,
    writes: BTreeMap<ServiceKey, Vec<RecentWrite>>,
    /// When something of a scope may be forgotten. At least one for each scope of `writes`.
    expiring: BTreeSet<(Instant, ServiceKey)>,
}

#[derive(Clone, Copy)]
struct RecentWrite {
    /// The record's id, by its hash.
    id: u64,
    at: Instant,
    tries: u32,
    change: u64,
}

impl RecentWrites {
    pub fn new(visible: Duration) -> Self {
        Self { visible, writes: BTreeMap::new(), expiring: BTreeSet::new() }
    }

    /// A change was accepted.
    pub fn made(&mut self, scope: &ServiceKey, id: &InstanceId, change: &Change, now: Instant) {
        let (id, change) = (hash(id), fingerprint(change));
        let writes = self.writes.entry(scope.clone()).or_default();
        let before = writes.iter().position(|last| last.id == id).map(|at| writes.swap_remove(at));
        let tries = before.filter(|last| last.change == change).map_or(0, |last| last.tries + 1);
        let write = RecentWrite { id, at: now, tries, change };
        writes.reserve_exact(1);
        writes.push(write);
        self.expiring.insert((self.forgotten(&write), scope.clone()));
    }

    /// Before when a change is not made again; `None`: it was not made a moment ago.
    pub fn not_before(&self, scope: &ServiceKey, id: &InstanceId, change: &Change) -> Option<Instant> {
        let id = hash(id);
        let last = self.writes.get(scope)?.iter().find(|last| last.id == id)?;
        (last.change == fingerprint(change)).then(|| last.at + self.visible * (1 << last.tries.min(MAX_TRIES)))
    }

    /// Forgets what could have been seen, and is not planned any more; `planned` are the hashes of ids.
    pub fn keep(&mut self, scope: &ServiceKey, planned: &BTreeSet<u64>, now: Instant) {
        let visible = self.visible;
        self.retain(scope, |last| planned.contains(&last.id) || now < last.at + visible);
    }

    /// Forgets what has long been visible, or has gone as it came.
    pub fn forget(&mut self, now: Instant) {
        while self.expiring.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, scope)) = self.expiring.pop_first() else { return };
            let visible = self.visible;
            self.retain(&scope, |last| now < expires(last, visible));
            let next = self.writes.get(&scope).and_then(|writes| writes.iter().map(|last| self.forgotten(last)).min());
            self.expiring.extend(next.map(|at| (at, scope)));
        }
    }

    /// When [`RecentWrites::forget`] has something to do.
    pub fn next(&self) -> Option<Instant> {
        self.expiring.first().map(|(at, _)| *at)
    }

    /// How many writes and times are remembered.
    pub fn len(&self) -> usize {
        self.writes.len() + self.expiring.len()
    }

    fn forgotten(&self, write: &RecentWrite) -> Instant {
        expires(write, self.visible)
    }

    fn retain(&mut self, scope: &ServiceKey, keep: impl FnMut(&RecentWrite) -> bool) {
        if let Some(writes) = self.writes.get_mut(scope) {
            writes.retain(keep);
            if writes.is_empty() {
                self.writes.remove(scope);
            }
        }
    }
}

/// After the time at which the same change may be made again: then it is known how often it was made in vain.
fn expires(write: &RecentWrite, visible: Duration) -> Instant {
    write.at + visible * (2 << write.tries.min(MAX_TRIES))
}

fn fingerprint(change: &Change) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(format!("{change:?}").as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::Instance;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_seen_is_made_again_later_each_time_and_then_forgotten() {
        let (second, scope) = (Duration::from_secs(1), ServiceKey::new("p", "g", "s"));
        let one = Instance::new("127.0.0.1", 1);
        let (create, other) = (Change::Create(one.clone()), Change::Create(one.clone().with(|one| one.weight = 2.0)));
        let mut recent = RecentWrites::new(second);
        let mut now = Instant::now();
        for wait in [1, 2, 4, 8, 16, 32, 32] {
            recent.made(&scope, &one.id, &create, now);
            assert_eq!(recent.not_before(&scope, &one.id(), &create), Some(now + second * wait));
            assert_eq!(recent.not_before(&scope, &one.id(), &other), None);
            now += second * wait;
            recent.forget(now);
        }
        recent.made(&scope, &one.id, &other, now);
        assert_eq!(recent.not_before(&scope, &one.id(), &other), Some(now + second));
        recent.forget(now + second);
        assert!(recent.not_before(&scope, &one.id(), &other).is_some());
        recent.forget(now + second * 100);
        assert_eq!((recent.len(), recent.next()), (0, None));
    }
}
