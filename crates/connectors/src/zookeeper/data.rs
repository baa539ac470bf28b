//! Persistent znodes as config entries: data and access lists, parents before children.

use super::access;
use super::client::paths::parent;
use super::client::{Acl, Create, Session, Stat, TreeNode, TreeOptions, WireError};
use super::connected::list_tree;
use super::create::acl as own_acl;
use super::data_watch::{Followed, listed};
use super::layout::{PUBLIC, Roots};
use super::numbered::Numbered;
use super::settings::AclChoice;
use causeway_core::{
    Aside, Content, DataSelector, DataSink, DataSource, Entry, EntryCapabilities, EntryFacts, EntryKey, EntryUpdate,
    EntryWrite, Error, Expect, FoundEntry, Limits, Lost, NameShape, Part, Stamp, StampKind,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The attribute that holds the access list.
const ACL: &str = "acl";
/// Reads of an entry that changes all the time.
const TRIES: usize = 8;

/// The data of one cluster.
pub(super) struct ZooKeeperData {
    pub session: Session,
    pub roots: Arc<Roots>,
    pub acl: AclChoice,
    /// Our user as access lists of the scheme `digest` name it, if we sign in.
    pub user: Option<String>,
}

pub(super) fn part() -> Part {
    Part::new(PUBLIC)
}

/// What an entry's stamp is made of. Times guard against a server that was wiped, whose transactions begin again.
pub(super) fn entry(stat: &Stat) -> Entry {
    let size = u32::try_from(stat.data_length).unwrap_or_default();
    let stamp = Stamp(stat.mzxid, (stat.mtime << 20) ^ i64::from(stat.aversion));
    Entry { stamp, modified_ms: stat.mtime, size, aside: None }
}

impl ZooKeeperData {
    fn options(&self, select: &DataSelector) -> TreeOptions {
        let (select, roots) = (select.clone(), self.roots.clone());
        let descend = move |path: &str| !roots.is_taken(path) && select.may_hold(&EntryKey::path(path));
        TreeOptions { bodies: false, descend: Arc::new(descend), ..TreeOptions::new("/") }
    }

    /// What a listing says of a node; `None`: it takes no part. Which nodes were numbered is told by their siblings.
    fn takes(&self, select: &DataSelector) -> impl Fn(&TreeNode) -> Option<Entry> + use<> {
        let (select, roots) = (select.clone(), self.roots.clone());
        move |node| {
            let path = &*node.path;
            if path == "/" || roots.is_taken(path) || !select.takes(&EntryKey::path(path)) {
                return None;
            }
            let aside = match node.stat.ephemeral_owner {
                _ if roots.is_root(path) => Some(Aside::Services),
                0 => None,
                _ => Some(Aside::Ephemeral),
            };
            Some(Entry { aside, ..entry(&node.stat) })
        }
    }

    async fn find(&self, path: &str) -> Result<FoundEntry, Error> {
        for _ in 0..TRIES {
            let (data, list) = tokio::join!(self.session.read(path), self.session.acl(path));
            let ((data, stat), (list, later)) = match (data, list) {
                (Err(WireError::NotFound(_)), _) | (_, Err(WireError::NotFound(_))) => return Ok(None),
                (data, list) => (data?, list?),
            };
            if stat.ephemeral_owner != 0 {
                return Ok(None);
            }
            // Data and list come in two answers, which must be of one version.
            if entry(&stat) == entry(&later) {
                let attributes = causeway_core::Attributes([(ACL.to_owned(), access::text(&list))].into());
                let body = data.map(|data| Arc::from(&*data));
                return Ok(Some((entry(&stat), Content { body, attributes })));
            }
        }
        Err(Error::Conflict)
    }

    async fn create(&self, write: &EntryWrite, content: &Content) -> Result<Option<Entry>, Error> {
        let (path, body) = (&*write.key.name, content.body.as_deref());
        let acl = wanted(content)?.unwrap_or_else(|| own_acl(self.acl));
        let how = Create { ephemeral: false, acl: &acl };
        let made = self.session.create_all(path, body, how, &own_acl(self.acl)).await;
        made.map(|stat| Some(entry(&stat))).map_err(|error| refused(error, path, true))
    }

    /// Makes new entries, parents before children.
    async fn make(&self, writes: &[EntryWrite]) -> Vec<Result<Option<Entry>, Error>> {
        let own = own_acl(self.acl);
        let wanted: Vec<_> = writes.iter().map(|write| write.to.as_ref().map_or(Ok(None), wanted)).collect();
        let mut nodes = Vec::new();
        for (write, acl) in writes.iter().zip(&wanted) {
            if let (Ok(acl), Some(content)) = (acl, &write.to) {
                let how = Create { ephemeral: false, acl: acl.as_deref().unwrap_or(&own) };
                nodes.push((&*write.key.name, content.body.as_deref(), how));
            }
        }
        let mut made = self.session.make_many(&nodes).await.into_iter();
        let gone = || Err(WireError::Unavailable("no answer".into()));
        let outcome = |(acl, write): (Result<_, Error>, &EntryWrite)| {
            acl?;
            let made = made.next().unwrap_or_else(gone).map(|stat| Some(entry(&stat)));
            made.map_err(|error| refused(error, &write.key.name, true))
        };
        wanted.into_iter().zip(writes).map(outcome).collect()
    }

    /// Removes entries that stand as expected, children before parents.
    async fn remove(&self, writes: &[EntryWrite]) -> Vec<Result<Option<Entry>, Error>> {
        let paths: Vec<&str> = writes.iter().map(|write| &*write.key.name).collect();
        let mut due = Vec::new();
        let mut outcomes: Vec<Result<Option<Entry>, Error>> = Vec::new();
        for (write, stat) in writes.iter().zip(self.session.stat_many(&paths).await) {
            let fits = |stat: &Stat| matches!(write.expect, Expect::Stamp(stamp) if stands(stat, stamp));
            outcomes.push(match stat {
                Ok(Some(stat)) if fits(&stat) => {
                    due.push((outcomes.len(), (&*write.key.name, Some(stat.version))));
                    Ok(None)
                }
                Ok(_) => Err(Error::Conflict),
                Err(error) => Err(error.into()),
            });
        }
        let nodes: Vec<_> = due.iter().map(|(_, node)| *node).collect();
        for ((n, _), outcome) in due.iter().zip(self.session.delete_many(&nodes).await) {
            outcomes[*n] = outcome.map(|()| None).map_err(|error| removal(error, &writes[*n].key.name));
        }
        outcomes
    }

    async fn change(&self, path: &str, stamp: Stamp, to: &Content) -> Result<Option<Entry>, Error> {
        match self.try_change(path, stamp, to).await {
            // It was deleted since it was read.
            Err(Error::Missing(_)) => Err(Error::Conflict),
            done => done,
        }
    }

    async fn try_change(&self, path: &str, stamp: Stamp, to: &Content) -> Result<Option<Entry>, Error> {
        let stat = self.session.stat(path).await?;
        let stat = stat.filter(|stat| stands(stat, stamp)).ok_or(Error::Conflict)?;
        let body = to.body.as_deref();
        if let Some(acl) = wanted(to)? {
            let (there, _) = self.session.acl(path).await?;
            if access::text(&there) != access::text(&acl) {
                let done = self.change_both(path, &stat, body, &acl).await;
                return done.map_err(|error| refused(error, path, false));
            }
        }
        let set = self.session.set(path, body, Some(stat.version)).await;
        set.map(|now| Some(entry(&now))).map_err(|error| refused(error, path, false))
    }

    /// Data and access list, which are two calls. Data goes first, as the new list may keep us from writing; when the list
    /// is refused the old data comes back. Data that is there already is not written: the present list may not allow that.
    async fn change_both(
        &self,
        path: &str,
        stat: &Stat,
        body: Option<&[u8]>,
        acl: &[Acl],
    ) -> Result<Option<Entry>, WireError> {
        let (before, found) = self.session.read(path).await?;
        let conflict = || WireError::BadVersion(path.to_owned());
        if found.version != stat.version {
            return Err(conflict());
        }
        let same = before.as_deref() == body;
        let mut lists = stat.aversion;
        let written = match same {
            true => found,
            false => match self.session.set(path, body, Some(stat.version)).await {
                // A provisional list of ours lets us change the list only.
                Err(WireError::Denied(denied)) => {
                    let ours = access::with_us(acl, self.user.as_deref(), access::FILL | access::WRITE);
                    let ours = ours.ok_or(WireError::Denied(denied))?;
                    lists = self.session.set_acl(path, &ours, Some(lists)).await?.aversion;
                    self.session.set(path, body, Some(stat.version)).await?
                }
                written => written?,
            },
        };
        match self.session.set_acl(path, acl, Some(lists)).await {
            // It was written in between, and is read again.
            Ok(now) if now.version != written.version => Err(conflict()),
            Ok(now) => Ok(Some(entry(&now))),
            Err(error) => {
                if !error.is_transient() && !same {
                    // A write in between is left alone.
                    drop(self.session.set(path, before.as_deref(), Some(written.version)).await);
                }
                Err(error)
            }
        }
    }

    /// Makes any write by itself, but removals.
    async fn one(&self, write: &EntryWrite) -> Result<Option<Entry>, Error> {
        match (write.expect, &write.to) {
            (Expect::Absent, Some(content)) => self.create(write, content).await,
            (Expect::Stamp(stamp), Some(content)) => self.change(&write.key.name, stamp, content).await,
            (_, None) => {
                let there = self.session.stat(&write.key.name).await?;
                let there = there.filter(|stat| stat.ephemeral_owner == 0);
                there.map_or(Ok(None), |_| Err(Error::Conflict))
            }
        }
    }
}

/// The access list that an entry is to have; `None`: the one that it has, or that a new one gets.
fn wanted(content: &Content) -> Result<Option<Vec<Acl>>, Error> {
    content.attributes.0.get(ACL).map(|text| access::read(text).map_err(Error::Rejected)).transpose()
}

/// Whether a node is the entry with this stamp.
fn stands(stat: &Stat, stamp: Stamp) -> bool {
    stat.ephemeral_owner == 0 && entry(stat).stamp == stamp
}

/// What a refused write means. `moves`: it makes or removes the node, which takes a right on the folder above it.
fn refused(error: WireError, path: &str, moves: bool) -> Error {
    let WireError::Denied(_) = error else { return error.into() };
    let (what, whose) = match moves {
        true => ("make or remove", parent(path).unwrap_or("/")),
        false => ("change", path),
    };
    Error::Denied(format!(
        "we may not {what} {path}: the access list of {whose} does not allow it; change that list, or sign in as a user \
         that it allows"
    ))
}

/// What a refused removal means. Our own children are removed first, so that any that are left take no part.
fn removal(error: WireError, path: &str) -> Error {
    match error {
        WireError::NotFound(_) => Error::Conflict,
        WireError::NotEmpty(_) => Error::Rejected("something lies below it that takes no part: it stays".into()),
        error => refused(error, path, true),
    }
}

impl DataSource for ZooKeeperData {
    fn facts(&self) -> EntryFacts {
        EntryFacts { shape: NameShape::Tree, stamps: StampKind::Monotonic }
    }

    /// Stamps begin with the transaction of the last write.
    fn latest(&self) -> Option<i64> {
        Some(self.session.seen())
    }

    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let options = self.options(select);
        match Followed::new(&self.session, options, self.takes(select)) {
            Ok(followed) => {
                stream::unfold(followed, async |mut followed| Some((followed.next().await?, followed))).boxed()
            }
            Err(error) => {
                let lost = Lost { part: None, error: error.into() };
                stream::iter([Err(lost)]).chain(stream::pending()).boxed()
            }
        }
    }

    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        let reads: Vec<_> = keys.iter().map(|key| self.find(&key.name).boxed()).collect();
        stream::iter(reads).buffered(AT_ONCE).collect().boxed()
    }

    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        async move {
            let options = self.options(select);
            let listing = list_tree(&self.session, options.clone()).await?;
            let entries = listed(listing, &options.descend, &self.takes(select), &mut Numbered::default());
            entries.map_err(|lost| lost.error)
        }
        .boxed()
    }
}

