//! What a kind cannot hold, as a table in its README.

use crate::{Corner, Subject};
use anyhow::{Context, Result, bail};
use causeway_core::Capabilities;
use parking_lot::Mutex;
use std::fmt::Write;
use std::path::PathBuf;

/// One writer at a time: several versions share a file.
static FILE: Mutex<()> = Mutex::new(());

/// The table.
fn table(of: &Capabilities) -> Result<String> {
    let mut out = String::from("\n");
    if of.losses.is_empty() {
        out.push_str("Nothing gets lost.\n");
    } else {
        out.push_str("| not held | why |\n| --- | --- |\n");
        for (what, why) in &of.losses {
            writeln!(out, "| {what} | {why} |")?;
        }
    }
    let says = |yes| if yes { "yes" } else { "no" };
    writeln!(out, "\nCopies outlive the node that wrote them: {}.", says(of.keeps))?;
    writeln!(out, "A native record can be backed by an identical one of ours: {}.\n", says(of.shadows))?;
    Ok(out)
}

/// Compares the table of these versions in the connector's README with what the session declares; `UPDATE=1` rewrites
/// it.
pub async fn compare<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let table = table(session.capabilities())?;
    let begin =
        format!("<!-- losses{}: written by the conformance suite, UPDATE=1 rewrites them -->\n", facts.versions);
    let end = "<!-- end of losses -->";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../connectors/src/{}/README.md", facts.kind));
    let _turn = FILE.lock();
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (head, rest) = text.split_once(&begin).with_context(|| format!("{}: no line {begin}", path.display()))?;
    let (old, tail) = rest.split_once(end).with_context(|| format!("{}: no line {end}", path.display()))?;
    if old == table {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_none() {
        bail!("the table in {} is old: run again with UPDATE=1", path.display());
    }
    Ok(std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}"))?)
}
