//! `causeway validate`.

use super::{Global, settings_text};
use crate::failure::{FAILED, Failure};
use crate::output::{Format, Screen, count, warnings};
use causeway_peers::polaris_sync::{Loaded, is_document, to_settings};
use causeway_settings::{Kinds, Problem, Problems, ProcessEnv, Settings, parse};
use serde::Serialize;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

/// Checks a settings file, or a document of polaris-sync, without a node and without any network. Tells all errors at once, each with its place.
#[derive(clap::Args)]
pub struct Validate {
    /// The settings file; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    valid: bool,
    problems: Vec<Problem>,
}

impl Validate {
    pub fn run(self, global: &Global) -> Result<u8, Failure> {
        let (file, text) = settings_text(&self.file)?;
        let kinds = causeway_server::kinds();
        let checked = match is_document(&text) {
            true => document(&file, &text, &kinds),
            false => parse(&file, &text, &ProcessEnv, &kinds),
        };
        let mut screen = Screen::new(global.output);
        if screen.format != Format::Table {
            let (valid, problems) = match checked {
                Ok(settings) => (true, settings.warnings),
                Err(problems) => (false, problems.0),
            };
            screen.document(&Checked { valid, problems })?;
            return Ok(if valid { 0 } else { FAILED });
        }
        let colour = crate::output::Paint::of(io::stderr().is_terminal()).is_on();
        let settings = checked.map_err(|problems| Failure::Drawn(problems.render(colour)))?;
        warnings(&settings.warnings);
        let (clusters, tasks) = (settings.clusters.len(), settings.tasks.len());
        screen.line(format!("{file} is valid: {}, {}", count(clusters, "cluster"), count(tasks, "task")))?;
        Ok(0)
    }
}

fn document(file: &str, text: &str, kinds: &Kinds) -> Result<Settings, Problems> {
    let loaded = Loaded::read(file, text, kinds)?;
    let converted = to_settings(&[loaded], &ProcessEnv, kinds)?;
    Ok(Settings { warnings: converted.warnings, ..converted.settings })
}
