//! The double of Kong against what was measured on a real 3.9: every fact is an assertion.
#![allow(clippy::unwrap_used)]

mod declarative;
mod listing;
mod node;
mod proxy;
mod targets;
mod upsert;

use causeway_testbed::{Kong, KongApi, KongSetup};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A double of one's own, and its Admin API.
pub struct Ground {
    pub kong: Kong,
    pub api: KongApi,
}

impl Ground {
    pub async fn new() -> Self {
        Self::with(KongSetup::default()).await
    }

    pub async fn with(setup: KongSetup) -> Self {
        let kong = Kong::start(setup).await.unwrap();
        let api = kong.api().unwrap();
        Self { kong, api }
    }

    /// Whatever is answered.
    pub async fn ask(&self, method: Method, path: &str, body: impl Into<Option<Value>>) -> (u16, Value) {
        let (status, said) = self.api.ask(method, path, body.into().as_ref()).await.unwrap();
        (status.as_u16(), said)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, None).await
    }

    pub async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::PUT, path, body).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::PATCH, path, body).await
    }

    pub async fn delete(&self, path: &str) -> u16 {
        self.ask(Method::DELETE, path, None).await.0
    }

    /// A request that must be refused with 400 and this code; the answer.
    pub async fn refused(&self, method: Method, path: &str, body: Value, code: u8) -> Value {
        let sent = (!body.is_null()).then(|| body.clone());
        let (status, said) = self.ask(method, path, sent).await;
        assert_eq!((status, &said["code"]), (400, &Value::from(code)), "{path} {body}: {said}");
        said
    }

    /// Anything that `KongApi` does not send.
    pub async fn raw(&self, method: Method, path: &str, kind: Option<&str>, body: &str) -> (u16, Value) {
        let mut request = reqwest::Client::new().request(method, format!("http://{}{path}", self.kong.addr()));
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let status: StatusCode = answer.status();
        (status.as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }
}
