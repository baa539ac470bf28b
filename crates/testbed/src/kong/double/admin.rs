//! The Admin API: who may ask, and what each path does.

use super::KongDouble;
use super::answer::{KongAnswer, KongError, KongResult};
use super::body::{self, KongBody};
use super::declarative::OTHERS;
use super::listing;
use super::node;
use super::rows::KongRows;
use super::schema::{KongEntity, KongRow, from_form, is_uuid};
use super::store::{DEFAULT_SPACE, id};
use super::text::{KongQuery, segments};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// As large as Kong's own default.
const LARGEST: usize = 64 << 20;

/// One call, taken apart.
pub struct KongCall {
    pub method: Method,
    pub query: KongQuery,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    pub space: String,
}

impl KongCall {
    /// The body of a kind of entity.
    pub fn row(&self, kind: KongEntity) -> KongResult<KongRow> {
        let KongBody { row, is_form } = body::read(&self.headers, &self.bytes)?;
        Ok(if is_form { from_form(kind, row) } else { row })
    }
}

pub async fn answer(State(double): State<Arc<KongDouble>>, request: Request) -> Response<Body> {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let fault = double.desk.called(head.method.as_str(), head.uri.path()).await;
    sleep(Duration::from_millis(double.options.latency)).await;
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.done) {
        return failed(fault.status).into_response(None);
    }
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        return KongAnswer::message(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large").into_response(None);
    };
    let answer = double.allowed(&head.headers).and_then(|()| {
        let (space, path) = double.workspace(segments(&head.uri))?;
        // Asking for the head alone is asking.
        let method = if head.method == Method::HEAD { Method::GET } else { head.method.clone() };
        let query = KongQuery::of(&head.uri);
        double.dispatch(&path, &KongCall { method, query, headers: head.headers, bytes, space })
    });
    let mut answer = answer.unwrap_or_else(|refused| refused);
    if let Some(fault) = fault {
        answer = failed(fault.status);
    }
    if head.method == Method::HEAD {
        answer.body = None;
    }
    answer.into_response(Some(began.elapsed()))
}

fn failed(status: Option<u16>) -> KongAnswer {
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    KongAnswer::message(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "An unexpected error occurred")
}

impl KongDouble {
    fn allowed(&self, headers: &HeaderMap) -> KongResult<()> {
        let Some(token) = &self.options.token else { return Ok(()) };
        let shown = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let raw = self.options.authorization.then(|| shown(header::AUTHORIZATION.as_str())).flatten();
        match shown("kong-admin-token").or(raw) {
            Some(given) if given == token => Ok(()),
            Some(_) => Err(KongAnswer::message(StatusCode::UNAUTHORIZED, "Invalid RBAC credentials")),
            None => {
                let why = "Invalid credentials. Token or User credentials required";
                Err(KongAnswer::message(StatusCode::UNAUTHORIZED, why))
            }
        }
    }

    /// The workspace that a path begins with, and the rest of the path.
    fn workspace(&self, mut path: Vec<String>) -> KongResult<(String, Vec<String>)> {
        let spaces = &self.options.workspace;
        let named = path.first().filter(|first| *first == DEFAULT_SPACE || spaces.contains(first)).cloned();
        match named {
            Some(name) if !spaces.is_empty() => {
                path.remove(0);
                Ok((name, path))
            }
            _ => Ok((DEFAULT_SPACE.to_owned(), path)),
        }
    }

    fn dispatch(&self, path: &[String], call: &KongCall) -> KongResult {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path[..] {
            [] => read_only(call, || Ok(node::root(self))),
            ["status"] => read_only(call, || Ok(node::status(self))),
            ["config"] => self.config(call),
            ["tags"] => read_only(call, || self.tags(call, None)),
            ["tags", tag] => read_only(call, || self.tags(call, Some(tag))),
            ["workspaces", name] if !self.options.workspace.is_empty() => {
                read_only(call, || node::workspace(self, name))
            }
            // They are there below their upstream only.
            ["targets", ..] => Err(KongAnswer::not_found()),
            ["upstreams", upstream, "targets", ref rest @ ..] => self.targets(call, upstream, rest),
            ["upstreams", upstream, "health"] => read_only(call, || self.upstream_health(call, upstream)),
            ["services", service, "routes"] => self.routes(call, service),
            ["services", service, "routes", route] => self.route(call, service, route),
            [kind @ ("services" | "routes"), key, "plugins"] => read_only(call, || {
                let kind = KongEntity::named(kind).ok_or_else(KongAnswer::not_found)?;
                let of = self.rows(call, |rows| rows.found(kind, key))?;
                listing::plugins(self.store.lock().space(&call.space), kind, id(&of), &call.query)
            }),
            ["routes", route, "service"] => self.service_of(call, route),
            [path] if OTHERS.iter().any(|(_, other)| *other == path) => read_only(call, || {
                let kind = OTHERS.iter().find(|(_, other)| *other == path).map_or(path, |(kind, _)| kind);
                listing::others(self.store.lock().space(&call.space), kind, path, &call.query)
            }),
            [kind] => self.collection(call, KongEntity::named(kind).ok_or_else(KongAnswer::not_found)?),
            [kind, key] => self.entity(call, KongEntity::named(kind).ok_or_else(KongAnswer::not_found)?, key),
            _ => Err(KongAnswer::not_found()),
        }
    }

