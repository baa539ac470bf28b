//! Protocol code generated from `proto/*.proto`, committed so that a build needs neither
//! `protoc` nor a build script.
//!
//! `cargo run -p causeway-proto --example generate` makes `src/generated/` anew;
//! the test `generated_code_is_current` fails when that was forgotten.

/// Nacos 2.x and 3.x: an envelope with a type name and a JSON body.
#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all, non_camel_case_types)]
#[rustfmt::skip]
#[path = "generated/nacos.rs"]
pub mod nacos;

/// Polaris' service discovery, package `v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]
#[rustfmt::skip]
#[path = "generated/v1.rs"]
pub mod polaris;

pub use prost_types::Any;
