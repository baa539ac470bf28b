//! The generator itself, shared by the example that writes and the test that checks.

use std::path::{Path, PathBuf};

/// Files of `proto/` that become one module each.
const PROTOS: &[&str] = &["nacos.proto", "polaris.proto"];

/// Where this crate's sources are.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Writes one Rust file a package into `out`.
pub fn generate(out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let include = root().join("proto");
    let files = protox::compile(PROTOS, [include])?;
    let mut names = prost_build::Config::new();
    // The one file without a package.
    names.default_package_filename("nacos");
    tonic_prost_build::configure()
        .build_transport(true)
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .out_dir(out)
        .compile_fds_with_config(files, names)?;
    Ok(())
}
