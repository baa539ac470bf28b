//! HTTP to the Admin API: requests, pages, and what answers mean.

mod wire;

pub(super) use wire::{Body, RouteRow, ServiceRow, TargetRow, UpstreamRow};

use super::settings::KongOptions;
use crate::Connect;
use crate::util::http::{self, Http, Limits, Reply, path_segment};
use crate::util::tls::{self, Trust};
use causeway_core::Error;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use wire::{Page, Refusal, Tagged};

/// What one node may take for an answer, and how large that may be.
const LIMITS: Limits = Limits { connect: Duration::from_secs(2), answer: Duration::from_secs(8), body: 256 << 20 };
/// What a whole declarative configuration may take.
const LONG: Duration = Duration::from_secs(30);
/// The largest page there is.
const SIZE: &str = "1000";
/// More pages than this are no list.
const PAGES: usize = 10_000;
/// The wait where Kong, or a proxy before it, asks for one and does not say how long.
const THROTTLED: Duration = Duration::from_secs(1);
/// The longest wait that is granted.
const LONGEST: Duration = Duration::from_secs(60);
/// Most characters of Kong's own words in an error.
const WORDS: usize = 300;

/// The Admin API of one Kong, at any of its nodes.
pub(super) struct Client {
    http: Http,
    token: Option<SecretString>,
    /// Before the path of every entity: empty, or `/<workspace>`.
    workspace: String,
}

impl Client {
    /// Touches no network. The error says which setting cannot be used.
    pub fn new(connect: &Connect, options: &KongOptions) -> Result<Self, String> {
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
        let workspace = options.workspace.as_deref().map(|name| format!("/{}", path_segment(name))).unwrap_or_default();
        Ok(Self { http, token: connect.token.clone(), workspace })
    }

    /// Whether this Kong has no database.
    pub async fn has_no_database(&self) -> Result<bool, Error> {
        let root: Value = read(&self.ask(Method::GET, "/", &[], None, None).await?)?;
        Ok(root.pointer("/configuration/database").and_then(Value::as_str) == Some("off"))
    }

    /// Whether upstreams can be listed: the node and its database answer, and the token may.
    pub async fn check(&self) -> Result<(), Error> {
        let path = format!("{}/upstreams", self.workspace);
        read::<Page<Value>>(&self.ask(Method::GET, &path, &[("size", "1")], None, None).await?).map(drop)
    }

