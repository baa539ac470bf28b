//! What the engine shows of its clusters as a whole.

use crate::kit::meter::WriteMeter;
use crate::notice::EngineWork;
use crate::services::cluster::ActiveCluster;
use crate::services::engine::Engine;
use causeway_core::{ClusterId, Fresh};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// One cluster in use, as it stands now. Making it takes time with the number of namespaces, not with that of services.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// The cluster.
    pub id: ClusterId,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it can be read: it has been, and neither it nor any of its namespaces has failed since. `None` where no task copies
    /// services from or to it.
    pub readable: Option<bool>,
    /// Namespaces that cannot be read now, that have not been connected for long enough to believe what is missing, and that have.
    pub parts: [(Fresh, usize); 3],
    /// Services with instances that it holds, of those that tasks select.
    pub services: usize,
    /// Services that are to be looked at, now or at a later time.
    pub queued: usize,
    /// Services that are being written.
    pub writing: usize,
    /// Connections or sessions that hold our copies there.
    pub carriers: usize,
    /// Writes here that are no task's.
    pub meter: Arc<WriteMeter>,
}

impl Engine {
    /// Every cluster in use, in the order of their ids.
    pub fn cluster_statuses(&self) -> Vec<ClusterStatus> {
        let clusters: Vec<_> = self.state.lock().clusters.values().map(|running| running.cluster.clone()).collect();
        let now = Instant::now();
        clusters.iter().map(|cluster| status(cluster, now)).collect()
    }

    /// How often work inside the engine has panicked since it was started; work that never did is in it, too.
    pub fn crash_counts(&self) -> Vec<(EngineWork, u64)> {
        let state = self.state.lock();
        let clusters = state.clusters.values().flat_map(|running| running.cluster.crashes.counts());
        self.crashes.counts().into_iter().chain(clusters).collect()
    }
}

fn status(cluster: &ActiveCluster, now: Instant) -> ClusterStatus {
    let outbound = cluster.outbound.read().clone();
    let settle = outbound.iter().map(|route| route.spec.settle).max().unwrap_or_default();
    let used = !outbound.is_empty() || !cluster.inbound.read().is_empty();
    let (readable, parts, services) = {
        let mirror = cluster.mirror.lock();
        let at = |fresh: Fresh| {
            let is_so = |state: &&crate::services::mirror::PartState| state.freshness.at(settle, now) == fresh;
            (fresh, mirror.parts().values().filter(is_so).count())
        };
        let parts = [Fresh::Stale, Fresh::Settling, Fresh::Settled].map(at);
        let failed = mirror.error.is_some() || mirror.parts().values().any(|state| state.error.is_some());
        let services = mirror.parts().values().map(|state| state.filled()).sum();
        (!failed && !mirror.parts().is_empty(), parts, services)
    };
    ClusterStatus {
        id: cluster.id().clone(),
        name: cluster.spec.name.clone(),
        readable: used.then_some(readable),
        parts,
        services,
        queued: cluster.queue.len(),
        writing: cluster.writes.load(Ordering::SeqCst),
        carriers: cluster.sink.as_ref().map_or(0, |sink| sink.carriers().len()),
        meter: cluster.meter.clone(),
    }
}
