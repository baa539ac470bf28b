//! A server, and a namespace of one fact's own.

use anyhow::{Context, Result, ensure};
use causeway_testbed::{POLARIS_TOKEN, Polaris, PolarisApi, PolarisSetup};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const REAL: &str = "CAUSEWAY_TEST_REAL_POLARIS";

/// A server that asks for a token on the console's side.
pub struct Place {
    /// `None`: a real one.
    pub double: Option<Polaris>,
    pub http: String,
    pub grpc: String,
    pub token: String,
    pub api: PolarisApi,
    /// Nobody else's.
    pub space: String,
}

impl Place {
    pub fn is_real() -> bool {
        std::env::var_os(REAL).is_some_and(|value| !value.is_empty())
    }

    pub async fn new(name: &str) -> Result<Self> {
        let space =
            format!("facts-{}-{}", name.replace(|letter: char| !letter.is_alphanumeric(), "-"), std::process::id());
        if Self::is_real() {
            let words = std::env::var(REAL)?;
            let mut words = words.splitn(3, ':');
            let mut next = || words.next().context("http:grpc:token").map(str::to_owned);
            let (http, grpc, token) = (format!("127.0.0.1:{}", next()?), format!("127.0.0.1:{}", next()?), next()?);
            let api = PolarisApi::connect(&http, Some(&token))?;
            return Ok(Self { double: None, http, grpc, token, api, space });
        }
        let double = Polaris::start(PolarisSetup { auth: true, ..PolarisSetup::default() }).await?;
        let (http, grpc, api) = (double.addr(), double.grpc_addr(), double.api()?);
        Ok(Self { double: Some(double), http, grpc, token: POLARIS_TOKEN.to_owned(), api, space })
    }

    /// The body of an answer, whatever it is; its status over HTTP must be the code's.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let sent = (!body.is_null()).then_some(body);
        let (status, said) = self.api.ask(method, path, sent).await?;
        let code = said["code"].as_u64().with_context(|| format!("{path}: {status}: {said}"))?;
        ensure!(u64::from(status.as_u16()) == code / 1_000, "{path}: {status}, but {code}");
        Ok(said)
    }

    /// The code of an answer.
    pub async fn code(&self, method: Method, path: &str, body: &Value) -> Result<u64> {
        self.ask(method, path, body).await?["code"].as_u64().context("no code")
    }

    /// The status and body of a request as it stands, with these headers.
    pub async fn raw(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, String)> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let mut request = client.request(method, format!("http://{}{path}", self.http)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// An instance's fields in a request.
    pub fn one(&self, service: &str, port: u16) -> Value {
        json!({"namespace": self.space, "service": service, "host": "127.0.0.1", "port": port})
    }

    /// The rows of a service, as the console lists them.
    pub async fn rows(&self, service: &str) -> Result<Vec<Value>> {
        let path = format!("/naming/v1/instances?namespace={}&service={service}", self.space);
        let said = self.ask(Method::GET, &path, &Value::Null).await?;
        Ok(said["instances"].as_array().context("no rows")?.clone())
    }

    /// Waits for `count` rows: lists are up to 1.5 s old.
    pub async fn shows(&self, service: &str, count: usize) -> Result<Vec<Value>> {
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let rows = self.rows(service).await?;
            if rows.len() == count {
                return Ok(rows);
            }
            ensure!(Instant::now() < end, "{} rows of {service}, not {count}", rows.len());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The answer to a client that asks for a service.
    pub async fn discover(&self, service: &str, revision: &str) -> Result<Value> {
        self.api.discover(&self.space, service, revision).await
    }

    /// Waits for an answer to a client that is like this.
    pub async fn until(
        &self,
        service: &str,
        revision: &str,
        limit: Duration,
        like: impl Fn(&Value) -> bool,
    ) -> Result<(Value, Duration)> {
        let began = Instant::now();
        loop {
            let said = self.discover(service, revision).await?;
            if like(&said) {
                return Ok((said, began.elapsed()));
            }
            ensure!(began.elapsed() < limit, "not within {limit:?}: {said}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How many instances a client was told of.
pub fn told(said: &Value) -> usize {
    said["instances"].as_array().map_or(0, Vec::len)
}
