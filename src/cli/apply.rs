//! `causeway apply`.

use super::{Global, settings_text};
use crate::failure::Failure;
use crate::output::{Screen, warnings};
use causeway_server::api::{ApplyRequest, Changes};
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
        let mut screen = Screen::new(global.output);
        if screen.document(&applied)? {
            return Ok(0);
        }
        if applied.is_unchanged() {
            screen.line("nothing has changed")?;
        }
        for (what, changes) in [("cluster", &applied.clusters), ("task", &applied.tasks)] {
            let Changes { added, changed, removed, draining, unchanged: _ } = changes;
            for (became, names) in
                [("added", added), ("changed", changed), ("removed", removed), ("draining, then removed", draining)]
            {
                for name in names {
                    screen.line(format!("{what} {name}: {became}"))?;
                }
            }
        }
        Ok(0)
    }
}
