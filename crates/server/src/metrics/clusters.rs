//! Clusters in use.

use super::catalog as metric;
use super::family::Family;
use crate::node::Inner;
use causeway_core::{ClusterId, Fresh, Side};
use std::collections::BTreeMap;

pub(super) fn families(inner: &Inner) -> Vec<Family> {
    let desired = inner.desired();
    let mut up: BTreeMap<ClusterId, bool> = BTreeMap::new();
    let mut note = |id: &ClusterId, readable: bool| *up.entry(id.clone()).or_insert(true) &= readable;
    let mut namespaces = Family::new(metric::CLUSTER_NAMESPACES);
    let mut services = Family::new(metric::CLUSTER_SERVICES);
    let mut queued = Family::new(metric::CLUSTER_QUEUED);
    let mut writing = Family::new(metric::CLUSTER_WRITING);
    let mut carriers = Family::new(metric::CLUSTER_CARRIERS);
    for status in inner.engine.cluster_statuses() {
        let Some(readable) = status.readable else { continue };
        note(&status.id, readable);
        let name = &*status.name;
        for (fresh, count) in status.parts {
            namespaces.measure(&[name, word(fresh)], count as f64);
        }
        services.measure(&[name], status.services as f64);
        queued.measure(&[name], status.queued as f64);
        writing.measure(&[name], status.writing as f64);
        carriers.measure(&[name], status.carriers as f64);
    }
    for status in inner.data.status() {
        for side in Side::BOTH {
            let id = if side == Side::Left { &status.route.source } else { &status.route.destination };
            note(id, status.readable[side]);
        }
    }
    let mut reached = Family::new(metric::CLUSTER_UP);
    for entry in desired.clusters.values() {
        if let Some(up) = up.get(&entry.id) {
            reached.measure(&[&entry.name, &entry.settings.kind], f64::from(*up));
        }
    }
    vec![reached, namespaces, services, queued, writing, carriers]
}

fn word(fresh: Fresh) -> &'static str {
    match fresh {
        Fresh::Stale => "stale",
        Fresh::Settling => "settling",
        Fresh::Settled => "settled",
    }
}
