//! Follows the trees of a cluster and says what its services look like.

use super::client::{Session, TreeChanges, TreeListing, TreeLooker, TreeNews, TreeNode, TreeOptions, WireError};
use super::layout::{PUBLIC, Roots};
use super::publications::Publications;
use super::services::missing;
use super::view::ServiceView;
use super::writes::Writes;
use causeway_core::{Error, Lost, Part, Selector, ServiceKey, Update};
use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How many children that are no instances are logged one by one.
const TOLD: usize = 20;
/// How often a cluster with nothing at all is asked whether it is there.
const ASK: Duration = Duration::from_secs(1);
/// How often what may not be read is tried again: access lists change without an event.
const AGAIN: Duration = Duration::from_secs(30);

/// What a watch yields.
type WatchItem = Result<Update, Lost>;

/// One root that is followed.
struct WatchedRoot {
    path: String,
    looker: Option<TreeLooker>,
    /// The connection on which it is known completely; 0 for none.
    generation: u64,
    /// Whether there is a znode.
    stands: bool,
    /// What may not be read of it.
    denied: BTreeSet<Arc<str>>,
}

/// One watch at work.
struct ServiceWatch {
    session: Session,
    news: SelectAll<BoxStream<'static, (usize, TreeNews)>>,
    all: Arc<Roots>,
    roots: Vec<WatchedRoot>,
    /// Whether the part has been reported whole since it was last lost.
    whole: bool,
    /// Whether it was of interest then.
    reported: bool,
    /// Why it is lost, as it was last told.
    lost: Option<Discriminant<Error>>,
    view: ServiceView,
    ours: Publications,
    select: Selector,
    /// The selection's epoch, and what is not of interest by it.
    selection: u64,
    left_out: BTreeSet<ServiceKey>,
    told: usize,
    tried: Instant,
    ready: VecDeque<WatchItem>,
}

