//! Where documents of other tools come from: a file, a ConfigMap, a key of etcd.
//!
//! A provider only tells what stands there. Whether a text is a valid document, what of it is new, and what to go on with while
//! there is none, is decided by who watches it.

mod answers;
mod etcd;
mod file;
mod kubernetes;

pub use etcd::EtcdProvider;
pub use file::FileProvider;
pub use kubernetes::{KubernetesProvider, PodAccount};

use futures_core::stream::BoxStream;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A place that holds one document.
///
/// Implementations hold settings and clients only: everything that runs belongs to the stream, and ends when the stream is dropped.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The place in words, for logs, problems and the status: `conf/sync-registry.json`, `ConfigMap ns/name, key k`. Holds no
    /// secret, and is the same for the life of the provider.
    fn place(&self) -> String;

    /// Tells what stands there: the first item as soon as one look has succeeded or failed, then one item for every change. A text
    /// that equals the one told last may be told again, or left out. The stream never ends: what fails is told as
    /// [`Sighting::Away`], once for each new reason, and retried with a back-off of at most 30 s. It may be polled late, or not at all for a
    /// while: then only the latest text counts.
    fn watch(&self) -> BoxStream<'static, Sighting>;
}

/// What a look at a provider showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The whole text, at most [`MAX_DOCUMENT`] bytes. It need not be a valid document.
    Text(Arc<str>),
    /// The place could be looked at, and holds no document: no such file, no such key. The text says which. It is no empty document:
    /// what ran goes on.
    Missing(String),
    /// The place could not be looked at, with the reason: what failed, where, and what to do about it. Never holds a secret. It is
    /// no empty document: what ran goes on.
    Away(String),
}

/// The largest document, in bytes. A larger one is [`Sighting::Away`] with that reason.
pub const MAX_DOCUMENT: usize = causeway_settings::MAX_FILE;

/// Which provider, and its options. Values are as their user wrote them; empty ones are absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderOptions {
    /// A file.
    File(PathBuf),
    /// A key of a ConfigMap.
    Kubernetes(KubernetesOptions),
    /// A key of etcd.
    Etcd(EtcdOptions),
    /// A word that means no provider, or options that one cannot do without: a place in words, and why it cannot be opened.
    Unusable(String, String),
}

/// The options of a ConfigMap: `options` of the application's file, or `POLARIS_SYNC_CONFIG_K8S_*`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KubernetesOptions {
    /// `ip:port` (which is HTTPS) or a URL. Absent: the cluster that the process runs in.
    pub address: Option<String>,
    /// The bearer token. Absent: the service account's. A secret.
    pub token: Option<String>,
    /// The namespace. Absent: the one that the process runs in.
    pub namespace: Option<String>,
    /// The ConfigMap's name.
    pub configmap: String,
    /// The keys to look for, the first that is there counts. More than one only where the user named none.
    pub keys: Vec<String>,
    /// All other options, by name as written. `caFile`, `insecureSkipVerify`: how an address that is not the cluster's own is trusted.
    pub others: BTreeMap<String, String>,
}

/// The options of a key of etcd, as in `options` of the application's file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EtcdOptions {
    /// The servers.
    pub endpoints: Vec<String>,
    /// The user to sign in as.
    pub user: Option<String>,
    /// The user's password. A secret.
    pub password: Option<String>,
    /// The name that the servers' certificate must hold.
    pub authority: Option<String>,
    /// A PEM file of the authorities to trust.
    pub trust_cert_collection_file: Option<PathBuf>,
    /// A PEM file of our own certificate.
    pub key_cert_chain_file: Option<PathBuf>,
    /// A PEM file of the key of our own certificate.
    pub key_file: Option<PathBuf>,
    /// The key that holds the document.
    pub data_id: String,
}

/// Without the token.
impl fmt::Debug for KubernetesOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, namespace, configmap, keys, .. } = self;
        write!(f, "KubernetesOptions({address:?}, {namespace:?}, {configmap}, {keys:?})")
    }
}

/// Without the password.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtcdOptions({:?}, {})", self.endpoints, self.data_id)
    }
}

/// The provider that the options name. Touches no network; what cannot be used is told by its stream.
pub fn provider(options: &ProviderOptions) -> Arc<dyn Provider> {
    match options {
        ProviderOptions::File(path) => Arc::new(FileProvider::new(path.clone())),
        ProviderOptions::Kubernetes(options) => Arc::new(KubernetesProvider::new(options.clone())),
        ProviderOptions::Etcd(options) => Arc::new(EtcdProvider::new(options.clone())),
        ProviderOptions::Unusable(place, why) => Arc::new(NoProvider::new(place.clone(), why.clone())),
    }
}

/// A provider whose options cannot be used: it is away, and says why.
#[derive(Debug)]
pub struct NoProvider {
    place: String,
    why: String,
}

impl NoProvider {
    /// `why`: what is wrong, and what to do about it.
    pub fn new(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self { place: place.into(), why: why.into() }
    }
}

impl Provider for NoProvider {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn watch(&self) -> BoxStream<'static, Sighting> {
        let why = self.why.clone();
        Box::pin(async_stream::stream! {
            yield Sighting::Away(why);
            std::future::pending::<()>().await;
        })
    }
}
