//! Znodes as they are kept, with their access lists where those are copied somewhere.

use super::access;
use super::client::{Acl, Session, TreeNode, WireError};
use super::view::{ServiceView, Znode};
use std::sync::Arc;

/// Stands for an access list that could not be read. No list has this text, so that nothing is copied with more rights
/// than it has.
const HIDDEN: &str = "";

impl ServiceView {
    /// The nodes as they are kept, with their access lists where those are read; those that are known already are not read
    /// again.
    pub async fn znodes(&self, session: &Session, nodes: Vec<TreeNode>) -> Vec<(String, Znode)> {
        let kept = |node: TreeNode| {
            let owner = node.stat.ephemeral_owner;
            let null = node.data.is_none();
            let znode = Znode { data: node.data.unwrap_or_default(), null, owner, access: None, listed: (0, 0) };
            (node.path.to_string(), znode)
        };
        if !self.access {
            return nodes.into_iter().map(kept).collect();
        }
        let (mut all, mut unread) = (Vec::with_capacity(nodes.len()), Vec::new());
        for node in nodes {
            let listed = (node.stat.czxid, node.stat.aversion);
            let (path, mut znode) = kept(node);
            if self.roots.is_candidate(&path) {
                znode.listed = listed;
                match self
                    .znode(&path)
                    .filter(|known| known.listed == listed && known.access.as_deref() != Some(HIDDEN))
                {
                    Some(known) => znode.access.clone_from(&known.access),
                    None => unread.push(all.len()),
                }
            }
            all.push((path, znode));
        }
        let paths: Vec<String> = unread.iter().map(|&n| all[n].0.clone()).collect();
        let lists = session.acl_many(&paths).await;
        for (n, list) in unread.into_iter().zip(lists) {
            all[n].1.access = match list {
                Ok((list, _)) if list == [Acl::open()] => None,
                Ok((list, _)) => Some(access::text(&list).into()),
                // It went meanwhile, and news of that will come.
                Err(WireError::NotFound(_)) => None,
                Err(_) => Some(Arc::from(HIDDEN)),
            };
        }
        all
    }
}
