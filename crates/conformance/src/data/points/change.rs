//! Points 2, 3 and 4: what happens is told, with a version that says what was read.

use crate::data::corner::{create, delete, replace};
use crate::data::{DataCorner, DataSubject, DataView};
use crate::look::until;
use anyhow::{Context, Result, ensure};
use causeway_core::{Content, EntryKey, Stamp, StampKind};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn stamp(view: &DataView, key: &EntryKey) -> Option<Stamp> {
    view.entries.get(key).map(|entry| entry.stamp)
}

/// 2: what comes, changes and goes is told in time with its key and a new version, whoever did it; the version is the one
/// that a read shows.
pub async fn told_in_time<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    at.put("resting", "0").await?;
    let follow = at.follow(&data).await?;
    let limit = at.facts.told_in;
    let mut slowest = Duration::ZERO;

    let key = at.put("native", "1").await?;
    slowest = slowest.max(follow.wait(limit, "a new entry", |view| stamp(view, &key).is_some()).await?);
    let first = stamp(&follow.view(), &key);
    ensure!(first == Some(at.found(&data, &key).await?.0.stamp), "another version than is read");
    at.put("native", "2").await?;
    slowest = slowest.max(follow.wait(limit, "a change", |view| stamp(view, &key) != first).await?);
    let second = stamp(&follow.view(), &key);
    ensure!(second == Some(at.found(&data, &key).await?.0.stamp), "another version than is read");
    at.subject.remove(&key).await?;
    slowest = slowest.max(follow.wait(limit, "a deletion", |view| stamp(view, &key).is_none()).await?);
    ensure!(follow.view().told(&key).last() == Some(&None), "{:?}", follow.view().told(&key));
    ensure!(at.read(&data, &key).await?.is_none());
    at.put("native", "2").await?;
    follow.wait(limit, "an entry made anew", |view| stamp(view, &key).is_some()).await?;
    let third = stamp(&follow.view(), &key);
    match data.facts().stamps {
        StampKind::Monotonic => ensure!(third > second, "a version is older than the one before"),
        StampKind::Unique => ensure!(third != second, "an old version has come back"),
        StampKind::ContentHash => ensure!(third == second, "the same content has another version"),
    }

    // By our own hand, through this very port.
    let ours = at.key("ours");
    let made = at.write(&data, create(&ours, at.body("1"))).await?.context("no entry")?;
    slowest = slowest.max(follow.wait(limit, "our own", |view| stamp(view, &ours) == Some(made.stamp)).await?);
    let now = at.write(&data, replace(&ours, &made, at.body("2"))).await?.context("no entry")?;
    ensure!(now.stamp != made.stamp, "a write left the version as it was");
    slowest = slowest.max(follow.wait(limit, "our change", |view| stamp(view, &ours) == Some(now.stamp)).await?);
    at.write(&data, delete(&ours, &now)).await?;
    slowest = slowest.max(follow.wait(limit, "our deletion", |view| stamp(view, &ours).is_none()).await?);

    // A second watch of the same connection hears all, too, and the end of the first is nothing to it.
    let other = at.follow(&data).await?;
    drop(follow);
    let late = at.put("late", "1").await?;
    other.wait(limit, "an entry after the other watch ended", |view| stamp(view, &late).is_some()).await?;
    let untouched = at.key("resting");
    ensure!(other.view().told(&untouched).is_empty(), "told of what rests: {:?}", other.view().told(&untouched));
    at.note(&format!("told within {slowest:.0?}"));
    Ok(())
}

