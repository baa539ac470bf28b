//! Tasks, and each of their directions.

use super::catalog as metric;
use super::family::Family;
use crate::api::State;
use crate::desired::Desired;
use crate::node::Inner;
use causeway_core::Side;
use causeway_engine::{DataStatus, Hold, LeftAlone, RouteStatus, WriteMeter};
use std::collections::BTreeMap;
use std::sync::Arc;

const INSTANCE: &str = "instance";
const ENTRY: &str = "entry";

pub(super) fn families(inner: &Inner) -> Vec<Family> {
    let desired = inner.desired();
    let (routes, data) = (inner.statuses(), inner.data.status());
    let mut all = Families::default();
    for task in inner.task_views(&desired, &routes, &data) {
        let name = &*task.name;
        all.info.measure(&[name, &task.source, &task.destination, &task.kind, &task.mode], 1.0);
        for state in State::ALL {
            all.state.measure(&[name, state.as_str()], f64::from(state == task.state));
        }
        all.conflicts.measure(&[name], task.conflicts as f64);
    }
    // What is being taken down may not be in the settings any more.
    let name = |id: &str| desired.tasks.values().find(|task| *task.id == *id).map(|task| task.name.clone());
    for status in &routes {
        if let Some(task) = name(&status.owner.task) {
            all.route(&task, &desired.cluster_name(&status.destination), status);
        }
    }
    for status in &data {
        if let Some(task) = name(&status.route.owner.task) {
            all.entries(&desired, &task, status);
        }
    }
    for cluster in inner.engine.cluster_statuses() {
        all.writes("", &cluster.name, INSTANCE, &cluster.meter, true);
    }
    all.list()
}

/// What there is for each task.
struct Families {
    info: Family,
    state: Family,
    conflicts: Family,
    records: Family,
    services: Family,
    pending: Family,
    pending_scopes: Family,
    lag: Family,
    held: Family,
    hold: Family,
    skipped: Family,
    writes: Family,
    latency: Family,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            info: Family::new(metric::TASK),
            state: Family::new(metric::TASK_STATE),
            conflicts: Family::new(metric::CONFLICTS),
            records: Family::new(metric::RECORDS),
            services: Family::new(metric::SERVICES),
            pending: Family::new(metric::PENDING),
            pending_scopes: Family::new(metric::PENDING_SCOPES),
            lag: Family::new(metric::LAG),
            held: Family::new(metric::HELD),
            hold: Family::new(metric::HOLD),
            skipped: Family::new(metric::SKIPPED),
            writes: Family::new(metric::WRITES),
            latency: Family::new(metric::LATENCY),
        }
    }
}

impl Families {
    fn route(&mut self, task: &str, cluster: &str, status: &RouteStatus) {
        let way = [task, cluster, INSTANCE];
        self.records.measure(&way, status.instances as f64);
        self.services.measure(&way[..2], status.services as f64);
        self.pending.measure(&way, status.pending as f64);
        self.pending_scopes.measure(&way[..2], status.pending_scopes as f64);
        self.lag.measure(&way, status.lag.as_secs_f64());
        self.guard(&way, status.held, status.hold.as_ref());
        self.skips(task, cluster, &status.skipped);
        self.writes(task, cluster, INSTANCE, &status.meter, false);
        self.latency.latency(&way, status.meter.clone());
    }

    fn entries(&mut self, desired: &Desired, task: &str, status: &DataStatus) {
        for side in Side::BOTH {
            let id = if side == Side::Left { &status.route.source } else { &status.route.destination };
            let cluster = desired.cluster_name(id);
            let way = [task, &cluster, ENTRY];
            self.records.measure(&way, status.here[side] as f64);
            self.lag.measure(&way, status.lag[side].as_secs_f64());
            self.guard(&way, status.held[side], status.holds[side].as_ref());
            self.writes(task, &cluster, ENTRY, &status.meters[side], false);
            self.latency.latency(&way, status.meters[side].clone());
            if side == Side::Right {
                self.pending.measure(&way, status.pending as f64);
                self.skips(task, &cluster, &status.skipped);
            }
        }
    }

    fn guard(&mut self, way: &[&str], held: usize, hold: Option<&Hold>) {
        self.held.measure(way, held as f64);
        self.hold.measure(way, hold.map_or(0.0, |hold| hold.age.as_secs_f64()));
    }

    fn skips(&mut self, task: &str, cluster: &str, skipped: &BTreeMap<LeftAlone, usize>) {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (reason, count) in skipped {
            *counts.entry(reason.code()).or_default() += count;
        }
        for (code, count) in counts {
            self.skipped.measure(&[task, cluster, code], count as f64);
        }
    }

    /// `made`: only what there was.
    fn writes(&mut self, task: &str, cluster: &str, kind: &str, meter: &Arc<WriteMeter>, made: bool) {
        for (write, outcome, count) in meter.writes().filter(|(_, _, count)| !made || *count > 0) {
            self.writes.count(&[task, cluster, kind, write.as_str(), outcome.as_str()], count);
        }
    }

    fn list(self) -> Vec<Family> {
        vec![
            self.info,
            self.state,
            self.conflicts,
            self.records,
            self.services,
            self.pending,
            self.pending_scopes,
            self.lag,
            self.held,
            self.hold,
            self.skipped,
            self.writes,
            self.latency,
        ]
    }
}
