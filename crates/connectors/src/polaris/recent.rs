//! What we wrote a moment ago, and discovery does not show yet.
//!
//! A server answers discovery from a cache that lags behind its store by a second or more. Until that is over, what we wrote is
//! shown as we wrote it: else a copy would seem to be missing right after it was made, and would be made again.

use causeway_core::{Instance, InstanceId, ServiceKey, Set};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long discovery may lag behind.
const LAG: Duration = Duration::from_secs(3);

/// The writes of the last moments. Clones of none exist: it is shared as it is.
#[derive(Default)]
pub(super) struct RecentWrites {
    kept: Mutex<Kept>,
    news: Notify,
}

#[derive(Default)]
struct Kept {
    notes: BTreeMap<ServiceKey, BTreeMap<InstanceId, Note>>,
    /// Services of which a write has come or gone since this was last asked.
    changed: BTreeSet<ServiceKey>,
}

struct Note {
    until: Instant,
    /// `None`: it was removed.
    record: Option<Instance>,
}

impl RecentWrites {
    /// Remembers a write that the server has accepted.
    pub fn note(&self, scope: &ServiceKey, id: InstanceId, record: Option<Instance>) {
        let mut kept = self.kept.lock();
        let note = Note { until: Instant::now() + LAG, record };
        kept.notes.entry(scope.clone()).or_default().insert(id, note);
        kept.changed.insert(scope.clone());
        drop(kept);
        self.news.notify_one();
    }

    /// Shows a service as we wrote it. A native instance has come after our write: it stays.
    pub fn lay_over(&self, set: &mut Set) {
        let kept = self.kept.lock();
        let now = Instant::now();
        let Some(notes) = kept.notes.get(&set.scope) else { return };
        for (id, note) in notes.iter().filter(|(_, note)| note.until > now) {
            if set.records.get(id).is_some_and(|held| held.native.is_some()) {
                continue;
            }
            set.records.remove(id);
            if let Some(record) = &note.record {
                set.put(record.clone());
            }
        }
    }

    /// What we wrote there a moment ago: `None`: nothing; `Some(false)`: it was removed.
    pub fn written(&self, scope: &ServiceKey, id: &InstanceId) -> Option<bool> {
        let kept = self.kept.lock();
        let note = kept.notes.get(scope)?.get(id).filter(|note| note.until > Instant::now())?;
        Some(note.record.is_some())
    }

    /// The services of a namespace that have a record only by what we wrote, or may have.
    pub fn scopes(&self, namespace: &str) -> Vec<ServiceKey> {
        let kept = self.kept.lock();
        kept.notes.keys().filter(|scope| *scope.namespace == *namespace).cloned().collect()
    }

    /// The services that are to be shown otherwise since this was last asked. What has been shown for long enough is forgotten.
    pub fn take_changed(&self) -> BTreeSet<ServiceKey> {
        let now = Instant::now();
        let mut kept = self.kept.lock();
        let Kept { notes, changed } = &mut *kept;
        notes.retain(|scope, notes| {
            let before = notes.len();
            notes.retain(|_, note| note.until > now);
            if notes.len() < before {
                changed.insert(scope.clone());
            }
            !notes.is_empty()
        });
        std::mem::take(changed)
    }

    /// Completes when something was written, or has been shown for long enough.
    pub async fn changed(&self) {
        let first = self.kept.lock().notes.values().flat_map(BTreeMap::values).map(|note| note.until).min();
        let ends = async {
            match first {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.news.notified() => {}
            () = ends => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{ClusterId, Mark, OwnerId};

    fn copy() -> Instance {
        Instance::new("10.0.0.1", 80)
            .with(|one| one.mark = Some(Mark::new(OwnerId::new("i", "t"), vec![ClusterId::of("a")])))
    }

    #[tokio::test(start_paused = true)]
    async fn what_we_wrote_is_shown_until_the_servers_have_caught_up() {
        let (writes, scope) = (RecentWrites::default(), ServiceKey::new("n", "g", "s"));
        let shown = |records: &[Instance]| {
            let mut set = Set::of(scope.clone(), records.to_vec());
            writes.lay_over(&mut set);
            set.records.into_values().flat_map(|held| held.native.into_iter().chain(held.copies)).collect::<Vec<_>>()
        };
        writes.note(&scope, copy().id(), Some(copy()));
        assert_eq!((shown(&[]), writes.take_changed().len()), (vec![copy()], 1));
        let native = copy().with(|one| one.mark = None);
        let natives = std::slice::from_ref(&native);
        assert_eq!(shown(natives), natives);
        writes.note(&scope, copy().id(), None);
        assert_eq!(shown(&[copy()]), []);
        assert_eq!((writes.take_changed().len(), writes.scopes("n").len(), writes.scopes("m").len()), (1, 1, 0));
        let begun = Instant::now();
        writes.changed().await;
        writes.changed().await;
        assert_eq!(begun.elapsed(), LAG, "the first is the news of the writes");
        assert_eq!((shown(&[copy()]), writes.take_changed().len()), (vec![copy()], 1));
        assert!(writes.take_changed().is_empty());
    }
}
