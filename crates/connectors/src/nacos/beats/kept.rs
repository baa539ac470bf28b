//! Which records are kept by heart beats, and whose the record at the address of each is.

use super::super::beat_keys;
use super::super::convert::MARK;
use crate::util::lease::{Keeper, Leases};
use causeway_core::{Instance, InstanceId, OwnerId, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The server may ask for more beats, up to this.
const LEAST: Duration = Duration::from_millis(500);
/// Between two registrations of an instance that is to stay unhealthy: a beat would heal it. A record without either
/// ends after 30 s.
pub(super) const UNHEALTHY: Duration = Duration::from_secs(10);
/// A registration is not repeated within this time: a busy server shows it late, and repetitions keep it busy.
const PENDING: Duration = Duration::from_secs(5);
/// A beat of ours that was under way when the mark went may still arrive within this time.
const LATE: Duration = Duration::from_millis(1500);
/// Nobody's beat for this long: no provider keeps the record.
const UNCLAIMED: Duration = Duration::from_secs(7);

/// What stands where our mark is gone: an operator's edit, or a provider that registered over our copy.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Instant,
    last_beat: i64,
    /// Somebody else keeps it, or it differs from ours.
    others: bool,
}

#[derive(Clone, Debug)]
struct KeptRecord {
    record: Instance,
    owner: OwnerId,
    /// False: given up. Remembered until it is certain whose record stands there.
    wanted: bool,
    written: Option<Instant>,
    every: Duration,
    doubt: Option<Doubt>,
}

/// Everything that is kept. What is wanted and not in doubt has a lease, and nothing else has one.
#[derive(Default)]
pub(super) struct KeptRecords {
    entries: BTreeMap<ServiceKey, BTreeMap<InstanceId, KeptRecord>>,
    leases: Arc<Keeper<(ServiceKey, InstanceId)>>,
}

impl KeptRecords {
    /// When each record is beaten.
    pub fn leases(&self) -> Arc<Keeper<(ServiceKey, InstanceId)>> {
        self.leases.clone()
    }

    /// Keeps a record from now on. `written`: it has just been registered.
    pub fn put(&mut self, scope: &ServiceKey, record: &Instance, owner: &OwnerId, written: bool, now: Instant) {
        let (id, every) = (record.id.clone(), interval(record));
        let written = written.then_some(now);
        let entry =
            KeptRecord { record: record.clone(), owner: owner.clone(), wanted: true, written, every, doubt: None };
        self.entries.entry(scope.clone()).or_default().insert(id.clone(), entry);
        self.leases.change(|leases| leases.keep((scope.clone(), id), every, now));
    }

    /// Whether this very record was registered a moment ago, so that a busy server may not show it yet.
    pub fn is_pending(&self, scope: &ServiceKey, record: &Instance, now: Instant) -> bool {
        let entry = self.entries.get(scope).and_then(|all| all.get(&record.id));
        let fresh = |at: Instant| now.duration_since(at) < PENDING;
        entry.is_some_and(|one| one.wanted && one.record == *record && one.written.is_some_and(fresh))
    }

    /// Plans the next beat, unless the record is given up or in doubt.
    pub fn again(&mut self, scope: &ServiceKey, id: &InstanceId, at: Instant) {
        if let Some(entry) = self.entry(scope, id).filter(|entry| entry.wanted && entry.doubt.is_none()) {
            let every = entry.every;
            self.leases.change(|leases| leases.renew_at((scope.clone(), id.clone()), every, at));
        }
    }

    /// The interval of a record's beats from now on, where the server asks for `every`.
    pub fn paced(&mut self, scope: &ServiceKey, id: &InstanceId, every: Option<Duration>) -> Option<Duration> {
        let entry = self.entry(scope, id)?;
        if let Some(every) = every.filter(|_| entry.record.healthy) {
            entry.every = every.clamp(LEAST, interval(&entry.record));
        }
        Some(entry.every)
    }

    /// After a beat that was answered: the next one in the record's interval, or in the one that the server says.
    pub fn beaten(&mut self, scope: &ServiceKey, id: &InstanceId, every: Option<Duration>, now: Instant) {
        let Some(every) = self.paced(scope, id, every) else { return };
        if self.entry(scope, id).is_some_and(|entry| entry.wanted && entry.doubt.is_none()) {
            self.leases.change(|leases| leases.keep((scope.clone(), id.clone()), every, now));
        }
    }

    /// A record that is kept.
    pub fn record(&self, scope: &ServiceKey, id: &InstanceId) -> Option<Instance> {
        Some(self.entries.get(scope)?.get(id)?.record.clone())
    }

