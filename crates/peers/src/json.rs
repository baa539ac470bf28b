//! JSON as its readers in Java take it: with comments, and with the slips that people make in it. Every value knows its place.
//!
//! Beside JSON itself it takes `//`, `#` and `/* */` comments, texts in single quotes, a missing comma, a comma behind the
//! last item, and a name that stands twice, of which the last counts; the last three are told as [`Slip`]s. Everything else that is not JSON is a [`SyntaxError`].

mod reader;

pub use reader::read;

use causeway_settings::Place;
use std::borrow::Cow;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Json {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub value: JsonValue,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Names with values, in the order of the document. Of a name that stands twice the last counts.
    Object(Vec<Member>),
}

/// A name of an object and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// The value.
    pub value: Json,
}

/// Something that is no JSON and whose meaning is plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub message: Cow<'static, str>,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where it cannot be read any more.
    pub place: Place,
    /// What is wrong. Holds nothing of the text.
    pub message: String,
    /// How to put it right.
    pub help: String,
}

impl Json {
    /// What it is, in words of the user.
    pub fn describe(&self) -> &'static str {
        match self.value {
            JsonValue::Null => "`null`",
            JsonValue::Bool(_) => "`true` or `false`",
            JsonValue::Number(_) => "a number",
            JsonValue::Text(_) => "a text",
            JsonValue::List(_) => "a list",
            JsonValue::Object(_) => "an object",
        }
    }

    /// The value of a name of an object; `None`: it has none of this name, or it is `null`, or this is no object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let JsonValue::Object(members) = &self.value else { return None };
        let member = members.iter().rfind(|member| member.name == name)?;
        (member.value.value != JsonValue::Null).then_some(&member.value)
    }
}

#[cfg(test)]
mod tests;
