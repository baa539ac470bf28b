//! What is sent: JSON or a form.

use super::answer::{KongAnswer, KongResult};
use super::schema::KongRow;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

/// What was sent, and whether as a form: then all values are texts.
#[derive(Debug, Default)]
pub struct KongBody {
    pub row: KongRow,
    pub is_form: bool,
}

/// Reads a body; none at all is an empty one. Another content type is refused with 415.
pub fn read(headers: &HeaderMap, bytes: &[u8]) -> KongResult<KongBody> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_ascii_lowercase);
    match kind {
        Some(kind) if kind.starts_with("application/json") => json(bytes),
        Some(kind) if kind.starts_with("application/x-www-form-urlencoded") => Ok(form(bytes)),
        None if bytes.is_empty() => Ok(KongBody::default()),
        _ => Err(KongAnswer::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")),
    }
}

fn json(bytes: &[u8]) -> KongResult<KongBody> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(row)) => Ok(KongBody { row, is_form: false }),
        _ => Err(KongAnswer::message(StatusCode::BAD_REQUEST, "Cannot parse JSON body")),
    }
}

/// `service.name=a`, `tags[]=x`, `tags[1]=x`; a key that comes twice is a list.
fn form(bytes: &[u8]) -> KongBody {
    let mut row = Map::new();
    for (key, value) in url::form_urlencoded::parse(bytes) {
        put(&mut row, &key, Value::from(value.into_owned()));
    }
    KongBody { row, is_form: true }
}

fn put(row: &mut KongRow, key: &str, value: Value) {
    if let Some((first, rest)) = key.split_once('.') {
        let inner = row.entry(first).or_insert_with(|| Map::new().into());
        if let Value::Object(inner) = inner {
            put(inner, rest, value);
        }
        return;
    }
    let (name, is_list) = key.split_once('[').map_or((key, false), |(name, _)| (name, true));
    match row.get_mut(name) {
        Some(Value::Array(list)) => list.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
        None => drop(row.insert(name.to_owned(), if is_list { Value::Array(vec![value]) } else { value })),
    }
}
