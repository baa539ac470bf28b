//! Consul's HTTP interface: what providers, operators and consumers do.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

/// One who asks a server.
#[derive(Clone, Debug)]
pub struct ConsulApi {
    client: Client,
    base: String,
    token: Option<String>,
}

/// An instance of a service, as its provider registers it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsulRow {
    pub id: String,
    pub service: String,
    /// Empty: its node's.
    pub address: String,
    pub port: u16,
    pub tags: Vec<String>,
    pub meta: BTreeMap<String, String>,
    pub weight: i64,
    /// Whether all its checks pass, maintenance aside.
    pub healthy: bool,
    /// Whether it is not in maintenance.
    pub enabled: bool,
}

impl ConsulRow {
    pub fn new(service: &str, address: &str, port: u16) -> Self {
        Self {
            id: format!("{service}-{address}-{port}"),
            service: service.to_owned(),
            address: address.to_owned(),
            port,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
            healthy: true,
            enabled: true,
        }
    }

    fn of(row: &Value) -> Result<Self> {
        let (service, checks) = (&row["Service"], row["Checks"].as_array().context("no checks")?);
        let text = |key: &str| service[key].as_str().unwrap_or_default().to_owned();
        let is_upkeep = |check: &&Value| check["CheckID"].as_str().is_some_and(|id| id.contains("_maintenance"));
        let passes = |check: &Value| check["Status"] == "passing";
        Ok(Self {
            id: text("ID"),
            service: text("Service"),
            address: text("Address"),
            port: serde_json::from_value(service["Port"].clone())?,
            tags: serde_json::from_value::<Option<_>>(service["Tags"].clone())?.unwrap_or_default(),
            meta: serde_json::from_value::<Option<_>>(service["Meta"].clone())?.unwrap_or_default(),
            weight: service["Weights"]["Passing"].as_i64().context("no weight")?,
            healthy: checks.iter().filter(|check| !is_upkeep(check)).all(passes),
            enabled: checks.iter().filter(is_upkeep).all(passes),
        })
    }

    fn json(&self) -> Value {
        json!({
            "ID": self.id, "Service": self.service, "Address": self.address, "Port": self.port, "Tags": self.tags,
            "Meta": self.meta, "Weights": {"Passing": self.weight, "Warning": 1},
        })
    }
}

impl ConsulApi {
    pub fn connect(base: &str, token: Option<&str>) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { client, base: base.to_owned(), token: token.map(str::to_owned) })
    }

    /// Any request; the answer must be a success.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("X-Consul-Token", token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Whether it has a leader, shows itself, and takes our token.
    pub async fn is_ready(&self) -> bool {
        let there = self.call(Method::GET, "/v1/catalog/service/consul", None).await;
        there.is_ok_and(|list| list.as_array().is_some_and(|list| !list.is_empty()))
    }

    /// A node without an agent, and an instance on it. What stands under the row's id is replaced, with its checks.
    pub async fn register(&self, node: &str, row: &ConsulRow) -> Result<()> {
        let checks = [
            ("health", row.healthy, format!("{}-health", row.id)),
            ("Service Maintenance Mode", row.enabled, format!("_service_maintenance:{}", row.id)),
        ];
        let status = |name: &str, id: &str| json!({"Node": node, "CheckID": id, "Name": name, "Status": "critical", "ServiceID": row.id});
        let bad: Vec<_> = checks.iter().filter(|(_, good, _)| !good).map(|(name, _, id)| status(name, id)).collect();
        let body = json!({"Node": node, "Address": "10.99.0.1", "Service": row.json(), "Checks": bad});
        self.call(Method::PUT, "/v1/catalog/register", Some(&body)).await?;
        for (_, _, id) in checks.iter().filter(|(_, good, _)| *good) {
            self.call(Method::PUT, "/v1/catalog/deregister", Some(&json!({"Node": node, "CheckID": id}))).await?;
        }
        Ok(())
    }

    /// Changes what an instance says, and nothing else.
    pub async fn edit(&self, node: &str, row: &ConsulRow) -> Result<()> {
        let body = json!({"Node": node, "SkipNodeUpdate": true, "Service": row.json()});
        self.call(Method::PUT, "/v1/catalog/register", Some(&body)).await.map(drop)
    }

    /// The same of an instance that this agent has registered.
    pub async fn edit_at_agent(&self, row: &ConsulRow) -> Result<()> {
        let mut body = row.json();
        let fields = body.as_object_mut().context("no fields")?;
        let name = fields.remove("Service").context("no name")?;
        fields.insert("Name".into(), name);
        self.call(Method::PUT, "/v1/agent/service/register", Some(&body)).await.map(drop)
    }

    pub async fn deregister(&self, node: &str, id: &str) -> Result<()> {
        let body = json!({"Node": node, "ServiceID": id});
        self.call(Method::PUT, "/v1/catalog/deregister", Some(&body)).await.map(drop)
    }

    /// All instances of a service, each with its node, in any health; of names that differ in case only those of this one.
    pub async fn all(&self, service: &str) -> Result<Vec<(String, ConsulRow)>> {
        let name: String = url_segment(service);
        let list = self.call(Method::GET, &format!("/v1/health/service/{name}"), None).await?;
        let rows = list.as_array().context("no list")?.iter();
        let rows =
            rows.map(|row| Ok((row["Node"]["Node"].as_str().context("no node")?.to_owned(), ConsulRow::of(row)?)));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        Ok(rows.into_iter().filter(|(_, row)| row.service == service).collect())
    }

    /// What consumers that ask for passing instances get.
    pub async fn visible(&self, service: &str) -> Result<Vec<ConsulRow>> {
        let all = self.all(service).await?;
        Ok(all.into_iter().map(|(_, row)| row).filter(|row| row.healthy && row.enabled).collect())
    }

    /// The names of all services.
    pub async fn names(&self) -> Result<Vec<String>> {
        let names = self.call(Method::GET, "/v1/catalog/services", None).await?;
        Ok(names.as_object().context("no names")?.keys().cloned().collect())
    }

    /// A token of this id that may do what the rules say, in HCL. Makes it, or changes its rules.
    pub async fn allow(&self, token: &str, rules: &str) -> Result<()> {
        let name = format!("policy-{token}");
        let there = self.call(Method::GET, &format!("/v1/acl/policy/name/{name}"), None).await;
        let body = json!({"Name": name, "Rules": rules});
        if let Some(id) = there.ok().and_then(|policy| policy["ID"].as_str().map(str::to_owned)) {
            return self.call(Method::PUT, &format!("/v1/acl/policy/{id}"), Some(&body)).await.map(drop);
        }
        self.call(Method::PUT, "/v1/acl/policy", Some(&body)).await?;
        let body = json!({"SecretID": token, "Policies": [{"Name": name}]});
        self.call(Method::PUT, "/v1/acl/token", Some(&body)).await.map(drop)
    }

    /// Takes a token of [`Self::allow`] away.
    pub async fn revoke(&self, token: &str) -> Result<()> {
        let mine = Self { token: Some(token.to_owned()), ..self.clone() };
        let own = mine.call(Method::GET, "/v1/acl/token/self", None).await?;
        let id = own["AccessorID"].as_str().context("no accessor")?;
        self.call(Method::DELETE, &format!("/v1/acl/token/{id}"), None).await.map(drop)
    }
}

fn url_segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
