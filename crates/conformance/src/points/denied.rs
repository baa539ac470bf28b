//! Points 16 and 17: who may not is told so, and what is denied is not gone.

use crate::View;
use crate::corner::Corner;
use crate::follow::{Item, Why};
use crate::look::{Only, normal, until, write};
use crate::subject::{Subject, Who};
use anyhow::{Result, ensure};
use causeway_core::{Change, Error, Part};
use std::time::Duration;
use tokio::time::sleep;

/// 16: a wrong password is `Denied`, wherever it is used.
pub async fn wrong_password<S: Subject>(at: &Corner<S>) -> Result<()> {
    let service = at.service("orders");
    at.subject.publish("provider", &service, &[at.native(7001)]).await?;
    let session = at.open_as(&Who::WrongPassword, std::slice::from_ref(&at.namespace)).await?;
    let follow = at.follow(&session, &at.select());
    follow.wait(Duration::from_secs(15), "anything", |view| !view.items.is_empty()).await?;
    let looked = session.read(&at.part(), &at.select()).await;
    ensure!(matches!(looked, Err(Error::Denied(_))), "a look: {looked:?}");
    let changes = [Change::Create(normal(&session, &service, at.copy(7101))?)];
    let written = session.apply(&service, &changes).await;
    ensure!(matches!(written.as_slice(), [Err(Error::Denied(_))]), "a write: {written:?}");
    if at.shape.only.is_none() {
        let prepared = session.prepare(&Part::new(&format!("{}-9", at.namespace)), None).await;
        ensure!(matches!(prepared, Err(Error::Denied(_))), "making a namespace: {prepared:?}");
    }
    sleep(Duration::from_secs(3)).await;
    let view = follow.view();
    ensure!(view.items.iter().all(|item| matches!(item, Item::Lost(_, Why::Denied, _))), "a watch: {:?}", view.items);
    ensure!(view.items.len() <= 5, "the operator is told {} times: {:?}", view.items.len(), view.items);
    Ok(())
}

/// 17: one part denied, or gone altogether: the others go on, and nothing of it counts as removed. Where there is only
/// one part, it is one service of several.
pub async fn one_part<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    if at.shape.only.is_some() {
        return one_service(at).await;
    }
    let other = format!("{}-2", at.namespace);
    at.create_namespace(&other).await?;
    let (here, there) = (at.service("orders"), at.service_in(&other, at.groups()[0], "orders"));
    at.subject.publish("provider", &here, &[at.native(7001)]).await?;
    at.subject.publish("provider", &there, &[at.native(7002)]).await?;
    let administrator = at.open().await?;
    for service in [&here, &there] {
        write(&administrator, service, &[Change::Create(normal(&administrator, service, at.copy(7101))?)]).await?;
        until(facts.found_in, "both", || at.subject.truth(service), |list| list.len() == 2).await?;
    }
    let both = Only::parts([at.namespace.as_str(), other.as_str()]);
    let follow = at.follow(&administrator, &both);
    let whole = |view: &View| view.complete.len() == 2;
    follow.wait(Duration::from_secs(10), "both parts", whole).await?;

    // Denied: a user of the first part only.
    let names = [at.namespace.clone(), other.clone()];
    let limited = at.open_as(&Who::Only(at.namespace.clone()), &names).await?;
    at.subject.deny(&there).await?;
    let denied = at.follow(&limited, &both);
    let (mine, theirs) = (at.part(), Part::new(&other));
    denied.wait(Duration::from_secs(15), "the part that is allowed", |view| view.resets(&mine) >= 1).await?;
    let told = |view: &View| view.losses(&theirs).contains(&Why::Denied);
    denied.wait(Duration::from_secs(10), "that the other is denied", told).await?;
    at.subject.publish("provider", &here, &[at.native(7001), at.native(7003)]).await?;
    denied.wait(facts.told_in, "a change beside a denied part", |view| view.natives(&here).len() == 2).await?;
    let view = denied.view();
    ensure!(view.resets(&theirs) == 0, "a denied part was reported whole: {:?}", view.items);
    ensure!(!view.items.iter().any(|item| matches!(item, Item::Removed(_))), "{:?}", view.items);
    let looked = limited.read(&theirs, &both).await;
    ensure!(matches!(looked, Err(Error::Denied(_))), "a look at a denied part: {looked:?}");
    let refused = limited.apply(&there, &[Change::Create(normal(&limited, &there, at.copy(7102))?)]).await;
    ensure!(matches!(refused.as_slice(), [Err(Error::Denied(_))]), "a write to a denied part: {refused:?}");
    write(&limited, &here, &[Change::Create(normal(&limited, &here, at.copy(7102))?)]).await?;
    ensure!(at.subject.truth(&there).await?.len() == 2, "something was deleted in the denied part");
    drop(denied);

    // Away: the namespace itself goes.
    at.subject.remove_namespace(&other).await?;
    let away = |view: &View| view.losses(&theirs).contains(&Why::Missing);
    follow.wait(facts.found_in * 2, "that the other is away", away).await?;
    let seen = follow.view().items.len();
    at.subject.publish("provider", &here, &[at.native(7001)]).await?;
    let changed = |view: &View| view.natives(&here).len() == 1 && view.items.len() > seen;
    follow.wait(facts.told_in, "a change beside a missing part", changed).await?;
    let view = follow.view();
    let emptied = |item: &Item| match item {
        Item::Reset(part, 0) => *part == theirs,
        Item::Removed(scope) => *scope == there,
        _ => false,
    };
    ensure!(!view.items.iter().any(emptied), "a missing part reads as an empty one: {:?}", view.items);
    Ok(())
}

