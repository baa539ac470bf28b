//! Nodes that would not let us write below them: what is below them goes first, their access lists last.

use super::rows::EntryRow;
use super::state::TaskState;
use causeway_core::{Content, EntryKey, Error, NameShape, Side};
use std::time::Duration;
use tokio::time::Instant;

/// How often a node that waits for what is below it is looked at again.
pub(super) const FILLING: Duration = Duration::from_millis(250);
/// What was just made on one side may still get children: the client that makes it sets its access list last, too.
const YOUNG: Duration = Duration::from_secs(1);

impl TaskState {
    /// What a node holds on `to` first, where its content would not let us write below it.
    pub(super) fn first(&self, to: Side, content: &Content) -> Option<Content> {
        let first = self.spec.cluster(to).port.sink()?.provisional(content)?;
        Some(self.spec.attributes.select(first))
    }

    /// Whether something below this node is still to be written beyond `from`, or may be.
    pub(super) fn is_filling(&self, key: &EntryKey, from: Side, now: Instant) -> bool {
        let Some((first, last)) = self.spec.shape().below(key) else { return false };
        self.young.get(key).is_some_and(|at| now < *at + YOUNG)
            || self.rows.range(&first, &last).any(|(below, row)| self.is_due(key, below, row, from))
    }

    /// Whether the node right below `parent` is written beyond `from` as soon as that can be done.
    fn is_due(&self, parent: &EntryKey, key: &EntryKey, row: &EntryRow, from: Side) -> bool {
        let to = from.other();
        let goes = match row.base {
            None => self.rules(key, &row.stamps()).travels_from(from),
            // One that was deleted there is deleted here too, if deletions travel.
            Some(_) => !self.rules(key, &row.stamps()).travels_from(to),
        };
        let refused = |error: &Error| matches!(error, Error::Denied(_) | Error::Missing(_) | Error::Protocol(_));
        goes && row.places[from].is_here()
            && !row.places[to].is_here()
            && !self.left.contains(key)
            && !self.tries.get(key).is_some_and(|failed| refused(&failed.error))
            && self.spec.parent(key).as_ref() == Some(parent)
            && !self.is_left_out(key)
    }

    /// Whether the node above an entry takes no part, or is none beyond `from`'s, so that it is made where it is missing.
    pub(super) fn makes_parents(&self, key: &EntryKey, from: Side) -> bool {
        let Some(parent) = self.shape(from.other()).parent(key) else { return false };
        self.shape(from) == NameShape::Flat
            || self.spec.parent(key).as_ref() != Some(&parent)
            || self.asides[from].contains_key(&parent)
    }

    /// Notes that an entry has just come to be on one side.
    pub(super) fn appeared(&mut self, key: &EntryKey, now: Instant) {
        if self.spec.shape() == NameShape::Tree {
            self.young.insert(key.clone(), now);
        }
    }

    /// Forgets who is not young any more.
    pub(super) fn forget_young(&mut self, now: Instant) {
        self.young.retain(|_, at| now < *at + YOUNG);
    }

    /// This entry was accepted. If it was refused before, others may be accepted now, too.
    pub(super) fn allowed(&mut self, key: &EntryKey) {
        self.probes.accepted(key).iter().for_each(|key| self.agenda.add(key));
    }

    /// The node stands otherwise than before on one side: what was refused below it may be accepted now.
    pub(super) fn changed_above(&mut self, key: &EntryKey) {
        let Some((first, last)) = self.spec.shape().below(key) else { return };
        self.probes.between(&first, &last).iter().for_each(|key| self.agenda.add(key));
    }
}
