//! Services that are to be looked at again, each once however often it has changed.

use std::collections::BTreeSet;

use causeway_core::ServiceKey;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bounded by what is subscribed. For one consumer.
#[derive(Default)]
pub(in crate::nacos) struct PendingLooks {
    waiting: Mutex<BTreeSet<ServiceKey>>,
    added: Notify,
}

impl PendingLooks {
    pub fn add(&self, keys: impl IntoIterator<Item = ServiceKey>) {
        self.waiting.lock().extend(keys);
        self.added.notify_one();
    }

    pub fn remove(&self, key: &ServiceKey) {
        self.waiting.lock().remove(key);
    }

    /// The next one that waits, if any.
    pub fn take(&self) -> Option<ServiceKey> {
        self.waiting.lock().pop_first()
    }

    /// Waits for the next one. Dropping the future loses nothing.
    pub async fn next(&self) -> ServiceKey {
        loop {
            let added = self.added.notified();
            if let Some(key) = self.take() {
                return key;
            }
            added.await;
        }
    }
}
