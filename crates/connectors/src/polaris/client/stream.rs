//! One stream of discovery: the answers come in the order of the questions.

use super::Client;
use super::discovery::{Found, Question};
use super::grpc::root_cause;
use causeway_core::Error;
use causeway_proto::polaris::polaris_grpc_client::PolarisGrpcClient;
use causeway_proto::polaris::{DiscoverRequest, DiscoverResponse};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Streaming};

/// Questions on their way at once.
pub(super) const IN_FLIGHT: usize = 128;
/// Until an answer has come.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// Largest answer: a service with 100,000 instances.
const LARGEST: usize = 64 << 20;

pub(super) struct Stream {
    ask: mpsc::Sender<DiscoverRequest>,
    answers: Streaming<DiscoverResponse>,
    server: String,
}

impl Stream {
    /// Opens one, and asks these over it.
    pub async fn open(client: &Client, questions: &[Question]) -> Result<Self, Error> {
        let (channel, server) = client.dialer.connect().await?;
        let (ask, asked) = mpsc::channel(IN_FLIGHT);
        for question in questions {
            ask.try_send(question.request()).map_err(|e| Error::protocol(e.to_string()))?;
        }
        let mut request = Request::new(ReceiverStream::new(asked));
        if let Some(token) = &client.token {
            let value = AsciiMetadataValue::try_from(token.expose_secret());
            let mut value = value.map_err(|_| Error::Denied("the token has characters that no header holds".into()))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("x-polaris-token", value);
        }
        let mut grpc = PolarisGrpcClient::new(channel).max_decoding_message_size(LARGEST);
        match timeout(ANSWER, grpc.discover(request)).await {
            Ok(Ok(response)) => {
                client.dialer.keep();
                Ok(Self { ask, answers: response.into_inner(), server })
            }
            Ok(Err(status)) => Err(ended(&server, &status)),
            Err(_) => Err(Error::unavailable(format!("{server}: no answer within {} s", ANSWER.as_secs()))),
        }
    }

    /// Asks more.
    pub fn send(&mut self, questions: &[Question]) -> Result<(), Error> {
        for question in questions {
            let sent = self.ask.try_send(question.request());
            sent.map_err(|_| Error::unavailable(format!("{}: the stream has ended", self.server)))?;
        }
        Ok(())
    }

    /// The answers to what was asked last, in the same order.
    pub async fn answers(&mut self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        let server = &self.server;
        let mut found = Vec::with_capacity(questions.len());
        for question in questions {
            let answer = match timeout(ANSWER, self.answers.message()).await {
                Ok(Ok(Some(answer))) => answer,
                Ok(Ok(None)) => return Err(Error::unavailable(format!("{server}: the stream has ended"))),
                Ok(Err(status)) => return Err(ended(server, &status)),
                Err(_) => {
                    return Err(Error::unavailable(format!("{server}: no answer within {} s", ANSWER.as_secs())));
                }
            };
            if !question.is_meant(&answer) {
                return Err(Error::protocol(format!("{server}: the answers are not in the order of the questions")));
            }
            found.push(question.found(answer));
        }
        Ok(found)
    }
}

fn ended(server: &str, status: &tonic::Status) -> Error {
    let words = match std::error::Error::source(status) {
        Some(source) => root_cause(source),
        None => status.message().to_owned(),
    };
    Error::unavailable(format!("{server}: {words}"))
}
