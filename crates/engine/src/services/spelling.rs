//! Names that differ in nothing but case: how the destination spells them, and what the operator should know of them.

use crate::notice::Notice;
use crate::services::mirror::PartState;
use crate::services::route::ActiveRoute;
use causeway_core::{CaseRule, Instance, Mark, Occupants, Part, ServiceKey, Written};
use std::collections::{BTreeMap, BTreeSet};

/// Which names are gone through for notices.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum NoticesOf {
    /// Those that are known to be several: what is written stands already.
    Several,
    /// All: nothing has been written yet.
    All,
}

impl ActiveRoute {
    /// How the destination spells a service, where its name is known but for the case: as this route has written it, else as
    /// others have, else as it is given. While copies of ours stand there, a spelling stays.
    pub(super) fn spelled(&self, given: ServiceKey) -> ServiceKey {
        if !self.spells() {
            return given;
        }
        let ours = {
            let ledger = self.destination.ledger.lock();
            let is_ours = |scope: &&ServiceKey| ledger.get(*scope).is_some_and(|written| self.is_in(written));
            std::iter::once(&given).chain(ledger.like(&given)).find(is_ours).cloned()
        };
        if let Some(ours) = ours {
            return ours;
        }
        let known = self.names.as_ref().map(|names| names.like(&given)).unwrap_or_default();
        let natives = || known.iter().filter(|(_, native)| *native).map(|(scope, _)| scope);
        natives().find(|scope| **scope == given).or_else(|| natives().next()).cloned().unwrap_or(given)
    }

    /// Whether names are known but for their case.
    pub(super) fn spells(&self) -> bool {
        self.spec.lens.case() == CaseRule::Spell
    }

    /// Whether names in the destination are known, where they decide about those parts of the source.
    pub fn knows_names(&self, parts: &BTreeSet<&Part>) -> bool {
        let mirror = self.destination.mirror.lock();
        let is_ready = |part: Part| mirror.part(&part).is_some_and(PartState::ready);
        !self.spells() || parts.iter().all(|part| is_ready(self.target_part(part)))
    }

    fn is_in(&self, written: &Written) -> bool {
        written.records.values().any(|one| one.owner == self.spec.owner)
    }

    fn has_written(&self, scope: &ServiceKey) -> bool {
        self.destination.ledger.lock().get(scope).is_some_and(|written| self.is_in(written))
    }

    /// What the operator should know of names that differ in nothing but case.
    pub fn case_notices(&self, which: NoticesOf) -> Vec<Notice> {
        self.become_one().into_iter().chain(self.stands_beside(which)).collect()
    }

    /// Services of the source that are one in the destination.
    fn become_one(&self) -> Option<Notice> {
        let several: Vec<_> = {
            let feeds = self.memory.feeds.lock();
            feeds.several().map(|target| feeds.of(target)).collect()
        };
        let (mut first, mut count) = (None, 0);
        for scopes in several {
            let mut alike: BTreeMap<ServiceKey, Vec<ServiceKey>> = BTreeMap::new();
            for scope in scopes.into_iter().filter(|scope| self.leaves(scope)) {
                alike.entry(scope.folded()).or_default().push(scope);
            }
            for scopes in alike.into_values().filter(|scopes| scopes.len() > 1) {
                let Some(target) = self.targets(&scopes[0]).into_iter().next() else { continue };
                count += 1;
                first.get_or_insert((scopes, target));
            }
        }
        let (scopes, target) = first?;
        Some(Notice::OneByCase {
            source: self.source.spec.name.clone(),
            destination: self.destination.spec.name.clone(),
            services: scopes.into_iter().map(|scope| scope.name).collect(),
            service: target.name,
            count,
        })
    }

    /// Services of the destination beside those that the route writes to.
    fn stands_beside(&self, which: NoticesOf) -> Option<Notice> {
        let names = self.names.as_ref()?;
        let looked_at: BTreeSet<ServiceKey> = match which {
            NoticesOf::Several => names.several().into_iter().collect(),
            NoticesOf::All => self.memory.feeds.lock().targets().cloned().collect(),
        };
        let (mut first, mut count) = (None, 0);
        for name in looked_at {
            let feeding = self.memory.feeds.lock().of(&name);
            let filled = feeding.iter().filter(|scope| self.leaves(scope));
            let ours: BTreeSet<_> = filled.flat_map(|scope| self.targets(scope)).collect();
            // What is ours there under another name is being taken away.
            let stays =
                |(scope, native): &(ServiceKey, bool)| !ours.contains(scope) && (*native || !self.has_written(scope));
            let other = names.like(&name).into_iter().find(stays).map(|(scope, _)| scope);
            if let (Some(ours), Some(other)) = (ours.into_iter().next(), other) {
                count += 1;
                first.get_or_insert((ours, other));
            }
        }
        let (ours, other) = first?;
        let cluster = self.destination.spec.name.clone();
        Some(Notice::BesideByCase { cluster, service: ours.name, other: other.name, count })
    }

    /// Whether anything of a scope of the source is to stand in the destination, where it has not been before.
    fn leaves(&self, scope: &ServiceKey) -> bool {
        let is_new = |mark: &Mark| !mark.path.is_empty() && !mark.path.contains(self.destination.id());
        let goes =
            |held: &Occupants| held.native.is_some() || held.copies.iter().filter_map(Instance::mark).any(is_new);
        self.source.mirror.lock().set(scope).is_some_and(|set| set.records.values().any(goes))
    }
}
