//! Discovery over gRPC, with a server that answers as it is told to.

use super::*;
use causeway_proto::polaris::polaris_grpc_server::{PolarisGrpc, PolarisGrpcServer};
use causeway_proto::polaris::{DiscoverRequest, DiscoverResponse, Response as Outcome, Service};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

#[derive(Clone, Default)]
struct Server {
    /// The tokens of the streams so far.
    streams: Arc<Mutex<Vec<String>>>,
    /// Streams end after so many answers.
    ends: Option<usize>,
    /// While it is set, no answer comes.
    hangs: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl PolarisGrpc for Server {
    type DiscoverStream = ReceiverStream<Result<DiscoverResponse, Status>>;

    async fn discover(
        &self,
        request: Request<Streaming<DiscoverRequest>>,
    ) -> Result<Response<Self::DiscoverStream>, Status> {
        let token = request.metadata().get("x-polaris-token").map(|token| token.to_str().unwrap().to_owned());
        self.streams.lock().push(token.unwrap_or_default());
        let (send, answers) = mpsc::channel(1_000);
        let (mut asked, ends, hangs) = (request.into_inner(), self.ends.unwrap_or(usize::MAX), self.hangs.clone());
        // Like a server that sends no headers before it was asked.
        let first = asked.next().await;
        let work = async move {
            let mut next = first;
            for _ in 0..ends {
                let Some(Ok(request)) = next.take() else { break };
                while hangs.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let service = request.service.unwrap();
                // A service has one instance.
                let one = polaris::Instance { host: Some("h".into()), port: Some(1), ..polaris::Instance::default() };
                let answer = DiscoverResponse {
                    code: Some(200_000),
                    instances: service.name.iter().map(|_| one.clone()).collect(),
                    service: Some(Service { revision: Some("r".into()), ..service }),
                    ..DiscoverResponse::default()
                };
                if send.send(Ok(answer)).await.is_err() {
                    break;
                }
                next = asked.next().await;
            }
        };
        tokio_util::task::TaskTracker::new().spawn(work);
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn report_client(&self, _: Request<polaris::Client>) -> Result<Response<Outcome>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn register_instance(&self, _: Request<polaris::Instance>) -> Result<Response<Outcome>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn deregister_instance(&self, _: Request<polaris::Instance>) -> Result<Response<Outcome>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn heartbeat(&self, _: Request<polaris::Instance>) -> Result<Response<Outcome>, Status> {
        Err(Status::unimplemented(""))
    }
}

async fn start(server: Server) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("grpc://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let router = tonic::transport::Server::builder().add_service(PolarisGrpcServer::new(server));
        router.serve_with_incoming(TcpListenerStream::new(listener)).await.ok();
    });
    (address, tasks)
}

fn discovery(addresses: &[&str]) -> Discovery {
    let addresses = addresses.iter().map(|text| (*text).to_owned()).chain(["http://127.0.0.1:1".to_owned()]).collect();
    let connect = Connect { addresses, token: Some("secret".to_owned().into()), ..Connect::default() };
    Discovery::new(Arc::new(Client::new(&connect).unwrap()))
}

fn queries(count: usize) -> Vec<Question> {
    (0..count).map(|n| Question::instances(&"n".into(), &format!("s{n}").into(), "")).collect()
}

#[tokio::test]
async fn one_stream_answers_all_questions_in_order() {
    let server = Server::default();
    let (address, _tasks) = start(server.clone()).await;
    let mut discovery = discovery(&[&address]);
    for count in [1, 500, 3] {
        let found = discovery.ask(&queries(count)).await.unwrap();
        assert!(found.len() == count && found.iter().all(|one| matches!(one, Ok(Found::Instances(..)))), "{found:?}");
    }
    assert_eq!(*server.streams.lock(), ["secret"]);
}

#[tokio::test]
async fn a_stream_that_ends_is_an_outage_and_opened_again_and_a_server_that_is_away_is_passed_over() {
    let server = Server { ends: Some(200), ..Server::default() };
    let (address, tasks) = start(server.clone()).await;
    let mut discovery = discovery(&["grpc://127.0.0.1:1", &address]);
    let mut outages = 0;
    for _ in 0..8 {
        match discovery.ask(&queries(100)).await {
            Ok(found) => assert_eq!(found.len(), 100),
            Err(Error::Unavailable(_)) => outages += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!((1..=4).contains(&outages), "{outages}");
    assert!((2..=5).contains(&server.streams.lock().len()), "{:?}", server.streams.lock().len());
    drop(tasks);
    // Neither port answers: an outage.
    let error = loop {
        if let Err(error) = discovery.ask(&queries(1)).await {
            break error;
        }
    };
    assert!(matches!(error, Error::Unavailable(_)) && !format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn answers_that_nobody_waited_for_are_not_those_to_the_next_questions() {
    let server = Server::default();
    let (address, _tasks) = start(server.clone()).await;
    let mut discovery = discovery(&[&address]);
    let list = [Question::services(&"n".into(), "")];
    discovery.ask(&list).await.unwrap();
    server.hangs.store(true, Ordering::Relaxed);
    let given_up = tokio::time::timeout(Duration::from_millis(50), discovery.ask(&list)).await;
    assert!(given_up.is_err());
    server.hangs.store(false, Ordering::Relaxed);
    let found = discovery.ask(&queries(1)).await.unwrap();
    assert!(matches!(&found[..], [Ok(Found::Instances(list, _))] if list.len() == 1), "{found:?}");
}

#[tokio::test]
async fn a_server_that_has_stopped_to_answer_is_not_tried_first() {
    let (one, two) = (Server::default(), Server::default());
    let ((first, _tasks), (second, _others)) = (start(one.clone()).await, start(two).await);
    let mut discovery = discovery(&[&first, &second]);
    discovery.ask(&queries(1)).await.unwrap();
    one.hangs.store(true, Ordering::Relaxed);
    assert!(matches!(discovery.ask(&queries(1)).await, Err(Error::Unavailable(_))));
    let begun = std::time::Instant::now();
    discovery.ask(&queries(1)).await.unwrap();
    assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
}
