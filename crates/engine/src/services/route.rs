//! One direction of one task at work: what it reads, where that is to stand, and what it remembers.

use crate::kit::guard::Guard;
use crate::kit::meter::WriteMeter;
use crate::kit::queue::Urgency;
use crate::kit::set_map::SetMap;
use crate::kit::travel::Travels;
use crate::services::census::PartCensuses;
use crate::services::cluster::ActiveCluster;
use crate::services::export::export;
use crate::services::feeds::Feeds;
use crate::services::mirror::{Mirror, NameIndex, PartState};
use crate::services::sweep::Coverage;
use crate::spec::{Only, RouteSpec};
use causeway_core::{CaseRule, Choice, Instance, InstanceGroup, InstanceId, Part, ServiceKey, Set};
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// What of a scope of the source is to stand in one scope of the destination.
pub(crate) struct Share<'a> {
    /// The groups whose instances stand there; `None`: all do.
    groups: Option<Vec<&'a InstanceGroup>>,
    /// Why none of them can.
    pub no_place: Option<String>,
}

impl Share<'_> {
    /// Whether an instance is among them, as the source has it.
    pub fn has(&self, instance: &Instance) -> bool {
        self.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| group.has(instance)))
    }
}

/// One direction of one task at work.
pub(crate) struct ActiveRoute {
    pub spec: RouteSpec,
    pub source: Arc<ActiveCluster>,
    pub destination: Arc<ActiveCluster>,
    pub memory: Arc<RouteMemory>,
    /// What is missing from each part of the source. With other settings it is counted anew.
    pub counts: PartCensuses,
    /// The destination's services by name, where names change their case on the way.
    pub(super) names: Option<Arc<NameIndex>>,
    /// For each part of the source, one scope with records that matches the filters; `None`: there is none.
    samples: Mutex<BTreeMap<Part, Option<ServiceKey>>>,
}

/// What of a route outlives a change of its settings.
pub(crate) struct RouteMemory {
    pub guard: Mutex<Guard>,
    /// By the destination's scope: what guards held and was let go, record by record, until it is written. Only what is held
    /// can be let go, so there is never more than the route has copies.
    pub released: Mutex<SetMap<ServiceKey, InstanceId>>,
    /// Which scopes of the source feed a scope of the destination, where names change on the way; where their case does, by
    /// [`ServiceKey::folded`].
    pub feeds: Mutex<Feeds>,
    /// The scopes that take part, where later ones do not.
    pub only: Mutex<Only>,
    /// How the tool that is taken over calls the route's source, as far as that is known.
    pub learned: Mutex<BTreeSet<Arc<str>>>,
    /// By the destination's scope: copies of that tool which nobody wants, and which are to go.
    pub ousted: Mutex<SetMap<ServiceKey, InstanceId>>,
    /// By the destination's scope: changes that the source has told of, until they are written. What it tells of with a whole
    /// part, at a start or after an outage, is not among them.
    pub travels: Mutex<Travels<ServiceKey>>,
    pub meter: Arc<WriteMeter>,
}

impl RouteMemory {
    pub fn new(spec: &RouteSpec) -> Self {
        Self {
            guard: Mutex::new(Guard::new(spec.guard)),
            released: Mutex::default(),
            feeds: Mutex::default(),
            only: Mutex::new(spec.only.clone()),
            learned: Mutex::default(),
            ousted: Mutex::default(),
            travels: Mutex::default(),
            meter: Arc::default(),
        }
    }
}

impl ActiveRoute {
    pub fn new(
        spec: RouteSpec,
        source: &Arc<ActiveCluster>,
        destination: &Arc<ActiveCluster>,
        memory: Arc<RouteMemory>,
    ) -> Self {
        let (source, destination) = (source.clone(), destination.clone());
        let names = (spec.lens.case() != CaseRule::Keep).then(|| {
            destination.ledger.lock().start_names();
            destination.mirror.lock().names()
        });
        Self { spec, source, destination, memory, counts: PartCensuses::default(), names, samples: Mutex::default() }
    }

