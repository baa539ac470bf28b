//! Point 19: a provider comes to the address of our copy, and goes again.

use super::apply::{copies, delete};
use crate::corner::{Corner, copy, native, owner};
use crate::look::{normal, read, shown_during, until, write};
use crate::probes::BESIDE;
use crate::subject::Subject;
use anyhow::{Result, ensure};
use causeway_core::{Change, Instance, Set};
use std::time::Duration;
use tokio::time::sleep;

/// 19: both are visible side by side; deleting ours leaves the native alone; a shadow is one entry with it, keeps the
/// address visible when its provider dies, and then reads as ours.
pub async fn beside_ours<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let service = at.service("orders");
    let ours = normal(&session, &service, copy(7101))?;
    let mut there = normal(&session, &service, native(7101))?;
    there.metadata.insert("version".into(), "native".into());
    write(&session, &service, &[Change::Create(ours.clone())]).await?;
    until(facts.found_in, "ours", || at.subject.truth(&service), |list| list.len() == 1).await?;

    // Side by side, and ours goes.
    at.subject.publish("provider", &service, std::slice::from_ref(&there)).await?;
    let shared = session.capabilities().losses.contains_key(BESIDE);
    let beside = if shared { Vec::new() } else { vec![ours.clone()] };
    let both = |set: &Set<Instance>| holds(set, &Some(there.clone()), &beside);
    until(facts.told_in, "both side by side", || read(&session, &service), both).await?;
    let ((), shown) = shown_during(&at.subject, &service, async {
        write(&session, &service, &[delete(&ours)]).await?;
        let alone = |set: &Set<Instance>| holds(set, &Some(there.clone()), &[]);
        until(facts.told_in, "the native alone", || read(&session, &service), alone).await?;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    ensure!(shown.lists().all(|list| list.contains(&there)), "the native: {:?} {:?}", shown.polled, shown.told);
    ensure!(at.subject.truth(&service).await? == [there.clone()], "something is left of ours");
    if !session.capabilities().shadows {
        // What we uphold must not come back over the provider's.
        sleep(facts.told_in).await;
        ensure!(at.subject.truth(&service).await? == [there.clone()], "ours came back");
        return Ok(());
    }

    // Ours again, then its shadow.
    write(&session, &service, &[Change::Create(ours.clone())]).await?;
    until(facts.told_in, "both again", || read(&session, &service), both).await?;
    let ((), shown) = shown_during(&at.subject, &service, async {
        write(&session, &service, &[Change::Shadow(there.clone(), owner())]).await?;
        let one = |list: &Vec<Instance>| *list == [there.clone()];
        until(facts.told_in, "one entry", || at.subject.visible(&service), one).await?;
        let set = read(&session, &service).await?;
        ensure!(holds(&set, &Some(there.clone()), &[]), "a shadow reads as {set:?}");
        sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    ensure!(shown.lists().all(|list| list.contains(&there)), "the native: {:?} {:?}", shown.polled, shown.told);

    // The provider dies; the shadow holds the address.
    let ((), shown) = shown_during(&at.subject, &service, async {
        at.subject.publish("provider", &service, &[]).await?;
        let left = |set: &Set<Instance>| {
            let copies = copies(set);
            let mark = copies.first().and_then(|one| one.mark.clone());
            let known = mark.is_some_and(|mark| mark.owner == owner() && mark.path.is_empty());
            known && copies.len() == 1 && set.records.values().all(|held| held.native.is_none())
        };
        until(facts.told_in, "ours, without a path", || read(&session, &service), left).await?;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    ensure!(shown.lists().all(|list| *list == [there.clone()]), "the shadow: {:?} {:?}", shown.polled, shown.told);

    // It becomes a copy again, and goes when it is deleted.
    let mut bare = there.clone();
    bare.mark = Some(causeway_core::Mark { owner: owner(), path: Vec::new() });
    let again = Instance { mark: ours.mark.clone(), ..there.clone() };
    write(&session, &service, &[Change::Update { from: bare, to: again.clone() }]).await?;
    let marked = |set: &Set<Instance>| holds(set, &None, std::slice::from_ref(&again));
    until(facts.told_in, "a copy with its mark", || read(&session, &service), marked).await?;
    write(&session, &service, &[delete(&again)]).await?;
    until(facts.told_in, "nothing", || at.subject.truth(&service), Vec::is_empty).await?;
    Ok(())
}

/// Whether the service has one address with exactly these.
fn holds(set: &Set<Instance>, native: &Option<Instance>, copies: &[Instance]) -> bool {
    let mut held = set.records.values();
    match (held.next(), held.next()) {
        (Some(one), None) => one.native == *native && one.copies == copies,
        _ => false,
    }
}
