//! Equal values stand in memory once: names, addresses, metadata and marks recur in every mirror, ledger and publication.
//! A value that nobody uses any more is freed by [`Pool::tidy`], or when many new ones have come.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

/// Independent sets of one pool, so that threads rarely wait for each other.
const SETS: usize = 16;
/// Fewer values than this are not worth a look for unused ones.
const FEW: usize = 1_024;
/// One new value among so many is reason enough to look for unused ones at the next [`Pool::tidy`].
const NEW: usize = 16;
/// The longest pause between two looks, in calls of [`Pool::tidy`].
const LONGEST_PAUSE: u32 = 256;

/// The one copy of each value of a kind.
pub(super) struct Pool<T: ?Sized>([Mutex<Values<T>>; SETS]);

struct Values<T: ?Sized> {
    values: HashSet<Arc<T>, Xxh3DefaultBuilder>,
    /// With so many values, those that nobody uses any more are removed.
    look_at: usize,
    /// How many came since the last look.
    new: usize,
    /// Calls of [`Pool::tidy`] between the last look and the next, and how many of them are left.
    pause: u32,
    left: u32,
}

impl<T: Hash + Eq + ?Sized> Values<T> {
    const fn new() -> Self {
        let values = HashSet::with_hasher(Xxh3DefaultBuilder::new());
        Self { values, look_at: FEW, new: 0, pause: LONGEST_PAUSE, left: 0 }
    }

    fn look(&mut self) {
        self.values.retain(|value| Arc::strong_count(value) > 1);
        self.values.shrink_to(FEW);
        self.look_at = FEW.max(self.values.len() * 2);
        self.new = 0;
    }

    /// Looks at once after many new values, then less and less often: what came goes some time after, and at rest no time
    /// is spent.
    fn tidy(&mut self) {
        if self.new * NEW > self.values.len() {
            (self.pause, self.left) = (1, 0);
        } else if self.pause == LONGEST_PAUSE && self.new == 0 {
            return;
        }
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        self.look();
        self.left = self.pause;
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
    }
}

impl<T: Hash + Eq + ?Sized> Pool<T> {
    pub const fn new() -> Self {
        Self([const { Mutex::new(Values::new()) }; SETS])
    }

    /// The one copy of this value. It is freed some time after its last user.
    pub fn get<V: AsRef<T> + Into<Arc<T>>>(&self, value: V) -> Arc<T> {
        let index = (Xxh3DefaultBuilder::new().hash_one(value.as_ref()) >> 32) as usize % SETS;
        let mut set = self.0[index].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = set.values.get(value.as_ref()) {
            return known.clone();
        }
        if set.values.len() >= set.look_at {
            set.look();
        }
        let new: Arc<T> = value.into();
        set.values.insert(new.clone());
        set.new += 1;
        new
    }

    /// Frees values that nobody uses any more, where values have come since the last calls. To be called once a minute.
    pub fn tidy(&self) {
        self.0.iter().for_each(|set| set.lock().unwrap_or_else(PoisonError::into_inner).tidy());
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(|set| set.lock().unwrap().values.len()).sum()
    }
}

pub(super) static TEXTS: Pool<str> = Pool::new();

/// The one copy of this text. It is freed some time after its last user.
pub fn intern(text: &str) -> Arc<str> {
    TEXTS.get(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_unused_ones_go() {
        let kept = intern("kept");
        assert!(Arc::ptr_eq(&kept, &intern("kept")));
        let many: Vec<_> = (0..50_000).map(|n| intern(&format!("text {n}"))).collect();
        assert!(Arc::ptr_eq(&many[7], &intern("text 7")));
        drop(many);
        for n in 0..200_000 {
            intern(&format!("other {n}"));
        }
        assert!(TEXTS.len() < 100_000, "{}", TEXTS.len());
        assert!(Arc::ptr_eq(&kept, &intern("kept")));
    }

    #[test]
    fn what_is_left_behind_goes_without_new_values() {
        let pool = Pool::<str>::new();
        let mut kept: Vec<_> = (0..20_000).map(|n| pool.get(format!("{n}").as_str())).collect();
        pool.tidy();
        assert_eq!(pool.len(), 20_000);
        kept.truncate(100);
        // The first look was too early; the next ones come after 1, 2 and 4 calls more.
        pool.tidy();
        assert_eq!(pool.len(), 20_000);
        pool.tidy();
        assert_eq!(pool.len(), 100);
        kept.truncate(10);
        (0..3).for_each(|_| pool.tidy());
        assert_eq!(pool.len(), 10);
        // In the end, nobody looks until something comes.
        (0..1_000).for_each(|_| pool.tidy());
        kept.clear();
        (0..1_000).for_each(|_| pool.tidy());
        assert_eq!(pool.len(), 10);
        (0..1_000).for_each(|n| drop(pool.get(format!("new {n}").as_str())));
        pool.tidy();
        assert_eq!(pool.len(), 0);
    }
}
