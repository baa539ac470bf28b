//! In front of a server of HTTP 1.1 on one port. A request is counted by the end of its first line, an answer by its beginning;
//! nothing that we send or are sent in a body holds either.

use super::{Counts, copy};
use anyhow::Result;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const REQUEST: &[u8] = b" HTTP/1.1\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 ";

/// The relay; it ends when it is dropped.
pub struct Tap {
    port: u16,
    counts: Arc<Counts>,
    _work: JoinSet<()>,
}

impl Tap {
    /// Relays to the server at `to`.
    pub async fn start(to: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let counts = Arc::<Counts>::default();
        let mut work = JoinSet::new();
        let (to, count) = (to.to_owned(), counts.clone());
        work.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (to, counts) = (to.clone(), count.clone());
                relays.spawn(async move { relay(client, &to, &counts).await });
            }
        });
        Ok(Self { port, counts, _work: work })
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What went over it.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

async fn relay(client: TcpStream, to: &str, counts: &Counts) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let (mut asked, mut answered) = (Matches::new(REQUEST), Matches::new(ANSWER));
    let up = copy(client_in, server_out, |bytes| (0..asked.take(bytes)).for_each(|_| counts.began()));
    let down = copy(server_in, client_out, |bytes| (0..answered.take(bytes)).for_each(|_| counts.ended()));
    // The ends of connections are no failures here.
    tokio::select! { _ = up => {}, _ = down => {} }
    (answered.count..asked.count).for_each(|_| counts.ended());
}

/// Counts a text in a stream of bytes.
struct Matches {
    text: &'static [u8],
    matched: usize,
    count: usize,
}

impl Matches {
    fn new(text: &'static [u8]) -> Self {
        Self { text, matched: 0, count: 0 }
    }

    /// How often it ends in these bytes.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let before = self.count;
        for byte in bytes {
            self.matched = match *byte == self.text[self.matched] {
                true => self.matched + 1,
                false => usize::from(*byte == self.text[0]),
            };
            if self.matched == self.text.len() {
                (self.matched, self.count) = (0, self.count + 1);
            }
        }
        self.count - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_whatever_the_pieces() {
        let asked = b"GET /a HTTP/1.1\r\nhost: h\r\n\r\nPUT /b HTTP/1.1\r\ncontent-length: 2\r\n\r\nab".as_slice();
        for piece in 1..20 {
            let mut matches = Matches::new(REQUEST);
            assert_eq!(asked.chunks(piece).map(|bytes| matches.take(bytes)).sum::<usize>(), 2);
        }
    }
}
