//! The wire client of one ZooKeeper cluster: 3.4 and later, plain or TLS.
//!
//! It speaks the protocol, keeps one session alive and follows subtrees; it decides nothing. [`Session::open`] touches
//! no network. Built on tokio alone: the id and the password of a session must go in and come out, which no published
//! client allows, and a session must outlive every outage of its servers.

mod ability;
mod address;
mod attach;
mod calls;
mod crowd;
mod dial;
mod error;
mod jute;
mod many;
pub(crate) mod paths;
mod proto;
mod session;
mod sinks;
mod tls;
mod tree;
mod types;
mod wire;

pub use crowd::Crowd;
pub use error::{Error, Result};
pub use session::Session;
pub use tree::{Changes, Descend, Listing, Looker, Node, Tree, TreeNews, TreeOptions, Watches};
pub use types::{Acl, Create, Op, Options, Phase, SavedSession, SessionKeeper, Stat, Status};
