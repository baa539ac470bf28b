//! Work that waits for clusters: reading a batch, writing a batch, listing.

use super::record::DataRecorder;
use super::rows::Place;
use super::spec::{DataTiming, Ends};
use super::state::Shown;
use causeway_core::{
    Base, DataSelector, DataSink, DataSource, Digest, Entry, EntryKey, Error, Found, Intent, Pair, Side, Stamp, Why,
    Write,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

/// Entries to read.
#[derive(Default)]
pub(crate) struct ReadJob {
    /// In order, and where each stood when it was taken.
    pub keys: Vec<(EntryKey, Pair<Place>)>,
    known: BTreeSet<EntryKey>,
    sides: Pair<Vec<EntryKey>>,
}

impl ReadJob {
    pub fn add(&mut self, key: EntryKey, places: Pair<Place>, sides: Pair<bool>) {
        for side in Side::BOTH {
            if sides[side] {
                self.sides[side].push(key.clone());
            }
        }
        self.known.insert(key.clone());
        self.keys.push((key, places));
    }

    pub fn has(&self, key: &EntryKey) -> bool {
        self.known.contains(key)
    }
}

/// What was read.
pub(crate) struct ReadDone {
    pub keys: Vec<(EntryKey, Pair<Place>)>,
    pub found: Pair<BTreeMap<EntryKey, Result<Found, Error>>>,
}

/// One write, and what follows from it.
pub(crate) struct Planned {
    pub write: Write,
    pub to: Side,
    /// `None`: the task is drained.
    pub why: Option<Why>,
    /// What is written, and its stamp on the other side; `None`: it is deleted.
    pub content: Option<(Digest, Stamp)>,
    pub before: Option<Base>,
    /// How both sides were judged.
    pub stamps: Pair<Option<Stamp>>,
    /// What stands when half of it is written ([`Intent::half`]).
    pub half: Option<Digest>,
    /// What is written over that the other side never had.
    pub over: Option<Shown>,
}

impl Planned {
    pub fn key(&self) -> &EntryKey {
        &self.write.key
    }

    pub fn intent(&self) -> Intent {
        let (key, created) = (self.key().clone(), self.stamps[self.to].is_none());
        Intent { key, to: self.to, content: self.content, created, half: self.half }
    }
}

/// Writes to one side, parents first and then deletions, children first.
pub(crate) struct WriteJob {
    pub to: Side,
    pub planned: Vec<Planned>,
}

/// What was answered to them.
pub(crate) struct WriteDone {
    pub job: WriteJob,
    pub answers: Vec<Result<Option<Entry>, Error>>,
}

pub(crate) enum Done {
    Read(ReadDone),
    Written(WriteDone),
    Swept(Pair<Option<BTreeMap<EntryKey, Entry>>>),
}

/// How much one cluster bears from all tasks together.
pub(crate) struct Gate {
    slots: Semaphore,
    pace: Option<Duration>,
    next: Mutex<Instant>,
}

impl Gate {
    pub fn new(sink: &dyn DataSink) -> Self {
        let limits = sink.limits();
        Self {
            slots: Semaphore::new(limits.in_flight.max(1)),
            pace: limits.per_second.map(|n| Duration::from_secs(1) / n.max(1)),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until `count` writes fit in.
    async fn enter(&self, count: usize) -> Option<tokio::sync::SemaphorePermit<'_>> {
        if let Some(pace) = self.pace {
            let mut next = self.next.lock().await;
            let at = (*next).max(Instant::now());
            *next = at + pace * u32::try_from(count).unwrap_or(u32::MAX);
            drop(next);
            tokio::time::sleep_until(at).await;
        }
        self.slots.acquire().await.ok()
    }
}

/// What jobs need of their task.
pub(crate) struct Tools {
    pub ends: Pair<Ends>,
    pub gates: Pair<Option<Arc<Gate>>>,
    pub recorder: Arc<dyn DataRecorder>,
    pub timing: DataTiming,
}

impl Tools {
    pub async fn read(self: Arc<Self>, job: ReadJob) -> Done {
        let (left, right) = tokio::join!(
            self.read_side(&self.ends.left.source, job.sides.left),
            self.read_side(&self.ends.right.source, job.sides.right)
        );
        Done::Read(ReadDone { keys: job.keys, found: Pair { left, right } })
    }

    async fn read_side(
        &self,
        source: &Arc<dyn DataSource>,
        keys: Vec<EntryKey>,
    ) -> BTreeMap<EntryKey, Result<Found, Error>> {
        if keys.is_empty() {
            return BTreeMap::new();
        }
        let answers = tokio::time::timeout(self.timing.call, source.read(&keys)).await;
        let count = keys.len();
        keys.into_iter().zip(filled(answers, count, self.timing.call)).collect()
    }

    pub async fn write(self: Arc<Self>, job: WriteJob) -> Done {
        let count = job.planned.len();
        let (Some(sink), Some(gate)) = (&self.ends[job.to].sink, &self.gates[job.to]) else {
            let answers = (0..count).map(|_| Err(Error::Denied("it can only be read".into()))).collect();
            return Done::Written(WriteDone { job, answers });
        };
        // A process that dies after the write must find afterwards that it was going to make it.
        if tokio::time::timeout(self.timing.kept, self.recorder.kept()).await.is_err() {
            tracing::debug!("the ledger does not keep up; going on without it");
        }
        let _slot = gate.enter(count).await;
        let writes: Vec<Write> = job.planned.iter().map(|planned| planned.write.clone()).collect();
        let answers = tokio::time::timeout(self.timing.call, sink.write(&writes)).await;
        let answers = filled(answers, count, self.timing.call);
        Done::Written(WriteDone { job, answers })
    }

    /// Lists both sides; a side that cannot be listed now is left out.
    pub async fn sweep(self: Arc<Self>, select: DataSelector) -> Done {
        let limit = self.timing.list;
        let list = async |source: &Arc<dyn DataSource>| {
            let listed = tokio::time::timeout(limit, source.list(&select)).await;
            listed.ok().and_then(Result::ok)
        };
        let (left, right) = tokio::join!(list(&self.ends.left.source), list(&self.ends.right.source));
        Done::Swept(Pair { left, right })
    }
}

/// The answers, one for each question whatever came.
fn filled<T>(
    answers: Result<Vec<Result<T, Error>>, tokio::time::error::Elapsed>,
    count: usize,
    limit: Duration,
) -> Vec<Result<T, Error>> {
    let mut answers = match answers {
        Ok(answers) => answers,
        Err(_) => (0..count).map(|_| Err(Error::unavailable(format!("no answer within {limit:?}")))).collect(),
    };
    while answers.len() < count {
        answers.push(Err(Error::protocol("an answer is missing")));
    }
    answers
}
