//! HTTP to the servers of one data centre: requests, and what their answers mean.

mod txn;
mod wire;

pub(super) use txn::{CheckOp, NodeOp, Op, ServiceOp, TxnFailure, Verb};
#[cfg(test)]
pub(super) use wire::Node;
pub(super) use wire::{AgentCheck, AgentService, Check, Dumped, Entry, Service, TaggedAddress, Weights};

use super::settings::ConsulOptions;
use crate::Connect;
use crate::util::http::{self, Http, Limits, Reply};
use crate::util::tls::{self, Trust};
use causeway_core::Error;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::time::Duration;

/// What one server may take for an answer, and how large that may be.
const LIMITS: Limits = Limits { connect: Duration::from_secs(2), answer: Duration::from_secs(10), body: 256 << 20 };
/// The same for a list of everything.
const LONG: Duration = Duration::from_secs(30);
/// How long a server holds a query back that has nothing new to say. It adds up to a sixteenth. Short enough that one that
/// hangs is noticed in time.
pub(super) const WAIT: Duration = Duration::from_secs(20);
/// After the longest wait an answer is due within this time.
const GRACE: Duration = Duration::from_secs(7);
/// The wait that a server asks for when it does not say how long.
const THROTTLED: Duration = Duration::from_secs(1);
/// The longest wait that a server is given when it asks for one.
const LONGEST: Duration = Duration::from_secs(60);
/// What servers say of a data centre that they do not know, and what we say then.
const NO_PATH: &str = "No path to datacenter";
const NO_DATACENTER: &str = "the servers know no data centre";
/// Most characters of a server's own words in an error.
const WORDS: usize = 300;

/// What a server answered to a query, and what it says about that answer.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub content: T,
    /// Grows with every change of what was asked for; 0: not told.
    pub index: u64,
    /// The token may not read all of it: something was left out.
    pub filtered: bool,
}

/// One data centre.
pub(super) struct Client {
    http: Http,
    token: Option<SecretString>,
    /// Parameters of every request.
    params: Vec<(&'static str, String)>,
    /// The data centre, for errors; empty: the one of the servers.
    datacenter: String,
}

impl Client {
    /// Touches no network. The error says which setting cannot be used.
    pub fn new(connect: &Connect, options: &ConsulOptions) -> Result<Self, String> {
        let secured = connect.tls.is_some();
        let texts = connect.tls.clone().unwrap_or_default();
        let trust = match (&texts.ca, secured) {
            _ if texts.insecure => Trust::Anybody,
            (Some(ca), _) => Trust::Given(ca.pem()),
            (None, true) => Trust::System,
            (None, false) if connect.addresses.iter().any(|text| text.starts_with("https://")) => Trust::System,
            (None, false) => Trust::Nobody,
        };
        let tls = tls::config_for(trust, texts.identity(), texts.server_name.as_deref())?;
        let path = connect.context_path.as_deref().unwrap_or_default();
        let bases =
            connect.addresses.iter().map(|address| base(address, secured, path)).collect::<Result<Vec<_>, _>>()?;
        let http = Http::new(tls, bases, LIMITS, is_passed_over)?;
        let params = [("dc", &options.datacenter), ("ns", &options.namespace), ("partition", &options.partition)];
        let params = params.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
        let datacenter = options.datacenter.clone().unwrap_or_default();
        Ok(Self { http, token: connect.token.clone(), params, datacenter })
    }

    /// Whether the token is one; [`Error::Missing`] only where the data centre is. Without this a token that is gone could be
    /// told by nothing from a catalog that is empty.
    pub async fn check_token(&self) -> Result<(), Error> {
        if self.token.is_none() {
            return Ok(());
        }
        let reply = self.send(Method::GET, "/v1/acl/token/self", &[], None, None).await?;
        // Access control is off: then a token is neither right nor wrong.
        if reply.status == StatusCode::UNAUTHORIZED {
            return Ok(());
        }
        match self.refused(&reply) {
            // Tokens may be the primary data centre's to know. That it is out of reach says nothing about the one that is read.
            Some(Error::Missing(why)) if why.starts_with(NO_DATACENTER) => {
                self.look().await?;
                Err(Error::unavailable("the servers do not reach the primary data centre, which knows the tokens"))
            }
            refused => refused.map_or(Ok(()), |error| Err(denied(error))),
        }
    }

    /// Whether the servers know what the settings ask for beyond a token: the data centre, a namespace. Quick: it looks for a
    /// node that is not there.
    pub async fn look(&self) -> Result<(), Error> {
        self.get::<IgnoredAny>("/v1/catalog/node/causeway", &[]).await.map(drop).map_err(denied)
    }

    /// A query that is answered at once.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, params: &[(&str, &str)]) -> Result<Answer<T>, Error> {
        self.answer(self.send(Method::GET, path, params, None, None).await?)
    }

