//! The conformance suite: twenty things that every connector must do, each one test, on the real server.
//!
//! - [`Kind`] and [`Subject`]: a kind of cluster under test, with the vendor's own way in; one file each in [`kinds`].
//! - [`points`]: the twenty tests, generic over the subject.
//! - [`data`]: the same for config entries: sixteen points of their own.
//! - [`table`]: what a kind cannot hold, as a table in its README.
//!
//! What a kind cannot hold it declares in `Capabilities::losses`, under the name of the [`probes`] that shows it. A
//! declared loss must show, and an undeclared one fails.
//!
//! `cargo run -p causeway-testbed -- run -- cargo test -p causeway-conformance` starts the servers and runs it; part of
//! a name picks tests (`nacos_2_5::p05`). Long tests run with `CAUSEWAY_TEST_FULL=1` only; `UPDATE=1` rewrites the tables.

mod corner;
pub mod data;
mod follow;
pub mod kinds;
mod look;
pub mod points;
pub mod probes;
mod shape;
mod subject;
pub mod table;
mod tap;

pub use corner::Corner;
pub use follow::{Follow, Item, View};
pub use shape::Shape;
pub use subject::{Facts, Kind, Limit, Meter, Session, Subject, Who};
