//! Point 9: parents and children.

use crate::data::corner::{create, delete};
use crate::data::{DataCorner, DataSubject};
use anyhow::{Context, Result, ensure};
use causeway_core::{EntryKey, EntryWrite, Error, NameShape};

/// 9: within a call parents go before their children and children before their parents; what lacks a parent is told so,
/// unless it is to be made; what has children stays, with all of them.
pub async fn order<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    if at.facts.entries.shape == NameShape::Flat {
        at.note("no tree");
        return Ok(());
    }
    let data = at.open().await?;
    at.put("ground", "0").await?;
    let ground = at.key("ground");
    let below = |path: &str| EntryKey::path(&format!("{}{path}", ground.name));

    // A missing parent.
    let orphan = at.write(&data, create(&below("/a/b/c"), at.body("x"))).await;
    ensure!(matches!(orphan, Err(Error::Missing(_))), "{orphan:?}");
    ensure!(at.subject.get(&below("/a")).await?.is_none(), "a parent was made");
    let made = EntryWrite { parents: true, ..create(&below("/a/b/c"), at.body("x")) };
    at.write(&data, made).await?.context("no entry")?;
    for path in ["/a", "/a/b"] {
        let parent = at.subject.get(&below(path)).await?.context("no parent")?;
        ensure!(parent.size() == 0, "a parent with data: {parent:?}");
    }
    ensure!(at.text(&below("/a/b/c")).await?.as_deref() == Some("x"));

    // A whole tree in one call, deep and wide, with one that fails in the middle.
    let mut paths = vec!["/t".to_owned()];
    for n in 0..8 {
        paths.push(format!("/t/{n}"));
        paths.push(format!("/t/{n}/x"));
        paths.push(format!("/t/{n}/x/y"));
    }
    at.put("ground", "1").await?;
    let mut writes: Vec<_> = paths.iter().map(|path| create(&below(path), at.body(path))).collect();
    writes.insert(9, create(&below("/none/x"), at.body("x")));
    let answers = data.write(&writes).await;
    for (write, answer) in writes.iter().zip(&answers) {
        let orphan = write.key == below("/none/x");
        ensure!(matches!(answer, Err(Error::Missing(_))) == orphan && answer.is_ok() != orphan, "{answer:?}");
    }
    for path in &paths {
        ensure!(at.text(&below(path)).await?.as_ref() == Some(path), "{path}");
    }

    // What has children stays.
    let (top, _) = at.found(&data, &below("/t")).await?;
    let (three, _) = at.found(&data, &below("/t/3")).await?;
    let refused = data.write(&[delete(&below("/t"), &top), delete(&below("/t/3"), &three)]).await;
    for answer in &refused {
        ensure!(matches!(answer, Err(Error::Conflict | Error::Rejected(_))), "a node with children: {answer:?}");
    }
    for path in &paths {
        ensure!(at.subject.get(&below(path)).await?.is_some(), "{path} has gone with a deletion above it");
    }

    // Children first, all in one call.
    let mut writes = Vec::new();
    for path in paths.iter().rev() {
        let (entry, _) = at.found(&data, &below(path)).await?;
        writes.push(delete(&below(path), &entry));
    }
    let answers = data.write(&writes).await;
    ensure!(answers.iter().all(|answer| matches!(answer, Ok(None))), "{answers:?}");
    ensure!(at.subject.get(&below("/t")).await?.is_none());
    ensure!(at.subject.get(&below("/a/b/c")).await?.is_some());
    Ok(())
}
