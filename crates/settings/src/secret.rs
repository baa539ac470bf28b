//! Passwords and keys: their values, and where the values come from.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A value that is never shown. It knows the text `${env:NAME}` or `${file:/path}` that it was written as,
/// so that a store keeps the reference and not the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    reference: Option<String>,
    value: String,
}

impl Secret {
    /// A value that stands in the file itself.
    pub fn literal(value: impl Into<String>) -> Self {
        Self { reference: None, value: value.into() }
    }

    /// A value that was read through `reference`, the file's own text.
    pub fn referred(reference: impl Into<String>, value: impl Into<String>) -> Self {
        Self { reference: Some(reference.into()), value: value.into() }
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// The file's text where it is a reference; none when the value stands in the file.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    pub(crate) fn is_literal(secret: &Option<Secret>) -> bool {
        secret.as_ref().is_none_or(|s| s.reference.is_none())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Some(reference) => write!(f, "Secret({reference})"),
            None => f.write_str("Secret(…)"),
        }
    }
}

/// Writes the reference, or nothing but `null`: a value leaves only through [`Secret::expose`].
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.reference.serialize(serializer)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
