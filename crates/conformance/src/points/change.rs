//! Points 2 and 7: changes are seen, in time, and whatever the field.

use super::apply::{copies, delete};
use crate::corner::Corner;
use crate::look::{normal, read, until, write};
use crate::probes::{DISABLED, PERSISTENT, UNHEALTHY, WEIGHT};
use crate::shape::changed;
use crate::subject::{Session, Subject};
use anyhow::{Result, ensure};
use causeway_core::{Change, Instance, Set};
use std::time::Duration;

/// 2: a native service, instance, change and removal is seen in time.
pub async fn seen_in_time<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let follow = at.follow(&session, &at.select());
    follow.wait(Duration::from_secs(10), "the empty part", |view| view.resets(&at.part()) == 1).await?;
    let service = at.service("orders");
    let one = normal(&session, &service, at.native(7001))?;
    let two = normal(&session, &service, at.native(7002))?;
    let heavy = changed(&session, &two, 7);
    let steps: [(&str, Duration, Vec<Instance>); 5] = [
        ("new service", facts.found_in, vec![one.clone()]),
        ("new instance", facts.told_in, vec![one.clone(), two]),
        ("changed instance", facts.told_in, vec![one.clone(), heavy]),
        ("removed instance", facts.told_in, vec![one]),
        ("removed service", facts.told_in, Vec::new()),
    ];
    let mut times = Vec::new();
    for (what, limit, wanted) in steps {
        let began = std::time::Instant::now();
        at.subject.publish("provider", &service, &wanted).await?;
        follow.wait(limit, what, |view| view.natives(&service) == wanted).await?;
        times.push(format!("{what} {:.0?}", began.elapsed()));
    }
    at.note(&times.join(", "));
    Ok(())
}

/// What is changed, the loss of a kind that has no place for it, and the change itself.
type Edit = (&'static str, Option<&'static str>, fn(&mut Instance));

/// One step a field. Every step starts from what the last one left.
const EDITS: [Edit; 9] = [
    ("weight", Some(WEIGHT), |one| one.weight = 0.5),
    ("a changed value", None, |one| drop(one.metadata.insert("build", "2"))),
    ("a new key", None, |one| drop(one.metadata.insert("colour", "green"))),
    ("a removed key", None, |one| drop(one.metadata.remove("zone"))),
    ("the last key removed", None, |one| one.metadata.clear()),
    ("disabled", Some(DISABLED), |one| one.enabled = false),
    ("enabled", Some(DISABLED), |one| one.enabled = true),
    ("unhealthy", Some(UNHEALTHY), |one| one.healthy = false),
    ("healthy", Some(UNHEALTHY), |one| one.healthy = true),
];

/// 7: a change of one field only travels: from a provider into a watch, and from `apply` to the server. A field that
/// the kind declares as lost is left out.
pub async fn every_field<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let (seen, written) = (at.service("seen"), at.service("written"));
    let mut there = normal(&session, &seen, at.native(7001))?;
    at.subject.publish("provider", &seen, &[there.clone()]).await?;
    let mut ours = normal(&session, &written, at.copy(7002))?;
    write(&session, &written, &[Change::Create(ours.clone())]).await?;
    let follow = at.follow(&session, &at.select());
    follow.wait(facts.found_in + facts.told_in, "the native", |view| view.natives(&seen).len() == 1).await?;
    for (what, lost, edit) in EDITS {
        if let Some(lost) = lost.filter(|lost| session.capabilities().losses.contains_key(lost)) {
            at.note(&format!("{what}: not held, as declared ({lost})"));
            continue;
        }
        edit(&mut there);
        there = at.shape.dressed(there);
        at.subject.publish("provider", &seen, &[there.clone()]).await?;
        let arrived = |view: &crate::View| view.natives(&seen) == [there.clone()];
        let limit = if what.ends_with("healthy") { facts.health_in } else { facts.told_in };
        follow.wait(limit, what, arrived).await?;

        let from = ours.clone();
        edit(&mut ours);
        ours = at.shape.dressed(ours);
        write(&session, &written, &[Change::Update { from, to: ours.clone() }]).await?;
        let stands = |list: &Vec<Instance>| *list == [at.shape.seen(&ours)];
        until(limit, &format!("{what}, written"), || at.subject.truth(&written), stands).await?;
        let set = read(&session, &written).await?;
        let copies: Vec<_> = set.records.values().flat_map(|held| &held.copies).collect();
        ensure!(copies == [&ours], "{what} reads back as {set:?}");
        ensure!(ours.mark().is_some());
    }
    if session.capabilities().losses.contains_key(PERSISTENT) { Ok(()) } else { persistent(at, &session).await }
}

/// The same of a record that does not go with us: what is written over, and withdrawn again, by whom it may be.
async fn persistent<S: Subject>(at: &Corner<S>, session: &Session) -> Result<()> {
    let facts = at.subject.facts();
    let service = at.service("kept");
    let before = normal(session, &service, at.copy(7003).with(|one| one.ephemeral = false))?;
    write(session, &service, &[Change::Create(before.clone())]).await?;
    let mut after = before.clone();
    after.metadata.insert("build", "2");
    write(session, &service, &[Change::Update { from: before, to: after.clone() }]).await?;
    // Its health may be the server's own affair.
    let stands = |list: &Vec<Instance>| match list.as_slice() {
        [one] => !one.ephemeral && one.metadata == at.shape.seen(&after).metadata,
        _ => false,
    };
    until(facts.found_in, "a persistent one, changed", || at.subject.truth(&service), stands).await?;
    let ours = |set: &Set| copies(set).iter().any(|one| one.metadata == after.metadata);
    until(facts.told_in, "it is ours", || read(session, &service), ours).await?;
    write(session, &service, &[delete(&after)]).await?;
    until(facts.told_in, "it is gone", || at.subject.truth(&service), Vec::is_empty).await?;
    Ok(())
}
