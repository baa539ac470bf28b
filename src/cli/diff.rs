//! `causeway diff`.

use super::Global;
use crate::failure::Failure;
use crate::output::{Screen, plan};

/// Compares a task's source with its destination, as both stand now.
#[derive(clap::Args)]
pub struct Diff {
    /// The task's name
    task: String,
}

impl Diff {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let compared = global.client()?.diff(&self.task).await?;
        let mut screen = Screen::new(global.output);
        if !screen.document(&compared)? {
            plan::task(&mut screen, &compared)?;
        }
        Ok(0)
    }
}
