//! One connection: requests go out as they come, answers come back in the same order, events go to who watches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::dial::Stream;
use super::error::{AUTH_FAILED, Error, Result, SASL_REQUIRED, SESSION_EXPIRED, SESSION_MOVED};
use super::jute;
use super::proto::{self, Header, Requests, op, xid};
use super::sinks::Sinks;

/// Requests that wait to be sent. Whoever finds them full waits.
const QUEUE: usize = 1024;
/// Requests that are put together for one write.
const BATCH: usize = 256;
/// Longest frame that we read: a node's children can be many.
const LONGEST: usize = 256 << 20;
/// What is read at a time.
const CHUNK: usize = 64 << 10;

/// What a server said to one request.
pub(super) struct Reply {
    code: i32,
    body: Bytes,
}

impl Reply {
    /// The body, or what the error means for a call about `path`.
    pub(super) fn body(self, path: &str) -> Result<Bytes> {
        match self.code {
            0 => Ok(self.body),
            code => Err(Error::of_code(code, path)),
        }
    }
}

struct Outgoing {
    frame: Vec<u8>,
    tell: Option<oneshot::Sender<Reply>>,
}

/// What all calls of a session have in common.
#[derive(Clone)]
pub(super) struct Manners {
    /// Put in front of every path; empty for none.
    pub(super) chroot: Arc<str>,
    /// Limit for one call.
    pub(super) patience: Duration,
    /// Longest request.
    pub(super) longest: usize,
}

/// The callers' end of one connection. It stays one connection: when that ends, all calls fail.
pub(super) struct Wire {
    sender: mpsc::Sender<Outgoing>,
    why: Arc<OnceLock<Error>>,
    manners: Manners,
    pub(super) generation: u64,
}

impl Wire {
    /// Both ends, for a connection that [`Line::serve`] will serve.
    pub(super) fn new(manners: Manners, generation: u64) -> (Arc<Wire>, Line) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let why = Arc::new(OnceLock::new());
        let line = Line { requests, why: Arc::clone(&why) };
        (Arc::new(Wire { sender, why, manners, generation }), line)
    }

    pub(super) fn requests(&self) -> Requests<'_> {
        Requests { chroot: &self.manners.chroot }
    }

    /// Sends a request and waits for its answer. Requests of one task go out in the order of the calls.
    pub(super) async fn call(&self, frame: Vec<u8>) -> Result<Reply> {
        if frame.len() - 4 > self.manners.longest {
            let (size, limit) = (frame.len() - 4, self.manners.longest);
            return Err(Error::Rejected(format!("a request of {size} bytes; the server takes {limit}")));
        }
        let (tell, told) = oneshot::channel();
        let asking = async {
            self.sender.send(Outgoing { frame, tell: Some(tell) }).await.map_err(|_| self.lost())?;
            told.await.map_err(|_| self.lost())
        };
        let patience = self.manners.patience;
        let late = || Error::Unavailable(format!("no answer within {} ms", patience.as_millis()));
        timeout(patience, asking).await.map_err(|_| late())?
    }

    /// Sends a request whose answer does not matter, or drops it when too much waits already.
    pub(super) fn tell(&self, frame: Vec<u8>) {
        if self.sender.try_send(Outgoing { frame, tell: None }).is_err() {
            tracing::debug!("a request without an answer was not sent");
        }
    }

    /// Returns when the connection has ended.
    pub(super) async fn ended(&self) {
        self.sender.closed().await;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.sender.is_closed()
    }

    /// Why it ended.
    pub(super) fn lost(&self) -> Error {
        self.why.get().cloned().unwrap_or_else(|| Error::Unavailable("the connection was lost".into()))
    }
}

/// Requests on their way, in the order of their answers.
type Pending = Mutex<VecDeque<(i32, Option<oneshot::Sender<Reply>>)>>;

/// The connection's end of a [`Wire`].
pub(super) struct Line {
    requests: mpsc::Receiver<Outgoing>,
    why: Arc<OnceLock<Error>>,
}

impl Line {
    /// Serves until the connection ends, and says why it did. `buffer` is what was read already; `keep` the time after
    /// which the server gives the session up; `seen` the latest transaction that any answer came after.
    pub(super) async fn serve(
        mut self,
        stream: Box<dyn Stream>,
        buffer: BytesMut,
        keep: Duration,
        seen: &AtomicI64,
        sinks: &Sinks,
        chroot: &str,
    ) -> Error {
        let pending = Pending::default();
        let (reader, writer) = tokio::io::split(stream);
        let why = Arc::clone(&self.why);
        let ended = tokio::select! {
            ended = read(reader, buffer, &pending, keep * 2 / 3, seen, |path| sinks.event(chroot, path)) => ended,
            ended = write(writer, &mut self.requests, &pending, keep / 4) => ended,
        };
        let error = match ended {
            Ok(()) => Error::Unavailable("the connection was closed".into()),
            Err(error) => error,
        };
        // Before the queue goes, so that every caller finds the reason.
        why.get_or_init(|| error).clone()
    }
}

/// Writes requests as they come, and a ping when there was none for `idle`.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    requests: &mut mpsc::Receiver<Outgoing>,
    pending: &Pending,
    idle: Duration,
) -> Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = Vec::new();
    let mut number = 0;
    let mut last = Instant::now();
    loop {
        tokio::select! {
            count = requests.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
            }
            () = sleep_until(last + idle) => {
                let mut ping = proto::plain(op::PING);
                jute::number(&mut ping, xid::PING);
                bytes.extend_from_slice(&ping);
            }
        }
        {
            let mut pending = pending.lock();
            for mut outgoing in batch.drain(..) {
                number = if number == i32::MAX { 1 } else { number + 1 };
                jute::number(&mut outgoing.frame, number);
                bytes.extend_from_slice(&outgoing.frame);
                pending.push_back((number, outgoing.tell));
            }
        }
        let writing = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        writing.await.map_err(|e| Error::Unavailable(format!("writing: {e}")))?;
        bytes.clear();
        bytes.shrink_to(CHUNK);
        last = Instant::now();
    }
}

