//! What is known of a subtree, and how it differs from what was read.

use super::super::error::WireError;
use super::super::paths::{join, parent, within};
use super::walk::WalkResult;
use super::{TreeChanges, TreeListing, TreeNode};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// The nodes as they were last told.
#[derive(Debug, Default)]
pub(super) struct Model {
    nodes: BTreeMap<Arc<str>, TreeNode>,
    denied: BTreeMap<Arc<str>, WireError>,
}

impl Model {
    pub(super) fn get(&self, path: &str) -> Option<&TreeNode> {
        self.nodes.get(path)
    }

    /// Takes a complete listing for the truth.
    pub(super) fn reset(&mut self, found: WalkResult) -> TreeListing {
        self.nodes = found.nodes;
        self.denied = found.denied;
        TreeListing { nodes: self.nodes.values().cloned().collect(), denied: self.denied.clone() }
    }

    /// Takes over what was read, and adds what is new about it to `changes`. Nodes that were not read stay as they
    /// are, unless a node above them is gone, or they are missing among the children that their parent was found to
    /// have.
    pub(super) fn apply(&mut self, found: WalkResult, changes: &mut TreeChanges) {
        for path in &found.gone {
            self.remove(path, changes);
        }
        for (path, names) in &found.listed {
            let present: BTreeSet<String> = names.iter().map(|name| join(path, name)).collect();
            for child in self.children(path) {
                if !present.contains(&*child) {
                    self.remove(&child, changes);
                }
            }
            // Nodes that may not be read are known by their names alone.
            let unreadable: Vec<_> = self.denied.keys().filter(|child| parent(child) == Some(path)).cloned().collect();
            for child in unreadable.into_iter().filter(|child| !present.contains(&**child)) {
                self.remove(&child, changes);
                changes.nodes.insert(child, None);
            }
        }
        for (path, node) in found.nodes {
            let again = !found.denied.contains_key(&path) && self.denied.remove(&path).is_some();
            let known = self.nodes.get(&path);
            let same = known.is_some_and(|known| known.stat.same_node(&node.stat) && known.data == node.data);
            if !same || again {
                changes.denied.remove(&path);
                changes.nodes.insert(Arc::clone(&path), Some(node.clone()));
            }
            self.nodes.insert(path, node);
        }
        for (path, error) in found.denied {
            if self.denied.insert(Arc::clone(&path), error.clone()).is_none() {
                changes.denied.insert(path, error);
            }
        }
    }

    /// Removes a node and all below it.
    fn remove(&mut self, path: &str, changes: &mut TreeChanges) {
        for path in self.subtree(path) {
            self.nodes.remove(&path);
            changes.nodes.insert(path, None);
        }
        self.denied.retain(|denied, _| !within(path, denied));
        changes.denied.retain(|denied, _| !within(path, denied));
    }

    /// The paths of a node, if it is known, and of all below it.
    pub(super) fn subtree(&self, path: &str) -> Vec<Arc<str>> {
        let below = join(path, "");
        let from = (Bound::Excluded(below.as_str()), Bound::Unbounded);
        let itself = self.nodes.get_key_value(path).map(|(path, _)| path);
        let others = self.nodes.range::<str, _>(from).map(|(path, _)| path);
        itself.into_iter().chain(others.take_while(|other| other.starts_with(&below))).cloned().collect()
    }