    /// Whether any scope with records in a part of the source matches the filters. Looks for one only at first and when
    /// the one that was found last has lost its records.
    pub fn matches_in(&self, part: &Part) -> bool {
        let mut samples = self.samples.lock();
        let mirror = self.source.mirror.lock();
        let Some(state) = mirror.part(part) else { return false };
        match samples.get(part) {
            Some(None) => return false,
            Some(Some(scope)) if state.set(scope).is_some_and(|set| !set.records.is_empty()) => return true,
            _ => {}
        }
        let mut filled = state.sets().values().filter(|set| !set.records.is_empty());
        let found = filled.find(|set| self.wanted(&set.scope).is_some()).map(|set| set.scope.clone());
        let matches = found.is_some();
        samples.insert(part.clone(), found);
        matches
    }

    /// A scope of the source has changed: where none has matched until now, it may.
    fn note_match(&self, scope: &ServiceKey) {
        let part = scope.part();
        let mut samples = self.samples.lock();
        if matches!(samples.get(&part), Some(None))
            && self.source.mirror.lock().set(scope).is_some_and(|set| !set.records.is_empty())
            && self.wanted(scope).is_some()
        {
            samples.insert(part, Some(scope.clone()));
        }
    }

    /// Whether a part of the source belongs to this route.
    pub fn takes_part(&self, part: &Part, title: Option<&str>) -> bool {
        let Some(words) = &self.spec.parts else { return true };
        if words.contains(&part.0) {
            return true;
        }
        // A display name counts where no part has the word as its id.
        title.is_some_and(|title| words.contains(title) && self.by_title(title) == Some(part.clone()))
    }

