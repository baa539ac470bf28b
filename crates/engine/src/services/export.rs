//! What one route wants to stand in one scope of its destination.

use crate::services::mirror::Witness;
use crate::services::route::ActiveRoute;
use crate::spec::{RouteSpec, RunState};
use causeway_core::{
    Attributes, Choice, ClusterId, Fresh, Instance, InstanceId, Occupants, Overrides, Part, ServiceKey, Skip, Wish,
    WriteMode, Written, WrittenRecord,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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
    /// The scope is to be planned again then.
    pub again: Option<Instant>,
    /// What is wanted, with the source's ids, before records of one id are told apart.
    wanted: Vec<Wanted>,
}

/// A record that is wanted, and its id in the source.
type Wanted = (InstanceId, Instance);

/// What `route` wants in `target` now. A draining route wants nothing, and knows it.
pub(crate) fn export(route: &ActiveRoute, target: &ServiceKey, now: Instant) -> Export {
    let spec = &route.spec;
    let mut export = Export {
        wish: nothing(spec),
        parts: Vec::new(),
        witnesses: BTreeMap::new(),
        path: Vec::new(),
        again: None,
        wanted: Vec::new(),
    };
    if spec.run == RunState::Drain {
        export.wish.mode = WriteMode::Sync;
        return export;
    }
    export.wish.take_over = route.take_over(target);
    export.parts = route.parts_for(&target.part());
    {
        let mirror = route.source.mirror.lock();
        let fresh = export.parts.iter().map(|part| match mirror.part(part) {
            Some(state) => state.freshness.at(spec.settle, now),
            None => Fresh::Stale,
        });
        export.wish.fresh = fresh.min().unwrap_or(Fresh::Stale);
    }
    let there = route.destination.written_in(target);
    for scope in route.feeding(target) {
        if route.targets(&scope).contains(target) {
            ScopeCopy::new(route, &scope, target, &there).add_to(&mut export, now);
        }
    }
    settle_ids(route, &there, &mut export);
    export
}

/// Finds an id in the destination for each record that is wanted. Where several have the same one, whichever kind of
/// cluster and however many scopes they come from, the newest stands, and each of the others is named as left alone; of
/// records that say the same there is one.
fn settle_ids(route: &ActiveRoute, there: &Written, export: &mut Export) {
    let by_id = |wanted: Vec<Wanted>| {
        let mut groups: BTreeMap<InstanceId, Vec<Wanted>> = BTreeMap::new();
        wanted.into_iter().for_each(|one| groups.entry(one.1.id()).or_default().push(one));
        groups.values_mut().for_each(|group| group.sort_by(|(_, a), (_, b)| b.by_age(a)));
        groups
    };
    let apart = |group: Vec<Wanted>| {
        let (sources, mut records): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        if records.len() > 1
            && let Some(sink) = &route.destination.sink
        {
            sink.apart(there, &mut records);
        }
        sources.into_iter().zip(records)
    };
    let wanted = by_id(std::mem::take(&mut export.wanted)).into_values().flat_map(apart).collect();
    for (id, group) in by_id(wanted) {
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
        take_over: None,
    }
}

/// Whether a copy of a record that was seen to go still stands in the route's destination, as far as the ledger knows.
pub(crate) fn has_copy(route: &ActiveRoute, scope: &ServiceKey, id: &InstanceId, witness: &Witness) -> bool {
    let stands_in = |target: &ServiceKey| {
        let there = route.destination.written_in(target);
        if there.records.is_empty() {
            return false;
        }
        let named = ScopeCopy::new(route, scope, target, &there).named(id, witness);
        there.records.contains_key(named.as_ref().unwrap_or(id))
    };
    route.targets(scope).iter().any(stands_in)
}

/// From a scope of a route's source to one of its destination.
struct ScopeCopy<'a> {
    route: &'a ActiveRoute,
    scope: &'a ServiceKey,
    target: &'a ServiceKey,
    /// What this install wrote into the target.
    there: &'a Written,
    /// What this install wrote into the scope itself.
    written: Arc<Written>,
}

impl<'a> ScopeCopy<'a> {
    fn new(route: &'a ActiveRoute, scope: &'a ServiceKey, target: &'a ServiceKey, there: &'a Written) -> Self {
        Self { route, scope, target, there, written: route.source.written_in(scope) }
    }

    fn add_to(&self, export: &mut Export, now: Instant) {
        let Self { route, scope, target, there, .. } = *self;
        let (set, witnessed) = {
            let mirror = route.source.mirror.lock();
            let state = mirror.part(&scope.part());
            let witnessed = state.map_or(&[][..], |state| state.witnessed(scope)).to_vec();
            (state.and_then(|state| state.set(scope)).cloned(), witnessed)
        };
        for (id, witness) in witnessed {
            let id = self.named(&id, &witness).unwrap_or(id);
            export.wish.witnessed.insert(id.clone());
            export.witnesses.insert(id, witness);
        }
        let Some(set) = set else { return };
        let share = route.share(scope, target);
        let sink = route.destination.sink.as_ref();
        for (id, held) in &set.records {
            let Some(record) = self.leaving(id, held) else {
                export.wanted.extend(self.kept(id, held).map(|copy| (id.clone(), copy)));
                continue;
            };
            if !share.has(&record) || sink.is_some_and(|sink| !sink.stands(&record)) {
                self.stands_elsewhere(&record, export);
                continue;
            }
            let (record, undecided) = match route.record(scope, &record) {
                Choice::Take(record) => (record, None),
                Choice::Undecided(record, why) => (record, Some(why)),
                Choice::Leave => continue,
            };
            let record = self.forwarded(record);
            if record.mark().is_some_and(|mark| mark.path.contains(route.destination.id())) {
                export.wish.refused.insert(id.clone(), Skip::Loop);
                if undecided.is_none()
                    && let Some(edit) = self.edit(id, held)
                {
                    match stands(route, scope, now) {
                        Ok(()) => drop(export.wish.edits.insert(id.clone(), edit)),
                        Err(at) => export.again = Some(at),
                    }
                }
            } else if let Some(why) = &share.no_place {
                export.wish.refused.insert(id.clone(), Skip::Rejected { why: why.clone() });
            } else if let Some(sink) = sink {
                match (sink.normalize(target, record), undecided) {
                    (Ok(record), None) => export.wanted.push((id.clone(), sink.place(there, record))),
                    (Ok(record), Some(why)) => {
                        drop(export.wish.refused.insert(sink.place(there, record).id(), Skip::Undecided(why)));
                    }
                    (Err(why), _) => drop(export.wish.refused.insert(id.clone(), Skip::Rejected { why })),
                }
            }
        }
        self.add_attributes(set.attributes.as_ref(), export);
    }

