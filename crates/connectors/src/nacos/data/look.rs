//! One look at the entries of a namespace.

use super::super::client::{ConfigRow, Error as WireError};
use super::super::reading;
use super::{AT_ONCE, NacosData, entry, stamp};
use causeway_core::{DataSelector, Entry, EntryKey, Part};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A database may keep whole seconds: what has changed a moment ago is read again, as another change would show the same
/// time.
const YOUNG: Duration = Duration::from_secs(3);
/// More entries than this are not read one by one, where they are a good share of all.
const MANY: usize = 200;

impl NacosData {
    /// The namespaces that may hold what is selected. A server also keeps what stands in namespaces that nobody has created:
    /// such a one is among them when the settings name it and something is there.
    pub(super) async fn namespaces(&self, select: &DataSelector) -> Result<BTreeSet<Part>, WireError> {
        let (client, named) = (&self.client, &self.named);
        let may_hold = |part: &Part| select.part(part);
        let listed = match reading::parts(client).await {
            Ok(listed) => listed,
            // Who may not list them can still be told which there are.
            Err(WireError::Denied(_)) if !named.is_empty() => {
                return Ok(named.iter().map(|word| Part::new(word)).filter(may_hold).collect());
            }
            Err(error) => return Err(error),
        };
        let mut parts: BTreeSet<Part> = listed.keys().filter(|part| may_hold(part)).cloned().collect();
        for word in named.iter() {
            let part = Part::new(word);
            let shown = listed.contains_key(&part) || listed.values().any(|title| title.as_deref() == Some(word));
            if !shown && may_hold(&part) && !client.configs(word).await?.is_empty() {
                parts.insert(part);
            }
        }
        Ok(parts)
    }
}

/// Looks at one namespace, and remembers what it has read: 2.x tells cheaply only when an entry has changed.
pub(super) struct EntryLooker {
    data: NacosData,
    part: Part,
    known: BTreeMap<EntryKey, KnownEntry>,
    /// Whether each entry that was last listed takes part. It is asked once for each, since its answer stays the same.
    decided: BTreeMap<EntryKey, bool>,
}

#[derive(Clone, Debug, PartialEq)]
struct KnownEntry {
    kind: String,
    modified_ms: i64,
    /// Since when this time is known.
    since: Instant,
    entry: Entry,
}

impl EntryLooker {
    pub fn new(data: NacosData, part: Part) -> Self {
        Self { data, part, known: BTreeMap::new(), decided: BTreeMap::new() }
    }

    /// Every entry that is selected.
    pub async fn look(&mut self, select: &DataSelector) -> Result<BTreeMap<EntryKey, Entry>, WireError> {
        let (namespace, client) = (self.part.0.clone(), self.data.client.clone());
        let rows = client.configs(&namespace).await?;
        let of = |row: &ConfigRow| EntryKey::new(&namespace, &row.group, &row.data_id);
        let takes = |key: &EntryKey| key.namespace == namespace && select.takes(key);
        let all = rows.len();
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (of(&row), row)).collect();
        self.select(&mut rows, select);
        let unread = rows.values().filter(|row| row.md5.is_none()).count();
        let due = self.due(&rows);
        if unread > 0 && due.len() > MANY && due.len() > all / 2 {
            let sums = client.config_sums(&namespace).await?;
            let sums = sums.into_iter().map(|row| (of(&row), row)).filter(|(key, _)| rows.contains_key(key));
            let sums: BTreeMap<_, _> = sums.collect();
            self.read(&rows, sums.iter().filter_map(|(key, row)| Some((key.clone(), told(row)?))));
        } else if !due.is_empty() {
            let client = &client;
            let read = |key| async move { client.config(&key).await.map(|found| (key, found)) };
            let reads: Vec<_> = due.into_iter().map(read).collect();
            let found: Vec<_> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
            let found = found.into_iter().filter_map(|(key, detail)| Some((key, detail.as_ref().map(entry)?)));
            self.read(&rows, found);
        }
        self.known.retain(|key, _| rows.contains_key(key));
        let entries = rows.iter().filter_map(|(key, row)| {
            // One that has gone since it was listed is not there.
            let entry = told(row).or_else(|| self.known.get(key).map(|known| known.entry))?;
            Some((key.clone(), entry))
        });
        let mut entries: BTreeMap<_, _> = entries.collect();
        self.data.recent.correct(&mut entries, takes);
        Ok(entries)
    }

    /// Keeps the entries that take part.
    fn select<T>(&mut self, rows: &mut BTreeMap<EntryKey, T>, select: &DataSelector) {
        let mut before = std::mem::take(&mut self.decided);
        rows.retain(|key, _| {
            let (key, takes) = before.remove_entry(key).unwrap_or_else(|| (key.clone(), select.takes(key)));
            self.decided.insert(key, takes);
            takes
        });
    }

    /// Which entries have to be read.
    fn due(&self, rows: &BTreeMap<EntryKey, ConfigRow>) -> Vec<EntryKey> {
        let newest = rows.values().filter_map(|row| row.modified_ms).max().unwrap_or_default();
        let young = i64::try_from(YOUNG.as_millis()).unwrap_or_default();
        let is_due = |key: &EntryKey, row: &ConfigRow| match (self.known.get(key), row.modified_ms) {
            _ if row.md5.is_some() => false,
            (Some(known), Some(at)) if known.modified_ms == at && known.kind == row.kind => {
                at + young >= newest && known.since.elapsed() < YOUNG
            }
            _ => true,
        };
        rows.iter().filter(|(key, row)| is_due(key, row)).map(|(key, _)| key.clone()).collect()
    }

    /// Takes in what was read after `rows` were listed.
    fn read(&mut self, rows: &BTreeMap<EntryKey, ConfigRow>, found: impl IntoIterator<Item = (EntryKey, Entry)>) {
        for (key, entry) in found {
            let Some(row) = rows.get(&key) else { continue };
            let modified_ms = row.modified_ms.unwrap_or_default();
            let before =
                self.known.get(&key).filter(|known| known.modified_ms == modified_ms && known.kind == row.kind);
            let since = before.map_or_else(Instant::now, |known| known.since);
            self.known.insert(key, KnownEntry { kind: row.kind.clone(), modified_ms, since, entry });
        }
    }
}

