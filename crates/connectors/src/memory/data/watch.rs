//! What a watch of a tree tells.

use super::{Fault, MemoryData};
use causeway_core::{Aside, DataSelector, EntryKey, EntryUpdate, Error, Lost, Stamp};
use std::collections::{BTreeMap, VecDeque};

/// Where one watch has got to.
pub(super) struct Watch {
    tree: MemoryData,
    select: DataSelector,
    epoch: Option<u64>,
    seen: u64,
    /// What was told last, where stamps are made of contents: like one who looks from time to time, this watch does not see
    /// what happened when the same stands there again.
    told: BTreeMap<EntryKey, (Stamp, Option<Aside>)>,
    ready: VecDeque<Result<EntryUpdate, Lost>>,
}

impl Watch {
    pub fn new(tree: &MemoryData, select: &DataSelector) -> Self {
        Self {
            tree: tree.clone(),
            select: select.clone(),
            epoch: None,
            seen: 0,
            told: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next item, once there is one.
    pub async fn next(&mut self) -> Result<EntryUpdate, Lost> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return item;
            }
            let tree = self.tree.clone();
            let changed = tree.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            self.look();
            if self.ready.is_empty() {
                changed.await;
            }
        }
    }

    fn look(&mut self) {
        let state = self.tree.state.lock();
        if state.fault == Fault::Hung {
            return;
        }
        let broken = self.epoch != Some(state.epoch);
        if broken {
            if let Some(error) = state.refusal() {
                self.ready.push_back(Err(Lost { part: None, error }));
            } else {
                if self.epoch.is_some() {
                    let error = Error::unavailable("connection closed");
                    self.ready.push_back(Err(Lost { part: None, error }));
                }
                self.told.clear();
                for (part, entries) in state.parts(&self.select) {
                    if state.hashes() {
                        let told = entries.iter().map(|(key, entry)| (key.clone(), (entry.stamp, entry.aside)));
                        self.told.extend(told);
                    }
                    self.ready.push_back(match &state.fault {
                        Fault::PartDenied(denied) if *denied == part => {
                            let error = Error::Denied(format!("no right to read {part}"));
                            Err(Lost { part: Some(part), error })
                        }
                        _ => Ok(EntryUpdate::Reset { part, entries }),
                    });
                }
            }
        } else if state.refusal().is_none() {
            let changed = state.log.range(self.seen + 1..).map(|(_, key)| key);
            let changed = changed.filter(|key| self.select.takes(key) && state.denies(key).is_ok());
            let news: Vec<_> = changed
                .map(|key| (key.clone(), state.entries.get(key).map(|(entry, _)| state.shown(key, entry))))
                .filter(|(key, entry)| {
                    let now = entry.map(|entry| (entry.stamp, entry.aside));
                    let before = match now {
                        _ if !state.hashes() => return true,
                        Some(now) => self.told.insert(key.clone(), now),
                        None => self.told.remove(key),
                    };
                    before != now
                })
                .collect();
            if !news.is_empty() {
                self.ready.push_back(Ok(EntryUpdate::Changed(news)));
            }
        }
        self.epoch = Some(state.epoch);
        self.seen = state.clock;
    }
}
