//! What to look at next: which entries, and what of them must be read.

use super::job::ReadJob;
use super::rows::EntryRow;
use super::state::{Gone, REFUSED_RETRY, TaskState};
use crate::kit::earliest;
use crate::spec::RunState;
use causeway_core::{EntryKey, EntrySkip, NameShape, Pair, Side, Ways, contain_now};
use tokio::time::Instant;

/// Entries in one batch, at most.
const BATCH: usize = 256;
/// Bodies in one batch; the last one may go beyond it.
const BATCH_BYTES: u64 = 4 << 20;
/// Batches under way at once.
const JOBS: usize = 16;

/// What is to be done about an entry now.
enum NextStep {
    /// Nothing; if something is to be done later, it is marked.
    Rest,
    /// Read it on these sides, and judge.
    Read(Pair<bool>),
}

const BOTH: NextStep = NextStep::Read(Pair { left: true, right: true });

fn only(side: Side) -> NextStep {
    NextStep::Read(Pair::of(|each| each == side))
}

impl TaskState {
    /// The batches that are to be begun now.
    pub fn next_jobs(&mut self, now: Instant) -> Vec<ReadJob> {
        let mut jobs = Vec::new();
        if !self.loaded || self.spec.run == RunState::Paused || self.blocked(now).is_some() {
            return jobs;
        }
        self.probes.take(now).iter().for_each(|key| self.agenda.add(key));
        while let Some((key, _)) = self.unconfirmed.pop(now) {
            self.agenda.add(&key);
            self.doubt.insert(key);
        }
        let sinks = Side::BOTH.iter().filter_map(|side| self.spec.cluster(*side).port.sink());
        let batch = sinks.map(|sink| sink.limits().max_batch.max(1)).min().unwrap_or(BATCH);
        let batch = self.batch.size(batch.min(BATCH));
        while self.jobs < JOBS {
            let mut job = ReadJob::default();
            let mut bytes = 0;
            while job.keys.len() < batch && bytes < BATCH_BYTES {
                let Some(key) = self.agenda.pop(now) else { break };
                let step = contain_now(|| self.step(&key, now, &job));
                if let Err(panic) = &step {
                    self.jobs += 1;
                    self.broke_off(std::slice::from_ref(&key), panic, now);
                }
                if let Ok(NextStep::Rest) = step
                    && !self.is_on_its_way(&key, now)
                {
                    self.rests(&key);
                }
                if let Ok(NextStep::Read(sides)) = step {
                    let places = self.row(&key).places;
                    let size = |side: Side| if sides[side] { u64::from(places[side].size()) } else { 0 };
                    bytes += size(Side::Left) + size(Side::Right);
                    self.agenda.begin(&key);
                    job.add(key, places, sides);
                }
            }
            if job.keys.is_empty() {
                break;
            }
            self.jobs += 1;
            jobs.push(job);
        }
        jobs
    }

