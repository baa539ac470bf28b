//! How much of a part of a source is missing without a witness, for the guard. It is counted a portion at a time: a part may
//! have a hundred thousand services, and no live change waits for them. What waits for a count is planned again at its end.

use crate::services::cluster::ActiveCluster;
use crate::services::export::export;
use crate::services::route::ActiveRoute;
use crate::services::writer::TURN;
use causeway_core::{InstanceId, Part, ServiceKey, Skip, Written, contain_now};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Scopes that are counted in one go, if that takes no longer than [`TURN`].
const PORTION: usize = 64;
/// A count serves all scopes of the part for so long, and for [`SHARE`] times as long as it took: most of the time removals
/// are written, not counted.
const SERVES: Duration = Duration::from_secs(1);
const SHARE: u32 = 4;

/// How much of a route's records of one source part is wanted, and how much is missing without a witness.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Census {
    pub total: usize,
    pub missing: usize,
    pub alive: usize,
}

/// One route's counts, by the source's part.
#[derive(Default)]
pub(crate) struct PartCensuses(Mutex<BTreeMap<Part, PartCensus>>);

#[derive(Default)]
struct PartCensus {
    done: Option<CompleteCount>,
    going: Option<OpenCount>,
    /// Scopes of the destination to be planned when it is done.
    waiting: BTreeSet<ServiceKey>,
}

/// A complete count.
struct CompleteCount {
    /// The loss that it was made for.
    since: Instant,
    until: Instant,
    census: Census,
}

/// A count under way.
#[derive(Clone)]
struct OpenCount {
    since: Instant,
    began: Instant,
    /// The last scope that was counted.
    after: Option<ServiceKey>,
    census: Census,
}

impl OpenCount {
    fn new(since: Instant, began: Instant) -> Self {
        Self { since, began, after: None, census: Census::default() }
    }
}

impl PartCensuses {
    /// The complete count of a part that lost something at `since`. Where there is none yet, one is made, and `scope` is
    /// planned again when it is done.
    pub fn of(&self, part: &Part, since: Instant, scope: &ServiceKey, now: Instant) -> Option<Census> {
        let mut counts = self.0.lock();
        let count = counts.entry(part.clone()).or_default();
        if let Some(done) = count.done.as_ref().filter(|done| done.since == since && now < done.until) {
            return Some(done.census);
        }
        count.going.get_or_insert_with(|| OpenCount::new(since, now));
        count.waiting.insert(scope.clone());
        None
    }

    fn is_going(&self) -> bool {
        self.0.lock().values().any(|count| count.going.is_some())
    }

    /// The first count under way. It stays so until its next state is given to [`Self::put`].
    fn first(&self) -> Option<(Part, OpenCount)> {
        let counts = self.0.lock();
        counts.iter().find_map(|(part, count)| Some((part.clone(), count.going.clone()?)))
    }

    fn put(&self, part: &Part, going: OpenCount) {
        if let Some(count) = self.0.lock().get_mut(part) {
            count.going = Some(going);
        }
    }

    /// A count is complete; returns what has waited for it.
    fn end(&self, part: &Part, going: &OpenCount, now: Instant) -> BTreeSet<ServiceKey> {
        let mut counts = self.0.lock();
        let Some(count) = counts.get_mut(part) else { return BTreeSet::new() };
        let until = now + SERVES.max((now - going.began) * SHARE);
        count.done = Some(CompleteCount { since: going.since, until, census: going.census });
        count.going = None;
        std::mem::take(&mut count.waiting)
    }

    /// The part is not known any more, and nothing can be counted; returns what has waited for it.
    fn forget(&self, part: &Part) -> BTreeSet<ServiceKey> {
        self.0.lock().remove(part).map(|count| count.waiting).unwrap_or_default()
    }
}

impl ActiveCluster {
    /// Whether anything that is missing is being counted for a route that writes here.
    pub fn is_counting(&self) -> bool {
        self.inbound.read().iter().any(|route| route.counts.is_going())
    }

    /// Goes on with a count by one portion. What has waited for it is planned when it is complete.
    pub fn count_on(&self, now: Instant) {
        let counting = self.inbound.read().iter().find(|route| route.counts.is_going()).cloned();
        let Some((route, (part, going))) = counting.and_then(|route| Some((route.clone(), route.counts.first()?)))
        else {
            return;
        };
        let since = route.source.mirror.lock().part(&part).map(|state| state.freshness.missing_since());
        match since {
            None => self.queue.sweep(route.counts.forget(&part), now),
            // What has been counted so far was counted before something else was lost.
            Some(since) if since != going.since => route.counts.put(&part, OpenCount::new(since, now)),
            Some(_) => self.count_portion(&route, &part, going, now),
        }
    }

    fn count_portion(&self, route: &ActiveRoute, part: &Part, mut going: OpenCount, now: Instant) {
        let target = route.target_part(part);
        let portion = held(self, &target, going.after.as_ref());
        let complete = portion.len() < PORTION;
        let (count, mut counted) = (portion.len(), 0);
        for (scope, written) in portion {
            going.census.add(route, &scope, &written, now);
            going.after = Some(scope);
            counted += 1;
            if now.elapsed() >= TURN {
                break;
            }
        }
        match complete && counted == count {
            true => self.queue.sweep(route.counts.end(part, &going, Instant::now()), now),
            false => route.counts.put(part, going),
        }
    }
}

/// The next scopes of a destination's part that hold something of ours.
fn held(cluster: &ActiveCluster, target: &Part, after: Option<&ServiceKey>) -> Vec<(ServiceKey, Arc<Written>)> {
    let first = ServiceKey::new(&target.0, "", "");
    let from = after.map_or(Bound::Included(&first), Bound::Excluded);
    let ledger = cluster.ledger.lock();
    let scopes = ledger.range::<ServiceKey, _>((from, Bound::Unbounded));
    let here = scopes.take_while(|(scope, _)| scope.namespace == target.0);
    here.take(PORTION).map(|(scope, written)| (scope.clone(), written.clone())).collect()
}

impl Census {
    /// Counts what a route has in a scope. Where that panics, which is a bug, nothing is known to be wanted there: it counts as
    /// missing, and planning the scope itself tells of the bug.
    fn add(&mut self, route: &ActiveRoute, scope: &ServiceKey, written: &Written, now: Instant) {
        let ours = || written.records.iter().filter(|(_, record)| record.owner == route.spec.owner).map(|(id, _)| id);
        self.total += ours().count();
        let Ok(export) = contain_now(|| export(route, scope, now)) else {
            self.missing += ours().count();
            return;
        };
        let wish = &export.wish;
        // What no filter decides about stays: it is not missing.
        let undecided = |id| matches!(wish.refused.get(id), Some(Skip::Undecided(_)));
        self.alive += wish.records.len() + wish.refused.keys().filter(|id| undecided(*id)).count();
        let released = route.memory.released.lock();
        let is_released = |id: &InstanceId| released.get(scope).is_some_and(|ids| ids.contains(id));
        let known = |id| wish.records.contains_key(id) || wish.witnessed.contains(id) || undecided(id);
        self.missing += ours().filter(|id| !known(*id) && !is_released(id)).count();
    }
}
