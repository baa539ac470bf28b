//! Restarts work that panicked, and reports it until it works again.
//!
//! A panic is a bug in Causeway. It must not leave a task standing still that still reports itself to be in step. All
//! work of the engine runs through [`supervise`] (work that never ends by itself) or [`contain`] (work that ends).

use crate::kit::backoff;
use crate::notice::{Crash, EngineWork};
use causeway_core::{contain, contain_now};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Restarted work counts as working again after it has run for this long.
const STEADY: Duration = Duration::from_secs(10);
/// First and longest wait before a restart.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Work that panicked and does not work again yet, and how often each has. Clones share the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crashes(Arc<Mutex<BTreeMap<EngineWork, CrashRecord>>>);

#[derive(Debug, Default)]
struct CrashRecord {
    count: u64,
    /// The message of the panic, until the work runs again.
    panic: Option<String>,
}

impl Crashes {
    /// What failed. Empty: all work is running.
    pub fn list(&self) -> Vec<Crash> {
        let crashes = self.0.lock();
        let failed = |(work, record): (&EngineWork, &CrashRecord)| {
            Some(Crash { work: work.clone(), panic: record.panic.clone()? })
        };
        crashes.iter().filter_map(failed).collect()
    }

    /// How often each work has panicked since it was started.
    pub fn counts(&self) -> Vec<(EngineWork, u64)> {
        self.0.lock().iter().map(|(work, record)| (work.clone(), record.count)).collect()
    }

    fn runs(&self, work: &EngineWork) {
        self.0.lock().entry(work.clone()).or_default().panic = None;
    }

    fn failed(&self, work: &EngineWork, panic: &str) {
        let mut crashes = self.0.lock();
        let record = crashes.entry(work.clone()).or_default();
        record.count += 1;
        record.panic = Some(panic.to_owned());
    }
}

/// Runs the work that `start` returns until it ends by itself or `stop` is cancelled. When it panics, `crashed` is called,
/// `crashes` holds the crash until the work runs again, and the work is started anew with back-off.
pub(crate) async fn supervise<W: Future<Output = ()>>(
    work: EngineWork,
    crashes: &Crashes,
    stop: &CancellationToken,
    mut start: impl FnMut() -> W,
    mut crashed: impl FnMut(&Crash),
) {
    let mut failures = 0;
    crashes.runs(&work);
    loop {
        let mut run = std::pin::pin!(contain(async { start().await }));
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = tokio::time::sleep(STEADY), if failures > 0 => {
                tracing::info!("{work} works again");
                crashes.runs(&work);
                failures = 0;
                run.await
            }
        };
        let Err(panic) = ended else {
            crashes.runs(&work);
            return;
        };
        crashes.failed(&work, &panic);
        let crash = Crash { work: work.clone(), panic };
        tracing::error!("{crash}");
        if let Err(panic) = contain_now(|| crashed(&crash)) {
            tracing::error!("cleaning up after {work} failed: {panic}");
        }
        let wait = backoff(BACKOFF, failures);
        failures += 1;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn work_is_restarted_with_back_off_and_reported_until_it_runs() {
        let (crashes, runs, told) = (Crashes::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let start = || async {
            if runs.fetch_add(1, Ordering::SeqCst) < 3 {
                panic!("number {}", runs.load(Ordering::SeqCst));
            }
            sleep(Duration::from_secs(60)).await;
        };
        let crashed = |_: &Crash| {
            told.fetch_add(1, Ordering::SeqCst);
        };
        let began = Instant::now();
        let watched = async {
            sleep(Duration::from_secs(5)).await;
            let said: Vec<_> = crashes.list().iter().map(Crash::to_string).collect();
            let words = "watching the guards failed because of a bug in Causeway and is being restarted: number 3";
            assert_eq!(said, [words]);
            sleep(Duration::from_secs(10)).await;
            assert!(crashes.list().is_empty());
            assert_eq!(crashes.counts(), [(EngineWork::Guards, 3)]);
        };
        tokio::join!(supervise(EngineWork::Guards, &crashes, &stop, start, crashed), watched);
        let waits = Duration::from_millis(200 + 400 + 800);
        assert_eq!(began.elapsed(), waits + Duration::from_secs(60));
        assert_eq!((runs.load(Ordering::SeqCst), told.load(Ordering::SeqCst)), (4, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_restarted_after_the_stop() {
        let (crashes, runs, stop) = (Crashes::default(), AtomicUsize::new(0), CancellationToken::new());
        let start = || async {
            runs.fetch_add(1, Ordering::SeqCst);
            panic!("always");
        };
        let stopping = async {
            sleep(Duration::from_secs(100)).await;
            stop.cancel();
        };
        tokio::join!(supervise(EngineWork::Guards, &crashes, &stop, start, |_| panic!("also here")), stopping);
        // 0.2, 0.4, … 25.6 s, then every 30 s.
        assert_eq!(runs.load(Ordering::SeqCst), 10);
    }
}
