//! Where the server's events go.
//!
//! An event only says «look again», so that all that is kept of a thousand events is the set of paths that they were
//! about, up to a limit; above it, all below the root is to be looked at again.

use super::paths::within;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Paths that are kept one by one.
const MOST_PATHS: usize = 50_000;
/// Subtrees that are kept one by one.
const MOST_LOOKS: usize = 1_000;

/// What is to be read again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Nodes that something happened to.
    pub(super) paths: BTreeSet<String>,
    /// Nodes to compare with all below them.
    pub(super) looks: BTreeSet<String>,
}

/// What changed below one root since it was last taken. Bounded.
#[derive(Debug)]
pub(super) struct DirtyPaths {
    pub(super) root: Arc<str>,
    work: Mutex<Work>,
    wake: Notify,
}

impl DirtyPaths {
    pub(super) fn new(root: Arc<str>) -> Arc<DirtyPaths> {
        Arc::new(DirtyPaths { root, work: Mutex::default(), wake: Notify::new() })
    }

    /// Something happened to this node.
    pub(super) fn mark(&self, path: String) {
        let mut work = self.work.lock();
        if work.looks.contains(&*self.root) {
            return;
        }
        work.paths.insert(path);
        if work.paths.len() > MOST_PATHS {
            work.paths.clear();
            work.looks = BTreeSet::from([self.root.to_string()]);
        }
        self.wake.notify_one();
    }

    /// Compare this node, and all below it.
    pub(super) fn look(&self, path: &str) {
        let mut work = self.work.lock();
        work.looks.insert(path.to_owned());
        if work.looks.len() > MOST_LOOKS {
            work.looks = BTreeSet::from([self.root.to_string()]);
        }
        self.wake.notify_one();
    }

    /// Takes all there is.
    pub(super) fn take(&self) -> Work {
        std::mem::take(&mut self.work.lock())
    }

    /// Returns when there may be something. Cancelling it loses nothing.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }
}

/// All who follow something through one session.
#[derive(Debug)]
pub(super) struct Followers {
    chroot: Arc<str>,
    followers: Mutex<Vec<Weak<DirtyPaths>>>,
}

impl Followers {
    pub(super) fn new(chroot: Arc<str>) -> Followers {
        Followers { chroot, followers: Mutex::default() }
    }

    pub(super) fn add(&self, dirty: &Arc<DirtyPaths>) {
        let mut followers = self.followers.lock();
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(Arc::downgrade(dirty));
    }

    /// Whether anybody else than `dirty` follows the same root.
    pub(super) fn shared(&self, dirty: &Arc<DirtyPaths>) -> bool {
        let same = |other: Arc<DirtyPaths>| other.root == dirty.root && !Arc::ptr_eq(&other, dirty);
        self.followers.lock().iter().filter_map(Weak::upgrade).any(same)
    }

    /// An event about a path of the server, chroot and all.
    pub(super) fn event(&self, path: String) {
        let path = match path.strip_prefix(&*self.chroot) {
            Some("") => "/".to_owned(),
            Some(_) if self.chroot.is_empty() => path,
            Some(rest) => rest.to_owned(),
            None => return,
        };
        for dirty in self.followers.lock().iter().filter_map(Weak::upgrade) {
            if within(&dirty.root, &path) {
                dirty.mark(path.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn events_reach_who_follows() {
        let followers = Followers::new("/lab".into());
        let (a, ab) = (DirtyPaths::new("/a".into()), DirtyPaths::new("/a/b".into()));
        followers.add(&a);
        followers.add(&ab);
        for path in ["/lab/a/b/c", "/lab/a/x", "/lab/a/x", "/lab/b", "/elsewhere/a"] {
            followers.event(path.to_owned());
        }
        assert_eq!(a.take(), Work { paths: set(&["/a/b/c", "/a/x"]), looks: set(&[]) });
        assert_eq!(ab.take().paths, set(&["/a/b/c"]));
        assert_eq!(a.take(), Work::default());
        assert!(!followers.shared(&a));
        let again = DirtyPaths::new("/a".into());
        followers.add(&again);
        assert!(followers.shared(&a));
        drop(again);
        assert!(!followers.shared(&a));
    }

    #[test]
    fn a_flood_becomes_one_look() {
        let dirty = DirtyPaths::new("/a".into());
        for n in 0..3 * MOST_PATHS {
            dirty.mark(format!("/a/{n}"));
        }
        assert_eq!(dirty.take(), Work { paths: set(&[]), looks: set(&["/a"]) });
        for n in 0..=MOST_LOOKS {
            dirty.look(&format!("/a/{n}"));
        }
        assert_eq!(dirty.take().looks, set(&["/a"]));
    }
}
