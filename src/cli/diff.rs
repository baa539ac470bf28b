//! `causeway diff`.

use super::Global;
use crate::failure::Failure;
use crate::output::plan;
use causeway_server::api::TaskPlan;

/// Compares a task's source with its destination, as both stand now.
#[derive(clap::Args)]
pub struct Diff {
    /// The task's name
    task: String,
}

impl Diff {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let compared: TaskPlan = global.client()?.get(&["tasks", &self.task, "diff"]).await?;
        global.show(&compared, |screen| plan::task(screen, &compared))
    }
}
