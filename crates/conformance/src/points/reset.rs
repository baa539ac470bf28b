//! Points 1, 3 and 4: complete, empty, missing and unknown are four things.

use crate::corner::Corner;
use crate::follow::{Item, Why};
use crate::look::{Only, normal, read, until, write};
use crate::subject::{Subject, Who};
use crate::{Follow, View};
use anyhow::{Result, ensure};
use causeway_core::{Change, Error, Part, ServiceKey};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// 1: the first item is a complete `Reset`: instances that take no traffic and all groups included.
pub async fn first_item<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let groups = at.groups();
    let services: Vec<ServiceKey> =
        (0..12).map(|n| at.service_in(&at.namespace, groups[n % groups.len()], &format!("orders-{n}"))).collect();
    let mut hidden = at.native(7003).with(|one| one.enabled = false);
    if at.open().await?.normalize(&services[0], hidden.clone()).is_err() {
        // A kind of nothing but what takes traffic; a weight of 0 takes none.
        hidden = at.native(7003).with(|one| one.weight = 0.0);
    }
    let natives = [at.native(7001), at.native(7002), hidden];
    for service in &services {
        at.subject.publish("provider", service, &natives).await?;
    }
    for service in &services {
        let three = |list: &Vec<_>| list.len() == 3;
        until(facts.found_in, "the server knows them", || at.subject.truth(service), three).await?;
    }
    let session = at.open().await?;
    let follow = at.follow(&session, &at.select());
    follow.wait(Duration::from_secs(10), "anything", |view| !view.items.is_empty()).await?;
    let view = follow.view();
    ensure!(view.items[0] == Item::Reset(at.part(), services.len()), "the first item is {:?}", view.items[0]);
    for service in &services {
        let wanted = natives.iter().map(|one| normal(&session, service, one.clone())).collect::<Result<Vec<_>>>()?;
        ensure!(view.natives(service) == wanted, "{service}: {:?}", view.sets.get(service));
    }
    ensure!(view.sets.len() == services.len(), "more than what is there: {:?}", view.sets.keys());
    Ok(())
}

/// 3: a stopped server is an error, never an empty `Reset`; once it is back there is a `Reset` again.
pub async fn stopped_server<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let service = at.service("orders");
    at.subject.publish("provider", &service, &[at.native(7001), at.native(7002)]).await?;
    until(facts.found_in, "the server knows them", || at.subject.truth(&service), |list| list.len() == 2).await?;
    let session = at.open().await?;
    write(&session, &service, &[Change::Create(normal(&session, &service, at.copy(7101))?)]).await?;
    let follow = at.follow(&session, &at.select());
    let whole = |view: &View| view.sets.get(&service).is_some_and(|set| set.records.len() == 3);
    follow.wait(Duration::from_secs(10), "all three", whole).await?;

    let before = follow.view();
    let began = Instant::now();
    at.subject.stop().await?;
    let lost = |view: &View| !view.losses(&at.part()).is_empty();
    follow.wait(facts.lost_in, "that the server has gone", lost).await?;
    at.note(&format!("stopped server noticed within {:.0?}", began.elapsed()));
    sleep(Duration::from_secs(3)).await;
    let down = follow.view();
    ensure!(down.resets(&at.part()) == before.resets(&at.part()), "a Reset of a stopped server: {:?}", down.items);
    let new = &down.items[before.items.len()..];
    ensure!(new.iter().all(|item| matches!(item, Item::Lost(..))), "a stopped server says {new:?}");
    ensure!(down.losses(&at.part()).iter().all(|why| *why == Why::Unavailable), "{:?}", down.items);
    let looked = session.read(&at.part(), &at.select()).await;
    ensure!(matches!(looked, Err(Error::Unavailable(_))), "a look at a stopped server: {looked:?}");
    let written = session.apply(&service, &[Change::Create(at.copy(7102))]).await;
    ensure!(matches!(written.as_slice(), [Err(Error::Unavailable(_))]), "a write to a stopped server: {written:?}");

    at.subject.start().await?;
    let again = |view: &View| view.resets(&at.part()) > before.resets(&at.part());
    let took = follow.wait(Duration::from_secs(30), "a Reset after the start", again).await?;
    let stood = follow.view().sets.values().map(|set| set.records.len()).sum::<usize>();
    at.note(&format!("Reset {took:.0?} after the server was ready, with {stood} records"));
    // The refused write too: what was asked for is published once the server is back.
    let back = |view: &View| view.sets.get(&service).is_some_and(|set| set.records.len() >= 3);
    follow.wait(Duration::from_secs(30), "natives and copies again", back).await?;
    Ok(())
}

