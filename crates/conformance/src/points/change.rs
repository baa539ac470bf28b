//! Points 2 and 7: changes are seen, in time, and whatever the field.

use crate::corner::{Corner, copy, native};
use crate::follow::Follow;
use crate::look::{normal, read, until, write};
use crate::subject::Subject;
use anyhow::{Result, ensure};
use causeway_core::{Change, Instance, Record};
use std::time::Duration;

/// 2: a native service, instance, change and removal is seen in time.
pub async fn seen_in_time<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let follow = Follow::start(&session, &at.select());
    follow.wait(Duration::from_secs(10), "the empty part", |view| view.resets(&at.part()) == 1).await?;
    let service = at.service("orders");
    let one = normal(&session, &service, native(7001))?;
    let two = normal(&session, &service, native(7002))?;
    let mut heavy = two.clone();
    heavy.weight = 7.5;
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

type Edit = (&'static str, fn(&mut Instance));

/// One step a field. Every step starts from what the last one left.
const EDITS: [Edit; 9] = [
    ("weight", |one| one.weight = 0.5),
    ("a changed value", |one| drop(one.metadata.insert("version".into(), "2".into()))),
    ("a new key", |one| drop(one.metadata.insert("colour".into(), "green".into()))),
    ("a removed key", |one| drop(one.metadata.remove("zone"))),
    ("the last key removed", |one| one.metadata.clear()),
    ("disabled", |one| one.enabled = false),
    ("enabled", |one| one.enabled = true),
    ("unhealthy", |one| one.healthy = false),
    ("healthy", |one| one.healthy = true),
];

/// 7: a change of one field only travels: from a provider into a watch, and from `apply` to the server.
pub async fn every_field<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let (seen, written) = (at.service("seen"), at.service("written"));
    let mut there = normal(&session, &seen, native(7001))?;
    at.subject.publish("provider", &seen, &[there.clone()]).await?;
    let mut ours = normal(&session, &written, copy(7002))?;
    write(&session, &written, &[Change::Create(ours.clone())]).await?;
    let follow = Follow::start(&session, &at.select());
    follow.wait(facts.found_in + facts.told_in, "the native", |view| view.natives(&seen).len() == 1).await?;
    for (what, edit) in EDITS {
        edit(&mut there);
        at.subject.publish("provider", &seen, &[there.clone()]).await?;
        let arrived = |view: &crate::View| view.natives(&seen) == [there.clone()];
        let limit = if what.ends_with("healthy") { facts.health_in } else { facts.told_in };
        follow.wait(limit, what, arrived).await?;

        let from = ours.clone();
        edit(&mut ours);
        write(&session, &written, &[Change::Update { from, to: ours.clone() }]).await?;
        let stands = |list: &Vec<Instance>| list.len() == 1 && list[0] == ours;
        until(limit, &format!("{what}, written"), || at.subject.truth(&written), stands).await?;
        let set = read(&session, &written).await?;
        let copies: Vec<_> = set.records.values().flat_map(|held| &held.copies).collect();
        ensure!(copies == [&ours], "{what} reads back as {set:?}");
        ensure!(ours.mark().is_some());
    }
    Ok(())
}
