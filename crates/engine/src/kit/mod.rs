//! What services and entries have in common: calls, pace, queues, guards, supervision.

pub(crate) mod call;
pub(crate) mod guard;
pub(crate) mod pace;
pub(crate) mod queue;
pub(crate) mod supervise;
