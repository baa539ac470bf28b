//! What stands in the trees, service by service. Pure.

use super::client::paths::within;
use super::layout::{self, ReadInstance, Roots};
use super::publications::Publications;
use bytes::Bytes;
use causeway_core::{Instance, Mark, ServiceKey, Set, Unreadable};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Znodes that are taken in before other tasks get a turn.
const AT_A_TIME: usize = 100;

/// A znode of a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Znode {
    pub data: Bytes,
    /// Whether it was made without data, which is not the same as empty data.
    pub null: bool,
    /// The session that it lives by; 0 for a persistent one.
    pub owner: i64,
    /// Its access list as text; none where it is not asked for, and where the znode is open to all.
    pub access: Option<Arc<str>>,
    /// Which access list that is: the znode's birth, and the number of the list's changes.
    pub listed: (i64, i32),
}

/// The classes of the payloads that stand in each service, and what is no instance. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Classes(
    Arc<Mutex<BTreeMap<ServiceKey, BTreeMap<String, usize>>>>,
    Arc<Mutex<BTreeMap<String, String>>>,
);

impl Classes {
    fn add(&self, scope: &ServiceKey, class: &str) {
        *self.0.lock().entry(scope.clone()).or_default().entry(class.to_owned()).or_default() += 1;
    }

    fn remove(&self, scope: &ServiceKey, class: &str) {
        let mut all = self.0.lock();
        let Some(classes) = all.get_mut(scope) else { return };
        if let Some(count) = classes.get_mut(class) {
            *count -= 1;
        }
        classes.retain(|_, count| *count > 0);
        if classes.is_empty() {
            all.remove(scope);
        }
    }

    /// The znodes that are no instances, and why.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let all = self.1.lock();
        all.iter().map(|(path, why)| Unreadable { record: path.clone(), why: why.clone() }).collect()
    }

    fn note_unreadable(&self, path: &str, why: Option<&str>) {
        let mut all = self.1.lock();
        match why {
            Some(why) => drop(all.insert(path.to_owned(), why.to_owned())),
            None => drop(all.remove(path)),
        }
    }

    /// A class that stands in a service and is not `class`.
    pub fn other(&self, scope: &ServiceKey, class: &str) -> Option<String> {
        self.0.lock().get(scope)?.keys().find(|one| *one != class).cloned()
    }
}

/// Everything that was read.
pub(super) struct ServiceView {
    pub roots: Arc<Roots>,
    classes: Classes,
    /// Whether access lists are read.
    pub access: bool,
    nodes: BTreeMap<String, SeenInstance>,
    scopes: BTreeMap<ServiceKey, BTreeSet<String>>,
    /// Children that are no instance, and why, since they were last taken.
    refused: Vec<(String, String)>,
    /// All children that are no instance.
    unreadable: BTreeSet<String>,
}

struct SeenInstance {
    scope: ServiceKey,
    record: Instance,
    class: Option<String>,
    /// The path of the instance's own name, where this is another one.
    alias_of: Option<String>,
    znode: Znode,
}

/// Where a task writes its marks among the data: a parameter of a Dubbo URL, metadata of other payloads.
pub(super) const MARK: &str = "causeway";

/// A copy of another install's says so itself, where it has its mark among its data.
fn marked(mut record: Instance) -> Instance {
    let mark = record.metadata.get(MARK).and_then(Mark::decode);
    if mark.is_some() {
        record.metadata.remove(MARK);
    }
    record.with_mark(mark)
}

impl ServiceView {
    pub fn new(roots: Arc<Roots>, classes: Classes, access: bool) -> Self {
        Self {
            roots,
            classes,
            access,
            nodes: BTreeMap::new(),
            scopes: BTreeMap::new(),
            refused: Vec::new(),
            unreadable: BTreeSet::new(),
        }
    }

