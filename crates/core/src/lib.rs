//! What is copied and how it is decided: no I/O, no runtime, no clock.
//!
//! [`model`] are the records, [`port`] is how a cluster is read and written, [`plan`] compares and decides.
#![warn(missing_docs)]

pub mod model;
pub mod plan;
pub mod port;

pub use model::{
    Attributes, ClusterId, Endpoint, Held, Instance, InstanceId, Mark, OwnerId, Part, Payload, Record, Scope,
    ServiceKey, Set,
};
pub use plan::{
    Change, Evidence, Fresh, Lens, MetadataMap, Mode, Overrides, Plan, Policy, Removal, Rename, Select, ServiceLens,
    Skip, Wish, Written, WrittenRecord, plan,
};
pub use port::{
    BoxError, Capabilities, Connector, Error, Everything, Interest, Limits, Lost, Normalized, Parts, Port, Ports,
    Selector, Sink, Source, Update,
};