    /// The paths of the known children of a node.
    fn children(&self, path: &str) -> Vec<Arc<str>> {
        let below = join(path, "");
        let mut found = Vec::new();
        let mut from = Bound::Excluded(below.clone());
        loop {
            let range = (from.as_ref().map(String::as_str), Bound::Unbounded);
            let Some((next, _)) = self.nodes.range::<str, _>(range).next() else { return found };
            let Some(rest) = next.strip_prefix(below.as_str()) else { return found };
            from = match rest.find('/') {
                None => {
                    found.push(Arc::clone(next));
                    Bound::Excluded(next.to_string())
                }
                // Past all that is below this child: '0' is the character after '/'. Siblings such as `child-2` and
                // `child.x` come before `child/`, and have been met.
                Some(end) => Bound::Included(format!("{}0", &next[..below.len() + end])),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::types::Stat;
    use super::*;

    fn node(path: &str, mzxid: i64) -> (Arc<str>, TreeNode) {
        let path: Arc<str> = path.into();
        (Arc::clone(&path), TreeNode { path, stat: Stat { mzxid, ..Stat::default() }, data: None })
    }

    fn found(nodes: &[(&str, i64)]) -> WalkResult {
        WalkResult { nodes: nodes.iter().map(|(path, mzxid)| node(path, *mzxid)).collect(), ..WalkResult::default() }
    }

    fn model(paths: &[&str]) -> Model {
        let mut model = Model::default();
        let nodes: Vec<_> = paths.iter().map(|path| (*path, 1)).collect();
        assert_eq!(model.reset(found(&nodes)).nodes.len(), paths.len());
        model
    }

    fn changes(model: &mut Model, found: WalkResult) -> Vec<(String, Option<i64>)> {
        let mut changes = TreeChanges::default();
        model.apply(found, &mut changes);
        changes.nodes.into_iter().map(|(path, node)| (path.to_string(), node.map(|n| n.stat.mzxid))).collect()
    }

    const PATHS: &[&str] = &["/a", "/a/b", "/a/b-2", "/a/b.x", "/a/b/c", "/a/b/c/d", "/a/b0", "/a/e", "/ab"];

    #[test]
    fn knows_children_and_subtrees() {
        let model = model(PATHS);
        let texts = |paths: Vec<Arc<str>>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(model.children("/a")), ["/a/b", "/a/b-2", "/a/b.x", "/a/b0", "/a/e"]);
        assert_eq!(texts(model.subtree("/a/b")), ["/a/b", "/a/b/c", "/a/b/c/d"]);
        assert_eq!(texts(model.children("/")), ["/a", "/ab"]);
        assert_eq!(model.subtree("/").len(), PATHS.len());
        assert!(model.children("/a/e").is_empty() && model.subtree("/x").is_empty());
    }

    #[test]
    fn tells_only_what_differs() {
        let mut model = model(PATHS);
        assert!(changes(&mut model, found(&[("/a/b", 1), ("/a/e", 1)])).is_empty());
        assert_eq!(
            changes(&mut model, found(&[("/a/b", 2), ("/a/n", 1)])),
            [("/a/b".into(), Some(2)), ("/a/n".into(), Some(1))]
        );
        let gone = WalkResult { gone: vec!["/a/b".into()], ..WalkResult::default() };
        let told = changes(&mut model, gone);
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|(path, node)| within("/a/b", path) && node.is_none()));
    }

    #[test]
    fn what_a_listing_lacks_is_gone() {
        let mut model = model(PATHS);
        let mut listed = WalkResult::default();
        listed.listed.insert("/a".into(), vec!["b-2".into(), "b.x".into(), "b0".into()]);
        let told: Vec<_> = changes(&mut model, listed).into_iter().map(|(path, _)| path).collect();
        assert_eq!(told, ["/a/b", "/a/b/c", "/a/b/c/d", "/a/e"]);
    }

    #[test]
    fn a_denied_node_is_told_once_and_again_when_readable() {
        let mut model = model(PATHS);
        let denied = || {
            let mut denied = found(&[("/a/b", 1)]);
            denied.denied.insert("/a/b".into(), WireError::Denied("/a/b".into()));
            denied
        };
        let mut told = TreeChanges::default();
        model.apply(denied(), &mut told);
        assert!(told.nodes.is_empty() && told.denied.len() == 1);
        let mut told = TreeChanges::default();
        model.apply(denied(), &mut told);
        assert!(told.is_empty());
        assert_eq!(changes(&mut model, found(&[("/a/b", 1)])), [("/a/b".into(), Some(1))]);
    }
}
