//! A strict double of Kong 3.9: its Admin API as it was measured on a real one, and a real HTTP proxy that follows it. What
//! Kong refuses is refused; what it ignores is ignored.

mod address;
mod admin;
mod answer;
mod balancer;
mod body;
mod clock;
mod config;
mod control;
mod declarative;
mod health;
mod listing;
mod node;
mod proxy;
mod router;
mod rows;
mod schema;
mod store;
mod targets;
mod text;
mod tls;

pub use control::{KongFault, KongTraffic};

use balancer::KongRing;
use control::KongCounter;
use health::KongHealth;
use parking_lot::Mutex;
use router::KongRouting;
use schema::KongEntity;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::KongStore;

use anyhow::{Context, Result};
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How a double of Kong runs.
#[derive(Debug, Clone, clap::Args)]
pub struct KongArguments {
    /// The Admin API
    #[arg(long)]
    pub admin: SocketAddr,
    /// The proxy: plain HTTP/1.1
    #[arg(long)]
    pub proxy: SocketAddr,
    /// The door for tests: what was asked for, and faults
    #[arg(long)]
    pub control: Option<SocketAddr>,
    /// The Admin API over TLS
    #[arg(long, requires_all = ["cert", "key"])]
    pub admin_tls: Option<SocketAddr>,
    /// Its certificate, PEM
    #[arg(long)]
    pub cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long)]
    pub key: Option<PathBuf>,
    /// The folder of its database; without one, and without a database, everything is in memory
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Ask for this token in the header Kong-Admin-Token
    #[arg(long)]
    pub token: Option<String>,
    /// Take the token from the header authorization, too, as it is
    #[arg(long)]
    pub authorization: bool,
    /// Run without a database: everything comes by POST /config, or from the file
    #[arg(long)]
    pub dbless: bool,
    /// Without a database: the declarative configuration that is read at the start, and again at SIGHUP
    #[arg(long, requires = "dbless")]
    pub declarative: Option<PathBuf>,
    /// A workspace besides `default`; without any, paths know no workspaces
    #[arg(long)]
    pub workspace: Vec<String>,
    /// How long every call of the Admin API takes at least, in milliseconds (a real one: 17)
    #[arg(long, default_value_t = 0)]
    pub latency: u64,
    /// How late the proxy learns of routes and services, in milliseconds (a real one: up to 5000)
    #[arg(long, default_value_t = 100)]
    pub route_delay: u64,
    /// How long a new upstream has no health, in milliseconds (a real one: up to 5000)
    #[arg(long, default_value_t = 500)]
    pub balancer_delay: u64,
}

/// One running double.
pub(crate) struct KongDouble {
    options: KongArguments,
    /// Its id, another one in every process.
    node: String,
    store: Mutex<KongStore>,
    /// Of the declarative configuration.
    hash: Mutex<String>,
    desk: KongCounter,
    health: KongHealth,
    ring: KongRing,
    routing: KongRouting,
    http: reqwest::Client,
}

impl KongDouble {
    fn new(options: KongArguments) -> Result<Self> {
        let store = match &options.data {
            Some(folder) if !options.dbless => KongStore::open(folder)?,
            _ => KongStore::volatile(),
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let double = Self {
            node: uuid::Uuid::new_v4().to_string(),
            store: Mutex::new(store),
            hash: Mutex::new(config::EMPTY_HASH.to_owned()),
            desk: KongCounter::default(),
            health: KongHealth::default(),
            ring: KongRing::default(),
            routing: KongRouting::new(Duration::from_millis(options.route_delay)),
            http,
            options,
        };
        double.read_file()?;
        {
            let store = double.store.lock();
            double.routing.build(&store);
            let upstreams = store.spaces().flat_map(|space| space.table(KongEntity::Upstreams).rows());
            upstreams.for_each(|row| double.ring.born(store::id(row), false));
        }
        Ok(double)
    }

    /// Takes the declarative configuration from its file, where there is one.
    fn read_file(&self) -> Result<()> {
        let Some(path) = &self.options.declarative else { return Ok(()) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        self.load_text(&text).map_err(|wrong| anyhow::anyhow!("{}: {:?}", path.display(), wrong.body))
    }
}

/// Runs a double until this is dropped; returns only when a door cannot be opened or has failed.
pub async fn serve_kong(options: KongArguments) -> Result<()> {
    let double = Arc::new(KongDouble::new(options)?);
    let options = &double.options;
    let mut doors = JoinSet::new();
    let admin = Router::new().fallback(admin::answer).with_state(double.clone());
    doors.spawn(open(options.admin, admin.clone()).await?);
    let proxy = Router::new().fallback(proxy::answer).with_state(double.clone());
    doors.spawn(open(options.proxy, proxy).await?);
    if let Some(at) = options.control {
        let control = Router::new().fallback(control::answer).with_state(double.clone());
        doors.spawn(open(at, control).await?);
    }
    if let (Some(at), Some(cert), Some(key)) = (options.admin_tls, &options.cert, &options.key) {
        let listener = tls::KongTlsDoor::open(at, cert, key).await?;
        doors.spawn(async move { Ok(axum::serve(listener, admin).await?) });
    }
    doors.spawn(reload(double.clone()));
    doors.join_next().await.context("no door")??
}

async fn open(at: SocketAddr, router: Router) -> Result<impl Future<Output = Result<()>>> {
    let listener = TcpListener::bind(at).await.with_context(|| at.to_string())?;
    // Where this fails a small answer is late by some milliseconds.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(async move { Ok(axum::serve(listener, router).await?) })
}

/// SIGHUP reads the file again; a wrong one changes nothing.
async fn reload(double: Arc<KongDouble>) -> Result<()> {
    let mut asked = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    while asked.recv().await.is_some() {
        if let Err(wrong) = double.read_file() {
            eprintln!("{wrong:#}");
        }
    }
    std::future::pending().await
}
