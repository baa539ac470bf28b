//! What the engine of services hands over to be kept: the ledger, and events.

use crate::event::Event;
use causeway_core::{ClusterId, OwnerId, ServiceKey, Written};
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;

/// Keeps what the engine must not forget. Calls never block and never fail: the database is not on the hot path.
pub trait Recorder: Send + Sync {
    /// The whole of what this install wrote into a scope; empty: forget it.
    fn ledger(&self, cluster: &ClusterId, scope: &ServiceKey, written: &Written);
    /// Completes once everything that was handed over so far would survive the end of this process. A write that has no other
    /// proof waits for it for [`crate::Timing::kept`], and no longer.
    fn kept(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// Something happened.
    fn event(&self, event: Event);
    /// The scopes that a task without automatic scanning is limited to, seen once when it began.
    fn only(&self, owner: &OwnerId, source: &ClusterId, scopes: &BTreeSet<ServiceKey>);
}
