//! A Nacos' config entries as the znodes of one Dubbo root: a port that looks like a ZooKeeper's.

use super::Root;
use super::namespace::NacosNamespace;
use super::watch::DubboWatch;
use causeway_core::{
    Content, DataPort, DataSelector, DataSink, DataSource, Entry, EntryCapabilities, EntryFacts, EntryKey, EntryUpdate,
    EntryWrite, Error, Expect, FoundEntry, Limits, Lost, Port,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Views that are in use. The same view is the same pointer: the engine compares ports by place.
#[derive(Default)]
pub struct Views(Mutex<Vec<Weak<DubboView>>>);

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
        // A view holds its source: no other one can stand at that place.
        let at = |source: &Arc<dyn DataSource>| Arc::as_ptr(source).cast::<()>();
        let same = |view: &Arc<DubboView>| {
            let NacosNamespace { namespace: id, root: below, writes: may_write, .. } = &*view.place;
            let place = (&view.task, id.as_str(), below, *may_write);
            place == (task, namespace, root, writes) && at(&view.source) == at(&data.source())
        };
        let mut views = self.0.lock();
        views.retain(|view| view.strong_count() > 0);
        let known = views.iter().filter_map(Weak::upgrade).find(same);
        let view = known.unwrap_or_else(|| {
            let (services, namespace, root) = (services.clone(), namespace.to_owned(), root.clone());
            let place = Arc::new(NacosNamespace { services, namespace, root, writes, id: Mutex::default() });
            let view = DubboView { task: task.clone(), place, source: data.source(), sink: data.sink() };
            let view = Arc::new(view);
            views.push(Arc::downgrade(&view));
            view
        });
        match &view.sink {
            Some(_) => DataPort::read_write(view),
            None => DataPort::read_only(view),
        }
    }
}

/// The view itself.
struct DubboView {
    task: Arc<str>,
    place: Arc<NacosNamespace>,
    source: Arc<dyn DataSource>,
    sink: Option<Arc<dyn DataSink>>,
}

impl DataSource for DubboView {
    fn facts(&self) -> EntryFacts {
        self.source.facts()
    }

    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let watch = DubboWatch::new(self.place.clone(), self.source.clone(), select.clone());
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
            let asked: Vec<_> = keys.iter().filter_map(|key| root.to_nacos(&id, key)).collect();
            let mut answers = self.source.read(&asked).await.into_iter();
            let of = |key: &EntryKey| {
                let Some(_) = root.to_nacos(&id, key) else { return Ok(None) };
                let Some((entry, content)) = answers.next().unwrap_or_else(missing)? else { return Ok(None) };
                root.check(key, &content).map_err(Error::Rejected)?;
                Ok(Some((entry, content)))
            };
            keys.iter().map(of).collect()
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

impl DataSink for DubboView {
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
            let inner = |write: &EntryWrite| self.place.root.to_nacos(&id, &write.key);
            let moved = |write: &EntryWrite| Some(EntryWrite { key: inner(write)?, ..write.clone() });
            let asked: Vec<_> = writes.iter().filter_map(moved).collect();
            let mut answers = sink.write(&asked).await.into_iter();
            let of = |write: &EntryWrite| match inner(write) {
                Some(_) => answers.next().unwrap_or_else(missing),
                None => refused(write),
            };
            writes.iter().map(of).collect()
        }
        .boxed()
    }
}

fn missing<T>() -> Result<T, Error> {
    Err(Error::protocol("an answer is missing"))
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
    use causeway_core::{Everything, Instance, Part, ServiceKey};

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
