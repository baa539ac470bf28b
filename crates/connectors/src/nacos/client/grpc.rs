//! One gRPC connection to one server, from its set-up to its end.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use causeway_proto::nacos::bi_request_stream_client::BiRequestStreamClient;
use causeway_proto::nacos::request_client::RequestClient;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::auth::lacks_right;
use super::core::Core;
use super::error::{Error, Result, brief};
use super::frames::{
    CHECK, ConnectionSetup, GrpcAnswer, GrpcRefusal, HEALTH_CHECK, SERVER_CHECK, ServiceRequest, answer, payload,
};
use super::pump::{LeaveReason, OnPush, Pump};
use super::transport::{CONNECT, Ender, Http2, dial, handshake};
use super::wire::grouped;
use crate::SocketKeeper;

/// Told to the server; 2.x and 3.x parse it and log it.
const CLIENT_VERSION: &str = "Nacos-Rust-Client:v2.4.0";
/// Our name in the server's client list.
const APP: &str = "causeway";
/// Largest message taken: a push about a service of tens of thousands of instances.
const MESSAGE_LIMIT: usize = 64 << 20;
/// Acks waiting to be written.
const ACKS: usize = 256;

/// A set-up connection. Dropping it leaves the socket to whoever else holds it;
/// [`Connection::close`] ends it for the server.
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) server: Address,
    core: Arc<Core>,
    client: RequestClient<Http2>,
    slots: Semaphore,
    ender: Ender,
    kept: Mutex<Option<KeptSocket>>,
    tasks: TaskTracker,
    end: CancellationToken,
    leave: Arc<Mutex<Option<LeaveReason>>>,
    nudge: Arc<Notify>,
    born: Instant,
    /// Milliseconds after `born` at which the server last answered.
    heard: AtomicU64,
    local_ip: String,
}

impl Connection {
    /// Connects, checks the server, sets the connection up and waits until the server knows it.
    /// Bounded by the connect time-out and a few request time-outs. The socket goes to `keeper` as well, under a tag that
    /// no other connection has.
    pub(super) async fn open(
        core: &Arc<Core>,
        address: &Address,
        on_push: OnPush,
        keeper: Option<(&Arc<dyn SocketKeeper>, String)>,
    ) -> Result<Arc<Connection>> {
        let options = &core.options;
        let port = address
            .port
            .checked_add(options.grpc_port_offset)
            .ok_or_else(|| Error::Rejected(format!("{address}: no gRPC port")))?;
        let socket = dial(&address.host, port).await?;
        let local_ip = socket.local_addr().map_or_else(|_| String::new(), |a| a.ip().to_string());
        let kept = keeper.map(|(keeper, tag)| KeptSocket::new(keeper, tag, &socket));
        let (socket, ender) = Ender::of(socket).map_err(|e| Error::Unavailable(format!("{address}: {e}")))?;
        let end = CancellationToken::new();
        let stop = end.clone().drop_guard();
        let tasks = TaskTracker::new();
        tasks.close();
        let secure = core.secure(address)?;
        let scheme = if secure.is_some() { "https" } else { "http" };
        let shaking = handshake(socket, secure, &tasks, &end);
        let http2 = tokio::time::timeout(CONNECT, shaking)
            .await
            .map_err(|_| Error::Unavailable(format!("{address}: no HTTP/2 in time")))??;
        let origin: http::Uri = format!("{scheme}://{}", address.authority(port))
            .parse()
            .map_err(|e| Error::Rejected(format!("{address}: {e}")))?;
        let client = RequestClient::with_origin(http2.clone(), origin.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let mut connection = Connection {
            id: String::new(),
            server: address.clone(),
            core: Arc::clone(core),
            client,
            slots: Semaphore::new(options.in_flight),
            ender,
            kept: Mutex::new(None),
            tasks,
            end,
            leave: Arc::default(),
            nudge: Arc::default(),
            born: Instant::now(),
            heard: AtomicU64::new(0),
            local_ip,
        };
        let checked = connection.unary(SERVER_CHECK, &CHECK, HashMap::new()).await;
        let checked = checked.map_err(|refusal| refusal.error)?;
        connection.id = checked.connection_id;
        let up = connection.stream(http2, origin, on_push).await?;
        connection.await_set_up(up, checked.support_ability_negotiation).await?;
        if let Some(kept) = &kept {
            kept.keeper.label(&kept.tag, &connection.id);
        }
        connection.kept = Mutex::new(kept);
        stop.disarm();
        Ok(Arc::new(connection))
    }

    /// Opens the stream and asks to be registered. The receiver hears of the acknowledgement.
    async fn stream(&self, http2: Http2, origin: http::Uri, on_push: OnPush) -> Result<oneshot::Receiver<()>> {
        let (send, messages) = mpsc::channel(ACKS);
        let setup = ConnectionSetup::new(CLIENT_VERSION, APP);
        let headers = self.core.auth.headers(self.core.token().await?.as_ref(), None);
        let first = payload("ConnectionSetupRequest", headers, &self.local_ip, &setup)?;
        if send.send(first).await.is_err() {
            return Err(Error::Unavailable("stream ended at once".into()));
        }
        let (up, is_up) = oneshot::channel();
        let pump = Pump {
            on_push,
            send,
            up: Some(up),
            leave: Arc::clone(&self.leave),
            nudge: Arc::clone(&self.nudge),
            local_ip: self.local_ip.clone(),
        };
        let end = self.end.clone();
        let mut client = BiRequestStreamClient::with_origin(http2, origin)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        self.tasks.spawn(async move {
            // Without its stream a connection is no client of the server, also where a panic ended it.
            let _over = end.clone().drop_guard();
            tokio::select! {
                () = end.cancelled() => {}
                () = pump.run(&mut client, messages) => {}
            }
        });
        Ok(is_up)
    }

    /// Servers before 2.3 do not acknowledge: there the health check tells when we are known.
    async fn await_set_up(&self, up: oneshot::Receiver<()>, acknowledged: bool) -> Result<()> {
        let limit = self.core.options.request_timeout;
        let patience = if acknowledged { limit } else { Duration::from_millis(50) };
        if let Ok(Ok(())) = tokio::time::timeout(patience, up).await {
            return Ok(());
        }
        let until = Instant::now() + limit;
        loop {
            if self.end.is_cancelled() || matches!(self.leaving(), Some(LeaveReason::Reset(_))) {
                return Err(Error::Unavailable(format!("{}: refused the connection", self.server)));
            }
            match self.unary(HEALTH_CHECK, &CHECK, HashMap::new()).await {
                Ok(_) => return Ok(()),
                Err(refusal) if refusal.unregistered && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(refusal) => return Err(refusal.error),
            }
        }
    }

    /// Sends one request and reads its answer: at most `in_flight` at a time, each bounded by
    /// the request time-out. A refused token is renewed once.
    pub(super) async fn request(&self, request: &ServiceRequest<'_>) -> Result<GrpcAnswer> {
        let limit = self.core.options.request_timeout;
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(Error::Unavailable("connection closed".into()));
        };
        let service = grouped(request.key);
        let token = self.core.token().await?;
        let headers = self.core.auth.headers(token.as_ref(), Some(&service));
        let refusal = match self.unary(request.kind, request, headers).await {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        if refusal.unregistered {
            self.depart(LeaveReason::Unregistered);
        }
        let refused = matches!(&refusal.error, Error::Denied(text) if !lacks_right(text));
        if let Some(stale) = token.filter(|_| refused) {
            let fresh = tokio::time::timeout(limit, self.core.renew(&stale));
            if let Ok(Ok(Some(fresh))) = fresh.await {
                let headers = self.core.auth.headers(Some(&fresh), Some(&service));
                return self.unary(request.kind, request, headers).await.map_err(|r| r.error);
            }
        }
        Err(refusal.error)
    }

    async fn unary(
        &self,
        kind: &str,
        body: &impl Serialize,
        mut headers: HashMap<String, String>,
    ) -> std::result::Result<GrpcAnswer, GrpcRefusal> {
        headers.insert("app".into(), APP.into());
        let message = payload(kind, headers, &self.local_ip, body).map_err(GrpcRefusal::of)?;
        let mut client = self.client.clone();
        let limit = self.core.options.request_timeout;
        let silent = |text: String| GrpcRefusal::of(Error::Unavailable(format!("{}: {kind}: {text}", self.server)));
        let sent = tokio::select! {
            biased;
            () = self.end.cancelled() => return Err(silent("connection ended".into())),
            sent = tokio::time::timeout(limit, client.request(message)) => sent,
        };
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => return Err(silent(brief(status.message()))),
            Err(_) => {
                self.nudge.notify_one();
                return Err(silent(format!("no answer within {} ms", limit.as_millis())));
            }
        };
        self.hear();
        answer(kind, response.get_ref())
    }

