//! What happens by itself or by the operator's word: holds that begin and end, releases, decisions.

use super::state::TaskState;
use crate::event::Action;
use crate::kit::guard::HoldNews;
use causeway_core::{EntryKey, EntrySkip, Reason, Side};
use std::collections::BTreeSet;
use tokio::time::Instant;

impl TaskState {
    /// Once a second.
    pub fn watch_guards(&mut self, now: Instant) {
        let debounce = self.timing.debounce;
        self.written.retain(|_, at| now < *at + debounce);
        self.forget_young(now);
        for side in Side::BOTH {
            // What is held here is missing on the other side: that one must be seen.
            let ready = self.freshness[side.other()].any_ready();
            match self.removals[side].look(now) {
                HoldNews::Began(why) => {
                    let count = self.removals[side].held();
                    self.guard_event(side, Action::Held, Reason::Held { count, why });
                }
                HoldNews::CameBack => self.guard_event(side, Action::Released, Reason::CameBack),
                HoldNews::RanOut(_) if ready => {
                    let count = self.release_side(side);
                    self.guard_event(side, Action::Released, Reason::LookedAtAgain { count });
                }
                HoldNews::Nothing | HoldNews::RanOut(_) => {}
            }
        }
    }

    /// Lets go of what a side's guard holds, and of the nodes above that are missing as well and only wait for their
    /// children to go. Returns how much was held.
    fn release_side(&mut self, side: Side) -> usize {
        let mut waiting = BTreeSet::new();
        for key in self.removals[side].held_keys() {
            let mut below = key.clone();
            while let Some(parent) = self.spec.parent(&below) {
                let row = self.row(&parent);
                let gone = row.base.is_some() && !row.places[side.other()].is_here();
                if !gone || !waiting.insert(parent.clone()) {
                    break;
                }
                below = parent;
            }
        }
        let keys = self.removals[side].release(waiting);
        keys.iter().for_each(|key| self.agenda.add(key));
        keys.len()
    }

    fn guard_event(&self, side: Side, action: Action, reason: Reason) {
        tracing::warn!(task = %self.spec.task, cluster = %self.spec.cluster(side).name, "{reason}");
        self.tell(side, String::new(), String::new(), action, reason);
    }

    /// The operator lets go of exactly what the guards hold now; returns how much that is.
    pub fn release(&mut self) -> usize {
        let mut released = 0;
        for side in Side::BOTH {
            let count = self.release_side(side);
            released += count;
            if count > 0 {
                self.guard_event(side, Action::Released, Reason::Released { count });
            }
        }
        released
    }

    /// The operator says whose version of a conflict stands; returns whether there is such a conflict.
    pub fn resolve(&mut self, key: &EntryKey, side: Side) -> bool {
        let Some(left) = self.left.get(key).filter(|left| left.skip == EntrySkip::Conflict) else { return false };
        self.decided.insert(key.clone(), (side, left.stamps));
        self.agenda.add(key);
        true
    }
}
