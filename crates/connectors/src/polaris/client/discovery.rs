//! Discovery: what services a namespace has, and what instances a service has, if that has changed since it was last asked.
//!
//! The answers to one stream of gRPC come in the order of its requests. Where no gRPC port can be reached, each question is a
//! call of HTTP.

use super::codes::{NOT_FOUND, SAME, refusal};
use super::grpc::root_cause;
use super::json::Answer;
use super::{Client, brief, name_of};
use causeway_core::Error;
use causeway_proto::polaris::discover_request::DiscoverRequestType;
use causeway_proto::polaris::polaris_grpc_client::PolarisGrpcClient;
use causeway_proto::polaris::{self, DiscoverRequest, DiscoverResponse, Service};
use futures_util::stream::{self, StreamExt};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Streaming};

/// Questions on their way at once over a stream, and by HTTP.
const IN_FLIGHT: usize = 128;
const CALLS: usize = 16;
/// Until an answer of a stream has come.
const ANSWER: Duration = Duration::from_secs(5);
/// Largest answer: a service with 100,000 instances.
const LARGEST: usize = 64 << 20;
/// While HTTP has to do, gRPC is tried again after this time.
const AGAIN: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::polaris) enum Sought {
    /// The services of a namespace.
    Services,
    /// The instances of a service.
    Instances,
}

/// One question.
#[derive(Clone, Debug)]
pub(in crate::polaris) struct Question {
    pub sought: Sought,
    pub namespace: Arc<str>,
    /// The service; empty with [`Sought::Services`].
    pub service: Arc<str>,
    /// The revision of what is known; empty: nothing is.
    pub revision: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::polaris) enum Found {
    /// What is known still stands.
    Same,
    /// All there is, and its revision.
    Services(Vec<String>, String),
    Instances(Vec<polaris::Instance>, String),
    /// The name stands for another service.
    Alias,
    /// There is no such service, or the server's cache has not caught up with it.
    Unknown,
}

/// Asks the servers of one cluster.
pub(in crate::polaris) struct Discovery {
    client: Arc<Client>,
    stream: Option<Stream>,
    /// gRPC is not tried before.
    grpc_at: Option<Instant>,
    /// How many streams have ended while they were used.
    breaks: u64,
}

struct Stream {
    ask: mpsc::Sender<DiscoverRequest>,
    answers: Streaming<DiscoverResponse>,
    server: String,
}

impl Discovery {
    pub fn new(client: Arc<Client>) -> Self {
        Self { client, stream: None, grpc_at: None, breaks: 0 }
    }

    /// Changes when a stream has ended: what answers since then may be another server, or one without its data.
    pub fn breaks(&self) -> u64 {
        self.breaks
    }

    /// One answer a question, in the same order. An error where no server answers.
    pub async fn ask(&mut self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let stood = self.stream.is_some();
        if stood || self.grpc_at.is_none_or(|at| at <= Instant::now()) {
            match self.by_grpc(questions).await {
                Ok(found) => {
                    if self.grpc_at.take().is_some() {
                        tracing::info!("Polaris' gRPC port answers again");
                    }
                    return Ok(found);
                }
                // Whoever answers next may be a server that has just started, and has not everything yet.
                Err(why) if stood => {
                    self.stream = None;
                    return Err(why);
                }
                Err(why) => {
                    self.stream = None;
                    let found = self.by_http(questions).await?;
                    if self.grpc_at.is_none() {
                        tracing::warn!(%why, "no gRPC port of Polaris answers: services are watched by HTTP for now");
                    }
                    self.grpc_at = Some(Instant::now() + AGAIN);
                    return Ok(found);
                }
            }
        }
        self.by_http(questions).await
    }

