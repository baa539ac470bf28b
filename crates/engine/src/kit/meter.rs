//! What is counted of one task's writes to one cluster: by kind and outcome, and how long changes took to get there.

use causeway_core::Error;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency histogram, in seconds.
const SECONDS: [f64; 11] = [0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What kind of change was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// A copy or an entry was made.
    Create,
    /// A copy that stood there was taken over.
    Adopt,
    /// A copy or an entry was changed.
    Update,
    /// A copy or an entry was removed.
    Delete,
    /// A copy that backs an identical record of somebody else was made.
    Shadow,
    /// An operator's override was written back to where the record comes from.
    Edit,
    /// What belongs to a service itself was changed.
    Attributes,
}

impl WriteKind {
    /// Each kind, in order.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Adopt, Self::Update, Self::Delete, Self::Shadow, Self::Edit, Self::Attributes];

    /// Its word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Shadow => "shadow",
            Self::Edit => "edit",
            Self::Attributes => "attributes",
        }
    }
}

/// What became of a write: accepted, or one of the errors of [`causeway_core::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The cluster has taken it.
    Accepted,
    /// No answer, or none in time.
    Unavailable,
    /// The cluster wants us to wait.
    Throttled,
    /// Somebody else was quicker.
    Conflict,
    /// Not allowed.
    Denied,
    /// What was written to does not exist.
    Missing,
    /// It cannot be held as it is.
    Rejected,
    /// It cannot be held for now.
    Blocked,
    /// The answer was not understood.
    Protocol,
}

impl WriteOutcome {
    /// Each outcome, in order.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Unavailable,
        Self::Throttled,
        Self::Conflict,
        Self::Denied,
        Self::Missing,
        Self::Rejected,
        Self::Blocked,
        Self::Protocol,
    ];

    /// Its word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Rejected => "rejected",
            Self::Blocked => "blocked",
            Self::Protocol => "protocol",
        }
    }

    pub(crate) fn of<T>(answer: &Result<T, Error>) -> Self {
        match answer {
            Ok(_) => Self::Accepted,
            Err(Error::Unavailable(_)) => Self::Unavailable,
            Err(Error::Throttled(_)) => Self::Throttled,
            Err(Error::Conflict) => Self::Conflict,
            Err(Error::Denied(_)) => Self::Denied,
            Err(Error::Missing(_)) => Self::Missing,
            Err(Error::Rejected(_)) => Self::Rejected,
            Err(Error::Blocked(_)) => Self::Blocked,
            Err(Error::Protocol(_)) => Self::Protocol,
        }
    }
}

/// Counts since this process started, or since the task has had this source and destination. Counting never waits and
/// allocates nothing.
#[derive(Debug)]
pub struct WriteMeter {
    writes: [[AtomicU64; WriteOutcome::ALL.len()]; WriteKind::ALL.len()],
    latency: Histogram,
}

impl Default for WriteMeter {
    fn default() -> Self {
        Self { writes: Default::default(), latency: Histogram::new(SECONDS) }
    }
}

impl WriteMeter {
    /// The writes of each kind by their outcome: those that were accepted, and others where there are any.
    pub fn writes(&self) -> impl Iterator<Item = (WriteKind, WriteOutcome, u64)> {
        let counts = WriteKind::ALL.into_iter().zip(&self.writes);
        let counts = counts.flat_map(|(kind, counts)| {
            WriteOutcome::ALL.into_iter().zip(counts).map(move |(outcome, count)| (kind, outcome, count))
        });
        let counts = counts.map(|(kind, outcome, count)| (kind, outcome, count.load(Ordering::Relaxed)));
        counts.filter(|(_, outcome, count)| *count > 0 || *outcome == WriteOutcome::Accepted)
    }

    /// Seconds from the moment at which the source told of a change until the destination had accepted it, one sample for each
    /// scope or entry that was written.
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    pub(crate) fn wrote(&self, kind: WriteKind, outcome: WriteOutcome) {
        self.writes[kind as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn arrived(&self, after: Duration) {
        self.latency.observe(after.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_and_outcome_has_its_own_count() {
        let meter = WriteMeter::default();
        for (n, kind) in WriteKind::ALL.into_iter().enumerate() {
            for (m, outcome) in WriteOutcome::ALL.into_iter().enumerate() {
                assert_eq!((kind as usize, outcome as usize), (n, m));
                (0..n + m).for_each(|_| meter.wrote(kind, outcome));
            }
        }
        for (kind, outcome, count) in meter.writes() {
            assert_eq!(count, kind as u64 + outcome as u64, "{kind:?} {outcome:?}");
        }
        assert_eq!(meter.writes().count(), 7 * 9);
        assert_eq!(WriteMeter::default().writes().count(), 7, "what was accepted is told from the start");
    }
}
