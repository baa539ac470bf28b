//! Which copies we keep in a registry, and what lists are still to show of what we wrote. Pure but for the clock.
//!
//! Servers answer lists from a cache that is up to 30 s old. Until a list shows what was written, it is shown as it was written,
//! so that nothing is written again and no difference is taken for an operator's.

use super::convert::{self, Row};
use super::view::{Rows, firsts};
use crate::util::lease::Keeper;
use causeway_core::{Attributes, Instance, Mark, OwnerId, Set};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A list that is older than this is not waited for any more.
const LATE: Duration = Duration::from_secs(40);

/// An application, and the id of an instance of it.
pub(super) type Id = (Arc<str>, Arc<str>);

/// One copy as it was written.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub record: Instance,
    pub owner: OwnerId,
    /// The time stamp that it was written with.
    pub dirty: i64,
    /// When it was written. `None`: an earlier process did it.
    written: Option<Instant>,
    /// A list has shown it.
    shown: bool,
}

/// Of one application, the time stamps of what was withdrawn, and when.
type Gone = BTreeMap<Arc<str>, (i64, Instant)>;

/// Everything that is kept.
#[derive(Default)]
pub(super) struct Kept {
    copies: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Copy>>,
    /// What was withdrawn.
    gone: BTreeMap<Arc<str>, Gone>,
    /// Applications of which a list has not shown yet what was written or withdrawn.
    pending: BTreeSet<Arc<str>>,
    leases: Arc<Keeper<Id>>,
}

impl Kept {
    /// When each copy is renewed.
    pub fn leases(&self) -> Arc<Keeper<Id>> {
        self.leases.clone()
    }

    /// Keeps a copy that has just been written.
    pub fn written(&mut self, id: &Id, record: &Instance, owner: &OwnerId, dirty: i64, every: Duration) {
        let now = Instant::now();
        let copy = Copy { record: record.clone(), owner: owner.clone(), dirty, written: Some(now), shown: false };
        self.copies.entry(id.0.clone()).or_default().insert(id.1.clone(), copy);
        self.pending.insert(id.0.clone());
        self.leases.change(|leases| leases.keep(id.clone(), every, now));
    }

    /// Keeps a copy that an earlier process wrote; it is renewed at `at` first.
    pub fn adopted(&mut self, id: &Id, record: &Instance, owner: &OwnerId, dirty: i64, every: Duration, at: Instant) {
        let copy = Copy { record: record.clone(), owner: owner.clone(), dirty, written: None, shown: true };
        self.copies.entry(id.0.clone()).or_default().insert(id.1.clone(), copy);
        self.leases.change(|leases| leases.renew_at(id.clone(), every, at));
    }

    /// A copy was withdrawn: `dirty` is the time stamp of what stood there.
    pub fn withdrawn(&mut self, id: &Id, dirty: i64) {
        self.forget(id);
        self.gone.entry(id.0.clone()).or_default().insert(id.1.clone(), (dirty, Instant::now()));
        self.pending.insert(id.0.clone());
    }

    /// No longer keeps a copy.
    pub fn forget(&mut self, id: &Id) {
        if let Some(copies) = self.copies.get_mut(&id.0) {
            copies.remove(&id.1);
            if copies.is_empty() {
                self.copies.remove(&id.0);
            }
        }
        self.leases.change(|leases| leases.remove(id));
    }

    pub fn copy(&self, id: &Id) -> Option<Copy> {
        self.copies.get(&id.0)?.get(&id.1).cloned()
    }

    /// The latest time stamp of ours under an id: of a copy that is kept, or of one that was withdrawn. 0: none is known.
    pub fn latest(&self, id: &Id) -> i64 {
        let kept = self.copies.get(&id.0).and_then(|copies| copies.get(&id.1)).map(|copy| copy.dirty);
        let gone = self.gone.get(&id.0).and_then(|gone| gone.get(&id.1)).map(|(until, _)| *until);
        kept.max(gone).unwrap_or_default()
    }

    /// Keeps nothing any more. What stands ends by itself.
    pub fn clear(&mut self) {
        self.copies.clear();
        self.gone.clear();
        self.pending.clear();
        self.leases.change(|leases| leases.clear());
    }

