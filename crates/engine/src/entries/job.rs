//! Work that waits for clusters: reading a batch, writing a batch, listing.

use super::record::DataRecorder;
use super::rows::{Presence, Stamps};
use super::spec::DataTiming;
use super::state::ShownEntry;
use crate::kit::meter::WriteKind;
use crate::kit::pace::{Lane, Pacer};
use crate::kit::{call, spans};
use causeway_core::{
    Base, DataPort, DataSelector, Digest, Entry, EntryKey, EntryReason, EntryWrite, Error, FoundEntry, Intent, Pair,
    Side, Stamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tracing::Instrument;

/// Entries to read.
#[derive(Default)]
pub(crate) struct ReadJob {
    /// In order, and where each stood when it was taken.
    pub keys: Vec<(EntryKey, Pair<Presence>)>,
    known: BTreeSet<EntryKey>,
    sides: Pair<Vec<EntryKey>>,
}

impl ReadJob {
    pub fn add(&mut self, key: EntryKey, places: Pair<Presence>, sides: Pair<bool>) {
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
    pub keys: Vec<(EntryKey, Pair<Presence>)>,
    pub found: Pair<BTreeMap<EntryKey, Result<FoundEntry, Error>>>,
}

/// One write, and what follows from it.
pub(crate) struct PlannedWrite {
    pub write: EntryWrite,
    pub to: Side,
    /// `None`: the task is drained.
    pub why: Option<EntryReason>,
    /// What is written, and its stamp on the other side; `None`: it is deleted.
    pub content: Option<(Digest, Stamp)>,
    pub before: Option<Base>,
    /// How both sides were judged.
    pub stamps: Stamps,
    /// What stands when half of it is written ([`Intent::half`]).
    pub half: Option<Digest>,
    /// What is written over that the other side never had.
    pub over: Option<ShownEntry>,
}

impl PlannedWrite {
    pub fn key(&self) -> &EntryKey {
        &self.write.key
    }

    pub fn kind(&self) -> WriteKind {
        match (&self.content, self.stamps[self.to]) {
            (None, _) => WriteKind::Delete,
            (_, None) => WriteKind::Create,
            (_, Some(_)) => WriteKind::Update,
        }
    }

    pub fn intent(&self) -> Intent {
        let (key, created) = (self.key().clone(), self.stamps[self.to].is_none());
        Intent { key, to: self.to, content: self.content, created, half: self.half }
    }
}

/// Writes to one side, parents first and then deletions, children first.
pub(crate) struct WriteJob {
    pub to: Side,
    pub planned: Vec<PlannedWrite>,
}

/// What was answered to them.
pub(crate) struct WriteDone {
    pub job: WriteJob,
    pub answers: Vec<Result<Option<Entry>, Error>>,
}

pub(crate) enum JobDone {
    Read(ReadDone),
    Written(WriteDone),
    Swept(Pair<Option<BTreeMap<EntryKey, Entry>>>),
}

/// What jobs need of their task.
pub(crate) struct JobTools {
    pub ports: Pair<DataPort>,
    pub pacers: Pair<Arc<Pacer>>,
    pub recorder: Arc<dyn DataRecorder>,
    pub timing: DataTiming,
    /// The task's name and those of its clusters, for traces.
    pub task: Arc<str>,
    pub clusters: Pair<Arc<str>>,
}

impl JobTools {
    pub async fn read(self: Arc<Self>, job: ReadJob) -> JobDone {
        let (left, right) =
            tokio::join!(self.read_side(Side::Left, job.sides.left), self.read_side(Side::Right, job.sides.right));
        JobDone::Read(ReadDone { keys: job.keys, found: Pair { left, right } })
    }

    async fn read_side(&self, side: Side, keys: Vec<EntryKey>) -> BTreeMap<EntryKey, Result<FoundEntry, Error>> {
        let (source, batch) = (self.ports[side].source(), &self.pacers[side].reads);
        let found = call::read(batch, usize::MAX, self.timing.call, &keys, |keys| source.read(keys)).await;
        keys.into_iter().zip(found).collect()
    }

    pub async fn write(self: Arc<Self>, job: WriteJob) -> JobDone {
        let Some(sink) = self.ports[job.to].sink() else {
            let answers = job.planned.iter().map(|_| Err(Error::Denied("it can only be read".into()))).collect();
            return JobDone::Written(WriteDone { job, answers });
        };
        let span = spans::entries(&self.task, &self.clusters[job.to], job.planned.len());
        // A process that dies after the write must find afterwards that it was going to make it.
        if tokio::time::timeout(self.timing.kept, self.recorder.kept()).await.is_err() {
            tracing::debug!("the ledger does not keep up; going on without it");
        }
        let mut permit = self.pacers[job.to].clone().enter(Lane::Entries, sink.limits()).await;
        let writes: Vec<EntryWrite> = job.planned.iter().map(|planned| planned.write.clone()).collect();
        let send = |writes| sink.write(writes);
        let calls = call::write(&mut permit, || sink.limits(), false, self.timing.call, &writes, send);
        let answers = calls.instrument(spans::write(&span)).await;
        spans::ended(&span, &answers);
        JobDone::Written(WriteDone { job, answers })
    }

    /// Lists both sides; a side that cannot be listed now is left out.
    pub async fn sweep(self: Arc<Self>, select: DataSelector) -> JobDone {
        let limit = self.timing.list;
        let list = async |port: &DataPort| call::call(limit, async { port.source().list(&select).await }).await.ok();
        let (left, right) = tokio::join!(list(&self.ports.left), list(&self.ports.right));
        JobDone::Swept(Pair { left, right })
    }
}
