//! Points 12 and 13: what we write stays, and passes from one process to the next without a gap.

use super::apply::copies;
use crate::corner::{Corner, owner};
use crate::look::{normal, read, shown_during, until, write};
use crate::shape::changed;
use crate::subject::{Session, Subject};
use anyhow::{Context, Result, ensure};
use causeway_core::{Change, Error, Instance, ServiceKey, Written, WrittenRecord};
use std::time::{Duration, Instant};
use tokio::time::sleep;

async fn written<S: Subject>(at: &Corner<S>, session: &Session, service: &ServiceKey) -> Result<Vec<Instance>> {
    let records = [7101, 7102, 7103].map(|port| normal(session, service, at.copy(port)));
    let records = records.into_iter().collect::<Result<Vec<_>>>()?;
    let creations: Vec<_> = records.iter().cloned().map(Change::Create).collect();
    write(session, service, &creations).await?;
    Ok(records)
}

/// 12: a copy is there as long as we keep alive it, comes back when the server has forgotten us, and is after our end gone or
/// kept, as the kind says.
pub async fn outlives_expiry<S: Subject>(at: &Corner<S>, times: u32) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let service = at.service("orders");
    let records = written(at, &session, &service).await?;
    until(facts.found_in, "all", || at.subject.visible(&service), |list| list.len() == 3).await?;
    let time = facts.expiry.map_or(Duration::from_secs(1), |expiry| expiry * times + Duration::from_secs(2));
    let ((), shown) = shown_during(&at.subject, &service, async {
        sleep(time).await;
        Ok(())
    })
    .await?;
    let seen: Vec<_> = records.iter().map(|one| at.shape.seen(one)).collect();
    let whole = |list: &Vec<Instance>| seen.iter().all(|one| list.contains(one)) && list.len() == seen.len();
    ensure!(shown.lists().all(whole), "not all there all the time: {:?} {:?}", shown.polled, shown.told);
    at.note(&format!("there in {} looks over {time:.0?}", shown.looks));
    if at.subject.evict().await? {
        let began = Instant::now();
        until(facts.told_in + facts.found_in, "all again", || at.subject.truth(&service), whole).await?;
        at.note(&format!("all again {:.0?} into the session after the one that was ended", began.elapsed()));
        until(facts.told_in, "ours", || read(&session, &service), |set| copies(set) == records).await?;
    }
    session.close().await;
    if session.capabilities().keeps {
        sleep(facts.expiry.unwrap_or(Duration::from_secs(1)).min(facts.ends_in)).await;
        ensure!(whole(&at.subject.visible(&service).await?), "not kept after our end, though the kind says so");
    } else {
        until(facts.ends_in, "gone after our end", || at.subject.truth(&service), Vec::is_empty).await?;
    }
    Ok(())
}

/// 13: a second process takes over what a first one wrote, and subscribers see nothing of it.
pub async fn adopted<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let first = at.open().await?;
    let service = at.service("orders");
    let records = written(at, &first, &service).await?;
    until(facts.found_in, "all", || at.subject.visible(&service), |list| list.len() == 3).await?;
    let list = records.iter().map(|record| {
        let record = record.clone();
        (record.id(), WrittenRecord { record, owner: owner(), shadow: false, before: None, over: None })
    });
    let ledger = [(service.clone(), Written { records: list.collect(), attributes: None })];
    let second = at.open_next().await?;
    let ((), shown) = shown_during(&at.subject, &service, async {
        let end = tokio::time::Instant::now() + Duration::from_secs(10);
        while let Err(error) = second.adopt(&ledger).await {
            ensure!(matches!(error, Error::Unavailable(_)), "adopting: {error}");
            ensure!(tokio::time::Instant::now() < end, "not adopted in time: {error}");
            sleep(Duration::from_millis(100)).await;
        }
        first.close().await;
        sleep(facts.told_in + Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    let seen: Vec<_> = records.iter().map(|one| at.shape.seen(one)).collect();
    let whole = |list: &Vec<Instance>| list.len() == 3 && seen.iter().all(|one| list.contains(one));
    ensure!(shown.lists().all(whole), "seen: {:?} {:?}", shown.polled, shown.told);
    // The session passes from one to the other as it is: that is no event at all.
    ensure!(at.shape.marks || shown.told.len() <= 1, "subscribers were told: {:?}", shown.told);
    at.note(&format!("nothing seen in {} looks and {} pushes", shown.looks, shown.told.len()));
    ensure!(copies(&read(&second, &service).await?) == records, "the second session does not know them as ours");

    // The second one holds them alone, and can change them.
    let heavy = changed(&second, &records[0], 5);
    write(&second, &service, &[Change::Update { from: records[0].clone(), to: heavy.clone() }]).await?;
    let stands = |list: &Vec<Instance>| list.len() == 3 && list.contains(&at.shape.seen(&heavy));
    until(facts.told_in, "the update", || at.subject.truth(&service), stands).await.context("after adopting")?;
    Ok(())
}
