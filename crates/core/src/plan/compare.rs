//! The comparison itself.

use super::take_over::{OtherTools, Standing, at_address};
use super::{
    Change, Crowded, Evidence, Fresh, Overrides, Plan, PlanContext, Removal, Skip, Wish, WriteMode, Written,
    WrittenRecord,
};
use crate::model::{Instance, InstanceId, Occupants, Set};
use std::collections::{BTreeMap, BTreeSet};

/// How to move `observed` towards what all tasks of this install want, touching only what is provably ours.
///
/// `observed` must be complete for the scope; `ledger` is what this install wrote there. Applying the whole plan and
/// planning again gives no changes.
///
/// | native there | ours there | wanted | then |
/// | --- | --- | --- | --- |
/// | yes | – | no | nothing |
/// | yes | yes | no matter | ours goes (or becomes the native's shadow) |
/// | yes | no | yes | left alone (or backed by a shadow) |
/// | no | no | yes | create |
/// | no | yes | yes | update where it differs from what we last wrote; a difference made by hand is kept |
/// | no | yes | no | delete, if its task's source is settled |
///
/// Copies of a tool that a task takes over ([`crate::TakeOver`]) are in nobody's way: where they are wanted they are backed by
/// identical ones of ours until they go, or become ours as they stand; those that nobody wants are told of.
pub fn plan(wishes: &[Wish], observed: &Set, ledger: &Written, policy: &PlanContext<'_>) -> Plan {
    let tools = OtherTools::of(wishes, observed);
    let mut table =
        PlanTable { wishes, observed, ledger, policy, tools, changes: Vec::new(), skipped: BTreeMap::new() };
    let ids: BTreeSet<&InstanceId> = wishes
        .iter()
        .flat_map(|wish| wish.records.keys().chain(wish.refused.keys()))
        .chain(observed.records.keys())
        .chain(ledger.records.keys())
        .collect();
    let nothing = Occupants::default();
    for id in ids {
        table.row(id, observed.records.get(id).unwrap_or(&nothing));
    }
    // What nobody else wants may be what a paused task wants.
    if !policy.paused {
        table.left_behind();
    }
    table.attributes(observed);
    table.changes.sort_by_key(rank);
    let crowded = table.crowded(observed);
    Plan { scope: observed.scope.clone(), changes: table.changes, skipped: table.skipped, crowded }
}

/// Whether what we wrote stands with the copy of another tool that it is identical to.
fn backs(written: &WrittenRecord, held: &Occupants) -> bool {
    written.backs_theirs() && held.copies.iter().any(|copy| copy.same(&written.record))
}

/// Capacity first: creations before updates before deletions.
fn rank(change: &Change) -> u8 {
    match change {
        Change::Create(_) | Change::Adopt(_) | Change::Shadow(..) => 0,
        Change::Update { .. } | Change::Edit { .. } => 1,
        Change::Scope { .. } => 2,
        Change::Delete { .. } => 3,
    }
}

struct PlanTable<'a> {
    wishes: &'a [Wish],
    observed: &'a Set,
    tools: OtherTools<'a>,
    ledger: &'a Written,
    policy: &'a PlanContext<'a>,
    changes: Vec<Change>,
    skipped: BTreeMap<InstanceId, Skip>,
}

impl<'a> PlanTable<'a> {
    fn row(&mut self, id: &InstanceId, held: &Occupants) {
        let ours = held.copy_of(&self.policy.install);
        match (&held.native, self.tools.wanted.get(id).copied(), ours) {
            (Some(native), _, ours) => self.beside_native(id, native, ours),
            (None, Some(theirs), ours) => self.beside_theirs(id, theirs, ours),
            // What backs that one is its own row's.
            (None, None, _) if self.tools.elsewhere.contains(id) => {}
            (None, None, Some(ours)) => self.ours(id, ours),
            (None, None, None) => self.absent(id, held),
        }
    }

    /// Another tool's copy stands where we want a record, or at its address.
    fn beside_theirs(&mut self, id: &InstanceId, theirs: Standing<'a>, ours: Option<&Instance>) {
        let (Standing { wish, record, owner, .. }, Some(target)) = (theirs, theirs.target) else { return };
        if !(self.policy.shadows)(record, &wish.owner) {
            return match wish.mode {
                WriteMode::CreateOnly => self.skip(id, Skip::Mode),
                _ => self.update(record, target),
            };
        }
        let written = self.ledger.records.get(&record.id);
        let backed = written.is_some_and(|written| written.shadow && written.record.same(record));
        let elsewhere = record.id != *id;
        if !backed || (ours.is_some() && !elsewhere) {
            self.changes.push(Change::Shadow(record.clone(), wish.owner.clone()));
        }
        let own = ours.or(self.ledger.records.get(id).map(|written| &written.record));
        if let Some(own) = own.filter(|_| elsewhere) {
            let (record, owner) = (own.clone(), wish.owner.clone());
            self.changes.push(Change::Delete { record, owner, why: Removal::GivesWay });
        }
        self.skip(id, Skip::Backs { owner: owner.clone() });
    }

