//! A server that does what a test says: the envelope of the real one, and nothing behind it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use causeway_connectors::nacos::client::{Address, Options};
use causeway_proto::Any;
use causeway_proto::nacos::bi_request_stream_server::{BiRequestStream, BiRequestStreamServer};
use causeway_proto::nacos::request_server::{Request as Unary, RequestServer};
use causeway_proto::nacos::{Metadata, Payload};
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// One thing that reached the server.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The client's port: names its connection.
    pub from: u16,
    /// Type name.
    pub kind: String,
    /// JSON body.
    pub body: Value,
    /// Headers.
    pub headers: BTreeMap<String, String>,
}

/// What is answered: type name and body; none hangs for ever.
pub type Answer = Option<(&'static str, Value)>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Script = Box<dyn Fn(&Seen) -> Answering + Send + Sync>;

/// Shared by all connections of one server.
pub struct State {
    pub seen: Mutex<Vec<Seen>>,
    streams: Mutex<BTreeMap<u16, mpsc::Sender<Result<Payload, Status>>>>,
    script: Mutex<Script>,
}

/// A running server.
pub struct Fake {
    pub at: SocketAddr,
    pub state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Service(Arc<State>);

/// What a healthy server says.
pub fn good(seen: &Seen) -> Answer {
    let mut body = json!({"resultCode": 200, "errorCode": 0});
    let kind = match seen.kind.as_str() {
        "ServerCheckRequest" => {
            body["connectionId"] = json!(format!("c{}", seen.from));
            body["supportAbilityNegotiation"] = json!(true);
            "ServerCheckResponse"
        }
        "SubscribeServiceRequest" => {
            body["serviceInfo"] = json!({"name": seen.body["serviceName"], "groupName": seen.body["groupName"]});
            "SubscribeServiceResponse"
        }
        _ => "Response",
    };
    Some((kind, body))
}

/// An error as the real server words it.
pub fn bad(code: i32) -> Answer {
    Some(("ErrorResponse", json!({"resultCode": 500, "errorCode": code, "message": "said the fake"})))
}

/// Wraps a plain function as a script.
pub fn always(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Script {
    Box::new(move |seen| {
        let answer = answer(seen);
        Box::pin(async move { answer })
    })
}

fn envelope(kind: &str, body: &Value) -> Payload {
    Payload {
        metadata: Some(Metadata { r#type: kind.into(), ..Metadata::default() }),
        body: Some(Any { type_url: String::new(), value: body.to_string().into_bytes() }),
    }
}

impl State {
    fn note(&self, from: u16, payload: &Payload) -> Seen {
        let metadata = payload.metadata.clone().unwrap_or_default();
        let body = payload.body.as_ref().map(|b| b.value.clone()).unwrap_or_default();
        let seen = Seen {
            from,
            kind: metadata.r#type,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            headers: metadata.headers.into_iter().collect(),
        };
        self.seen.lock().push(seen.clone());
        seen
    }
}

#[tonic::async_trait]
impl Unary for Service {
    async fn request(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        let from = request.remote_addr().map_or(0, |a| a.port());
        let seen = self.0.note(from, request.get_ref());
        let answering = (self.0.script.lock())(&seen);
        match answering.await {
            Some((kind, body)) => Ok(Response::new(envelope(kind, &body))),
            None => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl BiRequestStream for Service {
    type requestBiStreamStream = ReceiverStream<Result<Payload, Status>>;

    async fn request_bi_stream(
        &self,
        request: Request<Streaming<Payload>>,
    ) -> Result<Response<Self::requestBiStreamStream>, Status> {
        let from = request.remote_addr().map_or(0, |a| a.port());
        let (send, receive) = mpsc::channel(16);
        let state = Arc::clone(&self.0);
        let mut incoming = request.into_inner();
        let reading = async move {
            while let Some(Ok(payload)) = incoming.next().await {
                let seen = state.note(from, &payload);
                if seen.kind == "ConnectionSetupRequest" {
                    let ack = envelope("SetupAckRequest", &json!({"requestId": "1", "abilityTable": {}}));
                    send.send(Ok(ack)).await.ok();
                    state.streams.lock().insert(from, send.clone());
                }
            }
            state.streams.lock().remove(&from);
            state.seen.lock().push(Seen {
                from,
                kind: "end of stream".into(),
                body: Value::Null,
                headers: BTreeMap::new(),
            });
        };
        tokio_util::task::TaskTracker::new().spawn(reading);
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}

impl Fake {
    /// Starts a healthy server.
    pub async fn start() -> Fake {
        Fake::start_above(0).await
    }

    /// Starts a healthy server on a port above `floor`.
    pub async fn start_above(floor: u16) -> Fake {
        let state =
            Arc::new(State { seen: Mutex::default(), streams: Mutex::default(), script: Mutex::new(always(good)) });
        let (listener, at) = listen_above(floor).await;
        let service = Service(Arc::clone(&state));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let unary = RequestServer::new(service.clone());
            let stream = BiRequestStreamServer::new(service);
            let router = tonic::transport::Server::builder().add_service(unary).add_service(stream);
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.ok();
        });
        Fake { at, state, _tasks: tasks }
    }

    /// Replies differently from now on.
    pub fn script(&self, script: Script) {
        *self.state.script.lock() = script;
    }

    /// Where its gRPC port is; for options with an offset of 0.
    pub fn address(&self) -> Address {
        Address { host: "127.0.0.1".into(), port: self.at.port(), https: false }
    }

    /// Sends `body` down every stream.
    pub async fn push(&self, kind: &str, body: Value) {
        let streams: Vec<_> = self.state.streams.lock().values().cloned().collect();
        for stream in streams {
            stream.send(Ok(envelope(kind, &body))).await.ok();
        }
    }

    /// All that reached it of one kind.
    pub fn seen(&self, kind: &str) -> Vec<Seen> {
        let seen = self.state.seen.lock();
        seen.iter().filter(|s| s.kind == kind).cloned().collect()
    }

    /// Waits until `count` of a kind have come.
    pub async fn wait(&self, kind: &str, count: usize) -> Vec<Seen> {
        for _ in 0..500 {
            let seen = self.seen(kind);
            if seen.len() >= count {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {count} of {kind}: {:?}", self.state.seen.lock());
    }
}

async fn listen_above(floor: u16) -> (TcpListener, SocketAddr) {
    let any = std::iter::once(0).filter(|_| floor == 0);
    for port in any.chain(floor.saturating_add(1)..=u16::MAX) {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            let at = listener.local_addr().unwrap();
            return (listener, at);
        }
    }
    panic!("no port above {floor}");
}

/// Options with short times for these servers.
pub fn options(servers: &[&Fake]) -> Options {
    let mut options = Options::new(servers.iter().map(|s| s.address()).collect());
    options.grpc_port_offset = 0;
    options.health_every = Duration::from_millis(500);
    options.request_timeout = Duration::from_millis(600);
    options.overlap = Duration::from_millis(100);
    options
}

/// An HTTP server that answers every login with the next token: t1, t2, ….
pub async fn logins(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut count = 0;
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0_u8; 4096];
            if socket.read(&mut head).await.is_err() {
                continue;
            }
            count += 1;
            let body = format!(r#"{{"accessToken":"t{count}","tokenTtl":18000}}"#);
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            socket.write_all(text.as_bytes()).await.ok();
        }
    });
    at
}
