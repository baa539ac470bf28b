//! The beats themselves: a bounded number at a time, one at a time while the servers are away.

use super::Inner;
use crate::nacos::client::{Beat, Error as WireError};
use crate::nacos::convert;
use causeway_core::{Instance, ServiceKey};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Beats under way at a time.
const BEATS: usize = 32;
/// A beat that failed is tried again after this time.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// After a refusal for lack of rights, and where somebody else's record stands in the way.
pub(super) const SLOWLY: Duration = Duration::from_secs(5);

enum Done {
    Beaten(ServiceKey, Instance, Result<Beat, WireError>),
    Upheld(ServiceKey, Result<(), WireError>),
}

/// Keeps what is kept, until it is dropped.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut work: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
    let mut restored: BTreeSet<ServiceKey> = BTreeSet::new();
    // While the servers are away: when to try the next one.
    let mut away: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let limit = if away.is_some() { 1 } else { BEATS };
        while work.len() < limit && away.is_none_or(|until| until <= now) {
            let Some((scope, record)) = inner.kept.lock().pop(now) else { break };
            if restored.contains(&scope) {
                inner.kept.lock().again(&scope, &record.id, now + AGAIN);
            } else if record.healthy {
                work.push(Box::pin(beat(inner.clone(), scope, record)));
            } else {
                restored.insert(scope.clone());
                work.push(Box::pin(restore(inner.clone(), scope, false)));
            }
        }
        let due = inner.kept.lock().next().map(|due| away.map_or(due, |until| until.max(due)));
        let free = work.len() < limit;
        let done = tokio::select! {
            Some(done) = work.next(), if !work.is_empty() => done,
            () = sleep_until(due.unwrap_or(now)), if free && due.is_some() => continue,
            () = inner.news.notified() => continue,
        };
        let failed = match done {
            Done::Beaten(scope, record, Ok(beat)) if beat.known => {
                inner.kept.lock().beaten(&scope, &record.id, Some(beat.interval), Instant::now());
                None
            }
            Done::Beaten(scope, record, Ok(_)) => {
                // The server has lost it: its siblings too, as a rule.
                inner.kept.lock().again(&scope, &record.id, Instant::now() + AGAIN);
                if restored.insert(scope.clone()) {
                    work.push(Box::pin(restore(inner.clone(), scope, true)));
                }
                None
            }
            Done::Beaten(scope, record, Err(error)) => {
                let wait = if error.is_transient() { AGAIN } else { SLOWLY };
                inner.kept.lock().again(&scope, &record.id, Instant::now() + wait);
                Some((scope, error))
            }
            Done::Upheld(scope, outcome) => {
                restored.remove(&scope);
                outcome.err().map(|error| {
                    inner.retry(&scope);
                    (scope, error)
                })
            }
        };
        match failed {
            Some((scope, error)) => {
                tracing::debug!(%scope, %error, "a heart beat failed");
                if matches!(error, WireError::Unavailable(_)) {
                    if away.is_none() {
                        tracing::info!(%error, "heart beats do not reach the server");
                    }
                    away = Some(Instant::now() + AGAIN);
                }
            }
            None => away = None,
        }
    }
}

async fn beat(inner: Arc<Inner>, scope: ServiceKey, record: Instance) -> Done {
    let outcome = inner.client.beat_http(&convert::wire_key(&scope), &convert::write(&record)).await;
    Done::Beaten(scope, record, outcome)
}

/// `lost`: the server does not know what it knew, so it was restarted, perhaps as another version.
async fn restore(inner: Arc<Inner>, scope: ServiceKey, lost: bool) -> Done {
    let outcome = async {
        let http = if lost { inner.mode.ask_again().await? } else { true };
        match http {
            true => inner.restore(&scope).await,
            false => Err(WireError::Throttled(AGAIN)),
        }
    };
    let outcome = outcome.await;
    Done::Upheld(scope, outcome)
}
