//! `causeway release`.

use super::Global;
use crate::failure::Failure;
use crate::output::count;
use causeway_server::api::Released;

/// Lets go of removals that a guard holds. Look first at `causeway get tasks` and `causeway diff TASK`.
#[derive(clap::Args)]
pub struct Release {
    /// The task's name
    task: String,
}

impl Release {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let released: Released = global.client()?.act(&self.task, "release").await?;
        global.show(&released, |screen| {
            screen.line(match released.held {
                0 => format!("{}: no guard was holding anything", released.task),
                held => format!("{}: {} released", released.task, count(held, "held removal")),
            })
        })
    }
}
