//! Eureka's HTTP API: the wire and nothing else.

mod address;
mod model;

pub(super) use address::{Address, PATH};
pub(super) use model::{Lease, Listing, Port, Seen, Status, Texts, WireInstance, texts};

use crate::Connect;
use crate::util::http::{self, Http, Limits, Reply, path_segment};
use crate::util::tls::{self, Trust};
use causeway_core::Error;
use reqwest::{Client, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::time::Duration;

const LIMITS: Limits = Limits { connect: Duration::from_secs(2), answer: Duration::from_secs(5), body: 512 << 20 };
/// How long a list of everything may take.
const LONG: Duration = Duration::from_secs(30);
/// Most characters of an answer that an error shows.
const BRIEF: usize = 200;

/// The servers of one cluster.
pub(super) struct EurekaClient {
    http: Http,
    login: Option<(String, SecretString)>,
}

/// One request.
struct Call<'a> {
    method: Method,
    /// Behind the base, with a slash in front.
    path: String,
    query: &'a [(&'a str, String)],
    body: Option<String>,
    limit: Option<Duration>,
}

impl EurekaClient {
    /// Touches no network. Where an address says nothing else, `contextPath` is the API's path, and TLS is spoken where the
    /// settings say so.
    pub fn new(connect: &Connect) -> Result<Self, Error> {
        let mut addresses = Vec::new();
        for text in &connect.addresses {
            addresses.extend(Address::read_all(text).map_err(|why| Error::Rejected(format!("an address: {why}")))?);
        }
        let path = connect.context_path.as_deref().unwrap_or(PATH);
        let bases: Vec<_> = addresses.iter().map(|address| address.base(path, connect.tls.is_some())).collect();
        let needed = bases.iter().any(|base| base.starts_with("https:"));
        let trust = match &connect.tls {
            Some(tls) if tls.insecure => Trust::Anybody,
            Some(tls) if tls.ca.is_some() => tls.ca.as_ref().map_or(Trust::System, |ca| Trust::Given(ca.pem())),
            _ if needed => Trust::System,
            _ => Trust::Nobody,
        };
        let identity = connect.tls.as_ref().and_then(|tls| tls.identity());
        let tls = tls::config(trust, identity).map_err(Error::Rejected)?;
        let http = Http::new(tls, bases, LIMITS, is_passed_over).map_err(Error::Rejected)?;
        let own = addresses.into_iter().find_map(|address| address.login);
        let login = connect.login.clone().or(own.map(|(user, password)| (user, password.into())));
        Ok(Self { http, login })
    }

    /// Which of the servers answered last.
    pub fn server(&self) -> usize {
        self.http.preferred()
    }

    /// All instances.
    pub async fn all(&self) -> Result<Listing, Error> {
        self.list("/apps", Some(LONG), &mut Seen::default()).await
    }

    /// What has become of instances within the last minutes, in the order in which it did, but for what is in `seen`; what was in
    /// this delta is in it afterwards. [`Error::Denied`] and [`Error::Missing`] where the servers tell no deltas.
    pub async fn delta(&self, seen: &mut Seen) -> Result<Listing, Error> {
        self.list("/apps/delta", None, seen).await
    }

    async fn list(&self, path: &str, limit: Option<Duration>, seen: &mut Seen) -> Result<Listing, Error> {
        let call = Call { method: Method::GET, path: path.to_owned(), query: &[], body: None, limit };
        let body = self.send(call).await?.text();
        Listing::read(&body, seen).map_err(|error| Error::protocol(format!("the answer to {path} is no list: {error}")))
    }

    /// One instance as it stands, whatever lists still show; `None`: there is none.
    pub async fn instance(&self, app: &str, id: &str) -> Result<Option<WireInstance>, Error> {
        match self.one(Method::GET, app, id, "", &[]).await {
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
            Ok(reply) => {
                let read = model::read_one(&reply.text());
                read.map(Some).map_err(|error| Error::protocol(format!("{app}/{id} is no instance: {error}")))
            }
        }
    }

    /// Registers an instance, or writes over the one with its id unless that has a later time stamp.
    pub async fn register(&self, wire: &WireInstance) -> Result<(), Error> {
        let path = format!("/apps/{}", path_segment(&wire.app));
        let body = Some(json!({"instance": wire}).to_string());
        self.send(Call { method: Method::POST, path, query: &[], body, limit: None }).await.map(drop)
    }

