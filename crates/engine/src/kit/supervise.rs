//! Restarts work that panicked, and reports it until it works again.
//!
//! A panic is a bug in Causeway. It must not leave a task standing still that still reports itself to be in step. All
//! work of the engine runs through [`supervise`] (work that goes on for ever) or [`contain`] (work that ends).

use crate::kit::backoff;
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

/// Work that panicked and does not work again yet, with the reason. Clones share the same list.
#[derive(Clone, Debug, Default)]
pub struct Crashes(Arc<Mutex<BTreeMap<String, String>>>);

impl Crashes {
    /// What failed and why, one sentence each. Empty: all work is running.
    pub fn reasons(&self) -> Vec<String> {
        self.0.lock().values().cloned().collect()
    }
}

/// Runs the work that `start` returns until it ends by itself or `stop` is cancelled. When it panics, `crashed` is called with
/// the reason, `crashes` holds it until the work runs again, and the work is started anew with back-off.
pub async fn supervise<W: Future<Output = ()>>(
    what: &str,
    crashes: &Crashes,
    stop: &CancellationToken,
    mut start: impl FnMut() -> W,
    mut crashed: impl FnMut(&str),
) {
    let mut failures = 0;
    loop {
        let mut work = std::pin::pin!(contain(async { start().await }));
        let ended = tokio::select! {
            ended = &mut work => ended,
            () = tokio::time::sleep(STEADY), if failures > 0 => {
                tracing::info!("{what} works again");
                crashes.0.lock().remove(what);
                failures = 0;
                work.await
            }
        };
        let Err(panic) = ended else {
            crashes.0.lock().remove(what);
            return;
        };
        let reason = format!("{what} failed because of a bug in Causeway and is being restarted: {panic}");
        tracing::error!("{reason}");
        crashes.0.lock().insert(what.to_owned(), reason.clone());
        if let Err(panic) = contain_now(|| crashed(&reason)) {
            tracing::error!("cleaning up after {what} failed: {panic}");
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
        let crashed = |_: &str| {
            told.fetch_add(1, Ordering::SeqCst);
        };
        let began = Instant::now();
        let watched = async {
            sleep(Duration::from_secs(5)).await;
            assert_eq!(
                crashes.reasons(),
                ["counting failed because of a bug in Causeway and is being restarted: number 3"]
            );
            sleep(Duration::from_secs(10)).await;
            assert!(crashes.reasons().is_empty());
        };
        tokio::join!(supervise("counting", &crashes, &stop, start, crashed), watched);
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
        tokio::join!(supervise("counting", &crashes, &stop, start, |_| panic!("also here")), stopping);
        // 0.2, 0.4, … 25.6 s, then every 30 s.
        assert_eq!(runs.load(Ordering::SeqCst), 10);
    }
}
