//! `causeway convert`.

use super::settings_text;
use crate::failure::Failure;
use crate::output::{Paint, warnings};
use causeway_peers::polaris_sync::{Loaded, from_settings, is_document, to_settings};
use causeway_settings::{Problems, ProcessEnv, Secrets, parse};
use clap::ValueEnum;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// Converts a document of polaris-sync into a settings file, or a settings file into such a document. What the other form cannot say is
/// told on standard error. Secrets are written as they stand in the file.
#[derive(clap::Args)]
pub struct Convert {
    /// The file to convert; - for standard input
    file: PathBuf,
    /// The form to convert it to [default: the other one]
    #[arg(long, value_enum, value_name = "FORM")]
    to: Option<Form>,
    /// Where to write the result [default: standard output]
    #[arg(short = 'O', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A settings file
    Yaml,
    /// polaris-sync's sync-registry.json
    PolarisSync,
}

impl Convert {
    pub fn run(self) -> Result<u8, Failure> {
        let (file, text) = settings_text(&self.file)?;
        let from = if is_document(&text) { Form::PolarisSync } else { Form::Yaml };
        let to = self.to.unwrap_or(match from {
            Form::PolarisSync => Form::Yaml,
            Form::Yaml => Form::PolarisSync,
        });
        if from == to {
            return Err(Failure::new(format!("{file} has this form already")).help("name the other one with --to"));
        }
        let made = match from {
            Form::PolarisSync => to_yaml(&file, &text)?,
            Form::Yaml => to_document(&file, &text)?,
        };
        match &self.out {
            None => write!(io::stdout().lock(), "{made}")?,
            Some(path) => std::fs::write(path, made)
                .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?,
        }
        Ok(0)
    }
}

fn refused(problems: Problems) -> Failure {
    Failure::Drawn(problems.render(Paint::of(io::stderr().is_terminal()).is_on()))
}

fn to_yaml(file: &str, text: &str) -> Result<String, Failure> {
    let kinds = causeway_server::kinds();
    let loaded = Loaded::read(file, text, &kinds).map_err(refused)?;
    let converted = to_settings(&[loaded], &ProcessEnv, &kinds).map_err(refused)?;
    warnings(&converted.warnings);
    let report = converted.report.targets.iter().any(|target| target.enable);
    for what in [("report", report), ("health_check", converted.probes.enable)]
        .into_iter()
        .filter_map(|(what, is)| is.then_some(what))
    {
        say(&format!("{what}: a settings file has no place for it, and it is left out"));
    }
    Ok(converted.settings.to_yaml(Secrets::Kept))
}

fn to_document(file: &str, text: &str) -> Result<String, Failure> {
    let kinds = causeway_server::kinds();
    let settings = parse(file, text, &ProcessEnv, &kinds).map_err(refused)?;
    warnings(&settings.warnings);
    let made = from_settings(&settings, &kinds);
    made.warnings.iter().for_each(|warning| say(warning));
    Ok(made.text + "\n")
}

/// Tells what the other form cannot say.
fn say(warning: &str) {
    let mut stderr = io::stderr().lock();
    // The result does not depend on it.
    drop(writeln!(stderr, "warning: {warning}"));
}
