//! What a subscriber was told, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::record::Instance;

/// The oldest events go beyond this.
const KEPT: usize = 10_000;

/// One event: the whole list as the subscriber has it from then on.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Milliseconds since 1970, by the subscriber's clock.
    pub at: u64,
    pub instances: Vec<Instance>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    seen: Mutex<VecDeque<Seen>>,
    grown: Notify,
}

impl Log {
    pub fn add(&self, said: &Value) {
        let instances = serde_json::from_value(said["hosts"].clone()).unwrap_or_default();
        let at = said["at"].as_u64().unwrap_or_default();
        let mut seen = self.seen.lock();
        if seen.len() == KEPT {
            seen.pop_front();
        }
        seen.push_back(Seen { at, instances });
        drop(seen);
        self.grown.notify_waiters();
    }
}

/// One client's subscription to one service.
#[derive(Debug, Clone)]
pub struct Subscription {
    log: Arc<Log>,
}

impl Subscription {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self { log }
    }

    /// All events so far (the last 10,000).
    pub fn events(&self) -> Vec<Seen> {
        self.log.seen.lock().iter().cloned().collect()
    }

    /// The list as the subscriber has it now; `None` before the first event.
    pub fn latest(&self) -> Option<Vec<Instance>> {
        self.log.seen.lock().back().map(|seen| seen.instances.clone())
    }

    /// Forgets the events so far, except the latest list.
    pub fn forget(&self) {
        let mut seen = self.log.seen.lock();
        let old = seen.len().saturating_sub(1);
        seen.drain(..old);
    }

    /// Waits until the latest list passes `test`, and gives it. The error shows the list that did not.
    pub async fn wait(&self, limit: Duration, test: impl Fn(&[Instance]) -> bool) -> Result<Vec<Instance>> {
        let look = async {
            loop {
                let grown = self.log.grown.notified();
                if let Some(list) = self.latest().filter(|list| test(list)) {
                    return list;
                }
                grown.await;
            }
        };
        match timeout(limit, look).await {
            Ok(list) => Ok(list),
            Err(_) => bail!("the subscriber did not see it within {limit:?}; it has {:?}", self.latest()),
        }
    }
}
