//! `causeway demo`.

use crate::failure::Failure;
use crate::logs::{self, LogFormat, LogTarget};
use crate::node::{Local, asked_to_end, own_program};
use causeway_server::Options;
use std::path::PathBuf;

/// Starts a node with two registries in memory, live providers and a two-way task, and shows how changes travel. In a
/// pipe: one line a change, once through all.
#[derive(clap::Args)]
pub struct Demo {
    /// End after so many seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Keep the node's data there; without it: in a temporary folder, which is removed
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Demo {
    pub async fn run(self) -> Result<u8, Failure> {
        // The picture is not to be torn by lines of the log.
        logs::start(LogTarget::Stderr, LogFormat::Text, "error")?;
        let end = asked_to_end(true)?;
        let (folder, _temporary) = match self.data_dir {
            Some(folder) => (folder, None),
            None => {
                let made = tempfile::Builder::new().prefix("causeway-demo-").tempdir();
                let made = made.map_err(|error| Failure::new(format!("cannot make a temporary folder: {error}")))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let options = Options { data_dir: folder, exe: own_program(), ..Options::default() };
        let mut local = Local::start("127.0.0.1:0", options).await?;
        let shown = crate::demo::show(&local.url(), self.seconds, end).await;
        local.stop().await;
        shown.map(|()| 0)
    }
}
