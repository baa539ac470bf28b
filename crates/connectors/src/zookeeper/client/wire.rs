//! One connection: requests go out as they come, answers come back in the same order, events go to who watches.

use super::dial::Stream;
use super::error::{AUTH_FAILED, Result, SASL_REQUIRED, SESSION_EXPIRED, SESSION_MOVED, UNIMPLEMENTED, WireError};
use super::features::Features;
use super::followers::Followers;
use super::jute::{self, Decoder};
use super::proto::{self, Header, op, xid};
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// Requests that wait to be sent. Callers wait while there are so many.
const QUEUE: usize = 1024;
/// Requests that are put together for one write.
const BATCH: usize = 256;
/// Longest frame that we read: a node's children can be many.
const LONGEST: usize = 256 << 20;
/// What is read at a time.
const CHUNK: usize = 64 << 10;

/// What a server said to one request: its error code and the rest.
type RawReply = (i32, Bytes);

struct Outgoing {
    frame: Vec<u8>,
    tell: Option<oneshot::Sender<RawReply>>,
}

/// One request about `path`, and how to understand the answer.
pub(super) struct PreparedCall<'a, T> {
    pub(super) path: &'a str,
    pub(super) frame: Vec<u8>,
    pub(super) decode: fn(Answered<'_>) -> Result<T>,
}

/// What a server said to one request, or its refusal.
pub(super) type Answered<'a> = Result<Decoder<'a>>;

/// A request on its way.
pub(super) struct InFlight<'a, T> {
    path: &'a str,
    told: oneshot::Receiver<RawReply>,
    decode: fn(Answered<'_>) -> Result<T>,
    why: Arc<OnceLock<WireError>>,
    patience: Duration,
    deadline: Instant,
}

impl<T> InFlight<'_, T> {
    /// The answer.
    pub(super) async fn finish(self) -> Result<T> {
        let reply = timeout_at(self.deadline, self.told).await.map_err(|_| late(self.patience))?;
        let (code, body) = reply.map_err(|_| lost(&self.why))?;
        (self.decode)(if code == 0 { Ok(Decoder::new(&body)) } else { Err(WireError::of_code(code, self.path)) })
    }
}

fn late(patience: Duration) -> WireError {
    WireError::Unavailable(format!("no answer within {} ms", patience.as_millis()))
}

fn lost(why: &OnceLock<WireError>) -> WireError {
    why.get().cloned().unwrap_or_else(|| WireError::Unavailable("the connection was lost".into()))
}

/// What all calls of a session have in common.
#[derive(Clone)]
pub(super) struct CallLimits {
    /// Put in front of every path; empty for none.
    pub(super) chroot: Arc<str>,
    /// Limit for one call.
    pub(super) patience: Duration,
    /// Longest request.
    pub(super) longest: usize,
}

/// The callers' end of one connection. When the connection ends, all calls fail.
pub(super) struct Wire {
    sender: mpsc::Sender<Outgoing>,
    why: Arc<OnceLock<WireError>>,
    limits: CallLimits,
    pub(super) generation: u64,
    pub(super) features: Features,
}

impl Wire {
    /// Both ends, for a connection that [`WireConnection::serve`] will serve.
    pub(super) fn new(limits: CallLimits, features: Features, generation: u64) -> (Arc<Wire>, WireConnection) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let why = Arc::new(OnceLock::new());
        let line = WireConnection { requests, why: Arc::clone(&why), features: features.clone() };
        (Arc::new(Wire { sender, why, limits, generation, features }), line)
    }

    /// What the server has in front of each path.
    pub(super) fn chroot(&self) -> &str {
        &self.limits.chroot
    }

    /// Sends a request. Requests go out in the order in which this returns: who begins one only after another was
    /// begun can rely on the server to do them in that order.
    pub(super) async fn begin<'a, T>(&self, call: PreparedCall<'a, T>) -> Result<InFlight<'a, T>> {
        let PreparedCall { path, frame, decode } = call;
        if frame.len() - 4 > self.limits.longest {
            let (size, limit) = (frame.len() - 4, self.limits.longest);
            return Err(WireError::Rejected(format!("{path}: a request of {size} bytes; the server takes {limit}")));
        }
        let patience = self.limits.patience;
        let deadline = Instant::now() + patience;
        let (tell, told) = oneshot::channel();
        let sent = timeout_at(deadline, self.sender.send(Outgoing { frame, tell: Some(tell) })).await;
        sent.map_err(|_| late(patience))?.map_err(|_| self.lost())?;
        Ok(InFlight { path, told, decode, why: Arc::clone(&self.why), patience, deadline })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn run<T>(&self, call: Result<PreparedCall<'_, T>>) -> Result<T> {
        self.begin(call?).await?.finish().await
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
    pub(super) fn lost(&self) -> WireError {
        lost(&self.why)
    }
}

/// A request on its way: its number, its operation, and who waits.
type AwaitedAnswer = (i32, i32, Option<oneshot::Sender<RawReply>>);

/// In the order of their answers.
type Pending = Mutex<VecDeque<AwaitedAnswer>>;

/// The connection's end of a [`Wire`].
pub(super) struct WireConnection {
    requests: mpsc::Receiver<Outgoing>,
    why: Arc<OnceLock<WireError>>,
    features: Features,
}

