//! What happens by itself or by the operator's word: holds that begin and end, releases, decisions.

use super::door::Turned;
use super::state::State;
use crate::engine::words;
use crate::record::Action;
use causeway_core::{EntryKey, Reason, Side};
use tokio::time::Instant;

impl State {
    /// Once a second.
    pub fn tick(&mut self, now: Instant) {
        let debounce = self.timing.debounce;
        self.written.retain(|_, at| now < *at + debounce);
        for side in Side::BOTH {
            // What is held here is missing on the other side: that one must be seen.
            let ready = self.sight[side.other()].any_ready();
            match self.doors[side].turn(ready, self.timing.amnesty, now) {
                Turned::Nothing => {}
                Turned::Holds(holding, count) => {
                    self.guard_event(side, Action::Held, format!("{count} removals held: {}", words(&holding.why)));
                }
                Turned::Calm => {
                    self.guard_event(side, Action::Released, "what was missing has come back".into());
                }
                Turned::Over(keys) => {
                    let text = format!("{} removals get a second look; what is still missing goes", keys.len());
                    self.guard_event(side, Action::Released, text);
                    keys.iter().for_each(|key| self.marks.mark(key));
                }
            }
        }
    }

    fn guard_event(&self, side: Side, action: Action, reason: String) {
        tracing::warn!(task = %self.spec.task, cluster = %self.spec.cluster(side).name, "{reason}");
        self.tell(side, String::new(), String::new(), action, reason);
    }

    /// The operator lets go of what the guards hold; answers how much that is.
    pub fn release(&mut self, now: Instant) -> usize {
        let mut released = 0;
        for side in Side::BOTH {
            let keys = self.doors[side].release(now + self.timing.amnesty, now, true);
            released += keys.len();
            if !keys.is_empty() {
                let text = format!("{} removals released by the operator", keys.len());
                self.guard_event(side, Action::Released, text);
            }
            keys.iter().for_each(|key| self.marks.mark(key));
        }
        released
    }

    /// The operator says whose version of a conflict stands; answers whether there is such a conflict.
    pub fn resolve(&mut self, key: &EntryKey, side: Side) -> bool {
        let Some(left) = self.left.get(key).filter(|left| left.reason == Reason::Conflict) else { return false };
        self.decided.insert(key.clone(), (side, left.stamps));
        self.marks.mark(key);
        true
    }
}
