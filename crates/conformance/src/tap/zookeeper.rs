//! In front of a ZooKeeper server. Frames of a length and so many bytes go both ways: the first is the greeting, every
//! other begins with its number. Pings, the login and events have numbers below zero, and do not count.

use super::{Counts, copy};
use anyhow::Result;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

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
    let (mut asked, mut answered) = (Frames::default(), Frames::default());
    let up = copy(client_in, server_out, |bytes| asked.take(bytes, || counts.began()));
    let down = copy(server_in, client_out, |bytes| answered.take(bytes, || counts.ended()));
    // The ends of connections are no failures here.
    tokio::select! { _ = up => {}, _ = down => {} }
    (answered.count..asked.count).for_each(|_| counts.ended());
}

/// Takes the numbers of frames out of a stream of bytes.
#[derive(Default)]
struct Frames {
    greeted: bool,
    skip: usize,
    head: Vec<u8>,
    count: usize,
}

impl Frames {
    /// Calls `each` for every frame with a number that is not below zero.
    fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut()) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let (_, rest) = bytes.split_at(self.skip.min(bytes.len()));
                self.skip -= bytes.len() - rest.len();
                bytes = rest;
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let [a, b, c, d, sign, _, _, _] = *self.head.as_slice() {
                self.skip = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                self.head.clear();
                if std::mem::replace(&mut self.greeted, true) && sign < 0x80 {
                    self.count += 1;
                    each();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_whatever_the_pieces() {
        let frame = |number: i32, length: u32| {
            let mut bytes = [(4 + length).to_be_bytes(), number.to_be_bytes()].concat();
            bytes.extend(std::iter::repeat_n(0xff, length as usize));
            bytes
        };
        let all = [frame(0, 40), frame(-4, 9), frame(1, 4), frame(-2, 4), frame(2, 300), frame(i32::MAX, 0)].concat();
        for piece in 1..30 {
            let mut frames = Frames::default();
            let mut seen = 0;
            all.chunks(piece).for_each(|bytes| frames.take(bytes, || seen += 1));
            assert_eq!((seen, frames.count), (3, 3));
        }
    }
}
