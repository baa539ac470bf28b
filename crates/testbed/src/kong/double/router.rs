//! Which route a request takes. The proxy learns of routes and services late, by a timer.

use super::schema::{KongEntity, KongRow};
use super::store::{KongStore, parent_id};
use axum::http::{HeaderMap, Method};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A route with its service.
pub struct KongMatch {
    route: KongRow,
    pub service: KongRow,
}

/// What a request is matched by.
pub struct KongAsked<'a> {
    pub method: &'a Method,
    pub host: &'a str,
    pub path: &'a str,
    pub headers: &'a HeaderMap,
}

/// The routes that the proxy knows.
pub struct KongRouting {
    delay: Duration,
    known: Mutex<Arc<Vec<Arc<KongMatch>>>>,
    changed: Mutex<Option<Instant>>,
}

impl KongRouting {
    pub fn new(delay: Duration) -> Self {
        Self { delay, known: Mutex::default(), changed: Mutex::default() }
    }

    /// Something may have changed: it is looked at when the delay is over.
    pub fn changed(&self) {
        self.changed.lock().get_or_insert_with(Instant::now);
    }

    /// Looks now.
    pub fn build(&self, store: &KongStore) {
        let mut known = Vec::new();
        for space in store.spaces() {
            let services = space.table(KongEntity::Services);
            for route in space.table(KongEntity::Routes).rows() {
                let service = parent_id(KongEntity::Routes, route).and_then(|id| services.get(id));
                let http = list(route, "protocols").any(|protocol| protocol == "http");
                if let Some(service) = service.filter(|service| http && service["enabled"] == true) {
                    known.push(Arc::new(KongMatch { route: route.clone(), service: service.clone() }));
                }
            }
        }
        *self.known.lock() = Arc::new(known);
    }

    /// The route that fits best: by how many of its sorts of condition, then by its longest path, then the oldest.
    pub fn find(&self, store: &Mutex<KongStore>, asked: &KongAsked) -> Option<(Arc<KongMatch>, String)> {
        let due = {
            let mut changed = self.changed.lock();
            let due = changed.is_some_and(|since| since.elapsed() >= self.delay);
            if due {
                *changed = None;
            }
            due
        };
        if due {
            self.build(&store.lock());
        }
        let known = self.known.lock().clone();
        let fitting = known.iter().filter_map(|one| Some((one, one.fits(asked)?)));
        let best = fitting.max_by_key(|(one, fit)| (fit.0, fit.1.len(), std::cmp::Reverse(one.created())));
        best.map(|(one, fit)| (one.clone(), fit.1))
    }
}

fn list<'a>(row: &'a KongRow, name: &str) -> impl Iterator<Item = &'a str> {
    row.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

impl KongMatch {
    fn created(&self) -> u64 {
        self.route["created_at"].as_u64().unwrap_or_default()
    }

    /// How many sorts of condition it has, which all hold, and the prefix of the path that matched.
    fn fits(&self, asked: &KongAsked) -> Option<(usize, String)> {
        let has = |name: &str| list(&self.route, name).next().is_some();
        if has("methods") && !list(&self.route, "methods").any(|method| method == asked.method.as_str()) {
            return None;
        }
        if has("hosts") && !list(&self.route, "hosts").any(|host| host_fits(host, asked.host)) {
            return None;
        }
        // Regular expressions are not followed: a route of them alone takes nothing.
        let prefixes = list(&self.route, "paths").filter(|path| asked.path.starts_with(*path));
        let prefix = prefixes.max_by_key(|path| path.len());
        if has("paths") && prefix.is_none() {
            return None;
        }
        let headers = self.route.get("headers").and_then(Value::as_object);
        for (name, values) in headers.into_iter().flatten() {
            let shown = asked.headers.get(name).and_then(|value| value.to_str().ok());
            let fits =
                |value: &Value| value.as_str().is_some_and(|one| shown.is_some_and(|it| it.eq_ignore_ascii_case(one)));
            if !values.as_array().is_some_and(|all| all.iter().any(fits)) {
                return None;
            }
        }
        let sorts = ["methods", "hosts", "paths"].into_iter().filter(|name| has(name)).count();
        Some((sorts + usize::from(headers.is_some()), prefix.unwrap_or_default().to_owned()))
    }

    pub fn flag(&self, name: &str) -> bool {
        self.route.get(name) == Some(&Value::Bool(true))
    }

    /// The path that the service is asked for.
    pub fn path(&self, asked: &str, prefix: &str) -> String {
        let rest = if self.flag("strip_path") { &asked[prefix.len()..] } else { asked };
        let base = self.service["path"].as_str().unwrap_or_default().trim_end_matches('/');
        let rest = rest.trim_start_matches('/');
        if rest.is_empty() && !base.is_empty() { base.to_owned() } else { format!("{base}/{rest}") }
    }
}

fn host_fits(pattern: &str, host: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => host.ends_with(end),
        (_, Some(start)) => host.starts_with(start),
        _ => host.eq_ignore_ascii_case(pattern),
    }
}
