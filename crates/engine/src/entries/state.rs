//! What one task knows and is about to do. Everything here is state and judgement: time is given, and nothing waits.

use super::agenda::Agenda;
use super::drain::ListedKeys;
use super::failures::{Trouble, Try};
use super::freshness::SideFreshness;
use super::intents::OpenIntents;
use super::left_alone::{LeftEntries, LeftEntry};
use super::probes::Probes;
use super::record::{DataLedger, DataRecorder};
use super::removals::Removals;
use super::rows::{EntryRow, EntryRows, Presence, Stamps};
use super::spec::{DataRoute, DataSpec, DataTiming};
use crate::event::{Action, Event};
use crate::kit::meter::WriteMeter;
use crate::kit::pace::BatchSize;
use crate::kit::timetable::Timetable;
use crate::kit::travel::Travels;
use crate::spec::RunState;
use causeway_core::{
    Aside, Base, Digest, EntryKey, EntrySkip, Evidence, MergeRules, NameShape, Pair, Part, Reason, Side, StampKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a cluster refuses as it is may have become acceptable without being changed itself.
pub(crate) const REFUSED_RETRY: Duration = Duration::from_secs(600);

/// Time for a watch to report a change: 2 s, but a watch of very many entries may look only every half minute.
const REPORTED: Duration = Duration::from_secs(40);

/// What an entry holds on one side, without the data itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownEntry {
    /// Its content.
    pub digest: Digest,
    /// When it was changed, by that cluster's clock, in milliseconds since 1970; 0 when it is not known.
    pub modified_ms: i64,
    /// The body's size in bytes.
    pub size: usize,
}

/// How far a removal from one side can be believed.
pub(crate) enum Gone {
    Surely(Evidence),
    /// Not before then.
    Wait(Instant),
    /// Not while things are as they are.
    Unknown,
}

pub(crate) struct TaskState {
    /// What was remembered and is not taken over yet.
    unread: Option<DataLedger>,
    pub spec: DataSpec,
    pub timing: DataTiming,
    pub route: DataRoute,
    pub recorder: Arc<dyn DataRecorder>,
    pub rows: EntryRows,
    /// What is remembered of entries that take no part now.
    outside: BTreeMap<EntryKey, Base>,
    /// What each side lists that is no data.
    pub asides: Pair<BTreeMap<EntryKey, Aside>>,
    pub freshness: Pair<SideFreshness>,
    pub agenda: Agenda,
    pub left: LeftEntries,
    pub intents: OpenIntents,
    /// What our own reads and writes have shown and the watch of that side has not reported yet, by the time when it is read
    /// again. Where stamps are made of contents, what stood there before may come back before the watch looks again: it sees
    /// no change, and reports none.
    pub unconfirmed: Timetable<(EntryKey, Side)>,
    /// Entries that are not as their stamps say: both sides are to be read.
    pub doubt: BTreeSet<EntryKey>,
    /// What the operator has decided, about the two versions that he saw.
    pub decided: BTreeMap<EntryKey, (Side, Stamps)>,
    /// By the side that would lose entries.
    pub removals: Pair<Removals>,
    pub trouble: Pair<Trouble>,
    pub tries: BTreeMap<EntryKey, Try>,
    /// What was refused, and has its turn again.
    pub probes: Probes,
    /// When entries have come to be, where that is not long ago.
    pub young: BTreeMap<EntryKey, Instant>,
    /// When entries were last written.
    pub written: BTreeMap<EntryKey, Instant>,
    /// By the side that is written to: changes that the other one has told of.
    pub travels: Pair<Travels<EntryKey>>,
    pub meters: Pair<Arc<WriteMeter>>,
    /// Reads and writes under way.
    pub jobs: usize,
    /// What has changed since a sweep began.
    pub swept: Option<Pair<BTreeSet<EntryKey>>>,
    /// How many entries are judged in one batch.
    pub batch: BatchSize,
    /// Why nothing can be said yet.
    pub loaded: bool,
}

impl TaskState {
    pub fn new(spec: DataSpec, timing: DataTiming, recorder: Arc<dyn DataRecorder>) -> Self {
        Self {
            unread: None,
            route: spec.route(),
            removals: Pair::of(|_| Removals::new(spec.guard)),
            spec,
            timing,
            recorder,
            rows: EntryRows::default(),
            outside: BTreeMap::new(),
            asides: Pair::default(),
            freshness: Pair::default(),
            agenda: Agenda::default(),
            left: LeftEntries::default(),
            intents: OpenIntents::default(),
            unconfirmed: Timetable::default(),
            doubt: BTreeSet::new(),
            decided: BTreeMap::new(),
            trouble: Pair::default(),
            tries: BTreeMap::new(),
            probes: Probes::default(),
            young: BTreeMap::new(),
            written: BTreeMap::new(),
            travels: Pair::default(),
            meters: Pair::default(),
            jobs: 0,
            swept: None,
            batch: BatchSize::default(),
            loaded: false,
        }
    }