/// An entry of which the list says all.
fn told(row: &ConfigRow) -> Option<Entry> {
    let size = u32::try_from(row.size.unwrap_or_default()).unwrap_or(u32::MAX);
    let stamp = stamp(row.md5.as_deref()?, &row.kind);
    Some(Entry { stamp, modified_ms: row.modified_ms.unwrap_or_default(), size, aside: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nacos::client::{NacosClient, Options};
    use causeway_core::{EntryInterest, Fingerprint, Stamp};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn looker() -> EntryLooker {
        let client = NacosClient::new(Options::new(vec!["127.0.0.1:1".parse().unwrap()])).unwrap();
        EntryLooker::new(NacosData::new(client, Vec::new()), Part::new("public"))
    }

    fn row(modified_ms: i64) -> ConfigRow {
        let (group, data_id, kind) = ("g".into(), "a".into(), "text".into());
        ConfigRow { group, data_id, kind, md5: None, size: None, modified_ms: Some(modified_ms) }
    }

    #[test]
    fn a_filter_is_asked_once_for_each_entry() {
        struct Counted(AtomicUsize);
        impl EntryInterest for Counted {
            fn takes(&self, key: &EntryKey) -> bool {
                self.0.fetch_add(1, Ordering::SeqCst);
                &*key.name != "b"
            }
            fn may_hold(&self, _: &EntryKey) -> bool {
                true
            }
            fn fingerprint(&self) -> Fingerprint {
                Fingerprint::of("b")
            }
        }
        let mut looker = looker();
        let asked = Arc::new(Counted(AtomicUsize::new(0)));
        let select: DataSelector = asked.clone();
        let mut look = |names: &[&str]| {
            let mut rows: BTreeMap<_, _> = names.iter().map(|name| (EntryKey::new("public", "g", name), ())).collect();
            looker.select(&mut rows, &select);
            (rows.len(), asked.0.load(Ordering::SeqCst))
        };
        assert_eq!(look(&["a", "b"]), (1, 2));
        assert_eq!(look(&["a", "b", "c"]), (2, 3), "the new one only");
        assert_eq!(look(&["a"]), (1, 3));
        assert_eq!(look(&["a", "b"]), (1, 4), "what went is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_a_moment_ago_is_read_again() {
        let mut looker = looker();
        let key = EntryKey::new("public", "g", "a");
        let rows = |at| BTreeMap::from([(key.clone(), row(at))]);
        let entry = Entry { stamp: Stamp(1, 1), modified_ms: 0, size: 1, aside: None };
        assert_eq!(looker.due(&rows(5_000)).len(), 1, "never read");
        looker.read(&rows(5_000), [(key.clone(), entry)]);
        assert_eq!(looker.due(&rows(5_000)).len(), 1, "it may change again within its second");
        let mut with_newer = rows(5_000);
        with_newer.insert(EntryKey::new("public", "g", "b"), row(60_000));
        assert_eq!(looker.due(&with_newer).len(), 1, "the new one, and not what was changed long ago");
        tokio::time::advance(YOUNG).await;
        looker.read(&rows(5_000), [(key.clone(), entry)]);
        assert!(looker.due(&rows(5_000)).is_empty());
        assert_eq!(looker.due(&rows(6_000)).len(), 1);
        let told = BTreeMap::from([(key.clone(), ConfigRow { md5: Some("x".into()), ..row(7_000) })]);
        assert!(looker.due(&told).is_empty(), "its list says all");
    }
}
