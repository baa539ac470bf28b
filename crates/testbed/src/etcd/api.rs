//! etcd's JSON interface: what operators do with keys, users and rights.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};

use super::ETCD_ROOT;

const LIMIT: Duration = Duration::from_secs(30);

/// One who asks a server.
#[derive(Clone, Debug)]
pub struct EtcdApi {
    client: Client,
    base: String,
    token: Option<String>,
}

impl EtcdApi {
    pub fn connect(base: &str) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { client, base: base.to_owned(), token: None })
    }

    /// At a server with TLS: the authority's certificate, and the client's own with its key, all PEM.
    pub fn connect_tls(base: &str, ca: &Path, own: &(PathBuf, PathBuf)) -> Result<Self> {
        let identity = [std::fs::read(&own.0)?, std::fs::read(&own.1)?].concat();
        let client = Client::builder()
            .no_proxy()
            .timeout(LIMIT)
            .add_root_certificate(Certificate::from_pem(&std::fs::read(ca)?)?)
            .identity(Identity::from_pem(&identity)?)
            .build()?;
        Ok(Self { client, base: base.to_owned(), token: None })
    }

    /// Any call of version 3, such as `kv/put`; the answer must be a success.
    pub async fn call(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.client.post(format!("{}/v3/{path}", self.base)).json(body);
        if let Some(token) = &self.token {
            request = request.header("Authorization", token);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether it has a leader and serves.
    pub async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/health", self.base)).send().await;
        let Ok(answer) = answer else { return false };
        answer.text().await.is_ok_and(|text| text.contains("\"true\""))
    }

    /// Writes a key; returns the revision.
    pub async fn put(&self, key: &str, value: &str) -> Result<u64> {
        revision(&self.call("kv/put", &json!({"key": BASE64.encode(key), "value": BASE64.encode(value)})).await?)
    }

    /// Removes a key; returns the revision.
    pub async fn delete(&self, key: &str) -> Result<u64> {
        revision(&self.call("kv/deleterange", &json!({"key": BASE64.encode(key)})).await?)
    }

    /// Forgets what was before this revision.
    pub async fn compact(&self, revision: u64) -> Result<()> {
        self.call("kv/compaction", &json!({"revision": revision.to_string()})).await.map(drop)
    }

    /// From now on callers need to log in; [`ETCD_ROOT`] may do everything.
    pub async fn ask_for_logins(&self) -> Result<()> {
        let (user, password) = ETCD_ROOT;
        self.call("auth/user/add", &json!({"name": user, "password": password})).await?;
        self.call("auth/role/add", &json!({"name": "root"})).await?;
        self.call("auth/user/grant", &json!({"user": user, "role": "root"})).await?;
        self.call("auth/enable", &json!({})).await.map(drop)
    }

    /// The same as one who has logged in.
    pub async fn log_in(&self, user: &str, password: &str) -> Result<Self> {
        let answer = self.call("auth/authenticate", &json!({"name": user, "password": password})).await?;
        Ok(Self { token: Some(answer["token"].as_str().context("no token")?.to_owned()), ..self.clone() })
    }

    /// A user without any right.
    pub async fn add_user(&self, user: &str, password: &str) -> Result<()> {
        self.call("auth/user/add", &json!({"name": user, "password": password})).await?;
        self.call("auth/role/add", &json!({"name": user})).await?;
        self.call("auth/user/grant", &json!({"user": user, "role": user})).await.map(drop)
    }

    /// Lets a user of [`Self::add_user`] read one key.
    pub async fn allow(&self, user: &str, key: &str) -> Result<()> {
        let right = json!({"permType": "READ", "key": BASE64.encode(key)});
        self.call("auth/role/grant", &json!({"name": user, "perm": right})).await.map(drop)
    }

    /// Ends what [`Self::allow`] did.
    pub async fn forbid(&self, user: &str, key: &str) -> Result<()> {
        self.call("auth/role/revoke", &json!({"role": user, "key": BASE64.encode(key)})).await.map(drop)
    }
}

fn revision(answer: &Value) -> Result<u64> {
    answer["header"]["revision"].as_str().context("no revision")?.parse().context("revision")
}
