//! In front of a Nacos server's HTTP port and of the gRPC port 1,000 above it. Requests over HTTP count, and those over
//! gRPC; the stream of a gRPC connection is one.

use super::{Counts, copy};
use anyhow::{Result, bail};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The distance from the HTTP port to the gRPC port.
const GRPC: u16 = 1000;
/// What an HTTP/2 client says first.
const PREFACE: usize = 24;
/// Ends a request line. Nothing that we send in a body can hold it: bodies are percent-encoded forms.
const REQUEST: &[u8] = b" HTTP/1.1\r\n";

/// The relay; it ends when it is dropped.
pub struct Tap {
    port: u16,
    counts: Arc<Counts>,
    _work: JoinSet<()>,
}

impl Tap {
    /// Relays to the server at 127.0.0.1 whose HTTP port is `to`.
    pub async fn start(to: u16) -> Result<Self> {
        let (http, grpc, port) = pair().await?;
        let counts = Arc::<Counts>::default();
        let mut work = JoinSet::new();
        for (listener, to, is_grpc) in [(http, to, false), (grpc, to + GRPC, true)] {
            let counts = counts.clone();
            work.spawn(async move {
                let mut relays = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let counts = counts.clone();
                    relays.spawn(async move { relay(client, to, is_grpc, &counts).await });
                }
            });
        }
        Ok(Self { port, counts, _work: work })
    }

    /// What a session's settings want.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What went over it.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

/// Two listeners whose ports are as far apart as a server's, and the first port.
pub async fn pair() -> Result<(TcpListener, TcpListener, u16)> {
    for _ in 0..100 {
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = http.local_addr()?.port();
        let Some(above) = port.checked_add(GRPC) else { continue };
        if let Ok(grpc) = TcpListener::bind((Ipv4Addr::LOCALHOST, above)).await {
            return Ok((http, grpc, port));
        }
    }
    bail!("no two free ports {GRPC} apart")
}

async fn relay(client: TcpStream, to: u16, is_grpc: bool, counts: &Counts) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let streams = Mutex::new(BTreeSet::new());
    // The ends of connections are no failures here.
    if is_grpc {
        let mut asked = Frames::after(PREFACE);
        let mut answered = Frames::after(0);
        let up = copy(client_in, server_out, |bytes| asked.take(bytes, |frame| frame.asked(&streams, counts)));
        let down = copy(server_in, client_out, |bytes| answered.take(bytes, |frame| frame.answered(&streams, counts)));
        tokio::select! { _ = up => {}, _ = down => {} }
        streams.lock().iter().for_each(|_| counts.ended());
    } else {
        let mut matched = 0;
        let up = copy(client_in, server_out, |bytes| {
            for byte in bytes {
                matched = if *byte == REQUEST[matched] { matched + 1 } else { usize::from(*byte == REQUEST[0]) };
                if matched == REQUEST.len() {
                    counts.called();
                    matched = 0;
                }
            }
        });
        let down = copy(server_in, client_out, |_| {});
        tokio::select! { _ = up => {}, _ = down => {} }
    }
}

/// Takes HTTP/2 frame heads out of a stream of bytes.
struct Frames {
    skip: usize,
    head: Vec<u8>,
}

/// The head of one frame.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frames {
    fn after(preface: usize) -> Self {
        Self { skip: preface, head: Vec::with_capacity(9) }
    }

    fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let (_, rest) = bytes.split_at(self.skip.min(bytes.len()));
                self.skip -= bytes.len() - rest.len();
                bytes = rest;
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let [a, b, c, kind, flags, d, e, f, g] = *self.head.as_slice() {
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                each(Frame { kind, flags, stream: u32::from_be_bytes([d & 0x7f, e, f, g]) });
                self.head.clear();
            }
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const END_STREAM: u8 = 1;

impl Frame {
    fn asked(&self, streams: &Mutex<BTreeSet<u32>>, counts: &Counts) {
        if self.kind == HEADERS && streams.lock().insert(self.stream) {
            counts.began();
        }
        if self.kind == RESET {
            self.end(streams, counts);
        }
    }

    fn answered(&self, streams: &Mutex<BTreeSet<u32>>, counts: &Counts) {
        let ends = matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0;
        if ends || self.kind == RESET {
            self.end(streams, counts);
        }
    }

    fn end(&self, streams: &Mutex<BTreeSet<u32>>, counts: &Counts) {
        if streams.lock().remove(&self.stream) {
            counts.ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_whatever_the_pieces() {
        let frame = |kind, flags, stream, length: u8| {
            let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
            bytes.extend(std::iter::repeat_n(b'x', usize::from(length)));
            bytes
        };
        let asked = [vec![b'P'; PREFACE], frame(4, 0, 0, 6), frame(HEADERS, 4, 1, 9), frame(HEADERS, 4, 3, 2)].concat();
        let answered = [frame(HEADERS, 4, 1, 1), frame(DATA, 0, 1, 3), frame(HEADERS, 5, 1, 3)].concat();
        for piece in 1..20 {
            let (counts, streams) = (Counts::default(), Mutex::new(BTreeSet::new()));
            let (mut up, mut down) = (Frames::after(PREFACE), Frames::after(0));
            asked.chunks(piece).for_each(|bytes| up.take(bytes, |frame| frame.asked(&streams, &counts)));
            answered.chunks(piece).for_each(|bytes| down.take(bytes, |frame| frame.answered(&streams, &counts)));
            assert_eq!((counts.calls(), counts.peak(), counts.open()), (2, 2, 1));
        }
    }
}
