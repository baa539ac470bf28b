//! Points 12, 13 and 16: cut off, unanswered and stopped are neither empty nor done.

use crate::data::corner::{create, delete, replace};
use crate::data::{DataCorner, DataItem, DataSubject, DataView};
use crate::follow::Why;
use crate::look::until;
use crate::tap::cable::Fault;
use anyhow::{Context, Result, ensure};
use causeway_core::{Error, Expect};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// 12: a cut connection is a loss and an error; what happened meanwhile is in the complete `Reset` after it, and no
/// `Reset` is ever less than what stands there.
pub async fn cut<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let (data, line) = at.subject.open_over_line().await?;
    at.answers(&data).await?;
    let kept = at.put("kept", "1").await?;
    let (changed, gone, new) = (at.put("changed", "1").await?, at.put("gone", "1").await?, at.key("new"));
    let follow = at.follow(&data).await?;
    let before = follow.view();
    let (entry, _) = at.found(&data, &kept).await?;

    for round in 0..2 {
        let seen = follow.view();
        line(Fault::Cut);
        let part = at.part();
        let lost = |view: &DataView| view.complete.is_empty() && view.losses(&part).len() > seen.losses(&part).len();
        let took = follow.wait(at.facts.lost_in, "that the connection is cut", lost).await?;
        ensure!(follow.view().losses(&part).last() == Some(&Why::Unavailable), "{:?}", follow.view().items.last());
        let read = data.read(&[kept.clone(), new.clone()]).await;
        ensure!(matches!(read.as_slice(), [Err(Error::Unavailable(_)), Err(Error::Unavailable(_))]), "{read:?}");
        if round == 0 {
            let listed = data.list(&at.select()).await;
            ensure!(matches!(listed, Err(Error::Unavailable(_))), "a listing over a cut line: {listed:?}");
        }
        let writes = [create(&at.key("unwritten"), at.body("x")), delete(&kept, &entry)];
        let written = data.write(&writes).await;
        ensure!(matches!(written.as_slice(), [Err(Error::Unavailable(_)), Err(Error::Unavailable(_))]), "{written:?}");
        if round == 0 {
            at.put("changed", "2").await?;
            at.subject.remove(&gone).await?;
            at.put("new", "1").await?;
        }
        let there = at.subject.all().await?.len();
        line(Fault::None);
        let again = |view: &DataView| view.resets(&part) > seen.resets(&part);
        let back = follow.wait(at.facts.lost_in, "a Reset after the cut", again).await?;
        at.note(&format!("cut noticed after {took:.0?}, complete {back:.0?} after it was repaired"));
        let view = follow.view();
        for item in &view.items[seen.items.len()..] {
            match item {
                DataItem::Reset(_, count) => ensure!(*count == there, "a Reset with {count} of {there}"),
                DataItem::Changed(changes) => anyhow::bail!("{changes:?} over a cut line"),
                DataItem::Lost(..) => {}
            }
        }
        ensure!(view.entries.get(&kept).map(|now| now.stamp) == Some(entry.stamp), "what rests has another version");
    }
    let view = follow.view();
    ensure!(view.entries.get(&changed).map(|now| now.stamp) != before.entries.get(&changed).map(|now| now.stamp));
    ensure!(!view.entries.contains_key(&gone) && view.entries.contains_key(&new));
    ensure!(!view.entries.contains_key(&at.key("unwritten")), "a write that was refused has been made");
    let late = at.put("late", "1").await?;
    follow.wait(at.facts.told_in, "a change after the cut", |view| view.entries.contains_key(&late)).await?;
    Ok(())
}

