//! A node in this process, with its REST API.

use crate::failure::Failure;
use crate::local::LocalDoor;
use crate::output::Paint;
use causeway_peers::environment::Installation;
use causeway_server::{Access, Error, Node, Options};
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// How often a port that is taken is retried.
const AGAIN: Duration = Duration::from_secs(2);

/// A running node and its API.
pub struct Local {
    node: Node,
    address: SocketAddr,
    /// A token that was made now: to be shown once.
    pub token: Option<SecretString>,
    api: JoinSet<io::Result<()>>,
    /// Where commands on this machine find it.
    door: Option<LocalDoor>,
}

impl Local {
    /// Listens first, so that a port that is taken ends a start before anything is written; then starts the node.
    pub async fn start(listen: &str, options: Options) -> Result<Self, Failure> {
        let (listener, address) = bind(listen, &options.data_dir).await?;
        let folder = options.data_dir.clone();
        let node = Node::start(options).await.map_err(told)?;
        let (access, token) = Access::prepare(&node, address).await.map_err(told)?;
        let door = match LocalDoor::open(&folder, address, access.needs_token()) {
            Ok(door) => Some(door),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "commands with --local will not find this node");
                None
            }
        };
        let access = match door.as_ref().and_then(LocalDoor::token) {
            Some(token) => access.and_command(token),
            None => access,
        };
        let mut api = JoinSet::new();
        api.spawn({
            let node = node.clone();
            async move { node.serve(listener, access).await }
        });
        Ok(Self { node, address, token, api, door })
    }

    /// Follows the documents of an installation of another tool, and answers on its port. A port that is taken is told, and tried
    /// again: the other tool may still run. Nothing else depends on it.
    pub async fn follow(&mut self, installation: &Installation) {
        self.node.follow(installation);
        let port = installation.port;
        match serve_peer_port(&self.node, port).await {
            Ok(serve) => {
                self.api.spawn(serve);
            }
            Err(error) => {
                tracing::warn!(
                    "GET /sync/health is not answered on port {port}: {error}; it is as soon as the port is free, or set `server.port` or \
                     SERVER_PORT"
                );
                let node = self.node.clone();
                self.api.spawn(async move {
                    loop {
                        tokio::select! {
                            () = node.stopped() => return Ok(()),
                            () = tokio::time::sleep(AGAIN) => {}
                        }
                        if let Ok(serve) = serve_peer_port(&node, port).await {
                            return serve.await;
                        }
                    }
                });
            }
        }
    }

    /// Also answers `/metrics` and the probes at an address of their own, without a token.
    pub async fn serve_metrics(&mut self, address: &str) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::new(format!("cannot listen on {address} for metrics: {error}"))
                .help("--metrics-listen takes an address and a port, such as 0.0.0.0:9464")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let node = self.node.clone();
        self.api.spawn(async move { node.serve_metrics(listener).await });
        tracing::info!("answering GET /metrics on http://{bound}, without a token");
        Ok(())
    }

    /// Where the API listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the API ends by itself, which is a failure.
    pub async fn ended_early(&mut self) -> Failure {
        match self.api.join_next().await {
            Some(Ok(Err(error))) => Failure::new(format!("the API ended early: {error}")),
            _ => Failure::new("the API ended early"),
        }
    }

    /// Ends the node and withdraws nothing. The caller leaves the process without dropping this: dropped connections
    /// would say goodbye to the clusters.
    pub async fn stop(&mut self) {
        self.door.take().into_iter().for_each(LocalDoor::close);
        self.node.stop().await;
        while self.api.join_next().await.is_some() {}
    }
}

/// Listens on the other tool's port. What is returned answers there until the node stops.
async fn serve_peer_port(node: &Node, port: u16) -> Result<impl Future<Output = io::Result<()>> + use<>, String> {
    let listener = match TcpListener::bind(("::", port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await.map_err(|error| error.to_string())?,
    };
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let access = Access::prepare_known(node, address).await.map_err(|error| error.to_string())?;
    tracing::info!("answering GET /sync/health on {address}");
    let node = node.clone();
    Ok(async move { node.serve_peer_port(listener, access).await })
}

async fn bind(listen: &str, data_dir: &Path) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |why: &str| Failure::new(format!("cannot listen on {listen}: {why}"));
    match TcpListener::bind(listen).await {
        Ok(listener) => {
            let address = listener.local_addr().map_err(|error| failed(&error.to_string()))?;
            Ok((listener, address))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // Most often it is a second node on the same data folder, and this is the better reason.
            if let Err(taken @ causeway_store::Error::Taken { .. }) = causeway_store::check_free(data_dir) {
                return Err(Failure::new(taken.to_string()));
            }
            Err(failed("something listens there already")
                .help("if it is a node, speak to it with --server; else choose another address with --listen"))
        }
        Err(error) => Err(failed(&error.to_string())
            .help("--listen takes an address and a port, such as 127.0.0.1:8000; port 0: any free one")),
    }
}

fn told(error: Error) -> Failure {
    match error {
        Error::Settings(_, problems) => Failure::Drawn(problems.render(Paint::of(io::stderr().is_terminal()).is_on())),
        Error::Conflict { what, help } | Error::Slow { what, help } if !help.is_empty() => {
            Failure::new(what).help(help)
        }
        error => Failure::new(error.to_string()),
    }
}

/// The text to show a new token with.
pub fn token_words(token: &SecretString) -> String {
    format!("token: {}\n(shown this once; callers give it with --token or CAUSEWAY_TOKEN)", token.expose_secret())
}

/// The path to this very program, also when its file has been replaced since.
pub fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Ctrl-C or SIGTERM; with `terminal`, also the end of the terminal. Before it is called they end the process at once.
pub fn asked_to_end(terminal: bool) -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    // A node under `nohup` must not listen: it would end where it was told to stay.
    let mut hangup = if terminal { Some(listen(SignalKind::hangup())?) } else { None };
    Ok(async move {
        let gone = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = gone => {}
        }
    })
}
