//! Following a Nacos' entries as znodes.

use super::namespace::{NacosNamespace, PART};
use causeway_core::{DataSelector, DataSource, EntryUpdate, Error, Lost, Part};
use futures_util::stream::{BoxStream, StreamExt};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks for a namespace that is not there.
const AGAIN: Duration = Duration::from_secs(2);

/// One endless watch.
pub(super) struct DubboWatch {
    place: Arc<NacosNamespace>,
    source: Arc<dyn DataSource>,
    select: DataSelector,
    following: Option<Following>,
    /// What was last told while there was no namespace: that there is none, or why it is not known.
    told: Option<String>,
    ready: VecDeque<Result<EntryUpdate, Lost>>,
}

/// What is said of the namespace with this id.
struct Following {
    id: Arc<str>,
    news: BoxStream<'static, Result<EntryUpdate, Lost>>,
}

impl DubboWatch {
    pub fn new(place: Arc<NacosNamespace>, source: Arc<dyn DataSource>, select: DataSelector) -> Self {
        Self { place, source, select, following: None, told: None, ready: VecDeque::new() }
    }

    /// The next thing to report. Never ends.
    pub async fn next(&mut self) -> Result<EntryUpdate, Lost> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return item;
            }
            let Some(Following { id, news }) = &mut self.following else {
                self.begin().await;
                continue;
            };
            match news.next().await {
                Some(item) => self.ready.extend(self.place.tell(id, item)),
                None => self.following = None,
            }
            if let Some(Err(Lost { error: Error::Missing(_), .. })) = self.ready.front() {
                // It may come back with another id.
                self.place.forget();
                self.following = None;
            }
        }
    }

    /// Looks for the namespace.
    async fn begin(&mut self) {
        let part = Part::new(PART);
        let (text, item) = match self.place.id().await {
            Ok(Some(id)) => {
                let select = self.place.inside(&id, &self.select);
                self.following = Some(Following { id, news: self.source.watch(&select) });
                self.told = None;
                return;
            }
            Ok(None) => (String::new(), Ok(EntryUpdate::Reset { part, entries: BTreeMap::new() })),
            Err(error) => (error.to_string(), Err(Lost { part: Some(part), error })),
        };
        if self.told.as_ref() == Some(&text) {
            tokio::time::sleep(AGAIN).await;
        } else {
            self.told = Some(text);
            self.ready.push_back(item);
        }
    }
}

impl NacosNamespace {
    /// What the Nacos says, in our words; `None`: it speaks of something else.
    fn tell(&self, id: &Arc<str>, item: Result<EntryUpdate, Lost>) -> Option<Result<EntryUpdate, Lost>> {
        let ours = |part: &Part| part.0 == *id;
        match item {
            Ok(EntryUpdate::Reset { part, entries }) => {
                ours(&part).then(|| Ok(EntryUpdate::Reset { part: Part::new(PART), entries: self.outside(entries) }))
            }
            Ok(EntryUpdate::Changed(changes)) => {
                let changes = changes.into_iter().filter(|(key, _)| key.namespace == *id);
                let changes: Vec<_> =
                    changes.filter_map(|(key, entry)| Some((self.root.to_zookeeper(&key)?, entry))).collect();
                (!changes.is_empty()).then_some(Ok(EntryUpdate::Changed(changes)))
            }
            Err(Lost { part: Some(part), .. }) if !ours(&part) => None,
            Err(Lost { part, error }) => Some(Err(Lost { part: part.map(|_| Part::new(PART)), error })),
        }
    }
}
