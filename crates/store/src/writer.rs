//! Write-behind: callers hand over ledger rows and events without waiting, and one task writes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_core::contain;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::clock::now_ms;
use crate::queue::{Batch, Queue};
use crate::{Error, Event, Keep, LedgerRow, Store};

/// Gathers so long before a write: what changes often is written once. A write is begun within 50 ms of the first change.
const GATHER: Duration = Duration::from_millis(25);
/// A transaction longer than this is given up and repeated; beyond any database's own wait for a lock.
const WRITE: Duration = Duration::from_secs(30);
/// For every thousand ledger rows it may take this much longer, so that a large one ends on a slow disk, too.
const WRITE_ROWS: Duration = Duration::from_secs(1);
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The wait before writing is started again after it failed unexpectedly: at first, and at most.
const RESTART: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often the database is looked at while there is nothing to write.
const LOOK: Duration = Duration::from_secs(1);
/// How often old events are removed, and after how many new ones at the latest.
const PRUNE: (Duration, usize) = (Duration::from_secs(60), 1_000);

/// Takes ledger entries and events at any time, in microseconds, and writes them as soon as the database takes them. Clones share
/// one queue.
///
/// Memory is bounded: the ledger keeps the latest state per scope only, and of events at most 10,000 wait; older ones are dropped
/// and counted. When the last clone is dropped, what waits is lost: [`Writer::stop`] first.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    /// The one task; ends with the last clone.
    work: Arc<Mutex<JoinSet<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    condition: Mutex<Condition>,
    /// Something came into an empty queue.
    filled: Notify,
    /// Everything up to this arrival is written.
    written: watch::Sender<u64>,
}

#[derive(Default)]
struct Condition {
    /// The oldest of what is being written right now.
    writing: Option<Instant>,
    problem: Option<String>,
    /// The writing itself has failed, and is about to be started again.
    failed: Option<String>,
    /// What is being written: not lost when that fails.
    batch: Option<Arc<Batch>>,
}

/// How the writing goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The age of the oldest thing that is not written yet; well below a second when all is well.
    pub behind: Duration,
    /// Scopes that wait.
    pub waiting_records: usize,
    /// Events that wait.
    pub waiting_events: usize,
    /// Events dropped since the start because the database was away for too long.
    pub lost_events: u64,
    /// Why the last attempt failed; `None` when it did not.
    pub problem: Option<String>,
    /// The writing has failed unexpectedly, and is about to be started again.
    pub failed: Option<String>,
}

impl Writer {
    /// Starts writing into `store`. Call it within a tokio runtime.
    pub fn start(store: Store, keep: Keep) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            condition: Mutex::default(),
            filled: Notify::new(),
            written: watch::Sender::new(0),
        });
        let mut work = JoinSet::new();
        work.spawn(keep_running(Arc::clone(&shared), store, keep));
        Self { shared, work: Arc::new(Mutex::new(work)) }
    }

    /// The state of a scope, `None` when nothing of the route stands there any more. The latest one wins. Never waits.
    pub fn ledger(
        &self,
        route: impl Into<Arc<str>>,
        scope: impl Into<Arc<str>>,
        document: Option<impl Into<Arc<str>>>,
    ) {
        let document = document.map(Into::into);
        let entry = LedgerRow { route: route.into(), scope: scope.into(), document };
        if self.shared.queue.lock().put(entry, Instant::now()) {
            self.shared.filled.notify_one();
        }
    }

    /// Adds to the history. Never waits.
    pub fn event(&self, event: Event) {
        if self.shared.queue.lock().push(event, Instant::now()) {
            self.shared.filled.notify_one();
        }
    }

    /// How far behind the database is, and why.
    pub fn health(&self) -> Health {
        let queue = self.shared.queue.lock();
        let waiting = queue.waiting();
        let condition = self.shared.condition.lock();
        let oldest = [waiting.since, condition.writing].into_iter().flatten().min();
        Health {
            behind: oldest.map(|at| at.elapsed()).unwrap_or_default(),
            waiting_records: waiting.records,
            waiting_events: waiting.events,
            lost_events: waiting.lost,
            problem: condition.problem.clone(),
            failed: condition.failed.clone(),
        }
    }

    /// Waits until everything handed over before this call is written; false: not within `at_most` ([`Writer::health`] says why).
    pub async fn flush(&self, at_most: Duration) -> bool {
        let wanted = self.shared.queue.lock().arrived();
        let mut written = self.shared.written.subscribe();
        let done = written.wait_for(|up_to| *up_to >= wanted);
        matches!(tokio::time::timeout(at_most, done).await, Ok(Ok(_)))
    }

    /// [`Writer::flush`], then no more writing: what comes later is lost.
    pub async fn stop(&self, at_most: Duration) -> bool {
        let all = self.flush(at_most).await;
        let mut work = std::mem::take(&mut *self.work.lock());
        work.shutdown().await;
        all
    }
}

/// Writes, and begins again when that panics: what was being written waits once more.
async fn keep_running(shared: Arc<Shared>, store: Store, keep: Keep) {
    let mut pause = RESTART.0;
    loop {
        // In this task, so that [`Writer::stop`] waits for it and for the folder's lock that it holds.
        let Err(panic) = contain(run(Arc::clone(&shared), store.clone(), keep)).await else { return };
        tracing::error!("writing to the database failed unexpectedly; it is started again: {panic}");
        shared.broken(&panic);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RESTART.1);
        shared.condition.lock().failed = None;
        shared.filled.notify_one();
    }
}