    async fn by_http(&self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        let asked: Vec<_> = questions.iter().map(|question| self.client.discover(question)).collect();
        stream::iter(asked).buffered(CALLS).collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn by_grpc(&mut self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        let mut all = Vec::with_capacity(questions.len());
        for some in questions.chunks(IN_FLIGHT) {
            let mut last = Err(Error::unavailable("no gRPC address is known"));
            // A stream that ends is an outage; a new one is looked for at each server.
            let mut tries = if self.stream.is_some() { 1 } else { self.client.dialer.count() };
            while tries > 0 {
                let begun = Instant::now();
                last = self.ask_some(some).await;
                if last.is_ok() {
                    break;
                }
                self.breaks += u64::from(self.stream.take().is_some());
                // One that hangs is not tried again.
                tries -= if begun.elapsed() >= ANSWER { tries.min(2) } else { 1 };
            }
            all.append(&mut last?);
        }
        Ok(all)
    }

    async fn ask_some(&mut self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        let stream = match &mut self.stream {
            Some(stream) => {
                for question in questions {
                    let sent = stream.ask.try_send(question.request());
                    sent.map_err(|_| Error::unavailable(format!("{}: the stream has ended", stream.server)))?;
                }
                stream
            }
            // A server sends nothing, not even headers, before it was asked.
            None => self.stream.insert(open(&self.client, questions).await?),
        };
        let mut found = Vec::with_capacity(questions.len());
        for question in questions {
            let server = &stream.server;
            let answer = match timeout(ANSWER, stream.answers.message()).await {
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

async fn open(client: &Client, questions: &[Question]) -> Result<Stream, Error> {
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
            Ok(Stream { ask, answers: response.into_inner(), server })
        }
        Ok(Err(status)) => Err(ended(&server, &status)),
        Err(_) => Err(Error::unavailable(format!("{server}: no answer within {} s", ANSWER.as_secs()))),
    }
}

fn ended(server: &str, status: &tonic::Status) -> Error {
    let words = match std::error::Error::source(status) {
        Some(source) => root_cause(source),
        None => status.message().to_owned(),
    };
    Error::unavailable(format!("{server}: {words}"))
}

impl Question {
    /// For the services of a namespace.
    pub fn services(namespace: &Arc<str>, revision: &str) -> Self {
        let service = Arc::from("");
        Self { sought: Sought::Services, namespace: namespace.clone(), service, revision: revision.to_owned() }
    }

    /// For the instances of a service.
    pub fn instances(namespace: &Arc<str>, service: &Arc<str>, revision: &str) -> Self {
        let (namespace, service) = (namespace.clone(), service.clone());
        Self { sought: Sought::Instances, namespace, service, revision: revision.to_owned() }
    }

    /// For a service that nobody has, which is refused where the namespace may not be seen.
    pub fn any(namespace: &Arc<str>) -> Self {
        Self::instances(namespace, &Arc::from("causeway"), "")
    }

    fn request(&self) -> DiscoverRequest {
        let kind = match self.sought {
            Sought::Services => DiscoverRequestType::Services,
            Sought::Instances => DiscoverRequestType::Instance,
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let service = Service {
            name: some(&self.service),
            namespace: some(&self.namespace),
            revision: some(&self.revision),
            ..Service::default()
        };
        DiscoverRequest { r#type: kind.into(), service: Some(service) }
    }

    pub(super) fn json(&self) -> Value {
        let kind = match self.sought {
            Sought::Services => "SERVICES",
            Sought::Instances => "INSTANCE",
        };
        let mut service = json!({"namespace": &*self.namespace});
        for (key, value) in [("name", &*self.service), ("revision", &self.revision)] {
            if !value.is_empty() {
                service[key] = value.into();
            }
        }
        json!({"type": kind, "service": service})
    }

    /// Whether an answer that says what it is about is about this.
    fn is_meant(&self, answer: &DiscoverResponse) -> bool {
        let Some(service) = &answer.service else { return true };
        let same = |said: &Option<String>, own: &str| said.as_deref().is_none_or(|said| said.is_empty() || said == own);
        same(&service.namespace, &self.namespace) && same(&service.name, &self.service)
    }

    fn found(&self, answer: DiscoverResponse) -> Result<Found, Error> {
        let (code, words) = (answer.code.unwrap_or_default(), answer.info.unwrap_or_default());
        let revision = answer.service.and_then(|service| service.revision).unwrap_or_default();
        let named = answer.alias_for.as_ref();
        let named = (named.and_then(|one| one.namespace.as_deref()), named.and_then(|one| one.name.as_deref()));
        let alias = self.is_alias(named);
        let services = answer.services.into_iter().map(|one| (one.namespace, one.name));
        self.judge(code, &words, revision, alias, services, answer.instances)
    }

    pub(super) fn found_in_json(&self, answer: Answer) -> Result<Found, Error> {
        let (code, words) = (answer.code(), answer.words().to_owned());
        let alias = self.is_alias(name_of(answer.alias_for.as_ref()));
        let revision = answer.service.and_then(|service| service.revision).unwrap_or_default();
        let services = answer.services.unwrap_or_default().into_iter().map(|one| (one.namespace, one.name));
        let instances = answer.instances.unwrap_or_default().into_iter().map(polaris::Instance::from).collect();
        self.judge(code, &words, revision, alias, services, instances)
    }

    fn is_alias(&self, (namespace, name): (Option<&str>, Option<&str>)) -> bool {
        let other = |said: Option<&str>, own: &str| said.is_some_and(|said| !said.is_empty() && said != own);
        self.sought == Sought::Instances && (other(namespace, &self.namespace) || other(name, &self.service))
    }

    fn judge(
        &self,
        code: u32,
        words: &str,
        revision: String,
        alias: bool,
        services: impl Iterator<Item = (Option<String>, Option<String>)>,
        instances: Vec<polaris::Instance>,
    ) -> Result<Found, Error> {
        match code {
            SAME if self.revision.is_empty() => {}
            SAME => return Ok(Found::Same),
            NOT_FOUND => return Ok(Found::Unknown),
            _ => {}
        }
        if let Some(error) = refusal(code, &brief(words)) {
            return Err(error);
        }
        let here = |namespace: &Option<String>| namespace.as_deref().is_none_or(|said| said == &*self.namespace);
        Ok(match self.sought {
            Sought::Services => {
                let names = services.filter(|(namespace, _)| here(namespace)).filter_map(|(_, name)| name);
                Found::Services(names.filter(|name| !name.is_empty()).collect(), revision)
            }
            Sought::Instances if alias => Found::Alias,
            Sought::Instances => {
                // What other namespaces let be seen here is theirs.
                let own = |one: &polaris::Instance| {
                    here(&one.namespace) && one.service.as_deref().is_none_or(|said| said == &*self.service)
                };
                Found::Instances(instances.into_iter().filter(own).collect(), revision)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(revision: &str) -> Question {
        Question::instances(&"default".into(), &"orders".into(), revision)
    }

    fn answer(code: u32, json: Value) -> Answer {
        let mut whole = json!({"code": code, "info": "said"});
        for (key, value) in json.as_object().unwrap() {
            whole[key] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn no_change_is_not_nothing_and_not_found_is_not_empty() {
        let found = |revision: &str, code| question(revision).found_in_json(answer(code, json!({"instances": []})));
        assert_eq!(found("r1", 200_001).unwrap(), Found::Same);
        // The first question to a service without instances may be answered so.
        assert_eq!(found("", 200_001).unwrap(), Found::Instances(Vec::new(), String::new()));
        assert_eq!(found("r1", 400_202).unwrap(), Found::Unknown);
        assert_eq!(found("r1", 200_000).unwrap(), Found::Instances(Vec::new(), String::new()));
        assert!(matches!(found("r1", 401_001), Err(Error::Denied(_))));
        assert!(matches!(found("r1", 500_001), Err(Error::Unavailable(_))));
    }

    #[test]
    fn what_others_let_be_seen_is_theirs() {
        let one = |namespace: &str| json!({"namespace": namespace, "service": "orders", "host": "h", "port": 1});
        let service = json!({"name": "orders", "namespace": "default", "revision": "r2"});
        let said = answer(200_000, json!({"service": service, "instances": [one("default"), one("other")]}));
        let Ok(Found::Instances(list, revision)) = question("").found_in_json(said) else { panic!() };
        assert_eq!((list.len(), revision.as_str()), (1, "r2"));
        let other = json!({"name": "real", "namespace": "default"});
        assert_eq!(question("").found_in_json(answer(200_000, json!({"aliasFor": other}))).unwrap(), Found::Alias);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        assert_eq!(
            question("").json(),
            json!({"type": "INSTANCE", "service": {"namespace": "default", "name": "orders"}})
        );
        let services = Question::services(&"n".into(), "r");
        assert_eq!(services.json(), json!({"type": "SERVICES", "service": {"namespace": "n", "revision": "r"}}));
        assert_eq!(services.request().service.unwrap().name, None);
    }
}
