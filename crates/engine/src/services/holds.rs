//! Removals that guards hold: what is told of them, and how they are let go.

use crate::event::{Action, Event};
use crate::kit::guard::HoldNews;
use crate::services::engine::Engine;
use crate::services::route::ActiveRoute;
use causeway_core::{OwnerId, Part, Reason, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

impl Engine {
    /// Lets go of exactly what guards hold for a task at this moment; returns how many records that are. What goes later is
    /// judged as ever.
    pub fn release(&self, owner: &OwnerId) -> usize {
        let now = Instant::now();
        let state = self.state.lock();
        let mut held = 0;
        for route in state.routes.values().filter(|route| route.spec.owner == *owner) {
            let count = let_go(route, &held_scopes(route), now, now);
            held += count;
            if count > 0 {
                self.guard_event(route, Action::Released, Reason::Released { count });
            }
        }
        held
    }

    /// Ends holds that have run out, once a second look agrees, and those that hold nothing any more.
    pub(super) fn watch_guards(&self) {
        let now = Instant::now();
        let routes: Vec<_> = self.state.lock().routes.values().cloned().collect();
        for route in routes {
            let held = held_scopes(&route);
            let count = held.values().sum();
            let news = {
                let mut guard = route.memory.guard.lock();
                guard.forget(now);
                guard.look(count, now)
            };
            match news {
                HoldNews::Nothing => {}
                HoldNews::Began(why) => self.guard_event(&route, Action::Held, Reason::Held { count, why }),
                HoldNews::CameBack => self.guard_event(&route, Action::Released, Reason::CameBack),
                HoldNews::RanOut(at) if !looked_again(&route, &held, at) => {}
                HoldNews::RanOut(at) => {
                    // What was held later than the look began waits for one of its own.
                    let count = let_go(&route, &held, at, now);
                    self.guard_event(&route, Action::Released, Reason::SecondLook { count });
                }
            }
        }
    }

    fn guard_event(&self, route: &ActiveRoute, action: Action, reason: Reason) {
        tracing::warn!(task = %route.spec.task, "{reason}");
        let (task, cluster) = (route.spec.task.clone(), route.destination.spec.name.clone());
        self.recorder.event(Event { task, cluster, scope: String::new(), record: String::new(), action, reason });
    }
}

/// The scopes of a route's destination where a guard holds removals of its task, and how many.
pub(crate) fn held_scopes(route: &ActiveRoute) -> BTreeMap<ServiceKey, usize> {
    let scopes = route.destination.scopes.lock();
    scopes.tally(&route.spec.owner).map(|tally| tally.held.clone()).unwrap_or_default()
}

/// Ends a hold: lets go of what it has held since `until` or longer, in these scopes. Returns how much that is.
fn let_go(route: &ActiveRoute, held: &BTreeMap<ServiceKey, usize>, until: Instant, now: Instant) -> usize {
    let mut count = 0;
    for scope in held.keys() {
        let ids: Vec<_> = {
            let scopes = route.destination.scopes.lock();
            let left = scopes.get(scope).into_iter().flat_map(|state| &state.left);
            left.filter(|(_, left)| left.holds(&route.spec.owner) && left.since <= until)
                .map(|(id, _)| id.clone())
                .collect()
        };
        count += ids.len();
        route.memory.released.lock().add(scope, ids);
        route.destination.queue.mark(scope, now);
    }
    route.memory.guard.lock().end_hold();
    count
}

/// Whether every part of the source that feeds what is held was looked at whole since `expired`; asks for it where not.
fn looked_again(route: &ActiveRoute, held: &BTreeMap<ServiceKey, usize>, expired: Instant) -> bool {
    let targets: BTreeSet<_> = held.keys().map(ServiceKey::part).collect();
    let parts: BTreeSet<_> = targets.iter().flat_map(|target| route.parts_for(target)).collect();
    let due: Vec<_> = {
        let mirror = route.source.mirror.lock();
        let looked = |part: &Part| mirror.part(part).filter(|state| state.ready()).and_then(|state| state.looked);
        parts.into_iter().filter(|part| looked(part) < Some(expired)).collect()
    };
    due.iter().for_each(|part| route.source.ask_look(part));
    due.is_empty()
}
