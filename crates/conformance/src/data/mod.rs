//! The conformance suite of config entries: what every connector of data must do, each promise one test, on the real
//! server.
//!
//! - [`DataKind`] and [`DataSubject`]: a kind of cluster under test, with the vendor's own way in; one file each in
//!   [`kinds`].
//! - [`points`]: the tests, generic over the subject. Each is a promise of `causeway_core`'s `DataSource` and `DataSink`.

mod corner;
mod follow;
pub mod kinds;
pub mod points;
mod subject;

pub use corner::DataCorner;
pub use follow::{DataFollow, DataItem, DataView};
pub use subject::{Compares, Data, DataFacts, DataKind, DataMeter, DataSubject, Line, Login};
