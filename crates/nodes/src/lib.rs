//! Which of several nodes writes what.
//!
//! What is written is divided into **shards** ([`ShardId`]). A [`Coordinator`] (a database, the Kubernetes API) grants each shard to
//! one node at a time, with an **epoch** that grows with every holder. A node holds its shards for as long as it beats: one
//! **lease** a node, not one a shard. [`Membership`] beats, takes and hands over, and says in [`Roles`] what this node is for each
//! shard.
//!
//! A shard's holder writes it. Its **standby** keeps ready to go on: it is the node that comes next by rendezvous hashing, so
//! that few shards move when a node joins or leaves.

mod coordinator;
mod decide;
mod lease;
mod membership;
mod rank;
mod shard;

pub use coordinator::{Coordinator, Error, Grant, Holding, Member, NodeId, View};
pub use lease::{BootClock, Clock, Lease};
pub use membership::{Handover, Membership, Roles, Setup};
pub use shard::ShardId;