    /// When there will be something to do, if nothing happens.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        match self.blocked(now) {
            _ if self.spec.run == RunState::Paused || self.jobs >= JOBS => None,
            Some(until) => Some(until),
            None => earliest([self.agenda.next(), self.probes.due(), self.unconfirmed.next()]),
        }
    }

    fn step(&mut self, key: &EntryKey, now: Instant, job: &ReadJob) -> NextStep {
        if self.agenda.any_parked()
            && let Some(parent) = self.spec.parent(key)
        {
            self.agenda.unpark(&parent, key);
        }
        let row = self.row(key);
        let open = self.intents.get(key).is_some() || self.doubt.contains(key);
        let drain = self.spec.run == RunState::Drain;
        if !open && !drain && (row.in_step() || self.is_left_out(key)) {
            self.settled(key);
            return NextStep::Rest;
        }
        // It is marked when it has its turn.
        if self.probes.holds(key, &row.stamps()) {
            return NextStep::Rest;
        }
        if let Some(until) = self.written.get(key).map(|at| *at + self.timing.debounce).filter(|until| *until > now) {
            self.agenda.add_at(key, until);
            return NextStep::Rest;
        }
        if drain {
            return self.drain_step(key, &row).map_or(NextStep::Rest, NextStep::Read);
        }
        // It is marked again when both sides are known.
        if !self.ready(&key.part()) {
            self.probes.put_back(key, now);
            return NextStep::Rest;
        }
        if open {
            return BOTH;
        }
        if self.stays(key, &row, now) || self.undecided(key, &row, now) {
            return NextStep::Rest;
        }
        let here = Pair::of(|side| row.places[side].is_here());
        // The one where it stands, if only one is.
        let side = if here.left { Side::Left } else { Side::Right };
        match (row.base.is_some(), here.left, here.right) {
            (_, false, false) => {
                self.forget_gone(key, now);
                NextStep::Rest
            }
            (_, true, true) if self.spec.is_list(key) => BOTH,
            (_, true, true) => NextStep::Read(Pair::of(|side| row.changed(side))),
            // The destination's own is left alone, and not even remembered: there may be very many.
            (false, ..) if self.spec.ways == Ways::One && side == Side::Right => NextStep::Rest,
            (false, ..) => self.unless_parked(key, side, job, only(side)),
            (true, ..) => self.one_gone(key, &row, side, now, job),
        }
    }

    /// Whether an entry only waits until its part is known, or until the last write to it was seen.
    fn is_on_its_way(&self, key: &EntryKey, now: Instant) -> bool {
        !self.ready(&key.part()) || self.written.get(key).is_some_and(|at| *at + self.timing.debounce > now)
    }

    /// Whether it was left alone as it is, or a guard holds it.
    fn stays(&self, key: &EntryKey, row: &EntryRow, now: Instant) -> bool {
        let stamps = row.stamps();
        let decided = self.decided.get(key).is_some_and(|(_, seen)| *seen == stamps);
        let left = self.left.get(key).is_some_and(|left| {
            // What is refused for now has its turn.
            let old = match left.skip {
                EntrySkip::Blocked { .. } => true,
                EntrySkip::Rejected { .. } => now >= left.since + REFUSED_RETRY,
                _ => false,
            };
            left.stamps == stamps && !decided && !old
        });
        left || (Side::BOTH.iter().any(|side| self.removals[*side].holds(key)) && !self.agenda.awaited(key))
    }

    /// Leaves an entry alone of which no filter decides whether it takes part; what is only the destination's is left alone
    /// anyway.
    fn undecided(&mut self, key: &EntryKey, row: &EntryRow, now: Instant) -> bool {
        let stamps = row.stamps();
        let alone = row.base.is_none() && stamps.left.is_none() && self.spec.ways == Ways::One;
        if alone || (stamps.left.is_none() && stamps.right.is_none()) {
            return false;
        }
        let Some(undecided) = self.spec.select.undecided(key) else { return false };
        self.leave(key, EntrySkip::Undecided(undecided), stamps, now);
        true
    }

    /// Both had it, only `side` has it still.
    fn one_gone(&mut self, key: &EntryKey, row: &EntryRow, side: Side, now: Instant, job: &ReadJob) -> NextStep {
        let lost = side.other();
        if !self.rules(key, &row.stamps()).travels_from(lost) {
            // The destination has lost it: it is written again.
            return self.unless_parked(key, side, job, only(side));
        }
        if self.agenda.awaited(key) {
            // Something new below it wants it back: that needs no evidence.
            return BOTH;
        }
        match self.gone(key, lost, now) {
            // A second look at the side where it is missing, at least.
            Gone::Surely(_) => NextStep::Read(Pair::of(|each| each == lost || row.changed(each))),
            Gone::Wait(at) => {
                self.agenda.add_at(key, at);
                NextStep::Rest
            }
            Gone::Unknown => NextStep::Rest,
        }
    }

    /// Forgets what both sides have deleted, as soon as that is sure: while one may only be filling up, the other's
    /// deletion must be remembered.
    pub fn forget_gone(&mut self, key: &EntryKey, now: Instant) {
        let gone = Pair::of(|side| self.gone(key, side, now));
        match (gone.left, gone.right) {
            (Gone::Surely(_), Gone::Surely(_)) => {
                self.base(key, None);
                self.settled(key);
            }
            (Gone::Unknown, _) | (_, Gone::Unknown) => {}
            (Gone::Wait(at), Gone::Wait(other)) => self.agenda.add_at(key, at.max(other)),
            (Gone::Wait(at), _) | (_, Gone::Wait(at)) => self.agenda.add_at(key, at),
        }
    }

    /// An entry that is to be written beyond `from` waits for its parent, unless that goes before it in the same batch.
    fn unless_parked(&mut self, key: &EntryKey, from: Side, job: &ReadJob, step: NextStep) -> NextStep {
        match self.missing_parent(key, from).filter(|parent| !job.has(parent)) {
            Some(parent) => {
                self.park(parent, key);
                NextStep::Rest
            }
            None => step,
        }
    }

    /// The parent that must be written beyond `from` before the entry.
    pub fn missing_parent(&self, key: &EntryKey, from: Side) -> Option<EntryKey> {
        let parent = self.spec.parent(key).filter(|_| self.shape(from.other()) == NameShape::Tree)?;
        let row = self.row(&parent);
        (row.places[from].is_here() && !row.places[from.other()].is_here()).then_some(parent)
    }

    pub fn park(&mut self, parent: EntryKey, child: &EntryKey) {
        self.agenda.add(&parent);
        self.agenda.park(parent, child);
    }
}
