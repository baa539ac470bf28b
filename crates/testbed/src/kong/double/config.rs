//! `/config`, of a Kong without a database.

use super::KongDouble;
use super::admin::KongCall;
use super::answer::{KongAnswer, KongError, KongResult};
use super::body;
use super::declarative::{self, KongMistakes};
use super::schema::KongRow;
use super::store::DEFAULT_SPACE;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

/// Of a configuration with nothing in it.
pub const EMPTY_HASH: &str = "00000000000000000000000000000000";

fn hash(text: &str) -> String {
    Sha1::digest(text.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refuse(why: &str) -> KongAnswer {
    KongAnswer::message(StatusCode::BAD_REQUEST, why)
}

impl KongDouble {
    pub fn config(&self, call: &KongCall) -> KongResult {
        if !matches!(call.method, Method::GET | Method::POST) {
            return Err(KongAnswer::not_allowed());
        }
        if !self.options.dbless {
            return Err(refuse("this endpoint is only available when Kong is configured to not use a database"));
        }
        if call.method == Method::GET {
            let document = declarative::export(self.store.lock().space(DEFAULT_SPACE));
            let text = serde_saphyr::to_string(&Value::Object(document)).map_err(|why| refuse(&why.to_string()))?;
            return Ok(KongAnswer::ok(json!({"config": text})));
        }
        let kind = call.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let mut given = match kind.contains("yaml") {
            true => KongRow::from_iter([("config".to_owned(), String::from_utf8_lossy(&call.bytes).into())]),
            false => body::read(&call.headers, &call.bytes)?.row,
        };
        let mut flag = |name: &str| {
            let of_body = given.shift_remove(name).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
            call.query.get(name).map(str::to_owned).or(of_body).unwrap_or_default()
        };
        let flat = ["1", "true", "on", "yes"].contains(&flag("flatten_errors").as_str());
        let check = flag("check_hash") == "1";
        let (document, fresh) = match given.get("config") {
            // Only a text has a hash before it is read.
            Some(Value::String(text)) if !given.contains_key("_format_version") => {
                let fresh = hash(text);
                if check && *self.hash.lock() == fresh {
                    return Ok(KongAnswer::not_modified());
                }
                (document(text)?, fresh)
            }
            _ if given.contains_key("_format_version") => {
                let fresh = hash(&Value::Object(given.clone()).to_string());
                (given, fresh)
            }
            _ => return Err(KongError::declarative(json!({"_format_version": "required field missing"})).into()),
        };
        self.load(&document, fresh, flat).map(KongAnswer::created)
    }

    /// Takes a document's text in the place of everything.
    pub fn load_text(&self, text: &str) -> KongResult<()> {
        self.load(&document(text)?, hash(text), false).map(drop)
    }

    fn load(&self, document: &KongRow, fresh: String, flat: bool) -> KongResult<KongRow> {
        let space = declarative::parse(document).map_err(|mistakes| mistaken(mistakes, flat))?;
        let shown = declarative::echo(&space);
        let mut store = self.store.lock();
        store.replace(space);
        *self.hash.lock() = fresh;
        // All of it is there at once.
        self.routing.build(&store);
        Ok(shown)
    }
}

fn document(text: &str) -> KongResult<KongRow> {
    match serde_saphyr::from_str::<Value>(text) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err(KongError::declarative(json!({"error": "expected a table"})).into()),
        Err(error) => Err(KongError::declarative(json!({"error": format!("failed parsing: {error}")})).into()),
    }
}

fn mistaken(mistakes: KongMistakes, flat: bool) -> KongAnswer {
    if !flat {
        return KongError::declarative(mistakes.fields.into()).into();
    }
    // What is told of an entity is not told a second time.
    let of_document: KongRow = mistakes.fields.into_iter().filter(|(_, why)| why.is_string()).collect();
    let mut answer = KongAnswer::from(KongError::declarative(of_document.into()));
    if let Some(Value::Object(body)) = &mut answer.body {
        body.insert("flattened_errors".into(), mistakes.flat.into());
    }
    answer
}
