//! Points 5, 9 and 18: what a record is after the way there and back.

use super::apply::copies;
use crate::corner::{Corner, copy, mark};
use crate::look::{normal, read, until, write};
use crate::probes::{BESIDE, Outcome, Probe, probes};
use crate::subject::{Session, Subject};
use anyhow::{Context, Result, ensure};
use causeway_core::{Attributes, Change, Instance};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

/// 5: what is written reads back, and what cannot be held is declared.
pub async fn reads_back<S: Subject>(at: &Corner<S>) -> Result<()> {
    let (writer, reader) = (at.open().await?, at.open().await?);
    let probes = probes();
    let tried = probes.iter().enumerate().map(|(n, probe)| try_out(at, &writer, &reader, n, probe));
    let lost: BTreeMap<&str, String> = try_join_all(tried)
        .await?
        .into_iter()
        .zip(&probes)
        .filter_map(|(outcome, probe)| match outcome {
            Outcome::Held => None,
            Outcome::Lost(why) => Some((probe.name, why)),
        })
        .collect();
    let declared = &writer.capabilities().losses;
    let undeclared: Vec<_> = lost.iter().filter(|(name, _)| !declared.contains_key(*name)).collect();
    ensure!(undeclared.is_empty(), "lost, and not declared: {undeclared:#?}");
    let unseen: Vec<_> = declared.keys().filter(|name| !lost.contains_key(*name) && **name != BESIDE).collect();
    ensure!(unseen.is_empty(), "declared as lost, and not lost: {unseen:?}");
    at.note(&format!(
        "{} of {} probes held, {} losses as declared",
        probes.len() - lost.len(),
        probes.len(),
        lost.len()
    ));
    Ok(())
}

