//! Sockets to servers.

use super::address::ServerAddress;
use super::error::{Result, WireError};
use super::features::{ServerVersion, number_in};
use super::tls::Tls;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A socket, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects within `limit`.
pub(super) async fn dial(address: &ServerAddress, tls: Option<&Tls>, limit: Duration) -> Result<Box<dyn Stream>> {
    let connecting = async {
        let failed = |e: std::io::Error| WireError::Unavailable(format!("{address}: {e}"));
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let Some(tls) = tls else { return Ok(Box::new(socket) as Box<dyn Stream>) };
        let name = tls.name(&address.host)?;
        let stream = TlsConnector::from(tls.config.clone())
            .connect(name, socket)
            .await
            .map_err(|e| WireError::Unavailable(format!("{address}: TLS: {e}")))?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    let late = || WireError::Unavailable(format!("{address}: no connection within {} ms", limit.as_millis()));
    tokio::time::timeout(limit, connecting).await.map_err(|_| late())?
}

/// A server's version, asked for on a connection of its own; `None` where it does not tell. Many servers do not.
pub(super) async fn version(address: &ServerAddress, tls: Option<&Tls>, limit: Duration) -> Option<ServerVersion> {
    let mut stream = dial(address, tls, limit).await.ok()?;
    let asking = async {
        stream.write_all(b"srvr").await.ok()?;
        stream.flush().await.ok()?;
        let mut answer = Vec::new();
        // Whatever answers here may not be a ZooKeeper server at all. With TLS the end may come without a goodbye.
        drop(stream.take(64 * 1024).read_to_end(&mut answer).await);
        number_in(&String::from_utf8_lossy(&answer))
    };
    tokio::time::timeout(limit, asking).await.ok()?
}