    fn hear(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(millis, Ordering::Relaxed);
    }

    /// How long ago the server last answered anything.
    pub(super) fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(heard)
    }

    /// One health check within `limit`.
    pub(super) async fn is_healthy(&self, limit: Duration) -> bool {
        match tokio::time::timeout(limit, self.unary(HEALTH_CHECK, &CHECK, HashMap::new())).await {
            Ok(Err(refusal)) if refusal.unregistered => {
                self.depart(LeaveReason::Unregistered);
                false
            }
            Ok(checked) => checked.is_ok(),
            Err(_) => false,
        }
    }

    fn depart(&self, why: LeaveReason) {
        self.leave.lock().get_or_insert(why);
        self.nudge.notify_one();
    }

    /// Why this connection should be given up, though it may still stand.
    pub(super) fn leaving(&self) -> Option<LeaveReason> {
        self.leave.lock().clone()
    }

    /// Waits for a hint that the connection should be looked at.
    pub(super) async fn nudged(&self) {
        self.nudge.notified().await;
    }

    /// Waits for the connection's end.
    pub(super) async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// True once nothing can be sent any more.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Ends the connection for the server too, and waits for our tasks.
    pub(super) async fn close(&self) {
        self.ender.end();
        self.end.cancel();
        drop(self.kept.lock().take());
        self.tasks.wait().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Not closed, so not meant to end for the server: our tasks end, a kept socket stays.
        self.end.cancel();
        if let Some(kept) = self.kept.get_mut().take() {
            kept.leave();
        }
    }
}

/// A socket that a keeper holds; let go when dropped.
struct KeptSocket {
    keeper: Arc<dyn SocketKeeper>,
    tag: String,
    left: bool,
}

impl KeptSocket {
    fn new(keeper: &Arc<dyn SocketKeeper>, tag: String, socket: &TcpStream) -> Self {
        keeper.keep(&tag, socket.as_fd());
        KeptSocket { keeper: Arc::clone(keeper), tag, left: false }
    }

    /// Leaves the socket with the keeper.
    fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for KeptSocket {
    fn drop(&mut self) {
        if !self.left {
            self.keeper.drop_kept(&self.tag);
        }
    }
}

/// True when some server of the cluster answers a server check over gRPC.
pub(super) async fn probe(core: &Arc<Core>) -> bool {
    for address in &core.options.addresses {
        let limit = CONNECT + core.options.request_timeout;
        let opening = Connection::open(core, address, Arc::new(|_, _| {}), None);
        if let Ok(Ok(connection)) = tokio::time::timeout(limit, opening).await {
            connection.close().await;
            return true;
        }
    }
    false
}
