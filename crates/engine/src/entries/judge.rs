//! Judging what was read, and planning what is to be written.

use super::filling::FILLING;
use super::job::{PlannedWrite, ReadDone, WriteJob};
use super::lists::{Union, union};
use super::outcome::is_of_the_entry;
use super::removals::Loss;
use super::rows::{Presence, Stamps};
use super::state::{Gone, ShownEntry, TaskState};
use crate::event::Action;
use crate::spec::RunState;
use causeway_core::{
    Base, Conflicts, Content, Entry, EntryKey, EntryReason, EntrySkip, EntryVersion, EntryWrite, Error, Evidence,
    Expect, FoundEntry, MergeRules, NameShape, Pair, Reason, Side, Stamp, Verdict, WriteMode, merge,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// What one batch comes to.
#[derive(Default)]
struct BatchPlans {
    writes: Vec<PlannedWrite>,
    removals: Vec<(PlannedWrite, Evidence)>,
    copied: Pair<BTreeSet<EntryKey>>,
}

/// One entry as it was read.
struct Case {
    key: EntryKey,
    looks: Pair<Option<(Entry, Content)>>,
    versions: Pair<Option<EntryVersion>>,
    stamps: Stamps,
    base: Option<Base>,
    rules: MergeRules,
    /// The operator has said who wins.
    decided: bool,
}

impl Case {
    fn shown(&self) -> Pair<Option<ShownEntry>> {
        Pair::of(|side| {
            let ((entry, content), version) = (self.looks[side].as_ref()?, self.versions[side]?);
            Some(ShownEntry { digest: version.digest, modified_ms: entry.modified_ms, size: content.size() })
        })
    }
}

impl TaskState {
    /// Judges a batch; returns what is to be written.
    pub fn judge(&mut self, done: ReadDone, now: Instant) -> Vec<WriteJob> {
        self.jobs -= 1;
        let ReadDone { keys, mut found } = done;
        self.note_answers(&found, now);
        let mut plans = BatchPlans::default();
        for (key, places) in keys {
            let found = Pair::of(|side| found[side].remove(&key));
            self.judge_one(key, places, found, &mut plans, now);
        }
        self.admit(&mut plans, now);
        self.begin_writes(plans.writes)
    }

    /// Whether the sides answer at all.
    fn note_answers(&mut self, found: &Pair<BTreeMap<EntryKey, Result<FoundEntry, Error>>>, now: Instant) {
        for side in Side::BOTH.into_iter().filter(|side| !found[*side].is_empty()) {
            let well = found[side].values().any(|found| found.as_ref().map_or_else(is_of_the_entry, |_| true));
            self.answered(side, well, Duration::ZERO, now);
        }
    }

    fn judge_one(
        &mut self,
        key: EntryKey,
        places: Pair<Presence>,
        found: Pair<Option<Result<FoundEntry, Error>>>,
        plans: &mut BatchPlans,
        now: Instant,
    ) {
        let stamps = Pair::of(|side| places[side].stamp());
        let mut looks = Pair { left: None, right: None };
        for (side, found) in found.sides() {
            match found.transpose() {
                Ok(found) => looks[side] = found,
                Err(Error::Rejected(why)) => {
                    return self.leave(&key, EntrySkip::Rejected { why }, stamps, now);
                }
                Err(Error::Blocked(why)) => return self.blocked_now(&key, side, why, stamps, now),
                Err(error) => return self.failed(&key, side, error, now),
            }
        }
        for side in Side::BOTH {
            let unchanged = self.row(&key).places[side] == places[side] && !self.agenda.heard(&key, side);
            match &looks[side] {
                Some(found) if unchanged => self.saw(&key, side, found.as_ref().map(|(entry, _)| entry), now),
                // The watch was quicker: what it said is looked at next.
                Some(_) => {}
                None if unchanged => {}
                None => return self.finish(&key),
            }
        }
        self.doubt.remove(&key);
        self.end_intent(&key, &looks);
        if self.spec.run == RunState::Drain {
            return match self.drain_judge(&key, &places, &looks) {
                Some(planned) => plans.writes.push(planned),
                None => self.finish(&key),
            };
        }
        if let Some(undecided) = self.spec.select.undecided(&key) {
            let stamps = self.row(&key).stamps();
            return self.leave(&key, EntrySkip::Undecided(undecided), stamps, now);
        }
        match self.case(key, &places, looks) {
            Ok(case) => self.conclude(case, plans, now),
            Err(key) => self.look_again(&key),
        }
    }

    /// An entry was looked at.
    fn saw(&mut self, key: &EntryKey, side: Side, found: Option<&Entry>, now: Instant) {
        let before = self.row(key).places[side];
        match found {
            Some(entry) => self.place_shown(key, side, before.read(entry), now),
            None if before.is_here() => {
                self.freshness[side].get_mut(&key.part()).into_iter().for_each(|part| part.misses(now));
                self.place_shown(key, side, Presence::Absent, now);
            }
            None => {}
        }
    }

    /// Whether a write was made whose answer never came, now that its entry was read.
    fn end_intent(&mut self, key: &EntryKey, looks: &Pair<Option<FoundEntry>>) {
        let Some(intent) = self.intents.get(key).cloned() else { return };
        let Some(found) = &looks[intent.to] else { return };
        let seen =
            found.as_ref().map(|(entry, content)| (self.spec.attributes.select(content.clone()).digest(), entry.stamp));
        let before = self.row(key).base;
        if let Some(base) = intent.made(before.as_ref(), seen) {
            self.base(key, base);
            self.event(key, intent.to, Action::Adopted, Reason::EntryWasWritten);
        }
        self.close(key);
    }

    /// What is to be judged; an error where more must be read first.
    fn case(&self, key: EntryKey, places: &Pair<Presence>, looks: Pair<Option<FoundEntry>>) -> Result<Case, EntryKey> {
        let base = self.row(&key).base;
        let mut case = Case {
            rules: self.spec.rules(),
            decided: false,
            looks: Pair { left: None, right: None },
            versions: Pair::default(),
            stamps: Pair::default(),
            base,
            key,
        };
        for (side, look) in looks.sides() {
            match (look, places[side].stamp(), base) {
                (Some(Some((entry, content))), ..) => {
                    let content = self.spec.attributes.select(content);
                    let version = EntryVersion { digest: content.digest(), modified_ms: entry.modified_ms };
                    (case.versions[side], case.stamps[side]) = (Some(version), Some(entry.stamp));
                    case.looks[side] = Some((entry, content));
                }
                (Some(None), ..) | (None, None, _) => {}
                (None, Some(stamp), Some(base)) if base.stamps[side] == stamp => {
                    let version = EntryVersion { digest: base.digest, modified_ms: 0 };
                    (case.versions[side], case.stamps[side]) = (Some(version), Some(stamp));
                }
                (None, Some(_), _) => return Err(case.key),
            }
        }
        let rules = self.rules(&case.key, &case.stamps);
        (case.decided, case.rules) = (rules != case.rules, rules);
        // What we made ourselves and have not completed is completed, whatever the task may write over.
        let unfinished = |base: Base| Side::BOTH.iter().any(|side| base.stamps[*side] == Stamp::default());
        if base.is_some_and(unfinished) && case.rules.mode == WriteMode::CreateOnly {
            case.rules.mode = WriteMode::UpsertOnly;
        }
        Ok(case)
    }

    fn look_again(&mut self, key: &EntryKey) {
        self.doubt.insert(key.clone());
        self.finish(key);
        self.agenda.add(key);
    }

    fn conclude(&mut self, mut case: Case, plans: &mut BatchPlans, now: Instant) {
        if self.spec.is_list(&case.key) && case.versions.left != case.versions.right {
            match self.list(&mut case) {
                Some(Union::Copy { to }) => return self.copy(case, to, EntryReason::Edited, plans, now),
                Some(Union::Both(_)) => return self.copy(case, Side::Right, EntryReason::Edited, plans, now),
                Some(Union::Enough) => {
                    self.settled(&case.key);
                    return self.finish(&case.key);
                }
                None => {}
            }
        }
        let base = case.base.map(|base| base.digest);
        match merge(base, &case.versions, &case.rules) {
            Verdict::InStep => self.in_step(&case, now),
            Verdict::Copy { to, why } => self.copy(case, to, why, plans, now),
            Verdict::Delete { from, why } => self.delete(case, from, why, plans, now),
            Verdict::Leave(skip) => {
                self.decided.remove(&case.key);
                self.leave(&case.key, skip, case.stamps, now);
                self.left.show(&case.key, case.shown());
            }
        }
    }

    /// What to do about a list that stands on both sides and differs. What is written beside either side's own takes the
    /// place of the left side's, at no version of it: then it is looked at again, and goes back.
    fn list(&self, case: &mut Case) -> Option<Union> {
        let (Some((_, left)), Some((_, right))) = (&case.looks.left, &case.looks.right) else { return None };
        if case.versions.left.map(|v| v.digest) == case.versions.right.map(|v| v.digest) {
            return None;
        }
        let union = union(&left.body, &right.body, self.spec.ways)?;
        if let (Union::Both(all), Some((entry, content))) = (&union, &mut case.looks.left) {
            content.body = Some(all.clone());
            entry.stamp = Stamp::default();
            let digest = self.spec.attributes.select(content.clone()).digest();
            case.versions.left = Some(EntryVersion { digest, modified_ms: entry.modified_ms });
        }
        Some(union)
    }

    fn in_step(&mut self, case: &Case, now: Instant) {
        let key = &case.key;
        match (case.versions.left, case.stamps.left, case.stamps.right) {
            (Some(version), Some(left), Some(right)) => {
                if case.base.is_none() {
                    self.event(key, Side::Right, Action::Adopted, Reason::EntryEqual);
                }
                let stamps = Pair { left, right };
                self.base(key, Some(Base::found(case.base.as_ref(), version.digest, stamps)));
                self.allowed(key);
                self.settled(key);
            }
            _ if case.base.is_some() => self.forget_gone(key, now),
            _ => self.settled(key),
        }
        self.finish(key);
    }

    fn copy(&mut self, mut case: Case, to: Side, why: EntryReason, plans: &mut BatchPlans, now: Instant) {
        let (key, from) = (case.key.clone(), to.other());
        let over = case.shown()[to].filter(|_| matches!(why, EntryReason::Settled { .. } | EntryReason::Overridden));
        let Some((entry, content)) = case.looks[from].take() else { return self.look_again(&key) };
        // What cannot be held is not written to find that out.
        if let Some(Err(why)) = self.spec.cluster(to).port.sink().map(|sink| sink.check(&key, &content)) {
            return self.leave(&key, EntrySkip::Rejected { why }, case.stamps, now);
        }
        if let Some(parent) = self.missing_parent(&key, from).filter(|parent| !plans.copied[to].contains(parent)) {
            self.finish(&key);
            return self.park(parent, &key);
        }
        let mut content = content;
        let mut written = case.versions[from].map(|version| (version.digest, entry.stamp));
        if let Some(first) = self.first(to, &content).filter(|_| self.is_filling(&key, from, now)) {
            if case.stamps[to].is_some() {
                // It stands, and can be written below: it is completed when that is done.
                self.finish(&key);
                return self.agenda.add_at(&key, now + FILLING);
            }
            // A version that the other side never had: it is completed as one that was edited there.
            written = Some((first.digest(), Stamp::default()));
            content = first;
        }
        plans.copied[to].insert(key.clone());
        let half = case.looks[to].as_ref().map(|(_, there)| &there.attributes).and_then(|there| {
            let half = Content { body: content.body.clone(), attributes: there.clone() };
            (half.attributes != content.attributes).then(|| self.spec.attributes.select(half).digest())
        });
        let write = EntryWrite {
            expect: case.stamps[to].map_or(Expect::Absent, Expect::Stamp),
            parents: self.makes_parents(&key, from),
            key,
            to: Some(content),
        };
        let (before, stamps, why) = (case.base, case.stamps, said(why, case.decided));
        plans.writes.push(PlannedWrite { write, to, why: Some(why), content: written, before, stamps, over, half });
    }

    fn delete(&mut self, case: Case, from: Side, why: EntryReason, plans: &mut BatchPlans, now: Instant) {
        let key = case.key.clone();
        let (rules, stamps) = (case.rules, case.stamps);
        let below = self
            .first_below(&key, from)
            .map(|(below, row)| (row.base.is_none() || self.left.contains(below), row.is_numbered()));
        match below {
            // Something new below it is to be written beyond: it must stand there.
            Some(_) if self.agenda.awaited(&key) => {
                return self.copy(case, from.other(), EntryReason::Needed, plans, now);
            }
            Some((true, numbered)) if numbered || !rules.travels_from(from) => {
                return self.leave(&key, EntrySkip::Occupied, stamps, now);
            }
            // A flat side may keep them without it.
            Some(_) if self.shape(from.other()) == NameShape::Flat => {
                return self.leave(&key, EntrySkip::Occupied, stamps, now);
            }
            // Children go first, or say that they stay: then it is looked at again.
            Some(_) => return self.finish(&key),
            None => {}
        }
        let evidence = match self.gone(&key, from.other(), now) {
            _ if self.agenda.disturbed(&key) => return self.finish(&key),
            Gone::Surely(evidence) => evidence,
            Gone::Unknown => return self.finish(&key),
            Gone::Wait(at) => {
                self.finish(&key);
                return self.agenda.add_at(&key, at);
            }
        };
        let Some(stamp) = stamps[from] else { return self.finish(&key) };
        let over = case.shown()[from].filter(|_| matches!(why, EntryReason::Settled { .. }));
        let write = EntryWrite { key, expect: Expect::Stamp(stamp), to: None, parents: false };
        let why = Some(said(why, case.decided));
        plans.removals.push((
            PlannedWrite { write, to: from, why, content: None, before: case.base, stamps, over, half: None },
            evidence,
        ));
    }

    /// Asks the guards about what is to be removed.
    fn admit(&mut self, plans: &mut BatchPlans, now: Instant) {
        for side in Side::BOTH {
            let removals: Vec<_> = plans.removals.extract_if(.., |(planned, _)| planned.to == side).collect();
            if removals.is_empty() {
                continue;
            }
            let lost = side.other();
            let asked: Vec<_> = removals.iter().map(|(planned, found)| (planned.key().clone(), *found)).collect();
            let parts: BTreeSet<_> = asked.iter().map(|(key, _)| key.part()).collect();
            let losses: Vec<_> = parts
                .into_iter()
                .map(|part| {
                    let count = self.rows.count(&part);
                    let (missing, total, emptied) = (count.missing[lost], count.bases, count.here[lost] == 0);
                    Loss { part, missing, total, emptied }
                })
                .collect();
            let total = self.rows.counts().map(|count| count.bases).sum();
            let pass = self.removals[side].admit(&asked, total, &losses, now);
            for ((planned, _), passes) in removals.into_iter().zip(pass) {
                match passes {
                    true => plans.writes.push(planned),
                    false => self.finish(planned.key()),
                }
            }
        }
    }

    /// Notes what is going to be written before it is.
    fn begin_writes(&mut self, mut writes: Vec<PlannedWrite>) -> Vec<WriteJob> {
        let mut jobs = Vec::new();
        for to in Side::BOTH {
            let mut planned: Vec<_> = writes.extract_if(.., |planned| planned.to == to).collect();
            if planned.is_empty() {
                continue;
            }
            // Parents first; then what goes, children first.
            planned.sort_by(|a, b| match (&a.content, &b.content) {
                (None, None) => b.key().cmp(a.key()),
                (a_to, b_to) => a_to.is_none().cmp(&b_to.is_none()).then_with(|| a.key().cmp(b.key())),
            });
            for planned in &planned {
                self.travels[to].begin(planned.key());
                if self.row(planned.key()).places[to].stamp() == planned.stamps[to] {
                    self.agenda.known(planned.key(), to);
                }
            }
            let intents: Vec<_> = planned.iter().map(PlannedWrite::intent).collect();
            let lot = self.intents.begin(&intents);
            self.recorder.intents(&self.route, lot, Some(&intents));
            self.jobs += 1;
            jobs.push(WriteJob { to, planned });
        }
        jobs
    }
}

/// The reason as the user should read it.
fn said(why: EntryReason, decided: bool) -> EntryReason {
    match why {
        EntryReason::Settled { .. } if decided => EntryReason::Settled { by: Conflicts::Manual },
        why => why,
    }
}
