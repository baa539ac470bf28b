//! Which requests are let through: on loopback all but those of web pages of other origins, elsewhere those with the token.
//!
//! A second token may be given to those who can read this node's data folder: commands on its own machine.

use super::answer::Refusal;
use crate::error::{Error, Result};
use crate::node::Node;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The environment's word for the token.
pub const TOKEN_VARIABLE: &str = "CAUSEWAY_TOKEN";
/// What is kept of the token.
const HASH: &str = "token hash";
/// A token that can be guessed is none.
const SHORTEST: usize = 16;

/// Who may ask at one address.
#[derive(Clone)]
pub struct Access {
    /// What the token hashes to; `None` where none is needed.
    token: Option<Arc<[u8; 32]>>,
    /// The listener is on loopback: a request names this machine.
    local: bool,
    /// What the token for commands on this machine hashes to.
    command: Option<Arc<[u8; 32]>>,
}

impl Access {
    /// Lets requests with this token through as well. Needs no other token where none is needed.
    #[must_use]
    pub fn and_command(self, token: &SecretString) -> Self {
        Self { command: Some(Arc::new(hash(token.expose_secret()))), ..self }
    }

    /// Whether callers need a token.
    pub fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether this is one of the tokens. Hashes are compared: how long it takes says nothing of the token.
    fn knows(&self, given: &str) -> bool {
        let given = hash(given);
        [&self.token, &self.command].into_iter().flatten().any(|known| **known == given)
    }

    /// For a listener at `address`. On an address that is not loopback a token is needed: the environment's, else the one that was
    /// made at the first start there. The second value is that token when it is made now: show it once, it is not kept.
    pub async fn prepare(node: &Node, address: SocketAddr) -> Result<(Self, Option<SecretString>)> {
        let given = std::env::var(TOKEN_VARIABLE).ok().filter(|text| !text.trim().is_empty());
        Self::prepare_with(node, address, given.map(SecretString::from)).await
    }

    /// The same with the token from the caller; `None`: the stored one's.
    pub async fn prepare_with(
        node: &Node,
        address: SocketAddr,
        given: Option<SecretString>,
    ) -> Result<(Self, Option<SecretString>)> {
        if is_loopback(address.ip()) {
            return Ok((Self::open(address), None));
        }
        if let Some(given) = given {
            if given.expose_secret().trim().len() < SHORTEST {
                let text = format!("{TOKEN_VARIABLE} must have at least {SHORTEST} characters");
                return Err(Error::Request(text));
            }
            return Ok((Self::with(hash(given.expose_secret().trim())), None));
        }
        let store = &node.inner.store;
        let known = store.kv(HASH).await?.and_then(|text| hex::decode(text).ok()?.try_into().ok());
        if let Some(known) = known {
            return Ok((Self::with(known), None));
        }
        let token = hex::encode(causeway_store::random::<24>()?);
        let hashed = hash(&token);
        let kept = store.put_first_kv(HASH, &hex::encode(hashed)).await?;
        match hex::decode(kept).ok().and_then(|kept| kept.try_into().ok()) {
            // Another node has made one at the same moment, and shows it.
            Some(kept) if kept != hashed => Ok((Self::with(kept), None)),
            Some(_) => Ok((Self::with(hashed), Some(token.into()))),
            // What stands there is no hash: it is replaced.
            None => {
                store.put_kv(HASH, &hex::encode(hashed)).await?;
                Ok((Self::with(hashed), Some(token.into())))
            }
        }
    }

    /// For a listener beside that of the API, whose token nobody is shown: the environment's token or the one that was made before. Without
    /// either, what needs a token is refused.
    pub async fn prepare_known(node: &Node, address: SocketAddr) -> Result<Self> {
        let given = std::env::var(TOKEN_VARIABLE).ok().filter(|text| !text.trim().is_empty());
        let has_one = given.is_some() || node.inner.store.kv(HASH).await?.is_some();
        if is_loopback(address.ip()) || has_one {
            return Ok(Self::prepare_with(node, address, given.map(SecretString::from)).await?.0);
        }
        Ok(Self::with(causeway_store::random::<32>()?))
    }

    /// For a listener that everybody may ask who reaches it.
    pub(super) fn open(address: SocketAddr) -> Self {
        Self { token: None, local: is_loopback(address.ip()), command: None }
    }

    fn with(token: [u8; 32]) -> Self {
        Self { token: Some(Arc::new(token)), local: false, command: None }
    }

    /// Whether a request with these headers may see what the API shows.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> std::result::Result<(), Refusal> {
        if !self.needs_token() {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            return match host {
                Some(host) if self.local && !is_local_name(host) => Err(Refusal::forbidden(
                    "on loopback the `Host` header must name this machine: localhost or 127.0.0.1",
                )),
                _ => Ok(()),
            };
        }
        match bearer(headers) {
            Some(given) if self.knows(given) => Ok(()),
            _ => Err(Refusal::unauthorized("this address needs the token of the node")),
        }
    }

    fn check(&self, request: &Request) -> std::result::Result<(), Refusal> {
        let headers = request.headers();
        if changes(request.method()) && is_foreign(headers) {
            return Err(Refusal::forbidden(
                "requests that change something are not taken from web pages of other origins",
            ));
        }
        if !self.needs_token() {
            let host = headers.get(header::HOST).map(|host| host.to_str());
            return match host.or_else(|| request.uri().authority().map(|host| Ok(host.as_str()))) {
                // A web page whose name was pointed at this machine would name itself here.
                Some(Ok(host)) if self.local && !is_local_name(host) => Err(Refusal::forbidden(
                    "on loopback the `Host` header must name this machine: localhost or 127.0.0.1",
                )),
                Some(Err(_)) => Err(Refusal::forbidden("the `Host` header is not text")),
                _ => Ok(()),
            };
        }
        let path = request.uri().path();
        if !path.starts_with("/api/") && path != "/api" && path != "/metrics" {
            return Ok(());
        }
        match bearer(headers) {
            Some(given) if self.knows(given) => Ok(()),
            Some(_) => Err(Refusal::unauthorized("the token is not the one of this node")),
            None => Err(Refusal::unauthorized("this address needs a token")),
        }
    }
}

/// Lets a request through, or refuses it.
pub(super) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    match access.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a browser says that a page of another origin asks.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || origin.is_some_and(|origin| origin.is_empty() || text(header::HOST) != Some(origin))
}

/// Whether a `Host` header names this machine itself.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, _)) => inner,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for local in ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.9.9.9:1", "[::1]:80", "[::ffff:127.0.0.1]"] {
            assert!(is_local_name(local), "{local}");
        }
        for other in ["evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]:80", "", "127.0.0.1.evil.example"]
        {
            assert!(!is_local_name(other), "{other}");
        }
    }

    #[test]
    fn pages_of_other_origins() {
        let foreign = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, header::HeaderValue::from_static(value));
            }
            is_foreign(&headers)
        };
        let host = ("host", "localhost:8000");
        assert!(!foreign(&[host]));
        assert!(!foreign(&[host, ("origin", "http://localhost:8000")]));
        assert!(!foreign(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(foreign(&[host, ("origin", "http://evil.example")]));
        assert!(foreign(&[host, ("origin", "http://localhost:9000")]));
        assert!(foreign(&[host, ("origin", "null")]));
        assert!(foreign(&[host, ("sec-fetch-site", "cross-site")]));
    }
}
