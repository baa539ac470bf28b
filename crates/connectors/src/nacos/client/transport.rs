//! One HTTP/2 connection over a socket of our own.
//!
//! tonic's channel is not used: it makes its sockets itself and reconnects by itself, and both
//! matter here. A Nacos client *is* its TCP connection: there must be exactly one, its end must
//! be noticed, and its socket must be accessible.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use super::error::{Error, Result};

/// Bytes in flight a stream and a connection: one batch of 5,000 instances is about 1 MB.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Limit for a connection to stand.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// Connects to `host:port` within [`CONNECT`].
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream> {
    let name = format!("{host}:{port}");
    let unavailable = |error: io::Error| Error::Unavailable(format!("{name}: {error}"));
    let late = |_| Error::Unavailable(format!("{name}: no connection within {} ms", CONNECT.as_millis()));
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await;
    let socket = connected.map_err(late)?.map_err(unavailable)?;
    socket.set_nodelay(true).map_err(unavailable)?;
    Ok(socket)
}

/// Ends a TCP connection for both sides, even while another process holds the socket too.
pub(super) struct Ender(std::net::TcpStream);

impl Ender {
    /// Splits a handle off `socket`.
    pub(super) fn of(socket: TcpStream) -> io::Result<(TcpStream, Ender)> {
        let socket = socket.into_std()?;
        let ender = Ender(socket.try_clone()?);
        Ok((TcpStream::from_std(socket)?, ender))
    }

    /// A connection that has ended already is fine.
    pub(super) fn end(&self) {
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            tracing::trace!(%error, "socket had ended");
        }
    }
}

/// TLS settings for one connection.
pub(super) struct Secure {
    pub(super) config: Arc<rustls::ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// HTTP/2 on `socket`. All tasks run in `tasks` and end when `end` is cancelled; `end` is
/// cancelled when the connection ends by itself.
pub(super) async fn handshake(
    socket: TcpStream,
    secure: Option<Secure>,
    tasks: &TaskTracker,
    end: &CancellationToken,
) -> Result<Http2> {
    match secure {
        None => start(socket, tasks, end).await,
        Some(secure) => {
            let stream = TlsConnector::from(secure.config)
                .connect(secure.name, socket)
                .await
                .map_err(|e| Error::Unavailable(format!("TLS: {e}")))?;
            start(stream, tasks, end).await
        }
    }
}

async fn start<I>(io: I, tasks: &TaskTracker, end: &CancellationToken) -> Result<Http2>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (send, driver) = Builder::new(Tracked { tasks: tasks.clone(), end: end.clone() })
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|e| Error::Unavailable(format!("HTTP/2: {e}")))?;
    let end = end.clone();
    tasks.spawn(async move {
        let _over = end.clone().drop_guard();
        // Dropping the driver closes our descriptor without sending anything to the server.
        tokio::select! {
            biased;
            () = end.cancelled() => {}
            result = driver => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
            }
        }
    });
    Ok(Http2 { send })
}

/// Runs hyper's own tasks among those that we wait for, and stops them at the end: the one that
/// writes would send a GOAWAY, and the server must not notice our end.
#[derive(Clone)]
struct Tracked {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = end.cancelled() => {}
                _ = future => {}
            }
        });
    }
}

/// Sends requests over one connection; clones share it.
#[derive(Clone)]
pub(super) struct Http2 {
    send: SendRequest<Body>,
}

impl tower::Service<http::Request<Body>> for Http2 {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), hyper::Error>> {
        self.send.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.send.send_request(request))
    }
}
