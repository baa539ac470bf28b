//! What this install has written: the proof, with a znode's session, that it is ours.

use super::client::Status;
use causeway_core::{Instance, InstanceId, Mark, OwnerId, Record, ServiceKey};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// One znode of ours.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Published {
    pub scope: ServiceKey,
    /// As the plan wanted it, with its mark: it says more than a znode can hold. A shadow's mark has no path.
    pub record: Instance,
    /// What stands in the znode for it.
    pub data: Arc<[u8]>,
}

/// All znodes of ours in one cluster, by path. Clones share them.
#[derive(Clone)]
pub(super) struct Publications(Arc<Inner>);

struct Inner {
    install: Arc<str>,
    /// The present session: known here before anything can be read over it.
    status: watch::Receiver<Status>,
    all: Mutex<All>,
    listeners: Mutex<Vec<Weak<Touched>>>,
}

/// Services in which what is ours has changed, since they were last taken; each listener has its own.
#[derive(Default)]
pub(super) struct Touched {
    scopes: Mutex<BTreeSet<ServiceKey>>,
    news: Notify,
}

impl Touched {
    /// Waits until there are any, and takes them. Cancelling it loses nothing.
    pub async fn take(&self) -> BTreeSet<ServiceKey> {
        loop {
            let scopes = std::mem::take(&mut *self.scopes.lock());
            if !scopes.is_empty() {
                return scopes;
            }
            self.news.notified().await;
        }
    }
}

#[derive(Default)]
struct All {
    paths: BTreeMap<Arc<str>, Published>,
    ids: BTreeMap<ServiceKey, BTreeMap<InstanceId, Arc<str>>>,
    /// Sessions that were ours.
    sessions: BTreeSet<i64>,
    /// Paths that are left to somebody else, and until when.
    left: BTreeMap<Arc<str>, Instant>,
}

/// What somebody took away is not made again sooner: Curator registers a provider by removing what stands at its path and
/// making it anew, and gives up without a word when we are quicker.
const TAKEN: Duration = Duration::from_millis(1500);
/// Where a native znode went that a shadow backs, nothing is made sooner: a provider that has lost its session comes back
/// with the same znode, and would first remove ours. The shadow serves as well.
const BACKED: Duration = Duration::from_secs(5);

impl Publications {
    pub fn new(install: Arc<str>, status: watch::Receiver<Status>) -> Self {
        Self(Arc::new(Inner { install, status, all: Mutex::default(), listeners: Mutex::default() }))
    }

    /// Remembers a session as ours.
    pub fn own(&self, session: i64) {
        self.0.all.lock().sessions.insert(session);
    }

    /// Whether it is our session, or was.
    pub fn is_own(&self, session: i64) -> bool {
        session != 0
            && (self.0.status.borrow().session == Some(session) || self.0.all.lock().sessions.contains(&session))
    }

    /// Notes what stands at `path` for us now. Answers what stood there before.
    pub fn put(&self, path: &str, published: Published) -> Option<Published> {
        let mut all = self.0.all.lock();
        let before = all.take(path);
        let (path, scope): (Arc<str>, _) = (path.into(), published.scope.clone());
        let old = all.ids.entry(scope.clone()).or_default().insert(published.record.id(), path.clone());
        all.paths.insert(path.clone(), published);
        // One record stands at one path. What may still be at the other is nothing that we uphold.
        if let Some(old) = old.filter(|old| *old != path) {
            all.paths.remove(&old);
        }
        drop(all);
        self.tell(&scope);
        before
    }

    /// The znode at `path` has gone, and not because our session ended. `alias`: the path of its shadow, if it had one.
    pub fn gone(&self, path: &str, alias: Option<&str>) {
        let mut all = self.0.all.lock();
        let ours = |path: &str| all.paths.get(path).is_some_and(|one| one.record.ephemeral);
        let wait = match alias {
            _ if ours(path) => TAKEN,
            Some(alias) if ours(alias) => BACKED,
            _ => return,
        };
        let now = Instant::now();
        all.left.retain(|_, until| now < *until);
        all.left.insert(path.into(), now + wait);
    }

    /// How long a path is still left to somebody else.
    pub fn left_for(&self, path: &str) -> Option<Duration> {
        let until = *self.0.all.lock().left.get(path)?;
        Some(until.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    /// Nothing of ours stands at `path` any more.
    pub fn forget(&self, path: &str) {
        let gone = self.0.all.lock().take(path);
        if let Some(gone) = gone {
            self.tell(&gone.scope);
        }
    }

    pub fn get(&self, path: &str) -> Option<Published> {
        self.0.all.lock().paths.get(path).cloned()
    }

    /// Where a record of ours stands.
    pub fn path_of(&self, scope: &ServiceKey, id: &InstanceId) -> Option<Arc<str>> {
        self.0.all.lock().ids.get(scope)?.get(id).cloned()
    }

    /// Everything that shall stand under our session.
    pub fn ephemerals(&self) -> Vec<(Arc<str>, Published)> {
        let all = self.0.all.lock();
        let ephemeral = all.paths.iter().filter(|(_, one)| one.record.ephemeral);
        ephemeral.map(|(path, one)| (path.clone(), one.clone())).collect()
    }

    /// How the record at a path is to be seen: as a copy of ours where it is proven, else as it is.
    ///
    /// Proof is the session for an ephemeral znode, and for a persistent one that it still holds what we wrote. A znode of
    /// ours that is not remembered was written just before a crash.
    pub fn judge(&self, path: &str, owner: i64, read: Instance, data: &[u8]) -> Instance {
        let own = self.is_own(owner);
        let all = self.0.all.lock();
        let published = all.paths.get(path);
        let same = published.is_some_and(|one| *one.data == *data);
        let ours = match owner {
            0 => same && published.is_some_and(|one| !one.record.ephemeral),
            _ => own,
        };
        match published {
            _ if !ours => read,
            Some(one) if same => one.record.clone(),
            Some(one) => Instance { id: one.record.id.clone(), ..read.with_mark(one.record.mark.clone()) },
            None => read.with_mark(Some(Mark { owner: OwnerId::lost(&self.0.install), path: Vec::new() })),
        }
    }

    /// What is told from now on.
    pub fn listen(&self) -> Arc<Touched> {
        let listener = Arc::<Touched>::default();
        let mut listeners = self.0.listeners.lock();
        listeners.retain(|one| one.strong_count() > 0);
        listeners.push(Arc::downgrade(&listener));
        listener
    }

    fn tell(&self, scope: &ServiceKey) {
        for listener in self.0.listeners.lock().iter().filter_map(Weak::upgrade) {
            listener.scopes.lock().insert(scope.clone());
            listener.news.notify_one();
        }
    }
}

impl All {
    fn take(&mut self, path: &str) -> Option<Published> {
        let gone = self.paths.remove(path)?;
        if let Some(ids) = self.ids.get_mut(&gone.scope) {
            if ids.get(&gone.record.id).is_some_and(|at| **at == *path) {
                ids.remove(&gone.record.id);
            }
            if ids.is_empty() {
                self.ids.remove(&gone.scope);
            }
        }
        Some(gone)
    }
}
