//! What becomes of writes and how long changes take to arrive, counted by task.

use super::ClusterWriter;
use crate::kit::meter::{WriteKind, WriteOutcome};
use crate::kit::travel::Travels;
use crate::services::cluster::ActiveCluster;
use crate::services::outcome::route_of;
use crate::services::route::ActiveRoute;
use crate::spec::RunState;
use causeway_core::{Change, Error, ServiceKey};
use tokio::time::Instant;

impl ClusterWriter {
    /// A scope cannot be planned as things stand. What a task that works has to write there goes on waiting.
    pub(super) fn not_planned(&self, scope: &ServiceKey) {
        let waits = |route: &ActiveRoute| {
            let owner = &route.spec.owner;
            let has = || self.cluster.written_in(scope).records.values().any(|record| record.owner == *owner);
            route.spec.run == RunState::On && (route.target_wanted(scope) || has())
        };
        for route in self.cluster.inbound.read().iter() {
            if route.memory.travels.lock().waits(scope) && !waits(route) {
                route.memory.travels.lock().forget(scope);
            }
        }
    }

    /// Nothing is to be written in a scope.
    pub(super) fn nothing_to_write(&self, scope: &ServiceKey) {
        each(&self.cluster, |travels| travels.forget(scope));
    }

    /// A scope is being written.
    pub(super) fn begins_to_write(&self, scope: &ServiceKey) {
        each(&self.cluster, |travels| travels.begin(scope));
    }

    /// A write ended because of a panic.
    pub(super) fn broke_off(&self, scope: &ServiceKey) {
        each(&self.cluster, |travels| travels.again(scope));
    }

    /// Counts what the destination has answered. What a task has to write again keeps the time of its change.
    pub(super) fn count(&self, scope: &ServiceKey, outcomes: &[(Change, Result<(), Error>)], now: Instant) {
        let inbound = self.cluster.inbound.read();
        for (change, answer) in outcomes {
            let meter = route_of(&inbound, change.owner()).map_or(&self.cluster.meter, |route| &route.memory.meter);
            meter.wrote(kind(change), WriteOutcome::of(answer));
        }
        for route in inbound.iter() {
            let mut travels = route.memory.travels.lock();
            let owner = Some(&route.spec.owner);
            let mine = || outcomes.iter().filter(|(change, _)| change.owner() == owner).map(|(_, answer)| answer);
            if mine().any(|answer| answer.as_ref().is_err_and(is_repeated)) {
                travels.again(scope);
            } else if let Some(since) = travels.end(scope)
                && mine().any(Result::is_ok)
            {
                route.memory.meter.arrived(now - since);
            }
        }
    }
}

/// A writer of this cluster panicked: what it was writing is written again.
pub(super) fn crashed(cluster: &ActiveCluster) {
    each(cluster, Travels::all_again);
}

fn each(cluster: &ActiveCluster, change: impl Fn(&mut Travels<ServiceKey>)) {
    cluster.inbound.read().iter().for_each(|route| change(&mut route.memory.travels.lock()));
}

/// Whether what failed so is to be written again as it is. What was refused is left alone, and is shown as that.
fn is_repeated(error: &Error) -> bool {
    !matches!(error, Error::Rejected(_) | Error::Blocked(_))
}

fn kind(change: &Change) -> WriteKind {
    match change {
        Change::Create(_) => WriteKind::Create,
        Change::Adopt(_) => WriteKind::Adopt,
        Change::Shadow(..) => WriteKind::Shadow,
        Change::Update { .. } => WriteKind::Update,
        Change::Edit { .. } => WriteKind::Edit,
        Change::Scope { .. } => WriteKind::Attributes,
        Change::Delete { .. } => WriteKind::Delete,
    }
}
