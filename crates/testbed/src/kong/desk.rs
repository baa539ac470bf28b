//! The double's door for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::double::{KongFault, KongTraffic};

/// What the Admin API was asked for, and the faults that it is to have.
#[derive(Clone, Debug)]
pub struct KongDesk {
    client: Client,
    base: String,
}

impl KongDesk {
    pub(super) fn connect(base: &str) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { client, base: base.to_owned() })
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// How often each `METHOD /path` was asked for since the start or [`Self::forget`]; queries are left out.
    pub async fn calls(&self) -> Result<BTreeMap<String, usize>> {
        let said = self.call(Method::GET, "/calls", None).await?;
        Ok(serde_json::from_value(said["calls"].clone())?)
    }

    /// How many calls there were.
    pub async fn total(&self) -> Result<usize> {
        Ok(self.calls().await?.values().sum())
    }

    /// How many calls wrote.
    pub async fn writes(&self) -> Result<usize> {
        Ok(self.calls().await?.iter().filter(|(call, _)| !call.starts_with("GET ")).map(|(_, count)| count).sum())
    }

    /// Counts calls from zero again.
    pub async fn forget(&self) -> Result<()> {
        self.call(Method::DELETE, "/calls", None).await.map(drop)
    }

    /// Adds a fault; the first one that fits a call is its.
    pub async fn fault(&self, fault: &KongFault) -> Result<()> {
        self.call(Method::POST, "/faults", Some(json!(fault))).await.map(drop)
    }

    /// Ends all faults.
    pub async fn mend(&self) -> Result<()> {
        self.call(Method::DELETE, "/faults", None).await.map(drop)
    }

    /// The Admin API takes calls and does not answer until [`Self::go_on`]. The proxy goes on.
    pub async fn hang(&self) -> Result<()> {
        self.call(Method::POST, "/hang", None).await.map(drop)
    }

    /// Answers what was asked for meanwhile.
    pub async fn go_on(&self) -> Result<()> {
        self.call(Method::DELETE, "/hang", None).await.map(drop)
    }

    /// What the proxy has passed on.
    pub async fn traffic(&self) -> Result<KongTraffic> {
        serde_json::from_value(self.call(Method::GET, "/traffic", None).await?).context("no traffic")
    }
}