    fn forwarded(&self, record: Instance) -> Instance {
        record.into_born().forwarded(self.route.source.id(), &self.route.spec.owner)
    }

    /// What the destination calls a record that has gone.
    fn named(&self, id: &InstanceId, witness: &Witness) -> Option<InstanceId> {
        self.id_there(&*self.leaving(id, &witness.last)?)
    }

    /// What the destination calls a record of the source, also one that does not stand there any more.
    fn id_there(&self, record: &Instance) -> Option<InstanceId> {
        let record = self.forwarded(self.route.record(self.scope, record).possible()?);
        let sink = self.route.destination.sink.as_ref()?;
        let record = match sink.stands(&record) {
            true => record,
            false => record.with(|one| (one.healthy, one.enabled) = (true, true)),
        };
        let record = sink.normalize(self.target, record).ok()?;
        Some(sink.place(self.there, record).id())
    }

    /// A record of the source that has no place in this scope, as it is now: a copy that stands there was seen to go.
    fn stands_elsewhere(&self, record: &Instance, export: &mut Export) {
        if self.there.records.is_empty() {
            return;
        }
        if let Some(id) = self.id_there(record).filter(|id| self.there.records.contains_key(id)) {
            export.wish.witnessed.insert(id);
        }
    }

    /// The record that leaves the cluster from one id: the native, else a copy that may travel on.
    fn leaving<'h>(&self, id: &InstanceId, held: &'h Occupants) -> Option<Cow<'h, Instance>> {
        if let Some(native) = &held.native {
            return Some(Cow::Borrowed(native));
        }
        let spec = &self.route.spec;
        if let Some(copy) = held.copy_of(&spec.owner.install) {
            if !copy.mark()?.path.is_empty() {
                return Some(Cow::Borrowed(copy));
            }
            // The written mark is gone, but the ledger knows where the record came from. A shadow has no path of its own:
            // it stays here.
            let record = self.written.records.get(id).filter(|record| !record.shadow)?;
            return Some(Cow::Owned(copy.clone().with_mark(record.record.mark().cloned())));
        }
        // Of a copy that another tool made nobody knows where it came from: it stays here.
        let relayed = |copy: &&Instance| copy.mark().is_some_and(|mark| !mark.path.is_empty());
        held.copies.iter().find(relayed).filter(|_| spec.relay).map(Cow::Borrowed)
    }

    /// Where ours stands with another tool's copy, and so says nothing of where it came from: what was copied from there before
    /// stays as it is.
    fn kept(&self, id: &InstanceId, held: &Occupants) -> Option<Instance> {
        let is_backed = self.written.records.get(id).is_some_and(WrittenRecord::backs_theirs);
        let named = self.id_there(held.copies.first().filter(|_| is_backed)?)?;
        let copy = self.there.records.get(&named)?;
        (copy.owner == self.route.spec.owner && !copy.shadow).then(|| copy.record.clone())
    }

    /// Attributes that we wrote ourselves do not go back where they came from. As long as the source's are not known, those
    /// that we wrote stay.
    fn add_attributes(&self, attributes: Option<&Attributes>, export: &mut Export) {
        if export.wish.attributes.is_some() {
            return;
        }
        let Some(attributes) = attributes else {
            if let Some((ours, path)) = self.there.attributes.clone() {
                (export.wish.attributes, export.path) = (Some(ours), path);
            }
            return;
        };
        let mut path = match &self.written.attributes {
            Some((ours, path)) if ours == attributes => path.clone(),
            _ => Vec::new(),
        };
        path.push(self.route.source.id().clone());
        if !path.contains(self.route.destination.id()) {
            (export.wish.attributes, export.path) = (Some(attributes.clone()), path);
        }
    }

    /// What an operator did to our own copy in the source, laid over the native record that it was made from.
    fn edit(&self, id: &InstanceId, held: &Occupants) -> Option<Instance> {
        let spec = &self.route.spec;
        let copy = held.copy_of(&spec.owner.install).filter(|_| spec.overrides == Overrides::Travel)?;
        let written = self.written.records.get(id).filter(|one| !one.shadow && one.owner == spec.owner)?;
        let set = self.route.destination.mirror.lock().set(self.target).cloned()?;
        let native = set.records.get(id)?.native.clone()?;
        let edited = native.clone().with_edit(&written.record, copy);
        (!edited.same(&native)).then_some(edited)
    }
}

/// How long after a write of ours a difference may still be a list that lags behind.
const LAG: Duration = Duration::from_secs(2);

/// Whether what a scope shows was read well after our last write to it, so that a difference is somebody's doing. Where it
/// was not, asks for another look, and says when to plan again.
fn stands(route: &ActiveRoute, scope: &ServiceKey, now: Instant) -> Result<(), Instant> {
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
