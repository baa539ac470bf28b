//! Points 6, 7, 8 and 10: what is written, what is not, and that the answer says which.

use crate::data::corner::{create, delete, replace};
use crate::data::{Compares, DataCorner, DataSubject};
use anyhow::{Context, Result, ensure};
use causeway_core::{Content, EntryWrite, Error, Expect};

/// 6: what stands as expected is created, replaced and deleted; the answer is the entry as it reads back.
pub async fn reads_back<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    at.put("sibling", "0").await?;
    let key = at.key("ours");
    let attributes = at.facts.attributes[1].clone();
    let content = Content { attributes, ..at.body("one") };
    let made = at.write(&data, create(&key, content.clone())).await?.context("no entry")?;
    ensure!(at.subject.get(&key).await?.as_ref() == Some(&content), "{:?}", at.subject.get(&key).await?);
    let (entry, read) = at.found(&data, &key).await?;
    ensure!(entry.stamp == made.stamp && entry.size == made.size && read == content, "{entry:?} of {made:?}");

    let now = at.write(&data, replace(&key, &made, at.body("another"))).await?.context("no entry")?;
    ensure!(at.text(&key).await?.as_deref() == Some("another"));
    ensure!(now.stamp == at.found(&data, &key).await?.0.stamp && now.stamp != made.stamp);
    ensure!(at.list(&data).await?.get(&key).map(|entry| entry.stamp) == Some(now.stamp));
    // As it is already: fine, and nothing is lost.
    let same = at.write(&data, replace(&key, &now, at.body("another"))).await?.context("no entry")?;
    ensure!(at.found(&data, &key).await?.0.stamp == same.stamp);

    let gone = at.write(&data, delete(&key, &same)).await?;
    ensure!(gone.is_none() && at.subject.get(&key).await?.is_none() && at.read(&data, &key).await?.is_none());
    ensure!(!at.list(&data).await?.contains_key(&key), "a deleted entry is listed");
    let nothing = EntryWrite { expect: Expect::Absent, ..delete(&key, &same) };
    ensure!(at.write(&data, nothing).await?.is_none(), "nothing in the place of nothing");
    let again = at.write(&data, create(&key, at.body("again"))).await?.context("no entry")?;
    ensure!(again.stamp == at.found(&data, &key).await?.0.stamp);
    ensure!(at.text(&at.key("sibling")).await?.as_deref() == Some("0"), "a sibling was touched");
    Ok(())
}

/// 7: what does not stand as expected is a conflict, and stays as it is.
pub async fn quicker_wins<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    let mut writes = Vec::new();
    let mut wanted = Vec::new();
    let mut theirs = async |name: &str, write: &dyn Fn(&_, &_) -> EntryWrite, then: Option<&str>| {
        let key = at.put(name, "before").await?;
        let (entry, _) = at.found(&data, &key).await?;
        match then {
            Some(text) => at.subject.put(&key, &at.body(text)).await?,
            None => at.subject.remove(&key).await?,
        }
        writes.push(write(&key, &entry));
        wanted.push((key, then.map(str::to_owned)));
        anyhow::Ok(())
    };
    theirs("replaced", &|key, entry| replace(key, entry, at.body("ours")), Some("theirs")).await?;
    theirs("replaced-by-ours", &|key, entry| replace(key, entry, at.body("same")), Some("same")).await?;
    theirs("gone", &|key, entry| replace(key, entry, at.body("ours")), None).await?;
    theirs("created", &|key, _| create(key, at.body("ours")), Some("theirs")).await?;
    theirs("deleted", &|key, entry| delete(key, entry), Some("theirs")).await?;
    theirs("gone-too", &|key, entry| delete(key, entry), None).await?;
    let nothing = |key: &_, entry: &_| EntryWrite { expect: Expect::Absent, ..delete(key, entry) };
    theirs("not-nothing", &nothing, Some("theirs")).await?;
    let answers = data.write(&writes).await;
    for ((key, _), answer) in wanted.iter().zip(&answers) {
        ensure!(matches!(answer, Err(Error::Conflict)), "{key}: {answer:?}");
    }
    // One by one, too: some go another way alone.
    for ((key, stands), write) in wanted.iter().zip(writes) {
        let answer = at.write(&data, write).await;
        ensure!(matches!(answer, Err(Error::Conflict)), "{key} alone: {answer:?}");
        ensure!(at.text(key).await? == *stands, "{key} was changed by a write in conflict: {:?}", at.text(key).await?);
    }

    // Attributes are part of a version.
    let key = at.key("dressed");
    let [first, second] = at.facts.attributes.clone();
    at.subject.put(&key, &Content { attributes: first, ..at.body("x") }).await?;
    let (entry, _) = at.found(&data, &key).await?;
    at.subject.dress(&key, &second).await?;
    for write in [replace(&key, &entry, at.body("ours")), delete(&key, &entry)] {
        let answer = at.write(&data, write).await;
        ensure!(matches!(answer, Err(Error::Conflict)), "attributes were changed: {answer:?}");
    }
    let stands = at.subject.get(&key).await?.context("gone")?;
    ensure!(stands == Content { attributes: second, ..at.body("x") }, "{stands:?}");
    Ok(())
}

