//! In front of a server that speaks HTTP/1.1.

use super::{Counts, copy};
use anyhow::Result;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Ends a request line.
const ASKED: &[u8] = b" HTTP/1.1\r\n";
/// Begins an answer. One connection has one answer at a time.
const ANSWERED: &[u8] = b"HTTP/1.1 ";

/// The relay; it ends when it is dropped.
pub struct HttpTap {
    addr: String,
    counts: Arc<Counts>,
    _work: JoinSet<()>,
}

impl HttpTap {
    /// Relays to this port of 127.0.0.1.
    pub async fn start(to: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (addr, counts) = (listener.local_addr()?.to_string(), Arc::<Counts>::default());
        let (mut work, counted) = (JoinSet::new(), counts.clone());
        work.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let counts = counted.clone();
                relays.spawn(async move { relay(client, to, &counts).await });
            }
        });
        Ok(Self { addr, counts, _work: work })
    }

    /// What a session's settings want.
    pub fn addr(&self) -> String {
        self.addr.clone()
    }

    /// What went over it.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

async fn relay(client: TcpStream, to: u16, counts: &Counts) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let open = parking_lot::Mutex::new(0_usize);
    let (mut asked, mut answered) = (Word::new(ASKED), Word::new(ANSWERED));
    let up = copy(client_in, server_out, |bytes| {
        asked.find(bytes, || {
            *open.lock() += 1;
            counts.began();
        });
    });
    let down = copy(server_in, client_out, |bytes| {
        answered.find(bytes, || {
            let mut open = open.lock();
            if *open > 0 {
                *open -= 1;
                counts.ended();
            }
        });
    });
    // The ends of connections are no failures here.
    tokio::select! { _ = up => {}, _ = down => {} }
    (0..*open.lock()).for_each(|_| counts.ended());
}

/// Finds a word in a stream of bytes, whatever the pieces.
struct Word {
    word: &'static [u8],
    matched: usize,
}

impl Word {
    fn new(word: &'static [u8]) -> Self {
        Self { word, matched: 0 }
    }

    fn find(&mut self, bytes: &[u8], found: impl Fn()) {
        for byte in bytes {
            let goes_on = *byte == self.word[self.matched];
            self.matched = if goes_on { self.matched + 1 } else { usize::from(*byte == self.word[0]) };
            if self.matched == self.word.len() {
                found();
                self.matched = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn calls_are_counted_whatever_the_pieces() {
        let stream = b"GET /a HTTP/1.1\r\nx: y\r\n\r\nPUT /b HTTP/1.1\r\n\r\n{ HTTP/1.1}";
        for piece in 1..stream.len() {
            let (found, mut word) = (Cell::new(0), Word::new(ASKED));
            stream.chunks(piece).for_each(|bytes| word.find(bytes, || found.set(found.get() + 1)));
            assert_eq!(found.get(), 2);
        }
    }
}
