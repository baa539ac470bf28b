//! Points 6, 8, 10 and 11: what a write does, and what it leaves alone.

use crate::View;
use crate::corner::{Corner, mark, owner, stranger};
use crate::look::{Only, normal, read, shown_during, until, write};
use crate::shape::changed;
use crate::subject::{Session, Subject};
use anyhow::{Result, ensure};
use causeway_core::{Change, Error, Evidence, Instance, Mark, Removal, ServiceKey, Set};
use std::time::Duration;
use tokio::time::sleep;

/// A deletion as the engine asks for it.
pub fn delete(record: &Instance) -> Change {
    Change::Delete { record: record.clone(), owner: owner(), why: Removal::Gone { evidence: Evidence::Witnessed } }
}

/// Our copies in a set.
pub fn copies(set: &Set) -> Vec<Instance> {
    set.records.values().flat_map(|held| held.copies.clone()).collect()
}

/// 6: the same changes twice are the same changes once.
pub async fn twice_is_once<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let service = at.service("orders");
    let wanted = [7101, 7102].map(|port| normal(&session, &service, at.copy(port)));
    let wanted = wanted.into_iter().collect::<Result<Vec<_>>>()?;
    let creations: Vec<_> = wanted.iter().cloned().map(Change::Create).collect();
    write(&session, &service, &creations).await?;
    until(facts.found_in, "both", || at.subject.visible(&service), |list| list.len() == 2).await?;
    let ((), shown) = shown_during(&at.subject, &service, async {
        for _ in 0..2 {
            write(&session, &service, &creations).await?;
        }
        let heavy = changed(&session, &wanted[0], 3);
        let update = [Change::Update { from: wanted[0].clone(), to: heavy.clone() }];
        write(&session, &service, &update).await?;
        write(&session, &service, &update).await?;
        let heavier = |list: &Vec<Instance>| list.contains(&at.shape.seen(&heavy));
        until(facts.told_in, "the change", || at.subject.truth(&service), heavier).await?;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    ensure!(shown.lists().all(|list| list.len() == 2), "a repeated write shows: {:?} {:?}", shown.polled, shown.told);
    ensure!(shown.polled.len() <= 2, "one change was seen as {} lists", shown.polled.len());
    ensure!(at.subject.truth(&service).await?.len() == 2);
    for _ in 0..2 {
        write(&session, &service, &[delete(&wanted[0])]).await?;
    }
    let left = until(facts.told_in, "one left", || at.subject.truth(&service), |list| list.len() == 1).await?;
    ensure!(left == [at.shape.seen(&wanted[1])], "{left:?}");
    Ok(())
}

/// 8: records of others in the same service stay as they are, whatever we do beside them.
pub async fn foreign_siblings<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let (ours, theirs) = (at.open().await?, at.open().await?);
    let service = at.service("orders");
    let natives = [normal(&ours, &service, at.native(7001))?, normal(&ours, &service, at.native(7002))?];
    at.subject.publish("one", &service, &natives[..1]).await?;
    at.subject.publish("two", &service, &natives[1..]).await?;
    let foreign = at.native(7003).with(|one| one.mark = Some(Mark::new(stranger(), mark(2).path.clone())));
    let foreign = normal(&theirs, &service, foreign)?;
    write(&theirs, &service, &[Change::Create(foreign.clone())]).await?;
    until(facts.found_in, "all three", || at.subject.visible(&service), |list| list.len() == 3).await?;
    let siblings = [natives[0].clone(), natives[1].clone(), at.shape.seen(&foreign)];
    let ((), shown) = shown_during(&at.subject, &service, async {
        let first = normal(&ours, &service, at.copy(7101))?;
        let second = normal(&ours, &service, at.copy(7102))?;
        write(&ours, &service, &[Change::Create(first.clone()), Change::Create(second.clone())]).await?;
        until(facts.told_in, "five", || at.subject.truth(&service), |list| list.len() == 5).await?;
        let heavy = changed(&ours, &first, 9);
        write(&ours, &service, &[Change::Update { from: first.clone(), to: heavy.clone() }]).await?;
        let heavier = |list: &Vec<Instance>| list.contains(&at.shape.seen(&heavy));
        until(facts.told_in, "the change", || at.subject.truth(&service), heavier).await?;
        write(&ours, &service, &[delete(&heavy), delete(&second)]).await?;
        until(facts.told_in, "three", || at.subject.truth(&service), |list| list.len() == 3).await?;
        sleep(Duration::from_millis(700)).await;
        Ok(())
    })
    .await?;
    let kept = |list: &Vec<Instance>| siblings.iter().all(|one| list.iter().filter(|row| *row == one).count() == 1);
    ensure!(shown.lists().all(kept), "a sibling was touched: {:?} {:?}", shown.polled, shown.told);
    ensure!(kept(&at.subject.truth(&service).await?));
    let set = read(&ours, &service).await?;
    let owners: Vec<_> =
        copies(&set).into_iter().filter_map(|one| one.mark.clone()).map(|mark| mark.owner.clone()).collect();
    let natives = at.shape.natives(&set).len();
    if at.shape.marks {
        ensure!(owners == [stranger()] && natives == 2, "a copy of another install reads as {owners:?}: {set:?}");
    } else {
        ensure!(owners.is_empty() && natives == 3, "a copy of another install is not a native record to us: {set:?}");
    }
    Ok(())
}

