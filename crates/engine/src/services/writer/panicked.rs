//! Scopes whose planning or writing panics: they stop no other scope, and are retried slowly.

use super::{ClusterWriter, SLOW_RETRY};
use crate::event::Action;
use crate::services::outcome::task_of;
use causeway_core::{OwnerId, Reason, ServiceKey};
use std::collections::BTreeSet;
use tokio::time::Instant;

impl ClusterWriter {
    /// Leaves a scope alone for a while because of a panic, and reports it.
    pub(super) fn set_aside(&mut self, scope: &ServiceKey, panic: &str) {
        let until = Instant::now() + SLOW_RETRY;
        self.aside.insert(scope.clone(), until);
        self.cluster.queue.mark(scope, until);
        self.broke_off(scope);
        let bug = Reason::ServiceBug { scope: scope.clone(), retry: SLOW_RETRY, panic: panic.to_owned() };
        tracing::error!(cluster = %self.cluster.spec.name, "{bug}");
        let owners = self.owners_of(scope);
        let news = {
            let mut scopes = self.cluster.scopes.lock();
            scopes.edit(scope, |state| {
                let news = state.error.as_ref() != Some(&bug);
                for owner in &owners {
                    state.pending.entry(owner.clone()).or_insert(1);
                }
                state.error = Some(bug.clone());
                news
            })
        };
        if news {
            let task = task_of(&self.cluster, owners.first());
            self.event(task, scope, String::new(), Action::Failed, bug);
        }
    }

    /// The tasks that have, or want, something in a scope.
    fn owners_of(&self, scope: &ServiceKey) -> BTreeSet<OwnerId> {
        let written = self.cluster.written_in(scope);
        let has = |owner: &OwnerId| written.records.values().any(|record| record.owner == *owner);
        let routes = self.cluster.inbound.read();
        let concerned = routes.iter().filter(|route| has(&route.spec.owner) || route.target_wanted(scope));
        concerned.map(|route| route.spec.owner.clone()).collect()
    }
}
