//! What connections need to go on with their sessions after a crash of this node: kept encrypted in the store.

use causeway_connectors::{Turn, Turns, Vault};
use causeway_core::ClusterId;
use causeway_store::Store;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Between two tries at a database that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// The kept sessions of all clusters. Clones share them.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Inner>);

struct Inner {
    store: Store,
    work: TaskTracker,
    known: Mutex<BTreeMap<ClusterId, Vec<u8>>>,
    turns: Mutex<BTreeMap<ClusterId, Turns>>,
}

impl Sessions {
    /// Reads what earlier runs kept for these clusters. What cannot be read is told and forgotten: a new session costs less
    /// than a node that does not start.
    pub async fn load(store: &Store, clusters: impl Iterator<Item = ClusterId>, work: &TaskTracker) -> Self {
        let mut known = BTreeMap::new();
        for cluster in clusters {
            match store.secret(&place(&cluster)).await {
                Ok(Some(text)) => drop(known.insert(cluster, hex::decode(text.expose_secret()).unwrap_or_default())),
                Ok(None) => {}
                Err(error) => tracing::warn!(%cluster, %error, "its session of the last run cannot be read"),
            }
        }
        Self(Arc::new(Inner {
            store: store.clone(),
            work: work.clone(),
            known: Mutex::new(known),
            turns: Mutex::default(),
        }))
    }

    /// The vault of one cluster.
    pub fn of(&self, cluster: &ClusterId) -> Arc<dyn Vault> {
        Arc::new(OneSession { sessions: self.clone(), cluster: cluster.clone() })
    }
}

/// The name that a cluster's session is kept under.
fn place(cluster: &ClusterId) -> String {
    format!("session/{cluster}")
}

struct OneSession {
    sessions: Sessions,
    cluster: ClusterId,
}

impl Vault for OneSession {
    fn load(&self) -> Option<Vec<u8>> {
        self.sessions.0.known.lock().get(&self.cluster).cloned()
    }

    fn turn(&self) -> Option<Turn> {
        Some(self.sessions.0.turns.lock().entry(self.cluster.clone()).or_default().take())
    }

    fn save(&self, bytes: Vec<u8>) {
        let inner = self.sessions.0.clone();
        inner.known.lock().insert(self.cluster.clone(), bytes.clone());
        let cluster = self.cluster.clone();
        self.sessions.0.work.spawn(async move {
            let secret = SecretString::from(hex::encode(&bytes));
            // A newer one has its own writer.
            while inner.known.lock().get(&cluster) == Some(&bytes) {
                match inner.store.put_secret(&place(&cluster), &secret).await {
                    Ok(()) => return,
                    Err(error) => tracing::debug!(%cluster, %error, "its session is not kept yet"),
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
}
