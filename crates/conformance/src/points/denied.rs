//! Points 16 and 17: who may not is told so, and what is denied is not gone.

use crate::corner::{Corner, copy, native};
use crate::follow::{Follow, Item, Why};
use crate::look::{Only, normal, until, write};
use crate::subject::{Subject, Who};
use anyhow::{Result, ensure};
use causeway_core::{Change, Error, Part, ServiceKey};
use std::time::Duration;
use tokio::time::sleep;

/// 16: a wrong password is `Denied`, wherever it is used.
pub async fn wrong_password<S: Subject>(at: &Corner<S>) -> Result<()> {
    let service = at.service("orders");
    at.subject.publish("provider", &service, &[native(7001)]).await?;
    let session = at.open_as(&Who::WrongPassword, std::slice::from_ref(&at.namespace)).await?;
    let follow = Follow::start(&session, &at.select());
    follow.wait(Duration::from_secs(15), "anything", |view| !view.items.is_empty()).await?;
    let looked = session.read(&at.part(), &at.select()).await;
    ensure!(matches!(looked, Err(Error::Denied(_))), "a look: {looked:?}");
    let changes = [Change::Create(normal(&session, &service, copy(7101))?)];
    let written = session.apply(&service, &changes).await;
    ensure!(matches!(written.as_slice(), [Err(Error::Denied(_))]), "a write: {written:?}");
    let prepared = session.prepare(&Part::new(&format!("{}-9", at.namespace)), None).await;
    ensure!(matches!(prepared, Err(Error::Denied(_))), "making a namespace: {prepared:?}");
    sleep(Duration::from_secs(3)).await;
    let view = follow.view();
    ensure!(view.items.iter().all(|item| matches!(item, Item::Lost(_, Why::Denied, _))), "a watch: {:?}", view.items);
    ensure!(view.items.len() <= 5, "the operator is told {} times: {:?}", view.items.len(), view.items);
    Ok(())
}

/// 17: one part denied, or gone altogether: the others go on, and nothing of it counts as removed.
pub async fn one_part<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let other = format!("{}-2", at.namespace);
    at.create_namespace(&other).await?;
    let (here, there) = (at.service("orders"), ServiceKey::new(&other, "G", "orders"));
    at.subject.publish("provider", &here, &[native(7001)]).await?;
    at.subject.publish("provider", &there, &[native(7002)]).await?;
    let administrator = at.open().await?;
    for service in [&here, &there] {
        write(&administrator, service, &[Change::Create(normal(&administrator, service, copy(7101))?)]).await?;
        until(facts.found_in, "both", || at.subject.truth(service), |list| list.len() == 2).await?;
    }
    let both = Only::parts([at.namespace.as_str(), other.as_str()]);
    let follow = Follow::start(&administrator, &both);
    let whole = |view: &crate::View| view.complete.len() == 2;
    follow.wait(Duration::from_secs(10), "both parts", whole).await?;

    // Denied: a user of the first part only.
    let names = [at.namespace.clone(), other.clone()];
    let limited = at.open_as(&Who::Only(at.namespace.clone()), &names).await?;
    at.subject.deny(&other).await?;
    let denied = Follow::start(&limited, &both);
    let (mine, theirs) = (at.part(), Part::new(&other));
    denied.wait(Duration::from_secs(15), "the part that is allowed", |view| view.resets(&mine) >= 1).await?;
    let told = |view: &crate::View| view.losses(&theirs).contains(&Why::Denied);
    denied.wait(Duration::from_secs(10), "that the other is denied", told).await?;
    at.subject.publish("provider", &here, &[native(7001), native(7003)]).await?;
    denied.wait(facts.told_in, "a change beside a denied part", |view| view.natives(&here).len() == 2).await?;
    let view = denied.view();
    ensure!(view.resets(&theirs) == 0, "a denied part was reported whole: {:?}", view.items);
    ensure!(!view.items.iter().any(|item| matches!(item, Item::Removed(_))), "{:?}", view.items);
    let looked = limited.read(&theirs, &both).await;
    ensure!(matches!(looked, Err(Error::Denied(_))), "a look at a denied part: {looked:?}");
    let refused = limited.apply(&there, &[Change::Create(normal(&limited, &there, copy(7102))?)]).await;
    ensure!(matches!(refused.as_slice(), [Err(Error::Denied(_))]), "a write to a denied part: {refused:?}");
    write(&limited, &here, &[Change::Create(normal(&limited, &here, copy(7102))?)]).await?;
    ensure!(at.subject.truth(&there).await?.len() == 2, "something was deleted in the denied part");
    drop(denied);

    // Away: the namespace itself goes.
    at.subject.remove_namespace(&other).await?;
    let away = |view: &crate::View| view.losses(&theirs).contains(&Why::Missing);
    follow.wait(facts.found_in * 2, "that the other is away", away).await?;
    let seen = follow.view().items.len();
    at.subject.publish("provider", &here, &[native(7001)]).await?;
    let changed = |view: &crate::View| view.natives(&here).len() == 1 && view.items.len() > seen;
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
