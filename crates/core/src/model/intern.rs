//! Equal values stand in memory once: names, addresses, metadata and marks recur in every mirror, ledger and publication.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

/// Independent sets of one pool, so that threads rarely wait for each other.
const SETS: usize = 16;
/// Fewer values than this are not worth a look for unused ones.
const FEW: usize = 1_024;

/// The one copy of each value of a kind.
pub(super) struct Pool<T: ?Sized>([Mutex<Shared<T>>; SETS]);

struct Shared<T: ?Sized> {
    values: HashSet<Arc<T>, Xxh3DefaultBuilder>,
    /// With so many values, those that nobody uses any more are removed.
    look_at: usize,
}

impl<T: Hash + Eq + ?Sized> Pool<T> {
    pub const fn new() -> Self {
        Self(
            [const { Mutex::new(Shared { values: HashSet::with_hasher(Xxh3DefaultBuilder::new()), look_at: FEW }) };
                SETS],
        )
    }

    /// The one copy of this value. It is freed some time after its last user.
    pub fn get<V: AsRef<T> + Into<Arc<T>>>(&self, value: V) -> Arc<T> {
        let index = (Xxh3DefaultBuilder::new().hash_one(value.as_ref()) >> 32) as usize % SETS;
        let mut set = self.0[index].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = set.values.get(value.as_ref()) {
            return known.clone();
        }
        if set.values.len() >= set.look_at {
            set.values.retain(|value| Arc::strong_count(value) > 1);
            set.values.shrink_to(FEW);
            set.look_at = FEW.max(set.values.len() * 2);
        }
        let new: Arc<T> = value.into();
        set.values.insert(new.clone());
        new
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(|set| set.lock().unwrap().values.len()).sum()
    }
}

static TEXTS: Pool<str> = Pool::new();

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
}
