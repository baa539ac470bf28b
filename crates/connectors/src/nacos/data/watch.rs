//! Follows entries by looking at them every second.

use super::super::client::Error as WireError;
use super::super::convert;
use super::NacosData;
use super::look::EntryLooker;
use causeway_core::{DataSelector, Entry, EntryKey, EntryUpdate, Error, Lost, Part};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Between two looks, and at least this many times what a look took: so that the server can rest.
const EVERY: Duration = Duration::from_secs(1);
const REST: u32 = 2;
const LONGEST: Duration = Duration::from_secs(30);
/// Failed looks in a row that count as an outage: one may have met a server that a fail-over has left.
const OUTAGE: u32 = 2;
/// Namespaces are listed again after this many looks, and whenever there are none.
const NAMESPACES: u32 = 5;

/// One endless watch.
pub(super) struct EntryWatch {
    data: NacosData,
    select: DataSelector,
    parts: BTreeMap<Part, FollowedPart>,
    ready: VecDeque<Result<EntryUpdate, Lost>>,
    due: Instant,
    looks: u32,
    failures: u32,
    /// The whole cluster's outage was reported.
    lost: bool,
    /// Which address answered the last look.
    server: Option<usize>,
}

struct FollowedPart {
    looker: EntryLooker,
    /// `None`: it is not known.
    entries: Option<BTreeMap<EntryKey, Entry>>,
    /// Why they are not known, as it was last reported.
    told: Option<String>,
}

impl EntryWatch {
    pub fn new(data: NacosData, select: DataSelector) -> Self {
        Self {
            data,
            select,
            parts: BTreeMap::new(),
            ready: VecDeque::new(),
            due: Instant::now(),
            looks: 0,
            failures: 0,
            lost: false,
            server: None,
        }
    }

    /// The next thing to report. Never ends.
    pub async fn next(&mut self) -> Result<EntryUpdate, Lost> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return item;
            }
            sleep_until(self.due).await;
            let began = Instant::now();
            let done = self.round().await;
            let mut rest = (began.elapsed() * REST).clamp(EVERY, LONGEST);
            match done {
                Ok(()) => (self.failures, self.lost) = (0, false),
                Err(error) => {
                    if let WireError::Throttled(wait) = &error {
                        rest = rest.max(*wait);
                    }
                    self.failed(error);
                }
            }
            self.due = began + rest;
        }
    }

    /// Looks once at every namespace.
    async fn round(&mut self) -> Result<(), WireError> {
        if self.parts.is_empty() || self.looks.is_multiple_of(NAMESPACES) {
            let parts = self.data.namespaces(&self.select).await?;
            self.listed(parts);
        }
        self.looks = self.looks.wrapping_add(1);
        let mut found = BTreeMap::new();
        for (part, seen) in &mut self.parts {
            match seen.looker.look(&self.select).await {
                Err(error) if error.is_transient() => return Err(error),
                looked => drop(found.insert(part.clone(), looked)),
            }
        }
        let server = self.data.client.http_server();
        if self.server.replace(server).is_some_and(|before| before != server) {
            // What another server holds may be incomplete.
            self.lose(Error::unavailable("another server answers now"));
        }
        for (part, looked) in found {
            self.looked(&part, looked);
        }
        Ok(())
    }

    fn listed(&mut self, parts: BTreeSet<Part>) {
        for part in &parts {
            self.parts.entry(part.clone()).or_insert_with(|| {
                let looker = EntryLooker::new(self.data.clone(), part.clone());
                FollowedPart { looker, entries: None, told: None }
            });
        }
        for (part, _) in self.parts.extract_if(.., |part, _| !parts.contains(part)) {
            let error = Error::Missing(format!("namespace {part} is no longer there"));
            self.ready.push_back(Err(Lost { part: Some(part), error }));
        }
    }

    fn looked(&mut self, part: &Part, looked: Result<BTreeMap<EntryKey, Entry>, WireError>) {
        let Some(seen) = self.parts.get_mut(part) else { return };
        match looked {
            Ok(entries) => {
                let news = match &seen.entries {
                    None => Some(EntryUpdate::Reset { part: part.clone(), entries: entries.clone() }),
                    Some(before) => {
                        Some(changes(before, &entries)).filter(|all| !all.is_empty()).map(EntryUpdate::Changed)
                    }
                };
                self.ready.extend(news.map(Ok));
                (seen.entries, seen.told) = (Some(entries), None);
            }
            Err(error) => {
                seen.entries = None;
                let text = error.to_string();
                if seen.told.as_ref() != Some(&text) {
                    seen.told = Some(text);
                    self.ready.push_back(Err(Lost { part: Some(part.clone()), error: convert::error(error) }));
                }
            }
        }
    }

    fn failed(&mut self, error: WireError) {
        self.failures += 1;
        if !self.lost && (self.failures >= OUTAGE || !error.is_transient()) {
            self.lost = true;
            self.lose(convert::error(error));
        }
    }

    fn lose(&mut self, error: Error) {
        self.ready.push_back(Err(Lost { part: None, error }));
        self.parts.values_mut().for_each(|seen| seen.entries = None);
    }
}

/// What makes `after` of `before`.
fn changes(before: &BTreeMap<EntryKey, Entry>, after: &BTreeMap<EntryKey, Entry>) -> Vec<(EntryKey, Option<Entry>)> {
    let is_new = |key: &EntryKey, entry: &Entry| before.get(key).map(|entry| entry.stamp) != Some(entry.stamp);
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), None));
    let new = after.iter().filter(|(key, entry)| is_new(key, entry)).map(|(key, entry)| (key.clone(), Some(*entry)));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::Stamp;

    #[test]
    fn what_came_went_and_changed() {
        let key = |name: &str| EntryKey::new("public", "g", name);
        let entry = |n| Entry { stamp: Stamp(n, 0), modified_ms: n, size: 0, aside: None };
        let all = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, n)| (key(name), entry(*n))).collect();
        let (before, mut after) = (all(&[("a", 1), ("b", 2), ("c", 3)]), all(&[("a", 1), ("c", 4), ("d", 5)]));
        assert_eq!(
            changes(&before, &after),
            [(key("b"), None), (key("c"), Some(entry(4))), (key("d"), Some(entry(5)))]
        );
        after = before.clone();
        after.insert(key("a"), Entry { modified_ms: 9, ..entry(1) });
        assert!(changes(&before, &after).is_empty(), "written again as it was");
    }
}
