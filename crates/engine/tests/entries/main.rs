//! The engine of config entries, between clusters in memory.
#![allow(clippy::unwrap_used)]

mod harness;
#[path = "../odd/mod.rs"]
mod odd;

mod conflicts;
mod crash;
mod faults;
mod flat;
mod latency;
mod left_out;
mod lists;
mod mapped;
mod probes;
mod random;
mod refused;
mod size;
mod stamps;
mod supervise;
mod sync;
