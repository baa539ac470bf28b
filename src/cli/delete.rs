//! `causeway delete`.

use super::Global;
use crate::client::DeleteQuery;
use crate::failure::Failure;
use crate::output::count;

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
        let leave = DeleteQuery { drain: self.drain, keep: self.keep, timeout: self.timeout };
        let deleted = global.client()?.delete(&self.task, &leave).await?;
        global.show(&deleted, |screen| {
            let copies = |n| count(n, "copy");
            let copies = match (deleted.drained, deleted.kept) {
                (0, 0) => String::new(),
                (drained, 0) => format!("; {} removed", copies(drained)),
                (0, kept) => format!("; {} left behind", copies(kept)),
                (drained, kept) => format!("; {} removed, {kept} left behind", copies(drained)),
            };
            screen.line(format!("{} is deleted{copies}", deleted.task))
        })
    }
}
