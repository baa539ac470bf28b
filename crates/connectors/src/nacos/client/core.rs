//! What all parts of one cluster's client share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::address::Address;
use super::auth::{Auth, lacks_right};
use super::error::{Error, Result};
use super::http::{HttpCall, HttpReply, NacosHttp};
use super::transport::Secure;
use super::{DetectedVersion, Options};
use crate::TlsTexts;
use crate::util::tls::{self, Trust};

/// Options, credentials and HTTP of one cluster.
pub(super) struct Core {
    pub(super) options: Options,
    pub(super) auth: Auth,
    pub(super) http: NacosHttp,
    grpc_tls: Arc<rustls::ClientConfig>,
    /// As far as it has been told.
    pub(super) version: Mutex<Option<DetectedVersion>>,
    publishers: AtomicU64,
    published_as: Mutex<PublishedAs>,
}

/// Ids of the connections by which we publish or have published.
#[derive(Default)]
struct PublishedAs {
    /// By publisher.
    present: BTreeMap<u64, String>,
    /// The oldest first.
    earlier: VecDeque<String>,
}

/// Earlier connections that are remembered, at least and for each present one: more than can be made within the time in
/// which a server notices the end of one.
const REMEMBERED: (usize, usize) = (64, 4);

impl PublishedAs {
    fn leave(&mut self, id: String) {
        self.earlier.push_back(id);
        let most = REMEMBERED.0.max(REMEMBERED.1 * self.present.len());
        while self.earlier.len() > most {
            self.earlier.pop_front();
        }
    }
}

/// The client side of TLS. The system's certificates are read only where they are needed, so that a machine without any can
/// still speak plain HTTP.
fn tls_config(options: &Options) -> Result<rustls::ClientConfig> {
    let tls = options.tls.as_ref();
    let trust = match tls.map(|tls| (tls.insecure, &tls.ca)) {
        Some((true, _)) => Trust::Anybody,
        Some((false, Some(ca))) => Trust::Given(ca.pem()),
        None if options.addresses.iter().all(|address| !address.https) => Trust::Nobody,
        _ => Trust::System,
    };
    tls::config(trust, tls.and_then(TlsTexts::identity)).map_err(Error::Rejected)
}

impl Core {
    pub(super) fn new(options: Options) -> Result<Self> {
        if options.addresses.is_empty() {
            return Err(Error::Rejected("a cluster needs an address".into()));
        }
        let config = tls_config(&options)?;
        let mut grpc_tls = config.clone();
        grpc_tls.alpn_protocols = vec![b"h2".to_vec()];
        let http = NacosHttp::new(config, &options.addresses, &options.context_path)?;
        Ok(Core {
            auth: Auth::new(options.login.clone(), options.keys.clone()),
            http,
            grpc_tls: Arc::new(grpc_tls),
            version: Mutex::new(None),
            publishers: AtomicU64::new(0),
            published_as: Mutex::default(),
            options,
        })
    }

    /// TLS for the gRPC port of `address`, when it is wanted.
    pub(super) fn secure(&self, address: &Address) -> Result<Option<Secure>> {
        let Some(tls) = &self.options.tls else { return Ok(None) };
        let name = tls.server_name.as_ref().unwrap_or(&address.host);
        let name = ServerName::try_from(name.clone()).map_err(|e| Error::Rejected(format!("{address}: {e}")))?;
        Ok(Some(Secure { config: Arc::clone(&self.grpc_tls), name }))
    }

    /// The current token; none without a user.
    pub(super) async fn token(&self) -> Result<Option<SecretString>> {
        self.auth.fresh(&self.http, None).await
    }

    /// A token other than `stale`, which the server just refused; none when `stale` is young, since another one would be
    /// refused as well.
    pub(super) async fn renew(&self, stale: &SecretString) -> Result<Option<SecretString>> {
        let fresh = self.auth.fresh(&self.http, Some(stale)).await?;
        Ok(fresh.filter(|fresh| fresh.expose_secret() != stale.expose_secret()))
    }

    /// One HTTP request with our credentials; a refused token is renewed once.
    pub(super) async fn call(&self, mut call: HttpCall) -> Result<HttpReply> {
        let plain = call.params.len();
        call.params.extend(self.auth.signature(call.service.as_deref()));
        let token = self.token().await?;
        let bearer = token.as_ref().map(|t| t.expose_secret());
        let reply = self.http.send(&call, bearer).await?;
        if matches!(reply.status.as_u16(), 404 | 410 | 501) && matches!(reply.error(), Error::Protocol(_)) {
            // The interface is not there: perhaps the servers were upgraded under us.
            *self.version.lock() = None;
        }
        let refused = matches!(reply.status.as_u16(), 401 | 403) && !lacks_right(&reply.body);
        let Some(stale) = token.filter(|_| refused) else { return Ok(reply) };
        let Some(fresh) = self.renew(&stale).await? else { return Ok(reply) };
        call.params.truncate(plain);
        call.params.extend(self.auth.signature(call.service.as_deref()));
        self.http.send(&call, Some(fresh.expose_secret())).await
    }

    /// The JSON of a successful answer to [`Core::call`].
    pub(super) async fn read<T: DeserializeOwned>(&self, call: HttpCall) -> Result<T> {
        self.call(call).await?.json()
    }

    /// [`Core::call`] with a request whose success is all there is to know.
    pub(super) async fn execute(&self, call: HttpCall) -> Result<()> {
        self.call(call).await?.text().map(drop)
    }

    /// A number for a new publisher.
    pub(super) fn next_publisher(&self) -> u64 {
        self.publishers.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes the connection by which a publisher publishes now.
    pub(super) fn publishes_as(&self, publisher: u64, id: &str) {
        let mut ids = self.published_as.lock();
        if let Some(before) = ids.present.insert(publisher, id.to_owned()) {
            ids.leave(before);
        }
    }

    /// Notes that a publisher has ended.
    pub(super) fn publishes_no_longer(&self, publisher: u64) {
        let mut ids = self.published_as.lock();
        if let Some(before) = ids.present.remove(&publisher) {
            ids.leave(before);
        }
    }

    /// Earlier connections, then the present ones.
    pub(super) fn published_as(&self) -> Vec<String> {
        let ids = self.published_as.lock();
        ids.earlier.iter().chain(ids.present.values()).cloned().collect()
    }
}
