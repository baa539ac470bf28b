//! Follows one watch of entries and keeps what it said.

use super::Data;
use crate::follow::Why;
use anyhow::{Result, bail};
use causeway_core::{DataSelector, Entry, EntryKey, Lost, News, Part};
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// One item of a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum DataItem {
    /// The part, and how many entries stood in it.
    Reset(Part, usize),
    /// What entries are now.
    Changed(Vec<(EntryKey, Option<Entry>)>),
    /// The part (`None`: the whole cluster) cannot be read.
    Lost(Option<Part>, Why, String),
}

/// What a watch has said so far.
#[derive(Clone, Debug, Default)]
pub struct DataView {
    /// In order.
    pub items: Vec<DataItem>,
    /// What stands, as told.
    pub entries: BTreeMap<EntryKey, Entry>,
    /// Parts with a `Reset` and no loss since.
    pub complete: BTreeSet<Part>,
    /// Something was told that must not be: a change of a part that is not complete, or an entry of another part.
    pub wrong: Option<String>,
}

impl DataView {
    fn take(&mut self, news: Result<News, Lost>) {
        let item = match news {
            Ok(News::Reset { part, entries }) => {
                if let Some(stray) = entries.keys().find(|key| key.part() != part) {
                    self.wrong = Some(format!("{stray} in a Reset of {part}"));
                }
                self.entries.retain(|key, _| key.part() != part);
                let count = entries.len();
                self.entries.extend(entries);
                self.complete.insert(part.clone());
                DataItem::Reset(part, count)
            }
            Ok(News::Changed(changes)) => {
                if changes.is_empty() {
                    self.wrong = Some("a change of nothing".into());
                }
                for (key, entry) in &changes {
                    if !self.complete.contains(&key.part()) {
                        self.wrong = Some(format!("{key} changed before the Reset of its part"));
                    }
                    match entry {
                        Some(entry) => drop(self.entries.insert(key.clone(), *entry)),
                        None => drop(self.entries.remove(key)),
                    }
                }
                DataItem::Changed(changes)
            }
            Err(lost) => {
                self.complete.retain(|part| lost.part.as_ref().is_some_and(|one| one != part));
                DataItem::Lost(lost.part, Why::from(&lost.error), lost.error.to_string())
            }
        };
        self.items.push(item);
    }

    /// How often the part was reported whole.
    pub fn resets(&self, part: &Part) -> usize {
        self.items.iter().filter(|item| matches!(item, DataItem::Reset(one, _) if one == part)).count()
    }

    /// What could not be read of the part, or of the whole cluster.
    pub fn losses(&self, part: &Part) -> Vec<Why> {
        let of = |item: &DataItem| match item {
            DataItem::Lost(None, why, _) => Some(*why),
            DataItem::Lost(Some(one), why, _) if one == part => Some(*why),
            _ => None,
        };
        self.items.iter().filter_map(of).collect()
    }

    /// All that was told of one entry by changes, oldest first.
    pub fn told(&self, key: &EntryKey) -> Vec<Option<Entry>> {
        let of = |item: &DataItem| match item {
            DataItem::Changed(changes) => changes.iter().filter(|(one, _)| one == key).map(|(_, now)| *now).collect(),
            _ => Vec::new(),
        };
        self.items.iter().flat_map(of).collect()
    }
}

/// Follows a watch until it is dropped.
pub struct DataFollow {
    view: Arc<Mutex<DataView>>,
    news: Arc<Notify>,
    _work: JoinSet<()>,
}

impl DataFollow {
    /// Starts following.
    pub fn start(data: &Data, select: &DataSelector) -> Self {
        let (view, news) = (Arc::<Mutex<DataView>>::default(), Arc::<Notify>::default());
        let mut stream = data.watch(select);
        let (into, tell) = (view.clone(), news.clone());
        let mut work = JoinSet::new();
        work.spawn(async move {
            while let Some(item) = stream.next().await {
                into.lock().take(item);
                tell.notify_waiters();
            }
            into.lock().wrong = Some("the stream has ended".into());
            tell.notify_waiters();
        });
        Self { view, news, _work: work }
    }

    /// What it said so far.
    pub fn view(&self) -> DataView {
        self.view.lock().clone()
    }

    /// Waits until what it said passes `test`; gives the time that took.
    pub async fn wait(&self, limit: Duration, what: &str, test: impl Fn(&DataView) -> bool) -> Result<Duration> {
        let began = Instant::now();
        let look = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                {
                    let view = self.view.lock();
                    if let Some(wrong) = &view.wrong {
                        bail!("the watch: {wrong}");
                    }
                    if test(&view) {
                        return Ok(());
                    }
                }
                news.await;
            }
        };
        match timeout(limit, look).await {
            Ok(done) => done?,
            Err(_) => {
                let view = self.view();
                let last = &view.items[view.items.len().saturating_sub(8)..];
                let some: Vec<_> = view.entries.keys().take(20).collect();
                bail!("the watch did not say within {limit:?}: {what}; last items {last:?}, it has {some:?}");
            }
        }
        Ok(began.elapsed())
    }
}
