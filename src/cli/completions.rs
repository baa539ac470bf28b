//! `causeway completions`.

use super::Cli;
use crate::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};

/// Writes a completion script on standard output.
#[derive(clap::Args)]
#[command(after_help = "For bash: causeway completions bash > ~/.local/share/bash-completion/completions/causeway")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<u8, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "causeway", &mut script);
        io::stdout().lock().write_all(&script)?;
        Ok(0)
    }
}
