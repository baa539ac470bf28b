//! A Polaris' HTTP API: requests, and what their answers mean. Discovery, which gRPC serves as well, is in `discovery`.

mod address;
pub(super) mod codes;
mod discovery;
mod grpc;
mod json;
mod stream;
mod writes;

pub(super) use address::{Servers, check};
pub(super) use discovery::{Discovery, Found, Question};
pub(super) use json::InstanceJson;
pub(super) use writes::{WriteKind, WriteOutcome, again};

use crate::Connect;
use crate::util::http::{self, Http, Limits, Reply};
use crate::util::tls::{self, Trust};
use causeway_core::{Error, InstanceId};
use causeway_proto::polaris;
use codes::refusal;
use grpc::Dialer;
use json::{Answer, NamespaceJson, ServiceJson};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::time::Duration;

/// What one server may take for an answer, and how large that may be.
const LIMITS: Limits = Limits { connect: Duration::from_secs(2), answer: Duration::from_secs(5), body: 256 << 20 };
/// Records of one page of a list, and of one write: servers take no more.
pub(super) const PAGE: usize = 100;
/// Pages of one list: more are a server that never comes to an end.
const PAGES: usize = 10_000;
/// Most characters of a server's own words in an error.
const WORDS: usize = 300;
/// The header of the token; the key of gRPC's metadata is the same in small letters.
const TOKEN: &str = "X-Polaris-Token";

/// The servers of one cluster.
pub(super) struct Client {
    http: Http,
    token: Option<SecretString>,
    dialer: Dialer,
}

impl Client {
    /// Touches no network. The error says which setting cannot be used.
    pub fn new(connect: &Connect) -> Result<Self, String> {
        let texts = connect.tls.clone().unwrap_or_default();
        let path = connect.context_path.as_deref().unwrap_or_default().trim_end_matches('/');
        let servers = Servers::of(&connect.addresses, connect.tls.is_some(), path)?;
        let secured =
            servers.http.iter().any(|base| base.starts_with("https://")) || servers.grpc.iter().any(|one| one.secure);
        let trust = || match &texts.ca {
            _ if texts.insecure => Trust::Anybody,
            Some(ca) => Trust::Given(ca.pem()),
            None if secured => Trust::System,
            None => Trust::Nobody,
        };
        let name = texts.server_name.as_deref();
        let http = tls::config_for(trust(), texts.identity(), name)?;
        let mut grpc = tls::config_for(trust(), texts.identity(), name)?;
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        let http = Http::new(http, servers.http, LIMITS, is_passed_over)?;
        Ok(Self { http, token: connect.token.clone(), dialer: Dialer::new(servers.grpc, grpc) })
    }

    /// Whether a token is given: then a refusal is about it.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The namespaces, with their comments.
    pub async fn namespaces(&self) -> Result<BTreeMap<String, String>, Error> {
        let found = self.pages("/naming/v1/namespaces", &[], |answer| answer.namespaces.unwrap_or_default()).await?;
        let one =
            |one: NamespaceJson| Some((one.name.filter(|name| !name.is_empty())?, one.comment.unwrap_or_default()));
        Ok(found.into_iter().filter_map(one).collect())
    }

    /// Whether there is a namespace of this name.
    pub async fn has_namespace(&self, name: &str) -> Result<bool, Error> {
        let query = [("name", name.to_owned()), ("limit", PAGE.to_string())];
        let answer = self.get("/naming/v1/namespaces", &query).await?;
        Ok(answer.namespaces.unwrap_or_default().iter().any(|one| one.name.as_deref() == Some(name)))
    }

    /// Whether a namespace has a service of this name.
    pub async fn has_service(&self, namespace: &str, name: &str) -> Result<bool, Error> {
        let query = [("namespace", namespace.to_owned()), ("name", name.to_owned()), ("limit", PAGE.to_string())];
        let answer = self.get("/naming/v1/services", &query).await?;
        Ok(answer.services.unwrap_or_default().iter().any(|one| one.name.as_deref() == Some(name)))
    }

    /// How many services a namespace has.
    pub async fn count(&self, namespace: &str) -> Result<usize, Error> {
        let query = [("namespace", namespace.to_owned()), ("limit", "1".to_owned()), ("offset", "0".to_owned())];
        let answer = self.get("/naming/v1/services", &query).await?;
        Ok(answer.amount.unwrap_or_default() as usize)
    }

