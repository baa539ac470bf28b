//! Speaks to a node over its REST API. Every call has a time-out; every failure says what to do.

use crate::failure::Failure;
use crate::output::Paint;
use causeway_server::api;
use causeway_settings::Problems;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(3);
/// What a node answers from its memory or its store.
const CALL: Duration = Duration::from_secs(30);
/// A plan and a comparison read whole clusters. The node limits each of its calls; this is longer than a slow cluster takes.
const LOOK: Duration = Duration::from_secs(630);
/// After this time somebody who waits at a terminal is told what for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most rows that a node gives in one answer.
pub const MOST: u32 = 100_000;

/// A node somewhere.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

/// What becomes of the copies of a task that is deleted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DeleteQuery {
    pub drain: bool,
    pub keep: bool,
    /// How many seconds a drain may take.
    pub timeout: u64,
}

/// Waits, and shows at a terminal for how long.
async fn patiently<T>(work: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let (began, mut shown) = (std::time::Instant::now(), false);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                if shown {
                    // The line is taken away again.
                    say("\r\x1b[K");
                }
                return done;
            }
            _ = tick.tick() => {
                if began.elapsed() >= PATIENCE {
                    shown = true;
                    say(&format!("\r\x1b[Kreading both sides: {} s", began.elapsed().as_secs()));
                }
            }
        }
    }
}

/// Shows something at the terminal. Nothing depends on it.
fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}

impl Client {
    /// A client of the node at `server`. Touches no network.
    pub fn new(server: &str, token: Option<SecretString>) -> Result<Self, Failure> {
        let expected = "expected a URL such as http://127.0.0.1:8000";
        let base = Url::parse(server.trim_end_matches('/'));
        let base = base.map_err(|error| Failure::usage(format!("--server {server}: {error}; {expected}")))?;
        let (true, Some(host)) = (matches!(base.scheme(), "http" | "https"), base.host_str()) else {
            return Err(Failure::usage(format!("--server {server}: {expected}")));
        };
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        if host == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
            // A proxy would look for the node on its own machine.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Failure::new(format!("cannot make a client: {error}")))?;
        Ok(Self { http, base, token })
    }

    /// What stands below `/api/v1` at this path; its segments are encoded.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.ask(self.call(Method::GET, path)).await
    }

    /// The rows of a list that a filter chooses.
    pub async fn list<T: DeserializeOwned>(&self, name: &str, filter: &impl Serialize) -> Result<Vec<T>, Failure> {
        self.ask(self.call(Method::GET, &[name]).query(filter)).await
    }

    pub async fn task(&self, name: &str) -> Result<api::Task, Failure> {
        self.get(&["tasks", name]).await
    }

    /// Does something to a task.
    pub async fn act<T: DeserializeOwned>(&self, task: &str, action: &str) -> Result<T, Failure> {
        self.ask(self.call(Method::POST, &["tasks", task, action])).await
    }

    pub async fn apply(&self, request: &api::ApplyRequest) -> Result<api::Applied, Failure> {
        self.ask(self.call(Method::POST, &["apply"]).json(request)).await
    }

    pub async fn plan(&self, request: &api::PlanRequest) -> Result<api::Planned, Failure> {
        patiently(self.ask(self.call(Method::POST, &["plan"]).timeout(LOOK).json(request))).await
    }

    pub async fn verify(&self, task: &str) -> Result<api::Verification, Failure> {
        patiently(self.ask(self.call(Method::GET, &["tasks", task, "verify"]).timeout(LOOK))).await
    }

    pub async fn resolve(&self, task: &str, request: &api::Resolve) -> Result<api::Task, Failure> {
        self.ask(self.call(Method::POST, &["tasks", task, "resolve"]).json(request)).await
    }

    pub async fn drain(&self, task: &str, preview: bool) -> Result<api::Drain, Failure> {
        self.ask(self.call(Method::POST, &["tasks", task, "drain"]).query(&[("preview", preview)])).await
    }

    /// Removes the copies of the tool that a task takes over from and that no task wants, or only lists them.
    pub async fn drain_theirs(&self, task: &str, preview: bool) -> Result<api::Drain, Failure> {
        let call = self.call(Method::POST, &["tasks", task, "drain"]).query(&[("preview", preview), ("theirs", true)]);
        self.ask(call.timeout(CALL * 2)).await
    }

    pub async fn delete(&self, task: &str, leave: &DeleteQuery) -> Result<api::Deleted, Failure> {
        let call = self.call(Method::DELETE, &["tasks", task]).query(leave);
        let (status, body) = self.answer(call.timeout(CALL + Duration::from_secs(leave.timeout))).await?;
        self.read(status, &body).map_err(|failure| match status {
            // The node's own words are those of the API.
            StatusCode::CONFLICT if !leave.drain && !leave.keep => {
                failure.help("--drain removes them first; --keep leaves them where they are, as nobody's")
            }
            _ => failure,
        })
    }

    /// A call below `/api/v1`; the segments are encoded.
    fn call(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let call = self.http.request(method, url).timeout(CALL);
        match &self.token {
            Some(token) => call.bearer_auth(token.expose_secret()),
            None => call,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, call: RequestBuilder) -> Result<T, Failure> {
        let (status, body) = self.answer(call).await?;
        self.read(status, &body)
    }

    async fn answer(&self, call: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Failure> {
        let answer = call.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, body.into()))
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, Failure> {
        if !status.is_success() {
            return Err(self.refused(status, body));
        }
        serde_json::from_slice(body).map_err(|error| self.stranger(&format!("an answer that cannot be read: {error}")))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let base = self.base.as_str().trim_end_matches('/');
        let mut why: &dyn Error = error;
        while let Some(source) = why.source() {
            why = source;
        }
        match error {
            _ if error.is_connect() => Failure::new(format!("no node answers at {base}: {why}"))
                .help("start one with `causeway serve`, or name another with --server URL (or CAUSEWAY_SERVER)"),
            _ if error.is_timeout() => Failure::new(format!("the node at {base} did not answer in time"))
                .help("look at its log, and whether the machine or its disk is overloaded"),
            _ => Failure::new(format!("the conversation with the node at {base} ended early: {why}"))
                .help("look whether the node was stopped, and try again"),
        }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(api::ErrorBody { error }) = serde_json::from_slice(body) else {
            return self.stranger(&format!("{status} without an explanation"));
        };
        if !error.problems.is_empty() {
            let colour = Paint::of(io::stderr().is_terminal()).is_on();
            return Failure::Drawn(Problems(error.problems).render(colour));
        }
        let failure = Failure::new(error.message);
        match status {
            _ if !error.help.is_empty() => failure.help(error.help),
            StatusCode::UNAUTHORIZED => failure
                .help("give the node's token with CAUSEWAY_TOKEN or --token; the node printed it at its first start"),
            _ => failure,
        }
    }

    fn stranger(&self, what: &str) -> Failure {
        Failure::new(format!("{} is no causeway node of this version: it gave {what}", self.base))
            .help("look whether --server names the node, and whether both are of one version")
    }
}
