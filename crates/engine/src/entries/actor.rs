//! One task at work: it watches both sides, and does what its state says.

use super::job::{JobDone, JobTools, ReadJob, WriteJob};
use super::record::DataRecorder;
use super::spec::{DataSpec, DataTiming};
use super::state::TaskState;
use crate::kit::hash;
use crate::kit::pace::Pacer;
use crate::kit::supervise::Crashes;
use crate::spec::RunState;
use causeway_core::{DataSelector, EntryKey, EntryUpdate, Lost, Pair, Side, contain_now};
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often guards are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long an engine that stops waits for what is under way. What is not known by then stands in the ledger.
const END: Duration = Duration::from_secs(2);

/// What the engine and a task's actor share.
pub(crate) struct TaskShared {
    pub state: Mutex<TaskState>,
    pub wake: Notify,
    /// Its actor, where it has panicked and does not work again yet.
    pub crashes: Crashes,
}

pub(crate) struct Actor {
    shared: Arc<TaskShared>,
    tools: Arc<JobTools>,
    select: DataSelector,
    jobs: JoinSet<JobDone>,
    /// Which entries each job is about: one that breaks off must not keep them.
    about: HashMap<Id, Vec<EntryKey>>,
}

impl Actor {
    pub fn new(
        shared: Arc<TaskShared>,
        spec: &DataSpec,
        pacers: Pair<Arc<Pacer>>,
        timing: DataTiming,
        recorder: Arc<dyn DataRecorder>,
    ) -> Self {
        let ports = Pair::of(|side| spec.cluster(side).port.clone());
        let clusters = Pair::of(|side| spec.cluster(side).name.clone());
        let tools = Arc::new(JobTools { ports, pacers, recorder, timing, task: spec.task.clone(), clusters });
        let select = shared.state.lock().spec.select.clone();
        Self { shared, tools, select, jobs: JoinSet::new(), about: HashMap::new() }
    }

    /// Works until `stop`, and ends what is under way. When all ends (`end`), it does not wait long for that.
    pub async fn run(mut self, stop: CancellationToken, end: CancellationToken) {
        let mut news = self.watch();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = self.next_sweep();
        while !stop.is_cancelled() {
            let due = self.start_jobs();
            tokio::select! {
                () = stop.cancelled() => {}
                Some((side, item)) = news.next() => self.shared.state.lock().take_update(side, item, Instant::now()),
                Some(done) = self.jobs.join_next_with_id() => self.done(done, true),
                () = self.shared.wake.notified() => {}
                _ = tick.tick() => self.shared.state.lock().watch_guards(Instant::now()),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = tokio::time::sleep_until(sweep.unwrap_or_else(Instant::now)), if sweep.is_some() => {
                    self.sweep();
                    sweep = self.next_sweep();
                }
            }
        }
        drop(news);
        let late = async {
            end.cancelled().await;
            tokio::time::sleep(END).await;
        };
        let mut late = std::pin::pin!(late);
        // What is under way ends, so that its end is known.
        loop {
            tokio::select! {
                done = self.jobs.join_next_with_id() => match done {
                    Some(done) => self.done(done, false),
                    None => return,
                },
                () = &mut late => return,
            }
        }
    }

    fn watch(&self) -> BoxStream<'static, (Side, Result<EntryUpdate, Lost>)> {
        let [left, right] = Side::BOTH.map(|side| {
            let news = self.tools.ports[side].source().watch(&self.select);
            news.map(move |item| (side, item))
        });
        stream::select(left, right).boxed()
    }

    /// Begins what is to be begun; returns when there will be more.
    fn start_jobs(&mut self) -> Option<Instant> {
        let (jobs, due) = {
            let mut state = self.shared.state.lock();
            let now = Instant::now();
            let jobs = state.next_jobs(now);
            (jobs, state.due(now))
        };
        jobs.into_iter().for_each(|job| self.read(job));
        due
    }

    fn read(&mut self, job: ReadJob) {
        let about = job.keys.iter().map(|(key, _)| key.clone()).collect();
        let id = self.jobs.spawn(self.tools.clone().read(job)).id();
        self.about.insert(id, about);
    }

    fn write(&mut self, job: WriteJob) {
        let about = job.planned.iter().map(|planned| planned.key().clone()).collect();
        let id = self.jobs.spawn(self.tools.clone().write(job)).id();
        self.about.insert(id, about);
    }

    fn done(&mut self, done: Result<(Id, JobDone), JoinError>, go_on: bool) {
        let now = Instant::now();
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let keys = self.about.remove(&id);
        let jobs = self.shared.state.lock().jobs;
        let taken = match done {
            Ok((_, done)) => contain_now(|| self.take(done, go_on, now)),
            Err(error) => Err(error.to_string()),
        };
        if let Err(panic) = taken {
            let mut state = self.shared.state.lock();
            match keys {
                Some(keys) => {
                    state.jobs = jobs;
                    state.broke_off(&keys, &panic, now);
                }
                None => state.swept = None,
            }
        }
    }

    /// Takes in what a job has brought.
    fn take(&mut self, done: JobDone, go_on: bool, now: Instant) {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        match done {
            JobDone::Read(_) if !go_on => {}
            JobDone::Read(done) => {
                let count = done.keys.len();
                let writes = state.judge(done, now);
                state.batch.returned(count, true);
                drop(state);
                writes.into_iter().for_each(|job| self.write(job));
            }
            JobDone::Written(done) => state.wrote(done, now),
            JobDone::Swept(lists) => {
                for (side, list) in lists.sides() {
                    list.into_iter().for_each(|entries| state.swept(side, entries, now));
                }
                state.swept = None;
            }
        }
    }

    fn sweep(&mut self) {
        let mut state = self.shared.state.lock();
        if state.swept.is_none() && state.spec.run == RunState::On {
            state.swept = Some(Pair::default());
            self.jobs.spawn(self.tools.clone().sweep(self.select.clone()));
        }
    }

    /// Spread, so that tasks do not list everything at the same time.
    fn next_sweep(&self) -> Option<Instant> {
        let every = self.tools.timing.sweep?;
        let now = Instant::now();
        let share = 0.75 + (hash(&(&self.shared.state.lock().route, now.elapsed())) % 1024) as f64 / 2048.0;
        Some(now + every.mul_f64(share))
    }
}
