//! Follows one watch of entries and keeps what it said.

use super::Data;
use crate::follow::Why;
use anyhow::{Result, bail};
use causeway_core::{Aside, DataSelector, Entry, EntryKey, EntryUpdate, Lost, NameShape, Part};
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
    /// What is left out, as told.
    aside: BTreeMap<EntryKey, Aside>,
    /// Parts with a `Reset` and no loss since.
    pub complete: BTreeSet<Part>,
    /// Something was told that must not be: a change of a part that is not complete, or an entry of another part.
    pub wrong: Option<String>,
}

/// A listing without what is left out, and without what is below that.
pub fn data_only(entries: BTreeMap<EntryKey, Entry>) -> BTreeMap<EntryKey, Entry> {
    let aside = asides(&entries);
    entries.into_iter().filter(|(key, _)| !is_within(&aside, key)).collect()
}

fn asides(entries: &BTreeMap<EntryKey, Entry>) -> BTreeMap<EntryKey, Aside> {
    entries.iter().filter_map(|(key, entry)| Some((key.clone(), entry.aside?))).collect()
}

/// Whether an entry is left out. Data may stand beside services, but nothing below what was numbered is data.
fn is_within(aside: &BTreeMap<EntryKey, Aside>, key: &EntryKey) -> bool {
    let numbered = |key: &EntryKey| aside.get(key) == Some(&Aside::Numbered);
    aside.contains_key(key) || NameShape::Tree.above(key).any(|above| numbered(&above))
}

impl DataView {
    /// Changes of what is data. An entry that is left out from now on is gone.
    fn without_asides(&mut self, changes: Vec<(EntryKey, Option<Entry>)>) -> Vec<(EntryKey, Option<Entry>)> {
        let mut kept = Vec::new();
        for (key, entry) in changes {
            if let Some(aside) = entry.and_then(|entry| entry.aside) {
                self.aside.insert(key.clone(), aside);
                if self.entries.contains_key(&key) {
                    kept.push((key, None));
                }
            } else {
                let was = self.aside.remove(&key).is_some();
                let known = entry.is_some() || !was;
                if known && !is_within(&self.aside, &key) {
                    kept.push((key, entry));
                }
            }
        }
        kept
    }

    fn take(&mut self, news: Result<EntryUpdate, Lost>) {
        let item = match news {
            Ok(EntryUpdate::Reset { part, entries }) => {
                if let Some(stray) = entries.keys().find(|key| key.part() != part) {
                    self.wrong = Some(format!("{stray} in a Reset of {part}"));
                }
                self.entries.retain(|key, _| key.part() != part);
                self.aside.retain(|key, _| key.part() != part);
                self.aside.extend(asides(&entries));
                let entries = data_only(entries);
                let count = entries.len();
                self.entries.extend(entries);
                self.complete.insert(part.clone());
                DataItem::Reset(part, count)
            }
            Ok(EntryUpdate::Changed(changes)) => {
                if changes.is_empty() {
                    self.wrong = Some("a change of nothing".into());
                }
                let changes = self.without_asides(changes);
                if changes.is_empty() {
                    return;
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
