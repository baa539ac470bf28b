//! What one route wants to stand in one scope of its destination.

use crate::services::cluster::Route;
use crate::services::mirror::Witness;
use crate::spec::{RouteSpec, Run};
use causeway_core::{
    Attributes, Choice, ClusterId, Fresh, Held, Instance, InstanceId, Part, ServiceKey, Skip, Wish, Written,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A wish, and what the guard must know about it.
pub(crate) struct Export {
    pub wish: Wish,
    /// The source's parts that speak for the scope.
    pub parts: Vec<Part>,
    /// By the destination's ids.
    pub witnesses: BTreeMap<InstanceId, Witness>,
    /// The clusters that the scope's own attributes came through.
    pub path: Vec<ClusterId>,
    /// Something is to be thought of again then.
    pub again: Option<Instant>,
    /// What is wanted, with the source's ids, before records of one id are told apart.
    wanted: Vec<(InstanceId, Instance)>,
}

/// What `route` wants in `target` now. A draining route wants nothing, and knows it.
pub(crate) fn export(route: &Route, target: &ServiceKey, now: Instant) -> Export {
    let spec = &route.spec;
    let mut export = Export {
        wish: nothing(spec),
        parts: Vec::new(),
        witnesses: BTreeMap::new(),
        path: Vec::new(),
        again: None,
        wanted: Vec::new(),
    };
    if spec.run == Run::Drain {
        export.wish.mode = causeway_core::Mode::Sync;
        return export;
    }
    export.parts = parts_for(route, &target.part());
    {
        let mirror = route.source.mirror.lock();
        let fresh = export.parts.iter().map(|part| match mirror.part(part) {
            Some(state) => state.freshness.at(spec.settle, now),
            None => Fresh::Stale,
        });
        export.wish.fresh = fresh.min().unwrap_or(Fresh::Stale);
    }
    let there = route.destination.ledger.lock().get(target).cloned().unwrap_or_default();
    for scope in route.feeding(target) {
        if route.targets(&scope).contains(target) {
            add(route, &scope, target, &there, now, &mut export);
        }
    }
    settle_ids(route, &there, &mut export);
    export
}

/// Finds an id in the destination for each record that is wanted. Where several have the same one, whichever kind of
/// cluster and however many scopes they come from, the newest stands, and each of the others is named as left alone; of
/// records that say the same there is one.
fn settle_ids(route: &Route, there: &Written, export: &mut Export) {
    let mut by_id: BTreeMap<InstanceId, Vec<(InstanceId, Instance)>> = BTreeMap::new();
    for (source, record) in std::mem::take(&mut export.wanted) {
        by_id.entry(record.id()).or_default().push((source, record));
    }
    let mut again: BTreeMap<InstanceId, Vec<(InstanceId, Instance)>> = BTreeMap::new();
    for (id, mut group) in by_id {
        if group.len() > 1
            && let Some(sink) = &route.destination.sink
        {
            group.sort_by(|(_, a), (_, b)| b.by_age(a));
            let (sources, mut records): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            sink.apart(there, &mut records);
            for (source, record) in sources.into_iter().zip(records) {
                again.entry(record.id()).or_default().push((source, record));
            }
        } else {
            again.entry(id).or_default().extend(group);
        }
    }
    for (id, mut group) in again {
        group.sort_by(|(_, a), (_, b)| b.by_age(a));
        let mut group = group.into_iter();
        let Some((_, stands)) = group.next() else { continue };
        let others = group.filter(|(_, other)| !other.same(&stands));
        export.wish.crowded.extend(others.map(|(source, _)| source));
        export.wish.records.insert(id, stands);
    }
}

/// The wish for nothing.
pub(crate) fn nothing(spec: &RouteSpec) -> Wish {
    Wish {
        owner: spec.owner.clone(),
        mode: spec.mode,
        overrides: spec.overrides,
        fresh: Fresh::Settled,
        records: BTreeMap::new(),
        crowded: BTreeSet::new(),
        refused: BTreeMap::new(),
        edits: BTreeMap::new(),
        witnessed: BTreeSet::new(),
        attributes: None,
    }
}

/// The source's parts that are copied into `target`.
pub(crate) fn parts_for(route: &Route, target: &Part) -> Vec<Part> {
    let known: Vec<_> = {
        let mirror = route.source.mirror.lock();
        mirror.parts().iter().map(|(part, state)| (part.clone(), state.title.clone())).collect()
    };
    let fits = |(part, title): &(Part, Option<std::sync::Arc<str>>)| {
        route.target_part(part) == *target && route.takes_part(part, title.as_deref())
    };
    known.into_iter().filter(fits).map(|(part, _)| part).collect()
}

fn add(route: &Route, scope: &ServiceKey, target: &ServiceKey, there: &Written, now: Instant, export: &mut Export) {
    let (set, witnessed) = {
        let mirror = route.source.mirror.lock();
        let state = mirror.part(&scope.part());
        let witnessed = state.map_or(&[][..], |state| state.witnessed(scope)).to_vec();
        (state.and_then(|state| state.set(scope)).cloned(), witnessed)
    };
    let written = route.source.ledger.lock().get(scope).cloned();
    for (id, witness) in witnessed {
        let id = named(route, scope, target, there, &id, &witness, written.as_deref()).unwrap_or(id);
        export.wish.witnessed.insert(id.clone());
        export.witnesses.insert(id, witness);
    }
    let Some(set) = set else { return };
    let (here, no_place) = (route.source.id(), route.no_place(scope));
    for (id, held) in &set.records {
        let Some(record) = leaving(route, id, held, written.as_deref()) else { continue };
        let (record, undecided) = match route.spec.lens.record(scope, &record) {
            Choice::Take(record) => (record, None),
            Choice::Undecided(record, why) => (record, Some(why)),
            Choice::Leave => continue,
        };
        let record = record.into_born().forwarded(here, &route.spec.owner);
        let looped = record.mark().is_some_and(|mark| mark.path.contains(route.destination.id()));
        let sink = route.destination.sink.as_ref();
        if looped {
            export.wish.refused.insert(id.clone(), Skip::Loop);
            if undecided.is_none()
                && let Some((id, edit)) = edit(route, id, held, written.as_deref(), target)
            {
                match stands(route, scope, now) {
                    Ok(()) => drop(export.wish.edits.insert(id, edit)),
                    Err(at) => export.again = Some(at),
                }
            }
        } else if let Some(why) = &no_place {
            export.wish.refused.insert(id.clone(), Skip::Rejected { why: why.clone() });
        } else if let Some(sink) = sink.filter(|sink| sink.belongs(target, &record)) {
            match (sink.normalize(target, record), undecided) {
                (Ok(record), None) => export.wanted.push((id.clone(), sink.place(there, record))),
                (Ok(record), Some(why)) => {
                    drop(export.wish.refused.insert(sink.place(there, record).id(), Skip::Undecided(why)));
                }
                (Err(why), _) => drop(export.wish.refused.insert(id.clone(), Skip::Rejected { why })),
            }
        }
    }
    attributes(route, set.attributes.as_ref(), written.as_deref(), target, export);
}

/// Whether a copy of a record that was seen to go still stands in the route's destination, as far as the ledger knows.
pub(crate) fn has_copy(route: &Route, scope: &ServiceKey, id: &InstanceId, witness: &Witness) -> bool {
    let written = route.source.ledger.lock().get(scope).cloned();
    let stands_in = |target: &ServiceKey| {
        let Some(there) = route.destination.ledger.lock().get(target).cloned() else { return false };
        let named = named(route, scope, target, &there, id, witness, written.as_deref());
        there.records.contains_key(named.as_ref().unwrap_or(id))
    };
    route.targets(scope).iter().any(stands_in)
}

/// What the destination calls a record that has gone.
fn named(
    route: &Route,
    scope: &ServiceKey,
    target: &ServiceKey,
    there: &Written,
    id: &InstanceId,
    witness: &Witness,
    written: Option<&Written>,
) -> Option<InstanceId> {
    let record = leaving(route, id, &witness.last, written)?;
    let record = route.spec.lens.record(scope, &record).possible()?;
    let sink = route.destination.sink.as_ref()?;
    let record = sink.normalize(target, record.into_born().forwarded(route.source.id(), &route.spec.owner)).ok()?;
    Some(sink.place(there, record).id())
}

/// The record that leaves the cluster from one id: the native, else a copy that may travel on.
fn leaving<'h>(route: &Route, id: &InstanceId, held: &'h Held, written: Option<&Written>) -> Option<Cow<'h, Instance>> {
    if let Some(native) = &held.native {
        return Some(Cow::Borrowed(native));
    }
    let install = &route.spec.owner.install;
    if let Some(copy) = held.copy_of(install) {
        let mark = copy.mark()?;
        if !mark.path.is_empty() {
            return Some(Cow::Borrowed(copy));
        }
        // The written mark is gone, but the ledger knows where the record came from. A shadow has no path of its own:
        // it stays here.
        let record = written?.records.get(id).filter(|record| !record.shadow)?;
        return Some(Cow::Owned(copy.clone().with_mark(record.record.mark().cloned())));
    }
    held.copies.first().filter(|_| route.spec.relay).map(Cow::Borrowed)
}

