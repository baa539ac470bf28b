//! A node: engine, store and connectors put together, and the REST API that shows and changes it.
//!
//! [`Node::start`] puts it together and keeps alive what earlier runs wrote; [`Node::serve`] is the API, whose words are in [`api`];
//! [`Node::stop`] ends it and withdraws nothing.

pub mod api;
mod apply;
mod data;
mod desired;
mod documents;
mod edits;
mod error;
mod http;
mod left_behind;
mod lens;
mod metrics;
mod node;
mod origin;
mod patterns;
mod plan;
mod pulls;
mod recorder;
mod routes;
mod sessions;
mod socket_keeper;
mod tasks;
mod theirs;
mod tls;
mod unopened;
mod verify;
mod views;

pub use causeway_connectors::kinds;
pub use causeway_engine::{NOTHING, OUTCOME, TRACES};
pub use causeway_store::{Database, EventFilter};
pub use error::{Error, Result};
pub use http::{Access, TOKEN_VARIABLE};
pub use node::{INSTALL_VARIABLE, Node, Options};
pub use tasks::Deletion;
pub use views::ServiceFilter;
