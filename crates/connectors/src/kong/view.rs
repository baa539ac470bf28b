//! What stands in Kong, as it was last read or written.
//!
//! A write of ours updates it by what Kong answered, so that nothing needs to be read again. What a read tells of an upstream that was
//! written meanwhile is older than what is known, and is left out.

use super::client::{ServiceRow, TargetRow, UpstreamRow};
use super::convert::{self, is_made_by_us, our_tag};
use super::names::{Place, given_scope};
use causeway_core::{Mark, OwnerId, ServiceKey, Set, Written};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// For so long what a list did not show is taken to be absent.
const FRESH: Duration = Duration::from_secs(10);

/// The targets of an upstream, by their addresses.
pub(super) type Targets = BTreeMap<String, TargetRow>;

/// An upstream with targets of ours.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub row: UpstreamRow,
    pub targets: Targets,
    set: Arc<Set>,
    /// Since when it has had no target.
    empty: Option<Instant>,
    /// It could not be removed then: something of others hangs on it.
    is_held: bool,
}

/// What is known of an upstream by its name.
pub(super) enum Seen {
    /// It is ours, or has targets of ours.
    Followed(Box<Followed>),
    /// It is somebody else's.
    Foreign(UpstreamRow),
    /// There is none.
    Absent,
    /// Nothing.
    Unknown,
}

/// A target that we wrote.
#[derive(Clone, Debug)]
struct Wrote {
    owner: OwnerId,
    /// Kong's id of it, where we have seen it.
    id: Option<String>,
}

#[derive(Default)]
struct ViewState {
    followed: BTreeMap<String, Followed>,
    foreign: BTreeMap<String, UpstreamRow>,
    services: BTreeMap<String, ServiceRow>,
    /// When everything was last listed.
    listed: Option<Instant>,
    /// Grows with every beginning and end of a write.
    turn: u64,
    /// By upstream: its last turn, and how many writes go on.
    touched: BTreeMap<String, (u64, usize)>,
    /// By upstream and address.
    written: BTreeMap<String, BTreeMap<String, Wrote>>,
    /// Upstreams of others in which we have written.
    given: BTreeSet<String>,
    /// Upstreams that were written through this cluster: another one of this install may be the same Kong.
    made: BTreeSet<String>,
}

/// What stands in Kong.
pub(super) struct View {
    install: Arc<str>,
    state: Mutex<ViewState>,
    /// Told when a set is another one.
    pub changed: Notify,
}

/// A write to an upstream that goes on.
pub(super) struct Writing<'a> {
    view: &'a View,
    upstream: String,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut state = self.view.state.lock();
        state.turn += 1;
        let turn = state.turn;
        if let Some((last, busy)) = state.touched.get_mut(&self.upstream) {
            (*last, *busy) = (turn, busy.saturating_sub(1));
        }
    }
}

impl View {
    pub fn new(install: Arc<str>) -> Self {
        Self { install, state: Mutex::default(), changed: Notify::new() }
    }

    /// Whether an upstream or a service is this install's own.
    pub fn is_own(&self, tags: &[String]) -> bool {
        tags.contains(&our_tag(&self.install))
    }

    /// The scope of an upstream, where it is ours, or has been written to.
    pub fn scope_of(&self, row: &UpstreamRow) -> Option<ServiceKey> {
        if is_made_by_us(&row.tags) {
            return Place::scope_of(&row.name);
        }
        self.state.lock().given.contains(&row.name).then(|| given_scope(&row.name))
    }

    /// Notes that targets of ours stand in somebody else's upstream.
    pub fn follow(&self, upstream: &str) {
        self.state.lock().given.insert(upstream.to_owned());
    }

    /// What an earlier process wrote.
    pub fn adopt(&self, owned: &[(ServiceKey, Written)]) {
        let mut state = self.state.lock();
        for (scope, written) in owned {
            let Ok(place) = Place::of(scope) else { continue };
            if place.is_given {
                state.given.insert(place.upstream.clone());
            }
            state.made.insert(place.upstream.clone());
            let targets = state.written.entry(place.upstream).or_default();
            for one in written.records.values() {
                let wrote = Wrote { owner: one.owner.clone(), id: None };
                targets.entry(convert::address(&one.record)).or_insert(wrote);
            }
        }
    }

    /// Now, for [`Self::take`].
    pub fn turn(&self) -> u64 {
        self.state.lock().turn
    }

