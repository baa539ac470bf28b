//! The cases of `zk_client.rs`, and what they share.

pub mod bench;
pub mod calls;
pub mod ensemble;
pub mod life;
pub mod rights;
pub mod spread;
pub mod tls;
pub mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use causeway_connectors::zookeeper::client::{
    Options, Phase, SavedSession, Session, SessionKeeper, SessionStatus, Tree, TreeNews, TreeNode, WireError,
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::timeout;

/// Something that ought to come soon.
pub const SOON: Duration = Duration::from_secs(20);

/// Keeps what it is told, as a store would.
#[derive(Default)]
pub struct Keeper {
    saved: Mutex<Vec<SavedSession>>,
    /// How long that takes.
    pub slow: Mutex<Duration>,
}

impl SessionKeeper for Keeper {
    fn save(&self, saved: &SavedSession) -> bool {
        self.saved.lock().push(saved.clone());
        true
    }

    fn kept(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(*self.slow.lock()))
    }
}

impl Keeper {
    /// All sessions so far.
    pub fn all(&self) -> Vec<SavedSession> {
        self.saved.lock().clone()
    }

    pub fn last(&self) -> Option<SavedSession> {
        self.saved.lock().last().cloned()
    }
}

/// Options with a short session.
pub fn options(address: &str) -> Options {
    Options { session_timeout: Duration::from_secs(6), ..Options::new(vec![address.to_owned()]) }
}

/// A session that is connected.
pub async fn open(options: Options) -> Result<Session> {
    let session = Session::open(options)?;
    reach(&session, |status| status.phase == Phase::Connected).await?;
    Ok(session)
}

/// Waits for a status.
pub async fn reach(session: &Session, wanted: impl FnMut(&SessionStatus) -> bool) -> Result<SessionStatus> {
    let mut status = session.status();
    let reached = timeout(SOON, status.wait_for(wanted)).await;
    match reached {
        Ok(reached) => Ok(reached?.clone()),
        Err(_) => bail!("not reached, but {:?}", session.status().borrow().clone()),
    }
}

/// A root that nobody else uses.
pub fn own_root(name: &str) -> String {
    format!("/{name}-{}", uuid::Uuid::new_v4().simple())
}

/// What a reader of a tree knows.
#[derive(Default)]
pub struct View {
    pub nodes: BTreeMap<Arc<str>, TreeNode>,
    pub denied: BTreeMap<Arc<str>, WireError>,
    /// `None` before the first, and after every loss.
    pub resets: usize,
    pub changes: usize,
    pub lost: Vec<WireError>,
    /// All paths that a change called gone.
    pub gone: Vec<Arc<str>>,
}

impl View {
    pub fn take(&mut self, news: TreeNews) {
        match news {
            TreeNews::Reset(listing) => {
                self.resets += 1;
                self.nodes = listing.nodes.into_iter().map(|node| (Arc::clone(&node.path), node)).collect();
                self.denied = listing.denied;
            }
            TreeNews::Changed(changes) => {
                self.changes += 1;
                for (path, node) in changes.nodes {
                    self.denied.remove(&path);
                    match node {
                        Some(node) => {
                            self.nodes.insert(path, node);
                        }
                        None => {
                            self.nodes.remove(&path);
                            self.gone.push(path);
                        }
                    }
                }
                self.denied.extend(changes.denied);
            }
            TreeNews::Lost(error) => self.lost.push(error),
        }
    }

    /// Reads until `enough`.
    pub async fn until(&mut self, tree: &mut Tree, enough: impl Fn(&View) -> bool) -> Result<()> {
        let reading = async {
            while !enough(self) {
                match tree.next().await {
                    Some(news) => self.take(news),
                    None => bail!("the tree ended"),
                }
            }
            Ok(())
        };
        match timeout(SOON * 2, reading).await {
            Ok(result) => result,
            Err(_) => bail!(
                "not seen: {} nodes, {} resets, {} changes, lost {:?}, last {:?}",
                self.nodes.len(),
                self.resets,
                self.changes,
                self.lost,
                self.nodes.keys().rev().take(20).collect::<Vec<_>>()
            ),
        }
    }

    /// True when nothing comes for `time`.
    pub async fn quiet(&mut self, tree: &mut Tree, time: Duration) -> bool {
        match timeout(time, tree.next()).await {
            Ok(news) => {
                println!("not quiet: {news:?}");
                news.into_iter().for_each(|news| self.take(news));
                false
            }
            Err(_) => true,
        }
    }

    pub fn paths(&self) -> Vec<&str> {
        self.nodes.keys().map(|path| &**path).collect()
    }

    pub fn text(&self, path: &str) -> Option<String> {
        let data = self.nodes.get(path)?.data.as_ref()?;
        Some(String::from_utf8_lossy(data).into_owned())
    }
}