    /// Renews the lease of an instance. [`Error::Missing`]: the server does not know it, or knows an older one.
    pub async fn renew(&self, app: &str, id: &str, status: Status, dirty: i64) -> Result<(), Error> {
        let query = [("status", status.word().to_owned()), ("lastDirtyTimestamp", dirty.to_string())];
        self.one(Method::PUT, app, id, "", &query).await.map(drop)
    }

    /// Lays a status over the one that its provider gives an instance.
    pub async fn lay_over(&self, app: &str, id: &str, status: Status, dirty: i64) -> Result<(), Error> {
        let query = [("value", status.word().to_owned()), ("lastDirtyTimestamp", dirty.to_string())];
        self.one(Method::PUT, app, id, "/status", &query).await.map(drop)
    }

    /// Takes away what was laid over; `status` is what the instance has until its provider says otherwise.
    pub async fn lay_bare(&self, app: &str, id: &str, status: Status, dirty: i64) -> Result<(), Error> {
        let query = [("value", status.word().to_owned()), ("lastDirtyTimestamp", dirty.to_string())];
        self.one(Method::DELETE, app, id, "/status", &query).await.map(drop)
    }

    /// Removes an instance. [`Error::Missing`]: there is none.
    pub async fn cancel(&self, app: &str, id: &str) -> Result<(), Error> {
        self.one(Method::DELETE, app, id, "", &[]).await.map(drop)
    }

    async fn one(
        &self,
        method: Method,
        app: &str,
        id: &str,
        behind: &str,
        query: &[(&str, String)],
    ) -> Result<Reply, Error> {
        let path = format!("/apps/{}/{}{behind}", path_segment(app), path_segment(id));
        self.send(Call { method, path, query, body: None, limit: None }).await
    }

    async fn send(&self, call: Call<'_>) -> Result<Reply, Error> {
        let build = |client: &Client, base: &str| {
            let url = format!("{base}{}", call.path);
            let mut request = client.request(call.method.clone(), url).query(call.query);
            request = request.header("accept", "application/json");
            if let Some(body) = &call.body {
                request = request.header("content-type", "application/json").body(body.clone());
            }
            match &self.login {
                Some((user, password)) => request.basic_auth(user, Some(password.expose_secret())),
                None => request,
            }
        };
        let reply = self.http.send(call.limit, build).await.map_err(|error| match error {
            http::Error::Unavailable(why) => Error::unavailable(why),
            http::Error::Unusable(why) => Error::protocol(why),
        })?;
        if reply.status.is_success() { Ok(reply) } else { Err(meaning(&call, reply)) }
    }
}

/// A server that was just started lists nothing before it has asked its peers, and says 403.
fn is_passed_over(reply: &Reply) -> bool {
    matches!(reply.status.as_u16(), 403 | 502..=504)
}

fn meaning(call: &Call<'_>, reply: Reply) -> Error {
    let status = reply.status.as_u16();
    let body: String = reply.text().chars().take(BRIEF).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = format!("HTTP {status}: {}", body.trim());
    let is_list = call.path == "/apps";
    match status {
        401 => Error::Denied("HTTP 401: the user or the password is wrong, or missing".into()),
        403 => Error::Denied("HTTP 403: the user has no right to it, or the server was just started".into()),
        404 if is_list => Error::protocol("HTTP 404: there is no Eureka below this path; see `contextPath`"),
        404 => Error::Missing(text),
        409 => Error::Conflict,
        429 => Error::Throttled(Duration::from_secs(1)),
        400 | 413..=415 | 422 => Error::Rejected(text),
        300..=399 | 405 | 406 | 410 => Error::protocol(text),
        _ => Error::unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_paths() {
        assert_eq!(path_segment("10.0.0.1:ORDERS A/ü"), "10.0.0.1%3AORDERS%20A%2F%C3%BC");
    }

    #[test]
    fn one_login_is_used() {
        let connect = |login| Connect {
            addresses: vec!["http://u:p%40@h:1/eureka".into(), "h:2".into()],
            login,
            ..Connect::default()
        };
        let user = |login| EurekaClient::new(&connect(login)).unwrap().login.unwrap().0;
        assert_eq!(user(None), "u");
        assert_eq!(user(Some(("own".into(), "x".to_owned().into()))), "own");
        assert!(EurekaClient::new(&Connect { addresses: vec!["a b".into()], ..Connect::default() }).is_err());
    }
}
