//! Checks what was sent against the fields of its kind.

use super::{KongEntity, KongField, KongRow, KongRule, fields};
use crate::kong::double::address;
use serde_json::{Map, Value, json};

const ONE_OF_HTTP: [&str; 5] = ["methods", "hosts", "headers", "paths", "snis"];

/// The whole row, with defaults where nothing is said, or what is wrong by field. `before`: the row that is merged with;
/// without one, what is not said becomes its default.
pub fn complete(kind: KongEntity, given: &KongRow, before: Option<&KongRow>) -> Result<KongRow, KongRow> {
    let given = shorthands(kind, given);
    let merged = before.map(|before| merge(before, &given));
    let (mut row, mut wrong) = record(fields(kind), merged.as_ref().unwrap_or(&given));
    if let Some(Value::String(target)) = row.get("target")
        && let Ok(normal) = address::target(target)
    {
        row.insert("target".into(), normal.into());
    }
    if wrong.is_empty() {
        together(kind, &row, &mut wrong);
    }
    if wrong.is_empty() { Ok(row) } else { Err(wrong) }
}

/// Fields that stand for others.
fn shorthands(kind: KongEntity, given: &KongRow) -> KongRow {
    let mut row = given.clone();
    match kind {
        KongEntity::Services => {
            if let Some(Value::String(text)) = row.get("url").cloned() {
                row.shift_remove("url");
                row.extend(url_parts(&text));
            }
        }
        KongEntity::Upstreams => match row.get("hash_on").and_then(Value::as_str) {
            Some("none") => drop(row.insert("algorithm".into(), "round-robin".into())),
            Some(_) => drop(row.insert("algorithm".into(), "consistent-hashing".into())),
            None if row.get("hash_on") == Some(&Value::Null) => drop(row.insert("hash_on".into(), "none".into())),
            None => {}
        },
        KongEntity::Routes | KongEntity::Targets => {}
    }
    row
}

/// `url` sets protocol, host, port and path; its query is dropped.
fn url_parts(text: &str) -> KongRow {
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.find('/').map_or((rest, None), |at| (&rest[..at], Some(&rest[at..])));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|one| one.is_ascii_digit()) => (host, port.parse::<u64>().ok()),
        _ => (authority, None),
    };
    let protocol = scheme.unwrap_or(match port {
        Some(443) => "https",
        _ => "http",
    });
    let port = port.unwrap_or(if protocol == "https" { 443 } else { 80 });
    let host = if host.is_empty() { Value::Null } else { host.into() };
    let parts = [("protocol", protocol.into()), ("host", host), ("port", port.into()), ("path", path.into())];
    parts.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect()
}

/// PATCH: records are merged, everything else is replaced.
fn merge(before: &KongRow, given: &KongRow) -> KongRow {
    let mut merged = before.clone();
    for (name, value) in given {
        let whole = match (before.get(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) if !old.contains_key("id") => Value::Object(merge(old, new)),
            _ => value.clone(),
        };
        merged.insert(name.clone(), whole);
    }
    merged
}

fn record(fields: &[KongField], given: &KongRow) -> (KongRow, KongRow) {
    let (mut row, mut wrong) = (Map::new(), Map::new());
    for name in given.keys() {
        if !fields.iter().any(|field| field.name == name) {
            wrong.insert(name.clone(), "unknown field".into());
        }
    }
    for field in fields {
        let value = given.get(field.name).unwrap_or(&field.default);
        let name = field.name.to_owned();
        match value {
            Value::Null if field.required => drop(wrong.insert(name, "required field missing".into())),
            Value::Null => drop(row.insert(name, Value::Null)),
            value => match check(&field.rule, value) {
                Ok(value) => drop(row.insert(name, value)),
                Err(why) => drop(wrong.insert(name, why)),
            },
        }
    }
    (row, wrong)
}

/// The value as it is stored, or what is wrong with it: a text, or a text for each part.
fn check(rule: &KongRule, value: &Value) -> Result<Value, Value> {
    let say = |text: &str| Err(Value::from(text));
    match (rule, value) {
        (KongRule::Integer(least, most), Value::Number(_)) => match integer(value) {
            None => say("expected an integer"),
            Some(number) if number < *least || number > *most => {
                say(&format!("value should be between {least} and {most}"))
            }
            Some(number) => Ok(number.into()),
        },
        (KongRule::Integer(..) | KongRule::Code(_), Value::String(_) | Value::Bool(_)) => say("expected an integer"),
        (KongRule::Code(codes), Value::Number(_)) => match integer(value).filter(|number| codes.contains(number)) {
            Some(number) => Ok(number.into()),
            None => say(&format!("expected one of: {codes:?}")),
        },
        (KongRule::Number(least, most), Value::Number(number)) => {
            let inside = number.as_f64().is_some_and(|number| number >= *least && number <= *most);
            if inside { Ok(value.clone()) } else { say(&format!("value should be between {least} and {most}")) }
        }
        (KongRule::Bool, Value::Bool(_)) => Ok(value.clone()),
        (KongRule::Text(word), Value::String(text)) => word(text).map(|()| value.clone()).map_err(Value::from),
        (KongRule::OneOf(words), Value::String(text)) => match words.contains(&text.as_str()) {
            true => Ok(value.clone()),
            false => say(&format!("expected one of: {}", words.join(", "))),
        },
        (KongRule::List(each), Value::Array(list)) => items(each, list).map(Value::from),
        (KongRule::Set(each), Value::Array(list)) => {
            let mut items = items(each, list)?;
            let mut seen = Vec::new();
            items.retain(|item| {
                !seen.contains(item) && {
                    seen.push(item.clone());
                    true
                }
            });
            Ok(items.into())
        }
        (KongRule::Record(fields), Value::Object(given)) => match record(fields, given) {
            (row, wrong) if wrong.is_empty() => Ok(row.into()),
            (_, wrong) => Err(wrong.into()),
        },
        (KongRule::Headers, Value::Object(given)) => match given.values().all(|list| list.is_array()) {
            true => Ok(value.clone()),
            false => say("expected an array"),
        },
        (KongRule::Foreign, Value::Object(given)) => {
            match given.keys().find(|key| !matches!(key.as_str(), "id" | "name")) {
                Some(key) => Err(json!({key: "unknown field"})),
                None if given.is_empty() => Err(json!({"id": "missing primary key"})),
                None => Ok(value.clone()),
            }
        }
        _ => say(expected(rule)),
    }
}