    /// Notes what an earlier state remembered; [`Self::load`] takes it over.
    pub fn remember(&mut self, ledger: DataLedger) {
        self.unread = Some(ledger);
    }

    /// Takes over what was remembered, if it is not yet. A selection that panics leaves it as it is.
    pub fn load(&mut self) {
        let Some(ledger) = &self.unread else { return };
        if self.spec.run == RunState::Drain {
            // What was created is taken back, whatever the task selects by now.
            let keys: BTreeSet<_> = ledger.bases.keys().cloned().collect();
            self.spec.select = Arc::new(ListedKeys(keys));
        }
        let taken: Vec<bool> = ledger.bases.keys().map(|key| self.spec.select.takes(key)).collect();
        let Some(ledger) = self.unread.take() else { return };
        let mut taken = taken.into_iter();
        let (inside, outside): (BTreeMap<_, _>, _) =
            ledger.bases.into_iter().partition(|_| taken.next().unwrap_or_default());
        self.outside = outside;
        self.rows = EntryRows::new(inside);
        let (lots, done) = OpenIntents::load(ledger.intents);
        self.intents = lots;
        self.loaded = true;
        done.iter().for_each(|lot| self.recorder.intents(&self.route, *lot, None));
    }

    /// What a later process, or a successor with other settings, must know.
    pub fn take_ledger(&mut self) -> DataLedger {
        if let Some(ledger) = self.unread.take() {
            return ledger;
        }
        let mut bases = std::mem::take(&mut self.rows).into_bases();
        bases.append(&mut self.outside);
        self.loaded = false;
        DataLedger { bases, intents: std::mem::take(&mut self.intents).into_intents() }
    }

    /// Every entry with a common version, also before that is taken over.
    pub fn bases(&self) -> impl Iterator<Item = (&EntryKey, &Base)> {
        let unread = self.unread.iter().flat_map(|ledger| &ledger.bases);
        unread.chain(self.rows.iter().filter_map(|(key, row)| Some((key, row.base.as_ref()?))))
    }

    /// After a panic: what both sides hold is unknown again, as after a start. What the ledger says is to be loaded again;
    /// what the operator has decided stays.
    pub fn begin_again(&mut self) {
        let ledger = self.take_ledger();
        let decided = std::mem::take(&mut self.decided);
        let meters = self.meters.clone();
        *self = Self::new(self.spec.clone(), self.timing.clone(), self.recorder.clone());
        self.remember(ledger);
        (self.decided, self.meters) = (decided, meters);
    }

    /// The same task with other rules: what was left alone is reconsidered, but for what has its turn anyway.
    pub fn change_rules(&mut self, spec: DataSpec) {
        self.spec = DataSpec { select: self.spec.select.clone(), ..spec };
        self.travels = Pair::default();
        for side in Side::BOTH {
            self.removals[side].guard.set_limits(self.spec.guard);
        }
        let others = self.left.take_others(|_, left| matches!(left.skip, EntrySkip::Blocked { .. }));
        others.iter().for_each(|key| self.agenda.add(key));
        self.mark_all();
    }

    /// The rules for one entry: what the operator decided about these very versions comes first.
    pub fn rules(&self, key: &EntryKey, stamps: &Stamps) -> MergeRules {
        let rules = self.spec.rules();
        match self.decided.get(key) {
            Some((side, seen)) if seen == stamps => rules.preferring(*side),
            _ => rules,
        }
    }

    /// Whether both sides of a part are known. A drain asks for one side at a time.
    pub fn ready(&self, part: &Part) -> bool {
        Side::BOTH.iter().all(|side| self.freshness[*side].ready(part))
    }

    /// How far it can be believed that `side` has an entry no more.
    pub fn gone(&self, key: &EntryKey, side: Side, now: Instant) -> Gone {
        let part = key.part();
        match (
            self.rows.get(key).map(|row| row.places[side]),
            self.freshness[side].get(&part).and_then(|part| part.settles_at(self.spec.settle)),
        ) {
            (_, None) => Gone::Unknown,
            (Some(Presence::Witnessed), _) => Gone::Surely(Evidence::Witnessed),
            (_, Some(at)) if now < at => Gone::Wait(at),
            _ => Gone::Surely(Evidence::Implied),
        }
    }

    /// Marks everything that is not in step, where both sides are known.
    pub fn mark_all(&mut self) {
        let drain = self.spec.run == RunState::Drain;
        for (key, row) in self.rows.iter() {
            if !row.in_step() || drain {
                self.agenda.add(key);
            }
        }
        self.intents.keys().for_each(|key| self.agenda.add(key));
    }

    /// How the entries of one side stand to each other.
    pub fn shape(&self, side: Side) -> NameShape {
        self.spec.cluster(side).port.facts().shape
    }

    /// The first entry below another that stands on one side.
    pub fn first_below(&self, key: &EntryKey, side: Side) -> Option<(&EntryKey, &EntryRow)> {
        self.rows.first_below(key, side, self.shape(side))
    }

