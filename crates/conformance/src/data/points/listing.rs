//! Points 1, 5 and 11: what stands there is told, all of it and nothing else.

use crate::data::corner::{create, replace};
use crate::data::follow::data_only;
use crate::data::{DataCorner, DataFollow, DataItem, DataSubject};
use anyhow::{Context, Result, ensure};
use causeway_core::{Content, Entry, EntryKey};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

/// 1: the first item is a `Reset` of everything that others wrote, however odd its name or its body; a listing says the
/// same, and every entry reads back as it was written.
pub async fn complete<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    ensure!(data.facts() == at.facts.entries, "{:?}", data.facts());
    let empty = DataFollow::start(&data, &at.select());
    empty.wait(Duration::from_secs(10), "an empty part", |view| !view.items.is_empty()).await?;
    ensure!(empty.view().items == [DataItem::Reset(at.part(), 0)], "an empty part: {:?}", empty.view().items);
    drop(empty);

    for (n, name) in at.facts.names.iter().enumerate() {
        at.put(name, &format!("body {n}")).await?;
    }
    for (name, content) in &at.facts.contents {
        at.subject.put(&at.key(name), content).await?;
    }
    let [first, second] = &at.facts.attributes;
    at.subject.put(&at.key("dressed"), &Content { attributes: first.clone(), ..at.body("x") }).await?;
    at.subject
        .put(&at.subject.key("other", "dressed"), &Content { attributes: second.clone(), ..at.body("x") })
        .await?;
    let there = at.subject.all().await?;

    let follow = DataFollow::start(&data, &at.select());
    follow.wait(Duration::from_secs(10), "anything", |view| !view.items.is_empty()).await?;
    let view = follow.view();
    ensure!(view.entries.keys().eq(there.keys()), "told {:?}, of {:?}", view.entries.keys(), there.keys());
    ensure!(view.items[0] == DataItem::Reset(at.part(), there.len()), "the first item is {:?}", view.items[0]);
    let listed = at.list(&data).await?;
    ensure!(stamps(&listed) == stamps(&view.entries), "a listing says {listed:?}, the watch {:?}", view.entries);
    let fresh = at.open().await?;
    ensure!(stamps(&at.list(&fresh).await?) == stamps(&listed), "another connection sees other versions");
    let keys: Vec<_> = there.keys().cloned().collect();
    for (key, found) in keys.iter().zip(data.read(&keys).await) {
        let (entry, content) = found?.with_context(|| format!("{key} was listed and is not there"))?;
        ensure!(content == there[key], "{key}: read {}, written {}", short(&content), short(&there[key]));
        ensure!(entry.stamp == listed[key].stamp, "{key}: version {:?}, listed {:?}", entry.stamp, listed[key].stamp);
        ensure!([0, content.size()].contains(&(listed[key].size as usize)), "{key}: size {}", listed[key].size);
        ensure!(entry.size as usize == content.size(), "{key}: size {} of {}", entry.size, content.size());
    }
    // The same out of our own hands.
    for (name, content) in &at.facts.contents {
        let key = at.key(&format!("{name}-again"));
        let made = at.write(&data, create(&key, content.clone())).await.with_context(|| key.to_string())?;
        let stands = at.subject.get(&key).await?.with_context(|| format!("{key} was not written"))?;
        ensure!(stands.body == content.body, "{key}: {} became {}", short(content), short(&stands));
        let made = made.with_context(|| format!("no entry of {key}"))?;
        let other = at.body("another");
        at.write(&data, replace(&key, &made, other)).await.with_context(|| key.to_string())?;
        let (entry, _) = at.found(&data, &key).await?;
        at.write(&data, replace(&key, &entry, content.clone())).await.with_context(|| key.to_string())?;
        let stands = at.subject.get(&key).await?.with_context(|| format!("{key} was not written"))?;
        ensure!(stands.body == content.body, "{key}: {} became {}", short(content), short(&stands));
    }
    Ok(())
}

