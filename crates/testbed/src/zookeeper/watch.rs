//! What a client was told, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

/// The oldest events go beyond this.
const KEPT: usize = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZkEvent {
    /// Of a watch: `NodeCreated`, `NodeDeleted`, `NodeDataChanged`. Of a Curator cache: `NODE_CREATED`, `NODE_CHANGED`,
    /// `NODE_DELETED`, `INITIALIZED`. Of a session, and of a watch for its session: `SyncConnected`, `Disconnected`,
    /// `Expired`, `AuthFailed`, `Closed`.
    pub kind: String,
    /// Empty in a session's event.
    pub path: String,
    /// The change's transaction; -1 where the server did not say it.
    pub zxid: i64,
    /// Milliseconds since 1970, by the client's clock.
    pub at: u64,
    /// The node's data as base64, from a Curator cache only.
    pub data: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    seen: Mutex<VecDeque<ZkEvent>>,
    grown: Notify,
}

impl Log {
    pub fn add(&self, said: &Value) {
        let text = |key: &str| said[key].as_str().map(str::to_string);
        let event = ZkEvent {
            kind: text("type").unwrap_or_default(),
            path: text("path").unwrap_or_default(),
            zxid: said["zxid"].as_i64().unwrap_or(-1),
            at: said["at"].as_u64().unwrap_or_default(),
            data: text("data"),
        };
        let mut seen = self.seen.lock();
        if seen.len() == KEPT {
            seen.pop_front();
        }
        seen.push_back(event);
        drop(seen);
        self.grown.notify_waiters();
    }
}

/// One client's watch on a tree, its Curator cache of one, or its session.
#[derive(Debug, Clone)]
pub struct ZkWatch {
    log: Arc<Log>,
}

impl ZkWatch {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self { log }
    }

    /// All events so far (the last 200,000).
    pub fn events(&self) -> Vec<ZkEvent> {
        self.log.seen.lock().iter().cloned().collect()
    }

    pub fn forget(&self) {
        self.log.seen.lock().clear();
    }

    /// Waits until the events pass `test`, and gives them.
    pub async fn wait(&self, limit: Duration, test: impl Fn(&[ZkEvent]) -> bool) -> Result<Vec<ZkEvent>> {
        let look = async {
            loop {
                let grown = self.log.grown.notified();
                let events = self.events();
                if test(&events) {
                    return events;
                }
                grown.await;
            }
        };
        match timeout(limit, look).await {
            Ok(events) => Ok(events),
            Err(_) => {
                let events = self.events();
                let last = &events[events.len().saturating_sub(20)..];
                bail!("not told within {limit:?}; {} events, the last: {last:?}", events.len())
            }
        }
    }
}