/// Calls on their way at once; they go over one connection, in order.
const AT_ONCE: usize = 256;

impl DataSink for ZooKeeperData {
    fn limits(&self) -> Limits {
        Limits { max_batch: AT_ONCE, in_flight: 4, per_second: None }
    }

    /// A body that leaves no room for the rest of its request is refused by the session.
    fn capabilities(&self) -> EntryCapabilities {
        EntryCapabilities { largest: self.session.longest(), ..EntryCapabilities::ALL }
    }

    fn check(&self, _: &EntryKey, content: &Content) -> Result<(), String> {
        self.capabilities().check(content)?;
        content.attributes.0.get(ACL).map_or(Ok(()), |text| access::read(text).map(drop))
    }

    /// A list that does not let us make children, or change it later, gets that right added for us: for our user where
    /// we sign in, else for everybody.
    fn provisional(&self, content: &Content) -> Option<Content> {
        let list = access::read(content.attributes.0.get(ACL)?).ok()?;
        let list = access::with_us(&list, self.user.as_deref(), access::FILL)?;
        let mut first = content.clone();
        first.attributes.0.insert(ACL.to_owned(), access::text(&list));
        Some(first)
    }

    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        async move {
            let mut outcomes = Vec::with_capacity(writes.len());
            for run in writes.chunk_by(|a, b| sort(a) == sort(b) && sort(a) != Sort::Alone) {
                outcomes.extend(match sort(&run[0]) {
                    Sort::Creation => self.make(run).await,
                    Sort::Removal => self.remove(run).await,
                    Sort::Edit | Sort::Alone => {
                        let calls: Vec<_> = run.iter().map(|write| self.one(write).boxed()).collect();
                        stream::iter(calls).buffered(AT_ONCE).collect().await
                    }
                });
            }
            outcomes
        }
        .boxed()
    }
}

/// What may go together.
#[derive(PartialEq)]
enum Sort {
    /// Its parents are there, so that it takes one call: many go without waiting for answers, in order.
    Creation,
    /// Concerns no other entry.
    Edit,
    /// Many go in order, children before their parents.
    Removal,
    /// Goes by itself.
    Alone,
}

fn sort(write: &EntryWrite) -> Sort {
    match (write.expect, &write.to) {
        (Expect::Absent, Some(_)) if !write.parents => Sort::Creation,
        (Expect::Stamp(_), Some(_)) => Sort::Edit,
        (Expect::Stamp(_), None) => Sort::Removal,
        (Expect::Absent, _) => Sort::Alone,
    }
}
