//! Calls to a Kubernetes API server.

use super::super::answers::{Lines, cause, whole};
use super::place::{ApiServer, ServerTrust, TokenSource};
use causeway_connectors::tls::{self, Pem, Trust};
use reqwest::header::ACCEPT;
use reqwest::{Client, Response, redirect};
use serde_json::Value;
use std::time::Duration;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Until the server has answered; of a watch, until it has begun to.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the server is asked to go on with a watch. It ends many of them earlier by itself.
const WATCH: Duration = Duration::from_secs(240);
/// A watch that goes on for so much longer is broken.
const WATCH_LATE: Duration = Duration::from_secs(30);
/// A connection that says nothing is asked whether it is still there, and must answer in time.
const PING: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(10));

/// Why a call has no result. The texts name the server, and hold no token.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum KubeError {
    /// The server does not answer, or cannot at the moment.
    #[error("{0}")]
    Away(String),
    /// There is no token, it is wrong, or it has expired.
    #[error("{0}")]
    Unauthorized(String),
    /// The token's owner has no right to do this.
    #[error("{0}")]
    Forbidden(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The server no longer knows the version that a watch was to go on from.
    #[error("{0}")]
    Expired(String),
    /// The call is wrong, or its answer is.
    #[error("{0}")]
    Unusable(String),
}

/// An API server. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct KubeClient {
    client: Client,
    base: String,
    token: TokenSource,
}

impl KubeClient {
    /// Reads the file of the authorities, and connects to nobody. Errors name the file.
    pub(super) async fn new(server: &ApiServer) -> Result<Self, KubeError> {
        let ca = match &server.trust {
            ServerTrust::File(file) => {
                let why = |e: std::io::Error| {
                    KubeError::Away(format!("the CA certificate {} cannot be read: {e}", file.display()))
                };
                Some((file.display().to_string(), tokio::fs::read(file).await.map_err(why)?))
            }
            ServerTrust::Anybody | ServerTrust::Plain => None,
        };
        let trust = match (&server.trust, &ca) {
            (_, Some((name, text))) => Trust::Given(Pem { name, text }),
            (ServerTrust::Anybody, None) => Trust::Anybody,
            (_, None) => Trust::Nobody,
        };
        let mut tls = tls::config(trust, None).map_err(KubeError::Away)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .tcp_keepalive(PING.0)
            .http2_keep_alive_interval(PING.0)
            .http2_keep_alive_timeout(PING.1)
            .http2_keep_alive_while_idle(true)
            .build()
            .map_err(|e| KubeError::Away(format!("HTTP client: {e}")))?;
        Ok(Self { client, base: server.base.clone(), token: server.token.clone() })
    }

    /// Reads an object, or a list. `path` begins with a slash.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, KubeError> {
        let response = self.send(path, query, ANSWER).await?;
        let body = whole(response).await.map_err(|why| self.away(&why))?;
        serde_json::from_slice(&body).map_err(|e| KubeError::Unusable(format!("{}{path}: {e}", self.base)))
    }

    /// Follows the objects of a list from a version on.
    pub(super) async fn watch(&self, path: &str, query: &[(&str, &str)], from: &str) -> Result<KubeWatch, KubeError> {
        let seconds = WATCH.as_secs().to_string();
        let more = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", seconds.as_str()),
            ("resourceVersion", from),
        ];
        let response = self.send(path, &[query, more.as_slice()].concat(), WATCH + WATCH_LATE).await?;
        Ok(KubeWatch { lines: Lines::new(response), base: self.base.clone() })
    }

    /// The answer, if it is a success. `limit`: until all of it must have come.
    async fn send(&self, path: &str, query: &[(&str, &str)], limit: Duration) -> Result<Response, KubeError> {
        let mut request = self.client.get(format!("{}{path}", self.base)).query(query).timeout(limit);
        request = request.header(ACCEPT, "application/json");
        let (token, origin) = self.token().await?;
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = match tokio::time::timeout(ANSWER, request.send()).await {
            Ok(answered) => answered.map_err(|error| self.away(&cause(error)))?,
            Err(_) => return Err(self.away("no answer in time")),
        };
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        let body = tokio::time::timeout(ANSWER, whole(response)).await.ok().and_then(Result::ok).unwrap_or_default();
        let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        Err(refusal(&self.base, status, said["message"].as_str().unwrap_or_default(), &origin))
    }

    /// The token, and what errors call it.
    async fn token(&self) -> Result<(Option<String>, String), KubeError> {
        match &self.token {
            TokenSource::Absent => Ok((None, "no token was sent".into())),
            TokenSource::Given(token) => {
                let origin = "it is that of POLARIS_SYNC_CONFIG_K8S_TOKEN (option `token`)";
                Ok((Some(token.clone()), origin.into()))
            }
            TokenSource::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(token) => Ok((Some(token.trim().to_owned()), format!("it is that in {}", path.display()))),
                Err(error) => Err(KubeError::Unauthorized(format!(
                    "{}: there is no token: set POLARIS_SYNC_CONFIG_K8S_TOKEN (option `token`), or run in a pod with a service account \
                     ({}: {error})",
                    self.base,
                    path.display()
                ))),
            },
        }
    }

    fn away(&self, why: &str) -> KubeError {
        let help = match why.contains("certificate") {
            true => {
                "; name the file of the authority that signs it with POLARIS_SYNC_CONFIG_K8S_CA_FILE (option `caFile`)"
            }
            false => "",
        };
        KubeError::Away(format!("{} does not answer: {why}{help}", self.base))
    }
}

