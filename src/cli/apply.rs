//! `causeway apply`.

use super::{Global, settings_text};
use crate::failure::Failure;
use crate::output::warnings;
use causeway_server::api::ApplyRequest;
use std::path::PathBuf;

/// Adds and changes clusters and tasks as a file says. Applying the same file again changes nothing.
#[derive(clap::Args)]
pub struct Apply {
    /// The settings file; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Also remove clusters and tasks that the file does not name; refused while a task has copies
    #[arg(long)]
    prune: bool,
    /// With --prune: first remove what those tasks created
    #[arg(long, requires = "prune")]
    drain: bool,
}

impl Apply {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let client = global.client()?;
        let (file, text) = settings_text(&self.file)?;
        let applied = client.apply(&ApplyRequest { file, text, prune: self.prune, drain: self.drain }).await?;
        warnings(&applied.warnings);
        global.show(&applied, |screen| {
            if applied.is_unchanged() {
                screen.line("nothing has changed")?;
            }
            for (what, changes) in [("cluster", &applied.clusters), ("task", &applied.tasks)] {
                for (became, names) in [
                    ("added", &changes.added),
                    ("changed", &changes.changed),
                    ("removed", &changes.removed),
                    ("draining, then removed", &changes.draining),
                ] {
                    names.iter().try_for_each(|name| screen.line(format!("{what} {name}: {became}")))?;
                }
            }
            Ok(())
        })
    }
}
