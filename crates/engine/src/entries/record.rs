//! What the data engine tells the outside: its memory to keep, and events.

use super::spec::DataRoute;
use crate::event::Event;
use causeway_core::{Base, EntryKey, Intent};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;

/// What a task remembers: all that a later process needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataLedger {
    /// The last common version of each entry.
    pub bases: BTreeMap<EntryKey, Base>,
    /// Lots of writes that were about to be made, and of which it is not known whether they were.
    pub intents: BTreeMap<u64, Vec<Intent>>,
}

impl DataLedger {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.intents.is_empty()
    }
}

/// Keeps what the data engine must not forget. Calls never block and never fail: the database is not on the hot path.
///
/// What is handed over first must not be kept later than what is handed over next: a lot is forgotten only after the
/// bases that its writes have made.
pub trait DataRecorder: Send + Sync {
    /// The last common version of an entry; `None`: forget it.
    fn base(&self, route: &DataRoute, key: &EntryKey, base: Option<&Base>);

    /// A lot of writes that are about to be made; `None`: forget it.
    fn intents(&self, route: &DataRoute, lot: u64, intents: Option<&[Intent]>);

    /// Completes once everything that was handed over so far would survive the end of this process. A write waits for it
    /// for [`super::DataTiming::kept`], and no longer.
    fn kept(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Something happened.
    fn event(&self, event: Event);
}
