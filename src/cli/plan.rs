//! `causeway plan`.

use super::{Global, settings_text};
use crate::failure::{CHANGES, FAILED, Failure};
use crate::output::{plan, warnings};
use causeway_server::api::PlanRequest;
use std::path::PathBuf;

/// Shows what a file would create, update, delete and leave alone, and why. Writes nothing. Exit code 2: there is
/// something to do; 1: a part could not be read, and is named.
#[derive(clap::Args)]
pub struct Plan {
    /// The settings file; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

impl Plan {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let client = global.client()?;
        let (file, text) = settings_text(&self.file)?;
        let planned = client.plan(&PlanRequest { file, text }).await?;
        let changes = planned.totals.has_changes() || !planned.settings.is_unchanged();
        let code = match (planned.unanswered.is_empty(), changes) {
            (false, _) => FAILED,
            (true, true) => CHANGES,
            (true, false) => 0,
        };
        warnings(&planned.settings.warnings);
        global.show(&planned, |screen| {
            plan::settings(screen, &planned.settings)?;
            planned.tasks.iter().try_for_each(|task| plan::task(screen, task))?;
            plan::unanswered(screen, &planned.unanswered)?;
            plan::summary(screen, &planned.totals, changes)
        })?;
        Ok(code)
    }
}