    /// The instances of a service at these hosts, as they stand: servers bring their cache up to date before they answer.
    /// Without the metadata that only say again what other fields do.
    pub async fn standing(
        &self,
        namespace: &str,
        service: &str,
        hosts: &[&str],
    ) -> Result<Vec<polaris::Instance>, Error> {
        let mut query = vec![("namespace", namespace.to_owned()), ("service", service.to_owned())];
        query.push(("host", hosts.join(",")));
        let list = self.pages("/naming/v1/instances", &query, |answer| answer.instances.unwrap_or_default()).await?;
        // Servers match some names as patterns.
        let of = |one: &InstanceJson| {
            one.service.as_deref().is_none_or(|name| name == service)
                && one.namespace.as_deref().is_none_or(|name| name == namespace)
        };
        Ok(list.into_iter().filter(of).map(polaris::Instance::from).collect())
    }

    /// Has the servers bring their cache of a namespace up to date, so that discovery shows what stands.
    pub async fn refresh(&self, namespace: &str) -> Result<(), Error> {
        let query = [("namespace", namespace.to_owned()), ("limit", "1".to_owned()), ("offset", "0".to_owned())];
        self.get("/naming/v1/instances", &query).await.map(drop)
    }

    /// Discovery by HTTP.
    async fn discover(&self, query: &Question) -> Result<Result<Found, Error>, Error> {
        let body = serde_json::to_vec(&query.json()).map_err(|e| Error::protocol(e.to_string()))?;
        let answer = self.send(Method::POST, "/v1/Discover", &[], Some(body)).await?;
        Ok(query.found_in_json(answer))
    }

    /// A heartbeat of one instance. [`Error::Missing`]: there is none.
    pub async fn beat(&self, namespace: &str, service: &str, id: &InstanceId) -> Result<(), Error> {
        let body = InstanceJson {
            namespace: Some(namespace.to_owned()),
            service: Some(service.to_owned()),
            vpc_id: Some(id.slot.to_string()).filter(|vpc| !vpc.is_empty()),
            host: Some(id.endpoint.host.to_string()),
            port: Some(id.endpoint.port.into()),
            ..InstanceJson::default()
        };
        let body = serde_json::to_vec(&body).map_err(|e| Error::protocol(e.to_string()))?;
        sound(self.send(Method::POST, "/v1/Heartbeat", &[], Some(body)).await?).map(drop)
    }

    /// A whole list.
    async fn pages<T>(
        &self,
        path: &str,
        query: &[(&str, String)],
        of: impl Fn(Answer) -> Vec<T>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let mut query = query.to_vec();
            query.extend([("offset", all.len().to_string()), ("limit", PAGE.to_string())]);
            let answer = self.get(path, &query).await?;
            let amount = answer.amount;
            let page = of(answer);
            let last = page.is_empty() || page.len() < PAGE && amount.is_none();
            all.extend(page);
            if last || amount.is_some_and(|amount| all.len() >= amount as usize) {
                return Ok(all);
            }
        }
        Err(Error::protocol(format!("the list {path} has no end")))
    }

    async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, Error> {
        sound(self.send(Method::GET, path, query, None).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Error> {
        let build = |client: &reqwest::Client, base: &str| {
            let mut request = client.request(method.clone(), format!("{base}{path}")).query(query);
            if let Some(token) = &self.token {
                request = request.header(TOKEN, token.expose_secret());
            }
            match &body {
                Some(body) => request.header("Content-Type", "application/json").body(body.clone()),
                None => request,
            }
        };
        let reply = self.http.send(None, build).await.map_err(|error| match error {
            http::Error::Unavailable(why) => Error::unavailable(why),
            http::Error::Unusable(why) => Error::protocol(why),
        })?;
        read(reply, path)
    }
}

/// The body of an answer, whatever its status: the code in it says more. Without one the status is all there is.
fn read(reply: Reply, path: &str) -> Result<Answer, Error> {
    let status = u32::from(reply.status.as_u16());
    let parsed = serde_json::from_slice::<Answer>(&reply.body);
    match parsed {
        Ok(answer) if answer.code() > 0 => Ok(answer),
        _ if reply.status.is_success() => {
            let why = parsed.err().map_or_else(|| "it has no code".to_owned(), |error| error.to_string());
            Err(Error::protocol(format!("the answer to {path} is not Polaris': {why}")))
        }
        _ => {
            let words = brief(&String::from_utf8_lossy(&reply.body));
            Err(refusal(status * 1_000, &words).unwrap_or_else(|| Error::protocol(format!("{status} {words}"))))
        }
    }
}

/// The answer, or what its code means.
fn sound(answer: Answer) -> Result<Answer, Error> {
    refusal(answer.code(), &brief(answer.words())).map_or(Ok(answer), Err)
}

fn brief(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Another server may do better: this one is overloaded, or its store is away.
fn is_passed_over(reply: &Reply) -> bool {
    reply.status.is_server_error()
}

/// The name in a field.
fn name_of(service: Option<&ServiceJson>) -> (Option<&str>, Option<&str>) {
    (service.and_then(|one| one.namespace.as_deref()), service.and_then(|one| one.name.as_deref()))
}

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
