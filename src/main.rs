//! The program `causeway`: a node, and the command line that speaks to one.

mod cli;
mod client;
mod demo;
mod failure;
mod local;
mod logs;
mod node;
mod output;
mod traces;

use clap::Parser;
use failure::{FAILED, Failure, USAGE};
use output::{Paint, Tone, fold};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Gives memory back to the system ten seconds after it was used, which the one of the C library does not.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A holder is this same program with other work: it must not get a runtime, a log or a settings file.
    match causeway_holder::run_if_asked(std::env::args_os()) {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => return say(&Failure::new(format!("holder: {error}"))),
        None => {}
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return say(&Failure::new("another TLS provider stands in the way"));
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // The reader may have gone.
            return if error.print().is_err() { ExitCode::from(FAILED) } else { ExitCode::from(code) };
        }
    };
    match cli.run() {
        Ok(code) => ExitCode::from(code),
        Err(failure) => say(&failure),
    }
}

/// Tells the failure on standard error, and which exit code it means.
fn say(failure: &Failure) -> ExitCode {
    let code = ExitCode::from(failure.code());
    let mut stderr = io::stderr().lock();
    let paint = Paint::of(stderr.is_terminal());
    let width = stderr.is_terminal().then(|| output::size().0);
    let said = match failure {
        Failure::ReaderGone => Ok(()),
        Failure::Drawn(text) => write!(stderr, "{text}"),
        Failure::Said { message, help, .. } => {
            let lines = [(Tone::Bad, "error:", Some(message)), (Tone::Strong, "help:", help.as_ref())];
            lines.iter().try_for_each(|(tone, word, text)| match text {
                // The word takes part in the breaking, but not its colour.
                Some(text) => {
                    let text = fold(&format!("{word} {text}"), width, "  ");
                    writeln!(stderr, "{}{}", paint.text(*tone, word), &text[word.len()..])
                }
                None => Ok(()),
            })
        }
    };
    // Without standard error there is no place to report it.
    drop(said);
    code
}