    fn tags(&self, call: &KongCall, tag: Option<&str>) -> KongResult {
        let list = if self.options.dbless { listing::tags_by_kind } else { listing::tags };
        list(self.store.lock().space(&call.space), tag, &call.query)
    }

    fn collection(&self, call: &KongCall, kind: KongEntity) -> KongResult {
        match call.method {
            Method::GET => {
                let store = self.store.lock();
                let space = store.space(&call.space);
                if self.options.dbless {
                    listing::can_filter(space, kind, &call.query)?;
                }
                listing::all(space, kind, &call.query)
            }
            Method::POST => {
                self.has_database("create", kind)?;
                let row = call.row(kind)?;
                let row = self.write(call, |rows| rows.create(kind, &row))?;
                self.stands(kind, &row);
                Ok(KongAnswer::created(row))
            }
            _ => Err(KongAnswer::not_allowed()),
        }
    }

    fn stands(&self, kind: KongEntity, row: &KongRow) {
        if kind == KongEntity::Upstreams {
            self.ring.born(id(row), true);
        }
    }

    fn entity(&self, call: &KongCall, kind: KongEntity, key: &str) -> KongResult {
        match call.method {
            Method::GET => self.rows(call, |rows| rows.found(kind, key)).map(KongAnswer::ok),
            Method::PUT => {
                self.has_database("create or update", kind)?;
                let row = call.row(kind)?;
                let row = self.write(call, |rows| rows.replace(kind, key, &row))?;
                self.stands(kind, &row);
                Ok(KongAnswer::ok(row))
            }
            Method::PATCH => {
                self.has_database("update", kind)?;
                let row = call.row(kind)?;
                self.write(call, |rows| rows.merge(kind, key, &row)).map(KongAnswer::ok)
            }
            Method::DELETE => {
                if self.rows(call, |rows| Ok(rows.find(kind, key).is_some()))? {
                    self.has_database("remove", kind)?;
                }
                self.write(call, |rows| rows.remove(kind, key)).map(|()| KongAnswer::no_content())
            }
            _ => Err(KongAnswer::not_allowed()),
        }
    }

    fn routes(&self, call: &KongCall, service: &str) -> KongResult {
        let service = self.rows(call, |rows| rows.found(KongEntity::Services, service))?;
        match call.method {
            Method::GET => listing::routes(self.store.lock().space(&call.space), id(&service), &call.query),
            Method::POST => {
                self.has_database("create", KongEntity::Routes)?;
                let row = belonging(call.row(KongEntity::Routes)?, &service);
                self.write(call, |rows| rows.create(KongEntity::Routes, &row)).map(KongAnswer::created)
            }
            _ => Err(KongAnswer::not_allowed()),
        }
    }

    fn route(&self, call: &KongCall, service: &str, route: &str) -> KongResult {
        let service = self.rows(call, |rows| rows.found(KongEntity::Services, service))?;
        if call.method == Method::PUT {
            self.has_database("create or update", KongEntity::Routes)?;
            let row = belonging(call.row(KongEntity::Routes)?, &service);
            return self.write(call, |rows| rows.replace(KongEntity::Routes, route, &row)).map(KongAnswer::ok);
        }
        let found = self.rows(call, |rows| rows.found(KongEntity::Routes, route))?;
        if found["service"]["id"] != service["id"] {
            return Err(KongAnswer::not_found());
        }
        self.entity(call, KongEntity::Routes, route)
    }

    fn service_of(&self, call: &KongCall, route: &str) -> KongResult {
        let route = self.rows(call, |rows| rows.found(KongEntity::Routes, route))?;
        let service = route["service"]["id"].as_str().filter(|id| is_uuid(id)).ok_or_else(KongAnswer::not_found)?;
        match call.method {
            Method::DELETE => Err(KongAnswer::not_allowed()),
            _ => self.entity(call, KongEntity::Services, service),
        }
    }

    /// Without a database nothing can be written but the whole.
    pub fn has_database(&self, verb: &str, kind: KongEntity) -> KongResult<()> {
        if self.options.dbless { Err(KongError::unsupported(verb, kind).into()) } else { Ok(()) }
    }

    /// Does something with the call's workspace.
    pub fn rows<T>(&self, call: &KongCall, work: impl FnOnce(&mut KongRows) -> KongResult<T>) -> KongResult<T> {
        let mut store = self.store.lock();
        work(&mut KongRows { store: &mut store, space: &call.space })
    }

    /// The same, and tells the proxy that there is something to learn.
    fn write<T>(&self, call: &KongCall, work: impl FnOnce(&mut KongRows) -> KongResult<T>) -> KongResult<T> {
        let done = self.rows(call, work);
        self.routing.changed();
        done
    }
}

/// A route with the service that its path names.
fn belonging(mut route: KongRow, service: &KongRow) -> KongRow {
    route.insert("service".into(), serde_json::json!({"id": service["id"]}));
    route
}

fn read_only(call: &KongCall, answer: impl FnOnce() -> KongResult) -> KongResult {
    if call.method == Method::GET { answer() } else { Err(KongAnswer::not_allowed()) }
}