impl WireConnection {
    /// Serves until the connection ends, and says why it did. `buffer` is what was read already; `keep` the time after
    /// which the server gives the session up; `seen` the latest transaction that any answer came after.
    pub(super) async fn serve(
        mut self,
        stream: Box<dyn Stream>,
        buffer: BytesMut,
        keep: Duration,
        seen: &AtomicI64,
        followers: &Followers,
    ) -> WireError {
        let pending = Pending::default();
        let (reader, writer) = tokio::io::split(stream);
        let why = Arc::clone(&self.why);
        let ended = tokio::select! {
            ended = read(reader, buffer, &pending, keep * 2 / 3, seen, followers, &self.features) => ended,
            ended = write(writer, &mut self.requests, &pending, keep / 4) => ended,
        };
        let error = match ended {
            Ok(()) => WireError::Unavailable("the connection was closed".into()),
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
                pending.push_back((number, jute::operation(&outgoing.frame), outgoing.tell));
            }
        }
        let writing = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        writing.await.map_err(|e| WireError::Unavailable(format!("writing: {e}")))?;
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
    followers: &Followers,
    features: &Features,
) -> Result<()> {
    loop {
        let frame = match timeout(silence, frame(&mut reader, &mut buffer)).await {
            Ok(frame) => frame?,
            Err(_) => return Err(WireError::Unavailable(format!("silent for {} ms", silence.as_millis()))),
        };
        let header = Header::decode(&frame)?;
        let body = frame.slice(Header::LENGTH..);
        match header.xid {
            xid::EVENT => followers.event(proto::event_path(&body)?),
            xid::PING | xid::AUTH => {}
            number => {
                let Some((expected, operation, tell)) = pending.lock().pop_front() else {
                    return Err(WireError::Protocol(format!("an answer to nothing, number {number}")));
                };
                if expected != number {
                    return Err(WireError::Protocol(format!("answer {number} where {expected} was due")));
                }
                seen.fetch_max(header.zxid, Ordering::Relaxed);
                if header.code == UNIMPLEMENTED {
                    features.note_unknown(operation);
                }
                if let Some(tell) = tell {
                    // Who asked may have stopped waiting.
                    drop(tell.send((header.code, body)));
                }
            }
        }
        match header.code {
            SESSION_EXPIRED | SESSION_MOVED | AUTH_FAILED | SASL_REQUIRED => {
                return Err(WireError::of_code(header.code, "session"));
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
                return Err(WireError::Protocol("a frame of impossible length: not a ZooKeeper server?".into()));
            };
            if buffer.len() >= 4 + length {
                buffer.advance(4);
                return Ok(buffer.split_to(length).freeze());
            }
            missing = 4 + length - buffer.len();
        }
        buffer.reserve(missing.max(CHUNK));
        match reader.read_buf(buffer).await {
            Ok(0) => return Err(WireError::Unavailable("the server closed the connection".into())),
            Ok(_) => {}
            Err(error) => return Err(WireError::Unavailable(format!("reading: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str) -> Result<PreparedCall<'_, ()>> {
        Ok(PreparedCall { path, frame: proto::plain(op::SYNC), decode: |answer| answer.map(drop) })
    }

    fn limits() -> CallLimits {
        CallLimits { chroot: "".into(), patience: Duration::from_millis(500), longest: 64 }
    }

    fn answer(number: i32, code: i32) -> Vec<u8> {
        let mut encoder = jute::Encoder::bare();
        encoder.int(number).long(7).int(code);
        encoder.finish()
    }

    #[tokio::test]
    async fn answers_find_their_calls() {
        let (wire, line) = Wire::new(limits(), Features::default(), 1);
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
            let run = |path| wire.run(call(path));
            let (first, second, third, server) = tokio::join!(run("/a"), run("/b"), run("/c"), server);
            assert!(first.is_ok() && third.is_ok());
            assert_eq!(second, Err(WireError::NotFound("/b".into())));
            let long = PreparedCall { frame: vec![0; 100], ..call("/d").unwrap() };
            assert!(matches!(wire.run(Ok(long)).await, Err(WireError::Rejected(_))));
            drop(server);
            wire.ended().await;
            let lost = run("/e").await.err();
            assert_eq!(lost, Some(WireError::Unavailable("the server closed the connection".into())));
        };
        let followers = Followers::new("".into());
        let serving = line.serve(Box::new(ours), BytesMut::new(), Duration::from_secs(9), &seen, &followers);
        tokio::join!(serving, calls);
        assert_eq!(seen.load(Ordering::Relaxed), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_and_gives_up_on_silence() {
        let (_wire, line) = Wire::new(limits(), Features::default(), 1);
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let seen = AtomicI64::new(0);
        let followers = Followers::new("".into());
        let begun = Instant::now();
        let why = line.serve(Box::new(ours), BytesMut::new(), Duration::from_secs(9), &seen, &followers).await;
        assert_eq!(why, WireError::Unavailable("silent for 6000 ms".into()));
        assert_eq!(begun.elapsed().as_secs(), 6);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent.len(), 2 * 12);
    }

    #[tokio::test]
    async fn a_foreign_server_is_no_reason_to_reserve_memory() {
        let mut buffer = BytesMut::from(&b"HTTP/1.1 400 Bad Request"[..]);
        let mut nothing = tokio::io::empty();
        assert!(matches!(frame(&mut nothing, &mut buffer).await, Err(WireError::Protocol(_))));
    }
}