    /// The parts of the source that belong to this route, as far as they have been seen.
    pub fn taken<'a>(&'a self, mirror: &'a Mirror) -> impl Iterator<Item = (&'a Part, &'a PartState)> {
        mirror.parts().iter().filter(|(part, state)| self.takes_part(part, state.title.as_deref()))
    }

    /// The source's parts that are copied into `target`.
    pub fn parts_for(&self, target: &Part) -> Vec<Part> {
        let mirror = self.source.mirror.lock();
        let parts = self.taken(&mirror).map(|(part, _)| part);
        parts.filter(|part| self.target_part(part) == *target).cloned().collect()
    }

    /// The one part of this display name; none when two have it, or when it is another part's id.
    fn by_title(&self, title: &str) -> Option<Part> {
        let listed = self.source.listed.lock();
        let parts = listed.as_ref()?;
        let mut named = parts.iter().filter(|(_, name)| name.as_deref() == Some(title)).map(|(part, _)| part);
        match (parts.contains_key(&Part::new(title)), named.next(), named.next()) {
            (false, Some(part), None) => Some(part.clone()),
            _ => None,
        }
    }

    /// Whether services or parts may have other names in the destination.
    pub fn renames(&self) -> bool {
        let sink = self.destination.sink.as_ref();
        self.spec.lens.renames() || sink.is_some_and(|sink| sink.capabilities().renames)
    }

    /// The destination's part for a part of the source.
    pub fn target_part(&self, part: &Part) -> Part {
        let wanted = self.spec.lens.part(part);
        self.destination.sink.as_ref().map_or_else(|| wanted.clone(), |sink| sink.part(&wanted))
    }

    /// What the task's settings make of a scope of the source; `None`: it takes no part.
    pub fn wanted(&self, scope: &ServiceKey) -> Option<ServiceKey> {
        self.spec.lens.scope(scope, &|given| self.spelled(given))
    }

    /// What the task's settings make of a record of the source.
    pub fn record(&self, scope: &ServiceKey, record: &Instance) -> Choice {
        self.spec.lens.record(scope, record, &|given| self.spelled(given))
    }

    /// The destination's scopes for one that the filters take. One that has no place there keeps its name, so that its
    /// records can be refused by name.
    fn named(&self, scope: &ServiceKey) -> Vec<ServiceKey> {
        self.wanted(scope).map(|wanted| self.placed(&wanted)).unwrap_or_default()
    }

    /// Those of a service that the settings call so: one, or one for each of its groups.
    fn placed(&self, wanted: &ServiceKey) -> Vec<ServiceKey> {
        let Some(grouping) = self.spec.lens.grouping() else { return vec![self.place(wanted)] };
        let mut placed: Vec<_> = grouping.scopes(wanted).map(|(wanted, _)| self.place(&wanted)).collect();
        placed.sort();
        placed.dedup();
        placed
    }

    fn place(&self, wanted: &ServiceKey) -> ServiceKey {
        let Some(sink) = &self.destination.sink else { return wanted.clone() };
        sink.scope(wanted).unwrap_or_else(|_| wanted.in_part(&sink.part(&wanted.part())))
    }

    /// Why a service that the settings call so has no place in the destination. Every one has in a destination that does not
    /// choose names.
    fn no_place(&self, wanted: &ServiceKey) -> Option<String> {
        let sink = self.destination.sink.as_ref().filter(|sink| sink.capabilities().renames)?;
        sink.scope(wanted).err()
    }

    /// What of a scope of the source is to stand in a scope of the destination that it feeds.
    pub fn share(&self, scope: &ServiceKey, target: &ServiceKey) -> Share<'_> {
        let Some(grouping) = self.spec.lens.grouping() else {
            // Filters are not asked where every name has a place.
            let chooses = self.destination.sink.as_ref().is_some_and(|sink| sink.capabilities().renames);
            let wanted = if chooses { self.wanted(scope) } else { None };
            return Share { groups: None, no_place: wanted.and_then(|wanted| self.no_place(&wanted)) };
        };
        let wanted = self.wanted(scope);
        let mut share = Share { groups: Some(Vec::new()), no_place: None };
        for (wanted, group) in wanted.iter().flat_map(|wanted| grouping.scopes(wanted)) {
            if self.place(&wanted) == *target {
                share.no_place = share.no_place.or_else(|| self.no_place(&wanted));
                share.groups.get_or_insert_default().push(group);
            }
        }
        share.no_place = share.no_place.or_else(|| self.name_taken(scope, target));
        share
    }

    /// Why a service does not stand where groups of its instances would: another one of the source has the same name there. The
    /// one stands that has the most copies there already, else the first.
    fn name_taken(&self, scope: &ServiceKey, target: &ServiceKey) -> Option<String> {
        let feeding = self.feeding(target);
        if feeding.len() < 2 {
            return None;
        }
        let written = self.destination.written_in(target);
        let copied: BTreeSet<_> = written.records.keys().map(|id| &id.endpoint).collect();
        let count = |scope: &ServiceKey| {
            let mirror = self.source.mirror.lock();
            let set = mirror.set(scope).filter(|set| !set.records.is_empty())?;
            Some(set.records.keys().filter(|id| copied.contains(&id.endpoint)).count())
        };
        let here = feeding.into_iter().filter(|other| other == scope || self.targets(other).contains(target));
        let counted = here.filter_map(|scope| Some((count(&scope)?, Reverse(scope))));
        let (_, Reverse(stands)) = counted.max()?;
        (stands != *scope).then(|| {
            format!(
                "it has the name {} there, which {stands} has too: that one is copied; give one of them another name with `map`",
                target.name
            )
        })
    }

    /// The destination's scopes; none where the scope takes no part.
    pub fn targets(&self, scope: &ServiceKey) -> Vec<ServiceKey> {
        let takes_part = match &*self.memory.only.lock() {
            Only::Any => true,
            Only::Freeze => false,
            Only::Frozen(scopes) => scopes.contains(scope),
        };
        let title = || self.source.mirror.lock().part(&scope.part()).and_then(|state| state.title.clone());
        match takes_part && self.takes_part(&scope.part(), title().as_deref()) {
            true => self.named(scope),
            false => Vec::new(),
        }
    }

    /// Every scope that the source is known to have.
    pub fn source_scopes(&self) -> Vec<ServiceKey> {
        let mirror = self.source.mirror.lock();
        mirror.parts().values().flat_map(|state| state.sets().keys().cloned()).collect()
    }

    /// The scopes of the source that feed a scope of the destination.
    pub fn feeding(&self, target: &ServiceKey) -> Vec<ServiceKey> {
        match self.renames() {
            false => vec![target.clone()],
            true => self.memory.feeds.lock().of(&self.feed_key(target)),
        }
    }

    /// What the feeds of a scope of the destination are kept by.
    fn feed_key(&self, target: &ServiceKey) -> ServiceKey {
        if self.names.is_some() { target.folded() } else { target.clone() }
    }

    /// What a scope feeds, as it is kept. Where spellings are found in the destination, what the filters say may change with
    /// them: then it is everything that could come of the scope.
    fn feed_keys(&self, scope: &ServiceKey, targets: &[ServiceKey]) -> Vec<ServiceKey> {
        let named =
            self.spells().then(|| self.spec.lens.named(scope).map(|name| self.placed(&name)).unwrap_or_default());
        named.as_deref().unwrap_or(targets).iter().map(|target| self.feed_key(target)).collect()
    }

    /// Finds out which scopes feed which, all at once: a scope that is planned between two of its feeds would lose the
    /// second one's records.
    pub fn map_feeds(&self) {
        let mut feeds = Feeds::default();
        if self.renames() {
            for scope in self.source_scopes() {
                let keys = self.feed_keys(&scope, &self.targets(&scope));
                keys.iter().for_each(|key| feeds.add(key, scope.clone()));
            }
        }
        *self.memory.feeds.lock() = feeds;
    }

    /// Whether anything in the source wants to stand in this scope.
    pub fn target_wanted(&self, target: &ServiceKey) -> bool {
        let feeding = self.feeding(target);
        let mirror = self.source.mirror.lock();
        feeding.iter().any(|scope| mirror.set(scope).is_some_and(|set| !set.records.is_empty()))
    }

    /// Whether a part that the destination serves and does not list is made there, so that it does. A way back leaves one
    /// alone that the operator's providers use without a list having shown it: the task only says so.
    pub fn lists(&self, target: &Part) -> bool {
        if self.always_lists(target) {
            return true;
        }
        let mirror = self.destination.mirror.lock();
        let native = |set: &Arc<Set>| set.records.values().any(|held| held.native.is_some());
        !mirror.part(target).is_some_and(|state| state.sets().values().any(native))
    }

    /// Whether it is made even where others use it.
    pub fn always_lists(&self, target: &Part) -> bool {
        !self.spec.way_back || self.destination.once_listed.lock().contains(target)
    }

    /// The display name that a part of the destination is to have.
    pub fn title_for(&self, target: &Part) -> Option<Arc<str>> {
        let mirror = self.source.mirror.lock();
        let (_, state) = mirror.parts().iter().find(|(part, _)| self.target_part(part) == *target)?;
        state.title.clone()
    }

    pub fn source_changed(&self, scope: &ServiceKey, urgency: Urgency, now: Instant) {
        self.note_match(scope);
        for target in self.feed(scope) {
            self.judge_anew(&target, now);
            if urgency == Urgency::Live {
                self.memory.travels.lock().seen(&target, now);
            }
            self.destination.queue.mark_as(urgency, &target, now);
        }
    }

    /// The destination's scopes, like [`Self::targets`]; notes what feeds them.
    pub fn feed(&self, scope: &ServiceKey) -> Vec<ServiceKey> {
        let targets = self.targets(scope);
        if self.renames() {
            let keys = self.feed_keys(scope, &targets);
            let mut feeds = self.memory.feeds.lock();
            keys.iter().for_each(|key| feeds.add(key, scope.clone()));
        }
        targets
    }

    /// A scope of the source is gone and forgotten: it feeds nothing any more.
    pub fn unfeed(&self, scope: &ServiceKey) {
        if self.renames() {
            let keys = self.feed_keys(scope, &self.named(scope));
            let mut feeds = self.memory.feeds.lock();
            keys.iter().for_each(|key| feeds.remove(key, scope));
        }
    }

    /// Forgets that the removal of what has come back was let go: it may go again before the next planning.
    fn judge_anew(&self, target: &ServiceKey, now: Instant) {
        if self.memory.released.lock().get(target).is_some() {
            let wish = export(self, target, now).wish;
            let back = |id: &InstanceId| wish.records.contains_key(id) || wish.refused.contains_key(id);
            self.memory.released.lock().retain(target, |id| !back(id));
        }
    }

    /// Asks for a sweep over everything that this route wants or has, or of which something is told.
    pub fn sweep_all(self: &Arc<Self>) {
        let told = self.destination.scopes.lock().of(&self.spec.owner);
        self.destination.queue.sweep(told, Instant::now());
        self.destination.sweep(Coverage::Wanted(self.clone(), None));
        self.destination.sweep(Coverage::Held(Some(self.spec.owner.clone()), None));
        self.destination.sweep(Coverage::Lost);
        if self.spec.take_over.is_some() {
            self.destination.sweep(Coverage::Theirs(self.clone()));
        }
    }
}
