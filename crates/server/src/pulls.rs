//! Tasks that copy changes at an interval, and not when they happen.
//!
//! Between two intervals such a task sleeps: its routes are paused, and its copies stay as they are.

use crate::desired::{RunState, TaskEntry};
use crate::node::Inner;
use causeway_engine::{RouteSpec, RouteState, RunState as EngineRun};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the tasks are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// A task that is in step is so at this many looks before it sleeps: what it was woken for is pending a moment later.
const LOOKS: u32 = 6;

/// When each task with an interval was woken last, and whether it sleeps.
#[derive(Default)]
pub(crate) struct Pulls(Mutex<BTreeMap<Arc<str>, Pull>>);

#[derive(Clone, Copy)]
struct Pull {
    woken: Instant,
    sleeps: bool,
    /// At how many looks it was in step since it was woken.
    in_step: u32,
}

impl Pulls {
    /// Whether a task waits for its next interval.
    pub fn sleeps(&self, task: &str) -> bool {
        self.0.lock().get(task).is_some_and(|pull| pull.sleeps)
    }

    /// Pauses the routes of tasks that sleep.
    pub fn pause(&self, routes: &mut [RouteSpec]) {
        let sleeping = self.0.lock();
        for route in routes.iter_mut().filter(|route| route.run == EngineRun::On) {
            if sleeping.get(&route.owner.task).is_some_and(|pull| pull.sleeps) {
                route.run = EngineRun::Paused;
            }
        }
    }
}

fn interval(task: &TaskEntry) -> Option<Duration> {
    (task.run == RunState::Running).then_some(())?;
    task.setup.as_ref().ok()?.settings.pull_interval
}

/// Wakes tasks when their intervals are over, and lets them sleep when they are in step.
pub(crate) async fn pull(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let desired = inner.desired();
        let tasks: BTreeMap<Arc<str>, Duration> =
            desired.tasks.values().filter_map(|task| Some((task.id.clone(), interval(task)?))).collect();
        if tasks.is_empty() && inner.pulls.0.lock().is_empty() {
            continue;
        }
        if inner.turn_pulls(&tasks) {
            let _edit = inner.edit.lock().await;
            inner.configure().await;
        }
    }
}

impl Inner {
    /// Whether a task was woken or has fallen asleep.
    fn turn_pulls(&self, tasks: &BTreeMap<Arc<str>, Duration>) -> bool {
        let is_awake = |task: &Arc<str>| !self.pulls.sleeps(task);
        // Nothing is asked while all sleep.
        let busy: BTreeSet<Arc<str>> = if tasks.keys().any(is_awake) {
            let is_done = |state| matches!(state, RouteState::InStep | RouteState::Held);
            let busy = self.engine.status().into_iter().filter(|route| !is_done(route.state) || route.pending > 0);
            busy.map(|route| route.owner.task).collect()
        } else {
            BTreeSet::new()
        };
        let mut pulls = self.pulls.0.lock();
        let before = pulls.len();
        // A task that does not sleep any more was changed, and runs.
        pulls.retain(|task, _| tasks.contains_key(task));
        let mut changed = pulls.len() != before;
        let now = Instant::now();
        for (task, interval) in tasks {
            let new = Pull { woken: now, sleeps: false, in_step: 0 };
            let pull = pulls.entry(task.clone()).or_insert(new);
            if pull.sleeps && now.duration_since(pull.woken) >= *interval {
                *pull = new;
                changed = true;
            } else if !pull.sleeps {
                pull.in_step = if busy.contains(task) { 0 } else { pull.in_step + 1 };
                if pull.in_step >= LOOKS {
                    pull.sleeps = true;
                    changed = true;
                }
            }
        }
        changed
    }
}
