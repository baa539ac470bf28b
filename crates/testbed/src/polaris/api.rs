//! Polaris' HTTP interface: what providers, operators and consumers do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_secs(30);
/// Records of one write, and rows of one page.
const MOST: usize = 100;
const SUCCESS: u64 = 200_000;
const EXISTED: u64 = 400_201;
const NO_NEED: u64 = 200_002;
const NO_INSTANCE: u64 = 400_303;
const NOT_FOUND: u64 = 400_202;

/// One who asks a server.
#[derive(Clone, Debug)]
pub struct PolarisApi {
    client: Client,
    base: String,
    token: Option<String>,
}

/// An instance of a service, as its provider registers it and the console shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct PolarisRow {
    pub host: String,
    pub port: u16,
    /// Given by the server, unless a provider brings its own.
    pub id: Option<String>,
    pub protocol: String,
    pub version: String,
    pub weight: u32,
    pub priority: u32,
    pub healthy: bool,
    pub isolated: bool,
    /// Region, zone and campus.
    pub location: Option<[String; 3]>,
    pub metadata: BTreeMap<String, String>,
    /// Seconds: it lives by heartbeats.
    pub ttl: Option<u32>,
}

impl PolarisRow {
    /// Weight 100, healthy, without anything else.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            id: None,
            protocol: String::new(),
            version: String::new(),
            weight: 100,
            priority: 0,
            healthy: true,
            isolated: false,
            location: None,
            metadata: BTreeMap::new(),
            ttl: None,
        }
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    fn of(row: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |key: &str| row[key].as_u64().unwrap_or_default();
        let place = &row["location"];
        let ttl = row["healthCheck"]["heartbeat"]["ttl"].as_u64().filter(|_| row["enableHealthCheck"] == true);
        Ok(Self {
            host: row["host"].as_str().context("no host")?.to_owned(),
            port: u16::try_from(row["port"].as_u64().context("no port")?)?,
            id: row["id"].as_str().map(str::to_owned),
            protocol: text(&row["protocol"]),
            version: text(&row["version"]),
            weight: u32::try_from(number("weight"))?,
            priority: u32::try_from(number("priority"))?,
            healthy: row["healthy"].as_bool().context("no health")?,
            isolated: row["isolate"].as_bool().context("no isolation")?,
            location: place.is_object().then(|| ["region", "zone", "campus"].map(|key| text(&place[key]))),
            metadata: serde_json::from_value(row["metadata"].clone())?,
            ttl: ttl.map(u32::try_from).transpose()?,
        })
    }

    fn json(&self, namespace: &str, service: &str) -> Value {
        let location = self
            .location
            .as_ref()
            .map(|[region, zone, campus]| json!({"region": region, "zone": zone, "campus": campus}));
        let check = self.ttl.map(|ttl| json!({"type": "HEARTBEAT", "heartbeat": {"ttl": ttl}}));
        json!({
            "namespace": namespace, "service": service, "host": self.host, "port": self.port, "id": self.id,
            "protocol": self.protocol, "version": self.version, "weight": self.weight, "priority": self.priority,
            "healthy": self.healthy, "isolate": self.isolated, "location": location, "metadata": self.metadata,
            "enableHealthCheck": self.ttl.map(|_| true), "healthCheck": check,
        })
    }
}

