//! Strict doubles of servers that no package carries: processes of this crate's own program.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The program `causeway-testbed`: this one, or the one that was built beside it.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    if own.file_stem().is_some_and(|name| name == "causeway-testbed") {
        return Ok(own);
    }
    // Tests stand one folder below programs.
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("causeway-testbed")).find(|path| path.is_file());
    found.with_context(|| format!("no causeway-testbed beside {}: cargo build -p causeway-testbed", own.display()))
}