/// 4: an empty namespace is an empty `Reset`, a missing one is nothing at all and an error when it is read.
pub async fn empty_is_not_missing<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let missing = format!("{}-no", at.namespace);
    let select = Only::parts([at.namespace.as_str(), missing.as_str()]);
    let session = at.open().await?;
    let follow = at.follow(&session, &select);
    follow.wait(Duration::from_secs(10), "the empty part", |view| view.resets(&at.part()) == 1).await?;
    sleep(facts.found_in).await;
    let view = follow.view();
    ensure!(view.items.contains(&Item::Reset(at.part(), 0)), "{:?}", view.items);
    ensure!(view.resets(&Part::new(&missing)) == 0, "a missing part was reported whole: {:?}", view.items);

    ensure!(session.read(&at.part(), &select).await?.is_empty(), "an empty part is not empty");
    let looked = session.read(&Part::new(&missing), &select).await;
    ensure!(matches!(looked, Err(Error::Missing(_))), "a look at a missing part: {looked:?}");
    ensure!(!session.parts().await?.contains_key(&Part::new(&missing)));

    if at.shape.only.is_some() {
        let prepared = session.prepare(&Part::new(&missing), None).await;
        ensure!(matches!(prepared, Err(Error::Rejected(_))), "a second part in a kind of one: {prepared:?}");
    } else {
        // One that comes later, by our own hand as the engine does it.
        session.prepare(&Part::new(&missing), Some("made later")).await?;
        session.prepare(&Part::new(&missing), Some("made later")).await?;
        let found = |view: &View| view.items.contains(&Item::Reset(Part::new(&missing), 0));
        let took = follow.wait(facts.found_in, "the new part", found).await?;
        at.note(&format!("new namespace seen after {took:.0?}"));
        let parts = session.parts().await?;
        let title = parts.get(&Part::new(&missing)).and_then(Option::as_deref);
        ensure!(title == Some("made later"), "{parts:?}");
        at.subject.remove_namespace(&missing).await?;
    }

    // A service that loses its last instance is empty or gone, never an error.
    let service = at.service("orders");
    at.subject.publish("provider", &service, &[at.native(7001)]).await?;
    follow.wait(facts.found_in, "the instance", |view| view.natives(&service).len() == 1).await?;
    at.subject.publish("provider", &service, &[]).await?;
    follow.wait(facts.told_in, "its end", |view| view.natives(&service).is_empty()).await?;
    ensure!(read(&session, &service).await?.records.is_empty());
    ensure!(follow.view().losses(&at.part()).is_empty(), "{:?}", follow.view().items);
    if at.shape.only.is_some() && at.shape.part_goes { the_only_part(at, &follow).await } else { Ok(()) }
}

/// The one part of a kind that has no others can be missing, too: then it is made like any other.
async fn the_only_part<S: Subject>(at: &Corner<S>, before: &Follow) -> Result<()> {
    let facts = at.subject.facts();
    at.subject.remove_namespace(&at.namespace).await?;
    let away = |view: &View| view.losses(&at.part()) == [Why::Missing];
    before.wait(facts.found_in, "that the part is away", away).await?;
    let session = at.open_as(&Who::Administrator, &[]).await?;
    let follow = at.follow(&session, &at.select());
    follow.wait(Duration::from_secs(10), "that the part is missing", away).await?;
    let looked = session.read(&at.part(), &at.select()).await;
    ensure!(matches!(looked, Err(Error::Missing(_))), "a look at a cluster without its part: {looked:?}");
    ensure!(!session.parts().await?.contains_key(&at.part()));
    let told = before.view().items.len();
    sleep(facts.found_in).await;
    ensure!(before.view().items.len() == told && follow.view().resets(&at.part()) == 0, "{:?}", follow.view().items);
    session.prepare(&at.part(), None).await?;
    session.prepare(&at.part(), None).await?;
    for follow in [before, &follow] {
        let found = |view: &View| view.items.last() == Some(&Item::Reset(at.part(), 0));
        follow.wait(facts.found_in, "the part that was made", found).await?;
    }
    Ok(())
}