    /// A write begins.
    pub fn writes(&self, upstream: &str) -> Writing<'_> {
        let mut state = self.state.lock();
        state.turn += 1;
        let turn = state.turn;
        let (last, busy) = state.touched.entry(upstream.to_owned()).or_default();
        (*last, *busy) = (turn, *busy + 1);
        Writing { view: self, upstream: upstream.to_owned() }
    }

    /// What is known of an upstream.
    pub fn seen(&self, upstream: &str) -> Seen {
        let state = self.state.lock();
        if let Some(followed) = state.followed.get(upstream) {
            return Seen::Followed(Box::new(followed.clone()));
        }
        if let Some(row) = state.foreign.get(upstream) {
            return Seen::Foreign(row.clone());
        }
        match state.listed.is_some_and(|listed| listed.elapsed() < FRESH) {
            true => Seen::Absent,
            false => Seen::Unknown,
        }
    }

    /// Notes for whom a target was written, and Kong's id of it; `None`: it was taken away.
    pub fn note(&self, upstream: &str, address: &str, wrote: Option<(OwnerId, Option<String>)>) {
        let mut state = self.state.lock();
        if wrote.is_some() {
            state.made.insert(upstream.to_owned());
        }
        let targets = state.written.entry(upstream.to_owned()).or_default();
        match wrote {
            Some((owner, id)) => drop(targets.insert(address.to_owned(), Wrote { owner, id })),
            None => drop(targets.remove(address)),
        }
        if targets.is_empty() {
            state.written.remove(upstream);
        }
    }

    /// Whose a target is, where it is this install's: by its mark or, where somebody has written over that, because we wrote it.
    pub fn owner(&self, upstream: &str, row: &TargetRow) -> Option<OwnerId> {
        match convert::mark_of(&row.tags) {
            Some(mark) => (mark.owner.install == self.install).then(|| mark.owner.clone()),
            None => self.state.lock().wrote(upstream, row),
        }
    }

    /// An upstream as it was written just now.
    pub fn put(&self, scope: &ServiceKey, row: UpstreamRow, targets: Targets) {
        self.state.lock().put(scope, row, targets);
        self.changed.notify_waiters();
    }

    /// An upstream is not there any more.
    pub fn remove(&self, upstream: &str) {
        let mut state = self.state.lock();
        state.made.remove(upstream);
        let was = state.followed.remove(upstream).is_some();
        drop(state);
        if was {
            self.changed.notify_waiters();
        }
    }

    /// An upstream as it was read, at `turn` or later.
    pub fn take(&self, scope: &ServiceKey, row: UpstreamRow, targets: Vec<TargetRow>, turn: u64) {
        let mut state = self.state.lock();
        if state.is_older(&row.name, turn) {
            return;
        }
        let targets = targets.into_iter().map(|row| (row.target.clone(), row)).collect();
        let changed = state.put(scope, row, targets);
        drop(state);
        if changed {
            self.changed.notify_waiters();
        }
    }

    /// All upstreams there are, as they were listed at `turn` or later. Those that are followed and missing are gone. Returns
    /// those that are to be followed and are not yet.
    pub fn list(&self, rows: &[UpstreamRow], turn: u64) -> Vec<(ServiceKey, UpstreamRow)> {
        let scopes: Vec<_> = rows.iter().map(|row| self.scope_of(row)).collect();
        let mut state = self.state.lock();
        state.listed = Some(Instant::now());
        let names: BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
        let mut fresh = Vec::new();
        let mut foreign = BTreeMap::new();
        for (row, scope) in rows.iter().zip(scopes) {
            match scope {
                None => drop(foreign.insert(row.name.clone(), row.clone())),
                Some(scope) => match state.followed.get_mut(&row.name) {
                    Some(followed) if followed.row.id == row.id => followed.row = row.clone(),
                    // With another id it was made anew, and its targets are others.
                    _ => fresh.push((scope, row.clone())),
                },
            }
        }
        let before = state.followed.len();
        let gone = |name: &String| !names.contains(name) || foreign.contains_key(name);
        let old: Vec<_> = state.followed.keys().filter(|name| gone(name)).cloned().collect();
        for name in old.into_iter().filter(|name| !state.is_older(name, turn)).collect::<Vec<_>>() {
            state.followed.remove(&name);
        }
        let changed = state.followed.len() != before;
        state.foreign = foreign;
        drop(state);
        if changed {
            self.changed.notify_waiters();
        }
        fresh
    }

    /// The followed upstreams after this one, round and round; at most `limit`, each once.
    pub fn after(&self, last: Option<&str>, limit: usize) -> Vec<(ServiceKey, UpstreamRow)> {
        let state = self.state.lock();
        let until = |last| (Bound::Unbounded, Bound::Included(last));
        let split = last.map_or(0, |last| state.followed.range::<str, _>(until(last)).count());
        let all = state.followed.values().cycle().skip(split).take(limit.min(state.followed.len()));
        all.map(|followed| (followed.set.scope.clone(), followed.row.clone())).collect()
    }

    /// The upstreams that were written through this cluster, and whether they have no target.
    pub fn upstreams(&self) -> Vec<(ServiceKey, UpstreamRow, bool)> {
        let state = self.state.lock();
        let made = state.followed.iter().filter(|(name, _)| state.made.contains(*name));
        made.map(|(_, one)| (one.set.scope.clone(), one.row.clone(), one.targets.is_empty())).collect()
    }

    /// Those that have had no target for so long: `made` through this cluster, or `left` by an earlier process. Those that were
    /// held wait as long as these.
    pub fn idle(&self, made: Duration, left: Duration) -> Vec<(ServiceKey, Place)> {
        let state = self.state.lock();
        let time = |name: &String, one: &Followed| if state.made.contains(name) && !one.is_held { made } else { left };
        let is_idle = |name: &String, one: &Followed| one.empty.is_some_and(|since| since.elapsed() >= time(name, one));
        let idle = state.followed.iter().filter(|(name, one)| is_idle(name, one));
        idle.filter_map(|(_, one)| Some((one.set.scope.clone(), Place::of(&one.set.scope).ok()?))).collect()
    }

    /// An idle upstream stands still: its time begins anew.
    pub fn put_off(&self, upstream: &str, is_held: bool) {
        if let Some(one) = self.state.lock().followed.get_mut(upstream).filter(|one| one.empty.is_some()) {
            (one.empty, one.is_held) = (Some(Instant::now()), is_held);
        }
    }

    /// How many upstreams are followed.
    pub fn len(&self) -> usize {
        self.state.lock().followed.len()
    }

    /// The sets of all followed upstreams.
    pub fn sets(&self) -> BTreeMap<ServiceKey, Arc<Set>> {
        self.state.lock().followed.values().map(|one| (one.set.scope.clone(), one.set.clone())).collect()
    }

    /// All services there are.
    pub fn put_services(&self, rows: Vec<ServiceRow>) {
        self.state.lock().services = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
    }

    /// A service as it stands now; `None`: it is gone.
    pub fn put_service(&self, name: &str, row: Option<ServiceRow>) {
        let mut state = self.state.lock();
        match row {
            Some(row) => drop(state.services.insert(name.to_owned(), row)),
            None => drop(state.services.remove(name)),
        }
    }

    /// A service, as far as it is known.
    pub fn service(&self, name: &str) -> Option<ServiceRow> {
        self.state.lock().services.get(name).cloned()
    }

    /// Forgets what stands there, since it cannot be read: what is absent is not known any more.
    pub fn lose(&self) {
        self.state.lock().listed = None;
    }
}

