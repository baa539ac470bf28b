//! Keeping alive what an earlier process wrote, before anything else is written.

use super::ClusterWriter;
use crate::kit::call::call;
use crate::services::takeover::adoption;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// It may take this long; longer by its size.
const ADOPT: Duration = Duration::from_secs(30);

impl ClusterWriter {
    pub(super) async fn adopt(&self) {
        // A writer before this one has done so.
        if self.cluster.adopted.load(Ordering::SeqCst) {
            return;
        }
        let owned: Vec<_> = {
            let ledger = self.cluster.ledger.lock();
            ledger.iter().map(|(scope, written)| (scope.clone(), (**written).clone())).collect()
        };
        if !owned.is_empty() {
            let parts: BTreeSet<_> = owned.iter().map(|(scope, _)| scope.part()).collect();
            self.cluster.writes_in(parts);
            let cluster = &self.cluster.spec.name;
            let limit = adoption(ADOPT, self.cluster.ledger.lock().total());
            match call(limit, async { self.sink.adopt(&owned).await }).await {
                Ok(()) => tracing::info!(%cluster, scopes = owned.len(), "keeps alive what was written before"),
                Err(error) => tracing::warn!(%cluster, %error, "cannot keep alive what was written before yet"),
            }
        }
        self.cluster.adopted.store(true, Ordering::SeqCst);
    }
}
