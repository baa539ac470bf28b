//! Calls to etcd, over the JSON form of its version 3 (3.4 and later).

use super::super::EtcdOptions;
use super::super::answers::{cause, whole};
use super::watch::{EtcdValue, EtcdWatch, bytes, number};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use causeway_connectors::tls::{self, Pem, Trust};
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, HOST};
use reqwest::{Client, Response, Url, redirect};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(3);
/// Until a server has answered; of a watch, until it has begun to.
const ANSWER: Duration = Duration::from_secs(5);
/// A connection that says nothing is probed so often.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Why a call has no result. The texts name the server, and hold neither password nor token.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum EtcdError {
    /// No server answers, or none can at the moment.
    #[error("{0}")]
    Away(String),
    /// The token that signing in gave is not known any more.
    #[error("{0}")]
    SignedOut(String),
    /// The call is refused; it would be again.
    #[error("{0}")]
    Refused(String),
}

/// The servers of one cluster. Clones share their connections, and what signing in gave.
#[derive(Clone, Debug)]
pub(super) struct EtcdClient {
    client: Client,
    bases: Arc<[String]>,
    /// The server that answered last is asked first.
    preferred: Arc<AtomicUsize>,
    authority: Option<String>,
    login: Option<(String, Hidden)>,
    token: Arc<Mutex<Option<String>>>,
}

