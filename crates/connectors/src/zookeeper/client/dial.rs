//! Sockets to servers.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::error::{Error, Result};
use super::tls::Tls;

/// A socket, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects within `limit`.
pub(super) async fn dial(address: &Address, tls: Option<&Tls>, limit: Duration) -> Result<Box<dyn Stream>> {
    let connecting = async {
        let failed = |e: std::io::Error| Error::Unavailable(format!("{address}: {e}"));
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let Some(tls) = tls else { return Ok(Box::new(socket) as Box<dyn Stream>) };
        let name = tls.name(&address.host)?;
        let stream = TlsConnector::from(tls.config.clone())
            .connect(name, socket)
            .await
            .map_err(|e| Error::Unavailable(format!("{address}: TLS: {e}")))?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    let late = || Error::Unavailable(format!("{address}: no connection within {} ms", limit.as_millis()));
    tokio::time::timeout(limit, connecting).await.map_err(|_| late())?
}

/// A server's answer to one of the four-letter commands, on a connection of its own. Many servers answer only to
/// some of them.
pub(super) async fn four_letters(address: &Address, tls: Option<&Tls>, word: &str, limit: Duration) -> Result<String> {
    let mut stream = dial(address, tls, limit).await?;
    let asking = async {
        stream.write_all(word.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        // Whatever answers here may not be a ZooKeeper server at all. With TLS the end may come without a goodbye.
        match stream.take(64 * 1024).read_to_end(&mut answer).await {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    };
    match tokio::time::timeout(limit, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Error::Unavailable(format!("{address}: {word}: {error}"))),
        Err(_) => Err(Error::Unavailable(format!("{address}: {word}: no answer"))),
    }
}
