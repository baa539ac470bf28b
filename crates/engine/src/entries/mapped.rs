//! A port whose entries are shown under another kind's names.

use causeway_core::{
    Aside, Content, DataPort, DataSelector, DataSink, DataSource, Entry, EntryCapabilities, EntryFacts, EntryInterest,
    EntryKey, EntryMap, EntryUpdate, EntryWrite, Error, Expect, Fingerprint, FoundEntry, Limits, Lost, NameShape,
    NoPlace, Part, Undecided,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

/// Shows the entries of `port` under the names that `map` gives them, each by itself. What has no name is listed with
/// [`Aside::NoPlace`], and what has no place cannot be written. Each call makes another port: keep it.
pub fn mapped(port: &DataPort, map: EntryMap) -> DataPort {
    let mapped = Arc::new(Mapped { map, source: port.source(), sink: port.sink() });
    match &mapped.sink {
        Some(_) => DataPort::read_write(mapped),
        None => DataPort::read_only(mapped),
    }
}

/// Of a selection what has a name on the mapped side, or should have one: no folders, for instance.
pub fn with_place(select: DataSelector, map: EntryMap) -> DataSelector {
    Arc::new(WithPlace { select, map })
}

struct WithPlace {
    select: DataSelector,
    map: EntryMap,
}

impl EntryInterest for WithPlace {
    fn takes(&self, key: &EntryKey) -> bool {
        self.map.back(key) != Err(NoPlace::Outside) && self.select.takes(key)
    }
    fn undecided(&self, key: &EntryKey) -> Option<Undecided> {
        self.select.undecided(key)
    }
    fn part(&self, part: &Part) -> bool {
        self.map.shown() == part && self.select.part(part)
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        self.select.may_hold(key)
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&(&self.map, self.select.fingerprint()))
    }
}

/// What is selected, by the cluster's own names.
struct OwnNames {
    select: DataSelector,
    map: EntryMap,
}

impl EntryInterest for OwnNames {
    fn takes(&self, key: &EntryKey) -> bool {
        match self.map.to(key) {
            Ok(shown) => self.select.takes(&shown),
            Err(why) => why != NoPlace::Outside,
        }
    }
    fn undecided(&self, key: &EntryKey) -> Option<Undecided> {
        self.select.undecided(&self.map.to(key).ok()?)
    }
    fn part(&self, part: &Part) -> bool {
        self.map.own().contains(part) && self.select.part(self.map.shown())
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        self.map.own().contains(&key.part())
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&(&self.map, self.select.fingerprint()))
    }
}

struct Mapped {
    map: EntryMap,
    source: Arc<dyn DataSource>,
    sink: Option<Arc<dyn DataSink>>,
}

impl Mapped {
    fn inside(&self, select: &DataSelector) -> DataSelector {
        Arc::new(OwnNames { select: select.clone(), map: self.map.clone() })
    }

    /// The entries that these names are of.
    fn own<'a>(&self, keys: impl Iterator<Item = &'a EntryKey>) -> Vec<Result<EntryKey, NoPlace>> {
        keys.map(|key| self.map.back(key)).collect()
    }
}

/// An entry as it is shown: what has no name, under its own, unless that is another one's here.
fn shown(map: &EntryMap, key: EntryKey, entry: Option<Entry>) -> Option<(EntryKey, Option<Entry>)> {
    match map.to(&key) {
        Ok(shown) => Some((shown, entry)),
        Err(NoPlace::Because(_)) => {
            let key = EntryKey { namespace: map.shown().0.clone(), ..key };
            let aside = |entry| Entry { aside: Some(Aside::NoPlace), ..entry };
            map.back(&key).is_err().then(|| (key, entry.map(aside)))
        }
        Err(_) => None,
    }
}

fn all_shown(map: &EntryMap, entries: BTreeMap<EntryKey, Entry>) -> BTreeMap<EntryKey, Entry> {
    let entries = entries.into_iter().filter_map(|(key, entry)| shown(map, key, Some(entry)));
    entries.filter_map(|(key, entry)| Some((key, entry?))).collect()
}

fn said(key: &EntryKey, why: NoPlace) -> String {
    match why {
        NoPlace::Outside => format!("there is no place for {key}"),
        NoPlace::Because(why) => why,
    }
}

/// What a watch has shown: several parts are one here, which is complete when all of them are.
struct MappedWatch {
    map: EntryMap,
    parts: BTreeMap<Part, BTreeMap<EntryKey, Entry>>,
}

impl MappedWatch {
    fn is_complete(&self) -> bool {
        self.parts.len() == self.map.own().len()
    }

