//! The REST interface of a Kubernetes API server: what `kubectl` does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

/// One who asks a server.
#[derive(Clone, Debug)]
pub struct KubeApi {
    client: Client,
    base: String,
    token: String,
}

/// What a server answered, whatever its status.
#[derive(Clone, Debug)]
pub struct KubeReply {
    pub status: u16,
    pub body: Value,
}

impl KubeApi {
    /// `ca`: the certificate to trust, PEM.
    pub fn connect(base: &str, ca: &Path, token: &str) -> Result<Self> {
        let ca = Certificate::from_pem(&std::fs::read(ca)?)?;
        let client = Client::builder().no_proxy().timeout(LIMIT).add_root_certificate(ca).build()?;
        Ok(Self { client, base: base.to_owned(), token: token.to_owned() })
    }

    /// Any request with a JSON body.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<KubeReply> {
        let text = body.map(|body| ("application/json", body.to_string()));
        self.send(method, path, text).await
    }

    /// The same; the answer must be a success.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let reply = self.ask(method, path, body).await?;
        ensure!((200..300).contains(&reply.status), "{path}: {}: {}", reply.status, reply.body);
        Ok(reply.body)
    }

    /// Creates or changes the object of a document in YAML, as `kubectl apply --server-side` does. `path` is that of the object.
    pub async fn apply(&self, path: &str, yaml: &str) -> Result<KubeReply> {
        let path = format!("{path}?fieldManager=testbed&force=true&fieldValidation=Strict");
        self.send(Method::PATCH, &path, Some(("application/apply-patch+yaml", yaml.to_owned()))).await
    }

    /// Whether all of its checks pass.
    pub async fn is_ready(&self) -> bool {
        self.ask(Method::GET, "/readyz", None).await.is_ok_and(|reply| reply.status == 200)
    }

    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        self.call(Method::POST, "/api/v1/namespaces", Some(&json!({"metadata": {"name": name}}))).await.map(drop)
    }

    /// Creates a ConfigMap, or replaces all that is in it. Returns its resource version.
    pub async fn put_config_map(&self, namespace: &str, name: &str, data: &Value) -> Result<String> {
        let (all, one) = config_map_paths(namespace, name);
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        let there = self.ask(Method::PUT, &one, Some(&body)).await?;
        let written = match there.status {
            404 => self.call(Method::POST, &all, Some(&body)).await?,
            200..300 => there.body,
            status => anyhow::bail!("{one}: {status}: {}", there.body),
        };
        Ok(written["metadata"]["resourceVersion"].as_str().context("no version")?.to_owned())
    }

    pub async fn delete_config_map(&self, namespace: &str, name: &str) -> Result<()> {
        self.call(Method::DELETE, &config_map_paths(namespace, name).1, None).await.map(drop)
    }

    /// Creates a service account, unless it is there, and makes a token of it. Deleting the account ends the token.
    pub async fn account_token(&self, namespace: &str, account: &str) -> Result<String> {
        let all = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let made = self.ask(Method::POST, &all, Some(&json!({"metadata": {"name": account}}))).await?;
        ensure!(matches!(made.status, 201 | 409), "{all}: {}: {}", made.status, made.body);
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self.call(Method::POST, &format!("{all}/{account}/token"), Some(&body)).await?;
        Ok(answer["status"]["token"].as_str().context("no token")?.to_owned())
    }

    pub async fn delete_account(&self, namespace: &str, account: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}");
        self.call(Method::DELETE, &path, None).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<(&str, String)>) -> Result<KubeReply> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some((kind, text)) = body {
            request = request.header("Content-Type", kind).body(text);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok(KubeReply { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}

fn config_map_paths(namespace: &str, name: &str) -> (String, String) {
    let all = format!("/api/v1/namespaces/{namespace}/configmaps");
    let one = format!("{all}/{name}");
    (all, one)
}