/// A text that is never shown.
#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl EtcdClient {
    /// Reads the files of certificates, and connects to nobody. Errors say which option is wrong.
    pub(super) async fn new(options: &EtcdOptions) -> Result<Self, String> {
        let ca = read(options.trust_cert_collection_file.as_deref(), "trustCertCollectionFile").await?;
        let chain = read(options.key_cert_chain_file.as_deref(), "keyCertChainFile").await?;
        let key = read(options.key_file.as_deref(), "keyFile").await?;
        let own = match (&chain, &key) {
            (Some((chain, text)), Some((key, private))) => {
                Some((Pem { name: chain, text }, Pem { name: key, text: private }))
            }
            (None, None) => None,
            (Some(_), None) => return Err("keyCertChainFile needs keyFile, the key of the certificate".into()),
            (None, Some(_)) => return Err("keyFile needs keyCertChainFile, the certificate of the key".into()),
        };
        let with_tls = ca.is_some() || own.is_some();
        let bases = options.endpoints.iter().map(|given| base(given, with_tls)).collect::<Result<Vec<_>, _>>()?;
        if bases.is_empty() {
            return Err("there is no server: set the option `endpoints`, such as http://10.0.0.1:2379".into());
        }
        let trust = match &ca {
            Some((name, text)) => Trust::Given(Pem { name, text }),
            None if bases.iter().any(|base| base.starts_with("https:")) => Trust::System,
            None => Trust::Nobody,
        };
        // The name without a port.
        let name = options.authority.as_deref().map(|text| text.rsplit_once(':').map_or(text, |(name, _)| name));
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config_for(trust, own, name)?)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .tcp_keepalive(KEEPALIVE)
            .build()
            .map_err(|e| format!("HTTP client: {e}"))?;
        let login = match (&options.user, &options.password) {
            (Some(user), password) => Some((user.clone(), Hidden(password.clone().unwrap_or_default()))),
            (None, Some(_)) => return Err("the option `password` needs `user`".into()),
            (None, None) => None,
        };
        Ok(Self {
            client,
            bases: bases.into(),
            preferred: Arc::default(),
            authority: options.authority.clone(),
            login,
            token: Arc::default(),
        })
    }

    /// Reads a key.
    pub(super) async fn get(&self, key: &str) -> Result<EtcdValue, EtcdError> {
        let answer = self.signed_in("kv/range", &json!({"key": BASE64.encode(key)})).await?;
        let revision = number(&answer["header"]["revision"]);
        let value = match answer["kvs"].get(0) {
            Some(row) => Some(bytes(&row["value"])?),
            None => None,
        };
        Ok(EtcdValue { value, revision })
    }

    /// Follows a key: everything that happens to it from this revision on.
    pub(super) async fn watch(&self, key: &str, from: i64) -> Result<EtcdWatch, EtcdError> {
        let create = json!({"create_request": {"key": BASE64.encode(key), "start_revision": from.to_string()}});
        let (base, token) = (self.base(), self.token.lock().clone());
        let response = self.send(&base, "watch", &create, token.as_deref(), None).await?;
        Ok(EtcdWatch::new(response, base))
    }

    /// The next server is asked first from now on.
    pub(super) fn pass_on(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// The server that is asked first.
    pub(super) fn base(&self) -> String {
        self.bases[self.preferred.load(Ordering::Relaxed) % self.bases.len()].clone()
    }

    /// A call, after signing in where there is a user. Signs in once more where the server has forgotten that.
    async fn signed_in(&self, path: &str, body: &Value) -> Result<Value, EtcdError> {
        let known = self.token.lock().clone();
        if let (Some(_), None) = (&self.login, &known) {
            self.sign_in().await?;
        }
        match self.call(path, body).await {
            Err(EtcdError::SignedOut(_)) if self.login.is_some() => {
                self.sign_in().await?;
                self.call(path, body).await
            }
            answer => answer,
        }
    }

    async fn sign_in(&self) -> Result<(), EtcdError> {
        let Some((user, password)) = &self.login else { return Ok(()) };
        *self.token.lock() = None;
        let answer = match self.call("auth/authenticate", &json!({"name": user, "password": password.0})).await {
            // A cluster that asks for no users gives no tokens.
            Err(EtcdError::Refused(why)) if why.contains("authentication is not enabled") => return Ok(()),
            answer => answer?,
        };
        *self.token.lock() = answer["token"].as_str().map(str::to_owned);
        Ok(())
    }

    /// Asks one server after the other.
    async fn call(&self, path: &str, body: &Value) -> Result<Value, EtcdError> {
        let mut last = EtcdError::Away("there is no server".into());
        for _ in 0..self.bases.len() {
            let (base, token) = (self.base(), self.token.lock().clone());
            let answered = async {
                let response = self.send(&base, path, body, token.as_deref(), Some(ANSWER)).await?;
                let text = whole(response).await.map_err(|why| away(&base, &why))?;
                serde_json::from_slice(&text).map_err(|e| EtcdError::Refused(format!("{base}/v3/{path}: {e}")))
            };
            match answered.await {
                Err(error @ EtcdError::Away(_)) => last = error,
                answer => return answer,
            }
            self.pass_on();
        }
        Err(last)
    }

    async fn send(
        &self,
        base: &str,
        path: &str,
        body: &Value,
        token: Option<&str>,
        limit: Option<Duration>,
    ) -> Result<Response, EtcdError> {
        let mut request = self.client.post(format!("{base}/v3/{path}")).json(body);
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(authority) = &self.authority {
            request = request.header(HOST, authority);
        }
        let response = match tokio::time::timeout(ANSWER, request.send()).await {
            Ok(answered) => answered.map_err(|error| away(base, &cause(error)))?,
            Err(_) => return Err(away(base, "no answer in time")),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = tokio::time::timeout(ANSWER, whole(response)).await.ok().and_then(Result::ok).unwrap_or_default();
        let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        Err(self.refusal(base, status, &said))
    }

    fn refusal(&self, base: &str, status: u16, said: &Value) -> EtcdError {
        let message = said["message"].as_str().or(said["error"].as_str()).unwrap_or_default();
        let user = self.login.as_ref().map_or_else(|| "nobody".into(), |(user, _)| format!("the user {user}"));
        let text = format!("{base} answers {status}: {message}");
        let help = match message {
            m if m.contains("invalid auth token") || m.contains("auth store is old") => {
                return EtcdError::SignedOut(text);
            }
            m if m.contains("authentication failed") => "the option `user` or `password` is wrong".into(),
            m if m.contains("user name is empty") => {
                "the cluster asks for a user: set the options `user` and `password`".into()
            }
            m if m.contains("permission denied") => {
                format!("{user} has no right to read the key: grant a role that has")
            }
            _ if status == 404 => "etcd 3.4 or later is needed, with its gRPC gateway on".into(),
            _ if status == 429 || status >= 500 => return EtcdError::Away(text),
            _ => return EtcdError::Refused(text),
        };
        EtcdError::Refused(format!("{text}: {help}"))
    }
}

async fn read(file: Option<&Path>, option: &str) -> Result<Option<(String, Vec<u8>)>, String> {
    let Some(file) = file else { return Ok(None) };
    let named = |file: &Path| PathBuf::from(file).display().to_string();
    match tokio::fs::read(file).await {
        Ok(text) => Ok(Some((named(file), text))),
        Err(error) => Err(format!("{option}: {} cannot be read: {error}", named(file))),
    }
}

/// A server's URL without a slash at its end. Without a scheme it is HTTPS where certificates are named.
fn base(given: &str, with_tls: bool) -> Result<String, String> {
    let scheme = if with_tls { "https" } else { "http" };
    let text = if given.contains("://") { given.to_owned() } else { format!("{scheme}://{given}") };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("an endpoint holds no user or password: set the options `user` and `password`".into())
        }
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err(format!("endpoints: \"{given}\" is no address, such as http://10.0.0.1:2379")),
    }
}

