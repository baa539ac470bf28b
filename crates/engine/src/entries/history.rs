//! Whether a cluster still has the past that is remembered of it.

use super::state::TaskState;
use crate::event::Action;
use causeway_core::{Entry, EntryKey, Part, Reason, Side, Stamp, StampKind};
use std::collections::BTreeMap;

/// So many entries, and none of them at the version that is remembered, are another cluster's. Where fewer are, all of them
/// may have been edited.
const STRANGE: usize = 10;

impl TaskState {
    /// A cluster that was put back from a backup has not edited what differs, nor deleted what it lacks; nor has another
    /// cluster under the same name. The last common versions say nothing of it and are forgotten: what is equal is in step,
    /// what differs is a conflict, and what one side alone has is new.
    pub fn check_history(&mut self, side: Side, part: &Part, entries: &BTreeMap<EntryKey, Entry>) {
        let Some(why) = self.lost_history(side, part, entries) else { return };
        let bases = self.rows.part(part).filter(|(_, row)| row.base.is_some());
        let keys: Vec<_> = bases.map(|(key, _)| key.clone()).collect();
        let why = why(keys.len());
        tracing::warn!(task = %self.spec.task, cluster = %self.spec.cluster(side).name, "{why}");
        self.tell(side, part.0.to_string(), String::new(), Action::Skipped, why);
        for key in keys {
            self.base(&key, None);
        }
    }

    /// What has happened to it, from the number of entries that it concerns.
    fn lost_history(
        &self,
        side: Side,
        part: &Part,
        entries: &BTreeMap<EntryKey, Entry>,
    ) -> Option<fn(usize) -> Reason> {
        let source = self.spec.cluster(side).port.source();
        let ordered = match source.facts().stamps {
            StampKind::Monotonic => true,
            StampKind::Unique => false,
            // Whatever is put back has the stamp that it had.
            StampKind::ContentHash => return None,
        };
        let latest = source.latest().unwrap_or(i64::MAX);
        let (mut here, mut same, mut back) = (0, 0, false);
        for (key, row) in self.rows.part(part) {
            let Some(known) = row.base.map(|base| base.stamps[side]).filter(|known| *known != Stamp::default()) else {
                continue;
            };
            let now = entries.get(key).map(|entry| entry.stamp);
            back |= ordered && (known.0 > latest || now.is_some_and(|now| now.0 < known.0));
            here += usize::from(now.is_some());
            same += usize::from(now == Some(known));
        }
        match (back, here) {
            // Nothing is left to be compared: a guard holds what is missing.
            (_, 0) => None,
            (true, _) => Some(|count| Reason::PutBack { count }),
            (false, STRANGE..) if same == 0 => Some(|count| Reason::WrittenAnew { count }),
            (false, _) => None,
        }
    }
}
