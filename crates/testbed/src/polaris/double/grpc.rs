//! The gRPC port: what clients register and discover.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use causeway_proto::polaris::discover_request::DiscoverRequestType;
use causeway_proto::polaris::discover_response::DiscoverResponseType;
use causeway_proto::polaris::polaris_grpc_server::{PolarisGrpc, PolarisGrpcServer};
use causeway_proto::polaris::{Client, DiscoverRequest, DiscoverResponse, Instance, Response as Answer};
use futures_util::stream::{self, Stream};
use tonic::{Request, Response, Status, Streaming};

use super::answers::OneAnswer;
use super::calls::CallFate;
use super::codes::AnswerCode;
use super::state::PolarisState;
use super::{discover, http};

pub fn router(state: Arc<PolarisState>) -> Router {
    Router::new().route_service("/v1.PolarisGRPC/{call}", PolarisGrpcServer::new(GrpcPort(state)))
}

struct GrpcPort(Arc<PolarisState>);

fn token<T>(request: &Request<T>) -> Option<String> {
    request.metadata().get("x-polaris-token").and_then(|token| token.to_str().ok()).map(str::to_owned)
}

impl GrpcPort {
    /// Counts a call, and answers it unless it is to fail.
    async fn call(&self, name: &str, done: impl Future<Output = OneAnswer> + Send) -> Result<Response<Answer>, Status> {
        let (call, fate) = self.0.calls.begin(&format!("grpc {name}")).await;
        let one = match fate {
            CallFate::Answered => done.await,
            CallFate::Code(code) => OneAnswer::of(code),
            CallFate::Status(_) => return Err(Status::unavailable("a fault of the test")),
        };
        let answer = one.proto();
        call.ends(answer.code.unwrap_or_default());
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl PolarisGrpc for GrpcPort {
    async fn report_client(&self, request: Request<Client>) -> Result<Response<Answer>, Status> {
        let Client { host, location, .. } = request.into_inner();
        self.call("ReportClient", async { OneAnswer::client(Client { host, location, ..Client::default() }) }).await
    }

    async fn register_instance(&self, request: Request<Instance>) -> Result<Response<Answer>, Status> {
        let token = token(&request);
        self.call("RegisterInstance", http::register(&self.0, request.into_inner(), token)).await
    }

    async fn deregister_instance(&self, request: Request<Instance>) -> Result<Response<Answer>, Status> {
        let token = token(&request);
        self.call("DeregisterInstance", http::deregister(&self.0, request.into_inner(), token)).await
    }

    async fn heartbeat(&self, request: Request<Instance>) -> Result<Response<Answer>, Status> {
        let it = request.into_inner();
        self.call("Heartbeat", async { self.0.beat(&it) }).await
    }

    type DiscoverStream = Pin<Box<dyn Stream<Item = Result<DiscoverResponse, Status>> + Send>>;

    /// One answer for each request, in their order.
    async fn discover(
        &self,
        request: Request<Streaming<DiscoverRequest>>,
    ) -> Result<Response<Self::DiscoverStream>, Status> {
        let (state, token) = (self.0.clone(), token(&request));
        let asked = Some(request.into_inner());
        let answers = stream::unfold((state, token, asked), |(state, token, asked)| async move {
            let mut asked = asked?;
            let next = tokio::select! {
                next = asked.message() => next,
                () = state.streams_dropped() => Err(Status::unavailable("the stream was dropped")),
            };
            let answer = match next {
                Ok(Some(next)) => one(&state, next, token.clone()).await,
                Ok(None) => return None,
                Err(status) => Err(status),
            };
            let rest = answer.is_ok().then_some(asked);
            Some((answer, (state, token, rest)))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Filters are not looked at here.
async fn one(state: &PolarisState, asked: DiscoverRequest, token: Option<String>) -> Result<DiscoverResponse, Status> {
    let kind = DiscoverRequestType::try_from(asked.r#type).map_or("UNKNOWN", |kind| kind.as_str_name());
    let (call, fate) = state.calls.begin(&format!("grpc Discover {kind}")).await;
    let unasked = |code| discover::answer(code, DiscoverResponseType::Unknown, None);
    let answer = match fate {
        CallFate::Answered => {
            let own =
                asked.service.as_ref().and_then(|service| service.token.clone()).filter(|token| !token.is_empty());
            let rights = state.tokens.lock().client(own.or(token).as_deref());
            match rights {
                Ok(rights) => state.discover(asked.r#type, asked.service, false, &rights),
                Err((code, _)) => unasked(code),
            }
        }
        CallFate::Code(code) => DiscoverResponse { service: asked.service, ..unasked(code) },
        CallFate::Status(_) => return Err(Status::unavailable("a fault of the test")),
    };
    let code = AnswerCode(answer.code.unwrap_or_default());
    call.ends(code.0);
    Ok(answer)
}
