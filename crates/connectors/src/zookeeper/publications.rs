//! What this install has written: the proof, with a znode's session, that it is ours.

use super::carriers::Spread;
use super::client::{Acl, Create};
use super::layout;
use causeway_core::{Instance, InstanceId, Mark, OwnerId, ServiceKey};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
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

impl Published {
    /// What the znode is made with: `None` where the znode that the record came from has no data at all.
    pub fn body(&self) -> Option<&[u8]> {
        (!self.data.is_empty() || !layout::has_no_data(&self.record)).then_some(&*self.data)
    }

    /// How the znode is made.
    pub fn how<'a>(&self, acl: &'a [Acl]) -> Create<'a> {
        Create { ephemeral: self.record.ephemeral, acl }
    }
}

/// All znodes of ours in one cluster, by path. Clones share them.
#[derive(Clone)]
pub(super) struct Publications(Arc<PublicationsState>);

struct PublicationsState {
    install: Arc<str>,
    all: Mutex<All>,
    /// Never taken together with `all`.
    spread: Mutex<Spread>,
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
    /// What stood, or may have come to stand, before the last write of a record whose outcome is not known.
    doubts: BTreeMap<ServiceKey, Vec<(Arc<str>, Published)>>,
    /// Paths that are left to others, and until when.
    left: BTreeMap<Arc<str>, Instant>,
}

/// What others removed is not made again sooner: Curator registers a provider by removing what stands at its path and
/// creating it again, and gives up silently when we are quicker.
const TAKEN: Duration = Duration::from_millis(1500);
/// Where a native znode went that a shadow backs, nothing is made sooner: a provider that has lost its session comes back
/// with the same znode, and would first remove ours. The shadow serves as well.
const BACKED: Duration = Duration::from_secs(5);

impl Publications {
    pub fn new(install: Arc<str>, spread: Spread) -> Self {
        let spread = Mutex::new(spread);
        Self(Arc::new(PublicationsState { install, all: Mutex::default(), spread, listeners: Mutex::default() }))
    }

