//! The node itself and its database.

use super::catalog as metric;
use super::family::Family;
use crate::node::Node;
use causeway_core::contained_panics;

pub(super) fn families(node: &Node) -> Vec<Family> {
    let mut build = Family::new(metric::BUILD);
    build.measure(&[env!("CARGO_PKG_VERSION")], 1.0);
    let mut panics = Family::new(metric::PANICS);
    panics.count(&[], contained_panics());
    let mut crashes = Family::new(metric::CRASHES);
    for (work, count) in [node.inner.engine.crash_counts(), node.inner.data.crash_counts()].concat() {
        crashes.count(&[work.as_str(), work.task(), work.cluster()], count);
    }
    let database = node.inner.writer.health();
    let mut lost = Family::new(metric::DATABASE_LOST);
    lost.count(&[], database.lost_events);
    let failing = database.problem.is_some() || database.failed.is_some();
    vec![
        build,
        Family::of(metric::READY, f64::from(node.ready().ready)),
        panics,
        crashes,
        Family::of(metric::DATABASE_BEHIND, database.behind.as_secs_f64()),
        Family::of(metric::DATABASE_RECORDS, database.waiting_records as f64),
        Family::of(metric::DATABASE_EVENTS, database.waiting_events as f64),
        lost,
        Family::of(metric::DATABASE_FAILING, f64::from(failing)),
    ]
}
