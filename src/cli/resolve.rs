//! `causeway resolve`.

use super::Global;
use crate::failure::Failure;
use crate::output::clean;
use causeway_server::api;
use clap::ValueEnum;

/// Decides about a config entry that both sides have changed. See them with `causeway get conflicts`.
#[derive(clap::Args)]
pub struct Resolve {
    /// The task's name
    task: String,
    /// The entry, as listed: a path, or namespace/group/name
    entry: String,
    /// Whose content stands on both sides afterwards, or whose deletion
    #[arg(long, value_enum)]
    take: Take,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Take {
    /// The task's source
    Source,
    /// Its destination
    Destination,
}

impl Resolve {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let take = match self.take {
            Take::Source => api::Take::Source,
            Take::Destination => api::Take::Destination,
        };
        let request = api::Resolve { entry: self.entry.clone(), take };
        let task = global.client()?.resolve(&self.task, &request).await?;
        global.show(&task, |screen| screen.line(format!("{}: {} is decided", clean(&task.name), clean(&self.entry))))
    }
}
