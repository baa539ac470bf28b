//! What services and entries have in common: calls, pace, queues, freshness, guards, supervision, meters, traces.

pub(crate) mod call;
pub(crate) mod freshness;
pub(crate) mod guard;
pub(crate) mod meter;
pub(crate) mod pace;
pub(crate) mod queue;
pub(crate) mod set_map;
pub(crate) mod spans;
pub(crate) mod supervise;
pub(crate) mod timetable;
pub(crate) mod travel;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::time::Instant;

/// Frees most of the memory of a queue that was much longer once.
pub(crate) fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 4 * queue.len().max(256) {
        queue.shrink_to(2 * queue.len());
    }
}

/// The wait before the next try: the first wait at first, twice as long after every further failure, up to the longest.
pub(crate) fn backoff((first, longest): (Duration, Duration), failures: u32) -> Duration {
    (first * 2u32.saturating_pow(failures.min(16))).min(longest)
}

/// The earliest of these times.
pub(crate) fn earliest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}

/// Names a value for as long as this process runs.
pub(crate) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
