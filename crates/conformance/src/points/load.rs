//! Points 14 and 15: many services, few calls, and no more at once than was said.

use crate::corner::Corner;
use crate::look::{normal, read, until, write};
use crate::subject::{Limit, Session, Subject};
use anyhow::{Result, ensure};
use causeway_core::{Change, ServiceKey};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const SERVICES: usize = 1000;
const INSTANCES: usize = 10;
/// Calls that no write is: the stream of each connection, and its health check.
const ASIDE: usize = 4;

async fn fill<S: Subject>(at: &Corner<S>, session: &Session, services: &[ServiceKey], instances: usize) -> Result<()> {
    let at_once = session.limits().in_flight;
    let writes = services.iter().map(async |service| {
        let records = (0..instances).map(|n| {
            let record = at.copy(u16::try_from(7000 + n)?);
            Ok(Change::Create(normal(session, service, record)?))
        });
        write(session, service, &records.collect::<Result<Vec<_>>>()?).await
    });
    stream::iter(writes).buffer_unordered(at_once).try_collect().await
}

/// 14: 1,000 services with 10 instances each are written, and read, within the number of calls that the kind states.
pub async fn thousand_services<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let services: Vec<_> = (0..SERVICES).map(|n| at.service(&format!("orders-{n}"))).collect();
    let (writer, meter) = at.subject.open_metered().await?;
    writer.parts().await?;
    let began = Instant::now();
    fill(at, &writer, &services, INSTANCES).await?;
    let (calls, most) = ((meter.calls)(), (facts.calls_to_write)(SERVICES, INSTANCES));
    at.note(&format!("written in {:.1?} with {calls} calls", began.elapsed()));
    ensure!(calls <= most, "{calls} calls to write, {most} stated");
    let last = &services[SERVICES - 1];
    until(facts.found_in * 4, "the last", || at.subject.truth(last), |list| list.len() == INSTANCES).await?;
    // What is still on its way to subscribers would be read twice.
    sleep(facts.told_in).await;

    let (reader, meter) = at.subject.open_metered().await?;
    let began = Instant::now();
    let follow = at.follow(&reader, &at.select());
    follow.wait(Duration::from_secs(120), "everything", |view| view.complete.contains(&at.part())).await?;
    let (calls, most) = ((meter.calls)(), (facts.calls_to_read)(SERVICES, INSTANCES));
    at.note(&format!("read in {:.1?} with {calls} calls", began.elapsed()));
    let view = follow.view();
    let records: usize = view.sets.values().map(|set| set.records.len()).sum();
    let (sets, there) = (view.sets.len(), at.subject.truth(last).await?.len());
    ensure!(records == SERVICES * INSTANCES, "{records} records in {sets} services; the last has {there}");
    ensure!(calls <= most, "{calls} calls to read, {most} stated");
    drop(follow);
    reader.close().await;
    writer.close().await;
    Ok(())
}

/// 15: a caller who keeps to the limits is never throttled, and no more is on its way than the limits say.
pub async fn limits<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let (session, meter) = at.subject.open_metered().await?;
    session.parts().await?;
    let limits = session.limits();
    ensure!(limits.in_flight > 0 && limits.max_batch > 0, "{limits:?}");
    let services: Vec<_> = (0..limits.in_flight * 8).map(|n| at.service(&format!("orders-{n}"))).collect();
    for round in 1..=3 {
        fill(at, &session, &services, round * 5).await?;
    }
    let (peak, most) = ((meter.peak)(), limits.in_flight * facts.calls_at_once + ASIDE);
    at.note(&format!("{peak} calls at once at most, {} scopes at once", limits.in_flight));
    ensure!(peak <= most, "{peak} calls at once, {most} stated");

    // The largest batch, of records as large as they come.
    let service = at.service("large");
    let long = match facts.size_limit {
        Limit::Characters { most, .. } => (most - 120).min(1000),
        Limit::None | Limit::Bytes(_) | Limit::Pair(_) => 1000,
    };
    let records = (0..limits.max_batch).map(|n| {
        let mut record = at.copy(u16::try_from(1000 + n)?);
        record.metadata = [("long".to_owned(), "x".repeat(long))].into();
        record = at.shape.dressed(record);
        Ok(Change::Create(normal(&session, &service, record)?))
    });
    let records: Vec<Change> = records.collect::<Result<_>>()?;
    let began = Instant::now();
    write(&session, &service, &records).await?;
    // Only the number: an error that shows them all helps nobody.
    let count = async || read(&session, &service).await.map(|set| set.records.len());
    until(facts.found_in * 4, "the largest batch", count, |count| *count == limits.max_batch).await?;
    at.note(&format!("a batch of {} records in {:.1?}", limits.max_batch, began.elapsed()));
    session.close().await;
    Ok(())
}