/// 3: a change of attributes alone makes a new version, which is told or at least listed, and reads back.
pub async fn attributes_alone<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    let [first, second] = at.facts.attributes.clone();
    let key = at.key("dressed");
    at.subject.put(&key, &Content { attributes: first.clone(), ..at.body("x") }).await?;
    let follow = at.follow(&data).await?;
    let before = stamp(&follow.view(), &key).context("not told")?;
    ensure!(at.found(&data, &key).await?.1.attributes == first);

    at.subject.dress(&key, &second).await?;
    let listed = async || Ok(at.list(&data).await?.get(&key).map(|entry| entry.stamp));
    until(at.facts.told_in, "a new version in the listing", listed, |now| *now != Some(before)).await?;
    if let Some(limit) = at.facts.attributes_told_in {
        let took = follow.wait(limit, "a new version", |view| stamp(view, &key) != Some(before)).await?;
        at.note(&format!("attributes told after {took:.0?}"));
    }
    let (entry, content) = at.found(&data, &key).await?;
    ensure!(entry.stamp != before && content == Content { attributes: second, ..at.body("x") }, "{content:?}");

    // By our own hand: the body as it is.
    let now = at.write(&data, replace(&key, &entry, Content { attributes: first.clone(), ..at.body("x") })).await?;
    let now = now.context("no entry")?;
    ensure!(now.stamp != entry.stamp, "a write of attributes left the version as it was");
    let stands = at.subject.get(&key).await?.context("gone")?;
    ensure!(stands == Content { attributes: first.clone(), ..at.body("x") }, "{stands:?}");
    ensure!(at.found(&data, &key).await?.0.stamp == now.stamp, "the answer has another version than is read");
    // Attributes that are not named are left.
    let now = at.write(&data, replace(&key, &now, at.body("y"))).await?.context("no entry")?;
    let stands = at.subject.get(&key).await?.context("gone")?;
    ensure!(stands == Content { attributes: first, ..at.body("y") }, "{stands:?}");
    follow.wait(at.facts.told_in, "the last version", |view| stamp(view, &key) == Some(now.stamp)).await?;
    Ok(())
}

/// 4: what is read is of the version that is told with it, while somebody writes as fast as he can.
pub async fn of_its_version<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    const TIME: Duration = Duration::from_secs(2);
    let data = at.open().await?;
    let key = at.put("busy", "0").await?;
    let began = Instant::now();
    let mut seen: BTreeMap<Stamp, Content> = BTreeMap::new();
    let mut backwards = Vec::new();
    let writing = async {
        let mut count = 0_usize;
        while began.elapsed() < TIME {
            count += 1;
            tokio::task::yield_now().await;
            match count % 3 {
                0 => at.subject.dress(&key, &at.facts.attributes[count / 3 % 2]).await?,
                _ => at.subject.put(&key, &at.body(&count.to_string())).await?,
            }
        }
        anyhow::Ok(count)
    };
    let reading = async {
        let mut newest = 0;
        while began.elapsed() < TIME {
            tokio::task::yield_now().await;
            let before = newest;
            // Several at once, so that some of it lies between two answers.
            for found in data.read(&vec![key.clone(); 8]).await {
                let (entry, content) = found?.context("it is not there")?;
                let body = String::from_utf8_lossy(content.body.as_deref().unwrap_or_default()).into_owned();
                let number: usize = body.parse()?;
                if number < before {
                    backwards.push((before, number));
                }
                newest = newest.max(number);
                let before = seen.entry(entry.stamp).or_insert_with(|| content.clone());
                ensure!(*before == content, "one version, two contents: {before:?} and {content:?}");
            }
        }
        anyhow::Ok(())
    };
    let (count, read) = tokio::join!(writing, reading);
    read?;
    at.note(&format!("{} versions read of {} written", seen.len(), count?));
    ensure!(backwards.is_empty(), "an older body after a newer one: {backwards:?}");
    ensure!(seen.len() > 3, "only {} versions were read", seen.len());
    let (entry, _) = at.found(&data, &key).await?;
    let listed = at.list(&data).await?.get(&key).map(|entry| entry.stamp);
    ensure!(listed == Some(entry.stamp), "listed {listed:?}, read {:?}", entry.stamp);
    Ok(())
}