/// 8: of two who write at the same moment where they saw the same, one wins and the other is told; never both.
pub async fn one_wins<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    const ROUNDS: usize = 25;
    if at.facts.compares == Compares::Nothing {
        at.note("the servers compare nothing");
        return Ok(());
    }
    let (one, two) = (at.open().await?, at.open().await?);
    at.put("ground", "0").await?;
    let key = at.key("contested");
    let mut wins = [0, 0];
    let mut last = None;
    for round in 0..ROUNDS {
        let bodies = [format!("one {round}"), format!("two {round}")];
        let make = |body: &str| match &last {
            None => create(&key, at.body(body)),
            Some(entry) => replace(&key, entry, at.body(body)),
        };
        let answers = tokio::join!(at.write(&one, make(&bodies[0])), at.write(&two, make(&bodies[1])));
        let winner = match &answers {
            (Ok(Some(_)), Err(Error::Conflict)) => 0,
            (Err(Error::Conflict), Ok(Some(_))) => 1,
            _ => anyhow::bail!("round {round}: {answers:?}"),
        };
        wins[winner] += 1;
        ensure!(at.text(&key).await?.as_deref() == Some(&bodies[winner]), "round {round}: the loser's stands");
        last = Some(at.found(&one, &key).await?.0);
        if round % 5 == 4 {
            // Deletions, too, where the kind can be told what must stand there.
            let entry = last.take().context("no entry")?;
            match at.facts.compares == Compares::All {
                true => {
                    let answers = tokio::join!(
                        at.write(&one, delete(&key, &entry)),
                        at.write(&two, replace(&key, &entry, at.body("saved")))
                    );
                    let text = at.text(&key).await?;
                    let told = match &answers {
                        (Ok(None), Err(Error::Conflict)) => text.is_none(),
                        (Err(Error::Conflict), Ok(Some(_))) => text.as_deref() == Some("saved"),
                        _ => false,
                    };
                    ensure!(told, "round {round}: {answers:?}, and {text:?} stands");
                }
                false => drop(at.write(&one, delete(&key, &entry)).await?),
            }
            last = at.read(&one, &key).await?.map(|(entry, _)| entry);
        }
    }
    at.note(&format!("won {wins:?} of {ROUNDS}"));
    Ok(())
}

/// 10: what cannot be held is rejected by itself, whatever it is and wherever it stands among others.
pub async fn one_bad_of_many<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let data = at.open().await?;
    at.put("ground", "0").await?;
    let refused = &at.facts.refused;
    ensure!(!refused.is_empty(), "a kind that holds everything");
    let check = |content: &Content| data.check(&at.key("bad-0"), content);
    ensure!(check(&at.body("good")).is_ok() && refused.iter().any(|content| check(content).is_err()), "said before");
    let mut writes = Vec::new();
    for (n, content) in refused.iter().enumerate() {
        writes.push(create(&at.key(&format!("good-{n}")), at.body("good")));
        writes.push(create(&at.key(&format!("bad-{n}")), content.clone()));
    }
    writes.push(create(&at.key("last"), at.body("good")));
    let answers = data.write(&writes).await;
    ensure!(answers.len() == writes.len(), "{} answers for {} writes", answers.len(), writes.len());
    for (write, answer) in writes.iter().zip(&answers) {
        let bad = write.key.name.contains("bad-");
        match answer {
            Err(Error::Rejected(why)) if bad => at.note(&format!("{}: {why}", write.key)),
            Ok(Some(_)) if !bad => {}
            _ => anyhow::bail!("{}: {answer:?}", write.key),
        }
        ensure!(at.subject.get(&write.key).await?.is_none() == bad, "{}", write.key);
    }
    // The same over what stands: it stays.
    let key = at.key("last");
    for content in refused {
        let (entry, _) = at.found(&data, &key).await?;
        let sibling = at.key("good-0");
        let (other, _) = at.found(&data, &sibling).await?;
        let writes = [replace(&key, &entry, content.clone()), replace(&sibling, &other, at.body("good"))];
        let answers = data.write(&writes).await;
        ensure!(matches!(answers.as_slice(), [Err(Error::Rejected(_)), Ok(Some(_))]), "{answers:?}");
        ensure!(at.text(&key).await?.as_deref() == Some("good"), "what was rejected was written");
    }
    // The connection has come to no harm.
    at.put("after", "1").await?;
    ensure!(at.list(&data).await?.contains_key(&at.key("after")));
    Ok(())
}
