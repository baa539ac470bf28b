//! Point 14: one change among very many costs what one change costs.

use crate::data::{DataCorner, DataFollow, DataItem, DataSubject};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// 14: everything is listed in as many calls as the kind states; then one entry changes, and the others are not read
/// again.
pub async fn one_of_many<S: DataSubject>(at: &DataCorner<S>) -> Result<()> {
    let (count, most) = at.facts.many;
    let began = Instant::now();
    let keys = at.subject.fill("many", count).await?;
    at.note(&format!("{count} made in {:.1?}", began.elapsed()));
    // What is younger is read again where versions are no finer than seconds.
    sleep(Duration::from_secs(3)).await;
    let (data, meter) = at.subject.open_metered().await?;
    let began = Instant::now();
    let part = at.part();
    let follow = DataFollow::start(&data, &at.select());
    follow.wait(Duration::from_secs(120), "everything", |view| view.complete.contains(&part)).await?;
    let listed = (meter.calls)();
    at.note(&format!("listed in {:.1?} with {listed} calls", began.elapsed()));
    let told = follow.view().entries;
    ensure!(keys.iter().all(|key| told.contains_key(key)), "{} of {count} were told", told.len());
    ensure!(listed <= at.facts.calls_to_list, "{listed} calls to list, {} stated", at.facts.calls_to_list);

    sleep(Duration::from_secs(4)).await;
    let before = (meter.calls)();
    let one = &keys[count / 2];
    at.subject.put(one, &at.body("changed")).await?;
    // Where everything is looked at again and again, so much of it takes longer.
    let took = follow.wait(at.facts.told_in * 2, "the one change", |view| !view.told(one).is_empty()).await?;
    sleep(at.facts.told_in.saturating_sub(took)).await;
    let calls = (meter.calls)() - before;
    at.note(&format!("one change told after {took:.0?}, with {calls} calls in {:?}", at.facts.told_in));
    ensure!(calls <= most, "{calls} calls for one change, {most} stated");
    let items = follow.view().items;
    let only = |item: &DataItem| match item {
        DataItem::Changed(changes) => changes.iter().all(|(key, _)| key == one),
        _ => false,
    };
    ensure!(items[1..].iter().all(only), "others were told, too: {:?}", &items[1..]);
    Ok(())
}
