//! The command line: one file a subcommand. Names, flags and exit codes are a contract with scripts.

mod apply;
mod completions;
mod convert;
mod delete;
mod demo;
mod diff;
mod drain;
mod get;
mod pause;
mod plan;
mod release;
mod resolve;
mod serve;
mod validate;
mod verify;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Format, Screen};
use clap::{Parser, Subcommand};
use secrecy::SecretString;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where a node listens by default.
pub const LISTEN: &str = "127.0.0.1:8000";

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed or not in step (verify), 2 there is something to do (plan), 64 wrong usage.";

/// Keeps service registries in step
#[derive(Parser)]
#[command(name = "causeway", version, max_term_width = 100, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(clap::Args)]
pub struct Global {
    /// The node to speak to
    #[arg(long, global = true, env = "CAUSEWAY_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8000")]
    server: String,
    /// The data folder of a node on this machine: its address and a token are found there
    #[arg(long, global = true, env = "CAUSEWAY_LOCAL", value_name = "DIR")]
    local: Option<PathBuf>,
    /// The node's token; needed where it listens on more than loopback
    #[arg(long, global = true, env = "CAUSEWAY_TOKEN", value_name = "T", hide_env_values = true)]
    token: Option<SecretString>,
    /// How to show the result
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

impl Global {
    /// A client of the node that was named.
    pub fn client(&self) -> Result<Client, Failure> {
        match &self.local {
            Some(folder) => {
                let (server, token) = crate::local::find(folder)?;
                Client::new(&server, token)
            }
            None => Client::new(&self.server, self.token.clone()),
        }
    }

    /// Shows a result as a document or, where people read it, as `words` writes it. Returns the exit code 0.
    pub fn show<T: Serialize>(
        &self,
        result: &T,
        words: impl FnOnce(&mut Screen) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let mut screen = Screen::new(self.output);
        if !screen.document(result)? {
            words(&mut screen)?;
        }
        Ok(0)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run a node in the foreground
    Serve(serve::Serve),
    /// Add and change clusters and tasks as a file says
    Apply(apply::Apply),
    /// Show what a file would change, before anything is written
    Plan(plan::Plan),
    /// Check a file, without a node
    Validate(validate::Validate),
    /// Convert a document of polaris-sync into a settings file, or back
    Convert(convert::Convert),
    /// List clusters, tasks, services or events
    Get(get::Get),
    /// Compare a task's source with its destination, now
    Diff(diff::Diff),
    /// Compare both sides of a task record by record; exit code 0 when they are in step
    Verify(verify::Verify),
    /// Let a task leave everything as it is
    Pause(pause::Pause),
    /// Let a paused or drained task work again
    Resume(pause::Resume),
    /// Remove a task
    Delete(delete::Delete),
    /// Let removals go on that a guard holds
    Release(release::Release),
    /// Decide between the two sides of a config entry that both have changed
    Resolve(resolve::Resolve),
    /// Remove exactly what a task created, in both directions
    Drain(drain::Drain),
    /// Watch changes travel between two registries in memory
    Demo(demo::Demo),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

impl Cli {
    /// Does what was asked for, and says the exit code.
    pub fn run(self) -> Result<u8, Failure> {
        let Self { global, command } = self;
        // A node uses every core; a command that asks one is done sooner without threads.
        let mut builder = match command {
            Command::Serve(_) | Command::Demo(_) => tokio::runtime::Builder::new_multi_thread(),
            _ => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = builder.enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
        runtime.block_on(async {
            match command {
                Command::Serve(command) => command.run().await,
                Command::Apply(command) => command.run(&global).await,
                Command::Plan(command) => command.run(&global).await,
                Command::Validate(command) => command.run(&global),
                Command::Convert(command) => command.run(),
                Command::Get(command) => command.run(&global).await,
                Command::Diff(command) => command.run(&global).await,
                Command::Verify(command) => command.run(&global).await,
                Command::Pause(command) => command.run(&global).await,
                Command::Resume(command) => command.run(&global).await,
                Command::Delete(command) => command.run(&global).await,
                Command::Release(command) => command.run(&global).await,
                Command::Resolve(command) => command.run(&global).await,
                Command::Drain(command) => command.run(&global).await,
                Command::Demo(command) => command.run().await,
                Command::Completions(command) => command.run(),
            }
        })
    }
}

/// The text of a settings file and the name to show for it; `-` is standard input.
pub fn settings_text(path: &Path) -> Result<(String, String), Failure> {
    let stdin = path.as_os_str() == "-";
    let name = if stdin { "<stdin>".to_owned() } else { path.display().to_string() };
    let limit = causeway_settings::MAX_FILE as u64 + 1;
    let mut bytes = Vec::new();
    let read = match stdin {
        true => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        Failure::new(format!("cannot read {name}: {error}")).help("-f takes a YAML file, or - for standard input")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::new(format!("{name} is not UTF-8 text")))?;
    Ok((name, text))
}
