//! Follows the trees of a cluster and says what its services look like.

use super::client::{Error as WireError, Listing, Node, Session, TreeNews, TreeOptions};
use super::convert;
use super::layout::Roots;
use super::publications::Publications;
use super::services::PART;
use super::view::{Classes, View, Znode};
use causeway_core::{Instance, Lost, Part, Selector, ServiceKey, Update};
use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// So many children that are no instances are told of, each; the rest is counted.
const TOLD: usize = 20;

/// What a watch yields.
type Item = Result<Update<Instance>, Lost>;

/// One watch at work.
struct Watch {
    news: SelectAll<BoxStream<'static, (usize, TreeNews)>>,
    roots: Vec<String>,
    /// The roots that are completely known on this connection.
    complete: BTreeSet<usize>,
    /// Whether the part has been reported whole since it was last lost.
    whole: bool,
    lost: bool,
    view: View,
    ours: Publications,
    select: Selector<Instance>,
    told: usize,
    ready: VecDeque<Item>,
}

/// Follows all roots; ends never.
pub(super) fn watch(
    session: &Session,
    roots: &Arc<Roots>,
    ours: &Publications,
    classes: Classes,
    select: Selector<Instance>,
) -> BoxStream<'static, Item> {
    let paths: Vec<String> = roots.roots().into_iter().map(str::to_owned).collect();
    let tree = |(n, path): (usize, &String)| match session.tree(tree_options(roots, path)) {
        Ok(tree) => tree.map(move |news| (n, news)).boxed(),
        Err(error) => stream::iter([(n, TreeNews::Lost(error))]).chain(stream::pending()).boxed(),
    };
    let news: SelectAll<_> = paths.iter().enumerate().map(tree).collect();
    let watch = Watch {
        news,
        complete: BTreeSet::new(),
        whole: false,
        lost: false,
        view: View::new(roots.clone(), classes),
        ours: ours.clone(),
        select,
        told: 0,
        ready: VecDeque::new(),
        roots: paths,
    };
    let changed = ours.news();
    stream::unfold((watch, changed), async |(mut watch, mut changed)| {
        loop {
            if let Some(item) = watch.ready.pop_front() {
                return Some((item, (watch, changed)));
            }
            tokio::select! {
                Some((n, news)) = watch.news.next() => watch.take(n, news),
                Ok(()) = changed.changed() => watch.judge_again(),
            }
        }
    })
    .boxed()
}

/// How one root of services is followed: everything that may hold an instance, with what stands in it.
pub(super) fn tree_options(roots: &Arc<Roots>, path: &str) -> TreeOptions {
    let roots = roots.clone();
    TreeOptions { descend: Arc::new(move |path| roots.descend(path)), ..TreeOptions::new(path) }
}

/// What the view keeps of a znode.
pub(super) fn znode(node: Node) -> (String, Znode) {
    (node.path.to_string(), Znode { data: node.data.unwrap_or_default(), owner: node.stat.ephemeral_owner })
}

/// Everything that could be read. What may not be read hides nothing else.
pub(super) fn readable(listing: Listing) -> impl Iterator<Item = (String, Znode)> {
    let Listing { nodes, denied } = listing;
    nodes.into_iter().filter(move |node| !denied.contains_key(&node.path)).map(znode)
}

impl Watch {
    /// A znode that may not be read is left as it was known, and told of.
    fn tell_denied(&mut self, denied: &BTreeMap<Arc<str>, WireError>) {
        for (path, error) in denied {
            tracing::warn!(%path, %error, "this znode may not be read: it, and what is below it, is not copied");
        }
    }

    fn take(&mut self, n: usize, news: TreeNews) {
        match news {
            TreeNews::Reset(listing) => {
                let root = self.roots[n].clone();
                self.tell_denied(&listing.denied);
                let touched = self.view.replace(&root, readable(listing));
                self.complete.insert(n);
                self.tell_refused();
                match self.whole {
                    true => self.report(touched),
                    false => self.report_whole(),
                }
            }
            TreeNews::Changed(changes) => {
                let mut touched = BTreeSet::new();
                self.tell_denied(&changes.denied);
                for (path, node) in changes.nodes {
                    if !changes.denied.contains_key(&path) {
                        touched.extend(self.view.put(&path, node.map(|node| znode(node).1)));
                    }
                }
                self.tell_refused();
                if self.whole {
                    self.report(touched);
                }
            }
            TreeNews::Lost(error) => {
                self.complete.clear();
                self.whole = false;
                if !std::mem::replace(&mut self.lost, true) {
                    self.ready.push_back(Err(Lost { part: None, error: convert::error(error) }));
                }
            }
        }
    }

    /// What is ours has changed without a znode that did.
    fn judge_again(&mut self) {
        let touched = self.ours.take_touched();
        if self.whole {
            self.report(touched);
        }
    }

    fn report(&mut self, scopes: BTreeSet<ServiceKey>) {
        for scope in scopes.into_iter().filter(|scope| self.select.scope(scope)) {
            self.ready.push_back(Ok(Update::Changed(self.view.set(&scope, &self.ours))));
        }
    }

    fn report_whole(&mut self) {
        if self.complete.len() < self.roots.len() {
            return;
        }
        (self.whole, self.lost) = (true, false);
        let part = Part::new(PART);
        if !self.select.part(&part, None) {
            return;
        }
        let scopes = self.view.scopes().filter(|scope| self.select.scope(scope));
        let sets = scopes.map(|scope| self.view.set(scope, &self.ours)).collect();
        self.ready.push_back(Ok(Update::Reset { part, title: None, sets }));
    }

    /// A child that is no instance is left out and told of; its siblings go on.
    fn tell_refused(&mut self) {
        for (path, why) in self.view.take_refused() {
            self.told += 1;
            if self.told <= TOLD {
                tracing::warn!(path, why, "this znode is no instance and is not copied");
            }
            if self.told == TOLD {
                tracing::warn!("further znodes that are no instances are not told of");
            }
        }
    }
}
