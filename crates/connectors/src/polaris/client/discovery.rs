//! Discovery: what services a namespace has, and what instances a service has, if that has changed since it was last asked.
//!
//! The answers to one stream of gRPC come in the order of its requests. Where no gRPC port can be reached, each question is a
//! call of HTTP.

use super::codes::{NOT_FOUND, SAME, refusal};
use super::json::Answer;
use super::stream::{ANSWER, IN_FLIGHT, Stream};
use super::{Client, brief, name_of};
use causeway_core::Error;
use causeway_proto::polaris::discover_request::DiscoverRequestType;
use causeway_proto::polaris::{self, DiscoverRequest, DiscoverResponse, Service};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Questions on their way at once by HTTP.
const CALLS: usize = 16;
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
    /// The name stands for another service, whose instances have this revision.
    Alias(String),
    /// There is no such service, or the server's cache has not caught up with it.
    Unknown,
}

/// Asks the servers of one cluster.
pub(in crate::polaris) struct Discovery {
    client: Arc<Client>,
    stream: Option<Stream>,
    /// gRPC is not tried before.
    grpc_at: Option<Instant>,
    /// Which server has answered by HTTP.
    by_http: Option<usize>,
    /// How often another server has begun to answer without an error before.
    breaks: u64,
}

impl Discovery {
    pub fn new(client: Arc<Client>) -> Self {
        Self { client, stream: None, grpc_at: None, by_http: None, breaks: 0 }
    }

    /// Changes when another server answers, and none has failed to: that one may lack what the other one had.
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
                        (self.by_http, self.breaks) = (None, self.breaks + 1);
                        tracing::info!("Polaris' gRPC port answers again");
                    }
                    return Ok(found);
                }
                // Whoever answers next may be a server that has just started, and has not everything yet.
                Err(why) if stood => return Err(why),
                Err(why) => {
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

    async fn by_http(&mut self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        let asked: Vec<_> = questions.iter().map(|question| self.client.discover(question)).collect();
        let found = stream::iter(asked).buffered(CALLS).collect::<Vec<_>>().await;
        let found: Result<Vec<_>, _> = found.into_iter().collect();
        let server = found.is_ok().then(|| self.client.http.preferred());
        let before = std::mem::replace(&mut self.by_http, server);
        self.breaks += u64::from(before.is_some() && server.is_some() && before != server);
        found
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
                // One that hangs is not tried again.
                tries -= if begun.elapsed() >= ANSWER { tries.min(2) } else { 1 };
            }
            all.append(&mut last?);
        }
        Ok(all)
    }

    /// Asks over the stream, or over a new one. A stream that is given up while it is waited for is gone: its answers would be
    /// taken for those to the next questions.
    async fn ask_some(&mut self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        let (mut stream, sent) = match self.stream.take() {
            Some(mut stream) => {
                let sent = stream.send(questions);
                (stream, sent)
            }
            // A server sends nothing, not even headers, before it was asked.
            None => (Stream::open(&self.client, questions).await?, Ok(())),
        };
        let found = match sent {
            Ok(()) => stream.answers(questions).await,
            Err(error) => Err(error),
        };
        match &found {
            Ok(_) => self.stream = Some(stream),
            Err(_) => self.client.dialer.pass_over(),
        }
        found
    }
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

    pub(super) fn request(&self) -> DiscoverRequest {
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
    pub(super) fn is_meant(&self, answer: &DiscoverResponse) -> bool {
        let Some(service) = &answer.service else { return true };
        let same = |said: &Option<String>, own: &str| said.as_deref().is_none_or(|said| said.is_empty() || said == own);
        same(&service.namespace, &self.namespace) && same(&service.name, &self.service)
    }

    pub(super) fn found(&self, answer: DiscoverResponse) -> Result<Found, Error> {
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
                let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
                // A server that knows of none sends the revision of the question back: with it, those that come again would be
                // no change.
                let revision = if names.is_empty() { String::new() } else { revision };
                Found::Services(names, revision)
            }
            Sought::Instances if alias => Found::Alias(revision),
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
    fn an_empty_list_has_no_revision() {
        // As servers answer: the question's own.
        let said = answer(200_000, json!({"service": {"namespace": "n", "revision": "r1"}, "services": []}));
        let found = Question::services(&"n".into(), "r1").found_in_json(said).unwrap();
        assert_eq!(found, Found::Services(Vec::new(), String::new()));
    }

    #[test]
    fn what_others_let_be_seen_is_theirs() {
        let one = |namespace: &str| json!({"namespace": namespace, "service": "orders", "host": "h", "port": 1});
        let service = json!({"name": "orders", "namespace": "default", "revision": "r2"});
        let said = answer(200_000, json!({"service": service, "instances": [one("default"), one("other")]}));
        let Ok(Found::Instances(list, revision)) = question("").found_in_json(said) else { panic!() };
        assert_eq!((list.len(), revision.as_str()), (1, "r2"));
        let other = json!({"name": "real", "namespace": "default"});
        let alias = answer(200_000, json!({"service": {"revision": "r3"}, "aliasFor": other}));
        assert_eq!(question("").found_in_json(alias).unwrap(), Found::Alias("r3".into()));
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
