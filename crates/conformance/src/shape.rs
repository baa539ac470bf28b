//! How the services and records of a kind look, where the suite's own would not fit it.

use crate::{Session, probes};
use causeway_core::{Instance, Set};

/// What the suite must know to write records that a kind takes, and to recognise them again.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The one namespace and the one group of a kind that has no others.
    pub only: Option<(&'static str, &'static str)>,
    /// Whether such a kind has other groups all the same.
    pub groups: bool,
    /// Whether that one namespace can be away while the server answers: then it can be made, too.
    pub part_goes: bool,
    /// What a service is called that the suite calls so.
    pub service: fn(&str) -> String,
    /// Four services that a kind without namespaces and groups could mix up.
    pub neighbours: [&'static str; 4],
    /// Metadata without which no record is taken.
    pub metadata: &'static [(&'static str, &'static str)],
    /// Keys of metadata in which the kind itself says other fields: they stand beside what was written.
    pub words: &'static [&'static str],
    /// Keys of metadata that the server writes over in what a provider registers: a provider of the suite has none.
    pub taken: &'static [&'static str],
    /// Whether slots are what was written; else the kind has its own for whatever stands at one address.
    pub slots: bool,
    /// Whether a copy shows its mark to all; else only the session that wrote it knows it as ours, and to everybody else
    /// it is a native record.
    pub marks: bool,
}

impl Shape {
    /// Of a kind that takes whatever it is given, and gives it back.
    pub const PLAIN: Self = Self {
        only: None,
        groups: false,
        part_goes: true,
        service: |name| name.to_owned(),
        neighbours: ["orders", "Orders", "orders-1", "orders/1"],
        metadata: &[],
        words: &[],
        taken: &[],
        slots: true,
        marks: true,
    };

    /// The record with the metadata that it cannot do without, and without what the server takes from it.
    pub fn dressed(&self, mut record: Instance) -> Instance {
        if record.mark().is_none() {
            record.metadata.retain(|key, _| !self.taken.contains(&key));
        }
        let own = self.metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        record.metadata.extend(own);
        record
    }

    /// What others than its writer must see of a record.
    pub fn seen(&self, record: &Instance) -> Instance {
        let mut seen = self.bare(record.clone());
        if !self.marks {
            seen.mark = None;
        }
        seen
    }

    /// The record without what the kind itself adds to it.
    pub fn bare(&self, mut record: Instance) -> Instance {
        record.payload = None;
        record.metadata.retain(|key, _| !self.words.contains(&key));
        if !self.slots {
            record.id.slot = "".into();
        }
        record
    }

    /// The native records in a set, without what the kind itself adds.
    pub fn natives(&self, set: &Set) -> Vec<Instance> {
        set.records.values().filter_map(|held| held.native.clone()).map(|native| self.bare(native)).collect()
    }
}

/// The record with one field changed, to another value for every `number`: its weight, or, where the kind declares that
/// it holds none, a key of its metadata.
pub fn changed(session: &Session, record: &Instance, number: u8) -> Instance {
    let mut changed = record.clone();
    if session.capabilities().losses.contains_key(probes::WEIGHT) {
        changed.metadata.insert("number", number.to_string());
    } else {
        changed.weight = number.into();
    }
    changed
}
