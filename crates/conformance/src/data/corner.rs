//! One test's own corner of a cluster of config entries.

use super::{Data, DataFacts, DataFollow, DataSubject, Login};
use crate::look::until;
use anyhow::{Context, Result, anyhow, ensure};
use causeway_core::{
    Content, DataSelector, Entry, EntryInterest, EntryKey, EntryWrite, Error, Expect, Fingerprint, NameShape, Part,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The subject, and what most tests do with it.
pub struct DataCorner<S> {
    /// The cluster.
    pub subject: S,
    /// What holds for it.
    pub facts: DataFacts,
    /// The test, for notes.
    pub name: String,
}

/// One part, without the entries that are kept out.
#[derive(Debug)]
struct Inside {
    part: Part,
    shape: NameShape,
    without: Vec<EntryKey>,
}

impl EntryInterest for Inside {
    fn takes(&self, key: &EntryKey) -> bool {
        key.part() == self.part && !self.without.iter().any(|out| key == out || self.shape.is_below(key, out))
    }
    fn part(&self, part: &Part) -> bool {
        *part == self.part
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        key.part() == self.part && !self.without.iter().any(|out| key == out || self.shape.is_below(key, out))
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}

impl<S: DataSubject> DataCorner<S> {
    /// Around a subject.
    pub fn new(subject: S, name: &str) -> Self {
        Self { facts: subject.facts(), subject, name: name.to_owned() }
    }

    /// A connection as the administrator that works.
    pub async fn open(&self) -> Result<Data> {
        let data = self.subject.open(Login::Administrator).await?;
        self.answers(&data).await?;
        Ok(data)
    }

    /// Waits until a connection that was just opened answers.
    pub async fn answers(&self, data: &Data) -> Result<()> {
        let select = self.select();
        until(Duration::from_secs(10), "an answer", async || Ok(data.list(&select).await?), |_| true).await.map(drop)
    }

    /// Everything in the part.
    pub fn select(&self) -> DataSelector {
        self.select_without(&[])
    }

    /// Everything in the part but these, and what is below them.
    pub fn select_without(&self, without: &[EntryKey]) -> DataSelector {
        Arc::new(Inside { part: self.part(), shape: self.facts.entries.shape, without: without.to_vec() })
    }

    /// A watch of everything in the part that has said what stands there.
    pub async fn follow(&self, data: &Data) -> Result<DataFollow> {
        let follow = DataFollow::start(data, &self.select());
        let part = self.part();
        follow.wait(Duration::from_secs(20), "a Reset", |view| view.complete.contains(&part)).await?;
        Ok(follow)
    }

    /// The part.
    pub fn part(&self) -> Part {
        self.subject.part()
    }

    /// The entry `name` in the folder or group `app`.
    pub fn key(&self, name: &str) -> EntryKey {
        self.subject.key("app", name)
    }

    /// A body as every kind can hold it.
    pub fn body(&self, text: &str) -> Content {
        Content::of(text)
    }

    /// Somebody writes an entry.
    pub async fn put(&self, name: &str, text: &str) -> Result<EntryKey> {
        let key = self.key(name);
        self.subject.put(&key, &self.body(text)).await?;
        Ok(key)
    }

    /// What stands there, as text, by the vendor's own way.
    pub async fn text(&self, key: &EntryKey) -> Result<Option<String>> {
        let found = self.subject.get(key).await?;
        Ok(found.map(|content| String::from_utf8_lossy(content.body.as_deref().unwrap_or_default()).into_owned()))
    }

    /// One entry, read by us.
    pub async fn read(&self, data: &Data, key: &EntryKey) -> Result<Option<(Entry, Content)>> {
        let mut found = data.read(std::slice::from_ref(key)).await;
        ensure!(found.len() == 1, "{} answers to one question", found.len());
        found.remove(0).with_context(|| format!("reading {key}"))
    }

    /// One entry that must stand there, read by us.
    pub async fn found(&self, data: &Data, key: &EntryKey) -> Result<(Entry, Content)> {
        self.read(data, key).await?.with_context(|| format!("{key} is not there"))
    }

    /// One write of ours.
    pub async fn write(&self, data: &Data, write: EntryWrite) -> Result<Option<Entry>, Error> {
        data.write(std::slice::from_ref(&write)).await.pop().unwrap_or(Err(Error::protocol("no answer")))
    }

    /// The listing, by us.
    pub async fn list(&self, data: &Data) -> Result<BTreeMap<EntryKey, Entry>> {
        let listed = data.list(&self.select()).await.map_err(|error| anyhow!("listing: {error}"))?;
        Ok(super::follow::data_only(listed))
    }

    /// Says something worth knowing that is not asserted.
    pub fn note(&self, text: &str) {
        println!("{}: {text}", self.name);
    }
}

/// A new entry.
pub fn create(key: &EntryKey, content: Content) -> EntryWrite {
    EntryWrite { key: key.clone(), expect: Expect::Absent, to: Some(content), parents: false }
}

/// Another content where this version stands.
pub fn replace(key: &EntryKey, at: &Entry, content: Content) -> EntryWrite {
    EntryWrite { key: key.clone(), expect: Expect::Stamp(at.stamp), to: Some(content), parents: false }
}

/// No more entry where this version stands.
pub fn delete(key: &EntryKey, at: &Entry) -> EntryWrite {
    EntryWrite { key: key.clone(), expect: Expect::Stamp(at.stamp), to: None, parents: false }
}
