//! ZooKeeper: services of Dubbo, Spring Cloud and Curator, and trees of data.

pub mod client;
mod layout;
mod options;

pub use options::{AclChoice, Options};
