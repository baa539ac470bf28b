//! What servers that tests make up read of a client.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Reads one HTTP/1.1 request: its first line and its body. `None`: the client has ended before it was whole.
pub(crate) async fn read(socket: &mut TcpStream) -> Option<(String, String)> {
    let (head, body) = read_whole(socket).await?;
    Some((head.lines().next().unwrap_or_default().to_owned(), body))
}

/// The same with all lines before the body.
pub(crate) async fn read_whole(socket: &mut TcpStream) -> Option<(String, String)> {
    let (mut text, mut part) = (String::new(), [0; 4_096]);
    loop {
        let read = socket.read(&mut part).await.ok().filter(|read| *read > 0)?;
        text.push_str(&String::from_utf8_lossy(&part[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}
