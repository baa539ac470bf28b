//! Spans for traces: one for each scope or batch of entries that is planned and written. Nothing is made of them unless somebody
//! listens to [`TRACES`] at the level `TRACE`.

use crate::kit::meter::WriteOutcome;
use causeway_core::{Error, ServiceKey};
use std::collections::BTreeSet;
use tracing::{Span, field, trace_span};

/// The target of all spans. What is planned and comes to nothing has the outcome [`NOTHING`].
pub const TRACES: &str = "causeway::traces";
/// The field of a span that says what came of it.
pub const OUTCOME: &str = "causeway.outcome";
/// What it says where nothing was to be written.
pub const NOTHING: &str = "nothing";

/// The work on one scope of a destination.
pub(crate) fn scope(cluster: &str, scope: &ServiceKey) -> Span {
    let span = trace_span!(
        target: TRACES,
        "scope",
        causeway.cluster = cluster,
        causeway.scope = field::Empty,
        causeway.task = field::Empty,
        causeway.changes = field::Empty,
        causeway.outcome = field::Empty,
        otel.status_code = field::Empty,
    );
    if !span.is_disabled() {
        span.record("causeway.scope", field::display(scope));
    }
    span
}

/// The work on a batch of a task's config entries in one cluster.
pub(crate) fn entries(task: &str, cluster: &str, changes: usize) -> Span {
    trace_span!(
        target: TRACES,
        "entries",
        causeway.task = task,
        causeway.cluster = cluster,
        causeway.changes = changes,
        causeway.outcome = field::Empty,
        otel.status_code = field::Empty,
    )
}

/// Its planning.
pub(crate) fn plan(parent: &Span) -> Span {
    if parent.is_disabled() {
        return Span::none();
    }
    trace_span!(target: TRACES, parent: parent, "plan", causeway.outcome = field::Empty)
}

/// Its calls to the cluster.
pub(crate) fn write(parent: &Span) -> Span {
    if parent.is_disabled() {
        return Span::none();
    }
    trace_span!(target: TRACES, parent: parent, "write")
}

/// Notes that nothing is to be written.
pub(crate) fn nothing(spans: &[&Span]) {
    for span in spans {
        span.record(OUTCOME, NOTHING);
    }
}

/// Notes whose changes are written, and how many.
pub(crate) fn writes<T: AsRef<str> + Ord>(span: &Span, changes: usize, tasks: impl FnOnce() -> BTreeSet<T>) {
    if !span.is_disabled() {
        let tasks: Vec<_> = tasks().into_iter().map(|task| task.as_ref().to_owned()).collect();
        span.record("causeway.task", tasks.join(","));
        span.record("causeway.changes", changes);
    }
}

/// Notes what was answered: `accepted`, or the first other outcome.
pub(crate) fn ended<'a, T: 'a>(span: &Span, answers: impl IntoIterator<Item = &'a Result<T, Error>>) {
    if !span.is_disabled() {
        let failed = answers.into_iter().map(WriteOutcome::of).find(|outcome| *outcome != WriteOutcome::Accepted);
        span.record(OUTCOME, failed.unwrap_or(WriteOutcome::Accepted).as_str());
        if failed.is_some() {
            span.record("otel.status_code", "ERROR");
        }
    }
}