impl PolarisApi {
    /// `address`: `127.0.0.1:port` of the HTTP port.
    pub fn connect(address: &str, token: Option<&str>) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { client, base: format!("http://{address}"), token: token.map(str::to_owned) })
    }

    /// Any request: the status over HTTP and the body, whatever they are.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("X-Polaris-Token", token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// A request whose code must be one of these.
    async fn must(&self, method: Method, path: &str, body: Option<&Value>, codes: &[u64]) -> Result<Value> {
        let (status, said) = self.ask(method, path, body).await?;
        let good = said["code"].as_u64().is_some_and(|code| codes.contains(&code));
        ensure!(good, "{path}: {status}: {said}");
        Ok(said)
    }

    async fn each(&self, method: Method, path: &str, all: &[Value], codes: &[u64]) -> Result<()> {
        for some in all.chunks(MOST) {
            self.must(method.clone(), path, Some(&json!(some)), codes).await?;
        }
        Ok(())
    }

    /// Makes a namespace; one that is there stays as it is.
    pub async fn create_namespace(&self, name: &str, comment: &str) -> Result<()> {
        let body = json!([{"name": name, "comment": comment}]);
        self.must(Method::POST, "/naming/v1/namespaces", Some(&body), &[SUCCESS, EXISTED]).await.map(drop)
    }

    /// Removes a namespace with all that is in it.
    pub async fn remove_namespace(&self, name: &str) -> Result<()> {
        for service in self.services(name).await? {
            self.remove_service(name, &service).await?;
        }
        // A list may still show what has just gone, and the other way round.
        let end = Instant::now() + Duration::from_secs(10);
        let body = json!([{"name": name}]);
        loop {
            let (_, said) = self.ask(Method::POST, "/naming/v1/namespaces/delete", Some(&body)).await?;
            if said["code"] == SUCCESS {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("namespace {name} stays: {said}");
            }
            sleep(Duration::from_millis(200)).await;
            for service in self.services(name).await? {
                self.remove_service(name, &service).await?;
            }
        }
    }

    async fn remove_service(&self, namespace: &str, name: &str) -> Result<()> {
        let rows = self.all(namespace, name).await?;
        self.deregister(namespace, name, &rows).await?;
        let body = json!([{"namespace": namespace, "name": name}]);
        let (_, said) = self.ask(Method::POST, "/naming/v1/services/delete", Some(&body)).await?;
        ensure!([SUCCESS, 400_204].contains(&said["code"].as_u64().unwrap_or_default()), "{namespace}/{name}: {said}");
        Ok(())
    }

    /// The names of all namespaces.
    pub async fn namespaces(&self) -> Result<Vec<String>> {
        let all = self.pages("/naming/v1/namespaces", &[], "namespaces").await?;
        Ok(all.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
    }

    /// Makes a service; one that is there stays as it is.
    pub async fn create_service(&self, namespace: &str, name: &str) -> Result<()> {
        let body = json!([{"namespace": namespace, "name": name}]);
        self.must(Method::POST, "/naming/v1/services", Some(&body), &[SUCCESS, EXISTED]).await.map(drop)
    }

    /// The names of a namespace's services.
    pub async fn services(&self, namespace: &str) -> Result<Vec<String>> {
        let all = self.pages("/naming/v1/services", &[("namespace", namespace)], "services").await?;
        Ok(all.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
    }

    /// Registers these, or replaces what stands under their ids; in the console's way, which makes namespace and service
    /// where they are missing.
    pub async fn register(&self, namespace: &str, service: &str, rows: &[PolarisRow]) -> Result<()> {
        let all: Vec<_> = rows.iter().map(|row| row.json(namespace, service)).collect();
        self.each(Method::POST, "/naming/v1/instances", &all, &[SUCCESS]).await
    }

    /// Changes these to what they say.
    pub async fn update(&self, namespace: &str, service: &str, rows: &[PolarisRow]) -> Result<()> {
        let all: Vec<_> = rows.iter().map(|row| row.json(namespace, service)).collect();
        self.each(Method::PUT, "/naming/v1/instances", &all, &[SUCCESS, NO_NEED]).await
    }

    /// Removes these. They are changed first: a server whose store is a file goes on showing what is removed later than
    /// some seconds after its last change.
    pub async fn deregister(&self, namespace: &str, service: &str, rows: &[PolarisRow]) -> Result<()> {
        let leaving: Vec<_> = rows
            .iter()
            .map(|row| {
                let mut one = place(namespace, service, row);
                (one["weight"], one["isolate"]) = (json!(u32::from(row.weight == 0)), json!(true));
                one
            })
            .collect();
        self.each(Method::PUT, "/naming/v1/instances", &leaving, &[SUCCESS, NO_NEED, NO_INSTANCE]).await?;
        self.remove(namespace, service, rows).await
    }

    /// Removes these and does nothing else, as providers do.
    pub async fn remove(&self, namespace: &str, service: &str, rows: &[PolarisRow]) -> Result<()> {
        let all: Vec<_> = rows.iter().map(|row| place(namespace, service, row)).collect();
        self.each(Method::POST, "/naming/v1/instances/delete", &all, &[SUCCESS]).await
    }

    /// As the client of a provider registers.
    pub async fn register_as_client(&self, namespace: &str, service: &str, row: &PolarisRow) -> Result<()> {
        let body = row.json(namespace, service);
        self.must(Method::POST, "/v1/RegisterInstance", Some(&body), &[SUCCESS]).await.map(drop)
    }

    /// A heartbeat; `false` when the server does not know the instance.
    pub async fn beat(&self, namespace: &str, service: &str, host: &str, port: u16) -> Result<bool> {
        let body = json!({"namespace": namespace, "service": service, "host": host, "port": port});
        let said = self.must(Method::POST, "/v1/Heartbeat", Some(&body), &[SUCCESS, NOT_FOUND]).await?;
        Ok(said["code"] == SUCCESS)
    }

    /// The answer to a client that asks for a service's instances, at a revision that it knows.
    pub async fn discover(&self, namespace: &str, service: &str, revision: &str) -> Result<Value> {
        let asked = json!({"namespace": namespace, "name": service, "revision": revision});
        let body = json!({"type": "INSTANCE", "service": asked});
        Ok(self.ask(Method::POST, "/v1/Discover", Some(&body)).await?.1)
    }

    /// What consumers are shown, in any health; the server's own keys of metadata are there. None of a service that is not
    /// known.
    pub async fn discovered(&self, namespace: &str, service: &str) -> Result<Vec<PolarisRow>> {
        let said = self.discover(namespace, service, "").await?;
        if said["code"] == NOT_FOUND {
            return Ok(Vec::new());
        }
        ensure!(said["code"] == SUCCESS, "{namespace}/{service}: {said}");
        said["instances"].as_array().context("no instances")?.iter().map(PolarisRow::of).collect()
    }

    /// What consumers call: healthy instances that are not isolated.
    pub async fn visible(&self, namespace: &str, service: &str) -> Result<Vec<PolarisRow>> {
        let all = self.discovered(namespace, service).await?;
        Ok(all.into_iter().filter(|row| row.healthy && !row.isolated).collect())
    }

    /// All instances of a service, as the console shows them: without keys of metadata that are the server's own.
    pub async fn all(&self, namespace: &str, service: &str) -> Result<Vec<PolarisRow>> {
        let parameters = [("namespace", namespace), ("service", service)];
        self.pages("/naming/v1/instances", &parameters, "instances").await?.iter().map(PolarisRow::of).collect()
    }

    async fn pages(&self, path: &str, parameters: &[(&str, &str)], kind: &str) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        loop {
            let offset = rows.len();
            let mut query: String =
                parameters.iter().map(|(key, value)| format!("{key}={}&", encoded(value))).collect();
            query.push_str(&format!("offset={offset}&limit={MOST}"));
            let said = self.must(Method::GET, &format!("{path}?{query}"), None, &[SUCCESS]).await?;
            let page = said[kind].as_array().context("no rows")?;
            rows.extend(page.iter().cloned());
            if page.is_empty() || rows.len() >= said["amount"].as_u64().unwrap_or_default() as usize {
                return Ok(rows);
            }
        }
    }
}

/// What names an instance.
fn place(namespace: &str, service: &str, row: &PolarisRow) -> Value {
    match &row.id {
        Some(id) => json!({"id": id}),
        None => json!({"namespace": namespace, "service": service, "host": row.host, "port": row.port}),
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
