//! What the node says while it works.

use crate::failure::Failure;
use crate::traces::Traces;
use clap::ValueEnum;
use std::io::{self, IsTerminal};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

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

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Words for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Starts logging, and traces where they are configured. Text is coloured on a terminal. `default` holds without [`VARIABLE`].
pub fn start(target: LogTarget, format: LogFormat, default: &str) -> Result<Traces, Failure> {
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
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer).boxed(),
        LogFormat::Text => {
            let lines = fmt::layer().with_writer(writer).with_ansi(colour);
            if terminal { lines.with_target(false).boxed() } else { lines.compact().boxed() }
        }
    };
    let traces = Traces::from_environment();
    let log = tracing_subscriber::registry().with(lines.with_filter(filter));
    // Without a layer for traces no span is made.
    let started = match traces.layer() {
        Some(layer) => log.with(layer).try_init(),
        None => log.try_init(),
    };
    started.map_err(|error| Failure::new(format!("cannot start the log: {error}")))?;
    // A panic of any task is logged, whether or not its result is awaited.
    std::panic::set_hook(Box::new(|panic| tracing::error!("a fault of this program: {panic}")));
    if let Some(warning) = &traces.warning {
        tracing::warn!("{warning}");
    }
    Ok(traces)
}
