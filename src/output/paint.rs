//! Colour on a terminal, by meaning.

use std::env;

/// What a text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// Beside the point.
    Faint,
    /// As it should be; something comes.
    Good,
    /// On its way; something changes.
    Busy,
    /// Not as it should be; something goes.
    Bad,
    /// Something that waits for the operator.
    Waits,
}

/// Paints, or leaves texts as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// For a stream that is a terminal or is none. `NO_COLOR` (<https://no-color.org>) and a dumb terminal mean none.
    pub fn of(terminal: bool) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self(terminal && !refused && !dumb)
    }

    /// Whether it paints.
    pub fn is_on(self) -> bool {
        self.0
    }

    /// The text in its tone.
    pub fn text(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            _ if !self.0 => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Busy => "36",
            Tone::Bad => "31",
            Tone::Waits => "33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
