//! A Nacos' config entries as the znodes of one Dubbo root: a port that looks like a ZooKeeper's.

use super::Root;
use super::watch::Watch;
use causeway_core::{
    Content, DataPort, DataSelector, DataSink, DataSource, Entry, EntryCapabilities, EntryFacts, EntryInterest,
    EntryKey, EntryUpdate, EntryWrite, Error, Expect, Fingerprint, FoundEntry, Limits, Lost, Part, Port, Undecided,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// The part that a ZooKeeper has.
pub(super) const PART: &str = "public";

/// Views that are in use. The same view is the same pointer: the engine compares ports by place.
#[derive(Default)]
pub struct Views(Mutex<Vec<(Key, Weak<View>)>>);

#[derive(PartialEq, Eq)]
struct Key {
    task: Arc<str>,
    data: usize,
    root: Root,
    namespace: String,
    writes: bool,
}

impl Views {
    /// A task's view of `namespace` (an id or, where the task only reads it, a display name) of a Nacos. `writes`: whether
    /// the task writes there.
    pub fn of(
        &self,
        task: &Arc<str>,
        (services, data): (&Port, &DataPort),
        (root, namespace): (&Root, &str),
        writes: bool,
    ) -> DataPort {
        let place = Arc::as_ptr(&data.source()).cast::<()>().addr();
        let (root, namespace) = (root.clone(), namespace.to_owned());
        let key = Key { task: task.clone(), data: place, root: root.clone(), namespace: namespace.clone(), writes };
        let mut views = self.0.lock();
        // A view holds its data port: no other one can stand at that place.
        views.retain(|(_, view)| view.strong_count() > 0);
        let known = views.iter().find(|(one, _)| *one == key).and_then(|(_, view)| view.upgrade());
        let view = known.unwrap_or_else(|| {
            let place = Place { services: services.clone(), namespace, root, writes, found: Mutex::default() };
            let view = Arc::new(View { place: Arc::new(place), source: data.source(), sink: data.sink() });
            views.push((key, Arc::downgrade(&view)));
            view
        });
        match &view.sink {
            Some(_) => DataPort::read_write(view),
            None => DataPort::read_only(view),
        }
    }
}

/// The view itself.
struct View {
    place: Arc<Place>,
    source: Arc<dyn DataSource>,
    sink: Option<Arc<dyn DataSink>>,
}

/// Where in the Nacos.
pub(super) struct Place {
    services: Port,
    namespace: String,
    pub root: Root,
    writes: bool,
    /// The namespace's id, once it was found.
    found: Mutex<Option<Arc<str>>>,
}

impl Place {
    /// The namespace's id; `None`: there is none, but the task may make it.
    pub async fn id(&self) -> Result<Option<Arc<str>>, Error> {
        let known = self.found.lock().clone();
        if known.is_some() {
            return Ok(known);
        }
        let services = self.services.source();
        let id = match services.parts().await {
            Ok(parts) if parts.contains_key(&Part::new(&self.namespace)) => Some(self.namespace.as_str().into()),
            Ok(parts) => {
                let titled = |title: &Option<Arc<str>>| title.as_deref() == Some(&self.namespace);
                let mut ids = parts.into_iter().filter(|(_, title)| titled(title)).map(|(part, _)| part.0);
                match ids.next() {
                    Some(id) => Some(id).filter(|_| ids.next().is_none()),
                    None => self.id_of_unlisted().await?,
                }
            }
            // Who may not list them is told the id.
            Err(Error::Denied(_)) => Some(self.namespace.as_str().into()),
            Err(error) => return Err(error),
        };
        match id {
            Some(id) => {
                *self.found.lock() = Some(id.clone());
                Ok(Some(id))
            }
            None if self.writes => Ok(None),
            None => Err(Error::Missing(format!("there is no namespace {}", self.namespace))),
        }
    }

    /// Services stand in it though nobody has created it: then its name in the settings is its id.
    async fn id_of_unlisted(&self) -> Result<Option<Arc<str>>, Error> {
        let used = self.services.source().count(&Part::new(&self.namespace)).await? > 0;
        Ok(used.then(|| self.namespace.as_str().into()))
    }

    pub fn forget(&self) {
        *self.found.lock() = None;
    }

    /// The id, where the namespace is made if it is not there.
    async fn id_to_write(&self) -> Result<Arc<str>, Error> {
        if let Some(id) = self.id().await? {
            return Ok(id);
        }
        if let Some(sink) = self.services.sink() {
            sink.prepare(&Part::new(&self.namespace), None).await?;
        }
        Ok(self.namespace.as_str().into())
    }

    pub fn inside(self: &Arc<Self>, id: &Arc<str>, select: &DataSelector) -> DataSelector {
        Arc::new(Inside { place: self.clone(), id: id.clone(), select: select.clone() })
    }

    pub fn outside(&self, entries: BTreeMap<EntryKey, Entry>) -> BTreeMap<EntryKey, Entry> {
        entries.into_iter().filter_map(|(key, entry)| Some((self.root.to_zookeeper(&key)?, entry))).collect()
    }
}

/// What a task takes, as the Nacos' own entries.
struct Inside {
    place: Arc<Place>,
    id: Arc<str>,
    select: DataSelector,
}

impl EntryInterest for Inside {
    fn takes(&self, key: &EntryKey) -> bool {
        key.namespace == self.id && self.place.root.to_zookeeper(key).is_some_and(|path| self.select.takes(&path))
    }
    fn undecided(&self, key: &EntryKey) -> Option<Undecided> {
        self.select.undecided(&self.place.root.to_zookeeper(key)?)
    }
    fn part(&self, part: &Part) -> bool {
        part.0 == self.id
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        key.namespace == self.id
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&(&self.id, &self.place.root, self.select.fingerprint()))
    }
}