fn stamps(entries: &BTreeMap<EntryKey, Entry>) -> BTreeMap<&EntryKey, causeway_core::Stamp> {
    entries.iter().map(|(key, entry)| (key, entry.stamp)).collect()
}

fn short(content: &Content) -> String {
    let begin = content.body.as_deref().map(|body| String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned());
    format!("{begin:?} of {} bytes with {:?}", content.size(), content.attributes)
}

/// 5: a read of very many answers for each, in the order that was asked, also for what is not there.
pub async fn answers_for_each<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    let most = data.limits().max_batch;
    let mut keys = at.subject.fill("many", most.min(64) / 2).await?;
    let there = keys.len();
    keys.extend((there..most).map(|n| at.subject.key("many", &format!("none-{n}"))));
    // Not in the order of their names.
    keys.rotate_left(there / 2);
    keys.reverse();
    let found = data.read(&keys).await;
    ensure!(found.len() == keys.len(), "{} answers to {} questions", found.len(), keys.len());
    for (key, found) in keys.iter().zip(found) {
        match found.with_context(|| format!("reading {key}"))? {
            None => ensure!(key.name.contains("none-"), "{key} is not there"),
            Some((_, content)) => {
                let body = String::from_utf8_lossy(content.body.as_deref().unwrap_or_default()).into_owned();
                ensure!(key.name.ends_with(&body), "{key} reads as {body}");
            }
        }
    }
    ensure!(data.read(&[]).await.is_empty() && data.write(&[]).await.is_empty(), "answers to no question");
    Ok(())
}

/// 11: what is not selected is not told, by a listing, a `Reset` or a change; neither is what is no config entry.
pub async fn selection<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    let (inside, outside) = (at.put("inside", "1").await?, at.subject.key("outside", "a"));
    at.subject.put(&outside, &at.body("1")).await?;
    let strangers = at.subject.strangers().await?;
    let mut without = vec![outside.clone()];
    without.extend(at.facts.entries.shape.parent(&outside));
    let select = at.select_without(&without);
    let follow = DataFollow::start(&data, &select);
    follow.wait(Duration::from_secs(10), "a Reset", |view| view.complete.contains(&at.part())).await?;
    let told = follow.view().entries;
    let all = at.subject.all().await?;
    let wanted: Vec<_> = all.keys().filter(|key| select.takes(key)).collect();
    ensure!(told.keys().eq(wanted.iter().copied()), "told {:?}, there is {wanted:?}", told.keys());
    let listed = data_only(data.list(&select).await?);
    ensure!(listed.keys().eq(told.keys()), "listed {:?}, told {:?}", listed.keys(), told.keys());

    at.subject.put(&outside, &at.body("2")).await?;
    at.subject.put(&at.subject.key("outside", "b"), &at.body("2")).await?;
    let more = at.subject.strangers().await?;
    at.subject.put(&inside, &at.body("2")).await?;
    at.subject.remove(&outside).await?;
    follow.wait(at.facts.told_in, "the change inside", |view| !view.told(&inside).is_empty()).await?;
    sleep(at.facts.told_in).await;
    let view = follow.view();
    let now = at.subject.all().await?;
    // What is no config entry may be told not to stand there, which is true.
    let allowed = |key: &EntryKey| (all.contains_key(key) || now.contains_key(key)) && select.takes(key);
    for item in &view.items {
        if let DataItem::Changed(changes) = item {
            ensure!(
                changes.iter().all(|(key, now)| allowed(key) || (now.is_none() && select.takes(key))),
                "told of others: {changes:?}"
            );
        }
    }
    // Whoever asks for a stranger by its name is not told that it is a config entry.
    for stranger in strangers.iter().chain(&more) {
        ensure!(!view.entries.contains_key(stranger), "{stranger} is no config entry");
    }
    Ok(())
}