/// 10: one bad record of ten spoils none of the others: nine are applied, one is `Rejected`.
pub async fn one_bad_of_ten<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    for bad in [0, 3, 9] {
        let service = at.service(&format!("orders-{bad}"));
        let mut records = good(at, &session, &service)?;
        records[bad] = at.subject.unwelcome(records[bad].clone()).await;
        let changes: Vec<_> = records.iter().cloned().map(Change::Create).collect();
        answered(&session.apply(&service, &changes).await, bad)?;
        let nine = until(facts.found_in, "nine", || at.subject.truth(&service), |list| list.len() == 9).await?;
        ensure!(!nine.iter().any(|row| row.id == records[bad].id), "the bad one stands");

        // Updates of what stands: the bad one stays as it was.
        let service = at.service(&format!("updates-{bad}"));
        let before = good(at, &session, &service)?;
        let creations: Vec<_> = before.iter().cloned().map(Change::Create).collect();
        write(&session, &service, &creations).await?;
        let mut after: Vec<_> = before.iter().map(|one| changed(&session, one, 2)).collect();
        after[bad] = at.subject.unwelcome(after[bad].clone()).await.with(|one| one.id = before[bad].id.clone());
        if session.normalize(&service, after[bad].clone()).is_ok() {
            // Its address is what is wrong with it: there is no bad update at a good address.
            continue;
        }
        let updates: Vec<_> =
            before.iter().zip(&after).map(|(a, b)| Change::Update { from: a.clone(), to: b.clone() }).collect();
        answered(&session.apply(&service, &updates).await, bad)?;
        let seen: Vec<_> = after.iter().map(|one| at.shape.seen(one)).collect();
        let updated = |list: &Vec<Instance>| list.iter().filter(|row| seen.contains(row)).count() == 9;
        let ten = until(facts.told_in, "nine updated", || at.subject.truth(&service), updated).await?;
        let old = at.shape.seen(&before[bad]);
        ensure!(ten.len() == 10 && ten.contains(&old), "the bad one is no longer as it was: {ten:?}");
    }
    Ok(())
}

fn good<S: Subject>(at: &Corner<S>, session: &Session, service: &ServiceKey) -> Result<Vec<Instance>> {
    (7101..7111).map(|port| normal(session, service, at.copy(port))).collect()
}

fn answered(outcomes: &[Result<(), Error>], bad: usize) -> Result<()> {
    ensure!(outcomes.len() == 10, "{} outcomes for ten changes", outcomes.len());
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(()) => ensure!(n != bad, "the bad record was taken"),
            Err(Error::Rejected(why)) => ensure!(n == bad, "number {n} was rejected for {bad}: {why}"),
            Err(error) => anyhow::bail!("number {n}: {error}"),
        }
    }
    Ok(())
}

/// 11: the same service name in two namespaces and two groups is four services. A kind that has only one of either
/// refuses all others, and keeps four services apart that stand close together.
pub async fn no_mixing<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let other = format!("{}-2", at.namespace);
    let session = at.open().await?;
    let keys: Vec<_> = if let Some((namespace, group)) = at.shape.only {
        let others = [(other.as_str(), group), (other.as_str(), "G"), (namespace, "G"), (namespace, "")];
        for key in &others[..if at.shape.groups { 2 } else { 4 }] {
            only_one(at, &session, &at.service_in(key.0, key.1, "orders")).await?;
        }
        let groups = if at.shape.groups { [group, "G"] } else { [group; 2] };
        let near = at.shape.neighbours.into_iter().enumerate();
        near.map(|(n, name)| ServiceKey::new(namespace, groups[n % 2], name)).collect()
    } else {
        at.create_namespace(&other).await?;
        let namespaces = [at.namespace.as_str(), other.as_str()];
        let in_both = |group| namespaces.map(|namespace| at.service_in(namespace, group, "orders"));
        at.groups().into_iter().flat_map(in_both).collect()
    };
    let follow = at.follow(&session, &Only::parts([at.namespace.as_str(), other.as_str()]));
    let mut wanted = Vec::new();
    for (n, key) in (0..).zip(&keys) {
        let there = normal(&session, key, at.native(7001 + n))?;
        let ours = normal(&session, key, at.copy(7101 + n))?;
        at.subject.publish(&format!("provider {n}"), key, std::slice::from_ref(&there)).await?;
        write(&session, key, &[Change::Create(ours.clone())]).await?;
        wanted.push((there, ours));
    }
    let stands = |set: Option<&Set>, (there, ours): &(Instance, Instance), with_copy: bool| {
        set.is_some_and(|set| {
            let ours = if with_copy { vec![ours.clone()] } else { Vec::new() };
            at.shape.natives(set) == [there.clone()] && copies(set) == ours
        })
    };
    let four = |view: &View| keys.iter().zip(&wanted).all(|(key, pair)| stands(view.sets.get(key), pair, true));
    follow.wait(facts.found_in + facts.told_in, "four services", four).await?;
    for (key, pair) in keys.iter().zip(&wanted) {
        ensure!(stands(Some(&read(&session, key).await?), pair, true), "{key} reads wrong");
    }
    write(&session, &keys[2], &[delete(&wanted[2].1)]).await?;
    let three = |view: &View| {
        keys.iter().zip(&wanted).enumerate().all(|(n, (key, pair))| stands(view.sets.get(key), pair, n != 2))
    };
    follow.wait(facts.told_in, "one copy less", three).await?;
    sleep(facts.told_in).await;
    ensure!(three(&follow.view()), "{:?}", follow.view().sets);
    Ok(())
}

/// What is in a namespace or a group that the kind does not have is refused, and not put where it has one.
async fn only_one<S: Subject>(at: &Corner<S>, session: &Session, service: &ServiceKey) -> Result<()> {
    let normalized = session.normalize(service, at.copy(7101));
    ensure!(normalized.is_err(), "{service} is taken, though there is only {:?}", at.shape.only);
    let outcome = session.apply(service, &[Change::Create(at.copy(7101))]).await;
    ensure!(matches!(outcome.as_slice(), [Err(Error::Rejected(_))]), "{service}: {outcome:?}");
    Ok(())
}
