//! Copies that another tool wrote, and that a task takes over.

use super::{Fresh, Wish};
use crate::model::{Instance, InstanceId, Mark, OwnerId, Set};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The copies of another tool that a task takes over in one scope. Connectors report such a copy with a mark whose install is the
/// tool, whose task is the tool's word for the source that it copied from, and whose path is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOver {
    /// The tool.
    pub tool: Arc<str>,
    /// How the tool calls the task's source; `None`: that is not known, and whatever stands where the task wants a record is of
    /// its source.
    pub source: Option<Arc<str>>,
    /// What is known of that from records that the task has taken over.
    pub learned: BTreeSet<Arc<str>>,
    /// Whether the task may write to the scope at all: only there a copy that nobody wants is told of.
    pub reaches: bool,
}

impl TakeOver {
    /// Whether a copy of this owner is taken over where the task wants a record.
    pub fn takes(&self, theirs: &OwnerId) -> bool {
        theirs.install == self.tool && self.source.as_ref().is_none_or(|source| *source == theirs.task)
    }

    /// Whether a copy of this owner is known to come from the task's source.
    pub fn knows(&self, theirs: &OwnerId) -> bool {
        theirs.install == self.tool
            && match &self.source {
                Some(source) => *source == theirs.task,
                // Two of the tool's sources can have an instance at one address: then nothing tells which is the task's.
                None => self.learned.len() == 1 && self.learned.contains(&theirs.task),
            }
    }
}

/// The owner of a copy that was written by another tool or another install; `None`: it is of this install, or native.
pub(super) fn theirs<'a>(mark: Option<&'a Mark>, install: &str) -> Option<&'a OwnerId> {
    mark.map(|mark| &mark.owner).filter(|owner| *owner.install != *install)
}

/// A copy of another tool, and the wish that takes it over.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub wish: &'a Wish,
    /// What that wish wants in its place; `None`: nothing.
    pub target: Option<&'a Instance>,
    pub record: &'a Instance,
    pub owner: &'a OwnerId,
}

/// What other tools hold in a scope that is to be taken over.
#[derive(Default)]
pub(super) struct OtherTools<'a> {
    /// By the id that is wanted.
    pub wanted: BTreeMap<&'a InstanceId, Standing<'a>>,
    /// The ids of those of them that stand under another one.
    pub elsewhere: BTreeSet<&'a InstanceId>,
    /// What nobody wants, by its own id.
    pub left: Vec<Standing<'a>>,
}

impl<'a> OtherTools<'a> {
    /// Kinds name instances at one address in ways of their own, so a copy is found by its id and, where no record of that id is
    /// wanted, by its address.
    pub fn of(wishes: &'a [Wish], observed: &'a Set) -> Self {
        let mut found = Self::default();
        let takers = || wishes.iter().filter_map(|wish| Some((wish, wish.take_over.as_ref()?)));
        if takers().next().is_none() {
            return found;
        }
        for (id, held) in observed.records.iter().filter(|(_, held)| held.native.is_none()) {
            for record in &held.copies {
                let Some(owner) = record.mark().map(|mark| &mark.owner) else { continue };
                let taker = takers().filter(|(_, take)| take.takes(owner)).find_map(|(wish, _)| {
                    let target = wanted_at(wish, id)?;
                    Some(Standing { wish, target: Some(target), record, owner })
                });
                match taker {
                    Some(standing) => {
                        // Of several at one address the one with the very id comes first.
                        let target = standing.target.map_or(id, |target| &target.id);
                        let is_first = *target == *id || !found.wanted.contains_key(target);
                        if is_first {
                            found.wanted.insert(target, standing);
                        }
                        if *target != *id {
                            found.elsewhere.insert(id);
                        }
                    }
                    None => found.left.extend(left_behind(wishes, id, record, owner)),
                }
            }
        }
        found
    }
}

/// What a wish wants at an id or, where it is none of its ids, at the address.
fn wanted_at<'a>(wish: &'a Wish, id: &InstanceId) -> Option<&'a Instance> {
    wish.records.get(id).or_else(|| at_address(&wish.records, id).next().map(|(_, record)| record))
}

/// Those of these records that are at the address of an id.
pub(super) fn at_address<'a, T>(
    records: &'a BTreeMap<InstanceId, T>,
    id: &InstanceId,
) -> impl Iterator<Item = (&'a InstanceId, &'a T)> {
    let endpoint = id.endpoint.clone();
    let first = InstanceId { endpoint: endpoint.clone(), slot: "".into() };
    records.range(first..).take_while(move |(id, _)| id.endpoint == endpoint)
}

/// A copy that nobody wants, as far as the source of a task that it is of can tell.
fn left_behind<'a>(
    wishes: &'a [Wish],
    id: &InstanceId,
    record: &'a Instance,
    owner: &'a OwnerId,
) -> Option<Standing<'a>> {
    let is_refused = |wish: &Wish| at_address(&wish.refused, id).next().is_some();
    if wishes.iter().any(|wish| wanted_at(wish, id).is_some() || is_refused(wish)) {
        return None;
    }
    let is_of = |wish: &&Wish| {
        wish.take_over.as_ref().is_some_and(|take| take.reaches && take.knows(owner))
            && (wish.fresh == Fresh::Settled || wish.witnessed.contains(id))
    };
    wishes.iter().find(is_of).map(|wish| Standing { wish, target: None, record, owner })
}
