//! Point 15: what is denied is not gone.

use crate::data::corner::{create, replace};
use crate::data::{DataCorner, DataFollow, DataItem, DataSubject, DataView, Login};
use crate::follow::Why;
use anyhow::{Result, ensure};
use causeway_core::{EntryWrite, Error, NameShape};
use std::time::Duration;
use tokio::time::sleep;

/// 15: what may not be read is `Denied`, in every call and in the watch, which says nothing of it until it may: then all
/// is told again. What was known of it is never told to be gone.
pub async fn denied<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let administrator = at.open().await?;
    let (here, there) = (at.put("here", "1").await?, at.put("secret", "1").await?);
    let (entry, _) = at.found(&administrator, &there).await?;
    let (part, all) = (at.part(), at.subject.all().await?.len());
    let limited = at.subject.open(Login::Other).await?;
    at.answers(&limited).await?;
    let known = at.follow(&limited).await?;
    let before = known.view();

    at.subject.deny(&there).await?;
    // Rights may be part of a version.
    let entry = at.found(&administrator, &there).await.map_or(entry, |(entry, _)| entry);
    let late = at.subject.open(Login::Other).await?;
    let fresh = DataFollow::start(&late, &at.select());
    let told = |view: &DataView| view.losses(&part).contains(&Why::Denied);
    fresh.wait(Duration::from_secs(40), "that it is denied", told).await?;
    for data in [&limited, &late] {
        let read = at.read(data, &there).await;
        let is_denied = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Error::Denied(_)));
        ensure!(read.as_ref().err().is_some_and(is_denied), "a read of what is denied: {read:?}");
        let listed = data.list(&at.select()).await;
        ensure!(matches!(listed, Err(Error::Denied(_))), "a listing of what is denied in part: {listed:?}");
        let made = EntryWrite { parents: true, ..create(&at.subject.key("app", "secret/more"), at.body("x")) };
        let made = if at.facts.entries.shape == NameShape::Tree { made } else { create(&at.key("more"), at.body("x")) };
        let writes = [made, replace(&there, &entry, at.body("x"))];
        for answer in data.write(&writes).await {
            ensure!(matches!(answer, Err(Error::Denied(_))), "a write of what is denied: {answer:?}");
        }
    }
    sleep(Duration::from_secs(2)).await;
    for (follow, begin) in [(&known, before.items.len()), (&fresh, 0)] {
        let view = follow.view();
        let gone = |item: &DataItem| match item {
            DataItem::Reset(_, count) => *count < all,
            DataItem::Changed(changes) => changes.iter().any(|(_, now)| now.is_none()),
            DataItem::Lost(_, why, _) => !matches!(why, Why::Denied | Why::Unavailable),
        };
        ensure!(!view.items[begin..].iter().any(gone), "what is denied is not gone: {:?}", &view.items[begin..]);
        ensure!(view.losses(&part).len() <= 5, "the operator is told {} times", view.losses(&part).len());
    }
    ensure!(at.subject.get(&there).await?.is_some(), "it was deleted");

    at.subject.allow(&there).await?;
    // Whoever was there before may not even have heard of it.
    let complete = |view: &DataView| view.complete.contains(&part) && view.entries.len() == all;
    for follow in [&known, &fresh] {
        follow.wait(Duration::from_secs(40), "everything once it may be read", complete).await?;
    }
    at.put("here", "2").await?;
    for follow in [&known, &fresh] {
        let was = before.entries.get(&here).map(|entry| entry.stamp);
        follow.wait(at.facts.told_in, "a change", |view| view.entries.get(&here).map(|now| now.stamp) != was).await?;
    }
    Ok(())
}
