//! Follows the data of a cluster.

use super::client::{
    Descend, Session, Stat, Tree, TreeChanges, TreeListing, TreeNews, TreeNode, TreeOptions, WireError,
};
use super::data::part;
use super::numbered::Numbered;
use causeway_core::{Aside, Entry, EntryKey, EntryUpdate, Error, Lost};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What may not be read is retried after this time, since servers send no event when an access list changes.
const BLIND: Duration = Duration::from_secs(15);

/// A tree of data that is followed.
pub(super) struct Followed<T> {
    session: Session,
    options: TreeOptions,
    tree: Tree,
    takes: T,
    numbered: Numbered,
    /// Something of interest may not be read: what is known is not complete.
    blind: bool,
}

impl<T: Fn(&TreeNode) -> Option<Entry>> Followed<T> {
    pub fn new(session: &Session, options: TreeOptions, takes: T) -> Result<Self, WireError> {
        let tree = session.tree(options.clone())?;
        Ok(Self { session: session.clone(), options, tree, takes, numbered: Numbered::default(), blind: false })
    }

    /// The next news; `None`: the connection was closed for good.
    pub async fn next(&mut self) -> Option<Result<EntryUpdate, Lost>> {
        loop {
            let news = match self.news().await? {
                TreeNews::Lost(error) => Err(Lost { part: None, error: error.into() }),
                TreeNews::Reset(listing) => listed(listing, &self.options.descend, &self.takes, &mut self.numbered)
                    .map(|entries| EntryUpdate::Reset { part: part(), entries }),
                TreeNews::Changed(_) if self.blind => continue,
                TreeNews::Changed(changes) => match self.changed(changes).await {
                    Ok(news) if news.is_empty() => continue,
                    news => news.map(EntryUpdate::Changed),
                },
            };
            self.blind = match &news {
                Ok(EntryUpdate::Reset { .. }) => false,
                Err(lost) => lost.part.is_some(),
                Ok(EntryUpdate::Changed(_)) => self.blind,
            };
            return Some(news);
        }
    }

    async fn news(&mut self) -> Option<TreeNews> {
        if !self.blind {
            return self.tree.next().await;
        }
        match timeout(BLIND, self.tree.next()).await {
            Ok(news) => news,
            Err(_) => {
                if let Ok(tree) = self.session.tree(self.options.clone()) {
                    self.tree = tree;
                }
                self.tree.next().await
            }
        }
    }

    async fn changed(&mut self, changes: TreeChanges) -> Result<Vec<(EntryKey, Option<Entry>)>, Lost> {
        if let Some(lost) = hidden(&changes.denied, &self.options.descend, |_| true) {
            return Err(lost);
        }
        self.judge(&changes).await;
        // What takes no part any more has gone, too: services may have come to a folder.
        let of = |(path, node): (Arc<str>, Option<TreeNode>)| {
            let plain = TreeNode { path: path.clone(), stat: Stat::default(), data: None };
            let taken = node.as_ref().and_then(|node| taken(node, &self.takes, &self.numbered));
            (taken.is_some() || (self.takes)(&plain).is_some()).then(|| (EntryKey::path(&path), taken))
        };
        Ok(changes.nodes.into_iter().filter_map(of).collect())
    }

    /// Finds out which of the nodes were numbered.
    async fn judge(&mut self, changes: &TreeChanges) {
        for (path, _) in changes.nodes.iter().filter(|(_, node)| node.is_none()) {
            self.numbered.gone(path);
        }
        let nodes: Vec<&TreeNode> = changes.nodes.values().flatten().collect();
        let folders = self.numbered.asks(nodes.iter().copied().filter(|node| (self.takes)(node).is_some()));
        if folders.is_empty() {
            return;
        }
        let stats = self.session.stat_many(&folders).await;
        let known = folders.into_iter().zip(stats).filter_map(|(path, stat)| Some((path, stat.ok()??)));
        self.numbered.changed(&nodes, known.collect());
    }
}

/// What a listing says of a node that takes part, or is left out on purpose.
fn taken(node: &TreeNode, takes: &impl Fn(&TreeNode) -> Option<Entry>, numbered: &Numbered) -> Option<Entry> {
    let mut entry = takes(node)?;
    if entry.aside.is_none() && numbered.has(node) {
        entry.aside = Some(Aside::Numbered);
    }
    Some(entry)
}

/// A subtree that may not be read cannot be told from one that is gone: nothing is decided then. What takes no part does not
/// matter.
fn hidden(denied: &BTreeMap<Arc<str>, WireError>, descend: &Descend, children: impl Fn(&str) -> bool) -> Option<Lost> {
    let (path, error) = denied.iter().find(|(path, _)| descend(path) && children(path))?;
    let text = format!("{path} may not be read ({error}): give us the right to read, or exclude it");
    Some(Lost { part: Some(part()), error: Error::Denied(text) })
}

pub(super) fn listed(
    listing: TreeListing,
    descend: &Descend,
    takes: &impl Fn(&TreeNode) -> Option<Entry>,
    numbered: &mut Numbered,
) -> Result<BTreeMap<EntryKey, Entry>, Lost> {
    let parents: BTreeMap<_, _> = listing.nodes.iter().map(|node| (&*node.path, node.stat.children > 0)).collect();
    if let Some(lost) = hidden(&listing.denied, descend, |path| parents.get(path).copied().unwrap_or(true)) {
        return Err(lost);
    }
    numbered.reset(&listing.nodes);
    let entry = |node: &TreeNode| Some((EntryKey::path(&node.path), taken(node, takes, numbered)?));
    Ok(listing.nodes.iter().filter_map(entry).collect())
}