    /// Ours stands at the address of a record that is wanted as the copy of another tool did, or with that one, under its id.
    fn took(&self, id: &InstanceId) -> bool {
        let stands = |id: &InstanceId, written: &WrittenRecord| {
            let held = self.observed.records.get(id);
            held.is_some_and(|held| held.copy_of(&self.policy.install).is_some() || backs(written, held))
        };
        at_address(&self.ledger.records, id)
            .any(|(other, written)| other != id && written.backs_theirs() && stands(other, written))
    }

    /// Whether the task of a record that we wrote wants one at its address.
    fn wants_address(&self, id: &InstanceId, written: &WrittenRecord) -> bool {
        self.wish_of(&written.owner).is_some_and(|wish| at_address(&wish.records, id).next().is_some())
    }

    /// What is wanted at the address of ours, which stands under the id that another tool's copy had.
    fn wanted_instead(&self, id: &InstanceId, ours: &Instance) -> Option<&'a Instance> {
        self.ledger.records.get(id).filter(|written| written.backs_theirs())?;
        let owner = &ours.mark()?.owner;
        let wish = self.wishes.iter().find(|wish| wish.owner == *owner)?;
        let mut targets = at_address(&wish.records, id).map(|(_, record)| record);
        targets.find(|record| !self.observed.records.contains_key(&record.id))
    }

    /// Copies of another tool that nobody wants.
    fn left_behind(&mut self) {
        // It may be what a paused task wants.
        for theirs in std::mem::take(&mut self.tools.left) {
            let id = &theirs.record.id;
            // Whatever else is said of the id comes first: it may still be wanted, or ours may back it.
            if !self.skipped.contains_key(id) && !self.ledger.records.contains_key(id) {
                self.skip(id, Skip::LeftBehind { owner: theirs.owner.clone() });
            }
        }
    }

    /// The wish that `id` is to follow: the present owner's, while it has one.
    fn want(&self, id: &InstanceId, holder: Option<&crate::OwnerId>) -> Option<(&'a Wish, &'a Instance)> {
        let wants = |wish: &'a Wish| wish.records.get(id).map(|record| (wish, record));
        let kept = self.wishes.iter().filter(|wish| Some(&wish.owner) == holder).find_map(wants);
        kept.or_else(|| self.wishes.iter().find_map(wants))
    }

    /// Why a filter of this owner's task, or of any where it is not known whose, does not decide about `id`.
    fn undecided(&self, id: &InstanceId, owner: Option<&crate::OwnerId>) -> Option<Skip> {
        let wishes = self.wishes.iter().filter(|wish| owner.is_none_or(|owner| wish.owner == *owner));
        let mut refused = wishes.filter_map(|wish| wish.refused.get(id));
        refused.find(|skip| matches!(skip, Skip::Undecided(_))).cloned()
    }

    fn wish_of(&self, owner: &crate::OwnerId) -> Option<&'a Wish> {
        self.wishes.iter().find(|wish| wish.owner == *owner)
    }

    fn skip(&mut self, id: &InstanceId, skip: Skip) {
        self.skipped.insert(id.clone(), skip);
    }

    fn beside_native(&mut self, id: &InstanceId, native: &Instance, ours: Option<&Instance>) {
        let edit = self.wishes.iter().find_map(|wish| Some((wish.edits.get(id)?, wish)));
        if let Some((to, wish)) = edit.filter(|(to, _)| !to.same(native)) {
            self.changes.push(Change::Edit { from: native.clone(), to: to.clone(), owner: wish.owner.clone() });
        }
        let written = self.ledger.records.get(id);
        let holder = ours.and_then(|ours| ours.mark()).map(|mark| &mark.owner).or(written.map(|w| &w.owner));
        if let Some((wish, _)) = self.want(id, holder)
            && (self.policy.shadows)(native, &wish.owner)
        {
            let backed = written.is_some_and(|written| written.shadow && written.record.same(native));
            if ours.is_some() || !backed {
                self.changes.push(Change::Shadow(native.clone().with_mark(None), wish.owner.clone()));
            }
            return;
        }
        // A shadow that nobody can say to be unwanted stays.
        if ours.is_none()
            && let Some(undecided) = holder.and_then(|holder| self.undecided(id, Some(holder)))
        {
            return self.skip(id, undecided);
        }
        // A task without a wish here is paused: its copies stay as they are.
        match (holder, ours, written) {
            (Some(owner), ours, written) if self.wish_of(owner).is_some() => {
                if let Some(record) = ours.or(written.map(|written| &written.record)) {
                    let (record, owner) = (record.clone(), owner.clone());
                    self.changes.push(Change::Delete { record, owner, why: Removal::Native });
                }
            }
            _ => {}
        }
        if self.want(id, None).is_some() {
            self.skip(id, Skip::Foreign { owner: None });
        }
    }

    fn ours(&mut self, id: &InstanceId, ours: &Instance) {
        let Some(owner) = ours.mark().map(|mark| mark.owner.clone()) else { return };
        if self.want(id, Some(&owner)).is_none()
            && let Some(target) = self.wanted_instead(id, ours)
        {
            return self.update(ours, target);
        }
        let written = self.ledger.records.get(id);
        // Ours, and it is forgotten whose: any task may want it, and it goes when each of them can tell that it does not.
        let lost = owner.is_lost();
        if lost && self.policy.paused {
            // It may be the paused task's.
            return self.skip(id, Skip::Paused);
        }
        let known = written.is_some() || lost;
        let own = if lost { self.wishes.iter().min_by_key(|wish| wish.fresh) } else { self.wish_of(&owner) };
        let owner = if lost { own.map_or(owner, |wish| wish.owner.clone()) } else { owner };
        // Its own task does not know whether it wants it: nobody else takes it over, and it stays.
        let undecided = self.undecided(id, (!lost).then_some(&owner));
        let let_go =
            |wish: &Wish| wish.fresh == Fresh::Settled || wish.records.contains_key(id) || wish.witnessed.contains(id);
        let ended = own.is_none() && (self.policy.ended)(&owner);
        let leaves = lost || ended || (undecided.is_none() && own.is_some_and(let_go));
        match self.want(id, Some(&owner)) {
            // Another task takes the record over only when its owner has let it go.
            Some((wish, target)) if leaves => {
                // While it is not known what was written, a difference is nobody's doing, and none is worth noting.
                let sure = |written: &&WrittenRecord| !written.shadow && written.before.is_none();
                if written.filter(sure).is_some_and(|written| written.record == *target) {
                    match ((self.policy.governed)(ours, target), wish.overrides) {
                        _ if ours == target => {}
                        (Some(what), _) => self.skip(id, Skip::Governed { what }),
                        (None, Overrides::Replace) => self.update(ours, target),
                        (None, _) => self.skip(id, Skip::Overridden),
                    }
                } else if ours == target {
                    self.changes.push(Change::Adopt(target.clone()));
                } else if wish.mode == WriteMode::CreateOnly {
                    self.leave(id, ours, known, Skip::Mode);
                } else {
                    self.update(ours, target);
                }
            }
            _ => {
                let refused = own.and_then(|wish| wish.refused.get(id));
                let skip = match (undecided, refused, own) {
                    (Some(undecided), ..) => undecided,
                    (_, Some(skip @ (Skip::Rejected { .. } | Skip::Blocked { .. })), _) => skip.clone(),
                    (_, _, None) => Skip::Foreign { owner: Some(owner) },
                    (_, _, Some(wish)) => match self.removable(id, wish) {
                        Ok(why) => {
                            self.changes.push(Change::Delete { record: ours.clone(), owner, why });
                            return;
                        }
                        Err(skip) => skip,
                    },
                };
                self.leave(id, ours, known, skip);
            }
        }
    }

    /// Leaves our copy as it stands, but makes sure that this process keeps it alive.
    fn leave(&mut self, id: &InstanceId, ours: &Instance, known: bool, skip: Skip) {
        if !known {
            self.changes.push(Change::Adopt(ours.clone()));
        }
        self.skip(id, skip);
    }

    fn update(&mut self, from: &Instance, to: &Instance) {
        self.changes.push(Change::Update { from: from.clone(), to: to.clone().shared() });
    }

    fn absent(&mut self, id: &InstanceId, held: &Occupants) {
        let written = self.ledger.records.get(id);
        let foreign = held.copies.first().and_then(|copy| copy.mark()).map(|mark| mark.owner.clone());
        match (self.want(id, written.map(|written| &written.owner)), written) {
            // No task takes over from that tool any more: what backs its copy goes on as it is.
            (wanted, Some(written))
                if backs(written, held) && (wanted.is_some() || self.wants_address(id, written)) => {}
            (Some((_, target)), Some(_)) => self.changes.push(Change::Create(target.clone().shared())),
            // It gets its own id from there.
            (Some(_), None) if self.took(id) => {}
            (Some((_, target)), None) => match foreign {
                Some(owner) => self.skip(id, Skip::Foreign { owner: Some(owner) }),
                None => self.changes.push(Change::Create(target.clone().shared())),
            },
            (None, Some(written)) => {
                let Some(wish) = self.wish_of(&written.owner) else { return };
                if let Some(undecided) = self.undecided(id, Some(&written.owner)) {
                    return self.skip(id, undecided);
                }
                let (record, owner) = (written.record.clone(), written.owner.clone());
                match self.removable(id, wish) {
                    Ok(why) => self.changes.push(Change::Delete { record, owner, why }),
                    Err(skip) => self.skip(id, skip),
                }
            }
            (None, None) => {
                let refused = self.wishes.iter().find_map(|wish| wish.refused.get(id)).cloned();
                if let Some(skip) = refused {
                    self.skip(id, skip);
                }
            }
        }
    }

    fn removable(&self, id: &InstanceId, wish: &Wish) -> Result<Removal, Skip> {
        match (wish.fresh, wish.mode) {
            (Fresh::Stale, _) => Err(Skip::Stale),
            (_, WriteMode::UpsertOnly | WriteMode::CreateOnly) => Err(Skip::Mode),
            (_, WriteMode::Sync) if wish.witnessed.contains(id) => Ok(Removal::Gone { evidence: Evidence::Witnessed }),
            (Fresh::Settling, WriteMode::Sync) => Err(Skip::Settling),
            (Fresh::Settled, WriteMode::Sync) => Ok(Removal::Gone { evidence: Evidence::Implied }),
        }
    }

    /// What has no id of its own there: within one task, and where two tasks want different things at one id.
    fn crowded(&self, observed: &Set) -> Vec<Crowded> {
        let mut all = Vec::new();
        for wish in self.wishes {
            let left = |id: &InstanceId, skip| Crowded { id: id.clone(), owner: wish.owner.clone(), skip };
            all.extend(wish.crowded.iter().map(|id| left(id, Skip::Crowded { owner: None })));
            // One record cannot be held, and another one that has its id can.
            let refused = wish.refused.iter().filter(|(_, skip)| matches!(skip, Skip::Rejected { .. }));
            let refused = refused.filter(|(id, _)| self.want(id, None).is_some());
            all.extend(refused.map(|(id, skip)| left(id, skip.clone())));
            if self.wishes.len() == 1 {
                continue;
            }
            for (id, record) in &wish.records {
                let held = observed.records.get(id);
                // There the native stands, whatever is wanted.
                if held.is_some_and(|held| held.native.is_some()) {
                    continue;
                }
                let ours = held.and_then(|held| held.copy_of(&self.policy.install)).and_then(|ours| ours.mark());
                let holder = ours.map(|mark| &mark.owner).or(self.ledger.records.get(id).map(|written| &written.owner));
                if let Some((other, stands)) = self.want(id, holder)
                    && other.owner != wish.owner
                    && !stands.same(record)
                {
                    all.push(left(id, Skip::Crowded { owner: Some(other.owner.clone()) }));
                }
            }
        }
        all
    }

    /// The scope's own attributes are written where nobody else has set them, and followed while they stay as we
    /// wrote them. What stands there has to be known.
    fn attributes(&mut self, observed: &Set) {
        let Some(from) = &observed.attributes else { return };
        let wishes = self.wishes.iter().filter(|wish| !wish.records.is_empty() && wish.mode != WriteMode::CreateOnly);
        let mut wishes = wishes.filter_map(|wish| Some((wish.attributes.as_ref()?, &wish.owner)));
        let Some((to, owner)) = wishes.next() else { return };
        let written = self.ledger.attributes.as_ref().map(|(attributes, _)| attributes);
        let free = match written {
            Some(written) => written == from && written != to,
            None => from.0.is_empty(),
        };
        if free && to != from {
            self.changes.push(Change::Scope { from: from.clone(), to: to.clone(), owner: owner.clone() });
        }
    }
}
