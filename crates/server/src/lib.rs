//! A node: engine, store and connectors put together, and the REST API that shows and changes it.
//!
//! [`Node::start`] puts it together and upholds what earlier runs wrote; [`Node::serve`] is the API, whose words are in [`api`];
//! [`Node::stop`] ends it and withdraws nothing.

pub mod api;
mod apply;
mod broken;
mod data;
mod error;
mod held;
mod http;
mod keeper;
mod kinds;
mod lens;
mod node;
mod patterns;
mod plan;
mod routes;
mod scribe;
mod sessions;
mod show;
mod tasks;
mod tls;
mod verify;
mod world;
mod zookeeper;

pub use error::{Error, Result};
pub use http::{Access, TOKEN_VARIABLE};
pub use kinds::kinds;
pub use node::{INSTALL_VARIABLE, Node, Options};
pub use show::{EventFilter, ServiceFilter};
pub use tasks::Deletion;
