//! Config entries of a Nacos cluster: the [`DataSource`] and the [`DataSink`].
//!
//! A stamp is made of what is in the entry (the sum that servers keep of every content, and the type): the only thing that
//! all versions tell.

mod look;
mod recent;
mod watch;

use super::client::{ConfigDetail, DEFAULT_TYPE, Generation, NacosClient, md5};
use super::convert;
use causeway_core::{
    Attributes, Content, DataSelector, DataSink, DataSource, Entry, EntryCapabilities, EntryFacts, EntryKey,
    EntryUpdate, EntryWrite, Error, Expect, FoundEntry, Limits, Lost, NameShape, Stamp, StampKind,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use look::EntryLooker;
use recent::RecentWrites;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use watch::EntryWatch;
use xxhash_rust::xxh3::Xxh3;

/// The attribute that says what an entry is written in: `yaml`, `properties`, …
const TYPE: &str = "type";
/// Calls on their way at once, of one call of ours.
const AT_ONCE: usize = 16;
/// Nacos' own limit of a content.
const LARGEST: usize = 10 * 1024 * 1024;
/// Between two tries at an entry whose server has not heard of our own write yet.
const AGAIN: Duration = Duration::from_millis(200);

/// The config entries of one cluster. Nothing is asked of it while nobody watches.
#[derive(Clone)]
pub(super) struct NacosData {
    client: NacosClient,
    /// Namespaces that the operator named, for users who may not list them.
    named: Arc<[String]>,
    recent: Arc<RecentWrites>,
}

fn stamp(sum: &str, kind: &str) -> Stamp {
    let mut hash = Xxh3::new();
    hash.update(sum.as_bytes());
    hash.update(b"/");
    hash.update(kind.as_bytes());
    let [high, low] = [64, 0].map(|shift| (hash.digest128() >> shift) as u64);
    Stamp(high.cast_signed(), low.cast_signed())
}

fn entry(detail: &ConfigDetail) -> Entry {
    let size = u32::try_from(detail.content.len()).unwrap_or(u32::MAX);
    Entry { stamp: stamp(&detail.md5, &detail.kind), modified_ms: detail.modified_ms, size, aside: None }
}

const CAPABILITIES: EntryCapabilities =
    EntryCapabilities { largest: LARGEST, empty: false, missing: false, binary: false };

/// What a content is as Nacos holds it: text, and more than blanks.
fn text(content: &Content) -> Result<&str, String> {
    CAPABILITIES.check(content)?;
    let text = std::str::from_utf8(content.body.as_deref().unwrap_or_default()).unwrap_or_default();
    match text.trim() {
        "" => Err("it is empty but for blanks, and such entries are not held here".into()),
        _ => Ok(text),
    }
}

impl NacosData {
    pub fn new(client: NacosClient, named: Vec<String>) -> Self {
        Self { client, named: named.into(), recent: Arc::default() }
    }

    async fn detail(&self, key: &EntryKey) -> Result<Option<ConfigDetail>, Error> {
        self.client.config(key).await.map_err(convert::error)
    }

    async fn find(&self, key: &EntryKey) -> Result<FoundEntry, Error> {
        loop {
            let found = self.detail(key).await?;
            if self.recent.is_old(key, found.as_ref().map(entry)) {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            return Ok(found.map(|detail| {
                let attributes = Attributes([(TYPE.to_owned(), detail.kind.clone())].into());
                (entry(&detail), Content { body: Some(Arc::from(detail.content.as_bytes())), attributes })
            }));
        }
    }

    async fn one(&self, write: &EntryWrite) -> Result<Option<Entry>, Error> {
        let old = self.client.version().await.map_err(convert::error)?.generation == Generation::V1;
        let there = match (write.expect, &write.to) {
            // Only 1.x does not look by itself.
            (Expect::Absent, Some(_)) if !old => None,
            _ => self.detail(&write.key).await?,
        };
        let expected = match write.expect {
            Expect::Absent => None,
            Expect::Stamp(stamp) => Some(stamp),
        };
        if there.as_ref().map(|detail| entry(detail).stamp) != expected {
            return Err(Error::Conflict);
        }
        let after = match &write.to {
            Some(content) => Some(self.put(&write.key, content, there).await?),
            None if there.is_none() => return Ok(None),
            // Nobody can say what must stand there for a deletion: what was written between the look and this is lost.
            None => {
                self.client.delete_config(&write.key).await.map_err(convert::error)?;
                None
            }
        };
        self.recent.note(&write.key, expected, after);
        Ok(after)
    }

    async fn put(&self, key: &EntryKey, content: &Content, there: Option<ConfigDetail>) -> Result<Entry, Error> {
        let text = text(content).map_err(Error::Rejected)?;
        let before = there.as_ref().map(|detail| detail.md5.clone());
        // A server forgets what it is not told again.
        let mut to = ConfigDetail { content: text.to_owned(), ..there.unwrap_or_default() };
        if let Some(kind) = content.attributes.0.get(TYPE) {
            to.kind.clone_from(kind);
        }
        if !self.client.publish_config(key, &to, before.as_deref()).await.map_err(convert::error)? {
            return Err(Error::Conflict);
        }
        if before.is_none() && self.detail(key).await?.is_some_and(|stands| stands.md5 != md5(text)) {
            // With its own database a server tells both of two who create an entry at once that they did.
            return Err(Error::Conflict);
        }
        if to.kind.is_empty() {
            to.kind = DEFAULT_TYPE.to_owned();
        }
        // The time is the server's, and it does not say.
        Ok(entry(&ConfigDetail { md5: md5(text), modified_ms: 0, ..to }))
    }
}

impl DataSource for NacosData {
    fn facts(&self) -> EntryFacts {
        EntryFacts { shape: NameShape::Flat, stamps: StampKind::ContentHash }
    }

    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let watch = EntryWatch::new(self.clone(), select.clone());
        stream::unfold(watch, async |mut watch| {
            let item = watch.next().await;
            Some((item, watch))
        })
        .boxed()
    }

    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        let reads: Vec<_> = keys.iter().map(|key| self.find(key).boxed()).collect();
        stream::iter(reads).buffered(AT_ONCE).collect().boxed()
    }

    fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
        async move {
            let mut all = BTreeMap::new();
            for part in self.namespaces(select).await.map_err(convert::error)? {
                let mut looker = EntryLooker::new(self.clone(), part);
                all.append(&mut looker.look(select).await.map_err(convert::error)?);
            }
            Ok(all)
        }
        .boxed()
    }
}

