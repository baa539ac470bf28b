//! The vendor's HTTP interface: what operators, consoles and scripts use.

mod account;
mod config;
mod service;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::Value;

use crate::nacos::NacosVersion;
use crate::record::{Instance, ServiceName};

pub use config::Config;
pub use service::{Publisher, ServiceInfo};

const CALL: Duration = Duration::from_secs(5);

/// One server's HTTP interface. The right paths for its version are chosen inside.
#[derive(Clone)]
pub struct OpenApi {
    version: NacosVersion,
    base: String,
    http: Client,
    token: Option<String>,
}

/// What an operator lays over an instance in the console; `None` leaves a field out of the request.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    pub weight: Option<f64>,
    pub enabled: Option<bool>,
    pub metadata: Option<BTreeMap<String, String>>,
}

type Form = Vec<(&'static str, String)>;

impl OpenApi {
    /// `base` such as `http://127.0.0.1:8848/nacos`; `ca` a PEM file to trust when it is https. Touches no network.
    pub fn connect(version: NacosVersion, base: &str, ca: Option<&Path>) -> Result<Self> {
        // Idle connections are not kept for long, so that a paused or restarted server is not asked over a dead one.
        let mut http = Client::builder().timeout(CALL).no_proxy().pool_idle_timeout(Duration::from_secs(2));
        if let Some(ca) = ca {
            http = http.tls_certs_only([Certificate::from_pem(&std::fs::read(ca)?)?]);
        }
        Ok(Self { version, base: base.into(), http: http.build()?, token: None })
    }

    pub fn version(&self) -> NacosVersion {
        self.version
    }

    /// Whether `url` answers 200 within 2 s.
    pub async fn answers(&self, url: &str) -> bool {
        let asked = self.http.get(url).timeout(Duration::from_secs(2)).send().await;
        asked.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// Any call: `path` without the context path, parameters in the query for GET and DELETE, else in the form. The
    /// answer's status and body, whatever the status is.
    pub async fn call(&self, method: Method, path: &str, parameters: &Form) -> Result<(StatusCode, String)> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.clone(), url);
        if let Some(token) = &self.token {
            // 1.4 knows only this header; the later ones take it too.
            request = request.bearer_auth(token);
        }
        request = if method == Method::GET || method == Method::DELETE {
            request.query(parameters)
        } else {
            request.form(parameters)
        };
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        Ok((answer.status(), answer.text().await?))
    }

    /// A call whose answer must be a success: its body, with the wrapping `{code,message,data}` of v2 and v3 taken off.
    async fn ask(&self, method: Method, path: &str, parameters: &Form) -> Result<Value> {
        let (status, body) = self.call(method.clone(), path, parameters).await?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", body.trim());
        }
        let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
        match value {
            Value::Object(mut map) if map.contains_key("code") && map.contains_key("data") => {
                let code = map.get("code").and_then(Value::as_i64);
                if !matches!(code, Some(0 | 200)) {
                    bail!("{method} {path}: {}", Value::Object(map));
                }
                Ok(map.remove("data").unwrap_or(Value::Null))
            }
            value => Ok(value),
        }
    }

    fn three(&self) -> bool {
        self.version == NacosVersion::V3_1
    }

    fn instance_path(&self) -> &'static str {
        if self.three() { "/v3/admin/ns/instance" } else { "/v1/ns/instance" }
    }

    /// Registers over HTTP. An ephemeral one needs a [`Self::beat`] every 5 s, or turns unhealthy after 15 s and goes
    /// after 30 s.
    pub async fn register(&self, service: &ServiceName, instance: &Instance) -> Result<()> {
        self.ask(Method::POST, self.instance_path(), &whole(service, instance)?).await?;
        Ok(())
    }

    /// As a client of 1.4 registers, and deregisters, at any version.
    pub async fn register_as_client(&self, service: &ServiceName, instance: &Instance) -> Result<()> {
        self.ask(Method::POST, "/v1/ns/instance", &whole(service, instance)?).await?;
        Ok(())
    }

    pub async fn deregister_as_client(&self, service: &ServiceName, instance: &Instance) -> Result<()> {
        self.ask(Method::DELETE, "/v1/ns/instance", &whole(service, instance)?).await?;
        Ok(())
    }

    pub async fn deregister(&self, service: &ServiceName, instance: &Instance) -> Result<()> {
        self.ask(Method::DELETE, self.instance_path(), &whole(service, instance)?).await?;
        Ok(())
    }

    /// A heartbeat; `false` when the server does not know the instance. (3.1 still takes the path of v1.)
    pub async fn beat(&self, service: &ServiceName, instance: &Instance) -> Result<bool> {
        let mut form = place(service);
        form[2].1 = format!("{}@@{}", service.group, service.name);
        form.extend([
            ("ip", instance.ip.clone()),
            ("port", instance.port.to_string()),
            ("clusterName", instance.cluster.clone()),
        ]);
        let said = self.ask(Method::PUT, "/v1/ns/instance/beat", &form).await?;
        match said["code"].as_i64() {
            Some(10200) => Ok(true),
            Some(20404) => Ok(false),
            _ => bail!("a beat was answered {said}"),
        }
    }

    /// What an operator does in the console: weight, on- and offline, metadata. On 2.5 and 3.1 it is laid over what
    /// providers say and outlives them for about a minute; on 1.4 it replaces the record until the next registration.
    pub async fn edit(&self, service: &ServiceName, instance: &Instance, edit: &Edit) -> Result<()> {
        let mut form = place(service);
        form.extend([
            ("ip", instance.ip.clone()),
            ("port", instance.port.to_string()),
            ("clusterName", instance.cluster.clone()),
            ("ephemeral", instance.ephemeral.to_string()),
        ]);
        if let Some(weight) = edit.weight {
            form.push(("weight", weight.to_string()));
        }
        if let Some(enabled) = edit.enabled {
            form.push(("enabled", enabled.to_string()));
        }
        if let Some(metadata) = &edit.metadata {
            form.push(("metadata", serde_json::to_string(metadata)?));
        }
        self.ask(Method::PUT, self.instance_path(), &form).await?;
        Ok(())
    }

    /// What a subscriber is shown: all cluster names, no disabled instances, all healthy below the protect threshold.
    /// Empty for an unknown service. Changes show up to 0.6 s late.
    pub async fn visible(&self, service: &ServiceName) -> Result<Vec<Instance>> {
        let said = self.ask(Method::GET, "/v1/ns/instance/list", &place(service)).await?;
        instances(&said["hosts"])
    }

    /// The truth: disabled instances and real health too, over all cluster names. Empty for an unknown service.
    /// Changes show up to 0.6 s late.
    pub async fn all(&self, service: &ServiceName) -> Result<Vec<Instance>> {
        let mut out = Vec::new();
        let Some(info) = self.service(service).await? else {
            return Ok(out);
        };
        let path = if self.three() { "/v3/admin/ns/instance/list" } else { "/v1/ns/catalog/instances" };
        for cluster in info.clusters {
            let mut form = place(service);
            form.extend([("clusterName", cluster), ("pageNo", "1".into()), ("pageSize", "100000".into())]);
            let (status, body) = self.call(Method::GET, path, &form).await?;
            if status == StatusCode::NOT_FOUND {
                continue;
            }
            if !status.is_success() {
                bail!("{path}: {status}: {}", body.trim());
            }
            let said: Value = serde_json::from_str(&body)?;
            let list = if self.three() { &said["data"] } else { &said["list"] };
            out.extend(instances(list)?);
        }
        Ok(out)
    }
}

/// `namespaceId, groupName, serviceName`, in this order.
fn place(service: &ServiceName) -> Form {
    vec![
        ("namespaceId", service.namespace.clone()),
        ("groupName", service.group.clone()),
        ("serviceName", service.name.clone()),
    ]
}

fn whole(service: &ServiceName, instance: &Instance) -> Result<Form> {
    let mut form = place(service);
    form.extend([
        ("ip", instance.ip.clone()),
        ("port", instance.port.to_string()),
        ("weight", instance.weight.to_string()),
        ("healthy", instance.healthy.to_string()),
        ("enabled", instance.enabled.to_string()),
        ("ephemeral", instance.ephemeral.to_string()),
        ("clusterName", instance.cluster.clone()),
        ("metadata", serde_json::to_string(&instance.metadata)?),
    ]);
    Ok(form)
}

fn instances(list: &Value) -> Result<Vec<Instance>> {
    let list = list.as_array().context("no list of instances")?;
    list.iter()
        .map(|entry| serde_json::from_value(entry.clone()).with_context(|| format!("an instance: {entry}")))
        .collect()
}