    /// Applications whose sets may be otherwise though no list has changed.
    pub fn pending(&self) -> Vec<Arc<str>> {
        self.pending.iter().cloned().collect()
    }

    /// The server was away: what it lists from now on counts.
    pub fn believe(&mut self) {
        self.copies.values_mut().flat_map(BTreeMap::values_mut).for_each(|copy| copy.shown = true);
        self.gone.clear();
        self.pending.clear();
    }

    /// What stands in an application, given what is listed of it: ours known as ours. Where somebody has registered over a copy
    /// of ours, that is no longer kept.
    pub fn set(&mut self, app: &str, listed: Option<&Rows>) -> Set {
        let now = Instant::now();
        let none = Rows::new();
        let rows = listed.unwrap_or(&none);
        let mut set = Set::empty(convert::scope(app));
        set.attributes = Some(Attributes::default());
        let lost = self.look(app, rows, now);
        let copies = self.copies.get(app);
        let gone = self.gone.get(app);
        let until = |id: &str| gone.and_then(|gone| gone.get(id)).map(|(until, _)| *until);
        let is_gone = |row: &Row| {
            (row.ours || row.record.mark.is_some()) && until(&row.id).is_some_and(|until| row.dirty <= until)
        };
        // A copy that was overtaken shows what was written; so does one that is not listed yet.
        let waits = |copy: &&Copy, dirty: Option<i64>| !copy.shown && dirty.is_none_or(|dirty| dirty < copy.dirty);
        let firsts = firsts(rows);
        let mut all: Vec<_> =
            rows.iter().map(|(id, row)| (copies.and_then(|copies| copies.get(id.as_str())), row)).collect();
        // Of several of ours at one address the one that is kept is shown; the others end by themselves.
        all.sort_by_key(|(copy, _)| copy.is_some());
        for (copy, row) in all {
            if is_gone(row) || copy.as_ref().is_some_and(|copy| waits(copy, Some(row.dirty))) {
                continue;
            }
            // Ours though its mark was written over.
            let known = copy.filter(|_| row.ours && row.record.mark.is_none());
            if known.is_none() && row.record.mark.is_none() {
                let first = firsts.get(&row.record.id.endpoint);
                if first.is_some_and(|first| first.id != row.id) {
                    continue;
                }
            }
            let mark = known.map(|copy| Mark::new(copy.owner.clone(), Vec::new()));
            set.put(row.record.clone().with_mark(mark.or_else(|| row.record.mark.clone())));
        }
        for (id, copy) in copies.into_iter().flatten() {
            if waits(&copy, rows.get(&**id).map(|row| row.dirty)) {
                set.put(copy.record.clone());
            }
        }
        lost.iter().for_each(|id| self.forget(id));
        set
    }

