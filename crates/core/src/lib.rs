//! What is copied and how it is decided: no I/O, no runtime, no clock.
//!
//! [`model`] are the records, [`port`] is how a cluster is read and written, [`plan`] compares and decides; [`Reason`] says why.
#![warn(missing_docs)]

mod contain;
pub mod model;
pub mod plan;
pub mod port;
mod reason;

pub use contain::{contain, contain_now, contained_panics};
pub use model::{
    Aside, Attributes, Body, ClusterId, Content, Digest, Endpoint, Entry, EntryKey, Fingerprint, Instance,
    InstanceData, InstanceId, Mark, Metadata, NameShape, Occupants, OwnerId, Pair, Part, Payload, ServiceKey, Set,
    Side, Stamp, folded, intern, tidy,
};
pub use plan::{
    Base, Born, CaseRule, Change, Choice, Conflicts, Crowded, EntryMap, EntryNames, EntryReason, EntrySkip,
    EntryVersion, Evidence, Fresh, Governed, Grouping, InstanceGroup, Intent, Lens, MergeRules, MetadataMap, NameCase,
    NoPlace, NodesBelow, Overrides, Plan, PlanContext, Removal, Renaming, Select, ServiceLens, Skip, SkipKind, Spell,
    TakeOver, Undecided, Verdict, Ways, Wish, WriteMode, Written, WrittenRecord, merge, plan,
};
pub use port::{
    BoxError, Capabilities, Carrier, DataPort, DataSelector, DataSink, DataSource, EntryCapabilities, EntryFacts,
    EntryInterest, EntryUpdate, EntryWrite, Error, Everything, Expect, FoundEntry, Interest, KeptError, Limits, Lost,
    Normalized, Parts, Port, Ports, RecordCounts, Replica, Selector, Sink, Source, StampKind, Unreadable, Update,
};
pub use reason::{Edited, HoldReason, Reason, WrittenOver};