async fn run(shared: Arc<Shared>, store: Store, keep: Keep) {
    let mut pause = RETRY.0;
    let mut pruned = Instant::now();
    let mut fresh_events = 0;
    loop {
        // Woken or not: the time-out is for looking at the database.
        let woken = tokio::time::timeout(LOOK, shared.filled.notified()).await.is_ok();
        if woken {
            tokio::time::sleep(GATHER).await;
        }
        loop {
            let Some(batch) = shared.begin() else {
                // Nothing waits; what happened to the database is repaired all the same, so that nothing is missing in it later.
                let result = in_time(WRITE, store.backend().look()).await;
                shared.condition.lock().problem = result.err().map(|e| e.to_string());
                break;
            };
            let (up_to, events) = (batch.up_to, batch.events.len());
            #[cfg(test)]
            tests::maybe_panic();
            match write(&store, &batch).await {
                Ok(()) => {
                    shared.succeeded(up_to);
                    pause = RETRY.0;
                    fresh_events += events;
                    break;
                }
                Err(error) => {
                    drop(batch);
                    shared.failed(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
        if fresh_events >= PRUNE.1 || pruned.elapsed() >= PRUNE.0 {
            if let Err(e) = in_time(WRITE, store.prune_events(keep, now_ms())).await {
                tracing::debug!("old events stay for now: {e}");
            }
            fresh_events = 0;
            pruned = Instant::now();
        }
    }
}

impl Shared {
    fn begin(&self) -> Option<Arc<Batch>> {
        // Both locks, so that `health` sees what waits either in the queue or as being written.
        let mut queue = self.queue.lock();
        let batch = Arc::new(queue.take()?);
        let mut condition = self.condition.lock();
        (condition.writing, condition.batch) = (Some(batch.since), Some(batch.clone()));
        Some(batch)
    }

    fn succeeded(&self, up_to: u64) {
        let before = std::mem::take(&mut *self.condition.lock());
        if before.problem.is_some() {
            tracing::info!("the database is back, and up to date");
        }
        self.written.send_replace(up_to);
    }

    /// What could not be written waits again.
    fn put_back(&self) {
        let mut queue = self.queue.lock();
        let mut condition = self.condition.lock();
        condition.writing = None;
        // The writing has dropped its reference by now.
        if let Some(batch) = condition.batch.take().and_then(Arc::into_inner) {
            queue.put_back(batch);
        }
    }

    fn broken(&self, panic: &str) {
        self.put_back();
        self.condition.lock().failed = Some(format!("writing to the database failed unexpectedly: {panic}"));
    }

    fn failed(&self, error: &Error) {
        self.put_back();
        let mut condition = self.condition.lock();
        let problem = error.to_string();
        if condition.problem.as_ref() != Some(&problem) {
            tracing::warn!("the database lags behind; syncing goes on: {problem}");
        }
        condition.problem = Some(problem);
    }
}

/// Writes the whole batch in one transaction.
///
/// One transaction whatever its size: a batch is the state of the queue at one moment, which holds only the latest state of each
/// scope. A part of it need not have been true at any time, for instance a lot of intents forgotten before the bases that it
/// led to are there.
async fn write(store: &Store, batch: &Batch) -> Result<(), Error> {
    let limit = WRITE + WRITE_ROWS * u32::try_from(batch.ledger.len() / 1_000).unwrap_or(u32::MAX);
    in_time(limit, store.backend().write(&batch.ledger, &batch.events)).await
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or(Err(Error::Slow(limit.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;

    const PLENTY: Duration = Duration::from_secs(20);

    thread_local! {
        /// So often the writing panics. Every test has a thread of its own.
        static PANICS: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn maybe_panic() {
        let left = PANICS.get();
        PANICS.set(left.saturating_sub(1));
        assert!(left == 0, "a fault of the test");
    }

    #[tokio::test]
    async fn writing_that_panics_is_told_and_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(dir.path(), None).await.unwrap();
        let writer = Writer::start(store.clone(), Keep::default());
        PANICS.set(1);
        writer.ledger("route", "a", Some("1"));
        assert!(!writer.flush(Duration::from_millis(500)).await);
        let health = writer.health();
        assert!(health.failed.as_ref().is_some_and(|why| why.contains("a fault of the test")), "{health:?}");
        assert_eq!(health.waiting_records, 1, "what was being written is not lost");
        writer.ledger("route", "b", Some("2"));
        assert!(writer.flush(PLENTY).await);
        assert_eq!((store.ledger_load().await.unwrap().len(), writer.health().failed), (2, None));
    }

    /// A limit on SQLite's side is all that a test can do about a disk.
    async fn survives(limit: &'static str, lift: &'static str, says: &str) {
        let dir = tempfile::tempdir().unwrap();
        let (store, file) = Store::open_for_test(dir.path()).await;
        let writer = Writer::start(store.clone(), Keep::default());
        file.run_for_test(limit).await;
        let document = "x".repeat(1_000);
        for n in 0..1_000 {
            writer.ledger("route", n.to_string(), Some(document.as_str()));
        }
        assert!(!writer.flush(Duration::from_secs(1)).await);
        let health = writer.health();
        assert!(health.problem.as_ref().is_some_and(|why| why.contains(says)), "{health:?}");
        // A batch is taken out of the queue for each attempt, and comes back.
        let waits = async {
            while writer.health().waiting_records != 1_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(tokio::time::timeout(PLENTY, waits).await.is_ok());
        file.run_for_test(lift).await;
        assert!(writer.flush(PLENTY).await);
        assert_eq!(store.ledger_load().await.unwrap().len(), 1_000);
    }

    #[tokio::test]
    async fn a_full_disk_is_survived() {
        survives("PRAGMA max_page_count = 40", "PRAGMA max_page_count = 4294967294", "full").await;
    }

    #[tokio::test]
    async fn a_read_only_database_is_survived() {
        survives("PRAGMA query_only = 1", "PRAGMA query_only = 0", "read-only").await;
    }
}
