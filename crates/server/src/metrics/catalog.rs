//! Every metric: its name, its labels, and what it means. `docs/observability.md` lists them from here.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric. All its labels have values from bounded sets: names of the settings, and codes of the program.
#[derive(Debug)]
pub(crate) struct MetricSpec {
    /// Without the `_total` that a counter gets.
    pub name: &'static str,
    pub kind: MetricKind,
    pub labels: &'static [&'static str],
    /// A sentence without its full stop.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Histogram, labels, help }
}

/// Of one direction of a task. `type` is `instance` or `entry`.
const WAY: &[&str] = &["task", "cluster", "type"];

macro_rules! catalog {
    ($($id:ident = $spec:expr;)*) => {
        $(pub(crate) const $id: &MetricSpec = &$spec;)*
        /// Each of them, in the order of the documentation.
        #[cfg(test)]
        pub(crate) const ALL: &[&MetricSpec] = &[$($id),*];
    };
}

catalog! {
    BUILD = gauge("causeway_build_info", &["version"], "1, with the version of the program");
    READY = gauge("causeway_ready", &[], "1 when /readyz answers 200, else 0");
    PANICS = counter("causeway_panics", &[], "Panics that were contained, wherever they happened; each is a bug, and is logged");
    CRASHES = counter("causeway_crashes", &["work", "task", "cluster"],
        "Inner work that panicked and was restarted, by the work: guards, reading, writing, comparing, entries");
    DATABASE_BEHIND = gauge("causeway_database_behind_seconds", &[],
        "Age of the oldest change that is not in the database yet; syncing goes on meanwhile");
    DATABASE_RECORDS = gauge("causeway_database_waiting_records", &[], "Scopes whose ledger is not in the database yet");
    DATABASE_EVENTS = gauge("causeway_database_waiting_events", &[], "Events that are not in the database yet");
    DATABASE_LOST = counter("causeway_database_lost_events", &[],
        "Events that were dropped because the database was away for too long");
    DATABASE_FAILING = gauge("causeway_database_failing", &[], "1 when the last attempt to write to the database failed");
    TASK = gauge("causeway_task_info", &["task", "source", "destination", "type", "mode"],
        "1, with what the settings say of a task");
    TASK_STATE = gauge("causeway_task_state", &["task", "state"],
        "1 for the state that a task is in, 0 for every other: in-step, syncing, held, failing, paused, drained, draining, unsupported");
    CONFLICTS = gauge("causeway_task_conflicts", &["task"],
        "Config entries that both sides have changed and that wait for the operator");
    RECORDS = gauge("causeway_records", WAY,
        "Copies of instances that a task has in a cluster; of config entries, those that take part there");
    SERVICES = gauge("causeway_services", &["task", "cluster"], "Services in which a task has copies in a cluster");
    PENDING = gauge("causeway_pending_changes", WAY,
        "Differences that are to be written; config entries of both directions are counted at the destination");
    PENDING_SCOPES = gauge("causeway_pending_scopes", &["task", "cluster"],
        "Services with a difference that is to be written");
    LAG = gauge("causeway_lag_seconds", WAY,
        "Age of the oldest change that the source has told of and the destination has not accepted; neither what guards hold nor what \
         is left alone counts");
    HELD = gauge("causeway_held_removals", WAY, "Removals that a guard holds");
    HOLD = gauge("causeway_hold_seconds", WAY, "For how long the guard has been holding; 0 when it holds nothing");
    SKIPPED = gauge("causeway_skipped_records", &["task", "cluster", "reason"],
        "Records left alone, by the code of the reason; config entries are counted at the destination");
    WRITES = counter("causeway_writes", &["task", "cluster", "type", "write", "outcome"],
        "Changes that were sent to a cluster, by what was answered; those that no task owns have an empty task");
    LATENCY = histogram("causeway_change_latency_seconds", WAY,
        "From the moment at which the source told of a change until the destination accepted it, one sample for each service or entry \
         that was written; what comes with a first reading or after an outage is not counted");
    CLUSTER_UP = gauge("causeway_cluster_up", &["cluster", "kind"],
        "1 when a cluster that tasks use can be read, else 0");
    CLUSTER_NAMESPACES = gauge("causeway_cluster_namespaces", &["cluster", "state"],
        "Namespaces of a cluster: stale ones cannot be read now, settling ones have not been connected for long enough to believe what \
         is missing, settled ones have");
    CLUSTER_SERVICES = gauge("causeway_cluster_services", &["cluster"],
        "Services with instances in a cluster, of those that tasks select");
    CLUSTER_QUEUED = gauge("causeway_cluster_queued_scopes", &["cluster"],
        "Services that are to be looked at in a cluster, now or at a later time");
    CLUSTER_WRITING = gauge("causeway_cluster_writing_scopes", &["cluster"], "Services that are being written in a cluster");
    CLUSTER_CARRIERS = gauge("causeway_cluster_carriers", &["cluster"],
        "Connections or sessions that hold copies of ours in a cluster");
}

#[cfg(test)]
mod tests;
