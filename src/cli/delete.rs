//! `causeway delete`.

use super::Global;
use crate::client::Leave;
use crate::failure::Failure;
use crate::output::{Screen, count};

/// Removes a task. Refused while copies of it exist, unless one of the flags says what becomes of them.
#[derive(clap::Args)]
pub struct Delete {
    /// The task's name
    task: String,
    /// First remove what it created
    #[arg(long, conflicts_with = "keep")]
    drain: bool,
    /// Leave its copies where they are, as nobody's
    #[arg(long)]
    keep: bool,
    /// How long the drain may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

impl Delete {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let leave = Leave { drain: self.drain, keep: self.keep, timeout: self.timeout };
        let deleted = global.client()?.delete(&self.task, &leave).await?;
        let mut screen = Screen::new(global.output);
        if !screen.document(&deleted)? {
            let copies = match (deleted.drained, deleted.kept) {
                (0, 0) => String::new(),
                (drained, 0) => format!("; {} removed", count(drained, "copy")),
                (0, kept) => format!("; {} left behind", count(kept, "copy")),
                (drained, kept) => format!("; {} removed, {kept} left behind", count(drained, "copy")),
            };
            screen.line(format!("{} is deleted{copies}", deleted.task))?;
        }
        Ok(0)
    }
}
