//! What is wrong with a file, where, and how to put it right.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken; something in it has no effect, or not the whole of it.
    Warning,
}

/// One thing that is wrong, at one place. Holds no secret: the line that it quotes is masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters of the line it is about; at least 1.
    pub width: usize,
    /// The field's path, such as `tasks[0].source`; empty for the file itself.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What was expected in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// How to put it right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The line's text, with the values of secrets masked.
    pub text: String,
}

impl Problem {
    /// Draws it like rustc does, with the line and a mark below the place; `colour` for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let label = self.expected.as_ref().map(|e| format!("expected {e}"));
        let title = level.primary_title(self.title());
        let mut group: Group<'_> = if self.text.is_empty() {
            // An empty file, or a line too long to show.
            title.element(Origin::path(self.file.as_str()).line(self.line).char_column(self.column))
        } else {
            let snippet = Snippet::source(self.text.as_str())
                .line_start(self.line)
                .path(self.file.as_str())
                .annotation(AnnotationKind::Primary.span(self.bytes()).label(label.as_deref()));
            title.element(snippet)
        };
        if self.text.is_empty()
            && let Some(label) = &label
        {
            group = group.element(Level::NOTE.message(label.as_str()));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    fn title(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }

    fn bytes(&self) -> std::ops::Range<usize> {
        let byte = |n: usize| self.text.char_indices().nth(n).map_or(self.text.len(), |(at, _)| at);
        byte(self.column - 1)..byte(self.column - 1 + self.width)
    }
}

/// One line: `file:line:column: error: field: message; expected …; help`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}:{}: {word}: {}", self.file, self.line, self.column, self.title())?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// All problems of one file, in the order of the file; at least one is an error when `parse` returns it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Draws all of them like rustc does, and how many there are; `colour` for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for problem in &self.0 {
            out.push_str(problem.render(colour).trim_end());
            out.push_str("\n\n");
        }
        let count = |severity| self.0.iter().filter(|p| p.severity == severity).count();
        out.push_str(&tally(count(Severity::Error), count(Severity::Warning)));
        out.push('\n');
        out
    }

    /// The errors, without the warnings.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|p| p.severity == Severity::Error)
    }

    /// A JSON list of objects with the fields of [`Problem`].
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn tally(errors: usize, warnings: usize) -> String {
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (e, 0) => plural(e, "error"),
        (0, w) => plural(w, "warning"),
        (e, w) => format!("{}, {}", plural(e, "error"), plural(w, "warning")),
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
