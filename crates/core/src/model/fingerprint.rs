//! What tells whether settings have changed, without keeping them.

use std::fmt::{Debug, Write};
use xxhash_rust::xxh3::Xxh3;

/// Names a value within one process: equal values have equal fingerprints, other values others (XXH3, 128 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// The fingerprint of what `Debug` shows, which must be everything that counts and nothing that changes by itself.
    pub fn of(value: &(impl Debug + ?Sized)) -> Self {
        struct Hash(Xxh3);
        impl Write for Hash {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.update(text.as_bytes());
                Ok(())
            }
        }
        let mut hash = Hash(Xxh3::new());
        // A `Debug` that fails has shown what it could.
        write!(hash, "{value:?}").unwrap_or_default();
        Self(hash.0.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_not_places_count() {
        let of = |texts: &[&str]| Fingerprint::of(texts);
        assert_eq!(of(&["a", "b"]), Fingerprint::of(&vec!["a".to_owned(), "b".to_owned()]));
        assert!(
            of(&["a", "b"]) != of(&["b", "a"])
                && of(&["a, b"]) != of(&["a", "b"])
                && of(&["a\", \"b"]) != of(&["a", "b"])
        );
    }
}
