//! Documents with their secrets encrypted, for copies that are kept on a disk.

use crate::json::{self, Json, JsonValue};
use crate::problem_list::{holds_login, is_secret_name};
use serde_json::{Map, Value};

/// What stands before an encrypted secret, and behind it.
const SEAL: (&str, &str) = ("${sealed:", "}");

/// The document as plain JSON without comments, in which `seal` has encrypted every secret. References to variables and files stay.
/// The error is that of `seal`, or says why the text is no document.
pub fn sealed(text: &str, mut seal: impl FnMut(&str) -> Result<String, String>) -> Result<String, String> {
    let (root, _) = json::read(text).map_err(|error| error.message)?;
    let mut change = |secret: &str| match secret {
        "" => Ok(String::new()),
        _ if secret.starts_with("${env:") || secret.starts_with("${file:") => Ok(secret.to_owned()),
        _ => Ok(format!("{}{}{}", SEAL.0, seal(secret)?, SEAL.1)),
    };
    let value = changed(&root, false, &mut change)?;
    serde_json::to_string_pretty(&value).map_err(|error| error.to_string())
}

/// The inverse of [`sealed`]; secrets that are not encrypted stay.
pub fn unsealed(text: &str, mut open: impl FnMut(&str) -> Result<String, String>) -> Result<String, String> {
    let (root, _) = json::read(text).map_err(|error| error.message)?;
    let mut change = |secret: &str| match secret.strip_prefix(SEAL.0).and_then(|rest| rest.strip_suffix(SEAL.1)) {
        Some(inner) => open(inner),
        None => Ok(secret.to_owned()),
    };
    let value = changed(&root, false, &mut change)?;
    serde_json::to_string_pretty(&value).map_err(|error| error.to_string())
}

fn changed(
    json: &Json,
    secret: bool,
    change: &mut impl FnMut(&str) -> Result<String, String>,
) -> Result<Value, String> {
    Ok(match &json.value {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(value) => Value::Bool(*value),
        JsonValue::Number(text) if secret => Value::String(change(text)?),
        JsonValue::Text(text) if secret || holds_login(text) || text.starts_with(SEAL.0) => {
            Value::String(change(text)?)
        }
        JsonValue::Number(text) => serde_json::from_str(text).map_err(|error| error.to_string())?,
        JsonValue::Text(text) => Value::String(text.clone()),
        JsonValue::List(items) => {
            Value::Array(items.iter().map(|item| changed(item, secret, change)).collect::<Result<_, _>>()?)
        }
        JsonValue::Object(members) => {
            let mut object = Map::new();
            for member in members {
                let value = changed(&member.value, secret || is_secret_name(&member.name), change)?;
                object.insert(member.name.clone(), value);
            }
            Value::Object(object)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sealed_and_come_back() {
        let text = "{// \"password\": \"hidden\"\n\"tasks\": [{\"source\": {\"name\": \"a\", \"token\": 123456, \"user\": \"u\",
            \"password\": \"pw\",}, \"destination\": {\"token\": \"${env:T}\", \"password\": \"\", \"addresses\": [\"http://u:hunter2@h:1\"], \"db\": {\"jdbc_url\": \"jdbc:x\"}}}]}";
        let reversed = |text: &str| Ok(text.chars().rev().collect::<String>());
        let kept = sealed(text, reversed).unwrap();
        for secret in ["hidden", "123456", "\"pw\"", "jdbc:x", "hunter2"] {
            assert!(!kept.contains(secret), "{kept}");
        }
        assert!(
            kept.contains("${sealed:654321}") && kept.contains("${env:T}") && kept.contains("\"user\": \"u\""),
            "{kept}"
        );
        let back = unsealed(&kept, reversed).unwrap();
        assert!(back.contains("http://u:hunter2@h:1"), "{back}");
        assert!(back.contains("\"token\": \"123456\"") && back.contains("\"pw\"") && back.contains("jdbc:x"), "{back}");
        assert!(unsealed(&kept, |_| Err("another key".into())).is_err_and(|error| error == "another key"));
        assert!(sealed("{", reversed).is_err());
    }
}
