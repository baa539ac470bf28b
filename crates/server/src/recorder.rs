//! Hands what the engine must not forget to the store's writer, which never waits.

use crate::documents::Tally;
use causeway_core::{ClusterId, OwnerId, Reason, ServiceKey, Written};
use causeway_engine::{Action, Event, Ledger, Recorder};
use causeway_store::{self as store, LedgerRow, Writer};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The scopes that a route is limited to, by its task's id and its source.
pub(crate) type Frozen = BTreeMap<(Arc<str>, ClusterId), Arc<BTreeSet<ServiceKey>>>;

/// The engines themselves wait for less.
const FLUSH: Duration = Duration::from_secs(30);

/// What both engines remember and tell goes through it.
pub(crate) struct Scribe {
    pub writer: Writer,
    /// Lists that were made and are not kept yet.
    frozen: Mutex<Frozen>,
    pub froze: Notify,
    /// How many writes there were and how many failed, for reports.
    pub tally: Tally,
}

impl Scribe {
    pub fn new(writer: Writer) -> Self {
        Self { writer, frozen: Mutex::default(), froze: Notify::new(), tally: Tally::default() }
    }

    /// Lists that were made since the last call.
    pub fn take_frozen(&self) -> Frozen {
        std::mem::take(&mut *self.frozen.lock())
    }

    /// Takes back lists that could not be kept; newer ones win.
    pub fn put_back(&self, frozen: Frozen) {
        let mut waiting = self.frozen.lock();
        for (key, scopes) in frozen {
            waiting.entry(key).or_insert(scopes);
        }
    }

    /// What an operator did to a task; an empty name for the settings as a whole.
    pub fn operator(&self, task: &str, action: &'static str, reason: Reason) {
        self.writer.event(store::Event { task: task.to_owned(), ..store::Event::now(action, reason) });
    }

    /// Adds what an engine tells to the history.
    pub fn record(&self, event: Event) {
        match event.action {
            Action::Created | Action::Adopted | Action::Updated | Action::Deleted => {
                self.tally.add(&event.cluster, true)
            }
            Action::Failed => self.tally.add(&event.cluster, false),
            Action::Skipped | Action::Held | Action::Released | Action::Conflict => {}
        }
        let Event { task, cluster, scope, record, action, reason } = event;
        let (task, cluster) = (task.to_string(), cluster.to_string());
        self.writer.event(store::Event { task, cluster, scope, record, ..store::Event::now(action.as_str(), reason) });
    }

    /// Completes once everything that was handed over so far is written.
    pub fn written(&self) -> BoxFuture<'_, ()> {
        self.writer.flush(FLUSH).map(drop).boxed()
    }
}

impl Recorder for Scribe {
    fn ledger(&self, cluster: &ClusterId, scope: &ServiceKey, written: &Written) {
        let document = match written.is_empty() {
            true => Ok(None),
            false => serde_json::to_string(written).map(Some),
        };
        match (serde_json::to_string(scope), document) {
            (Ok(scope), Ok(document)) => self.writer.ledger(cluster.as_str(), scope, document),
            (Err(error), _) | (_, Err(error)) => tracing::error!(%scope, %error, "cannot be kept in the ledger"),
        }
    }

    fn kept(&self) -> BoxFuture<'_, ()> {
        self.written()
    }

    fn event(&self, event: Event) {
        self.record(event);
    }

    fn only(&self, owner: &OwnerId, source: &ClusterId, scopes: &BTreeSet<ServiceKey>) {
        self.frozen.lock().insert((owner.task.clone(), source.clone()), Arc::new(scopes.clone()));
        self.froze.notify_one();
    }
}

/// What earlier processes wrote, in the engine's form. Rows that cannot be read are left out: marks still prove those copies.
pub(crate) fn ledgers(entries: Vec<LedgerRow>) -> BTreeMap<ClusterId, Ledger> {
    let mut ledgers: BTreeMap<ClusterId, Ledger> = BTreeMap::new();
    for entry in entries {
        let scope = serde_json::from_str::<ServiceKey>(&entry.scope);
        let written = serde_json::from_str::<Written>(entry.document.as_deref().unwrap_or_default());
        match (scope, written) {
            (Ok(scope), Ok(written)) => {
                ledgers.entry(ClusterId::from_text(&entry.route)).or_default().insert(scope, Arc::new(written));
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(scope = %entry.scope, %error, "an entry of the ledger cannot be read");
            }
        }
    }
    ledgers
}
