//! Follows one subtree.
//!
//! One recursive watch is set before anything is listed, so that nothing is missed; every event marks a path, and
//! marked paths are read again. Servers before 3.6 have no such watch: there, every node gets watches of its own, which
//! fire once and are set again by the next read. Watches end with their connection, so that after every reconnection
//! the whole is listed again; bodies are read again only where they changed.

mod follower;
mod model;
mod walk;

use self::follower::Follower;
use super::error::{Result, WireError};
use super::followers::DirtyPaths;
use super::paths::check_path;
use super::proto::op;
use super::session::Session;
use super::types::Stat;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Whether to list the children of the node at this path. Asked for every node but the root, often.
pub type Descend = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What to follow. [`TreeOptions::new`] follows everything below the root, with its data.
#[derive(Clone)]
pub struct TreeOptions {
    /// The root, which need not exist.
    pub root: String,
    /// A node that this refuses is part of the tree, but what is below it is not.
    pub descend: Descend,
    /// Read the nodes' data.
    pub bodies: bool,
    /// Which watches to use.
    pub watches: Watches,
}

impl TreeOptions {
    /// All below `root`, with data.
    pub fn new(root: &str) -> TreeOptions {
        TreeOptions { root: root.to_owned(), descend: Arc::new(|_| true), bodies: true, watches: Watches::Best }
    }
}

/// Which watches to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watches {
    /// One recursive watch where the server has them.
    #[default]
    Best,
    /// Watches of its own for every node, as for servers before 3.6. Elsewhere not to be mixed with [`Watches::Best`]
    /// on one session, since a server forgets both kinds together.
    Single,
}

/// A node as it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// Where it is, below the chroot.
    pub path: Arc<str>,
    /// Its stat. `children`, `cversion` and `pzxid` are as of the last reading of the node itself, and comings and
    /// goings of children alone are no reason to read it.
    pub stat: Stat,
    /// Its data; `None` for a node without data, when bodies are not asked for, and when it may not be read.
    pub data: Option<Bytes>,
}

/// News of a subtree.
#[derive(Clone, Debug)]
pub enum TreeNews {
    /// Everything there is: after every connection, and the only proof of completeness. A root that does not exist is
    /// an empty listing.
    Reset(TreeListing),
    /// What changed since.
    Changed(TreeChanges),
    /// Nothing is known from now on until the next [`TreeNews::Reset`]: no connection, or the root may not be read.
    Lost(WireError),
}

/// All nodes of a subtree.
#[derive(Clone, Debug, Default)]
pub struct TreeListing {
    /// The nodes, the root among them, by path.
    pub nodes: Vec<TreeNode>,
    /// Nodes that may not be read: neither they nor what is below them is known. Servers before 3.9 tell their stat, so
    /// that they are in `nodes` too, without data.
    pub denied: BTreeMap<Arc<str>, WireError>,
}

/// What changed in a subtree.
#[derive(Clone, Debug, Default)]
pub struct TreeChanges {
    /// The node as it is now; `None`: it is gone, as the server says.
    pub nodes: BTreeMap<Arc<str>, Option<TreeNode>>,
    /// Nodes that turned out not to be readable. What is known of them and below them is no longer certain. When one
    /// can be read again it comes in `nodes`, and is not in here.
    pub denied: BTreeMap<Arc<str>, WireError>,
}

impl TreeChanges {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.denied.is_empty()
    }
}

/// The news of one subtree. Dropping it ends the watch.
///
/// A reader that is slow costs nothing but time: what happens meanwhile is kept as a bounded set of paths, and told as
/// one [`TreeChanges`] when it is ready.
pub struct Tree {
    news: mpsc::Receiver<TreeNews>,
    looker: TreeLooker,
    session: Session,
    watches: Watches,
    _task: JoinSet<()>,
}

impl Session {
    /// Follows a subtree. Must be called within a tokio runtime. Errors: `Rejected` for a root that is no path.
    pub fn tree(&self, options: TreeOptions) -> Result<Tree> {
        check_path(&options.root)?;
        let dirty = DirtyPaths::new(options.root.as_str().into());
        self.followers().add(&dirty);
        let (sender, news) = mpsc::channel(1);
        let watches = options.watches;
        let mut task = JoinSet::new();
        task.spawn(Follower::new(self.clone(), options, Arc::clone(&dirty), sender).run());
        Ok(Tree { news, looker: TreeLooker { dirty }, session: self.clone(), watches, _task: task })
    }
}

impl Tree {
    /// The next news; `None`: the session was closed for good. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<TreeNews> {
        self.news.recv().await
    }

    /// A handle to ask for a look while the tree is being read.
    pub fn looker(&self) -> TreeLooker {
        self.looker.clone()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let dirty = &self.looker.dirty;
        if self.watches == Watches::Best
            && let Ok(wire) = self.session.wire()
            && wire.features.knows(op::ADD_WATCH)
            && !self.session.followers().shared(dirty)
        {
            wire.unwatch(&dirty.root);
        }
    }
}

/// Asks a tree to compare what it knows with the server. Changes of access lists come without an event, and so does
/// what happens to nodes that may not be read.
#[derive(Clone, Debug)]
pub struct TreeLooker {
    dirty: Arc<DirtyPaths>,
}

impl TreeLooker {
    /// Compares the node and all below it, or the whole tree, slowly. What differs comes as [`TreeNews::Changed`];
    /// nothing comes where nothing differs.
    pub fn look(&self, path: Option<&str>) {
        self.dirty.look(path.unwrap_or(&self.dirty.root));
    }
}