    fn entry(&mut self, scope: &ServiceKey, id: &InstanceId) -> Option<&mut KeptRecord> {
        self.entries.get_mut(scope)?.get_mut(id)
    }

    /// Sends no more beats for a record.
    fn pause(&self, scope: &ServiceKey, id: &InstanceId) {
        self.leases.change(|leases| leases.remove(&(scope.clone(), id.clone())));
    }

    /// What is to stand in a service, but for what is in doubt.
    pub fn of(&self, scope: &ServiceKey) -> Vec<Instance> {
        let all = self.entries.get(scope).into_iter().flat_map(BTreeMap::values);
        let sure = |entry: &&KeptRecord| entry.wanted && entry.doubt.is_none_or(|doubt| !doubt.others);
        all.filter(sure).map(|entry| entry.record.clone()).collect()
    }

    /// No longer keeps a record. While it is not certain whose record stands there, it is remembered.
    pub fn give_up(&mut self, scope: &ServiceKey, id: &InstanceId) {
        let Some(entry) = self.entry(scope, id) else { return };
        entry.wanted = false;
        match entry.doubt.is_none_or(|doubt| doubt.others) {
            true => self.forget(scope, id),
            false => self.pause(scope, id),
        }
    }

    /// Nothing of ours stands at an address any more.
    pub fn forget(&mut self, scope: &ServiceKey, id: &InstanceId) {
        let Some(all) = self.entries.get_mut(scope) else { return };
        all.remove(id);
        if all.is_empty() {
            self.entries.remove(scope);
        }
        self.pause(scope, id);
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.leases.change(Leases::clear);
    }

    /// Whose an ephemeral record without a readable mark of its own is: the owner when it is ours nevertheless.
    /// Beats stop while it is not certain: they would keep a provider's record alive after its end.
    ///
    /// A mark that was written over is ours: nobody else writes the key. A record like ours without the key may be a
    /// provider that moved here as well as an edit; the provider beats, an edited record nobody but us does.
    pub fn judge(
        &mut self,
        scope: &ServiceKey,
        read: &Instance,
        last_beat: Option<i64>,
        now: Instant,
    ) -> Option<OwnerId> {
        let entry = self.entry(scope, &read.id)?;
        let owner = entry.owner.clone();
        let install = read.mark.as_ref().map(|mark| &mark.owner.install);
        if install == Some(&owner.install) || read.metadata.contains_key(MARK) {
            self.trust(scope, &read.id, now);
            return install.is_none().then_some(owner);
        }
        let others = install.is_some() || !alike(read, &entry.record);
        let doubt = entry.doubt.get_or_insert(Doubt { since: now, last_beat: 0, others });
        doubt.others |= others;
        let age = now.duration_since(doubt.since);
        match last_beat {
            Some(beat) if age < LATE => doubt.last_beat = beat,
            Some(beat) => doubt.others |= beat != doubt.last_beat,
            // A server that does not tell: without proof it is not ours.
            None => doubt.others = true,
        }
        let (others, wanted) = (doubt.others, entry.wanted);
        self.pause(scope, &read.id);
        if others && !wanted {
            self.forget(scope, &read.id);
        }
        if others || age < UNCLAIMED {
            return None;
        }
        if wanted {
            self.trust(scope, &read.id, now);
        }
        Some(owner)
    }

    /// The record stands as ours: it is kept if it is wanted.
    fn trust(&mut self, scope: &ServiceKey, id: &InstanceId, now: Instant) {
        let doubted = self.entry(scope, id).is_some_and(|entry| entry.doubt.take().is_some());
        if doubted {
            self.again(scope, id, now);
        }
    }

    /// Takes in which instances stand in a service (`there`): what was in doubt and is not among them has gone.
    pub fn absent(&mut self, scope: &ServiceKey, there: &BTreeSet<InstanceId>, now: Instant) {
        let Some(all) = self.entries.get(scope) else { return };
        let open = |entry: &KeptRecord| entry.doubt.is_some() || !entry.wanted;
        let gone = all.iter().filter(|(id, entry)| open(entry) && !there.contains(*id));
        for (id, wanted) in gone.map(|(id, entry)| (id.clone(), entry.wanted)).collect::<Vec<_>>() {
            match wanted {
                true => self.trust(scope, &id, now),
                false => self.forget(scope, &id),
            }
        }
    }
}

/// Whether a record is what we wrote, marks and health aside: health follows from beats.
fn alike(read: &Instance, ours: &Instance) -> bool {
    let mut read = read.clone().with(|one| one.healthy = ours.healthy);
    if read.metadata != ours.metadata {
        // Without the key of our mark, what we changed was not changed back.
        beat_keys::restore(&mut read.metadata);
    }
    read.eq(&ours.clone().with(|one| one.mark = None))
}

