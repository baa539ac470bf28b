//! What the node says while it works.

use crate::failure::Failure;
use clap::ValueEnum;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or finer, such as `info,causeway_engine=debug`.
const VARIABLE: &str = "CAUSEWAY_LOG";

/// Where logs go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogTarget {
    /// Standard output
    Stdout,
    /// Standard error
    #[default]
    Stderr,
}

/// Starts logging: coloured lines on a terminal, plain ones elsewhere. `default` holds without [`VARIABLE`].
pub fn start(target: LogTarget, default: &str) -> Result<(), Failure> {
    let filter = match std::env::var(VARIABLE) {
        Ok(text) if !text.trim().is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            Failure::new(format!("{VARIABLE}={text:?} cannot be read: {error}"))
                .help("write a level such as info, or parts such as info,causeway_engine=debug")
        })?,
        _ => EnvFilter::new(default),
    };
    let (terminal, writer) = match target {
        LogTarget::Stdout => (io::stdout().is_terminal(), BoxMakeWriter::new(io::stdout)),
        LogTarget::Stderr => (io::stderr().is_terminal(), BoxMakeWriter::new(io::stderr)),
    };
    let colour = crate::output::Paint::of(terminal).is_on();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colour);
    let started = match terminal {
        true => lines.with_target(false).try_init(),
        false => lines.compact().try_init(),
    };
    started.map_err(|error| Failure::new(format!("cannot start the log: {error}")))?;
    // A panic of any task is logged, whether or not its result is awaited.
    std::panic::set_hook(Box::new(|panic| tracing::error!("a fault of this program: {panic}")));
    Ok(())
}
