//! Reads JSON values as servers of all versions write them: numbers may be integers, floats or
//! strings, flags may be strings, texts may be null.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

fn parsed<T: FromStr, E: Error>(text: &str, what: &str) -> Result<T, E>
where
    T::Err: Display,
{
    text.trim().parse().map_err(|e| E::custom(format!("{what}: {e}")))
}

/// A 64-bit float from a number or a string.
pub(super) fn float<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    match Value::deserialize(input)? {
        Value::Number(n) => n.as_f64().ok_or_else(|| Error::custom("number out of range")),
        Value::String(s) => parsed(&s, "number"),
        other => Err(Error::custom(format!("expected a number, got {other}"))),
    }
}

/// A port (0–65535) from an integer, a whole float or a string.
pub(super) fn port<'de, D: Deserializer<'de>>(input: D) -> Result<u16, D::Error> {
    let n = integer(input)?;
    u16::try_from(n).map_err(|_| Error::custom(format!("port {n} is out of range")))
}

/// An integer from an integer, a whole float, a string; null is 0.
pub(super) fn integer<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    match Value::deserialize(input)? {
        Value::Null => Ok(0),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(whole), _) => Ok(whole),
            // Whole floats up to 2^53 are exact.
            (None, Some(f)) if f.fract() == 0.0 && f.abs() <= 9_007_199_254_740_992.0 => Ok(f as i64),
            _ => Err(Error::custom(format!("expected a whole number, got {n}"))),
        },
        Value::String(s) => parsed(&s, "whole number"),
        other => Err(Error::custom(format!("expected a whole number, got {other}"))),
    }
}

/// An integer where there is one; null is none.
pub(super) fn some<'de, D: Deserializer<'de>>(input: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(input)?;
    if value.is_null() { Ok(None) } else { integer(value).map(Some).map_err(Error::custom) }
}

/// A flag from true/false, "true"/"false", 0/1.
pub(super) fn flag<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    match Value::deserialize(input)? {
        Value::Bool(b) => Ok(b),
        Value::String(s) => parsed(&s.to_ascii_lowercase(), "flag"),
        Value::Number(n) => Ok(n.as_f64() != Some(0.0)),
        other => Err(Error::custom(format!("expected a flag, got {other}"))),
    }
}

/// A text; null is the empty one.
pub(super) fn text<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(input)?.unwrap_or_default())
}

/// A list; null is the empty one.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(input)?.unwrap_or_default())
}

/// A map of texts; null is the empty one, other scalars become their text, null values "".
pub(super) fn texts<'de, D: Deserializer<'de>, T: FromIterator<(String, String)>>(input: D) -> Result<T, D::Error> {
    let raw = Option::<BTreeMap<String, Value>>::deserialize(input)?.unwrap_or_default();
    Ok(raw
        .into_iter()
        .map(|(key, value)| {
            let text = match value {
                Value::String(s) => s,
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (key, text)
        })
        .collect())
}
