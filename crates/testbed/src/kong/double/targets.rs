//! The targets of an upstream, and what is done to their health.

use super::KongDouble;
use super::admin::KongCall;
use super::answer::{KongAnswer, KongResult};
use super::listing;
use super::schema::{KongEntity, KongRow};
use super::store::id;
use axum::http::Method;
use serde_json::{Value, json};

const KIND: KongEntity = KongEntity::Targets;

impl KongDouble {
    /// `/upstreams/{upstream}/targets…`
    pub fn targets(&self, call: &KongCall, upstream: &str, rest: &[&str]) -> KongResult {
        let parent = self.rows(call, |rows| rows.found(KongEntity::Upstreams, upstream))?;
        let parent_id = id(&parent);
        match (rest, &call.method) {
            ([] | ["all"], &Method::GET) => {
                // As the upstream was called.
                let path = format!("/upstreams/{upstream}/targets{}", if rest.is_empty() { "" } else { "/all" });
                let store = self.store.lock();
                let show = |row: &KongRow| Value::Object(row.clone());
                listing::targets(store.space(&call.space), parent_id, &path, &call.query, show)
            }
            ([], &Method::POST) => {
                self.has_database("create", KIND)?;
                let mut row = call.row(KIND)?;
                row.insert("upstream".into(), json!({"id": parent_id}));
                self.rows(call, |rows| rows.create(KIND, &row)).map(KongAnswer::created)
            }
            ([target], method) => {
                let target = self.rows(call, |rows| rows.target(parent_id, target))?;
                match *method {
                    Method::GET => Ok(KongAnswer::ok(target)),
                    // Both merge, and neither creates.
                    Method::PUT | Method::PATCH => {
                        self.has_database("update", KIND)?;
                        let row = call.row(KIND)?;
                        self.rows(call, |rows| rows.merge(KIND, id(&target), &row)).map(KongAnswer::ok)
                    }
                    Method::DELETE => {
                        self.has_database("remove", KIND)?;
                        self.rows(call, |rows| rows.remove(KIND, id(&target)))?;
                        Ok(KongAnswer::no_content())
                    }
                    _ => Err(KongAnswer::not_allowed()),
                }
            }
            ([target, word @ ("healthy" | "unhealthy")], &Method::PUT)
            | ([target, _, word @ ("healthy" | "unhealthy")], &Method::PUT) => {
                let target = self.rows(call, |rows| rows.target(parent_id, target))?;
                self.set_health(&parent, id(&target), *word == "healthy")?;
                Ok(KongAnswer::no_content())
            }
            ([] | [_, "healthy" | "unhealthy"] | [_, _, "healthy" | "unhealthy"], _) => Err(KongAnswer::not_allowed()),
            _ => Err(KongAnswer::not_found()),
        }
    }
}
