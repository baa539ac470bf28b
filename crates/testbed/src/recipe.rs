//! Builds what `testbed/` describes, into a cache outside the tree, once for all processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than a cold download of all jars over a slow line, or than Go needs on one busy processor.
const BUILD: Duration = Duration::from_secs(25 * 60);

/// A built recipe: what `java -cp` needs, in Maven's order.
pub struct Recipe {
    pub class_path: String,
}

impl Recipe {
    /// Builds `name` (a folder under `testbed/`, such as `nacos/v2`) unless it was built before.
    pub async fn build(name: &str) -> Result<Self> {
        let built = built(name).await?;
        let jars = tokio::fs::read_to_string(built.join("classpath.txt")).await?;
        let classes = built.join("classes");
        let class_path =
            if classes.is_dir() { format!("{}:{}", classes.display(), jars.trim()) } else { jars.trim().to_string() };
        Ok(Self { class_path })
    }
}

/// Builds `name`, a recipe in Go, unless it was built before. Gives the path of its program.
pub async fn program(name: &str) -> Result<PathBuf> {
    Ok(built(name).await?.join("program"))
}

/// The program `causeway-testbed`, which stands beside the tests of this workspace. `CAUSEWAY_TESTBED_PROGRAM` names another.
pub fn own_program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("CAUSEWAY_TESTBED_PROGRAM") {
        return Ok(program.into());
    }
    let name = format!("causeway-testbed{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).find(|program| program.is_file());
    beside.with_context(|| format!("no {name} beside {}: cargo build -p causeway-testbed", own.display()))
}

async fn built(name: &str) -> Result<PathBuf> {
    let run = Command::new(folder().join("build")).arg(name).stdin(Stdio::null()).kill_on_drop(true).output();
    let out = timeout(BUILD, run)
        .await
        .with_context(|| format!("building {name} took longer than {BUILD:?}"))?
        .context("testbed/build")?;
    if !out.status.success() {
        bail!("building {name} failed ({}):\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(PathBuf::from(String::from_utf8(out.stdout)?.trim()))
}

/// The workspace's `testbed/` folder. `CAUSEWAY_TESTBED` names another, for a program that was built elsewhere.
pub fn folder() -> PathBuf {
    std::env::var_os("CAUSEWAY_TESTBED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testbed"), PathBuf::from)
}

/// The folder for what is kept between runs.
pub fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("CAUSEWAY_CACHE").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("XDG_CACHE_HOME")?).join("causeway")));
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/causeway")));
    let folder = base.context("neither CAUSEWAY_CACHE nor XDG_CACHE_HOME nor HOME is set")?.join("testbed");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