fn away(base: &str, why: &str) -> EtcdError {
    let help = match why {
        _ if why.contains("CertificateRequired") || why.contains("BadCertificate") => {
            "; the server asks for a certificate of ours: set the options `keyCertChainFile` and `keyFile`"
        }
        _ if why.contains("certificate") => {
            "; name the file of the authority that signed its certificate with the option `trustCertCollectionFile`"
        }
        _ => "",
    };
    EtcdError::Away(format!("{base} does not answer: {why}{help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn options_are_checked() {
        let options = |change: fn(&mut EtcdOptions)| {
            let mut options = EtcdOptions { endpoints: vec!["127.0.0.1:2379".into()], ..EtcdOptions::default() };
            change(&mut options);
            options
        };
        let bases = |client: EtcdClient| client.bases.to_vec();
        let plain = EtcdClient::new(&options(|o| o.endpoints.push("https://b:1/".into()))).await.unwrap();
        assert_eq!(bases(plain), ["http://127.0.0.1:2379", "https://b:1"]);
        type Slip = fn(&mut EtcdOptions);
        let cases: [(Slip, &str); 6] = [
            (|o| o.endpoints.clear(), "`endpoints`"),
            (|o| o.endpoints[0] = "http://u:hunter2@a".into(), "`password`"),
            (|o| o.endpoints[0] = "ftp://a".into(), "ftp://a"),
            (|o| o.password = Some("hunter2".into()), "`user`"),
            (|o| o.key_file = Some("/nonexistent/k".into()), "keyFile: /nonexistent/k"),
            (
                |o| o.trust_cert_collection_file = Some("/nonexistent/c".into()),
                "trustCertCollectionFile: /nonexistent/c",
            ),
        ];
        for (change, named) in cases {
            let error = EtcdClient::new(&options(change)).await.unwrap_err();
            assert!(error.contains(named) && !error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn refusals_say_what_to_do() {
        let mut options = EtcdOptions { endpoints: vec!["http://a".into()], ..EtcdOptions::default() };
        options.user = Some("reader".into());
        options.password = Some("hunter2".into());
        let client = EtcdClient::new(&options).await.unwrap();
        assert!(!format!("{client:?}{options:?}").contains("hunter2"));
        let refusal =
            |status, message: &str| client.refusal("http://a", status, &json!({"message": message})).to_string();
        assert!(
            refusal(400, "etcdserver: authentication failed, invalid user ID or password")
                .contains("`password` is wrong")
        );
        assert!(refusal(400, "etcdserver: user name is empty").contains("set the options `user`"));
        assert!(refusal(403, "etcdserver: permission denied").contains("the user reader has no right"));
        let signed_out = client.refusal("http://a", 401, &json!({"error": "etcdserver: invalid auth token"}));
        assert!(matches!(signed_out, EtcdError::SignedOut(_)));
        assert!(matches!(client.refusal("http://a", 503, &Value::Null), EtcdError::Away(_)));
    }
}