    /// Notes what a list shows; returns the copies that somebody else has registered over.
    fn look(&mut self, app: &str, rows: &Rows, now: Instant) -> Vec<Id> {
        let mut lost = Vec::new();
        let mut open = false;
        let late = |at: Instant| now.duration_since(at) >= LATE;
        if let Some((key, copies)) =
            self.copies.get_key_value(app).map(|(key, _)| key.clone()).zip(self.copies.get_mut(app))
        {
            for (id, copy) in copies {
                copy.shown |= copy.written.is_none_or(late);
                match rows.get(&**id).map(|row| (row.ours, row.dirty >= copy.dirty)) {
                    Some((false, newer)) if newer || copy.shown => lost.push((key.clone(), id.clone())),
                    Some((true, true)) => copy.shown = true,
                    _ => {}
                }
                open |= !copy.shown;
            }
        }
        if let Some(gone) = self.gone.get_mut(app) {
            // Not listed now may be an old list, which a later one repeats: so it is waited for in any case.
            gone.retain(|_, (_, at)| !late(*at));
            open |= !gone.is_empty();
            if gone.is_empty() {
                self.gone.remove(app);
            }
        }
        if !open {
            self.pending.remove(app);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eureka::client::Listing;
    use crate::eureka::settings::Settings;
    use crate::eureka::view::View;
    use causeway_core::ClusterId;
    use tokio::time::advance;

    const EVERY: Duration = Duration::from_secs(30);

    fn copy(build: &str) -> Instance {
        let owner = OwnerId::new("i", "t");
        Instance::new("127.0.0.1", 1).with(|one| {
            one.metadata = [("build", build)].into();
            one.mark = Some(Mark::new(owner, vec![ClusterId::of("a")]));
        })
    }

    fn id() -> Id {
        ("A".into(), "127.0.0.1:1:A".into())
    }

    /// The registry as it lists these.
    fn view(records: &[(Instance, i64)]) -> View {
        let write = |(record, dirty): &(Instance, i64)| {
            let mut wire = convert::write("A", record, &Settings::default());
            wire.last_dirty_timestamp = *dirty;
            wire
        };
        let instances = records.iter().map(write).collect();
        View::of(Listing { instances, ..Listing::default() }, &Settings::default())
    }

    fn copies(kept: &mut Kept, view: &View) -> Vec<Instance> {
        let set = kept.set("A", view.rows("A"));
        set.records.into_values().flat_map(|held| held.copies).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_is_shown_until_a_list_does() {
        let (mut kept, owner) = (Kept::default(), OwnerId::new("i", "t"));
        let (old, new) = (copy("1"), copy("2"));
        kept.written(&id(), &new, &owner, 7, EVERY);
        let shown = std::slice::from_ref(&new);
        assert_eq!(copies(&mut kept, &view(&[])), shown);
        assert_eq!(copies(&mut kept, &view(&[(old, 6)])), shown);
        assert_eq!(kept.pending().len(), 1);
        assert_eq!(copies(&mut kept, &view(&[(new.clone(), 7)])), shown);
        assert!(kept.pending().is_empty());
        assert!(copies(&mut kept, &view(&[])).is_empty(), "shown once, it can go");
        kept.written(&id(), &new, &owner, 8, EVERY);
        advance(LATE).await;
        assert!(copies(&mut kept, &view(&[])).is_empty(), "no list is that old");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_withdrawn_is_hidden_until_lists_are_new() {
        let (mut kept, owner) = (Kept::default(), OwnerId::new("i", "t"));
        kept.written(&id(), &copy("1"), &owner, 7, EVERY);
        kept.withdrawn(&id(), 7);
        let old = view(&[(copy("1"), 7)]);
        assert!(copies(&mut kept, &old).is_empty() && copies(&mut kept, &view(&[])).is_empty());
        assert!(copies(&mut kept, &old).is_empty(), "an older list comes later");
        assert_eq!(copies(&mut kept, &view(&[(copy("2"), 8)])), [copy("2")], "registered again");
        advance(LATE).await;
        assert_eq!(copies(&mut kept, &old), [copy("1")]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_registers_over_a_copy_takes_it() {
        let (mut kept, owner) = (Kept::default(), OwnerId::new("i", "t"));
        kept.written(&id(), &copy("1"), &owner, 7, EVERY);
        let native = copy("3").with_mark(None);
        assert_eq!(copies(&mut kept, &view(&[(native.clone(), 6)])), [copy("1")], "before us");
        let set = kept.set("A", view(&[(native, 8)]).rows("A"));
        assert!(set.records.values().all(|held| held.copies.is_empty() && held.native.is_some()));
        assert!(kept.copy(&id()).is_none() && kept.leases().change(|leases| leases.next()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_ours_though_its_mark_was_written_over() {
        let (mut kept, owner) = (Kept::default(), OwnerId::new("i", "t"));
        kept.adopted(&id(), &copy("1"), &owner, 7, EVERY, Instant::now());
        let edited = copy("1").with(|one| {
            one.mark = None;
            one.metadata.insert("causeway", "mine");
        });
        let [ours] = copies(&mut kept, &view(&[(edited, 9)])).try_into().unwrap();
        assert_eq!(ours.mark, Some(Mark::new(owner, Vec::new())));
        assert!(kept.copy(&id()).is_some());
    }
}
