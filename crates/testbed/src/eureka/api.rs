//! Eureka's HTTP API, as providers, operators and subscribers use it. Our own words: nothing of the connector.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::{Value, json};

const ANSWER: Duration = Duration::from_secs(30);
/// So many are removed at a time.
const AT_A_TIME: usize = 16;

/// A status, in Eureka's word.
pub type EurekaStatus<'a> = &'a str;

/// One server's API. Instances are JSON objects, as the server has them.
#[derive(Clone)]
pub struct EurekaApi {
    client: Client,
    base: String,
    login: Option<(String, String)>,
}

impl EurekaApi {
    /// `base` is where the API begins, such as `http://127.0.0.1:8761/eureka`. `ca`: the certificate to trust, PEM.
    pub fn new(base: &str, login: Option<(&str, &str)>, ca: &Option<PathBuf>) -> Result<Self> {
        let mut client = Client::builder().no_proxy().timeout(ANSWER);
        if let Some(ca) = ca.as_ref().filter(|ca| ca.exists()) {
            client = client.add_root_certificate(Certificate::from_pem(&std::fs::read(ca)?)?);
        }
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Ok(Self { client: client.build()?, base: base.to_owned(), login })
    }

    /// An instance as a provider registers it, up and with Eureka's usual lease.
    pub fn instance(app: &str, id: &str, host: &str, port: u16, metadata: &BTreeMap<String, String>) -> Value {
        let own = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo";
        json!({
            "instanceId": id, "app": app, "hostName": host, "ipAddr": host, "status": "UP",
            "port": {"$": port, "@enabled": "true"}, "securePort": {"$": 443, "@enabled": "false"},
            "dataCenterInfo": {"@class": own, "name": "MyOwn"},
            "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
            "vipAddress": app.to_lowercase(), "metadata": metadata,
        })
    }

    /// Registers an instance, or changes it.
    pub async fn register(&self, instance: &Value) -> Result<()> {
        let app = instance["app"].as_str().context("no app")?;
        let (status, body) = self.call(Method::POST, &[app], &[], Some(json!({"instance": instance}))).await?;
        ensure!(status.is_success(), "registering {instance}: {status}: {body}");
        Ok(())
    }

    /// A heartbeat; false where the server does not know the instance.
    pub async fn renew(&self, app: &str, id: &str) -> Result<bool> {
        self.done(Method::PUT, &[app, id], &[]).await
    }

    /// Removes an instance; false where there is none.
    pub async fn cancel(&self, app: &str, id: &str) -> Result<bool> {
        self.done(Method::DELETE, &[app, id], &[]).await
    }

    /// Lays a status over an instance's own.
    pub async fn set_status(&self, app: &str, id: &str, status: EurekaStatus<'_>) -> Result<bool> {
        self.done(Method::PUT, &[app, id, "status"], &[("value", status)]).await
    }

    /// Sets keys of an instance's metadata; the others stay.
    pub async fn set_metadata(&self, app: &str, id: &str, pairs: &[(&str, &str)]) -> Result<bool> {
        self.done(Method::PUT, &[app, id, "metadata"], pairs).await
    }

    /// The instances of an application, as the server lists them.
    pub async fn instances(&self, app: &str) -> Result<Vec<Value>> {
        let (status, body) = self.call(Method::GET, &[app], &[], None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            StatusCode::OK => Ok(list(&serde_json::from_str::<Value>(&body)?["application"]["instance"])),
            _ => bail!("the instances of {app}: {status}: {body}"),
        }
    }

    /// One instance, which servers tell without a cache.
    pub async fn instance_of(&self, app: &str, id: &str) -> Result<Option<Value>> {
        let (status, body) = self.call(Method::GET, &[app, id], &[], None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => Ok(Some(serde_json::from_str::<Value>(&body)?["instance"].take())),
            _ => bail!("{app}/{id}: {status}: {body}"),
        }
    }

    /// All instances.
    pub async fn all(&self) -> Result<Vec<Value>> {
        let (status, body) = self.call(Method::GET, &[], &[], None).await?;
        ensure!(status.is_success(), "all instances: {status}: {body}");
        let body: Value = serde_json::from_str(&body)?;
        Ok(list(&body["applications"]["application"]).iter().flat_map(|app| list(&app["instance"])).collect())
    }

    /// Removes all instances.
    pub async fn clear(&self) -> Result<()> {
        let ends = self.all().await?.into_iter().map(async |one| {
            let (app, id) = (one["app"].as_str().context("no app")?, one["instanceId"].as_str().context("no id")?);
            self.cancel(app, id).await.map(drop)
        });
        stream::iter(ends).buffer_unordered(AT_A_TIME).try_collect().await
    }

    async fn done(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<bool> {
        let (status, body) = self.call(method, path, query, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => bail!("{path:?}: {status}: {body}"),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<(StatusCode, String)> {
        let path: String = path.iter().map(|part| format!("/{}", escaped(part))).collect();
        let mut request = self.client.request(method, format!("{}/apps{path}", self.base)).query(query);
        request = request.header("accept", "application/json");
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