impl DataSource for View {
    fn facts(&self) -> EntryFacts {
        self.source.facts()
    }

    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let watch = Watch::new(self.place.clone(), self.source.clone(), select.clone());
        stream::unfold(watch, async |mut watch| {
            let item = watch.next().await;
            Some((item, watch))
        })
        .boxed()
    }

    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        async move {
            let id = match self.place.id().await {
                Ok(Some(id)) => id,
                Ok(None) => return keys.iter().map(|_| Ok(None)).collect(),
                Err(error) => return failed(error, keys.len()),
            };
            let root = &self.place.root;
            let inner: Vec<_> = keys.iter().filter_map(|key| root.to_nacos(&id, key)).collect();
            let mut found = self.source.read(&inner).await.into_iter();
            let mut answers = Vec::with_capacity(keys.len());
            for key in keys {
                answers.push(match root.to_nacos(&id, key) {
                    None => Ok(None),
                    Some(_) => match found.next() {
                        None => Err(Error::protocol("an answer is missing")),
                        Some(Ok(Some((entry, content)))) => {
                            root.check(key, &content).map_err(Error::Rejected).map(|()| Some((entry, content)))
                        }
                        Some(answer) => answer,
                    },
                });
            }
            answers
        }
        .boxed()
    }

    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        async move {
            match self.place.id().await? {
                Some(id) => Ok(self.place.outside(self.source.list(&self.place.inside(&id, select)).await?)),
                None => Ok(BTreeMap::new()),
            }
        }
        .boxed()
    }
}

impl DataSink for View {
    fn capabilities(&self) -> EntryCapabilities {
        self.sink.as_ref().map_or(EntryCapabilities::ALL, |sink| sink.capabilities())
    }

    fn check(&self, key: &EntryKey, content: &Content) -> Result<(), String> {
        match (self.place.root.to_nacos(&self.place.namespace, key), &self.sink) {
            (None, _) => Err(no_place(key)),
            (Some(inner), Some(sink)) => sink.check(&inner, content),
            (Some(_), None) => Ok(()),
        }
    }

