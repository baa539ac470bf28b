//! Complete looks: second looks before removals, and the slow sweep.

use super::ClusterReader;
use crate::kit::call::call;
use crate::kit::queue::Urgency;
use crate::services::mirror::{Portion, portions};
use crate::services::sweep::Coverage;
use causeway_core::{Error, Part, Selector, Set};
use std::collections::VecDeque;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Parts that are looked at as a whole at the same time.
const LOOKS: usize = 4;

pub(super) type LookResult = (Part, Instant, Result<Vec<Set>, Error>);

/// A complete look, as far as it has not been taken in.
pub(super) struct OpenLook {
    part: Part,
    began: Instant,
    portions: VecDeque<Portion>,
}

impl ClusterReader {
    pub(super) fn start_looks(&mut self, select: &Selector, looks: &mut JoinSet<LookResult>) {
        let mut wanted: Vec<_> = self.cluster.looks.lock().difference(&self.looking).cloned().collect();
        // In turns, so that parts that fail again and again hold up no others.
        let next = wanted.partition_point(|part| self.looked_last.as_ref().is_some_and(|last| part <= last));
        wanted.rotate_left(next);
        for part in wanted {
            if looks.len() >= LOOKS {
                return;
            }
            self.looking.insert(part.clone());
            self.looked_last = Some(part.clone());
            let (source, select, limit) = (self.cluster.source.clone(), select.clone(), self.timing.look);
            looks.spawn(async move {
                let began = Instant::now();
                let sets = call(limit, async { source.read(&part, &select).await }).await;
                (part, began, sets)
            });
        }
    }

    pub(super) fn looked(&mut self, part: Part, began: Instant, sets: Result<Vec<Set>, Error>) {
        // Others may wait for their turn.
        self.cluster.look.notify_one();
        match sets {
            Ok(sets) => self.looked.push_back(OpenLook { part, began, portions: portions(sets) }),
            Err(error) => {
                self.end_look(&part);
                tracing::warn!(cluster = %self.cluster.spec.name, %part, %error, "a complete look failed");
            }
        }
    }

    /// Takes in the next portion of a complete look.
    pub(super) fn take_portion(&mut self) {
        let now = Instant::now();
        let Some(look) = self.looked.front_mut() else { return };
        if let Some(portion) = look.portions.pop_front() {
            let changed = self.cluster.mirror.lock().look(&look.part, portion, look.began, now);
            changed.iter().for_each(|scope| self.cluster.scope_changed(scope, Urgency::Sweep, now));
        }
        if look.portions.is_empty()
            && let Some(OpenLook { part, began, .. }) = self.looked.pop_front()
        {
            self.cluster.mirror.lock().looked(&part, began);
            self.end_look(&part);
            self.sweep_readers(&part);
        }
    }

    pub(super) fn end_look(&mut self, part: &Part) {
        self.looking.remove(part);
        self.cluster.looks.lock().remove(part);
    }

    /// Asks for a sweep over what the routes that read this part hold: a removal may have waited for this moment.
    pub(super) fn sweep_readers(&self, part: &Part) {
        for route in self.cluster.outbound.read().iter() {
            let target = route.target_part(part);
            route.destination.sweep(Coverage::Held(Some(route.spec.owner.clone()), Some(target)));
            route.destination.sweep(Coverage::Lost);
            if route.spec.take_over.is_some() {
                route.destination.sweep(Coverage::Theirs(route.clone()));
            }
        }
    }

    pub(super) fn ask_all(&self) {
        let parts: Vec<_> = {
            let mirror = self.cluster.mirror.lock();
            mirror.parts().iter().filter(|(_, state)| state.ready()).map(|(part, _)| part.clone()).collect()
        };
        parts.iter().for_each(|part| self.cluster.ask_look(part));
    }
}
