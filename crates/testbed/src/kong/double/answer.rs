//! Answers, and the bodies of Kong's errors.

use super::schema::{KongEntity, KongRow};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a door says: a status, and JSON unless there is nothing to say.
#[derive(Debug, Clone)]
pub struct KongAnswer {
    pub status: StatusCode,
    pub body: Option<Value>,
}

/// A refusal with a code of its own.
#[derive(Debug, Clone)]
pub struct KongError {
    code: u8,
    status: StatusCode,
    name: &'static str,
    message: String,
    /// Under `fields`; of code 11 under `options`.
    fields: Option<Value>,
}

pub type KongResult<T = KongAnswer> = Result<T, KongAnswer>;

impl KongAnswer {
    pub fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body: Some(body) }
    }

    pub fn ok(body: impl Into<Value>) -> Self {
        Self::new(StatusCode::OK, body.into())
    }

    pub fn created(body: impl Into<Value>) -> Self {
        Self::new(StatusCode::CREATED, body.into())
    }

    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }

    pub fn not_modified() -> Self {
        Self { status: StatusCode::NOT_MODIFIED, body: None }
    }

    /// A status with nothing but a message.
    pub fn message(status: StatusCode, text: &str) -> Self {
        Self::new(status, json!({"message": text}))
    }

    /// What it did not think of.
    pub fn unexpected() -> Self {
        Self::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
    }

    pub fn not_found() -> Self {
        Self::message(StatusCode::NOT_FOUND, "Not found")
    }

    pub fn not_allowed() -> Self {
        Self::message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
    }

    /// As it goes over the wire; `took` is what the server says about itself.
    pub fn into_response(self, took: Option<Duration>) -> Response<Body> {
        let empty = self.body.is_none();
        let mut response = Response::new(self.body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::from_static("kong/3.9.3"));
        if !empty {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        }
        if let Some(took) = took.and_then(|took| HeaderValue::from_str(&took.as_millis().to_string()).ok()) {
            headers.insert("x-kong-admin-latency", took);
        }
        response
    }
}

impl From<KongError> for KongAnswer {
    fn from(error: KongError) -> Self {
        let mut body = json!({"code": error.code, "name": error.name, "message": error.message});
        if let (Some(fields), Some(map)) = (error.fields, body.as_object_mut()) {
            map.insert(if error.code == 11 { "options" } else { "fields" }.to_owned(), fields);
        }
        Self::new(error.status, body)
    }
}

impl KongError {
    fn new(code: u8, status: StatusCode, name: &'static str, message: String, fields: Option<Value>) -> Self {
        Self { code, status, name, message, fields }
    }

    fn bad(code: u8, name: &'static str, message: String, fields: Option<Value>) -> Self {
        Self::new(code, StatusCode::BAD_REQUEST, name, message, fields)
    }

    /// 2: what was sent is no such entity.
    pub fn schema(fields: KongRow) -> Self {
        let lines = violations(&fields);
        let message = match &lines[..] {
            [one] => format!("schema violation ({one})"),
            many => format!("{} schema violations ({})", many.len(), many.join("; ")),
        };
        Self::bad(2, "schema violation", message, Some(fields.into()))
    }

    /// 3: the id is taken.
    pub fn primary(field: &str, key: &str) -> Self {
        let message = format!("primary key violation on key '{{{field}=\"{key}\"}}'");
        Self::bad(3, "primary key violation", message, Some(json!({field: key})))
    }

    /// 4: the entity that it belongs to is not there.
    pub fn foreign(field: &str, id: &str, parent: KongEntity) -> Self {
        let parent = parent.name();
        let message = format!("the foreign key '{{id=\"{id}\"}}' does not reference an existing '{parent}' entity.");
        Self::bad(4, "foreign key violation", message, Some(json!({field: {"id": id}})))
    }

    /// 4: others belong to it.
    pub fn referenced(parent: KongEntity, child: KongEntity) -> Self {
        let (parent, child) = (parent.name(), child.name());
        let message = format!("an existing '{child}' entity references this '{parent}' entity");
        Self::bad(4, "foreign key violation", message, Some(json!({"@referenced_by": child})))
    }

    /// 5: the name, or the target within its upstream, is taken.
    pub fn unique(fields: Value) -> Self {
        let message = format!("UNIQUE violation detected on '{}'", lua(&fields));
        Self::new(5, StatusCode::CONFLICT, "unique constraint violation", message, Some(fields))
    }

    /// 6: nothing to merge with.
    pub fn missing(field: &str, key: &str) -> Self {
        let fields = json!({field: key});
        let by = if field == "id" { "primary key " } else { "" };
        let message = format!("could not find the entity with {by}'{}'", lua(&fields));
        Self::new(6, StatusCode::NOT_FOUND, "not found", message, Some(fields))
    }

    /// 7: not an offset of ours.
    pub fn offset(offset: &str) -> Self {
        Self::bad(7, "invalid offset", format!("'{offset}' is not a valid offset: bad base64 encoding"), None)
    }

    /// 9: a page cannot be so large.
    pub fn size(why: &str) -> Self {
        Self::bad(9, "invalid size", why.to_owned(), None)
    }

    /// 11: a query that says nothing.
    pub fn option(name: &str, why: &str) -> Self {
        Self::bad(11, "invalid options", format!("invalid option ({name}: {why})"), Some(json!({name: why})))
    }

    /// 12: there is no database to write to.
    pub fn unsupported(verb: &str, kind: KongEntity) -> Self {
        let message = format!("cannot {verb} '{}' entities when not using a database", kind.name());
        Self::new(12, StatusCode::METHOD_NOT_ALLOWED, "operation unsupported", message, None)
    }

    /// 13: the entity that it belongs to has no such name.
    pub fn unresolved(field: &str, name: &str, parent: KongEntity) -> Self {
        let parent = parent.name();
        let why =
            format!("the foreign key cannot be resolved with '{{name=\"{name}\"}}' for an existing '{parent}' entity");
        let message = format!("foreign key unresolved ({field}.name: {why})");
        Self::bad(13, "foreign keys unresolved", message, Some(json!({field: {"name": why}})))
    }

    /// 14: not a declarative configuration.
    pub fn declarative(fields: Value) -> Self {
        let message = format!("declarative config is invalid: {}", lua(&fields));
        Self::bad(14, "invalid declarative configuration", message, Some(fields))
    }
}

fn violations(fields: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(Value::Array(list)) = fields.get("@entity") {
        lines.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    let sorted: BTreeMap<&String, &Value> = fields.iter().filter(|(name, _)| *name != "@entity").collect();
    for (name, why) in sorted {
        match why {
            Value::String(text) => lines.push(format!("{name}: {text}")),
            Value::Object(parts) => {
                lines.extend(parts.iter().map(|(part, why)| match why {
                    Value::String(text) => format!("{name}.{part}: {text}"),
                    other => format!("{name}.{part}: {}", lua(other)),
                }));
            }
            other => lines.push(format!("{name}: {}", lua(other))),
        }
    }
    lines
}

/// A value as Lua prints it.
fn lua(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key}={}", lua(value))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(list) => format!("{{{}}}", list.iter().map(lua).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