fn refusal(base: &str, status: u16, said: &str, token: &str) -> KubeError {
    let text = format!("{base} answers {status}: {said}");
    match status {
        401 => KubeError::Unauthorized(format!("{text}: the token is wrong or has expired; {token}")),
        403 => KubeError::Forbidden(text),
        404 => KubeError::NotFound(text),
        410 => KubeError::Expired(text),
        429 | 500.. => KubeError::Away(text),
        _ => KubeError::Unusable(text),
    }
}

/// Something that has happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum KubeEvent {
    /// It was created or changed.
    Stands(Value),
    /// It is gone; this is what it was.
    Gone(Value),
    /// Nothing, up to this version.
    Bookmark(Value),
}

impl KubeEvent {
    /// The version to go on from.
    pub(super) fn version(&self) -> Option<&str> {
        let (Self::Stands(object) | Self::Gone(object) | Self::Bookmark(object)) = self;
        object["metadata"]["resourceVersion"].as_str()
    }
}

/// The events of a list.
#[derive(Debug)]
pub(super) struct KubeWatch {
    lines: Lines,
    base: String,
}

impl KubeWatch {
    /// The next event; `None` when the server has ended the watch, as it does from time to time. Nothing is lost when this is dropped
    /// while it waits.
    pub(super) async fn next(&mut self) -> Result<Option<KubeEvent>, KubeError> {
        loop {
            let broken = |why: String| KubeError::Away(format!("{}: the watch broke: {why}", self.base));
            let Some(line) = self.lines.next().await.map_err(broken)? else { return Ok(None) };
            if let Some(event) = event(&self.base, &line)? {
                return Ok(Some(event));
            }
        }
    }
}

/// `None`: nothing that concerns us.
fn event(base: &str, line: &[u8]) -> Result<Option<KubeEvent>, KubeError> {
    if line.is_empty() {
        return Ok(None);
    }
    let mut event: Value = serde_json::from_slice(line)
        .map_err(|e| KubeError::Unusable(format!("{base}: an event that is no JSON: {e}")))?;
    let object = event["object"].take();
    match event["type"].as_str().unwrap_or_default() {
        "ADDED" | "MODIFIED" => Ok(Some(KubeEvent::Stands(object))),
        "DELETED" => Ok(Some(KubeEvent::Gone(object))),
        "BOOKMARK" => Ok(Some(KubeEvent::Bookmark(object))),
        "ERROR" => {
            let status = object["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
            Err(refusal(base, status, object["message"].as_str().unwrap_or_default(), "the watch had begun with it"))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_what_ends_a_watch() {
        let parse = |text: &str| event("https://a", text.as_bytes());
        let one = parse(r#"{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"7"},"data":{"k":"v"}}}"#)
            .unwrap()
            .unwrap();
        assert_eq!(one.version(), Some("7"));
        assert!(matches!(one, KubeEvent::Stands(object) if object["data"]["k"] == "v"));
        let bookmark = parse(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#).unwrap().unwrap();
        assert_eq!(bookmark.version(), Some("9"));
        let gone = parse(r#"{"type":"DELETED","object":{"metadata":{"resourceVersion":"8"}}}"#).unwrap().unwrap();
        assert!(matches!(gone, KubeEvent::Gone(_)));
        let old = parse(r#"{"type":"ERROR","object":{"code":410,"message":"too old resource version: 1 (216)"}}"#);
        assert!(matches!(old, Err(KubeError::Expired(why)) if why.contains("too old")));
        assert!(matches!(parse(r#"{"type":"ERROR","object":{"code":500}}"#), Err(KubeError::Away(_))));
        assert!(matches!(parse("{"), Err(KubeError::Unusable(_))));
        assert_eq!(parse("").unwrap(), None);
        assert_eq!(parse(r#"{"type":"LATER","object":{}}"#).unwrap(), None);
    }
}
