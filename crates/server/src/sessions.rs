//! What connections need to go on with their sessions after a crash of this node: kept encrypted in the store.

use causeway_connectors::{Turn, Turns, Vault, keep_running};
use causeway_core::ClusterId;
use causeway_store::Store;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Between two tries at a database that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// The kept sessions of all clusters. Clones share them.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Inner>);

struct Inner {
    store: Store,
    work: TaskTracker,
    known: watch::Sender<BTreeMap<ClusterId, KeptSession>>,
    turns: Mutex<BTreeMap<ClusterId, Turns>>,
    /// One write at a time: an older one must not come last.
    writing: tokio::sync::Mutex<()>,
}

/// What one connection needs, and whether the store has it.
struct KeptSession {
    bytes: Vec<u8>,
    stored: bool,
}

impl Sessions {
    /// Reads what earlier runs kept for these clusters. What cannot be read is logged and dropped: a new session
    /// costs less than a node that does not start.
    pub async fn load(store: &Store, clusters: impl Iterator<Item = ClusterId>, work: &TaskTracker) -> Self {
        let mut known = BTreeMap::new();
        for cluster in clusters {
            match store.secret(&place(&cluster)).await {
                Ok(Some(text)) => {
                    let bytes = hex::decode(text.expose_secret()).unwrap_or_default();
                    known.insert(cluster, KeptSession { bytes, stored: true });
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%cluster, %error, "its session of the last run cannot be read"),
            }
        }
        let (store, work, known) = (store.clone(), work.clone(), watch::Sender::new(known));
        let (turns, writing) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { store, work, known, turns, writing }))
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
        self.sessions.0.known.borrow().get(&self.cluster).map(|kept| kept.bytes.clone())
    }

    fn save(&self, bytes: Vec<u8>) {
        let (inner, cluster) = (self.sessions.0.clone(), self.cluster.clone());
        inner.known.send_modify(|known| {
            known.insert(cluster.clone(), KeptSession { bytes: bytes.clone(), stored: false });
        });
        let write = move || inner.clone().write(cluster.clone(), bytes.clone());
        self.sessions.0.work.spawn(async move { keep_running("keeping a session in the store", write, drop).await });
    }

    fn kept(&self) -> BoxFuture<'_, ()> {
        let mut known = self.sessions.0.known.subscribe();
        async move {
            let stored = |known: &BTreeMap<_, KeptSession>| known.get(&self.cluster).is_none_or(|kept| kept.stored);
            // The sender is ours: it does not end.
            drop(known.wait_for(stored).await);
        }
        .boxed()
    }

    fn turn(&self) -> Option<Turn> {
        Some(self.sessions.0.turns.lock().entry(self.cluster.clone()).or_default().take())
    }
}

impl Inner {
    /// Writes what one connection needs, as long as that is the latest.
    async fn write(self: Arc<Self>, cluster: ClusterId, bytes: Vec<u8>) {
        let secret = SecretString::from(hex::encode(&bytes));
        let still = |known: &BTreeMap<_, KeptSession>| known.get(&cluster).is_some_and(|kept| kept.bytes == bytes);
        loop {
            let one = self.writing.lock().await;
            // A newer one has its own writer.
            if !still(&self.known.borrow()) {
                return;
            }
            match self.store.put_secret(&place(&cluster), &secret).await {
                Ok(()) => return self.stored(&cluster, &bytes),
                Err(error) => tracing::debug!(%cluster, %error, "its session is not kept yet"),
            }
            drop(one);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The store has what was saved for a cluster, unless that was something newer.
    fn stored(&self, cluster: &ClusterId, bytes: &[u8]) {
        self.known.send_modify(|known| {
            if let Some(kept) = known.get_mut(cluster).filter(|kept| kept.bytes == bytes) {
                kept.stored = true;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_found_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(folder.path(), None).await.unwrap();
        let (work, id) = (TaskTracker::new(), ClusterId::of("c"));
        let load = || Sessions::load(&store, std::iter::once(id.clone()), &work);
        let vault = load().await.of(&id);
        assert_eq!(vault.load(), None);
        vault.kept().await;
        for n in 0..50 {
            (0..4).for_each(|m| vault.save(vec![n, m]));
            vault.kept().await;
            assert_eq!(load().await.of(&id).load(), Some(vec![n, 3]));
        }
    }
}
