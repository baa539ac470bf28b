//! Calls to a cluster: each with a time-out, each panic an error, and an outcome for every item.

use crate::kit::pace::{BatchSize, Permit};
use causeway_core::{Error, Limits, contain};
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

fn no_answer(limit: Duration) -> Error {
    Error::unavailable(format!("no answer within {limit:?}"))
}

fn panicked(panic: &str) -> Error {
    Error::protocol(format!("the call failed because of a bug in Causeway: {panic}"))
}

/// Makes one call.
pub(crate) async fn call<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(limit, contain(work)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(panicked(&panic)),
        Err(_) => Err(no_answer(limit)),
    }
}

/// Reads `items` with calls of at most `most` items, one after the other; one outcome per item, in order.
pub(crate) async fn read<'a, I, T>(
    batch: &BatchSize,
    most: usize,
    limit: Duration,
    items: &'a [I],
    send: impl Fn(&'a [I]) -> BoxFuture<'a, Vec<Result<T, Error>>>,
) -> Vec<Result<T, Error>> {
    let mut outcomes = Vec::with_capacity(items.len());
    while outcomes.len() < items.len() {
        let chunk = first(&items[outcomes.len()..], batch.size(most));
        if let Err(reason) = one(batch, limit, chunk, &send, &mut outcomes).await {
            not_sent(items.len(), &reason, &mut outcomes);
        }
    }
    outcomes
}

/// Writes `items` with calls of at most `max_batch` items, one after the other; one outcome per item, in order. `limits` is
/// asked before each call. `whole`: a call is one request, whatever it holds; else each item is one.
///
/// What was answered is known. After a call that did not return, or that took long and reached nothing, no more is sent.
pub(crate) async fn write<'a, I, T>(
    permit: &mut Permit,
    limits: impl Fn() -> Limits,
    whole: bool,
    limit: Duration,
    items: &'a [I],
    send: impl Fn(&'a [I]) -> BoxFuture<'a, Vec<Result<T, Error>>>,
) -> Vec<Result<T, Error>> {
    let mut outcomes = Vec::with_capacity(items.len());
    // What lies before this was sent in a call that panicked, and may have been written by it.
    let mut doubtful = 0;
    while outcomes.len() < items.len() {
        let limits = limits();
        let most = limits.max_batch;
        permit.learn(limits);
        let most = if whole { most } else { most.min(permit.burst()) };
        let chunk = first(&items[outcomes.len()..], permit.batch(most));
        let requests = if whole { 1 } else { u32::try_from(chunk.len()).unwrap_or(u32::MAX) };
        permit.pay(requests).await;
        permit.spend(requests);
        let before = outcomes.len();
        if let Err(reason) = one(permit.writes(), limit, chunk, &send, &mut outcomes).await {
            not_sent(items.len(), &reason, &mut outcomes);
        } else if outcomes.len() == before {
            doubtful = doubtful.max(before + chunk.len());
        }
        // The change that stands in the way may be our own.
        let again = outcomes.iter_mut().take(doubtful).skip(before);
        for outcome in again.filter(|outcome| matches!(outcome, Err(Error::Conflict))) {
            *outcome =
                Err(Error::protocol("an earlier call failed because of a bug in Causeway, and may have written it"));
        }
    }
    outcomes
}

/// The first `most` of these items, or all.
fn first<I>(items: &[I], most: usize) -> &[I] {
    &items[..most.min(items.len())]
}

/// Makes one call with `chunk`, and adds an outcome for each of its items, or none where the call panicked and smaller ones may
/// succeed. An error says why the cluster is to be sent no more.
async fn one<'a, I, T>(
    batch: &BatchSize,
    limit: Duration,
    chunk: &'a [I],
    send: impl Fn(&'a [I]) -> BoxFuture<'a, Vec<Result<T, Error>>>,
    outcomes: &mut Vec<Result<T, Error>>,
) -> Result<(), String> {
    let (began, count) = (Instant::now(), chunk.len());
    let answer = tokio::time::timeout(limit, contain(async { send(chunk).await })).await;
    let mut answers = match answer {
        Ok(Ok(answers)) => answers,
        Ok(Err(panic)) => {
            batch.failed(count);
            // Which of several it was is found out with smaller calls.
            if count > 1 {
                return Ok(());
            }
            tracing::error!("a call to a cluster failed because of a bug in Causeway: {panic}");
            outcomes.extend(chunk.iter().map(|_| Err(panicked(&panic))));
            return Ok(());
        }
        Err(_) => {
            batch.failed(count);
            outcomes.extend(chunk.iter().map(|_| Err(no_answer(limit))));
            return Err(no_answer(limit).to_string());
        }
    };
    let quickly = began.elapsed() < limit / 4;
    batch.returned(count, quickly);
    if answers.len() != count {
        let got = answers.len();
        tracing::error!("a call with {count} records returned {got} outcomes: a bug in the connector");
        let missing = || Error::protocol(format!("the connector returned {got} outcomes for {count} records"));
        answers.resize_with(count, || Err(missing()));
    }
    let reached = answers.iter().any(|answer| !matches!(answer, Err(Error::Unavailable(_))));
    let reason = answers.iter().find_map(|answer| answer.as_ref().err()).map(Error::to_string);
    outcomes.append(&mut answers);
    match reason {
        Some(reason) if !reached && !quickly => Err(reason),
        _ => Ok(()),
    }
}

/// Adds outcomes for what was not sent any more.
fn not_sent<T>(count: usize, reason: &str, outcomes: &mut Vec<Result<T, Error>>) {
    outcomes
        .resize_with(count, || Err(Error::unavailable(format!("not sent, since the call before it failed: {reason}"))));
}
