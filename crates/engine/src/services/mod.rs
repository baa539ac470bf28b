//! Keeps services in step.
//!
//! ```text
//! source.watch ─► Mirror ─► export ─┐
//!                                   ├─► plan ─► guard ─► sink.apply ─► ledger, events
//! sink.watch ───► Mirror ───────────┘
//! ```
//! A change on either side marks the *destination's scope* as dirty. One [`writer`] a destination plans dirty scopes,
//! never one twice at a time.

pub(crate) mod census;
pub(crate) mod cluster;
pub(crate) mod cluster_status;
pub(crate) mod decide;
pub(crate) mod engine;
pub(crate) mod export;
pub(crate) mod feeds;
pub(crate) mod holds;
pub(crate) mod interest;
pub(crate) mod ledger;
pub(crate) mod mirror;
pub(crate) mod other_tools;
pub(crate) mod outcome;
pub(crate) mod preview;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod replicas;
pub(crate) mod route;
pub(crate) mod scopes;
pub(crate) mod spelling;
pub(crate) mod status;
pub(crate) mod sweep;
pub(crate) mod takeover;
pub(crate) mod writer;