/// Attributes that we wrote ourselves do not go back where they came from. As long as the source's are not known, those
/// that we wrote stay.
fn attributes(
    route: &Route,
    attributes: Option<&Attributes>,
    written: Option<&Written>,
    target: &ServiceKey,
    export: &mut Export,
) {
    if export.wish.attributes.is_some() {
        return;
    }
    let Some(attributes) = attributes else {
        let there = route.destination.ledger.lock().get(target).cloned();
        if let Some((ours, path)) = there.and_then(|there| there.attributes.clone()) {
            (export.wish.attributes, export.path) = (Some(ours), path);
        }
        return;
    };
    let mut path = match written.and_then(|written| written.attributes.as_ref()) {
        Some((ours, path)) if ours == attributes => path.clone(),
        _ => Vec::new(),
    };
    path.push(route.source.id().clone());
    if !path.contains(route.destination.id()) {
        export.wish.attributes = Some(attributes.clone());
        export.path = path;
    }
}

/// What an operator did to our own copy in the source, laid over the native record that it was made from.
fn edit(
    route: &Route,
    id: &InstanceId,
    held: &Held,
    written: Option<&Written>,
    target: &ServiceKey,
) -> Option<(InstanceId, Instance)> {
    let spec = &route.spec;
    let copy = held.copy_of(&spec.owner.install).filter(|_| spec.overrides == causeway_core::Overrides::Travel)?;
    let written = written?.records.get(id).filter(|written| !written.shadow && written.owner == spec.owner)?;
    let set = route.destination.mirror.lock().set(target).cloned()?;
    let native = set.records.get(id)?.native.clone()?;
    let edited = native.clone().with_edit(&written.record, copy);
    (!edited.same(&native)).then(|| (id.clone(), edited))
}

/// How long after a write of ours a difference may still be a list that lags behind.
const LAG: Duration = Duration::from_secs(2);

/// Whether what a scope shows was read well after our last write to it, so that a difference is somebody's doing. Where it
/// was not, asks for another look, and says when to think again.
fn stands(route: &Route, scope: &ServiceKey, now: Instant) -> Result<(), Instant> {
    let Some(written) = route.source.written.lock().get(scope).copied() else { return Ok(()) };
    let settled = written + LAG;
    if now < settled {
        return Err(settled);
    }
    let part = scope.part();
    let read = {
        let mirror = route.source.mirror.lock();
        let state = mirror.part(&part);
        state.and_then(|state| state.changed(scope)).max(state.and_then(|state| state.looked))
    };
    if read.is_some_and(|read| read >= settled) {
        return Ok(());
    }
    route.source.ask_look(&part);
    Err(now + LAG)
}
