//! A declarative configuration as a small Admin API: the same paths, names for ids, and no database. Pure.

use super::api::Api;
use super::client::{Body, RouteRow, ServiceRow, TargetRow, UpstreamRow};
use causeway_core::Error;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What tells a file of ours from others.
const WRITTEN_BY: &str = "written by Causeway";
const FORMAT: &str = "3.0";

/// Entities by name, each with those that stand in it.
type Holders = BTreeMap<String, (Body, BTreeMap<String, Body>)>;

/// All entities of a Kong.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document {
    /// By name; their targets stand in them, by address.
    upstreams: Holders,
    /// By name, or by id where they have none; with their routes in them.
    services: Holders,
    /// Everything else, as it was.
    others: Body,
    /// Whether Causeway wrote it.
    pub is_ours: bool,
}

/// The name of an entity, else its id.
fn key_of(body: &Body) -> Option<String> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("name").or_else(|| text("id")).map(str::to_owned)
}

/// The nested entities of one, taken out of it; one without a name gets one by its number.
fn nested(body: &mut Body, list: &str, key: impl Fn(&Body) -> Option<String>) -> BTreeMap<String, Body> {
    let items = match body.remove(list) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let items = items.into_iter().filter_map(|item| match item {
        Value::Object(item) => Some(item),
        _ => None,
    });
    items.enumerate().map(|(n, item)| (key(&item).unwrap_or_else(|| format!("#{n}")), item)).collect()
}

fn address_of(body: &Body) -> Option<String> {
    body.get("target").and_then(Value::as_str).map(str::to_owned)
}

/// An entity without what Kong says of it by itself.
pub(super) fn bare(mut body: Body) -> Body {
    body.retain(|key, value| !value.is_null() && !matches!(key.as_str(), "created_at" | "updated_at"));
    body
}

impl Document {
    /// One without any entity.
    pub fn empty() -> Self {
        Self { is_ours: true, ..Self::default() }
    }

