//! The wire client of one ZooKeeper cluster: 3.4 and later, plain or TLS.
//!
//! It speaks the protocol, keeps one session alive and follows subtrees; it decides nothing. [`Session::open`] touches
//! no network. Built on tokio alone: the id and the password of a session must go in and come out, which no published
//! client allows, and a session must outlive every outage of its servers.

mod address;
mod attach;
mod calls;
mod connection_counts;
mod dial;
mod error;
mod features;
mod followers;
mod jute;
mod many_calls;
pub(crate) mod paths;
mod proto;
mod session;
mod tls;
mod tree;
mod types;
mod wire;

pub use connection_counts::ConnectionCounts;
pub use error::{Result, WireError};
pub use session::Session;
pub use tree::{Descend, Tree, TreeChanges, TreeListing, TreeLooker, TreeNews, TreeNode, TreeOptions, Watches};
pub use types::{Acl, Create, Op, Options, Phase, SavedSession, SessionKeeper, SessionStatus, Stat};