async fn try_out<S: Subject>(
    at: &Corner<S>,
    writer: &Session,
    reader: &Session,
    n: usize,
    probe: &Probe,
) -> Result<Outcome> {
    let facts = at.subject.facts();
    let service = probe.service(&at.namespace, n);
    let mut wanted = Vec::new();
    for record in &probe.records {
        match writer.normalize(&service, record.clone()) {
            Err(why) => return Ok(Outcome::Lost(format!("refused: {why}"))),
            Ok(held) if !alike(record, &held) => return Ok(Outcome::Lost(format!("held as {held:?}"))),
            Ok(held) => wanted.push(held),
        }
    }
    let again = wanted.iter().map(|held| normal(writer, &service, held.clone())).collect::<Result<Vec<_>>>()?;
    ensure!(again == wanted, "{}: normalizing twice is not normalizing once", probe.name);
    let mut changes: Vec<_> = wanted.iter().cloned().map(Change::Create).collect();
    let from = Attributes::default();
    changes.extend(probe.attributes.clone().map(|to| Change::Scope { from, to }));
    write(writer, &service, &changes).await.with_context(|| format!("probe {}", probe.name))?;
    wanted.sort_by_key(|one| one.id.clone());
    let stands = async |session: &Session| -> Result<bool> {
        let set = read(session, &service).await?;
        let natives = set.records.values().any(|held| held.native.is_some());
        let attributes = probe.attributes.as_ref().is_none_or(|wanted| *wanted == set.attributes);
        Ok(!natives && attributes && copies(&set) == wanted)
    };
    let end = tokio::time::Instant::now() + facts.found_in * 2;
    // The writer knows more than the reader: both must see the same.
    while !(stands(reader).await? && stands(writer).await?) {
        if tokio::time::Instant::now() > end {
            let seen = read(reader, &service).await?;
            return Ok(Outcome::Lost(format!("reads back as {seen:?}, not as {wanted:?}")));
        }
        sleep(Duration::from_millis(100)).await;
    }
    let end = tokio::time::Instant::now() + if probe.is_checked { facts.checked_in } else { Duration::ZERO };
    while tokio::time::Instant::now() < end {
        if !stands(reader).await? {
            return Ok(Outcome::Lost(format!("turns into {:?}", read(reader, &service).await?)));
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(Outcome::Held)
}

/// Whether a kind has changed nothing but a missing slot into its default one.
fn alike(record: &Instance, held: &Instance) -> bool {
    let mut filled = record.clone();
    if filled.id.slot.is_empty() {
        filled.id.slot = held.id.slot.clone();
    }
    filled == *held
}

/// 9: a mark with a path of eight clusters survives, and a copy is known as ours when an operator writes over its mark.
pub async fn mark_survives<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let (session, stranger) = (at.open().await?, at.open().await?);
    let service = at.service("orders");
    let wanted = normal(&session, &service, Instance { mark: Some(mark(8)), ..copy(7101) })?;
    write(&session, &service, &[Change::Create(wanted.clone())]).await?;
    for session in [&session, &stranger] {
        let stands = |set: &_| copies(set) == [wanted.clone()];
        until(facts.found_in, "the mark", || read(session, &service), stands).await?;
    }
    let mut edited = wanted.clone();
    edited.weight = 4.0;
    edited.mark = None;
    edited.metadata.insert(MARK.into(), "written over".into());
    at.subject.edit(&service, &edited).await?;
    let known = |set: &_| {
        let copies = copies(set);
        let by = copies.iter().filter_map(|one| one.mark.as_ref()).find(|mark| mark.owner == crate::corner::owner());
        copies.len() == 1 && copies[0].weight == 4.0 && by.is_some_and(|mark| mark.path.is_empty())
    };
    until(facts.told_in, "ours without its mark", || read(&session, &service), known).await?;
    Ok(())
}

/// The key that connectors with metadata write the mark under.
const MARK: &str = "causeway";

/// 18: metadata of exactly the limit, our mark included, is held; one character more is refused with length and limit.
pub async fn exact_limit<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let service = at.service("orders");
    let Some(limit) = facts.metadata_limit else {
        let mut much = copy(7101);
        much.metadata.insert("much".into(), "x".repeat(100_000));
        let much = normal(&session, &service, much)?;
        write(&session, &service, &[Change::Create(much.clone())]).await?;
        let stands = |set: &_| copies(set) == [much.clone()];
        until(facts.found_in, "100,000 characters", || read(&session, &service), stands).await?;
        at.note("no limit: 100,000 characters read back");
        return Ok(());
    };
    // A letter, one of three bytes, and one of two UTF-16 code units: limits are counted in many ways.
    for (n, fill) in (0..).zip(["x", "漢", "😀"]) {
        let with = |length: usize| {
            let mut record = Instance { mark: Some(mark(3)), ..Instance::new("127.0.0.1", 7101 + n) };
            let size = fill.encode_utf16().count();
            let own = MARK.len() + mark(3).encode().len() + "fill".len();
            let (whole, rest) = ((length - own) / size, (length - own) % size);
            record.metadata.insert("fill".into(), fill.repeat(whole) + &"y".repeat(rest));
            record
        };
        let exact = normal(&session, &service, with(limit))?;
        ensure!(exact.metadata == with(limit).metadata, "something was dropped to make it fit");
        write(&session, &service, &[Change::Create(exact.clone())]).await?;
        let stands = |set: &_| copies(set).contains(&exact);
        until(facts.found_in, "exactly the limit", || read(&session, &service), stands).await?;

        let more = session.normalize(&service, with(limit + 1));
        let why = more.err().context("one more than the limit is taken")?;
        let says = |number: usize| why.contains(&number.to_string());
        ensure!(says(limit) && says(limit + 1), "neither length nor limit is said: {why}");
        if !facts.refuses_more {
            continue;
        }
        let outcome = session.apply(&service, &[Change::Update { from: exact, to: with(limit + 1) }]).await;
        let refused = matches!(outcome.as_slice(), [Err(causeway_core::Error::Rejected(_))]);
        ensure!(refused, "the server itself takes one more: the limit is not its own: {outcome:?}");
    }
    Ok(())
}
