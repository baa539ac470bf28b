//! What services and entries have in common: calls, pace, queues, guards, supervision.

pub(crate) mod call;
pub(crate) mod guard;
pub(crate) mod pace;
pub(crate) mod queue;
pub(crate) mod supervise;

use std::collections::VecDeque;

/// Frees most of the memory of a queue that was much longer once.
pub(crate) fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 4 * queue.len().max(256) {
        queue.shrink_to(2 * queue.len());
    }
}
