//! What is copied and how it is decided: no I/O, no runtime, no clock.
//!
//! [`model`] are the records, [`port`] is how a cluster is read and written, [`plan`] compares and decides; [`Reason`] says why.
#![warn(missing_docs)]

mod contain;
pub mod model;
pub mod plan;
pub mod port;
mod reason;

pub use contain::{contain, contain_now};
pub use model::{
    Aside, Attributes, Body, ClusterId, Content, Digest, Endpoint, Entry, EntryKey, Fingerprint, Held, Instance,
    InstanceData, InstanceId, Mark, Metadata, OwnerId, Pair, Part, Payload, ServiceKey, Set, Shape, Side, Stamp,
    intern, tidy,
};
pub use plan::{
    Base, Born, Change, Choice, Conflicts, Crowded, EntryMap, EntryNames, EntrySkip, Evidence, Fresh, Governed, Intent,
    Lens, MetadataMap, Mode, NoPlace, NodesBelow, Overrides, Plan, Policy, Removal, Rename, Rules, Select, ServiceLens,
    Skip, SkipKind, Undecided, Verdict, Version, Ways, Why, Wish, Written, WrittenRecord, merge, plan,
};
pub use port::{
    BoxError, Capabilities, Carrier, Counts, DataPort, DataSelector, DataSink, DataSource, EntryCapabilities,
    EntryFacts, EntryInterest, Error, Everything, Expect, Failure, Found, Interest, Limits, Lost, News, Normalized,
    Parts, Port, Ports, Replica, Selector, Sink, Source, StampKind, Unreadable, Update, Write,
};
pub use reason::{Edited, HoldReason, Reason, WrittenOver};
