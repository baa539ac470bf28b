//! Writes `src/generated/*.rs` from `proto/*.proto`.
//!
//! Usage: `cargo run -p causeway-proto --example generate [OUT_DIR]`.

use std::path::PathBuf;

#[path = "../tests/generator/mod.rs"]
mod generator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args_os().nth(1).map(PathBuf::from).unwrap_or_else(|| generator::root().join("src/generated"));
    std::fs::create_dir_all(&out)?;
    generator::generate(&out)
}
