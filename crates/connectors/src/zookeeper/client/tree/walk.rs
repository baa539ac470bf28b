//! Reads nodes and what is below them, many at a time.

use super::super::error::{Result, WireError};
use super::super::paths::join;
use super::super::types::Stat;
use super::super::wire::Wire;
use super::model::Model;
use super::{TreeNode, TreeOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct WalkResult {
    pub(super) nodes: BTreeMap<Arc<str>, TreeNode>,
    /// Nodes that could not be read, for a reason that lies with them.
    pub(super) denied: BTreeMap<Arc<str>, WireError>,
    pub(super) gone: Vec<Arc<str>>,
    /// Names of all children, of nodes whose children were asked for.
    pub(super) listed: BTreeMap<Arc<str>, Vec<String>>,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only the given nodes, which something happened to.
    Touched,
    /// The given nodes, the names of their children, and all below those that were not known.
    Unknown,
    /// All below the given nodes.
    All,
}

/// One reading.
pub(super) struct Walk<'a> {
    pub(super) wire: &'a Wire,
    pub(super) options: &'a TreeOptions,
    pub(super) model: &'a Model,
    /// Set watches with every read.
    pub(super) single: bool,
    pub(super) depth: Depth,
    /// Nodes that are read at a time.
    pub(super) at_a_time: usize,
}

/// One node as it was read.
struct ReadNode {
    path: Arc<str>,
    node: Option<TreeNode>,
    names: Option<Vec<String>>,
    denied: Option<WireError>,
}

type Whole = (Stat, Option<Bytes>, Option<Vec<String>>);

impl Walk<'_> {
    /// Reads; errors when anything but the nodes themselves is in the way.
    pub(super) async fn run(&self, start: impl IntoIterator<Item = Arc<str>>) -> Result<WalkResult> {
        let mut queue: VecDeque<Arc<str>> = start.into_iter().collect();
        let mut found = WalkResult::default();
        let mut reading = FuturesUnordered::new();
        loop {
            while reading.len() < self.at_a_time
                && let Some(path) = queue.pop_front()
            {
                reading.push(self.read(path));
            }
            let Some(read) = reading.next().await else { return Ok(found) };
            let ReadNode { path, node, names, denied } = read?;
            if let Some(names) = names {
                let children = names.iter().map(|name| join(&path, name));
                if self.depth == Depth::All {
                    queue.extend(children.map(Arc::from));
                } else {
                    queue.extend(children.filter(|child| self.model.get(child).is_none()).map(Arc::from));
                    found.listed.insert(Arc::clone(&path), names);
                }
            }
            match (node, denied) {
                (None, None) => found.gone.push(path),
                (node, denied) => {
                    found.denied.extend(denied.map(|error| (Arc::clone(&path), error)));
                    found.nodes.extend(node.map(|node| (path, node)));
                }
            }
        }
    }

    async fn read(&self, path: Arc<str>) -> Result<ReadNode> {
        let none = ReadNode { path: Arc::clone(&path), node: None, names: None, denied: None };
        match self.whole(&path).await {
            Ok((stat, data, names)) => Ok(ReadNode { node: Some(TreeNode { path, stat, data }), names, ..none }),
            Err(WireError::NotFound(_)) => Ok(none),
            // A name that no path can hold. Its siblings must not suffer for it.
            Err(error @ WireError::Rejected(_)) => Ok(ReadNode { denied: Some(error), ..none }),
            // Servers before 3.9 tell everybody whether a node exists.
            Err(denied @ WireError::Denied(_)) => match self.wire.run(self.wire.stat(&path, self.single)).await {
                Ok(None) => Ok(none),
                Ok(Some(stat)) => {
                    Ok(ReadNode { node: Some(TreeNode { path, stat, data: None }), denied: Some(denied), ..none })
                }
                Err(WireError::Denied(_)) => Ok(ReadNode { denied: Some(denied), ..none }),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Reads a node with as few calls as will do.
    async fn whole(&self, path: &str) -> Result<Whole> {
        let list = self.depth != Depth::Touched && (path == self.options.root || (self.options.descend)(path));
        let known = self.model.get(path).filter(|_| self.depth != Depth::Touched);
        let mut names = None;
        let mut stat;
        if self.options.bodies && known.is_none() && !self.single {
            let (data, stat) = self.wire.run(self.wire.read(path)).await?;
            if list {
                names = Some(if stat.children > 0 {
                    self.wire.run(self.wire.children(path, false)).await?.0
                } else {
                    Vec::new()
                });
            }
            return Ok((stat, data, names));
        }
        if self.single || !list {
            let gone = || WireError::NotFound(path.to_owned());
            stat = self.wire.run(self.wire.stat(path, self.single)).await?.ok_or_else(gone)?;
            if list && stat.ephemeral_owner == 0 {
                names = Some(self.wire.run(self.wire.children(path, self.single)).await?.0);
            }
        } else {
            let (found, its_stat) = self.wire.run(self.wire.children(path, false)).await?;
            (names, stat) = (Some(found), its_stat);
        }
        let mut data = None;
        if self.options.bodies {
            let kept = known.filter(|known| known.stat.same_data(&stat)).and_then(|known| known.data.clone());
            data = match kept {
                Some(kept) => Some(kept),
                // Whether there is no data or empty data matters only of a leaf, and only reading it tells.
                None if stat.data_length == 0 && stat.children > 0 => Some(Bytes::new()),
                None => {
                    let (data, newer) = self.wire.run(self.wire.read(path)).await?;
                    stat = newer;
                    data
                }
            };
        }
        Ok((stat, data, names))
    }
}
