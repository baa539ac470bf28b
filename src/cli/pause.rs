//! `causeway pause` and `causeway resume`.

use super::Global;
use crate::failure::Failure;
use crate::output::Screen;

/// Leaves everything as it is: nothing is written and nothing is removed until `resume`.
#[derive(clap::Args)]
pub struct Pause {
    /// The task's name
    task: String,
}

impl Pause {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let task = global.client()?.pause(&self.task).await?;
        let mut screen = Screen::new(global.output);
        if !screen.document(&task)? {
            screen.line(format!("{} is {}; its copies stay as they are", task.name, task.state.as_str()))?;
        }
        Ok(0)
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
        let task = global.client()?.resume(&self.task).await?;
        let mut screen = Screen::new(global.output);
        if !screen.document(&task)? {
            screen.line(format!("{} works again: {}", task.name, task.state.as_str()))?;
        }
        Ok(0)
    }
}
