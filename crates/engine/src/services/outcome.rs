//! What became of changes: into the ledger, the mirror and the events.

use crate::event::{Action, Event};
use crate::services::cluster::ActiveCluster;
use crate::services::record::Recorder;
use crate::services::route::ActiveRoute;
use causeway_core::{Change, ClusterId, Error, InstanceId, OwnerId, ServiceKey, Sink, WrittenRecord};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

/// What the ledger said of records that were noted before they were written.
pub(crate) type Intended = BTreeMap<InstanceId, Option<WrittenRecord>>;

/// Notes in the ledger what is about to be written and will have no other proof.
pub(crate) fn intend(
    cluster: &ActiveCluster,
    sink: &dyn Sink,
    recorder: &dyn Recorder,
    scope: &ServiceKey,
    changes: &[Change],
) -> Intended {
    let mut intended = Intended::new();
    let mut written = (*cluster.written_in(scope)).clone();
    for change in changes {
        if let Change::Create(record) | Change::Adopt(record) | Change::Update { to: record, .. } = change
            && sink.proven_by_ledger(record)
        {
            intended.insert(record.id(), written.records.get(&record.id()).cloned());
            written.intend(change);
        }
    }
    if !intended.is_empty() {
        recorder.ledger(cluster.id(), scope, &written);
        cluster.remember(scope, written);
    }
    intended
}

/// Whether an error says that nothing was written; else it may have been.
fn is_refusal(error: &Error) -> bool {
    !matches!(error, Error::Unavailable(_) | Error::Protocol(_))
}

/// Takes in what a destination answered to the changes of one scope.
pub(crate) fn settle(
    cluster: &ActiveCluster,
    recorder: &dyn Recorder,
    scope: &ServiceKey,
    outcomes: &[(Change, Result<(), Error>)],
    path: &[ClusterId],
    mut intended: Intended,
) {
    let accepted: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(change, _)| change).collect();
    let refused = outcomes.iter().filter(|(_, outcome)| outcome.as_ref().is_err_and(is_refusal));
    let refused: Vec<_> = refused.filter_map(|(change, _)| intended.remove_entry(&change.record()?.id())).collect();
    if accepted.is_empty() && refused.is_empty() {
        return;
    }
    let mut written = (*cluster.written_in(scope)).clone();
    accepted.iter().for_each(|change| written.note(change, path));
    refused.into_iter().for_each(|(id, before)| written.put_back(&id, before));
    recorder.ledger(cluster.id(), scope, &written);
    if accepted.is_empty() {
        return cluster.remember(scope, written);
    }
    cluster.mirror.lock().overlay(scope, Instant::now(), |set| {
        for change in &accepted {
            match change {
                Change::Create(to) | Change::Adopt(to) => set.put(to.clone()),
                Change::Update { from, to } => {
                    if let Some(mark) = from.mark() {
                        set.remove_copy(&from.id(), &mark.owner);
                    }
                    set.put(to.clone());
                }
                Change::Shadow(record, owner) | Change::Delete { record, owner, .. } => {
                    set.remove_copy(&record.id(), owner);
                }
                Change::Edit { to, .. } => set.put(to.clone().with_mark(None)),
                Change::Scope { to, .. } => set.attributes = Some(to.clone()),
            }
        }
    });
    match written.is_empty() {
        true => drop(cluster.written.lock().remove(scope)),
        false => drop(cluster.written.lock().insert(scope.clone(), Instant::now())),
    }
    cluster.remember(scope, written);
    for change in accepted {
        let (action, reason) = (action(change), change.reason());
        recorder.event(Event {
            task: task_of(cluster, change.owner()),
            cluster: cluster.spec.name.clone(),
            scope: scope.to_string(),
            record: change.record().map(|record| record.id().to_string()).unwrap_or_default(),
            action,
            reason,
        });
    }
}

/// The name of the task that writes here under `owner`, or that takes over from it.
pub(crate) fn task_of(cluster: &ActiveCluster, owner: Option<&OwnerId>) -> Arc<str> {
    route_of(&cluster.inbound.read(), owner).map_or_else(|| "".into(), |route| route.spec.task.clone())
}

/// The route of a destination that writes under `owner`, or that takes over from it.
pub(crate) fn route_of<'a>(inbound: &'a [Arc<ActiveRoute>], owner: Option<&OwnerId>) -> Option<&'a Arc<ActiveRoute>> {
    let takes = |route: &ActiveRoute| {
        let tool = route.spec.take_over.as_ref().map(|spec| &spec.tool);
        tool.is_some() && owner.map(|owner| &owner.install) == tool
    };
    let route = inbound.iter().find(|route| Some(&route.spec.owner) == owner);
    route.or_else(|| inbound.iter().find(|route| takes(route)))
}

fn action(change: &Change) -> Action {
    match change {
        Change::Create(_) | Change::Shadow(..) => Action::Created,
        Change::Adopt(_) => Action::Adopted,
        Change::Update { .. } | Change::Edit { .. } | Change::Scope { .. } => Action::Updated,
        Change::Delete { .. } => Action::Deleted,
    }
}