/// Time between two signs of life of a record.
fn interval(record: &Instance) -> Duration {
    let asked = beat_keys::every(&record.metadata);
    match record.healthy {
        true => asked,
        false => (2 * asked).min(UNHEALTHY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{ClusterId, Mark};

    fn owner() -> OwnerId {
        OwnerId::new("i", "t")
    }

    fn scope() -> ServiceKey {
        ServiceKey::new("public", "g", "s")
    }

    const BEAT: Duration = Duration::from_secs(5);

    fn ours() -> Instance {
        let mut instance = Instance::new("127.0.0.1", 1);
        instance.mark = Some(Mark::new(owner(), vec![ClusterId::of("a")]));
        instance
    }

    fn bare() -> Instance {
        ours().with(|one| one.mark = None)
    }

    impl KeptRecords {
        fn pop(&self, now: Instant) -> Option<(ServiceKey, Instance)> {
            let (scope, id) = self.leases.change(|leases| leases.pop(now))?;
            let record = self.record(&scope, &id)?;
            Some((scope, record))
        }

        fn next(&self) -> Option<Instant> {
            self.leases.change(|leases| leases.next())
        }
    }

    fn kept(now: Instant) -> KeptRecords {
        let mut kept = KeptRecords::default();
        kept.put(&scope(), &ours(), &owner(), true, now);
        kept
    }

    #[tokio::test]
    async fn a_record_is_due_once_an_interval() {
        let now = Instant::now();
        let mut kept = kept(now);
        assert!(kept.pop(now).is_none());
        assert!(kept.is_pending(&scope(), &ours(), now) && !kept.is_pending(&scope(), &bare(), now));
        assert!(!kept.is_pending(&scope(), &ours(), now + PENDING));
        let (scope, record) = kept.pop(now + BEAT).unwrap();
        assert!(kept.next().is_none(), "under way");
        kept.beaten(&scope, &record.id, Some(Duration::from_secs(2)), now + BEAT);
        assert_eq!(kept.next(), Some(now + BEAT + Duration::from_secs(2)));
        kept.give_up(&scope, &record.id);
        assert!(kept.next().is_none() && kept.entries.is_empty());
    }

    #[tokio::test]
    async fn a_record_that_somebody_beats_is_not_ours() {
        let now = Instant::now();
        let mut kept = kept(now);
        assert_eq!(kept.judge(&scope(), &ours(), Some(1), now), None, "its mark says it");
        assert!(kept.next().is_some());
        assert_eq!(kept.judge(&scope(), &bare(), Some(2), now), None);
        assert!(kept.next().is_none(), "no beat while in doubt");
        kept.judge(&scope(), &bare(), Some(3), now + Duration::from_secs(1));
        kept.judge(&scope(), &bare(), Some(8), now + Duration::from_secs(6));
        assert_eq!(kept.judge(&scope(), &bare(), Some(8), now + Duration::from_secs(9)), None);
        assert!(kept.of(&scope()).is_empty());
        kept.absent(&scope(), &BTreeSet::new(), now);
        assert!(kept.next().is_some(), "the provider left: ours comes back");
    }

    #[tokio::test]
    async fn a_record_that_nobody_beats_is_ours_again() {
        let now = Instant::now();
        for give_up in [false, true] {
            let mut kept = kept(now);
            kept.judge(&scope(), &bare(), Some(2), now);
            if give_up {
                kept.give_up(&scope(), &bare().id);
            }
            kept.judge(&scope(), &bare(), Some(2), now + Duration::from_secs(2));
            let claimed = kept.judge(&scope(), &bare(), Some(2), now + Duration::from_secs(8));
            assert_eq!(claimed, Some(owner()));
            assert_eq!(kept.next().is_some(), !give_up);
        }
    }

    #[tokio::test]
    async fn a_mark_written_over_is_still_ours() {
        let now = Instant::now();
        let mut kept = kept(now);
        let mut read = bare();
        read.metadata.insert(MARK, "x");
        assert_eq!(kept.judge(&scope(), &read, Some(2), now), Some(owner()));
        assert!(kept.next().is_some());
    }

    #[tokio::test]
    async fn another_record_is_not_ours() {
        let now = Instant::now();
        let mut kept = kept(now);
        let other = bare().with(|one| one.weight = 2.0);
        assert_eq!(kept.judge(&scope(), &other, Some(2), now), None);
        kept.give_up(&scope(), &other.id);
        assert!(kept.entries.is_empty());
        let metadata = [("preserved.heart.beat.interval".to_owned(), "1000".to_owned())].into();
        assert_eq!(interval(&ours().with(|one| one.metadata = metadata)), Duration::from_secs(1));
    }
}
