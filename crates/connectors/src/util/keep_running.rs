//! Work that must not end while its owner lives.

use causeway_core::contain;
use std::time::Duration;
use tokio::time::Instant;

/// The wait before the first restart and the longest one.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After running for so long, a later failure counts as the first one.
const STEADY: Duration = Duration::from_secs(120);

/// Runs what `start` makes until it ends by itself. When it panics, that is logged, told (`Some`: why) and it is started again
/// after a while; `None` is told once it runs again. Dropping this ends the work.
pub async fn keep_running<F: Future<Output = ()>>(name: &str, start: impl Fn() -> F, told: impl Fn(Option<String>)) {
    let mut pause = AGAIN.0;
    loop {
        let began = Instant::now();
        let Err(panic) = contain(async { start().await }).await else { return };
        if began.elapsed() >= STEADY {
            pause = AGAIN.0;
        }
        let why = format!("{name} failed unexpectedly, and is started again in {} s: {panic}", pause.as_secs());
        tracing::error!("{why}");
        told(Some(why));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
        told(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn what_panics_is_told_and_started_again() {
        let (runs, said) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
        let start = || {
            let runs = runs.clone();
            async move {
                *runs.lock() += 1;
                let run = *runs.lock();
                assert!(run > 2, "run {run}");
            }
        };
        let began = Instant::now();
        keep_running("the test", start, |what| said.lock().push(what)).await;
        assert_eq!((*runs.lock(), began.elapsed().as_secs()), (3, 3), "after 1 s and 2 s");
        let said = said.lock();
        let [Some(first), None, Some(_), None] = &said[..] else { panic!("{said:?}") };
        assert!(first.starts_with("the test failed unexpectedly") && first.contains("run 1"), "{first}");
    }
}
