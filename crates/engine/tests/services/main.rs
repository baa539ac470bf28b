//! The engine of services, between clusters in memory.
#![allow(clippy::unwrap_used)]

mod harness;
#[path = "../odd/mod.rs"]
mod odd;

mod case;
mod chunks;
mod faults;
mod flow;
mod groups;
mod intents;
mod latency;
mod names;
mod pacing;
mod parts;
mod refusals;
mod release;
mod replicas;
mod rest;
mod supervise;
mod take_over;
mod take_over_doubt;
