//! What we wrote into one scope: the ledger's entry.

use super::Change;
use crate::model::{Attributes, ClusterId, Instance, InstanceId, OwnerId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// One record that we wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WrittenRecord {
    /// As we wrote it, with its mark; a shadow has none.
    pub record: Instance,
    /// For which task.
    pub owner: OwnerId,
    /// Whether it is identical to a native record and only backs it.
    #[serde(default)]
    pub shadow: bool,
    /// What stood there when `record` was about to be written, while it is not known whether it was: either may stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Instance>>,
    /// Whose copy it took the place of, where another tool had one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<OwnerId>,
}

impl WrittenRecord {
    /// Whether it backs, or has backed a moment ago, another tool's copy.
    pub fn backs_theirs(&self) -> bool {
        self.shadow && self.over.is_some()
    }
}

/// What we wrote into one scope, whole: the memory that marks are not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// By id. Written to files as a list.
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    pub records: BTreeMap<InstanceId, WrittenRecord>,
    /// What we wrote for the scope itself, and the clusters it came through.
    #[serde(default)]
    pub attributes: Option<(Attributes, Vec<ClusterId>)>,
}

impl Written {
    /// Whether we wrote nothing, or took all of it back.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.attributes.is_none()
    }

    /// Remembers a change that is about to be made. What it is made of is kept beside it until its answer is noted.
    pub fn intend(&mut self, change: &Change) {
        self.note(change, &[]);
        if let Change::Update { from, to } = change
            && let Some(written) = self.records.get_mut(&to.id())
        {
            written.before = Some(Box::new(from.clone()));
        }
    }

    /// Puts back what was remembered of a record before a change that was not made.
    pub fn put_back(&mut self, id: &InstanceId, before: Option<WrittenRecord>) {
        match before {
            Some(before) => drop(self.records.insert(id.clone(), before)),
            None => drop(self.records.remove(id)),
        }
        if self.records.is_empty() {
            self.attributes = None;
        }
    }

    /// Remembers a change that the destination has accepted. `path`: the clusters that the scope's own attributes came
    /// through.
    pub fn note(&mut self, change: &Change, path: &[ClusterId]) {
        let over = change.over().cloned();
        // Ours has got another id, which its address has in place of the former one.
        let moved = match change {
            Change::Update { from, to } if from.id != to.id => self.records.remove(&from.id),
            _ => None,
        };
        let mut put = |record: Instance, owner: OwnerId, shadow: bool| {
            let id = record.id();
            let before = moved.as_ref().or(self.records.get(&id));
            // What backs a native record now is not another tool's any more.
            let kept = before.filter(|_| !shadow).and_then(|before| before.over.clone());
            let over = over.clone().or(kept);
            self.records.insert(id, WrittenRecord { record: record.shared(), owner, shadow, before: None, over });
        };
        match change {
            Change::Create(record) | Change::Adopt(record) | Change::Update { to: record, .. } => {
                if let Some(mark) = record.mark() {
                    put(record.clone(), mark.owner.clone(), false);
                }
            }
            Change::Shadow(record, owner) => put(record.clone().with_mark(None), owner.clone(), true),
            Change::Scope { to, .. } => self.attributes = Some((to.clone(), path.to_vec())),
            // Not ours.
            Change::Edit { .. } => {}
            Change::Delete { record, .. } => {
                self.records.remove(&record.id());
                if self.records.is_empty() {
                    self.attributes = None;
                }
            }
        }
    }
}

fn as_list<S: Serializer>(records: &BTreeMap<InstanceId, WrittenRecord>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(records.values())
}

fn from_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<InstanceId, WrittenRecord>, D::Error> {
    let list: Vec<WrittenRecord> = Deserialize::deserialize(deserializer)?;
    let shared = |written: WrittenRecord| WrittenRecord { record: written.record.shared(), ..written };
    Ok(list.into_iter().map(|written| (written.record.id(), shared(written))).collect())
}