    /// Reads a declarative configuration in JSON.
    pub fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Value::Object(mut others) = value else { return Err("this is no JSON object".into()) };
        let is_ours = others.remove("_comment").as_ref().and_then(Value::as_str) == Some(WRITTEN_BY);
        others.remove("_format_version");
        let mut document = Self { is_ours, ..Self::default() };
        for (list, inner) in [("upstreams", "targets"), ("services", "routes")] {
            let all = nested(&mut others, list, key_of);
            for (name, mut body) in all {
                let key: fn(&Body) -> Option<String> = if inner == "targets" { address_of } else { key_of };
                let inner = nested(&mut body, inner, key);
                match list {
                    "upstreams" => drop(document.upstreams.insert(name, (body, inner))),
                    _ => drop(document.services.insert(name, (body, inner))),
                }
            }
        }
        document.others = others;
        Ok(document)
    }

    /// The whole configuration.
    pub fn write(&self) -> Value {
        let list = |all: &Holders, inner: &str| {
            let one = |(body, nested): &(Body, BTreeMap<String, Body>)| {
                let mut body = body.clone();
                if !nested.is_empty() {
                    body.insert(inner.into(), nested.values().cloned().map(Value::Object).collect());
                }
                Value::Object(body)
            };
            all.values().map(one).collect::<Value>()
        };
        let mut all = Map::new();
        all.insert("_format_version".into(), FORMAT.into());
        all.insert("_comment".into(), WRITTEN_BY.into());
        all.extend(self.others.clone());
        all.insert("upstreams".into(), list(&self.upstreams, "targets"));
        all.insert("services".into(), list(&self.services, "routes"));
        Value::Object(all)
    }

    /// Takes over the entities for which `is_ours` says so by their tags: all of ours, and our targets in upstreams of others.
    /// What others have hung on ours is said here.
    pub fn with_ours(mut self, from: &Self, is_ours: impl Fn(&[String]) -> bool) -> Self {
        let own = |body: &Body| is_ours(&tags(body));
        self.upstreams.retain(|_, (body, _)| !own(body));
        self.services.retain(|_, (body, _)| !own(body));
        for (name, (body, targets)) in &from.upstreams {
            if own(body) {
                self.upstreams.insert(name.clone(), (body.clone(), targets.clone()));
            } else if let Some((_, there)) = self.upstreams.get_mut(name) {
                there.retain(|_, target| !own(target));
                there.extend(targets.iter().filter(|(_, target)| own(target)).map(|(a, b)| (a.clone(), b.clone())));
            }
        }
        let plain = |body: &Body| {
            let mut body = body.clone();
            body.remove("plugins");
            body
        };
        for (name, (body, routes)) in from.services.iter().filter(|(_, (body, _))| own(body)) {
            let routes =
                routes.iter().filter(|(_, route)| own(route)).map(|(name, route)| (name.clone(), plain(route)));
            self.services.insert(name.clone(), (plain(body), routes.collect()));
        }
        self
    }

    /// Adds an entity with those that stand in it.
    pub fn add(&mut self, list: &str, body: Body, inner: Vec<Body>) {
        let Some(name) = key_of(&body) else { return };
        match list {
            "upstreams" => {
                let inner = inner.into_iter().filter_map(|one| Some((address_of(&one)?, one))).collect();
                self.upstreams.insert(name, (body, inner));
            }
            _ => {
                let inner = inner.into_iter().filter_map(|one| Some((key_of(&one)?, one))).collect();
                self.services.insert(name, (body, inner));
            }
        }
    }

    /// Adds entities of another kind.
    pub fn add_others(&mut self, list: &str, all: Vec<Body>) {
        if !all.is_empty() {
            self.others.insert(list.into(), all.into_iter().map(Value::Object).collect());
        }
    }

    /// All upstreams.
    pub fn upstreams(&self) -> Vec<UpstreamRow> {
        self.upstreams.iter().filter_map(|(name, (body, _))| row(name, body)).collect()
    }

    /// All services.
    pub fn services(&self) -> Vec<ServiceRow> {
        self.services.iter().filter_map(|(name, (body, _))| row(name, body)).collect()
    }

    /// The routes of all services.
    pub fn routes(&self) -> Vec<RouteRow> {
        let all = self.services.values().flat_map(|(_, routes)| routes);
        all.filter_map(|(name, body)| row(name, body)).collect()
    }

    /// The targets of an upstream; `None`: there is no such upstream.
    pub fn targets(&self, upstream: &str) -> Option<Vec<TargetRow>> {
        let (_, targets) = self.upstreams.get(upstream)?;
        Some(targets.iter().filter_map(|(address, body)| row(address, body)).collect())
    }

    fn at(&mut self, path: &str) -> Result<At<'_>, Error> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let missing = || Error::Missing(format!("there is no {path}"));
        Ok(match parts[..] {
            ["upstreams"] => At::All(&mut self.upstreams),
            ["services"] => At::All(&mut self.services),
            ["upstreams", name] => At::One(&mut self.upstreams, name.to_owned()),
            ["services", name] => At::One(&mut self.services, name.to_owned()),
            ["upstreams", name, "targets"] => At::Inner(&mut self.upstreams.get_mut(name).ok_or_else(missing)?.1),
            ["services", name, "routes"] => At::Inner(&mut self.services.get_mut(name).ok_or_else(missing)?.1),
            ["upstreams", name, "targets", address] => {
                At::InnerOne(&mut self.upstreams.get_mut(name).ok_or_else(missing)?.1, address.to_owned())
            }
            ["routes", name] => {
                let holder = self.services.values_mut().find(|(_, routes)| routes.contains_key(name));
                At::InnerOne(&mut holder.ok_or_else(missing)?.1, name.to_owned())
            }
            _ => return Err(missing()),
        })
    }

    /// The plugins in a service or a route, and the plugins and routes that stand elsewhere and name it.
    fn hung_on(&mut self, path: &str) -> Vec<Body> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let [kind @ ("services" | "routes"), name, list @ ("plugins" | "routes")] = parts[..] else {
            return Vec::new();
        };
        let body = match self.at(&format!("/{kind}/{name}")) {
            Ok(At::One(all, key)) => all.get(&key).map(|(body, _)| body.clone()),
            Ok(At::InnerOne(all, key)) => all.get(&key).cloned(),
            _ => None,
        };
        let body = body.unwrap_or_default();
        let field = kind.trim_end_matches('s');
        let is_it = |value: &Value| value.as_str() == Some(name) || body.get("id") == Some(value);
        let names_it = |one: &&Value| match one.get(field) {
            Some(Value::Object(of)) => of.values().any(is_it),
            of => of.is_some_and(is_it),
        };
        let array = |all: Option<&Value>| all.and_then(Value::as_array).cloned().unwrap_or_default();
        let inside = if list == "plugins" { array(body.get(list)) } else { Vec::new() };
        let elsewhere = array(self.others.get(list)).iter().filter(names_it).cloned().collect::<Vec<_>>();
        inside.into_iter().chain(elsewhere).filter_map(|one| one.as_object().cloned()).collect()
    }
}

