//! How things are shown: tables and colour for people, JSON and YAML for programs.

pub mod lists;
mod paint;
pub mod plan;
mod table;

pub use paint::{Paint, Tone};
pub use table::{Cell, Table};

use crate::failure::Failure;
use causeway_settings::{Problem, Problems};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// What `-o` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people; colour on a terminal
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
}

/// Standard output, and how to write there.
pub struct Screen {
    /// What was asked for.
    pub format: Format,
    /// Colour, or none.
    pub paint: Paint,
    /// The terminal's columns; `None`: not a terminal, so that lines may have any length.
    pub width: Option<usize>,
    out: BufWriter<StdoutLock<'static>>,
}

impl Screen {
    /// Standard output as it is.
    pub fn new(format: Format) -> Self {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| size().0);
        Self { format, paint: Paint::of(stdout.is_terminal()), width, out: BufWriter::new(stdout.lock()) }
    }

    /// Writes `value` as the document that was asked for; `false`: a table was asked for, and nothing is written.
    pub fn document(&mut self, value: &impl Serialize) -> Result<bool, Failure> {
        match self.format {
            Format::Table => return Ok(false),
            Format::Json => {
                serde_json::to_writer_pretty(&mut self.out, value).map_err(io::Error::from)?;
                writeln!(self.out)?;
            }
            Format::Yaml => {
                let text = serde_saphyr::to_string(value).map_err(|error| Failure::new(error.to_string()))?;
                writeln!(self.out, "{}", text.trim_end())?;
            }
        }
        self.out.flush()?;
        Ok(true)
    }

    /// Writes a table as wide as the terminal at most.
    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let text = table.draw(self.width, self.paint);
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Writes prose; on a terminal broken between words, and indented from the second line on.
    pub fn prose(&mut self, tone: Tone, text: &str) -> Result<(), Failure> {
        let text = fold(text, self.width, "    ");
        text.lines().try_for_each(|line| self.line(self.paint.text(tone, line)))
    }

    /// Writes one line.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        writeln!(self.out, "{}", text.as_ref())?;
        Ok(self.out.flush()?)
    }
}

/// The terminal's columns and rows; 80 × 24 when it does not tell.
pub fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// Breaks prose between words where a terminal ends; each further line begins with `indent`. Lines that it has stay.
pub fn fold(text: &str, width: Option<usize>, indent: &str) -> String {
    let Some(width) = width else { return text.to_owned() };
    let room = width.saturating_sub(indent.len()).max(20);
    let lines = text.lines().map(|line| table::words(line, room).join(&format!("\n{indent}")));
    lines.collect::<Vec<_>>().join("\n")
}

/// `1 service`, `2 services`.
pub fn count(n: usize, word: &str) -> String {
    match n {
        1 => format!("1 {word}"),
        _ => match word.strip_suffix('y') {
            Some(stem) => format!("{n} {stem}ies"),
            None => format!("{n} {word}s"),
        },
    }
}

/// Shows on standard error what of a settings file has no effect, or not the whole of it.
pub fn warnings(problems: &[Problem]) {
    if problems.is_empty() {
        return;
    }
    let mut stderr = io::stderr().lock();
    let paint = Paint::of(stderr.is_terminal());
    // The command has been done, whether anybody reads this or not.
    drop(write!(stderr, "{}", Problems(problems.to_vec()).render(paint.is_on())));
}

/// What comes from registries may hold anything; it must not move the cursor or break a line.
pub fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