/// Reads answers and events. A server that says nothing for `silence`, though pings ask it to, is gone.
async fn read(
    mut reader: impl AsyncRead + Unpin,
    mut buffer: BytesMut,
    pending: &Pending,
    silence: Duration,
    seen: &AtomicI64,
    event: impl Fn(String),
) -> Result<()> {
    loop {
        let frame = match timeout(silence, frame(&mut reader, &mut buffer)).await {
            Ok(frame) => frame?,
            Err(_) => return Err(Error::Unavailable(format!("silent for {} ms", silence.as_millis()))),
        };
        let header = Header::decode(&frame)?;
        let body = frame.slice(Header::LENGTH..);
        match header.xid {
            xid::EVENT => event(proto::event_path(&body)?),
            xid::PING | xid::AUTH => {}
            number => {
                let Some((expected, tell)) = pending.lock().pop_front() else {
                    return Err(Error::Protocol(format!("an answer to nothing, number {number}")));
                };
                if expected != number {
                    return Err(Error::Protocol(format!("answer {number} where {expected} was due")));
                }
                seen.fetch_max(header.zxid, Ordering::Relaxed);
                if let Some(tell) = tell {
                    // Who asked may have stopped waiting.
                    drop(tell.send(Reply { code: header.code, body }));
                }
            }
        }
        match header.code {
            SESSION_EXPIRED | SESSION_MOVED | AUTH_FAILED | SASL_REQUIRED => {
                return Err(Error::of_code(header.code, "session"));
            }
            _ => {}
        }
    }
}

/// The next frame, without its length. May be cancelled: what was read stays in `buffer`.
pub(super) async fn frame(reader: &mut (impl AsyncRead + Unpin + ?Sized), buffer: &mut BytesMut) -> Result<Bytes> {
    loop {
        let mut missing = 4;
        if let Some(length) = buffer.first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).ok().filter(|length| *length <= LONGEST);
            let Some(length) = length else {
                return Err(Error::Protocol("a frame of impossible length: not a ZooKeeper server?".into()));
            };
            if buffer.len() >= 4 + length {
                buffer.advance(4);
                return Ok(buffer.split_to(length).freeze());
            }
            missing = 4 + length - buffer.len();
        }
        buffer.reserve(missing.max(CHUNK));
        match reader.read_buf(buffer).await {
            Ok(0) => return Err(Error::Unavailable("the server closed the connection".into())),
            Ok(_) => {}
            Err(error) => return Err(Error::Unavailable(format!("reading: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manners() -> Manners {
        Manners { chroot: "".into(), patience: Duration::from_millis(500), longest: 64 }
    }

    fn answer(number: i32, code: i32) -> Vec<u8> {
        let mut encoder = jute::Encoder::bare();
        encoder.int(number).long(7).int(code);
        encoder.finish()
    }

    #[tokio::test]
    async fn answers_find_their_calls() {
        let (wire, line) = Wire::new(manners(), 1);
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let seen = AtomicI64::new(0);
        let server = async {
            for number in 1..=3 {
                let mut frame = [0; 12];
                theirs.read_exact(&mut frame).await.unwrap();
                assert_eq!(frame[4..8], i32::to_be_bytes(number));
            }
            for (number, code) in [(1, 0), (2, -101), (3, 0)] {
                theirs.write_all(&answer(number, code)).await.unwrap();
            }
            theirs
        };
        let calls = async {
            let call = || wire.call(proto::plain(op::SYNC));
            let (first, second, third, server) = tokio::join!(call(), call(), call(), server);
            assert!(first.unwrap().body("/a").is_ok());
            assert_eq!(second.unwrap().body("/b"), Err(Error::NotFound("/b".into())));
            assert!(third.is_ok());
            assert!(matches!(wire.call(vec![0; 100]).await, Err(Error::Rejected(_))));
            drop(server);
            wire.ended().await;
            let lost = wire.call(proto::plain(op::SYNC)).await.err();
            assert_eq!(lost, Some(Error::Unavailable("the server closed the connection".into())));
        };
        let sinks = Sinks::default();
        let serving = line.serve(Box::new(ours), BytesMut::new(), Duration::from_secs(9), &seen, &sinks, "");
        tokio::join!(serving, calls);
        assert_eq!(seen.load(Ordering::Relaxed), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_and_gives_up_on_silence() {
        let (_wire, line) = Wire::new(manners(), 1);
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let seen = AtomicI64::new(0);
        let sinks = Sinks::default();
        let begun = Instant::now();
        let why = line.serve(Box::new(ours), BytesMut::new(), Duration::from_secs(9), &seen, &sinks, "").await;
        assert_eq!(why, Error::Unavailable("silent for 6000 ms".into()));
        assert_eq!(begun.elapsed().as_secs(), 6);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent.len(), 2 * 12);
    }

    #[tokio::test]
    async fn a_foreign_server_is_no_reason_to_reserve_memory() {
        let mut buffer = BytesMut::from(&b"HTTP/1.1 400 Bad Request"[..]);
        let mut nothing = tokio::io::empty();
        assert!(matches!(frame(&mut nothing, &mut buffer).await, Err(Error::Protocol(_))));
    }
}
