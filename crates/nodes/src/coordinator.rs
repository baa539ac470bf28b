//! What grants shards to nodes.

use crate::ShardId;
use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

/// One run of one node: a restarted node is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Arc<str>);

impl Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub id: NodeId,
    /// How people call it: its host or pod.
    pub name: String,
    /// Where its API listens, for other nodes; `None`: nowhere that they reach.
    pub address: Option<String>,
    /// When it started, in milliseconds since 1970.
    pub since_ms: i64,
    /// The highest version of the written form that it knows.
    pub writes: u32,
    /// It ends: it takes nothing any more, and hands over what it has.
    pub leaving: bool,
}

/// Who has a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The node that it was granted to last; `None`: it was given back. Its lease may have ended.
    pub holder: Option<NodeId>,
    /// Grows with every grant.
    pub epoch: u64,
    /// A node that is to hold it and is ready to.
    pub next: Option<NodeId>,
}

/// What a coordinator knows at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The nodes whose lease has not ended.
    pub members: Vec<Member>,
    /// Every shard that was ever granted, and not forgotten.
    pub shards: BTreeMap<ShardId, Holding>,
    /// Grows with every change of settings and every operator's order.
    pub revision: u64,
}

impl View {
    /// The member with this id.
    pub fn member(&self, id: &NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }
}

/// A shard to be granted: only if its epoch still is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The shard.
    pub shard: ShardId,
    /// The epoch that was seen; 0 where it was never granted. The new one is one more.
    pub epoch: u64,
}

/// Why a coordinator did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It did not answer, or not in time.
    #[error("{0}")]
    Away(String),
    /// It refused. The operator must act.
    #[error("{0}")]
    Refused(String),
}

/// What grants shards to nodes. All of it is checked and done in one step by the coordinator: of two nodes that ask for the same,
/// one gets it.
pub trait Coordinator: Send + Sync {
    /// How long a lease lasts from a beat on.
    fn lease(&self) -> Duration;

    /// Prolongs this node's lease, or begins it, and reads everything back.
    fn beat<'a>(&'a self, me: &'a Member) -> BoxFuture<'a, Result<View, Error>>;

    /// Grants shards to this node whose holders' leases have ended, or that were given back. Returns those that it has got, with
    /// their new epochs. Nothing is granted to a node whose own lease has ended.
    fn claim<'a>(&'a self, me: &'a NodeId, shards: &'a [Grant])
    -> BoxFuture<'a, Result<BTreeMap<ShardId, u64>, Error>>;

    /// Says that this node is ready to hold shards that others hold.
    fn offer<'a>(&'a self, me: &'a NodeId, shards: &'a [Grant]) -> BoxFuture<'a, Result<(), Error>>;

    /// Hands shards of this node over to others, or gives them back (`None`).
    fn hand_over<'a>(
        &'a self,
        me: &'a NodeId,
        shards: &'a [(Grant, Option<NodeId>)],
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Ends this node's lease. What it has not handed over can be claimed at once.
    fn leave<'a>(&'a self, me: &'a NodeId) -> BoxFuture<'a, Result<(), Error>>;
}