    fn take(&mut self, item: Result<EntryUpdate, Lost>) -> Option<Result<EntryUpdate, Lost>> {
        match item {
            Ok(EntryUpdate::Reset { part, .. }) if !self.map.own().contains(&part) => None,
            Ok(EntryUpdate::Reset { part, entries }) => {
                self.parts.insert(part, entries);
                let all = || self.parts.values().flatten().map(|(key, entry)| (key.clone(), *entry)).collect();
                self.is_complete().then(|| {
                    Ok(EntryUpdate::Reset { part: self.map.shown().clone(), entries: all_shown(&self.map, all()) })
                })
            }
            Ok(EntryUpdate::Changed(changes)) => {
                for (key, entry) in &changes {
                    let part = self.parts.get_mut(&key.part());
                    match (part, entry) {
                        (Some(part), Some(entry)) => drop(part.insert(key.clone(), *entry)),
                        (Some(part), None) => drop(part.remove(key)),
                        (None, _) => {}
                    }
                }
                let changes = changes.into_iter().filter_map(|(key, entry)| shown(&self.map, key, entry));
                let changes: Vec<_> = changes.collect();
                (self.is_complete() && !changes.is_empty()).then_some(Ok(EntryUpdate::Changed(changes)))
            }
            Err(Lost { part, error }) => {
                match &part {
                    Some(part) if !self.map.own().contains(part) => return None,
                    Some(part) => drop(self.parts.remove(part)),
                    None => self.parts.clear(),
                }
                Some(Err(Lost { part: part.map(|_| self.map.shown().clone()), error }))
            }
        }
    }
}

impl DataSource for Mapped {
    fn facts(&self) -> EntryFacts {
        EntryFacts { shape: NameShape::Flat, ..self.source.facts() }
    }

    fn latest(&self) -> Option<i64> {
        self.source.latest()
    }

    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let mut all = MappedWatch { map: self.map.clone(), parts: BTreeMap::new() };
        self.source.watch(&self.inside(select)).filter_map(move |item| ready(all.take(item))).boxed()
    }

    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        async move {
            let own = self.own(keys.iter());
            let asked: Vec<_> = own.iter().flatten().cloned().collect();
            let mut found = self.source.read(&asked).await.into_iter();
            let answer = |own: Result<EntryKey, NoPlace>| match own {
                Ok(_) => found.next().unwrap_or_else(|| Err(Error::protocol("an answer is missing"))),
                Err(_) => Ok(None),
            };
            own.into_iter().map(answer).collect()
        }
        .boxed()
    }

    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        async move {
            let entries = self.source.list(&self.inside(select)).await?;
            Ok(all_shown(&self.map, entries))
        }
        .boxed()
    }
}

impl DataSink for Mapped {
    fn capabilities(&self) -> EntryCapabilities {
        self.sink.as_ref().map_or(EntryCapabilities::ALL, |sink| sink.capabilities())
    }

    fn check(&self, key: &EntryKey, content: &Content) -> Result<(), String> {
        match (self.map.back(key), &self.sink) {
            (Ok(own), Some(sink)) => sink.check(&own, content),
            (Ok(_), None) => Ok(()),
            (Err(why), _) => Err(said(key, why)),
        }
    }

    fn limits(&self) -> Limits {
        self.sink.as_ref().map_or_else(Limits::default, |sink| sink.limits())
    }

    fn provisional(&self, content: &Content) -> Option<Content> {
        self.sink.as_ref()?.provisional(content)
    }

    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        async move {
            let Some(sink) = &self.sink else {
                return writes.iter().map(|_| Err(Error::Denied("it can only be read".into()))).collect();
            };
            let own = self.own(writes.iter().map(|write| &write.key));
            // Where the folders of a tree are nobody's entries, they are made.
            let parents = |write: &EntryWrite| write.parents || self.source.facts().shape == NameShape::Tree;
            let inner = |(write, own): (&EntryWrite, &Result<EntryKey, NoPlace>)| {
                Some(EntryWrite { key: own.clone().ok()?, parents: parents(write), ..write.clone() })
            };
            let asked: Vec<_> = writes.iter().zip(&own).filter_map(inner).collect();
            let mut answers = sink.write(&asked).await.into_iter();
            let answer = |(write, own): (&EntryWrite, Result<EntryKey, NoPlace>)| match (own, write.expect, &write.to) {
                (Ok(_), ..) => answers.next().unwrap_or_else(|| Err(Error::protocol("an answer is missing"))),
                (Err(_), Expect::Absent, None) => Ok(None),
                (Err(why), ..) => Err(Error::Rejected(said(&write.key, why))),
            };
            writes.iter().zip(own).map(answer).collect()
        }
        .boxed()
    }
}
