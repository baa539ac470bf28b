//! `causeway pause` and `causeway resume`.

use super::Global;
use crate::failure::Failure;
use causeway_server::api::Task;

/// Leaves everything as it is: nothing is written and nothing is removed until `resume`.
#[derive(clap::Args)]
pub struct Pause {
    /// The task's name
    task: String,
}

impl Pause {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let task: Task = global.client()?.act(&self.task, "pause").await?;
        let state = task.state.as_str();
        global.show(&task, |screen| screen.line(format!("{} is {state}; its copies stay as they are", task.name)))
    }
}

/// Lets a task work again, also after `drain`.
#[derive(clap::Args)]
pub struct Resume {
    /// The task's name
    task: String,
}

impl Resume {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let task: Task = global.client()?.act(&self.task, "resume").await?;
        global.show(&task, |screen| screen.line(format!("{} works again: {}", task.name, task.state.as_str())))
    }
}