/// Follows all roots. Never ends.
pub(super) fn watch(writes: &Writes, select: Selector) -> BoxStream<'static, WatchItem> {
    let Writes { session, roots, ours, .. } = writes;
    let (mut news, mut followed) = (SelectAll::new(), Vec::new());
    for (n, path) in roots.roots().into_iter().map(str::to_owned).enumerate() {
        let tree = session.tree(tree_options(roots, &path));
        let looker = tree.as_ref().ok().map(|tree| tree.looker());
        news.push(match tree {
            Ok(tree) => {
                let news = stream::unfold(tree, async |mut tree| Some((tree.next().await?, tree)));
                news.map(move |news| (n, news)).boxed()
            }
            Err(error) => stream::iter([(n, TreeNews::Lost(error))]).chain(stream::pending()).boxed(),
        });
        followed.push(WatchedRoot { path, looker, generation: 0, stands: false, denied: BTreeSet::new() });
    }
    let watch = ServiceWatch {
        session: session.clone(),
        news,
        all: roots.clone(),
        roots: followed,
        whole: false,
        reported: false,
        lost: None,
        view: ServiceView::new(roots.clone(), writes.classes.clone(), writes.access),
        ours: ours.clone(),
        selection: select.epoch(),
        left_out: BTreeSet::new(),
        select,
        told: 0,
        tried: Instant::now(),
        ready: VecDeque::new(),
    };
    let mut tick = interval(ASK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let touched = ours.listen();
    stream::unfold((watch, touched, tick), async |(mut watch, touched, mut tick)| {
        loop {
            if let Some(item) = watch.ready.pop_front() {
                return Some((item, (watch, touched, tick)));
            }
            tokio::select! {
                Some((n, news)) = watch.news.next() => {
                    watch.take(n, news).await;
                    watch.conclude().await;
                }
                scopes = touched.take() => if watch.whole {
                    watch.report(scopes);
                },
                _ = tick.tick() => {
                    watch.try_again();
                    watch.select_again();
                    watch.conclude().await;
                }
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

/// What may not be read and could hold an instance. A name that no path can hold does not count: its siblings are known.
pub(super) fn denied(roots: &Roots, listed: &BTreeMap<Arc<str>, WireError>) -> BTreeSet<Arc<str>> {
    let matters = |path: &str| roots.is_candidate(path) || roots.descend(path);
    let denied = listed.iter().filter(|(path, error)| matches!(error, WireError::Denied(_)) && matters(path));
    denied.map(|(path, _)| path.clone()).collect()
}

/// Everything that could be read. What may not be read hides nothing else.
pub(super) fn readable(listing: TreeListing) -> Vec<TreeNode> {
    let TreeListing { nodes, denied } = listing;
    nodes.into_iter().filter(|node| !denied.contains_key(&node.path)).collect()
}

impl ServiceWatch {
    async fn take(&mut self, n: usize, news: TreeNews) {
        match news {
            TreeNews::Reset(listing) => self.take_listing(n, listing).await,
            TreeNews::Changed(changes) => self.take_changes(n, changes).await,
            TreeNews::Lost(error) => {
                (self.roots[n].generation, self.whole) = (0, false);
                self.lose(None, error.into());
            }
        }
    }

    async fn take_listing(&mut self, n: usize, listing: TreeListing) {
        let generation = self.session.status().borrow().generation;
        let denied = told_denied(&self.all, &listing.denied);
        let root = &mut self.roots[n];
        (root.generation, root.stands) = (generation, !listing.nodes.is_empty());
        root.denied = denied;
        let nodes = self.view.znodes(&self.session, readable(listing)).await;
        let touched = self.view.replace(&root.path, nodes.into_iter(), &root.denied).await;
        self.tell_refused();
        if self.whole {
            self.report(touched);
        }
    }

    async fn take_changes(&mut self, n: usize, changes: TreeChanges) {
        let denied = told_denied(&self.all, &changes.denied);
        let root = &mut self.roots[n];
        root.denied.extend(denied);
        let (mut touched, mut there) = (BTreeSet::new(), Vec::new());
        for (path, node) in changes.nodes.into_iter().filter(|(path, _)| !changes.denied.contains_key(path)) {
            self.ours.spread().seen(&path, node.as_ref().map(|node| node.stat.ephemeral_owner));
            root.denied.remove(&path);
            if *path == *root.path {
                root.stands = node.is_some();
            }
            match node {
                Some(node) => there.push(node),
                None => {
                    self.ours.gone(&path, self.view.alias(&path).as_deref());
                    touched.extend(self.view.put(&path, None));
                }
            }
        }
        for (path, znode) in self.view.znodes(&self.session, there).await {
            touched.extend(self.view.put(&path, Some(znode)));
        }
        self.tell_refused();
        if self.whole {
            self.report(touched);
        }
    }

    /// Reports the part when it has become whole, or finds that it is not there: where there is no root, perhaps there
    /// is not even what they would stand below.
    async fn conclude(&mut self) {
        let generation = self.session.status().borrow().generation;
        if generation == 0 || !self.roots.iter().all(|root| root.generation == generation) {
            return;
        }
        if !self.roots.iter().any(|root| root.stands) {
            let error = match self.session.stat("/").await {
                Ok(Some(_)) => None,
                Ok(None) => Some(missing()),
                // The trees of the roots report that.
                Err(error) if error.is_transient() => return,
                Err(error) => Some(error.into()),
            };
            if let Some(error) = error {
                self.whole = false;
                self.lose(Some(Part::new(PUBLIC)), error);
                return;
            }
        }
        if !self.whole {
            self.report_whole();
        }
    }

    fn lose(&mut self, part: Option<Part>, error: Error) {
        let why = std::mem::discriminant(&error);
        if self.lost.replace(why) != Some(why) {
            self.ready.push_back(Err(Lost { part, error }));
        }
    }

    fn try_again(&mut self) {
        if self.tried.elapsed() < AGAIN {
            return;
        }
        self.tried = Instant::now();
        for root in &self.roots {
            let Some(looker) = &root.looker else { continue };
            root.denied.iter().for_each(|path| looker.look(Some(path)));
        }
    }

    fn report(&mut self, scopes: BTreeSet<ServiceKey>) {
        for scope in scopes {
            if self.select.scope(&scope) {
                self.left_out.remove(&scope);
                self.ready.push_back(Ok(Update::Changed(self.view.set(&scope, &self.ours))));
            } else if self.view.has(&scope) {
                self.left_out.insert(scope);
            } else {
                self.left_out.remove(&scope);
            }
        }
    }

    /// Reports what has come to be of interest without any change of its own.
    fn select_again(&mut self) {
        let epoch = self.select.epoch();
        if std::mem::replace(&mut self.selection, epoch) == epoch || !self.whole {
            return;
        }
        if !self.reported {
            return self.report_whole();
        }
        let taken = std::mem::take(&mut self.left_out);
        self.report(taken);
    }

    fn report_whole(&mut self) {
        (self.whole, self.lost) = (true, None);
        let part = Part::new(PUBLIC);
        self.reported = self.select.part(&part, None);
        if !self.reported {
            return;
        }
        let (scopes, left_out): (Vec<_>, Vec<_>) = self.view.scopes().partition(|scope| self.select.scope(scope));
        let sets = scopes.into_iter().map(|scope| self.view.set(scope, &self.ours)).collect();
        self.left_out = left_out.into_iter().cloned().collect();
        self.ready.push_back(Ok(Update::Reset { part, title: None, sets }));
    }

    /// Logs children that are no instances. They are left out; their siblings take part.
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

/// Logs and returns what is [`denied`].
fn told_denied(roots: &Roots, listed: &BTreeMap<Arc<str>, WireError>) -> BTreeSet<Arc<str>> {
    let denied = denied(roots, listed);
    for path in &denied {
        let error = &listed[path];
        tracing::warn!(%path, %error, "this znode may not be read: it, and what is below it, stays as it was known");
    }
    denied
}