/// A service that is denied while it is followed stays as it was known, also over a new connection; one that was denied
/// from the start is never shown to be empty by a complete look.
async fn one_service<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let (here, there) = (at.service("orders"), at.service("secrets"));
    at.subject.publish("provider", &here, &[at.native(7001)]).await?;
    at.subject.publish("provider", &there, &[at.native(7002)]).await?;
    let administrator = at.open().await?;
    for service in [&here, &there] {
        write(&administrator, service, &[Change::Create(normal(&administrator, service, at.copy(7101))?)]).await?;
        until(facts.found_in, "both", || at.subject.truth(service), |list| list.len() == 2).await?;
    }
    let names = [at.namespace.clone()];
    let limited = at.open_as(&Who::Only(at.namespace.clone()), &names).await?;
    let known = at.follow(&limited, &at.select());
    let both = |view: &View| view.complete.len() == 1 && view.sets.len() == 2;
    known.wait(Duration::from_secs(10), "both services", both).await?;
    let before = known.view().sets.get(&there).cloned();

    at.subject.deny(&there).await?;
    let late = at.open_as(&Who::Only(at.namespace.clone()), &names).await?;
    let fresh = at.follow(&late, &at.select());
    fresh.wait(Duration::from_secs(10), "the service that is allowed", |view| view.sets.contains_key(&here)).await?;
    for session in [&limited, &late] {
        let looked = session.read(&at.part(), &at.select()).await;
        ensure!(matches!(looked, Err(Error::Denied(_))), "a complete look at what is denied in part: {looked:?}");
        let refused = session.apply(&there, &[Change::Create(normal(session, &there, at.copy(7102))?)]).await;
        ensure!(matches!(refused.as_slice(), [Err(Error::Denied(_))]), "a write to a denied service: {refused:?}");
    }
    at.subject.publish("provider", &here, &[at.native(7001), at.native(7003)]).await?;
    let changed = |view: &View| view.natives(&here).len() >= 2 && view.sets[&here].records.len() == 3;
    for follow in [&known, &fresh] {
        follow.wait(facts.told_in, "a change beside a denied service", changed).await?;
    }
    write(&limited, &here, &[Change::Create(normal(&limited, &here, at.copy(7102))?)]).await?;

    // A new connection lists everything again, and finds less than it knows.
    let resets = known.view().resets(&at.part());
    at.subject.stop().await?;
    known.wait(facts.lost_in, "that the server has gone", |view| view.complete.is_empty()).await?;
    at.subject.start().await?;
    let again = |view: &View| view.resets(&at.part()) > resets;
    known.wait(Duration::from_secs(30), "a Reset after the start", again).await?;
    for follow in [&known, &fresh] {
        let view = follow.view();
        ensure!(!view.items.iter().any(|item| matches!(item, Item::Removed(_))), "{:?}", view.items);
        ensure!(!view.losses(&at.part()).contains(&Why::Denied), "one service denies all: {:?}", view.items);
    }
    ensure!(
        known.view().sets.get(&there) == before.as_ref(),
        "what is denied now has changed: {:?}",
        known.view().sets
    );
    ensure!(at.subject.truth(&there).await?.len() == 2, "something was deleted in the denied service");
    Ok(())
}
