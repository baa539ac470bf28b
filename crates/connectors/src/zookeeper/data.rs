//! Persistent znodes as config entries: data and access lists, parents before children.

use super::client::{Acl, Create, Error as WireError, Listing, Node, Session, Stat, Tree, TreeNews, TreeOptions};
use super::connected::{PATIENCE, readable_within};
use super::layout::Roots;
use super::options::AclChoice;
use super::writes::acl as own_acl;
use super::{access, convert};
use causeway_core::{
    Content, DataSelector, DataSink, DataSource, Entry, EntryKey, Error, Expect, Found, Limits, Lost, News, Part,
    Stamp, Write,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The attribute that holds the access list.
const ACL: &str = "acl";
/// The server's own tree.
const SYSTEM: &str = "/zookeeper";

/// The data of one cluster.
pub(super) struct ZooKeeperData {
    pub session: Session,
    pub roots: Arc<Roots>,
    pub acl: AclChoice,
}

fn part() -> Part {
    Part::new(super::services::PART)
}

/// What an entry's stamp is made of. Times guard against a server that was wiped, whose transactions begin again.
fn entry(stat: &Stat) -> Entry {
    let size = u32::try_from(stat.data_length).unwrap_or_default();
    Entry { stamp: Stamp(stat.mzxid, (stat.mtime << 20) ^ i64::from(stat.aversion)), modified_ms: stat.mtime, size }
}

impl ZooKeeperData {
    fn options(&self, select: &DataSelector) -> TreeOptions {
        let (select, roots) = (select.clone(), self.roots.clone());
        let descend = move |path: &str| !is_services(&roots, path) && select.may_hold(&EntryKey::path(path));
        TreeOptions { bodies: false, descend: Arc::new(descend), ..TreeOptions::new("/") }
    }

    fn takes(&self, select: &DataSelector) -> impl Fn(&Node) -> bool + use<> {
        let (select, roots) = (select.clone(), self.roots.clone());
        move |node| {
            let path = &*node.path;
            node.stat.ephemeral_owner == 0
                && path != "/"
                && !is_services(&roots, path)
                && !is_sequential(path)
                && select.takes(&EntryKey::path(path))
        }
    }

    async fn find(&self, path: &str) -> Result<Found, Error> {
        let (data, list) = tokio::join!(self.session.read(path), self.session.acl(path));
        let ((data, stat), (list, _)) = match (data, list) {
            (Err(WireError::NotFound(_)), _) | (_, Err(WireError::NotFound(_))) => return Ok(None),
            (data, list) => (data.map_err(convert::error)?, list.map_err(convert::error)?),
        };
        if stat.ephemeral_owner != 0 {
            return Ok(None);
        }
        let attributes = causeway_core::Attributes([(ACL.to_owned(), access::text(&list))].into());
        let body = data.map(|data| Arc::from(&*data));
        Ok(Some((entry(&stat), Content { body, attributes })))
    }

    /// The access list that an entry shall have; `None`: the one that it has, or that a new one gets.
    fn wanted(&self, content: &Content) -> Result<Option<Vec<Acl>>, Error> {
        content.attributes.0.get(ACL).map(|text| access::read(text).map_err(Error::Rejected)).transpose()
    }

    async fn create(&self, write: &Write, content: &Content) -> Result<Option<Entry>, Error> {
        let (path, body) = (&*write.key.name, content.body.as_deref());
        let acl = self.wanted(content)?.unwrap_or_else(|| own_acl(self.acl));
        let how = Create { ephemeral: false, acl: &acl };
        let made = match write.parents {
            true => self.session.make_all(path, body, how, &own_acl(self.acl)).await,
            false => self.session.make(path, body, how).await,
        };
        made.map(|stat| Some(entry(&stat))).map_err(convert::error)
    }

    async fn change(&self, write: &Write, stamp: Stamp, to: Option<&Content>) -> Result<Option<Entry>, Error> {
        let path = &*write.key.name;
        let stat = self.session.stat(path).await.map_err(convert::error)?;
        let stat =
            stat.filter(|stat| stat.ephemeral_owner == 0 && entry(stat).stamp == stamp).ok_or(Error::Conflict)?;
        let Some(content) = to else {
            return self.session.delete(path, Some(stat.version)).await.map(|()| None).map_err(convert::error);
        };
        let acl = self.wanted(content)?;
        let set = self.session.write(path, content.body.as_deref(), Some(stat.version)).await;
        let mut now = set.map_err(convert::error)?;
        if let Some(acl) = acl {
            let (there, _) = self.session.acl(path).await.map_err(convert::error)?;
            if access::text(&there) != access::text(&acl) {
                now = self.session.set_acl(path, &acl, None).await.map_err(convert::error)?;
            }
        }
        Ok(Some(entry(&now)))
    }

    async fn one(&self, write: &Write) -> Result<Option<Entry>, Error> {
        match (write.expect, &write.to) {
            (Expect::Absent, Some(content)) => self.create(write, content).await,
            (Expect::Absent, None) => Ok(None),
            (Expect::Stamp(stamp), to) => self.change(write, stamp, to.as_ref()).await,
        }
    }
}

/// Whether a path is the server's own, or lies where services stand: those are no data. Dubbo's `config`, `mapping` and
/// `metadata` are.
fn is_services(roots: &Roots, path: &str) -> bool {
    let below = |root: &str| path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'));
    let interface = |root: &String| below(root).is_some_and(|rest| !is_kept(rest.split('/').next().unwrap_or(rest)));
    path == SYSTEM
        || below(SYSTEM).is_some()
        || roots.services.iter().any(|root| below(root).is_some())
        || roots.dubbo.iter().any(interface)
        || roots.is_candidate(path)
}

fn is_kept(name: &str) -> bool {
    matches!(name, "config" | "mapping" | "metadata")
}

/// Whether the server has numbered a node: it belongs to a lock or a queue. Ten digits, of which the first is a zero: no
/// folder has a thousand million children.
fn is_sequential(path: &str) -> bool {
    let digits = path.len().checked_sub(10).and_then(|at| path.get(at..));
    digits.is_some_and(|digits| digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A subtree that may not be read cannot be told from one that is gone: nothing is decided then.
fn hidden(denied: &BTreeMap<Arc<str>, WireError>, children: impl Fn(&str) -> bool) -> Option<Lost> {
    let (path, error) = denied.iter().find(|(path, _)| children(path))?;
    let text = format!("{path} may not be read ({error}): give us the right to read, or exclude it");
    Some(Lost { part: Some(part()), error: Error::Denied(text) })
}

fn listed(listing: Listing, takes: &impl Fn(&Node) -> bool) -> Result<BTreeMap<EntryKey, Entry>, Lost> {
    let parents: BTreeMap<_, _> = listing.nodes.iter().map(|node| (&*node.path, node.stat.children > 0)).collect();
    if let Some(lost) = hidden(&listing.denied, |path| parents.get(path).copied().unwrap_or(true)) {
        return Err(lost);
    }
    let taken = listing.nodes.iter().filter(|node| takes(node));
    Ok(taken.map(|node| (EntryKey::path(&node.path), entry(&node.stat))).collect())
}

impl DataSource for ZooKeeperData {
    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<News, Lost>> {
        let takes = self.takes(select);
        let tree = match self.session.tree(self.options(select)) {
            Ok(tree) => tree,
            Err(error) => return stream::iter([Err(lost(error))]).chain(stream::pending()).boxed(),
        };
        stream::unfold((tree, takes), async |(mut tree, takes): (Tree, _)| {
            loop {
                let item = match tree.next().await? {
                    TreeNews::Lost(error) => Err(lost(error)),
                    TreeNews::Reset(listing) => {
                        listed(listing, &takes).map(|entries| News::Reset { part: part(), entries })
                    }
                    TreeNews::Changed(changes) => match hidden(&changes.denied, |_| true) {
                        Some(lost) => Err(lost),
                        None => {
                            let of = |(path, node): (Arc<str>, Option<Node>)| match node {
                                None => Some((EntryKey::path(&path), None)),
                                Some(node) if takes(&node) => Some((EntryKey::path(&path), Some(entry(&node.stat)))),
                                Some(_) => None,
                            };
                            let news: Vec<_> = changes.nodes.into_iter().filter_map(of).collect();
                            if news.is_empty() {
                                continue;
                            }
                            Ok(News::Changed(news))
                        }
                    },
                };
                return Some((item, (tree, takes)));
            }
        })
        .boxed()
    }

    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<Found, Error>>> {
        let mut reads = Vec::new();
        for key in keys {
            reads.push(self.find(&key.name).boxed());
        }
        stream::iter(reads).buffered(AT_ONCE).collect().boxed()
    }

    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        async move {
            readable_within(&self.session, PATIENCE).await?;
            let takes = self.takes(select);
            let mut tree = self.session.tree(self.options(select)).map_err(convert::error)?;
            match tree.next().await {
                Some(TreeNews::Reset(listing)) => listed(listing, &takes).map_err(|lost| lost.error),
                Some(TreeNews::Lost(error)) => Err(convert::error(error)),
                _ => Err(Error::unavailable("the connection was closed")),
            }
        }
        .boxed()
    }
}

/// Calls on their way at once; they go over one connection, in order.
const AT_ONCE: usize = 256;

fn lost(error: WireError) -> Lost {
    Lost { part: None, error: convert::error(error) }
}

impl DataSink for ZooKeeperData {
    fn limits(&self) -> Limits {
        Limits { max_batch: AT_ONCE, in_flight: 4, per_second: None }
    }

    fn write<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        async move {
            let mut outcomes = Vec::with_capacity(writes.len());
            // What takes one call each goes without waiting for answers: the server keeps the order. A deletion takes two.
            for run in writes.chunk_by(|a, b| is_one_call(a) && is_one_call(b)) {
                let mut calls = Vec::new();
                for write in run {
                    calls.push(self.one(write).boxed());
                }
                let done: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
                outcomes.extend(done);
            }
            outcomes
        }
        .boxed()
    }
}

/// A creation whose parents are there takes one call; an edit concerns nobody but its own entry.
fn is_one_call(write: &Write) -> bool {
    write.to.is_some() && !write.parents
}
