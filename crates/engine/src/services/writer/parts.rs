//! Parts that a destination lacks, or serves and does not list: they are made.

use super::{ClusterWriter, Finished};
use crate::kit::call::call;
use crate::spec::RunState;
use causeway_core::ServiceKey;
use std::time::Duration;
use tokio::time::Instant;

/// A part that could not be made is retried after this time.
const PREPARE: Duration = Duration::from_secs(10);

impl ClusterWriter {
    /// Makes the scope's part where the destination does not show it, or serves it and does not list it.
    pub(super) fn prepare(&mut self, scope: &ServiceKey, now: Instant) {
        let part = scope.part();
        self.cluster.writes_in([part.clone()]);
        let (known, missing) = {
            let mirror = self.cluster.mirror.lock();
            let state = mirror.part(&part);
            (state.is_some_and(|state| state.ready()), state.is_none_or(|state| state.missing))
        };
        let unlisted = self.cluster.is_unlisted(&part);
        if known && !unlisted {
            return;
        }
        if let Some(at) = self.prepared.get(&part).filter(|at| now < **at + PREPARE) {
            // It may have gone since it was made.
            if unlisted || missing {
                self.cluster.queue.mark(scope, *at + PREPARE);
            }
            return;
        }
        let routes: Vec<_> = self
            .cluster
            .inbound
            .read()
            .iter()
            .filter(|route| {
                route.spec.run == RunState::On
                    && !route.feeding(scope).is_empty()
                    && route.target_wanted(scope)
                    && (!known || route.lists(&part))
            })
            .cloned()
            .collect();
        if routes.is_empty() {
            return;
        }
        // One that may be used without being listed, and has not been read yet.
        let looks = !known && !routes.iter().any(|route| route.always_lists(&part));
        self.prepared.insert(part.clone(), now);
        self.cluster.queue.mark(scope, now + PREPARE);
        let title = self.cluster.inbound.read().iter().find_map(|route| route.title_for(&part));
        let (sink, limit, place) = (self.sink.clone(), self.timing.call, self.place());
        self.work.spawn(async move {
            let mut slot = place.await;
            if looks {
                slot.spend(1);
                if call(limit, async { sink.count(&part).await }).await.is_ok_and(|count| count > 0) {
                    return Finished::Prepared(part, Ok(()));
                }
            }
            slot.spend(1);
            let made = call(limit, async { sink.prepare(&part, title.as_deref()).await }).await;
            Finished::Prepared(part, made)
        });
    }
}
