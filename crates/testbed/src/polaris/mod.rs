//! Polaris: a double of its server, and what providers, operators and consumers do there.

mod api;
mod door;
mod double;
mod launch;

pub use api::{PolarisApi, PolarisRow};
pub use door::PolarisDoor;
pub use double::{PolarisCounts, PolarisFault, PolarisPorts, PolarisRules, TokenChange, serve as serve_polaris};
pub use launch::{POLARIS_TOKEN, Polaris, PolarisSetup};
