//! The double's own port for tests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde::Serialize;

use super::{PolarisCounts, PolarisFault, TokenChange};

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct PolarisDoor {
    client: Client,
    address: String,
}

impl PolarisDoor {
    /// `address`: `127.0.0.1:port`.
    pub fn connect(address: &str) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(LIMIT).pool_idle_timeout(Duration::ZERO).build()?;
        Ok(Self { client, address: address.to_owned() })
    }

    /// What it was asked since its start or [`Self::count_again`].
    pub async fn counts(&self) -> Result<PolarisCounts> {
        let answer = self.client.get(format!("http://{}/counts", self.address)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// The same without a runtime.
    pub fn counts_now(&self) -> Result<PolarisCounts> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"GET /counts HTTP/1.1\r\nhost: testbed\r\nconnection: close\r\n\r\n")?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        let (_, body) = said.split_once("\r\n\r\n").context("no body")?;
        Ok(serde_json::from_str(body)?)
    }

    pub async fn count_again(&self) -> Result<()> {
        self.send(Method::DELETE, "counts", &()).await
    }

    /// Calls fail so from now on; the first one that fits a call counts. An empty list ends it.
    pub async fn fail(&self, faults: &[PolarisFault]) -> Result<()> {
        self.send(Method::PUT, "faults", &faults).await
    }

    /// Other tokens are good from now on.
    pub async fn change_tokens(&self, change: &TokenChange) -> Result<()> {
        self.send(Method::PUT, "tokens", change).await
    }

    /// Ends all streams of clients.
    pub async fn drop_streams(&self) -> Result<()> {
        self.send(Method::POST, "streams/drop", &()).await
    }

    async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Result<()> {
        let answer = self.client.request(method, format!("http://{}/{path}", self.address)).json(body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{path}: {status}: {}", answer.text().await?);
        Ok(())
    }
}