/// 13: a write whose question or answer is lost on the way is neither done nor refused: nobody knows.
pub async fn no_answer<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let (data, line) = at.subject.open_over_line().await?;
    at.answers(&data).await?;
    let keys = [at.put("one", "before").await?, at.put("two", "before").await?];
    for fault in [Fault::NoQuestions, Fault::LateAnswers] {
        // The connection that was cut in the last round comes back.
        at.answers(&data).await?;
        let mut writes = Vec::new();
        for (n, key) in keys.iter().enumerate() {
            let (entry, _) = at.found(&data, key).await?;
            writes.push(replace(key, &entry, at.body(&format!("{fault:?} {n}"))));
        }
        writes.push(create(&at.key(&format!("{fault:?}")), at.body("new")));
        if !line(fault) {
            at.note(&format!("cannot have {fault:?}"));
            continue;
        }
        let ending = async {
            match fault {
                // It is done, and nobody has been told.
                Fault::LateAnswers => {
                    let done = async || at.text(&keys[0]).await;
                    let is_done = |text: &Option<String>| text.as_deref() == Some("LateAnswers 0");
                    drop(until(Duration::from_secs(10), "the write", done, is_done).await?);
                }
                _ => sleep(Duration::from_millis(500)).await,
            }
            line(Fault::Cut);
            anyhow::Ok(Instant::now())
        };
        let (answers, cut) = tokio::join!(data.write(&writes), ending);
        ensure!(cut?.elapsed() < at.facts.lost_in, "the answer came late");
        ensure!(answers.len() == writes.len(), "{} answers for {} writes", answers.len(), writes.len());
        for (write, answer) in writes.iter().zip(&answers) {
            // What goes beside the first may have been quicker than the cut.
            let is_done = answer.is_ok() && fault == Fault::LateAnswers && write.key != keys[0];
            let is_unknown = matches!(answer, Err(Error::Unavailable(_)));
            ensure!(is_unknown || is_done, "{fault:?}: {}: {answer:?}", write.key);
        }
        line(Fault::None);
        at.answers(&data).await?;
        // A client that asks again by itself would have written it now.
        sleep(Duration::from_secs(1)).await;
        for (write, answer) in writes.iter().zip(&answers) {
            let stands = at.text(&write.key).await?;
            let ours =
                write.to.as_ref().map(|to| String::from_utf8_lossy(to.body.as_deref().unwrap_or_default()).into());
            ensure!(answer.is_err() || stands == ours, "{} is said to be done, and {stands:?} stands", write.key);
            match (&write.expect, fault) {
                (_, Fault::LateAnswers) if write.key == keys[0] => ensure!(stands == ours, "{stands:?}"),
                // Whichever of the others had left is written, and no other.
                (Expect::Absent, _) => ensure!(stands.is_none() || stands == ours, "{stands:?}"),
                _ => ensure!(stands.is_some(), "{} is gone", write.key),
            }
            let read = at.read(&data, &write.key).await?.map(|(_, content)| content.body);
            let there = at.subject.get(&write.key).await?.map(|content| content.body);
            ensure!(read == there, "{}: read {read:?}, there is {there:?}", write.key);
        }
    }
    Ok(())
}

/// 16: a stopped server is an error, never an empty `Reset`; once it is back there is a complete one again.
pub async fn stopped<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let (kept, gone) = (at.put("kept", "1").await?, at.put("gone", "1").await?);
    let data = at.open().await?;
    let follow = at.follow(&data).await?;
    at.subject.remove(&gone).await?;
    follow.wait(at.facts.told_in, "a deletion", |view| !view.entries.contains_key(&gone)).await?;
    let (entry, _) = at.found(&data, &kept).await?;
    let before = follow.view();
    let part = at.part();
    at.subject.stop().await?;
    let lost = |view: &DataView| view.losses(&part).len() > before.losses(&part).len();
    follow.wait(at.facts.lost_in, "that the server has gone", lost).await?;
    let written = at.write(&data, replace(&kept, &entry, at.body("2"))).await;
    ensure!(matches!(written, Err(Error::Unavailable(_))), "a write to a stopped server: {written:?}");
    sleep(Duration::from_secs(2)).await;
    at.subject.start().await?;
    let again = |view: &DataView| view.resets(&part) > before.resets(&part);
    let took = follow.wait(Duration::from_secs(60), "a Reset after the start", again).await?;
    at.note(&format!("Reset {took:.0?} after the server was ready"));
    let there = at.subject.all().await?.len();
    let view = follow.view();
    for item in &view.items[before.items.len()..] {
        match item {
            DataItem::Reset(_, count) => ensure!(*count == there, "a Reset with {count} of {there}"),
            DataItem::Changed(changes) => anyhow::bail!("{changes:?} of a server that was stopped"),
            // A server that was just started may not know its users yet.
            DataItem::Lost(_, why, text) => {
                ensure!(matches!(why, Why::Unavailable | Why::Denied), "{why:?}: {text}");
            }
        }
    }
    let (now, content) = at.found(&data, &kept).await?;
    ensure!(content.body == at.body("1").body, "a write that was refused has been made");
    ensure!(view.entries.get(&kept).map(|entry| entry.stamp) == Some(now.stamp), "{:?}", view.entries.get(&kept));
    ensure!(now.stamp == entry.stamp, "what rests has another version");
    at.write(&data, replace(&kept, &now, at.body("3"))).await?.context("no entry")?;
    follow
        .wait(at.facts.told_in, "our change", |view| view.entries.get(&kept).map(|e| e.stamp) != Some(now.stamp))
        .await?;
    Ok(())
}
