//! How a command ends other than well: what failed, how to put it right, and the exit code.

use std::fmt::{self, Display};
use std::io;

/// The command could not do what it was asked.
pub const FAILED: u8 = 1;
/// `verify`: the two sides differ.
pub const DIFFERS: u8 = 1;
/// `plan`: there is something to do.
pub const CHANGES: u8 = 2;
/// The command line itself is wrong (sysexits' EX_USAGE).
pub const USAGE: u8 = 64;

/// What a command says on standard error before it ends.
#[derive(Debug)]
pub enum Failure {
    /// The reader of our output has gone: nothing is printed.
    ReaderGone,
    /// Said in words.
    Said {
        /// The exit code.
        code: u8,
        /// What failed, and what was expected.
        message: String,
        /// How to put it right.
        help: Option<String>,
    },
    /// A whole text, drawn already: the problems of a settings file.
    Drawn(String),
}

impl Failure {
    /// It failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Said { code: FAILED, message: message.into(), help: None }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Said { code: USAGE, message: message.into(), help: None }
    }

    /// Says how to put it right.
    #[must_use]
    pub fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Said { code, message, .. } => Self::Said { code, message, help: Some(text.into()) },
            other => other,
        }
    }

    /// The exit code. A reader that has gone is no failure of ours.
    pub fn code(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Said { code, .. } => *code,
            Self::Drawn(_) => FAILED,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReaderGone => Ok(()),
            Self::Said { message, help: None, .. } => f.write_str(message),
            Self::Said { message, help: Some(help), .. } => write!(f, "{message}\nhelp: {help}"),
            Self::Drawn(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::new(format!("cannot write the output: {error}")),
        }
    }
}