    /// Takes in what stands at a path now. Returns the services that it concerns.
    pub fn put(&mut self, path: &str, znode: Option<Znode>) -> BTreeSet<ServiceKey> {
        let mut touched = BTreeSet::new();
        if let Some(before) = self.nodes.remove(path) {
            if let Some(paths) = self.scopes.get_mut(&before.scope) {
                paths.remove(path);
                if paths.is_empty() {
                    self.scopes.remove(&before.scope);
                }
            }
            if let Some(class) = &before.class {
                self.classes.remove(&before.scope, class);
            }
            touched.insert(before.scope);
        }
        if self.unreadable.remove(path) {
            self.classes.note_unreadable(path, None);
        }
        let Some(znode) = znode else { return touched };
        match layout::read(&self.roots, path, &znode.data, znode.owner != 0) {
            Ok(None) => {}
            Ok(Some(ReadInstance { scope, mut instance, alias_of })) => {
                if znode.null {
                    instance = layout::without_data(instance);
                }
                if let Some(access) = &znode.access {
                    instance = layout::with_access(instance, access);
                }
                let record = marked(instance);
                self.scopes.entry(scope.clone()).or_default().insert(path.to_owned());
                touched.insert(scope.clone());
                let class = layout::class(&self.roots, path, &znode.data);
                if let Some(class) = &class {
                    self.classes.add(&scope, class);
                }
                self.nodes.insert(path.to_owned(), SeenInstance { scope, record, class, alias_of, znode });
            }
            Err(why) => {
                self.classes.note_unreadable(path, Some(&why));
                self.unreadable.insert(path.to_owned());
                self.refused.push((path.to_owned(), why));
            }
        }
        touched
    }

    /// Takes in everything below a root, and leaves what may not be read as it was known. Returns the services that
    /// changed. Lets others work in between: the pings of our own session, which a long listing could cost its life.
    pub async fn replace(
        &mut self,
        root: &str,
        nodes: impl Iterator<Item = (String, Znode)> + Send,
        denied: &BTreeSet<Arc<str>>,
    ) -> BTreeSet<ServiceKey> {
        let unknown = |path: &str| denied.iter().any(|denied| within(denied, path));
        let known = self.nodes.keys().chain(&self.unreadable);
        let mut gone: BTreeSet<String> = known.filter(|path| within(root, path)).cloned().collect();
        let mut touched = BTreeSet::new();
        for (n, (path, znode)) in nodes.enumerate() {
            if n % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
            gone.remove(&path);
            if self.nodes.get(&path).is_none_or(|seen| seen.znode != znode) {
                touched.extend(self.put(&path, Some(znode)));
            }
        }
        for path in gone.into_iter().filter(|path| !unknown(path)) {
            touched.extend(self.put(&path, None));
        }
        touched
    }

    /// Children that are no instance, and why, since the last call.
    pub fn take_refused(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.refused)
    }

    /// What stands at a path, if it is an instance.
    pub fn znode(&self, path: &str) -> Option<&Znode> {
        self.nodes.get(path).map(|seen| &seen.znode)
    }

    /// The other name of the instance at a path ([`layout::alias()`]).
    pub fn alias(&self, path: &str) -> Option<String> {
        layout::alias(&self.roots, path, &self.nodes.get(path)?.znode.data)
    }

    /// One service as it stands, ours known as ours. What has another name is one with what has its own.
    pub fn set(&self, scope: &ServiceKey, ours: &Publications) -> Set {
        let paths = self.scopes.get(scope).into_iter().flatten();
        let stands = |path: &String| self.nodes.contains_key(path);
        let seen = paths.filter_map(|path| Some((path, self.nodes.get(path)?)));
        let seen = seen.filter(|(_, seen)| !seen.alias_of.as_ref().is_some_and(stands));
        Set::of(
            scope.clone(),
            seen.map(|(path, seen)| ours.judge(scope, path, seen.znode.owner, seen.record.clone(), &seen.znode.data)),
        )
    }

    pub fn has(&self, scope: &ServiceKey) -> bool {
        self.scopes.contains_key(scope)
    }

    pub fn scopes(&self) -> impl Iterator<Item = &ServiceKey> {
        self.scopes.keys()
    }
}

impl Drop for ServiceView {
    fn drop(&mut self) {
        self.unreadable.iter().for_each(|path| self.classes.note_unreadable(path, None));
        for seen in self.nodes.values() {
            if let Some(class) = &seen.class {
                self.classes.remove(&seen.scope, class);
            }
        }
    }
}