    fn limits(&self) -> Limits {
        self.sink.as_ref().map_or_else(Limits::default, |sink| sink.limits())
    }

    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        async move {
            let Some(sink) = &self.sink else {
                return failed(Error::Denied("it can only be read".into()), writes.len());
            };
            let id = match self.place.id_to_write().await {
                Ok(id) => id,
                Err(error) => return failed(error, writes.len()),
            };
            let inner = |write: &EntryWrite| {
                Some(EntryWrite { key: self.place.root.to_nacos(&id, &write.key)?, ..write.clone() })
            };
            let (mut inners, mut known) = (Vec::new(), Vec::new());
            for write in writes {
                let inner = inner(write);
                known.push(inner.is_some());
                inners.extend(inner);
            }
            let mut answers = sink.write(&inners).await.into_iter();
            let of = |(write, known): (&EntryWrite, bool)| match known {
                true => answers.next().unwrap_or_else(|| Err(Error::protocol("an answer is missing"))),
                false => refused(write),
            };
            writes.iter().zip(known).map(of).collect()
        }
        .boxed()
    }
}

/// What a Nacos has no place for.
fn refused(write: &EntryWrite) -> Result<Option<Entry>, Error> {
    match (write.expect, &write.to) {
        (Expect::Absent, None) => Ok(None),
        _ => Err(Error::Rejected(no_place(&write.key))),
    }
}

fn no_place(key: &EntryKey) -> String {
    format!("Nacos has no place for {key}")
}

