//! Regular expressions with Java's syntax that match a whole name.

use std::fmt;
use std::sync::{Arc, LazyLock};

use fancy_regex::{Error as RegexError, Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::java;

/// Steps of backtracking before a match is given up: some milliseconds, not a hang.
const BACKTRACK_LIMIT: usize = 100_000;
/// The longest pattern, in bytes.
const MAX_LENGTH: usize = 4096;

/// A regular expression in Java's syntax, as `java.util.regex` reads it: look-around, back-references,
/// possessive quantifiers, `\Q…\E`, `\p{Alpha}`; `\d`, `\w` and `\s` are ASCII. It matches a *whole* text.
/// Equal when the written text is.
#[derive(Clone)]
pub struct Pattern {
    written: Arc<str>,
    regex: Arc<Regex>,
}

/// A pattern that cannot be used: what is wrong and, where known, at which byte of the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong with it.
    pub message: String,
    /// The byte offset into the written pattern.
    pub at: Option<usize>,
}

impl Pattern {
    /// Reads a pattern; the error says what is not understood.
    pub fn new(written: &str) -> Result<Self, PatternError> {
        if written.len() > MAX_LENGTH {
            return Err(PatternError { message: format!("it is longer than {MAX_LENGTH} bytes"), at: None });
        }
        let translated = java::translate(written)?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
            .backtrack_limit(BACKTRACK_LIMIT)
            .build()
            .map_err(|error| PatternError { message: explain(&error), at: None })?;
        Ok(Self { written: written.into(), regex: Arc::new(regex) })
    }

    /// The pattern `.*`, which matches every name.
    pub fn all() -> Self {
        static ALL: LazyLock<Pattern> =
            // It is constant; that it compiles is seen by every test.
            LazyLock::new(|| Pattern::new(".*").unwrap_or_else(|error| unreachable!("{error}")));
        ALL.clone()
    }

    /// Whether it matches the whole of `text`. An error when the search was given up because the pattern goes
    /// back and forth too often on this text: neither a yes nor a no.
    pub fn matches(&self, text: &str) -> Result<bool, PatternError> {
        self.regex.is_match(text).map_err(|_| PatternError {
            message: format!(
                "the pattern needs too many steps on a text of {} characters; make its repetitions unambiguous, \
                 for instance `[^.]*` in place of nested `.*`",
                text.chars().count()
            ),
            at: None,
        })
    }

    /// The fixed text that every match begins with; empty when none is plain to see. What does not begin with it need
    /// not be asked: of a tree only what lies on the way to it, and below. `/config/app` is the prefix of
    /// `/config/app.*` and of `/config/app(-[a-z]+)?`.
    pub fn literal_prefix(&self) -> String {
        java::literal_prefix(&self.written)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it is `.*`, so that callers need not ask name by name.
    pub fn is_all(&self) -> bool {
        &*self.written == ".*"
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::all()
    }
}

fn explain(error: &RegexError) -> String {
    use fancy_regex::{CompileError, ParseError};
    match error {
        RegexError::ParseError(_, ParseError::UnclosedOpenParen) => "a `(` has no closing `)`".into(),
        RegexError::ParseError(_, ParseError::InvalidClass) => {
            "a `[` has no closing `]`, or its content is wrong".into()
        }
        RegexError::ParseError(_, ParseError::InvalidRepeat) => "a repetition `{…}` is wrong".into(),
        RegexError::ParseError(_, ParseError::TargetNotRepeatable) => {
            "a `*`, `+`, `?` or `{…}` has nothing before it to repeat".into()
        }
        RegexError::ParseError(_, other) => lower_first(&other.to_string()),
        RegexError::CompileError(CompileError::LookBehindNotConst) => {
            "a look-behind `(?<=…)` of varying length is not supported; give its alternatives one length".into()
        }
        RegexError::CompileError(CompileError::InvalidBackref(group)) => {
            format!("there is no group {group} to refer to")
        }
        RegexError::CompileError(CompileError::InnerError(inner)) => inner
            .syntax_error()
            .map(|e| lower_first(e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ")))
            .or_else(|| inner.size_limit().map(|_| "it is too large once its repetitions are written out".into()))
            .unwrap_or_else(|| inner.to_string()),
        other => lower_first(&other.to_string()),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.written)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.at.map_or(Ok(()), |at| write!(f, " (at byte {at} of the pattern)"))
    }
}

impl std::error::Error for PatternError {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