    /// The same of a list that may be long.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Error> {
        self.answer(self.send(Method::GET, path, &[], None, Some(LONG)).await?)
    }

    /// A query that is answered when the index is no longer this one, or after [`WAIT`]. 0: at once.
    pub async fn wait<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: (&'static str, &'static str),
        index: u64,
    ) -> Result<Answer<T>, Error> {
        let (index, wait) = (index.to_string(), format!("{}s", WAIT.as_secs()));
        let params = [filter, ("index", &*index), ("wait", &*wait)];
        let limit = WAIT + WAIT / 16 + GRACE;
        self.answer(self.send(Method::GET, path, &params, None, Some(limit)).await?)
    }

    /// Writes something through the agent that is asked.
    pub async fn put(&self, path: &str, params: &[(&str, &str)], body: &impl serde::Serialize) -> Result<(), Error> {
        let body = serde_json::to_vec(body).map_err(|e| Error::protocol(e.to_string()))?;
        let reply = self.send(Method::PUT, path, params, Some(body), None).await?;
        self.refused(&reply).map_or(Ok(()), Err)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        params: &[(&str, &str)],
        body: Option<Vec<u8>>,
        limit: Option<Duration>,
    ) -> Result<Reply, Error> {
        let build = |client: &reqwest::Client, base: &str| {
            let mut request = client.request(method.clone(), format!("{base}{path}")).query(&self.params).query(params);
            if let Some(token) = &self.token {
                request = request.header("X-Consul-Token", token.expose_secret());
            }
            match &body {
                Some(body) => request.header("Content-Type", "application/json").body(body.clone()),
                None => request,
            }
        };
        self.http.send(limit, build).await.map_err(|error| match error {
            http::Error::Unavailable(why) => Error::unavailable(why),
            http::Error::Unusable(why) => Error::protocol(why),
        })
    }

    /// The content of an answer that can be relied on: given with the leader's knowledge, to one whose rights are known.
    fn answer<T: DeserializeOwned>(&self, reply: Reply) -> Result<Answer<T>, Error> {
        if let Some(error) = self.refused(&reply) {
            return Err(error);
        }
        let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // Without a token nothing tells what may not be read from what is not there.
        if self.token.is_none() && header("x-consul-default-acl-policy") == "deny" {
            return Err(Error::Denied(
                "Consul's access control is on and no token is given: what may not be read would look like an empty catalog. \
                 Give the cluster a `token`"
                    .into(),
            ));
        }
        if header("x-consul-knownleader") == "false" {
            return Err(Error::unavailable("the servers have no leader: what they list may be old"));
        }
        let index = header("x-consul-index").parse().unwrap_or(0);
        let filtered = header("x-consul-results-filtered-by-acls") == "true";
        let content = serde_json::from_slice(&reply.body)
            .map_err(|e| Error::protocol(format!("an answer that is no JSON as expected: {e}")))?;
        Ok(Answer { content, index, filtered })
    }

    /// Why an answer is none. `None`: it is one.
    fn refused(&self, reply: &Reply) -> Option<Error> {
        if reply.status.is_success() {
            return None;
        }
        let words = words(&reply.body);
        let has = |part: &str| words.contains(part);
        Some(match reply.status {
            _ if has("Enterprise feature") => Error::Denied(format!(
                "these servers are Consul's community edition, which has neither namespaces nor partitions: take \
                 `namespace` and `partition` out of the block `consul` ({words})"
            )),
            _ if has("Endpoint is blocked") => Error::Missing(words),
            _ if is_throttled(reply) => Error::Throttled(retry_after(reply)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied(words),
            _ if has("ermission denied") || has("ACL not found") => Error::Denied(words),
            _ if has(NO_PATH) => Error::Missing(format!("{NO_DATACENTER} {}", self.datacenter)),
            StatusCode::PAYLOAD_TOO_LARGE => Error::Rejected(words),
            StatusCode::BAD_REQUEST => Error::Rejected(words),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Error::Missing(words),
            status if status.is_server_error() => Error::unavailable(format!("{}: {words}", status.as_u16())),
            status => Error::protocol(format!("{}: {words}", status.as_u16())),
        })
    }
}

/// For a query of services whose index is all that is asked for. (Consul leaves out what may not be read before it filters.)
pub(super) const NOTHING_OF_SERVICES: (&str, &str) = ("filter", "ServiceName == \"\"");
/// The same of nodes.
pub(super) const NOTHING_OF_NODES: (&str, &str) = ("filter", "Node == \"\"");
/// Checks that do not pass.
pub(super) const NOT_PASSING: (&str, &str) = ("filter", "Status != \"passing\"");

/// Whether it is a path that servers, or a proxy before them, do not serve, and not the data centre that is missing.
pub(super) fn is_not_served(error: &Error) -> bool {
    matches!(error, Error::Missing(why) if !why.starts_with(NO_DATACENTER))
}

/// The same error where a path that is not served is a refusal: it says nothing about the data centre.
pub(super) fn denied(error: Error) -> Error {
    match error {
        Error::Missing(why) if !why.starts_with(NO_DATACENTER) => Error::Denied(why),
        error => error,
    }
}

/// Whether a server asks for a rest. What only the leader can do it puts off with 503, and no other server does better then.
fn is_throttled(reply: &Reply) -> bool {
    let says = |words: &str| String::from_utf8_lossy(&reply.body).contains(words);
    reply.status == StatusCode::TOO_MANY_REQUESTS || (reply.status.is_server_error() && says("rate limit exceeded"))
}

/// Another server may do better: this one is overloaded, has no leader, or stands behind a proxy without it.
fn is_passed_over(reply: &Reply) -> bool {
    reply.status.is_server_error() && !is_throttled(reply)
}

fn base(address: &str, secured: bool, path: &str) -> Result<String, String> {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, _)) if secured && scheme == "http" => {
            return Err(format!("{address} is not reached by TLS, yet `tls` is given: write `https://`, or nothing"));
        }
        Some((scheme, rest)) => (scheme, rest),
        None => (if secured { "https" } else { "http" }, address),
    };
    let (host, own) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let port = match (has_port, scheme) {
        (true, _) => "",
        (false, "https") => ":8501",
        (false, _) => ":8500",
    };
    Ok(format!("{scheme}://{host}{port}{}{path}", own.trim_end_matches('/')))
}

fn retry_after(reply: &Reply) -> Duration {
    let header = reply.headers.get("retry-after").and_then(|value| value.to_str().ok());
    let asked = header.and_then(|text| text.trim().parse().ok()).map_or(THROTTLED, Duration::from_secs);
    asked.min(LONGEST)
}

fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    match text.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None if text.is_empty() => "no reason given".into(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