    /// All entities below a path, whatever the number of pages. With a tag only those that have it: lists of the top level
    /// filter, nested ones do not.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, tag: Option<&str>) -> Result<Vec<T>, Error> {
        let path = format!("{}{path}", self.workspace);
        let mut all = Vec::new();
        let mut offset: Option<String> = None;
        // What Kong says of the next page has another size, or none: each page is asked for by its offset alone.
        for _ in 0..PAGES {
            let mut query = vec![("size", SIZE)];
            query.extend(tag.map(|tag| ("tags", tag)));
            query.extend(offset.as_deref().map(|offset| ("offset", offset)));
            let page: Page<T> = read(&self.ask(Method::GET, &path, &query, None, None).await?)?;
            all.extend(page.data);
            match page.offset {
                Some(next) if offset.as_ref() != Some(&next) => offset = Some(next),
                Some(_) => return Err(Error::protocol(format!("{path}: a page that is its own next one"))),
                None => return Ok(all),
            }
        }
        Err(Error::protocol(format!("{path}: more than {PAGES} pages")))
    }

    /// The ids of all targets that carry a tag.
    pub async fn tagged_targets(&self, tag: &str) -> Result<Vec<String>, Error> {
        let all: Vec<Tagged> = self.list(&format!("/tags/{}", path_segment(tag)), None).await?;
        Ok(all.into_iter().filter(|one| one.entity_name == "targets").map(|one| one.entity_id).collect())
    }

    /// One entity; `None`: it does not exist.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        match self.ask(Method::GET, &format!("{}{path}", self.workspace), &[], None, None).await {
            Ok(reply) => read(&reply).map(Some),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an entity. [`Error::Conflict`]: one of that name is there.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Body) -> Result<T, Error> {
        read(&self.send_body(Method::POST, path, body).await?)
    }

    /// Changes what the body names, and nothing else. [`Error::Missing`]: there is no such entity.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Body) -> Result<T, Error> {
        read(&self.send_body(Method::PATCH, path, body).await?)
    }

    async fn send_body(&self, method: Method, path: &str, body: &Body) -> Result<Reply, Error> {
        let body = serde_json::to_vec(body).map_err(|e| Error::protocol(e.to_string()))?;
        self.ask(method, &format!("{}{path}", self.workspace), &[], Some(body), None).await
    }

    /// Removes an entity; one that is not there is no error. [`Error::Blocked`]: another one refers to it.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        match self.ask(Method::DELETE, &format!("{}{path}", self.workspace), &[], None, None).await {
            Ok(_) | Err(Error::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the whole configuration of a Kong without a database.
    pub async fn put_config(&self, config: &Value) -> Result<(), Error> {
        // Only as one text is a configuration that is the same already no change.
        let body = json!({ "config": config.to_string() });
        let body = serde_json::to_vec(&body).map_err(|e| Error::protocol(e.to_string()))?;
        match self.ask(Method::POST, "/config", &[("check_hash", "1")], Some(body), Some(LONG)).await {
            Ok(_) => Ok(()),
            Err(Error::Missing(_)) => {
                Err(Error::Denied("this node has no /config: is it a Kong without a database?".into()))
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
        limit: Option<Duration>,
    ) -> Result<Reply, Error> {
        let build = |client: &reqwest::Client, base: &str| {
            let mut request = client.request(method.clone(), format!("{base}{path}"));
            if !query.is_empty() {
                request = request.query(query);
            }
            if let Some(token) = &self.token {
                // The second is for a proxy before the API, as other tools send it.
                let token = token.expose_secret();
                request = request.header("Kong-Admin-Token", token).header("Authorization", token);
            }
            match &body {
                Some(body) => request.header("Content-Type", "application/json").body(body.clone()),
                None => request,
            }
        };
        let reply = self.http.send(limit, build).await.map_err(|error| match error {
            http::Error::Unavailable(why) => Error::unavailable(why),
            http::Error::Unusable(why) => Error::protocol(why),
        })?;
        refused(&reply).map_or(Ok(reply), Err)
    }
}

fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, Error> {
    serde_json::from_slice(&reply.body)
        .map_err(|e| Error::protocol(format!("an answer that is no JSON as expected: {e}")))
}

/// Why an answer is none. `None`: it is one.
pub(super) fn refused(reply: &Reply) -> Option<Error> {
    let status = reply.status;
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return None;
    }
    let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
    let words = words(&refusal, &reply.body);
    Some(match (status, refusal.code) {
        (StatusCode::TOO_MANY_REQUESTS, _) => Error::Throttled(retry_after(reply)),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Error::Denied(words),
        (StatusCode::NOT_FOUND, _) => Error::Missing(words),
        (StatusCode::CONFLICT, _) | (_, Some(5)) => Error::Conflict,
        // Something refers to it that is not ours.
        (_, Some(4)) => Error::Blocked(words),
        (StatusCode::METHOD_NOT_ALLOWED, Some(12)) => Error::Denied(format!(
            "{words}: this Kong has no database; take `mode: database` out of the block `kong` of the cluster"
        )),
        (StatusCode::METHOD_NOT_ALLOWED, _) => Error::Denied(words),
        (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY, _) => {
            Error::Rejected(words)
        }
        (status, _) if status.is_server_error() => Error::unavailable(format!("{}: {words}", status.as_u16())),
        (status, _) => Error::protocol(format!("{}: {words}", status.as_u16())),
    })
}

/// Another node may do better.
fn is_passed_over(reply: &Reply) -> bool {
    reply.status.is_server_error()
}

/// Kong's words, with the fields that they are about.
fn words(refusal: &Refusal, body: &[u8]) -> String {
    let mut text = match (&refusal.message, &refusal.name) {
        (Some(message), _) => message.clone(),
        (None, Some(name)) => name.clone(),
        (None, None) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let fields = refusal.fields.as_ref().filter(|fields| fields.as_object().is_some_and(|all| !all.is_empty()));
    if let Some(fields) = fields {
        text = format!("{text} {fields}");
    }
    match text.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None if text.is_empty() => "no reason given".into(),
        None => text,
    }
}

fn retry_after(reply: &Reply) -> Duration {
    let header = reply.headers.get("retry-after").and_then(|value| value.to_str().ok());
    header.and_then(|text| text.trim().parse().ok()).map_or(THROTTLED, Duration::from_secs).min(LONGEST)
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
        (false, "https") => ":8444",
        (false, _) => ":8001",
    };
    Ok(format!("{scheme}://{host}{port}{}{path}", own.trim_end_matches('/')))
}

#[cfg(test)]
mod tests;
