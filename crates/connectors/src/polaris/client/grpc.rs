//! Connections to the gRPC ports.

use super::address::{GrpcAddress, bracketed};
use causeway_core::Error;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(2);
/// A server that answers nothing for so long is asked whether it lives, and has as long to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Bytes in flight: a service with 5,000 instances is more than one megabyte.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Connects to the servers of one cluster. The one that was reached last is tried first.
pub(super) struct Dialer {
    servers: Vec<GrpcAddress>,
    tls: Arc<ClientConfig>,
    preferred: AtomicUsize,
}

impl Dialer {
    pub fn new(servers: Vec<GrpcAddress>, tls: ClientConfig) -> Self {
        Self { servers, tls: Arc::new(tls), preferred: AtomicUsize::new(0) }
    }

    /// How many servers there are.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// Connects to one server, the next one at the next call unless [`Dialer::keep`] is called. The error names the server.
    pub async fn connect(&self) -> Result<(Channel, String), Error> {
        let index = self.preferred.fetch_add(1, Ordering::Relaxed) % self.servers.len().max(1);
        let Some(server) = self.servers.get(index) else {
            return Err(Error::unavailable("no gRPC address is known"));
        };
        let name = format!("{}:{}", bracketed(&server.host), server.port);
        // TLS is our sockets' affair, of which the channel is to know nothing.
        let endpoint = Endpoint::from_shared(format!("http://{name}"))
            .map_err(|e| Error::protocol(format!("{name}: {e}")))?
            .connect_timeout(CONNECT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let sockets = Sockets { server: server.clone(), tls: self.tls.clone() };
        let connect = endpoint.connect_with_connector(sockets);
        match tokio::time::timeout(CONNECT * 2, connect).await {
            Ok(Ok(channel)) => Ok((channel, name)),
            Ok(Err(error)) => Err(Error::unavailable(format!("{name}: {}", root_cause(&error)))),
            Err(_) => Err(Error::unavailable(format!("{name}: no connection within {} s", (CONNECT * 2).as_secs()))),
        }
    }

    /// The server that was connected to last answers: it is tried first from now on.
    pub fn keep(&self) {
        self.preferred.fetch_sub(1, Ordering::Relaxed);
    }

    /// That one has stopped to answer: another one is tried first.
    pub fn pass_over(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes the sockets of one server.
#[derive(Clone)]
struct Sockets {
    server: GrpcAddress,
    tls: Arc<ClientConfig>,
}

/// A socket, with TLS or without.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl tower::Service<Uri> for Sockets {
    type Response = TokioIo<Box<dyn Socket>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { server, tls } = self.clone();
        Box::pin(async move {
            let socket = TcpStream::connect((server.host.as_str(), server.port)).await?;
            socket.set_nodelay(true)?;
            if !server.secure {
                return Ok(TokioIo::new(Box::new(socket) as Box<dyn Socket>));
            }
            let name = ServerName::try_from(server.host).map_err(io::Error::other)?;
            let stream = TlsConnector::from(tls).connect(name, socket).await?;
            Ok(TokioIo::new(Box::new(stream) as Box<dyn Socket>))
        })
    }
}

/// What lies below an error that says little itself.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
