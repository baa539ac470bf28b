//! Taking in what the clusters say.

use super::left_out::no_data;
use super::rows::Presence;
use super::state::TaskState;
use crate::spec::RunState;
use causeway_core::{Entry, EntryKey, EntrySkip, EntryUpdate, Lost, Part, Side};
use std::collections::BTreeMap;
use tokio::time::Instant;

impl TaskState {
    pub fn take_update(&mut self, side: Side, item: Result<EntryUpdate, Lost>, now: Instant) {
        match item {
            Ok(EntryUpdate::Reset { part, mut entries }) => {
                self.asides[side].retain(|key, _| key.namespace != part.0);
                self.set_aside(side, &mut entries);
                self.check_history(side, &part, &entries);
                self.freshness[side].complete(&part, now);
                self.trouble[side].blocked = None;
                self.looked(side, &part, entries, now);
            }
            Ok(EntryUpdate::Changed(changes)) => {
                for (key, entry) in changes {
                    // What is left out is counted, whatever it is called.
                    let aside = entry.as_ref().and_then(no_data).is_some() || self.asides[side].contains_key(&key);
                    if aside || self.spec.select.takes(&key) {
                        self.changed(side, &key, entry, now);
                    }
                }
            }
            Err(lost) => {
                let text = lost.to_string();
                tracing::debug!(task = %self.spec.task, cluster = %self.spec.cluster(side).name, "{text}");
                self.freshness[side].lost(lost.part.as_ref(), &text, now);
            }
        }
    }

    /// One side of a part was looked at whole.
    fn looked(&mut self, side: Side, part: &Part, mut entries: BTreeMap<EntryKey, Entry>, now: Instant) {
        entries.retain(|key, _| self.spec.select.takes(key));
        let found = self.rows.looked(side, part, entries, |_| false);
        self.found(side, part, found, now);
        let drain = self.spec.run == RunState::Drain;
        if !self.ready(part) && !drain {
            return;
        }
        for (key, row) in self.rows.part(part) {
            if !row.in_step() || (drain && row.base.is_some()) {
                self.agenda.add(key);
            }
        }
        self.intents.keys().filter(|key| key.namespace == part.0).for_each(|key| self.agenda.add(key));
        self.probes.told_again(side, part).iter().for_each(|key| self.agenda.add(key));
        let waiting = Side::BOTH.into_iter().flat_map(|to| self.travels[to].waiting());
        waiting.filter(|key| key.namespace == part.0).for_each(|key| self.agenda.add(key));
    }

    fn found(&mut self, side: Side, part: &Part, found: super::rows::LookFindings, now: Instant) {
        self.agenda.told_all(part, side);
        if let Some(freshness) = self.freshness[side].get_mut(part) {
            if found.grew {
                freshness.grew(now);
            }
            if found.lost {
                freshness.misses(now);
            }
        }
        // Nobody was told what lies below what, or whether it is there at all.
        let rows = &self.rows;
        let known = |key: &EntryKey| rows.get(key).is_some();
        self.left.take_others(|key, left| left.skip != EntrySkip::Occupied && known(key));
        if found.lost {
            self.agenda.retain_parked(known);
            self.tries.retain(|key, _| known(key));
            self.probes.retain(known);
        }
        // What a guard holds is held for as long as it is missing there.
        let still = |key: &EntryKey| rows.get(key).is_some_and(|row| row.base.is_some() && !row.places[side].is_here());
        self.removals[side.other()].retain(still);
    }

    /// A sweep has listed one side.
    pub fn swept(&mut self, side: Side, mut entries: BTreeMap<EntryKey, Entry>, now: Instant) {
        let Some(newer) = self.swept.take() else { return };
        self.asides[side].clear();
        self.set_aside(side, &mut entries);
        let mut parts: BTreeMap<Part, BTreeMap<EntryKey, Entry>> = BTreeMap::new();
        for (key, entry) in entries.into_iter().filter(|(key, _)| self.spec.select.takes(key)) {
            parts.entry(key.part()).or_default().insert(key, entry);
        }
        let known: Vec<_> = self.freshness[side].parts().filter(|part| self.ready(part)).cloned().collect();
        for part in known {
            let entries = parts.remove(&part).unwrap_or_default();
            let found = self.rows.looked(side, &part, entries, |key| newer[side].contains(key));
            self.found(side, &part, found, now);
        }
        self.swept = Some(newer);
        self.mark_all();
    }

    fn changed(&mut self, side: Side, key: &EntryKey, entry: Option<Entry>, now: Instant) {
        let entry = self.unless_aside(side, key, entry);
        let part = key.part();
        let row = self.row(key);
        // Also when it is no news here: work on it may know of something in between, which must not be taken for the last
        // word.
        self.agenda.told(key, side);
        self.unconfirmed.remove(&(key.clone(), side));
        let was = row.places[side];
        let settle = self.spec.settle;
        let freshness = self.freshness[side].get_mut(&part);
        let place = match entry {
            Some(entry) => was.seen(&entry),
            None if !was.is_here() && row.base.is_none() => Presence::Absent,
            None if freshness.as_ref().is_some_and(|part| part.believes(settle, now)) => Presence::Witnessed,
            None => Presence::Absent,
        };
        if was == place {
            return;
        }
        match (was.is_here(), place) {
            (true, Presence::Absent) => freshness.into_iter().for_each(|part| part.misses(now)),
            // What we are just writing there is no sign that the cluster is still filling up.
            (false, Presence::Here { .. }) if !self.agenda.busy(key) => {
                freshness.into_iter().for_each(|part| part.grew(now));
                self.appeared(key, now);
            }
            _ => {}
        }
        self.place(key, side, place);
        if self.spec.run == RunState::On && !self.row(key).in_step() {
            self.travels[side.other()].seen(key, now);
        }
        // Also what is in step, or gone, now: something may have waited for it. Where one side is not known nothing is
        // decided; everything is marked when it is.
        self.agenda.add(key);
    }
}
