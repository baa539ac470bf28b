//! Paths that are noted as ours while their znodes are being made.

use super::publications::{Publications, Published};
use causeway_core::Error;

/// A path that is noted as ours before its znode stands. The note is taken back when the write fails, also when the write is
/// cancelled. Where the session is no proof and there is no answer, both versions are remembered.
pub(super) struct Claim<'a> {
    ours: &'a Publications,
    path: &'a str,
    published: &'a Published,
    before: Option<Published>,
    /// Whether it stands, as far as that is known.
    stands: Option<bool>,
}

impl<'a> Claim<'a> {
    pub fn new(ours: &'a Publications, path: &'a str, published: &'a Published) -> Self {
        Self { ours, path, published, before: ours.put(path, published.clone()), stands: None }
    }

    /// What stood there before.
    pub fn before(&self) -> Option<&Published> {
        self.before.as_ref()
    }

    pub fn end(mut self, outcome: &Result<(), Error>) {
        self.stands = match outcome {
            Ok(()) => Some(true),
            Err(Error::Unavailable(_) | Error::Protocol(_)) => None,
            Err(_) => Some(false),
        };
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let ephemeral = |one: &Published| one.record.ephemeral;
        let proven = ephemeral(self.published) && self.before.as_ref().is_none_or(ephemeral);
        match (self.stands, self.before.take()) {
            (Some(true), _) if proven => {}
            (Some(true), _) => self.ours.sure(self.path, self.published.clone()),
            (None, _) if !proven => {}
            (_, Some(before)) => self.ours.sure(self.path, before),
            (_, None) => {
                self.ours.forget(self.path);
                // Should it stand after all, the watch shows it, and it is counted again.
                self.ours.spread().release(self.path);
            }
        }
    }
}
