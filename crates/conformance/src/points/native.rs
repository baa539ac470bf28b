//! Point 19: a provider comes to the address of our copy, and goes again.

use super::apply::{copies, delete};
use crate::corner::{Corner, owner};
use crate::look::{normal, read, shown_during, until, write};
use crate::probes::BESIDE;
use crate::subject::{Session, Subject};
use anyhow::{Result, ensure};
use causeway_core::{Change, Instance, Set};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// 19: both are visible side by side; deleting ours leaves the native alone; a shadow is one entry with it, keeps the
/// address visible when its provider dies, and then reads as ours.
pub async fn beside_ours<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let service = at.service("orders");
    let ours = normal(&session, &service, at.copy(7101))?;
    let mut there = normal(&session, &service, at.native(7101))?;
    there.metadata.insert("build", "native");
    write(&session, &service, &[Change::Create(ours.clone())]).await?;
    until(facts.found_in, "ours", || at.subject.truth(&service), |list| list.len() == 1).await?;

    // Side by side, and ours goes.
    at.subject.publish("provider", &service, std::slice::from_ref(&there)).await?;
    let shared = session.capabilities().losses.contains_key(BESIDE);
    let beside = if shared { Vec::new() } else { vec![ours.clone()] };
    let both = |set: &Set| holds(at, set, &Some(there.clone()), &beside);
    until(facts.told_in, "both side by side", || read(&session, &service), both).await?;
    let ((), shown) = shown_during(&at.subject, &service, async {
        write(&session, &service, &[delete(&ours)]).await?;
        let alone = |set: &Set| holds(at, set, &Some(there.clone()), &[]);
        until(facts.told_in, "the native alone", || read(&session, &service), alone).await?;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    ensure!(shown.lists().all(|list| list.contains(&there)), "the native: {:?} {:?}", shown.polled, shown.told);
    ensure!(at.subject.truth(&service).await? == [there.clone()], "something is left of ours");
    if !session.shadows(&Set::of(service.clone(), [there.clone()]), &there, &owner()) {
        // What we keep alive must not come back over the provider's.
        sleep(facts.told_in).await;
        ensure!(at.subject.truth(&service).await? == [there.clone()], "ours came back");
        return if at.shape.marks { Ok(()) } else { the_same(at, &session).await };
    }

    // Ours again, then its shadow.
    write(&session, &service, &[Change::Create(ours.clone())]).await?;
    until(facts.told_in, "both again", || read(&session, &service), both).await?;
    let ((), shown) = shown_during(&at.subject, &service, async {
        write(&session, &service, &[Change::Shadow(there.clone(), owner())]).await?;
        let one = |list: &Vec<Instance>| *list == [there.clone()];
        until(facts.told_in, "one entry", || at.subject.visible(&service), one).await?;
        let set = read(&session, &service).await?;
        ensure!(holds(at, &set, &Some(there.clone()), &[]), "a shadow reads as {set:?}");
        sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await?;
    ensure!(shown.lists().all(|list| list.contains(&there)), "the native: {:?} {:?}", shown.polled, shown.told);

    // The provider dies; the shadow holds the address.
    let ((), shown) = shown_during(&at.subject, &service, async {
        at.subject.publish("provider", &service, &[]).await?;
        let left = |set: &Set| {
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
    bare.mark = Some(causeway_core::Mark::new(owner(), Vec::new()));
    let again = there.clone().with(|one| one.mark = ours.mark.clone());
    write(&session, &service, &[Change::Update { from: bare, to: again.clone() }]).await?;
    let marked = |set: &Set| holds(at, set, &None, std::slice::from_ref(&again));
    until(facts.told_in, "a copy with its mark", || read(&session, &service), marked).await?;
    write(&session, &service, &[delete(&again)]).await?;
    until(facts.told_in, "nothing", || at.subject.truth(&service), Vec::is_empty).await?;
    if at.shape.marks { Ok(()) } else { the_same(at, &session).await }
}

/// A provider comes with the very record of our copy. Where the two are one, it is the provider's from then on; where
/// they are two, each goes by itself.
async fn the_same<S: Subject>(at: &Corner<S>, session: &Session) -> Result<()> {
    let facts = at.subject.facts();
    let service = at.service("twins");
    let ours = normal(session, &service, at.copy(7101))?;
    let there = at.shape.seen(&ours);
    write(session, &service, &[Change::Create(ours.clone())]).await?;
    at.subject.publish("twin", &service, std::slice::from_ref(&there)).await?;
    let native = |set: &Set| at.shape.natives(set) == [there.clone()];
    until(facts.told_in, "the provider's", || read(session, &service), native).await?;
    for _ in 0..2 {
        write(session, &service, &[delete(&ours)]).await?;
        sleep(Duration::from_millis(200)).await;
        ensure!(at.subject.truth(&service).await? == [there.clone()], "what is the provider's was touched");
    }
    // Nothing is left that we would keep alive in a new session.
    at.subject.publish("twin", &service, &[]).await?;
    until(facts.told_in, "nothing", || at.subject.truth(&service), Vec::is_empty).await?;
    at.subject.evict().await?;
    sleep(facts.told_in).await;
    ensure!(at.subject.truth(&service).await?.is_empty(), "what was withdrawn came back with a new session");
    Ok(())
}

/// Whether the service has one address with exactly these; side by side at one id, where a slot is what was written.
fn holds<S: Subject>(at: &Corner<S>, set: &Set, native: &Option<Instance>, ours: &[Instance]) -> bool {
    let addresses: BTreeSet<_> = set.records.keys().map(|id| &id.endpoint).collect();
    let places = if at.shape.slots { set.records.len() } else { addresses.len() };
    places == 1 && at.shape.natives(set) == Vec::from_iter(native.clone()) && copies(set) == ours
}
