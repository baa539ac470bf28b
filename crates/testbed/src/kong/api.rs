//! The Admin API: what operators and other tools do.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

/// One who asks a server.
#[derive(Clone, Debug)]
pub struct KongApi {
    client: Client,
    base: String,
    token: Option<String>,
}

/// A target of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KongTarget {
    pub id: String,
    /// As the server has normalised it.
    pub target: String,
    pub weight: u16,
    pub tags: Vec<String>,
}

impl KongTarget {
    fn of(row: &Value) -> Result<Self> {
        Ok(Self {
            id: row["id"].as_str().context("no id")?.to_owned(),
            target: row["target"].as_str().context("no target")?.to_owned(),
            weight: serde_json::from_value(row["weight"].clone())?,
            tags: serde_json::from_value::<Option<_>>(row["tags"].clone())?.unwrap_or_default(),
        })
    }
}

impl KongApi {
    pub fn connect(base: &str, token: Option<&str>) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { client, base: base.to_owned(), token: token.map(str::to_owned) })
    }

    /// Any request, and its answer, whatever it is.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Kong-Admin-Token", token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Any request; the answer must be a success.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, said) = self.ask(method.clone(), path, body).await?;
        ensure!(status.is_success(), "{method} {path}: {status}: {said}");
        Ok(said)
    }

    pub async fn is_ready(&self) -> bool {
        self.call(Method::GET, "/status", None).await.is_ok()
    }

    /// All rows of a list, page by page.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let (mut rows, mut offset) = (Vec::new(), String::new());
        loop {
            let page = self.call(Method::GET, &format!("{path}?size=1000{offset}"), None).await?;
            rows.extend(page["data"].as_array().context("no data")?.iter().cloned());
            match page["offset"].as_str() {
                Some(next) => offset = format!("&offset={}", url_text(next)),
                None => return Ok(rows),
            }
        }
    }

    /// The names of all services, routes or upstreams, in order.
    pub async fn names(&self, kind: &str) -> Result<Vec<String>> {
        let rows = self.list(&format!("/{kind}")).await?;
        let mut names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The targets of an upstream, by what the server calls them; none where the upstream is not there.
    pub async fn targets(&self, upstream: &str) -> Result<BTreeMap<String, KongTarget>> {
        let upstream = url_text(upstream);
        let (status, _) = self.ask(Method::GET, &format!("/upstreams/{upstream}"), None).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(BTreeMap::new());
        }
        let rows = self.list(&format!("/upstreams/{upstream}/targets")).await?;
        rows.iter().map(|row| KongTarget::of(row).map(|one| (one.target.clone(), one))).collect()
    }

    /// Makes an upstream, or leaves the one of that name as it is.
    pub async fn make_upstream(&self, name: &str) -> Result<()> {
        let (status, said) = self.ask(Method::POST, "/upstreams", Some(&json!({"name": name}))).await?;
        ensure!(status.is_success() || status == StatusCode::CONFLICT, "{name}: {status}: {said}");
        Ok(())
    }

    /// Everything as one declarative configuration, with ids for what belongs together.
    pub async fn document(&self) -> Result<Value> {
        let mut targets = Vec::new();
        let upstreams = self.list("/upstreams").await?;
        for upstream in &upstreams {
            let id = upstream["id"].as_str().context("no id")?;
            targets.extend(self.list(&format!("/upstreams/{id}/targets")).await?);
        }
        let (services, mut routes) = (self.list("/services").await?, self.list("/routes").await?);
        for (row, parent) in
            routes.iter_mut().map(|row| (row, "service")).chain(targets.iter_mut().map(|row| (row, "upstream")))
        {
            let id = row[parent]["id"].take();
            row[parent] = id;
        }
        Ok(json!({
            "_format_version": "3.0", "services": services, "routes": routes, "upstreams": upstreams, "targets": targets,
        }))
    }

    /// Puts a declarative configuration in the place of everything.
    pub async fn declare(&self, document: &Value) -> Result<()> {
        self.call(Method::POST, "/config", Some(document)).await.map(drop)
    }

    /// Makes or replaces a service and its one route, as an operator does: requests below the path go to the host.
    pub async fn expose(&self, name: &str, host: &str, path: &str) -> Result<()> {
        let service = json!({"host": host, "protocol": "http"});
        self.call(Method::PUT, &format!("/services/{name}"), Some(&service)).await?;
        self.route(name, path).await
    }

    /// Makes or replaces the one route of a service that stands.
    pub async fn route(&self, service: &str, path: &str) -> Result<()> {
        let service = url_text(service);
        let route = json!({"paths": [path], "protocols": ["http"]});
        self.call(Method::PUT, &format!("/services/{service}/routes/{service}"), Some(&route)).await.map(drop)
    }

    /// Adds a target, or changes the one that stands there, without tags of ours.
    pub async fn put_target(&self, upstream: &str, target: &str, weight: u16, tags: &[String]) -> Result<()> {
        let path = format!("/upstreams/{}/targets", url_text(upstream));
        let body = json!({"target": target, "weight": weight, "tags": tags});
        let (status, said) = self.ask(Method::POST, &path, Some(&body)).await?;
        if status == StatusCode::CONFLICT {
            let change = json!({"weight": weight, "tags": tags});
            let path = format!("{path}/{}", url_text(said["fields"]["target"].as_str().unwrap_or(target)));
            return self.call(Method::PATCH, &path, Some(&change)).await.map(drop);
        }
        ensure!(status.is_success(), "{target}: {status}: {said}");
        Ok(())
    }

    /// Removes a target, by what the server calls it.
    pub async fn remove_target(&self, upstream: &str, target: &str) -> Result<()> {
        let path = format!("/upstreams/{}/targets/{}", url_text(upstream), url_text(target));
        self.call(Method::DELETE, &path, None).await.map(drop)
    }
}

fn url_text(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
