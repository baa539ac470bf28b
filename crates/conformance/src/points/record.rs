//! Points 5, 9 and 18: what a record is after the way there and back.

use super::apply::copies;
use crate::corner::{Corner, mark, owner};
use crate::look::{normal, read, until, write};
use crate::probes::{BESIDE, Outcome, Probe, UNHEALTHY, probes};
use crate::shape::changed;
use crate::subject::{Limit, Session, Subject};
use anyhow::{Context, Result, ensure};
use causeway_core::{Attributes, Change, Error, Instance, Mark, OwnerId, ServiceKey, Set};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

/// 5: what is written reads back, and what cannot be held is declared.
pub async fn reads_back<S: Subject>(at: &Corner<S>) -> Result<()> {
    let (writer, reader) = (at.open().await?, at.open().await?);
    // Where a group is one of a service's instances, no group is a place that somebody else has made.
    let is_place = |probe: &Probe| probe.group == Some("") && at.shape.groups;
    let probes: Vec<_> = probes().into_iter().filter(|probe| !is_place(probe)).collect();
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
    let service = probe.service(at, n);
    let mut wanted = Vec::new();
    // A server that has its own view of health calls them unhealthy, and the others may have no word for that.
    let well = probe.is_checked && writer.capabilities().losses.contains_key(UNHEALTHY);
    for record in &probe.records(at) {
        let record = &record.clone().with(|one| one.healthy = record.healthy || well);
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
    changes.extend(probe.attributes.clone().map(|to| Change::Scope { from, to, owner: owner() }));
    write(writer, &service, &changes).await.with_context(|| format!("probe {}", probe.name))?;
    wanted.sort_by_key(|one| one.id.clone());
    let attributes = |set: &Set| probe.attributes.as_ref().is_none_or(|wanted| Some(wanted) == set.attributes.as_ref());
    let known = |set: &Set| at.shape.natives(set).is_empty() && attributes(set) && copies(set) == wanted;
    let stands = async |session: &Session| -> Result<bool> {
        let set = read(session, &service).await?;
        match at.shape.marks {
            true => Ok(known(&set)),
            false => Ok(attributes(&set) && shown(at, probe, &service, &set, &wanted).await?),
        }
    };
    let end = tokio::time::Instant::now() + facts.found_in * 2;
    // The writer knows more than the reader: both must see the same.
    while !(stands(reader).await? && known(&read(writer, &service).await?)) {
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

/// Whether others see what was written, who cannot know it as ours: a connector of another install, and the vendor's own
/// client.
async fn shown<S: Subject>(
    at: &Corner<S>,
    probe: &Probe,
    service: &ServiceKey,
    set: &Set,
    wanted: &[Instance],
) -> Result<bool> {
    let sorted = |mut list: Vec<Instance>| {
        list.sort_by(|a, b| (&a.id, &a.metadata).cmp(&(&b.id, &b.metadata)));
        list
    };
    let seen = sorted(wanted.iter().map(|one| at.shape.seen(one)).collect());
    let slots = || set.records.keys().map(|id| &id.slot).eq(wanted.iter().map(|one| &one.id.slot));
    Ok(copies(set).is_empty()
        && sorted(at.shape.natives(set)) == seen
        && (!probe.is_slot || slots())
        && sorted(at.subject.truth(service).await?) == seen)
}

/// Whether a kind has changed nothing but a missing slot into its default one.
fn alike(record: &Instance, held: &Instance) -> bool {
    let mut filled = record.clone();
    if filled.id.slot.is_empty() {
        filled.id.slot = held.id.slot.clone();
    }
    filled == *held
}

/// 9: a mark with a path of eight clusters survives, and a copy is known as ours when an operator writes over its mark;
/// where no mark is written, when he writes over the record, and in the next process when nothing was remembered.
pub async fn mark_survives<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let (stranger, session) = (at.open().await?, at.open().await?);
    let service = at.service("orders");
    let wanted = normal(&session, &service, at.copy(7101).with(|one| one.mark = Some(mark(8))))?;
    write(&session, &service, &[Change::Create(wanted.clone())]).await?;
    let stands = |set: &_| copies(set) == [wanted.clone()];
    until(facts.found_in, "the mark", || read(&session, &service), stands).await?;
    let told = |set: &_| match at.shape.marks {
        true => stands(set),
        false => copies(set).is_empty() && at.shape.natives(set) == [at.shape.seen(&wanted)],
    };
    until(facts.found_in, "the copy, elsewhere", || read(&stranger, &service), told).await?;
    // The path goes with what was written. Without that, only whose it is can be told.
    let known = |set: &Set, like: &Instance, mark: &Mark| {
        let copies = copies(set);
        let alike =
            |one: &Instance| one.weight == like.weight && one.metadata.get("number") == like.metadata.get("number");
        copies.len() == 1 && alike(&copies[0]) && copies[0].mark.as_ref() == Some(mark)
    };
    let mut edited = changed(&session, &wanted, 4).with(|one| one.mark = None);
    if at.shape.marks {
        edited.metadata.insert(MARK, "written over");
    }
    let by = |path: &Mark| if at.shape.marks { Mark::new(path.owner.clone(), Vec::new()) } else { path.clone() };
    let edited = if at.subject.edit(&service, &edited).await? { edited } else { wanted };
    let ours = |set: &_| known(set, &edited, &by(&mark(8)));
    until(facts.told_in, "ours, written over", || read(&session, &service), ours).await?;
    if !at.shape.marks {
        let next = at.open_next().await?;
        let lost = Mark::new(OwnerId::lost(&owner().install), Vec::new());
        let ours = |set: &_| known(set, &edited, &lost);
        until(facts.found_in, "ours, with nothing remembered", || read(&next, &service), ours).await?;
    }
    Ok(())
}

/// The key that connectors with metadata write the mark under.
const MARK: &str = "causeway";

/// 18: a record of exactly the limit, our mark included, is held; one letter more is refused with length and limit.
pub async fn exact_limit<S: Subject>(at: &Corner<S>) -> Result<()> {
    let session = at.open().await?;
    let service = at.service("orders");
    match at.subject.facts().size_limit {
        Limit::None => {
            held(at, &session, &service, filled(at, 7101, &"x".repeat(100_000))).await?;
            at.note("no limit: 100,000 characters read back");
            Ok(())
        }
        Limit::Characters { most, refuses_more } => characters(at, &session, &service, most, refuses_more).await,
        Limit::Bytes(most) => bytes(at, &session, &service, most).await,
        Limit::Pair(most) => pair(at, &session, &service, most).await,
    }
}

async fn pair<S: Subject>(at: &Corner<S>, session: &Session, service: &ServiceKey, most: usize) -> Result<()> {
    let record = |letters: usize| filled(at, 7101, &"x".repeat(letters - "fill".len()));
    held(at, session, service, record(most)).await?;
    let longer = normal(session, service, record(most + 1))?;
    ensure!(longer.metadata.get("fill").is_none(), "a pair of one byte more is not left out");
    Ok(())
}

fn filled<S: Subject>(at: &Corner<S>, port: u16, text: &str) -> Instance {
    let mut record = Instance::new("127.0.0.1", port).with(|one| one.mark = Some(mark(3)));
    record.metadata.insert("fill", text.to_owned());
    at.shape.dressed(record)
}

/// Writes a record, which must read back with nothing dropped to make it fit.
async fn held<S: Subject>(
    at: &Corner<S>,
    session: &Session,
    service: &ServiceKey,
    record: Instance,
) -> Result<Instance> {
    let exact = normal(session, service, record.clone())?;
    ensure!(exact.metadata == record.metadata, "something was dropped to make it fit");
    write(session, service, &[Change::Create(exact.clone())]).await?;
    // Only yes or no: an error that shows them helps nobody.
    let stands = async || Ok(copies(&read(session, service).await?).contains(&exact));
    until(at.subject.facts().found_in, "exactly the limit", stands, |stands| *stands).await?;
    Ok(exact)
}

fn refused(session: &Session, service: &ServiceKey, record: Instance, length: usize, limit: usize) -> Result<()> {
    let why = session.normalize(service, record).err().context("one more than the limit is taken")?;
    let says = |number: usize| why.contains(&number.to_string());
    ensure!(says(limit) && says(length), "neither length nor limit is said: {why}");
    Ok(())
}

async fn characters<S: Subject>(
    at: &Corner<S>,
    session: &Session,
    service: &ServiceKey,
    limit: usize,
    refuses_more: bool,
) -> Result<()> {
    // A letter, one of three bytes, and one of two UTF-16 code units: limits are counted in many ways.
    for (n, fill) in (0..).zip(["x", "漢", "😀"]) {
        let with = |length: usize| {
            let size = fill.encode_utf16().count();
            let own = MARK.len() + mark(3).encode().len() + "fill".len();
            let (whole, rest) = ((length - own) / size, (length - own) % size);
            filled(at, 7101 + n, &(fill.repeat(whole) + &"y".repeat(rest)))
        };
        let exact = held(at, session, service, with(limit)).await?;
        refused(session, service, with(limit + 1), limit + 1, limit)?;
        if refuses_more {
            let outcome = session.apply(service, &[Change::Update { from: exact, to: with(limit + 1) }]).await;
            let refused = matches!(outcome.as_slice(), [Err(Error::Rejected(_))]);
            ensure!(refused, "the server itself takes one more: the limit is not its own: {outcome:?}");
        }
    }
    Ok(())
}

/// How many bytes the rest of a record has is the kind's own affair: the largest that it takes is looked for.
async fn bytes<S: Subject>(at: &Corner<S>, session: &Session, service: &ServiceKey, limit: usize) -> Result<()> {
    let with = |length: usize| filled(at, 7101, &"x".repeat(length));
    let (mut fits, mut over) = (0, limit + 1);
    while over - fits > 1 {
        let middle = usize::midpoint(fits, over);
        match session.normalize(service, with(middle)) {
            Ok(_) => fits = middle,
            Err(_) => over = middle,
        }
    }
    at.note(&format!("{fits} letters of metadata in {limit} bytes"));
    held(at, session, service, with(fits)).await?;
    refused(session, service, with(over), limit + 1, limit)?;
    // What we refuse ourselves must not reach the server either, which may take it ill.
    let more = filled(at, 7102, &"x".repeat(over));
    let outcome = session.apply(service, &[Change::Create(more)]).await;
    ensure!(matches!(outcome.as_slice(), [Err(Error::Rejected(_))]), "one more is written: {outcome:?}");
    Ok(())
}