fn integer(value: &Value) -> Option<i64> {
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

fn items(rule: &KongRule, list: &[Value]) -> Result<Vec<Value>, Value> {
    let checked: Vec<_> = list.iter().map(|item| check(rule, item)).collect();
    match checked.iter().rposition(Result::is_err) {
        // As Lua writes a list with holes.
        Some(last) => Err(checked.into_iter().take(last + 1).map(|one| one.err().unwrap_or(Value::Null)).collect()),
        None => Ok(checked.into_iter().flatten().collect()),
    }
}

fn expected(rule: &KongRule) -> &'static str {
    match rule {
        KongRule::Integer(..) | KongRule::Code(_) => "expected an integer",
        KongRule::Number(..) => "expected a number",
        KongRule::Bool => "expected a boolean",
        KongRule::Text(_) | KongRule::OneOf(_) => "expected a string",
        KongRule::List(_) => "expected an array",
        KongRule::Set(_) => "expected a set",
        KongRule::Record(_) | KongRule::Foreign => "expected a record",
        KongRule::Headers => "expected a map",
    }
}

/// What must hold between fields.
fn together(kind: KongEntity, row: &KongRow, wrong: &mut KongRow) {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let filled = |name: &&str| match row.get(*name) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        _ => false,
    };
    match kind {
        KongEntity::Services => {
            let without_path = ["tcp", "tls", "udp", "grpc", "grpcs"].contains(&text("protocol"));
            if without_path && row.get("path").is_some_and(|path| !path.is_null()) {
                wrong
                    .insert("@entity".into(), json!(["failed conditional validation given value of field 'protocol'"]));
                wrong.insert("path".into(), "value must be null".into());
            }
        }
        KongEntity::Routes => {
            let has = |protocol: &str| row["protocols"].as_array().is_some_and(|all| all.contains(&protocol.into()));
            let (needed, of) = match (has("https"), has("http")) {
                (true, _) => (&ONE_OF_HTTP[..], "https"),
                (_, true) => (&ONE_OF_HTTP[..4], "http"),
                _ => return,
            };
            if !needed.iter().any(filled) {
                let names = needed.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
                let why = format!("must set one of {names} when 'protocols' is '{of}'");
                wrong.insert("@entity".into(), json!([why]));
            }
        }
        KongEntity::Upstreams => {
            for (on, needs) in [
                ("header", "hash_on_header"),
                ("cookie", "hash_on_cookie"),
                ("query_arg", "hash_on_query_arg"),
                ("uri_capture", "hash_on_uri_capture"),
            ] {
                if text("hash_on") == on && text(needs).is_empty() {
                    let why = "failed conditional validation given value of field 'hash_on'";
                    wrong.insert("@entity".into(), json!([why]));
                    wrong.insert(needs.into(), "required field missing".into());
                }
            }
        }
        KongEntity::Targets => {}
    }
}

/// What came as a form has only texts: numbers, booleans and lists are read from them as the fields say.
pub fn from_form(kind: KongEntity, given: KongRow) -> KongRow {
    let rule = |name: &str| fields(kind).iter().find(|field| field.name == name).map(|field| &field.rule);
    given
        .into_iter()
        .map(|(name, value)| {
            let value = infer(rule(&name), value);
            (name, value)
        })
        .collect()
}

fn infer(rule: Option<&KongRule>, value: Value) -> Value {
    match (rule, value) {
        (Some(KongRule::Integer(..) | KongRule::Number(..) | KongRule::Code(_)), Value::String(text)) => {
            serde_json::from_str(&text).ok().filter(Value::is_number).unwrap_or(Value::String(text))
        }
        (Some(KongRule::Bool), Value::String(text)) => match text.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            _ => text.into(),
        },
        (Some(KongRule::List(each) | KongRule::Set(each)), Value::Array(list)) => {
            list.into_iter().map(|item| infer(Some(each), item)).collect()
        }
        (Some(KongRule::List(each) | KongRule::Set(each)), one) if !one.is_object() => {
            Value::Array(vec![infer(Some(each), one)])
        }
        (Some(KongRule::Record(fields)), Value::Object(map)) => {
            let rule = |name: &str| fields.iter().find(|field| field.name == name).map(|field| &field.rule);
            map.into_iter()
                .map(|(name, value)| {
                    let value = infer(rule(&name), value);
                    (name, value)
                })
                .collect()
        }
        (_, value) => value,
    }
}