impl ViewState {
    fn is_older(&self, upstream: &str, turn: u64) -> bool {
        self.touched.get(upstream).is_some_and(|(last, busy)| *last > turn || *busy > 0)
    }

    /// For whom we wrote a target whose mark somebody has written over. Without any tag of ours it is his.
    fn wrote(&mut self, upstream: &str, row: &TargetRow) -> Option<OwnerId> {
        if !convert::has_tag_of_ours(&row.tags) {
            return None;
        }
        let wrote = self.written.get_mut(upstream)?.get_mut(&row.target)?;
        // Another one at the same address is somebody else's.
        let id = wrote.id.get_or_insert_with(|| row.id.clone());
        (*id == row.id).then(|| wrote.owner.clone())
    }

    /// Returns whether anything is other than before.
    fn put(&mut self, scope: &ServiceKey, row: UpstreamRow, targets: Targets) -> bool {
        let name = row.name.clone();
        let mut set = Set::empty(scope.clone());
        for target in targets.values() {
            let Some(mut record) = convert::record(target) else { continue };
            if record.mark.is_none()
                && let Some(owner) = self.wrote(&name, target)
            {
                record.mark = Some(Mark::new(owner, Vec::new()));
            }
            set.put(record);
        }
        self.foreign.remove(&name);
        match self.followed.get_mut(&name) {
            Some(before) if *before.set == set => {
                (before.row, before.targets) = (row, targets);
                false
            }
            _ => {
                let empty = targets.is_empty().then(Instant::now);
                self.followed.insert(name, Followed { row, targets, set: Arc::new(set), empty, is_held: false });
                true
            }
        }
    }
}