/// What a path names.
enum At<'a> {
    All(&'a mut Holders),
    One(&'a mut Holders, String),
    Inner(&'a mut BTreeMap<String, Body>),
    InnerOne(&'a mut BTreeMap<String, Body>, String),
}

fn tags(body: &Body) -> Vec<String> {
    let tags = body.get("tags").and_then(Value::as_array);
    tags.into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
}

/// An entity as a list of Kong would show it, with its key for an id.
fn row<T: DeserializeOwned>(key: &str, body: &Body) -> Option<T> {
    let mut body = body.clone();
    body.insert("id".into(), key.into());
    serde_json::from_value(Value::Object(body)).ok()
}

fn answer<T: DeserializeOwned>(key: &str, body: &Body) -> Result<T, Error> {
    row(key, body).ok_or_else(|| Error::protocol(format!("{key} is not what it should be")))
}

impl Api for &mut Document {
    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, Error> {
        let found = match self.at(path) {
            Ok(At::One(all, key)) => all.get(&key).map(|(body, _)| (key, body.clone())),
            Ok(At::InnerOne(all, key)) => all.get(&key).map(|body| (key, body.clone())),
            _ => None,
        };
        found.map(|(key, body)| answer(&key, &body)).transpose()
    }

    async fn list<T: DeserializeOwned>(&mut self, path: &str) -> Result<Vec<T>, Error> {
        let hung = self.hung_on(path);
        let mut all: Vec<T> = match self.at(path) {
            Ok(At::All(all)) => all.iter().map(|(key, (body, _))| answer(key, body)).collect::<Result<_, _>>()?,
            Ok(At::Inner(all)) => all.iter().map(|(key, body)| answer(key, body)).collect::<Result<_, _>>()?,
            _ if path.ends_with("/plugins") => Vec::new(),
            _ => return Err(Error::Missing(format!("{path} is no list"))),
        };
        for body in hung {
            all.push(answer(&key_of(&body).unwrap_or_default(), &body)?);
        }
        Ok(all)
    }

    async fn post<T: DeserializeOwned>(&mut self, path: &str, body: &Body) -> Result<T, Error> {
        let is_target = path.ends_with("/targets");
        let key = if is_target { address_of(body) } else { key_of(body) };
        let key = key.ok_or_else(|| Error::protocol("an entity without a name"))?;
        if path.ends_with("/routes") && matches!(self.at(&format!("/routes/{key}")), Ok(At::InnerOne(..))) {
            return Err(Error::Conflict);
        }
        let is_new = match self.at(path)? {
            At::All(all) => {
                let is_new = !all.contains_key(&key);
                all.entry(key.clone()).or_insert_with(|| (body.clone(), BTreeMap::new()));
                is_new
            }
            At::Inner(all) => {
                let is_new = !all.contains_key(&key);
                all.entry(key.clone()).or_insert_with(|| body.clone());
                is_new
            }
            _ => return Err(Error::Missing(format!("{path} is no list"))),
        };
        if is_new { answer(&key, body) } else { Err(Error::Conflict) }
    }

    async fn patch<T: DeserializeOwned>(&mut self, path: &str, body: &Body) -> Result<T, Error> {
        let missing = || Error::Missing(format!("there is no {path}"));
        let (key, there) = match self.at(path)? {
            At::One(all, key) => {
                let there = &mut all.get_mut(&key).ok_or_else(missing)?.0;
                (key, there)
            }
            At::InnerOne(all, key) => {
                let there = all.get_mut(&key).ok_or_else(missing)?;
                (key, there)
            }
            _ => return Err(missing()),
        };
        there.extend(body.clone());
        answer(&key, there)
    }

    async fn delete(&mut self, path: &str) -> Result<(), Error> {
        match self.at(path) {
            Ok(At::One(all, key)) => {
                let has_routes = all.get(&key).is_some_and(|(_, inner)| !inner.is_empty());
                if has_routes && path.starts_with("/services/") {
                    return Err(Error::Blocked(format!("{key} has routes")));
                }
                all.remove(&key);
            }
            Ok(At::InnerOne(all, key)) => drop(all.remove(&key)),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> Body {
        value.as_object().cloned().unwrap()
    }

    const TEXT: &str = r#"{"_format_version": "3.0", "_comment": "written by Causeway", "plugins": [{"name": "cors"}],
        "upstreams": [{"name": "theirs", "targets": [{"target": "10.0.0.1:80", "weight": 5}]}],
        "services": [{"name": "a", "host": "theirs", "routes": [{"name": "r", "paths": ["/"]}]}]}"#;

    #[test]
    fn what_is_written_reads_as_the_same() {
        let document = Document::read(TEXT).unwrap();
        assert!(document.is_ours);
        assert_eq!(Document::read(&document.write().to_string()), Ok(document.clone()));
        assert_eq!(document.targets("theirs").unwrap()[0].weight, 5);
        assert_eq!((document.upstreams()[0].id.as_str(), document.services()[0].name.as_str()), ("theirs", "a"));
        assert!(!Document::read(r#"{"_format_version": "3.0"}"#).unwrap().is_ours);
        for wrong in ["", "[]", "{", "services: []"] {
            assert!(Document::read(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn it_answers_like_the_admin_api() {
        let mut document = Document::read(TEXT).unwrap();
        let mut api = &mut document;
        let new = body(json!({"name": "b", "tags": ["causeway:i"]}));
        assert_eq!(api.post::<UpstreamRow>("/upstreams", &new).await.unwrap().id, "b");
        assert!(matches!(api.post::<UpstreamRow>("/upstreams", &new).await, Err(Error::Conflict)));
        let target = body(json!({"target": "[::1]:80", "weight": 1}));
        assert!(matches!(api.post::<TargetRow>("/upstreams/x/targets", &target).await, Err(Error::Missing(_))));
        let made: TargetRow = api.post("/upstreams/b/targets", &target).await.unwrap();
        let patched: TargetRow =
            api.patch(&format!("/upstreams/b/targets/{}", made.id), &body(json!({"weight": 7}))).await.unwrap();
        assert_eq!((patched.weight, patched.target.as_str()), (7, "[::1]:80"));
        assert!(matches!(api.delete("/services/a").await, Err(Error::Blocked(_))));
        assert!(api.get::<ServiceRow>("/routes/r").await.unwrap().is_some());
        api.delete("/routes/r").await.unwrap();
        api.delete("/services/a").await.unwrap();
        api.delete("/services/a").await.unwrap();
        assert!(api.get::<ServiceRow>("/services/a").await.unwrap().is_none());
        assert_eq!(document.write()["services"], json!([]));
    }

    #[test]
    fn a_base_gets_what_is_ours() {
        let ours = Document::read(
            r#"{"upstreams": [{"name": "mine", "tags": ["ours"], "targets": [{"target": "a:1"}]},
                {"name": "theirs", "targets": [{"target": "b:1", "tags": ["ours"]}, {"target": "c:1"}]}],
                "services": [{"name": "mine", "tags": ["ours"]}, {"name": "old"}]}"#,
        )
        .unwrap();
        let base = Document::read(TEXT).unwrap().with_ours(&ours, |tags| tags.contains(&"ours".to_owned()));
        let names = |rows: Vec<TargetRow>| rows.into_iter().map(|row| row.target).collect::<Vec<_>>();
        assert_eq!(names(base.targets("theirs").unwrap()), ["10.0.0.1:80", "b:1"]);
        assert_eq!(names(base.targets("mine").unwrap()), ["a:1"]);
        assert_eq!(base.services().iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a", "mine"]);
    }
}
