//! What every kind of record has in common.

use super::{ClusterId, Mark, OwnerId, Part};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

/// What records are watched, planned and locked together by: a service, or a config group.
pub trait Scope: Clone + Debug + Display + Ord + Hash + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// The part of the cluster that it lies in.
    fn part(&self) -> Part;
    /// The same scope in another part.
    fn in_part(&self, part: &Part) -> Self;
}

/// One thing we copy, such as an instance of a service.
pub trait Record: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its service, or its config group.
    type Scope: Scope;
    /// What tells it from its siblings.
    type Id: Clone + Debug + Display + Ord + Hash + Send + Sync + Serialize + DeserializeOwned + 'static;

    /// What tells it from its siblings.
    fn id(&self) -> Self::Id;
    /// `None`: no mark seen.
    fn mark(&self) -> Option<&Mark>;
    /// The same record with this mark, or with none.
    fn with_mark(self, mark: Option<Mark>) -> Self;
    /// Whether two records say the same thing, marks aside.
    fn same(&self, other: &Self) -> bool;

    /// In words what this record says and `to` does not, or otherwise; empty: nothing but the mark. No values of metadata: they
    /// may be long, and may be secret.
    fn differences(&self, to: &Self) -> Vec<String>;

    /// This record as its birthplace holds it, where a kind could only hold it in another way ([`crate::Sink::shape`]).
    fn into_born(self) -> Self {
        self
    }

    /// Which of two records that fall on one id in a destination is the newer one. Total, so that the choice is always
    /// the same.
    fn by_age(&self, other: &Self) -> std::cmp::Ordering;

    /// This record with what an operator changed from `written` to `shown` laid over it. What a kind does not let
    /// operators change stays.
    fn with_edit(self, written: &Self, shown: &Self) -> Self;

    /// This record as `owner` wants to see it beyond `from`: `from` is appended to the path.
    fn forwarded(self, from: &ClusterId, owner: &OwnerId) -> Self {
        let mut path = self.mark().map_or_else(Vec::new, |mark| mark.path.clone());
        path.push(from.clone());
        self.with_mark(Some(Mark { owner: owner.clone(), path }))
    }
}

/// What belongs to the scope itself, such as a service's metadata and protect threshold. Empty: the kind's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes(pub BTreeMap<String, String>);

/// What stands at one id: a native record and copies can stand there side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Held<R: Record> {
    /// The record that nobody's mark claims.
    pub native: Option<R>,
    /// Marked records, at most one an owner, in the order of their owners.
    pub copies: Vec<R>,
}

impl<R: Record> Default for Held<R> {
    fn default() -> Self {
        Self { native: None, copies: Vec::new() }
    }
}

impl<R: Record> Held<R> {
    /// Whether nothing stands here.
    pub fn is_empty(&self) -> bool {
        self.native.is_none() && self.copies.is_empty()
    }

    /// Puts a record where its mark says; replaces the one of the same owner.
    pub fn put(&mut self, record: R) {
        match record.mark().map(|mark| mark.owner.clone()) {
            None => self.native = Some(record),
            Some(owner) => {
                self.remove(&owner);
                self.copies.push(record);
                self.copies.sort_by(|a, b| a.mark().map(|mark| &mark.owner).cmp(&b.mark().map(|mark| &mark.owner)));
            }
        }
    }

    /// Takes the copy of `owner` out.
    pub fn remove(&mut self, owner: &OwnerId) {
        self.copies.retain(|copy| copy.mark().is_none_or(|mark| mark.owner != *owner));
    }

    /// The copy that a task of `install` wrote.
    pub fn copy_of(&self, install: &str) -> Option<&R> {
        self.copies.iter().find(|copy| copy.mark().is_some_and(|mark| &*mark.owner.install == install))
    }
}

/// All records of one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Set<R: Record> {
    /// Whose records these are.
    pub scope: R::Scope,
    /// What belongs to the scope itself.
    pub attributes: Attributes,
    /// What stands at each id; never an empty [`Held`].
    pub records: BTreeMap<R::Id, Held<R>>,
}

impl<R: Record> Set<R> {
    /// The scope with nothing in it.
    pub fn empty(scope: R::Scope) -> Self {
        Self { scope, attributes: Attributes::default(), records: BTreeMap::new() }
    }

    /// The scope with these records.
    pub fn of(scope: R::Scope, records: impl IntoIterator<Item = R>) -> Self {
        let mut set = Self::empty(scope);
        for record in records {
            set.put(record);
        }
        set
    }

    /// Puts a record where its id and its mark say.
    pub fn put(&mut self, record: R) {
        self.records.entry(record.id()).or_default().put(record);
    }

    /// Takes the copy of `owner` at `id` out.
    pub fn remove_copy(&mut self, id: &R::Id, owner: &OwnerId) {
        if let Some(held) = self.records.get_mut(id) {
            held.remove(owner);
            if held.is_empty() {
                self.records.remove(id);
            }
        }
    }
}
