//! Taking over what earlier processes of this install wrote: until it is done their connections must stay open.

use crate::services::cluster::ActiveCluster;
use crate::services::engine::{Engine, RunningCluster};
use causeway_core::contain;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How much longer taking over may take for every record: servers on a busy machine accept some hundred a second.
const ADOPT_RECORD: Duration = Duration::from_millis(10);

impl Engine {
    /// Waits until everything that earlier processes wrote is kept alive by this one, and every server of a cluster knows it;
    /// says whether it is. Gives up after `limit`, and later ([`ADOPT_RECORD`]) for a cluster that answers and has much to
    /// take over.
    /// That is more than the ledger: what stands there as ours and the ledger had not yet heard of is taken over when the
    /// destination has been read and planned once.
    pub async fn adopted(&self, limit: Duration) -> bool {
        let began = Instant::now();
        let writing: Vec<_> = {
            let state = self.state.lock();
            let used = |running: &&RunningCluster| running.cluster.writing.load(Ordering::SeqCst);
            let cluster = |running: &RunningCluster| {
                (running.cluster.clone(), adoption(limit, running.cluster.ledger.lock().total()))
            };
            state.clusters.values().filter(used).map(cluster).collect()
        };
        let one = |(cluster, long): &(Arc<ActiveCluster>, Duration)| taken_over(cluster.clone(), began, limit, *long);
        join_all(writing.iter().map(one)).await.into_iter().all(|whole| whole)
    }
}

/// Waits until a cluster's present connection keeps alive what earlier ones did, and all its servers know: for `long`, and only
/// for `limit` while it does not answer.
async fn taken_over(cluster: Arc<ActiveCluster>, began: Instant, limit: Duration, long: Duration) -> bool {
    while !cluster.adopted.load(Ordering::SeqCst) || !planned_once(&cluster) {
        let answers = cluster.mirror.lock().error.is_none();
        if began.elapsed() >= if answers { long } else { limit } {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    match cluster.sink.clone() {
        Some(sink) => tokio::time::timeout_at(began + long, contain(sink.replicated())).await.is_ok(),
        None => true,
    }
}

/// How long taking over so many records may take, where none may take `limit`.
pub(crate) fn adoption(limit: Duration, records: usize) -> Duration {
    limit + ADOPT_RECORD * u32::try_from(records).unwrap_or(u32::MAX)
}

/// Whether a destination has been read, and nothing is due or being written in it. One that is away holds nothing.
pub(super) fn planned_once(cluster: &ActiveCluster) -> bool {
    let written = cluster.written_parts.read().clone();
    let read = {
        let mirror = cluster.mirror.lock();
        let ready =
            written.iter().all(|part| mirror.part(part).is_some_and(|state| state.ready() || state.error.is_some()));
        mirror.error.is_some() || (ready && !mirror.parts().is_empty())
    };
    read && cluster.is_idle(Instant::now())
}