/// The same failure for each of several.
fn failed<T>(error: Error, count: usize) -> Vec<Result<T, Error>> {
    let again = |error: &Error| match error {
        Error::Throttled(wait) => Error::Throttled(*wait),
        Error::Conflict => Error::Conflict,
        Error::Denied(text) => Error::Denied(text.clone()),
        Error::Missing(text) => Error::Missing(text.clone()),
        Error::Rejected(text) => Error::Rejected(text.clone()),
        Error::Blocked(text) => Error::Blocked(text.clone()),
        Error::Unavailable(cause) => Error::unavailable(cause.to_string()),
        Error::Protocol(cause) => Error::protocol(cause.to_string()),
    };
    (0..count).map(|_| Err(again(&error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, MemoryData, MemoryPorts};
    use causeway_core::{Everything, Instance, ServiceKey};

    struct Fixture {
        memory: Memory,
        data: MemoryData,
        views: Views,
        services: Port,
        port: DataPort,
        select: DataSelector,
    }

    impl Fixture {
        fn new() -> Self {
            let (memory, data) = (Memory::new(), MemoryData::new());
            let services = Port::read_write(Arc::new(MemoryPorts::open(&memory)));
            let port = DataPort::read_write(Arc::new(data.clone()));
            Self { memory, data, views: Views::default(), services, port, select: Arc::new(Everything) }
        }

        fn view(&self, namespace: &str, writes: bool) -> Arc<dyn DataSink> {
            let root = Root("/dubbo".into());
            let port = self.views.of(&"t".into(), (&self.services, &self.port), (&root, namespace), writes);
            port.sink().unwrap()
        }
    }

    fn inner(namespace: &str) -> EntryKey {
        EntryKey::new(namespace, "mapping", "lab.Greeter")
    }

    fn path() -> EntryKey {
        EntryKey::path("/dubbo/mapping/lab.Greeter")
    }

    #[tokio::test]
    async fn the_same_view_is_the_same_port() {
        let all = Fixture::new();
        let place = |view: &Arc<dyn DataSink>| Arc::as_ptr(view).cast::<()>();
        let (one, same, other) = (all.view("dev", true), all.view("dev", true), all.view("prod", true));
        assert_eq!(place(&one), place(&same));
        assert_ne!(place(&one), place(&other));
    }

    #[tokio::test]
    async fn a_namespace_that_nobody_created_is_read_where_services_stand_in_it() {
        let all = Fixture::new();
        all.data.put(&inner("used"), Content::of("app"));
        let missing = all.view("used", false).list(&all.select).await;
        assert!(matches!(missing, Err(Error::Missing(_))), "{missing:?}");
        all.memory.register(&ServiceKey::new("used", "G", "s"), "p", Instance::new("127.0.0.1", 1));
        all.memory.unlist_part("used");
        let listed = all.view("used", false).list(&all.select).await.unwrap();
        assert_eq!(listed.into_keys().collect::<Vec<_>>(), [path()]);
    }

    #[tokio::test]
    async fn entries_of_the_namespace_are_shown_and_written() {
        let all = Fixture::new();
        all.memory.create_part("7d2a", Some("dev"));
        all.data.put(&inner("7d2a"), Content::of("app"));
        all.data.put(&inner("public"), Content::of("other"));
        all.data.put(&EntryKey::new("7d2a", "mapping", "users"), Content::of("a: 1"));
        let view = all.view("dev", false);
        let mut news = view.watch(&all.select);
        let Some(Ok(EntryUpdate::Reset { part, entries })) = news.next().await else { panic!("no look") };
        let users = EntryKey::path("/dubbo/mapping/users");
        assert_eq!((part, entries.len()), (Part::new("public"), 2));
        assert_eq!(view.list(&all.select).await.unwrap().into_keys().collect::<Vec<_>>(), [path(), users.clone()]);
        let mut found = view.read(&[users, EntryKey::path("/other"), path()]).await;
        let (entry, content) = found.remove(2).unwrap().unwrap();
        assert_eq!(content, Content::of("app"));
        assert!(matches!(found[0], Err(Error::Rejected(_))) && matches!(found[1], Ok(None)), "{found:?}");

        let (expect, to) = (Expect::Stamp(entry.stamp), Some(Content::of("app,more")));
        let nowhere = EntryWrite { key: EntryKey::path("/x"), expect: Expect::Absent, to: to.clone(), parents: true };
        let write = EntryWrite { key: path(), expect, to, parents: true };
        let answers = view.write(&[nowhere, write]).await;
        assert!(matches!(answers[0], Err(Error::Rejected(_))) && answers[1].is_ok(), "{answers:?}");
        assert_eq!(all.data.get(&inner("7d2a")), Some(Content::of("app,more")));
        assert_eq!(all.data.get(&inner("public")), Some(Content::of("other")));
        let Some(Ok(EntryUpdate::Changed(changes))) = news.next().await else { panic!("not told") };
        assert!(changes.len() == 1 && changes[0].0 == path() && changes[0].1.is_some());
        all.data.remove(&inner("7d2a"));
        let told = news.next().await;
        assert!(matches!(told, Some(Ok(EntryUpdate::Changed(changes))) if changes == [(path(), None)]));
    }

    #[tokio::test]
    async fn a_namespace_that_is_missing() {
        let all = Fixture::new();
        let reads = all.view("dev", false);
        let told = reads.watch(&all.select).next().await;
        assert!(matches!(told, Some(Err(Lost { error: Error::Missing(_), .. }))), "one that cannot be made");
        assert!(reads.list(&all.select).await.is_err());

        let view = all.view("dev", true);
        let mut news = view.watch(&all.select);
        let first = news.next().await;
        assert!(matches!(first, Some(Ok(EntryUpdate::Reset { entries, .. })) if entries.is_empty()));
        assert!(matches!(view.read(&[path()]).await[..], [Ok(None)]));
        let write = EntryWrite { key: path(), expect: Expect::Absent, to: Some(Content::of("app")), parents: true };
        assert!(view.write(&[write]).await[0].is_ok());
        assert!(
            all.services.source().parts().await.unwrap().contains_key(&Part::new("dev")),
            "made with the first entry"
        );
        let next = news.next().await;
        assert!(matches!(next, Some(Ok(EntryUpdate::Reset { entries, .. })) if entries.contains_key(&path())));
    }
}