impl DataSink for NacosData {
    fn capabilities(&self) -> EntryCapabilities {
        CAPABILITIES
    }

    fn check(&self, _: &EntryKey, content: &Content) -> Result<(), String> {
        text(content).map(drop)
    }

    fn limits(&self) -> Limits {
        Limits { max_batch: 64, in_flight: 4, per_second: None }
    }

    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        let calls: Vec<_> = writes.iter().map(|write| self.one(write).boxed()).collect();
        stream::iter(calls).buffered(AT_ONCE).collect().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_content_and_type() {
        let stamps = [("a", "text"), ("a", "yaml"), ("b", "text"), ("a/", "text")].map(|(sum, kind)| stamp(sum, kind));
        for (n, one) in stamps.iter().enumerate() {
            assert!(stamps.iter().skip(n + 1).all(|other| one != other));
        }
        assert_eq!(stamp("a", "text"), stamps[0]);
    }

    #[test]
    fn only_text_that_is_not_empty_can_be_held() {
        let of = |body: &[u8]| text(&Content::of(body)).is_err();
        assert!(of(b"") && of(b" \n") && of(b"\xff\xfe") && of(&vec![b'x'; LARGEST + 1]));
        assert!(text(&Content::default()).is_err());
        assert_eq!(text(&Content::of(" ü\n")).unwrap(), " ü\n");
    }
}