    /// Notes where an entry stands on one side now, and marks what that concerns.
    pub fn place(&mut self, key: &EntryKey, side: Side, place: Presence) {
        let before = self.row(key);
        let was = before.places[side];
        if !self.rows.edit(key, |row| row.places[side] = place) {
            return;
        }
        for swept in self.swept.iter_mut() {
            swept[side].insert(key.clone());
        }
        for side in Side::BOTH {
            self.removals[side].forget(key);
        }
        self.changed_above(key);
        if before.is_numbered() && !self.row(key).is_numbered() {
            self.takes_part(key);
        }
        match (was.is_here(), place.is_here()) {
            (false, true) => self.agenda.stands(key),
            (true, false) => self.child_gone(key),
            _ => {}
        }
    }

    /// The same, as our own read or write has shown it.
    pub fn place_shown(&mut self, key: &EntryKey, side: Side, place: Presence, now: Instant) {
        let returns = self.spec.cluster(side).port.facts().stamps == StampKind::ContentHash;
        if returns && self.row(key).places[side].stamp() != place.stamp() {
            self.unconfirmed.set((key.clone(), side), now + REPORTED);
        }
        self.place(key, side, place);
    }

    /// Something below its parent is gone: the parent may have waited for that.
    pub fn child_gone(&mut self, key: &EntryKey) {
        let Some(parent) = self.spec.parent(key) else { return };
        let waits = self.rows.get(&parent).is_some_and(|row| !row.in_step()) || self.spec.run == RunState::Drain;
        if waits {
            if self.left.get(&parent).is_some_and(|left| left.skip == EntrySkip::Occupied) {
                self.left.remove(&parent);
            }
            self.agenda.add(&parent);
        }
    }

    /// Notes the last common version, here and in the ledger.
    pub fn base(&mut self, key: &EntryKey, base: Option<Base>) {
        let before = self.rows.get(key).and_then(|row| row.base);
        if before != base {
            self.rows.edit(key, |row| row.base = base);
            self.recorder.base(&self.route, key, base.as_ref());
        }
    }

    /// What became of an intended write is known.
    pub fn close(&mut self, key: &EntryKey) {
        if let Some(lot) = self.intents.close(key) {
            self.recorder.intents(&self.route, lot, None);
        }
    }

    /// All is well with an entry.
    pub fn settled(&mut self, key: &EntryKey) {
        self.left.remove(key);
        self.tries.remove(key);
        self.probes.forget(key);
        self.decided.remove(key);
        self.doubt.remove(key);
        // What a side tells of our own write comes before or after the answer to it.
        if self.row(key).in_step() {
            self.rests(key);
        }
    }

    /// Work on an entry has ended.
    pub fn finish(&mut self, key: &EntryKey) {
        match self.agenda.end(key) {
            true => self.agenda.add(key),
            // There was nothing to write, or it waits for something else.
            false => self.rests(key),
        }
    }

    /// Nothing is done about an entry: what its sides have told of it is not on its way.
    pub fn rests(&mut self, key: &EntryKey) {
        Side::BOTH.iter().for_each(|to| self.travels[*to].forget(key));
    }

    /// Ends the work on an entry, leaves it as it is until it changes, and tells of it once.
    pub fn leave(&mut self, key: &EntryKey, skip: EntrySkip, stamps: Stamps, now: Instant) {
        self.finish(key);
        let before = self.left.get(key);
        let known = before.filter(|left| left.skip == skip && left.stamps == stamps);
        let since = known.map_or(now, |left| left.since);
        if let EntrySkip::Rejected { .. } = skip {
            self.agenda.add_at(key, now + REFUSED_RETRY);
        }
        if known.is_none() {
            let action = if skip == EntrySkip::Conflict { Action::Conflict } else { Action::Skipped };
            self.event(key, Side::Right, action, skip.clone().into());
        }
        self.tries.remove(key);
        if !matches!(skip, EntrySkip::Blocked { .. }) {
            self.probes.forget(key);
        }
        self.left.insert(key.clone(), LeftEntry { skip, since, stamps, shown: None });
    }

    /// Tells what happened to an entry on one side.
    pub fn event(&self, key: &EntryKey, side: Side, action: Action, reason: Reason) {
        let scope = match key.group.is_empty() {
            true => key.namespace.to_string(),
            false => format!("{}/{}", key.namespace, key.group),
        };
        self.tell(side, scope, key.name.to_string(), action, reason);
    }

    /// Tells what happened to the task as a whole.
    pub fn tell(&self, side: Side, scope: String, record: String, action: Action, reason: Reason) {
        let (task, cluster) = (self.spec.task.clone(), self.spec.cluster(side).name.clone());
        self.recorder.event(Event { task, cluster, scope, record, action, reason });
    }

    pub fn row(&self, key: &EntryKey) -> EntryRow {
        self.rows.get(key).copied().unwrap_or_default()
    }
}
