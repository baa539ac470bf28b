//! The words of a status that services and entries share.

use causeway_core::HoldReason;
use std::time::Duration;

/// How a route is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteState {
    /// Everything that it wants stands in its destination.
    InStep,
    /// It is writing, or its source has not been read whole yet.
    Syncing,
    /// A guard holds removals.
    Held,
    /// A cluster cannot be read or written.
    Failing,
    /// The operator has paused it.
    Paused,
    /// It takes back what it wrote.
    Draining,
    /// It has taken back all that it wrote.
    Drained,
}

/// Why removals are held, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Why.
    pub why: HoldReason,
    /// How long ago it began.
    pub age: Duration,
}
