//! Compares the entries of both sides of a task, content by content, and lists what the operator has to decide.

use crate::api::{self, Difference, Differs, LeftOut};
use crate::error::{Error, Result};
use crate::node::Node;
use causeway_core::{
    Aside, Content, DataSource, Digest, Entry, EntryKey, EntrySkip, EntryVersion, MergeRules, Pair, Reason, Side,
    Verdict, Ways, merge,
};
use causeway_engine::DataTiming;
use causeway_engine::{ConflictRow, DataCluster, DataEngine, DataSpec, ShownEntry};
use futures_util::stream::{self, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// Entries read in one call, and calls at once.
const BATCH: usize = 256;
const AT_ONCE: usize = 4;

/// What differs in the entries of a task.
#[derive(Default)]
pub(crate) struct EntryComparison {
    /// Entries that are the same on both sides.
    pub same: usize,
    pub differences: Vec<Difference>,
    /// What could not be read, and is not compared.
    pub unanswered: Vec<api::Unanswered>,
    /// What is left out on purpose.
    pub left_out: Vec<LeftOut>,
}

/// Reads both sides whole and compares. Calls may take as long as those of the engine; entries that cannot be read by then are
/// counted as unanswered, and a side that was silent for so long is asked no more. Errors: a cluster cannot be listed.
pub(crate) async fn compare(spec: &DataSpec, engine: &DataEngine) -> Result<EntryComparison> {
    let (left, right) = futures_util::future::join(list(spec, Side::Left), list(spec, Side::Right)).await;
    let mut listed = Pair { left: left?, right: right? };
    let left_out = left_out(spec, engine, &mut listed);
    let keys: Vec<EntryKey> =
        listed.left.keys().chain(listed.right.keys()).cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let silent = Silent::default();
    let batches = keys.chunks(BATCH).map(|keys| Box::pin(compare_batch(spec, engine, &listed, &silent, keys)));
    let calls: Vec<_> = batches.collect();
    let done: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
    let mut all = EntryComparison { left_out, ..EntryComparison::default() };
    // What was not read, by cluster, namespace and reason: the first entry, and how many.
    let mut unread: BTreeMap<(String, &str, String), (&EntryKey, usize)> = BTreeMap::new();
    for (keys, batch) in keys.chunks(BATCH).zip(done) {
        match batch {
            Ok(batch) => {
                all.same += batch.same;
                all.differences.extend(batch.differences);
            }
            Err(Away { cluster, why }) => {
                unread.entry((cluster, &keys[0].namespace, why)).or_insert((&keys[0], 0)).1 += keys.len();
            }
        }
    }
    all.unanswered.extend(unread.into_iter().map(|((cluster, namespace, why), (first, count))| {
        let reason = format!("{count} config entries from {first} on: {why}");
        api::Unanswered { cluster, namespace: namespace.to_owned(), reason }
    }));
    for one in &mut all.differences {
        let Some(key) = super::key(&one.at.record) else { continue };
        let refused = engine.known(&spec.owner, &key).refused.filter(|_| one.kind != Differs::Conflict);
        if let Some(why) = refused {
            (one.kind, one.cause) = (Differs::Refused, api::Cause::of(&why));
        }
    }
    Ok(all)
}

/// A cluster that did not answer, by its name, and why.
struct Away {
    cluster: String,
    why: String,
}

impl From<Away> for Error {
    fn from(Away { cluster, why }: Away) -> Self {
        Self::Cluster { cluster, why }
    }
}

/// Why a side is asked no more: it did not answer in time.
type Silent = Pair<OnceLock<String>>;

type Listings = Pair<BTreeMap<EntryKey, Entry>>;

/// Takes what is left out on purpose from both listings: what is no data, and what the server numbered, with all below
/// it, unless it was copied. Of a one-way task the source's is told.
fn left_out(spec: &DataSpec, engine: &DataEngine, listed: &mut Listings) -> Vec<LeftOut> {
    let mut found: BTreeMap<EntryKey, (Side, String)> = BTreeMap::new();
    for side in [Side::Right, Side::Left] {
        listed[side].retain(|key, entry| {
            let aside = entry.aside.filter(|aside| *aside != Aside::Numbered);
            found.extend(aside.map(|aside| (key.clone(), (side, aside.to_string()))));
            aside.is_none()
        });
    }
    let is_numbered =
        |side: Side, key: &EntryKey| listed[side].get(key).is_none_or(|entry| entry.aside == Some(Aside::Numbered));
    let all: BTreeSet<&EntryKey> = listed.left.keys().chain(listed.right.keys()).collect();
    let mut numbered: BTreeSet<EntryKey> = BTreeSet::new();
    let shape = spec.shape();
    for key in all {
        let below = shape.above(key).find(|above| numbered.contains(above));
        let own = Side::BOTH.into_iter().all(|side| is_numbered(side, key));
        if (below.is_some() || own) && engine.known(&spec.owner, key).common.is_none() {
            let why = below.map_or_else(|| Aside::Numbered.to_string(), |above| format!("it stands below {above}"));
            let side = if listed.left.contains_key(key) { Side::Left } else { Side::Right };
            found.insert(key.clone(), (side, why));
            numbered.insert(key.clone());
        }
    }
    for side in Side::BOTH {
        listed[side].retain(|key, _| !numbered.contains(key));
    }
    let services = Aside::Services.to_string();
    let told = found.into_iter().filter(|(_, (side, why))| {
        (spec.ways == Ways::Two || *side == Side::Left) && !(spec.services && *why == services)
    });
    told.map(|(key, (side, reason))| LeftOut { at: api::RecordRef::entry(&end(spec, side).name, key), reason })
        .collect()
}

async fn list(spec: &DataSpec, side: Side) -> std::result::Result<BTreeMap<EntryKey, Entry>, Away> {
    let cluster = end(spec, side);
    let (source, limit) = (cluster.port.source(), DataTiming::default().list);
    let listed = tokio::time::timeout(limit, source.list(&spec.select)).await;
    let listed = listed.map_err(|_| away(cluster, &format!("no list of its entries within {} s", limit.as_secs())))?;
    listed.map_err(|why| away(cluster, &why.to_string()))
}

fn end(spec: &DataSpec, side: Side) -> &DataCluster {
    match side {
        Side::Left => &spec.source,
        Side::Right => &spec.destination,
    }
}

fn away(cluster: &DataCluster, why: &str) -> Away {
    Away { cluster: cluster.name.to_string(), why: why.to_owned() }
}

/// An entry as one side holds it.
struct HeldEntry {
    version: EntryVersion,
    /// What stands in it, where it is a list.
    items: Option<BTreeSet<String>>,
}

/// What one side holds; an entry that is not there, or not any more, is not among it.
async fn held(
    spec: &DataSpec,
    side: Side,
    silent: &Silent,
    keys: &[EntryKey],
) -> std::result::Result<BTreeMap<EntryKey, HeldEntry>, Away> {
    let cluster = end(spec, side);
    let source: Arc<dyn DataSource> = cluster.port.source();
    let mut versions = BTreeMap::new();
    let limit = DataTiming::default().call;
    let found = tokio::time::timeout(limit, source.read(keys)).await;
    let found = found
        .map_err(|_| away(cluster, silent[side].get_or_init(|| format!("no answer within {} s", limit.as_secs()))))?;
    let mut found = found.into_iter();
    for key in keys {
        let found = match found.next().unwrap_or_else(|| Err(causeway_core::Error::protocol("an answer is missing"))) {
            // Somebody else's, in a place of ours: the task leaves it alone.
            Err(causeway_core::Error::Rejected(_)) => continue,
            found => found.map_err(|why| away(cluster, &format!("{key}: {why}")))?,
        };
        if let Some((entry, content)) = found {
            let items = spec.is_list(key).then(|| items(&content));
            let version = EntryVersion { digest: digest(spec, content), modified_ms: entry.modified_ms };
            versions.insert(key.clone(), HeldEntry { version, items });
        }
    }
    Ok(versions)
}

fn items(content: &Content) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(content.body.as_deref().unwrap_or_default()).into_owned();
    text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn digest(spec: &DataSpec, content: Content) -> Digest {
    spec.attributes.select(content).digest()
}

/// Compares some entries; `unanswered` and `left_out` stay empty.
async fn compare_batch(
    spec: &DataSpec,
    engine: &DataEngine,
    listed: &Listings,
    silent: &Silent,
    keys: &[EntryKey],
) -> std::result::Result<EntryComparison, Away> {
    let asked_in_vain = Side::BOTH.into_iter().find_map(|side| Some((side, silent[side].get()?)));
    if let Some((side, why)) = asked_in_vain {
        return Err(away(end(spec, side), why));
    }
    let there = Pair::of(|side| keys.iter().filter(|key| listed[side].contains_key(*key)).cloned().collect::<Vec<_>>());
    let held = |side: Side| held(spec, side, silent, &there[side]);
    let (left, right) = futures_util::future::join(held(Side::Left), held(Side::Right)).await;
    let found = Pair { left: left?, right: right? };
    let mut compared = EntryComparison::default();
    for key in keys {
        let sides = Pair::of(|side| found[side].get(key).map(|held| held.version));
        let items = Pair::of(|side| found[side].get(key).and_then(|held| held.items.as_ref()));
        if let (Some(left), Some(right)) = (items.left, items.right)
            && (left == right || (spec.ways == Ways::One && right.is_superset(left)))
        {
            compared.same += 1;
            continue;
        }
        match differs(spec, engine.known(&spec.owner, key).common, &sides) {
            None if sides.left.is_some() => compared.same += 1,
            None => {}
            Some((side, kind, why)) => {
                let (kind, why) = match spec.select.undecided(key) {
                    Some(undecided) => (Differs::Refused, EntrySkip::Undecided(undecided).into()),
                    None => (kind, why),
                };
                let at = api::RecordRef::entry(&end(spec, side).name, key);
                compared.differences.push(Difference { at, kind, cause: api::Cause::of(&why) });
            }
        }
    }
    Ok(compared)
}

/// How the two sides of an entry differ, on which side that shows, and what is done about it, as the event will tell
/// of it. What only the destination of a one-way task has is its own.
fn differs(
    spec: &DataSpec,
    common: Option<Digest>,
    sides: &Pair<Option<EntryVersion>>,
) -> Option<(Side, Differs, Reason)> {
    let rules = MergeRules {
        source: Side::Left,
        ways: spec.ways,
        mode: spec.mode,
        overrides: spec.overrides,
        conflicts: spec.conflicts,
    };
    let kind = |to: Side| if sides[to].is_some() { Differs::Different } else { Differs::Missing };
    match merge(common, sides, &rules) {
        Verdict::InStep | Verdict::Leave(EntrySkip::Foreign) => None,
        Verdict::Copy { to, why } => Some((to, kind(to), Reason::entry(why))),
        Verdict::Delete { from, why } => Some((from, Differs::Extra, Reason::entry(why))),
        Verdict::Leave(skip @ EntrySkip::Conflict) => Some((Side::Right, Differs::Conflict, skip.into())),
        Verdict::Leave(skip) => Some((Side::Right, Differs::Refused, skip.into())),
    }
}

impl Node {
    /// Entries that wait for the operator: of one task, or of all.
    pub fn conflicts(&self, task: Option<&str>) -> Result<Vec<api::Conflict>> {
        let inner = &self.inner;
        let tasks: Vec<_> = match task {
            Some(name) => vec![inner.find(name)?],
            None => inner.desired().tasks.values().cloned().collect(),
        };
        let rows = tasks.iter().flat_map(|task| {
            let rows = inner.data.conflicts(&inner.owner(task));
            rows.into_iter().map(|row| shown(&task.name, &row))
        });
        Ok(rows.collect())
    }

    /// Decides one conflict.
    pub fn resolve(&self, name: &str, request: &api::Resolve) -> Result<api::Task> {
        let inner = &self.inner;
        let task = inner.find(name)?;
        let side = match request.take {
            api::Take::Source => Side::Left,
            api::Take::Destination => Side::Right,
        };
        let known = super::key(&request.entry).is_some_and(|key| inner.data.resolve(&inner.owner(&task), &key, side));
        if !known {
            return Err(Error::Missing(format!("conflict about {} in the task {name}", request.entry)));
        }
        inner.scribe.operator(name, "resolved", Reason::Resolved { entry: request.entry.clone(), side });
        self.task(name)
    }
}

fn shown(task: &str, row: &ConflictRow) -> api::Conflict {
    let side = |shown: Option<ShownEntry>| {
        shown.map(|shown| api::ConflictSide {
            digest: shown.digest.to_string(),
            size: u32::try_from(shown.size).unwrap_or(u32::MAX),
            modified: if shown.modified_ms == 0 { String::new() } else { crate::views::time(shown.modified_ms) },
        })
    };
    api::Conflict {
        task: task.to_owned(),
        entry: row.key.to_string(),
        seconds: row.age.as_secs(),
        source: side(row.shown.left),
        destination: side(row.shown.right),
    }
}

#[cfg(test)]
mod tests;