    /// Which of our sessions holds what. A new session is known here before anything can be written in it.
    pub fn spread(&self) -> MutexGuard<'_, Spread> {
        self.0.spread.lock()
    }

    /// Whether it is one of our sessions, or was.
    pub fn is_own(&self, session: i64) -> bool {
        self.spread().is_own(session)
    }

    /// Notes what stands at `path` for us now, or is about to. Returns what stood there before. Where the session is no
    /// proof, that may still be what stands, until [`Publications::sure`].
    pub fn put(&self, path: &str, published: Published) -> Option<Published> {
        let scope = published.scope.clone();
        let before = self.0.all.lock().put(path, published);
        self.tell(&scope);
        before
    }

    /// What was put at `path` stands there, and nothing else for the same record, whatever was seen meanwhile.
    pub fn sure(&self, path: &str, published: Published) {
        let mut all = self.0.all.lock();
        let (scope, id) = (published.scope.clone(), published.record.id());
        let otherwise = all.paths.get(path) != Some(&published);
        if otherwise {
            all.put(path, published);
        }
        all.sure(&scope, &id);
        drop(all);
        if otherwise {
            self.tell(&scope);
        }
    }

    /// Whether these data at `path` may be what we wrote earlier, though something else was put there.
    pub fn may_hold(&self, scope: &ServiceKey, path: &str, data: &[u8]) -> bool {
        let all = self.0.all.lock();
        let mut doubts = all.doubts.get(scope).into_iter().flatten();
        doubts.any(|(at, one)| **at == *path && !one.record.ephemeral && *one.data == *data)
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

    /// How long a path is still left to others.
    pub fn left_for(&self, path: &str) -> Option<Duration> {
        let until = *self.0.all.lock().left.get(path)?;
        Some(until.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    /// Whether any path may be left to others.
    pub fn leaves_any(&self) -> bool {
        !self.0.all.lock().left.is_empty()
    }

    /// Forgets `path`: nothing of ours stands there any more.
    pub fn forget(&self, path: &str) {
        let mut all = self.0.all.lock();
        let Some(gone) = all.take(path) else { return };
        all.sure(&gone.scope, &gone.record.id());
        drop(all);
        self.tell(&gone.scope);
    }

    pub fn get(&self, path: &str) -> Option<Published> {
        self.0.all.lock().paths.get(path).cloned()
    }

    /// Where a record of ours stands.
    pub fn path_of(&self, scope: &ServiceKey, id: &InstanceId) -> Option<Arc<str>> {
        self.0.all.lock().ids.get(scope)?.get(id).cloned()
    }

    /// Everything that is to be held by our sessions.
    pub fn ephemerals(&self) -> Vec<(Arc<str>, Published)> {
        let all = self.0.all.lock();
        let ephemeral = all.paths.iter().filter(|(_, one)| one.record.ephemeral);
        ephemeral.map(|(path, one)| (path.clone(), one.clone())).collect()
    }

    /// How the record at a path is to be seen: as a copy of ours where it is proven, else as it is.
    ///
    /// Proof is the session for an ephemeral znode, and for a persistent one that it still holds what we wrote. A znode of
    /// ours that is not remembered was written just before a crash.
    pub fn judge(&self, scope: &ServiceKey, path: &str, owner: i64, read: Instance, data: &[u8]) -> Instance {
        let own = self.is_own(owner);
        let mut all = self.0.all.lock();
        let lives = |one: &Published| if one.record.ephemeral { own } else { owner == 0 };
        if let Some(record) = all.found(scope, path, |one| lives(one) && *one.data == *data) {
            return record;
        }
        let published = all.paths.get(path);
        let same = published.is_some_and(|one| *one.data == *data);
        let ours = match owner {
            0 => same && published.is_some_and(|one| !one.record.ephemeral),
            _ => own,
        };
        match published {
            _ if !ours => read,
            Some(one) if same => one.record.clone(),
            Some(ours) => read.with(|read| {
                read.id = ours.record.id.clone();
                read.mark = ours.record.mark.clone();
            }),
            None => read.with_mark(Some(Mark::new(OwnerId::lost(&self.0.install), Vec::new()))),
        }
    }

    /// Returns a listener for all changes from now on.
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
    fn put(&mut self, path: &str, published: Published) -> Option<Published> {
        let before = self.take(path);
        let (path, scope, id): (Arc<str>, _, _) = (path.into(), published.scope.clone(), published.record.id());
        let proven = published.record.ephemeral;
        let old = self.ids.entry(scope).or_default().insert(id, path.clone());
        self.paths.insert(path.clone(), published);
        // One record stands at one path. What may still be at the other is nothing that we keep alive.
        let moved = old.filter(|old| *old != path).and_then(|old| Some((old.clone(), self.paths.remove(&old)?)));
        let doubtful = before.clone().map(|one| (path, one)).into_iter().chain(moved);
        for doubt in doubtful.filter(|(_, one)| !(proven && one.record.ephemeral)) {
            let doubts = self.doubts.entry(doubt.1.scope.clone()).or_default();
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
        before
    }

    fn sure(&mut self, scope: &ServiceKey, id: &InstanceId) {
        if let Some(doubts) = self.doubts.get_mut(scope) {
            doubts.retain(|(_, one)| one.record.id != *id);
            if doubts.is_empty() {
                self.doubts.remove(scope);
            }
        }
    }

    /// What stands at a path is what stood there before: that is known now.
    fn found(&mut self, scope: &ServiceKey, path: &str, stands: impl Fn(&Published) -> bool) -> Option<Instance> {
        let doubts = self.doubts.get(scope)?;
        if self.paths.get(path).is_some_and(&stands) {
            return None;
        }
        let (_, one) = doubts.iter().find(|(at, one)| **at == *path && stands(one))?.clone();
        let record = one.record.clone();
        self.put(path, one);
        Some(record)
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::carriers::{MAIN, SessionLimits};
    use crate::zookeeper::claim::Claim;
    use causeway_core::Error;

    fn one(data: &str, ephemeral: bool) -> Published {
        let mark = Some(Mark::new(OwnerId::new("i", "t"), Vec::new()));
        let record = Instance::new("127.0.0.1", 1).with(|one| one.ephemeral = ephemeral).with_mark(mark);
        Published { scope: ServiceKey::new("public", "g", "s"), record, data: data.as_bytes().into() }
    }

    fn publications() -> Publications {
        let mut spread = Spread::new(SessionLimits::default(), 1, 0);
        spread.own(7, MAIN);
        Publications::new("i".into(), spread)
    }

    fn is_ours(ours: &Publications, path: &str, owner: i64, data: &str) -> bool {
        let (scope, read) = (one("", false).scope, Instance::new("127.0.0.1", 1));
        ours.judge(&scope, path, owner, read, data.as_bytes()).mark().is_some()
    }

    #[test]
    fn without_an_answer_either_version_is_ours() {
        for (old, new) in [("/p", "/p"), ("/p", "/q")] {
            let ours = publications();
            ours.put(old, one("a", false));
            ours.put(new, one("b", false));
            for _ in 0..2 {
                assert!(is_ours(&ours, new, 0, "b") && is_ours(&ours, old, 0, "a"), "{old} {new}");
                assert_eq!(ours.path_of(&one("", false).scope, &one("", false).record.id()).as_deref(), Some(old));
            }
            assert!(!is_ours(&ours, new, 0, "c") && !is_ours(&ours, old, 0, "c"));
            ours.sure(new, one("b", false));
            assert!(is_ours(&ours, new, 0, "b") && !is_ours(&ours, old, 0, "a"), "{old} {new}");
            ours.forget(new);
            assert!(!is_ours(&ours, new, 0, "b"));
        }
    }

    #[test]
    fn a_refusal_leaves_what_stood_there() {
        let (ours, new) = (publications(), one("b", false));
        ours.put("/p", one("a", false));
        Claim::new(&ours, "/p", &new).end(&Err(Error::Conflict));
        assert!(is_ours(&ours, "/p", 0, "a") && !is_ours(&ours, "/p", 0, "b"));
        Claim::new(&ours, "/p", &new).end(&Err(Error::unavailable("no answer")));
        assert!(is_ours(&ours, "/p", 0, "a") && is_ours(&ours, "/p", 0, "b"));
        // What was seen in between does not count against the answer.
        let claim = Claim::new(&ours, "/p", &new);
        assert!(is_ours(&ours, "/p", 0, "a"));
        claim.end(&Ok(()));
        assert!(is_ours(&ours, "/p", 0, "b") && !is_ours(&ours, "/p", 0, "a"));
        let other = one("c", false);
        Claim::new(&ours, "/q", &other).end(&Err(Error::Conflict));
        assert!(!is_ours(&ours, "/q", 0, "c"));
    }

    #[test]
    fn a_session_needs_no_memory() {
        let (ours, new) = (publications(), one("b", true));
        ours.put("/p", one("a", true));
        drop(Claim::new(&ours, "/p", &new));
        assert_eq!(ours.get("/p"), Some(one("a", true)));
        assert!(is_ours(&ours, "/p", 7, "b") && !is_ours(&ours, "/p", 8, "a") && !is_ours(&ours, "/p", 0, "a"));
        assert!(ours.0.all.lock().doubts.is_empty());
    }
}
