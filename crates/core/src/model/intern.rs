//! Equal texts stand in memory once: names, addresses and metadata recur in every mirror, ledger and publication.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::{Xxh3DefaultBuilder, xxh3_64};

/// Independent pools, so that threads rarely wait for each other.
const POOLS: usize = 16;
/// Fewer texts than this are not worth a look for unused ones.
const FEW: usize = 1_024;

struct Pool {
    texts: HashSet<Arc<str>, Xxh3DefaultBuilder>,
    /// With so many texts, those that nobody uses any more are removed.
    look_at: usize,
}

static ALL: [Mutex<Pool>; POOLS] =
    [const { Mutex::new(Pool { texts: HashSet::with_hasher(Xxh3DefaultBuilder::new()), look_at: FEW }) }; POOLS];

/// The one copy of this text. It is freed some time after its last user.
pub fn intern(text: &str) -> Arc<str> {
    let index = (xxh3_64(text.as_bytes()) >> 32) as usize % POOLS;
    let mut pool = ALL[index].lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = pool.texts.get(text) {
        return known.clone();
    }
    if pool.texts.len() >= pool.look_at {
        pool.texts.retain(|text| Arc::strong_count(text) > 1);
        pool.texts.shrink_to(FEW);
        pool.look_at = FEW.max(pool.texts.len() * 2);
    }
    let new: Arc<str> = text.into();
    pool.texts.insert(new.clone());
    new
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
        let held: usize = ALL.iter().map(|pool| pool.lock().unwrap().texts.len()).sum();
        assert!(held < 100_000, "{held}");
        assert!(Arc::ptr_eq(&kept, &intern("kept")));
    }
}
