//! Calls that write several records at once.

use super::codes::{EXISTS, lacks_service, refusal};
use super::json::{Answer, InstanceJson, NamespaceJson, ServiceJson};
use super::{Client, PAGE, brief};
use causeway_core::Error;
use reqwest::Method;
use std::collections::HashMap;

/// What is done to instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::polaris) enum WriteKind {
    /// Makes them, or replaces those that stand.
    Put,
    /// Changes those that stand.
    Update,
    /// Removes them.
    Delete,
}

/// How one write ended.
#[derive(Debug)]
pub(in crate::polaris) enum WriteOutcome {
    Done,
    /// The service is not there (any more).
    NoService,
    Failed(Error),
}

impl Client {
    /// Makes a namespace. One that is there already is fine.
    pub async fn make_namespace(&self, name: &str, comment: Option<&str>) -> Result<(), Error> {
        let body = [NamespaceJson { name: Some(name.to_owned()), comment: comment.map(str::to_owned) }];
        let answer = self.send(Method::POST, "/naming/v1/namespaces", &[], Some(text(&body)?)).await?;
        made(answer).map(drop)
    }

    /// Makes a service with this metadata. One that is there already is fine, and stays as it is. Returns whether it is new.
    pub async fn make_service(&self, namespace: &str, name: &str, metadata: &[(&str, &str)]) -> Result<bool, Error> {
        let metadata: HashMap<_, _> = metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let body = [ServiceJson {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            revision: None,
            metadata: Some(metadata),
        }];
        let answer = self.send(Method::POST, "/naming/v1/services", &[], Some(text(&body)?)).await?;
        made(answer)
    }

    /// Writes instances, in as few calls as servers take; one outcome each, in the same order. One that is refused spoils no
    /// other.
    pub async fn write(&self, how: WriteKind, instances: &[InstanceJson]) -> Vec<WriteOutcome> {
        let mut outcomes: Vec<Option<WriteOutcome>> = instances.iter().map(|_| None).collect();
        // Servers check a call as a whole before they do any of it: what is sound is sent again without the rest.
        let all: Vec<usize> = (0..instances.len()).collect();
        let mut open: Vec<Vec<usize>> = all.chunks(PAGE).rev().map(<[usize]>::to_vec).collect();
        while let Some(some) = open.pop() {
            let sent: Vec<&InstanceJson> = some.iter().map(|at| &instances[*at]).collect();
            match self.write_some(how, &sent).await {
                Judged::Each(judged) => some.iter().zip(judged).for_each(|(at, one)| outcomes[*at] = Some(one)),
                Judged::Unsound(bad) => {
                    let mut rest = Vec::new();
                    for (n, at) in some.into_iter().enumerate() {
                        match bad.iter().find(|(index, ..)| *index == n) {
                            Some((_, code, words)) => outcomes[at] = Some(judge(how, *code, words)),
                            None => rest.push(at),
                        }
                    }
                    open.push(rest);
                }
                // Which one of them it is about is not said.
                Judged::All(code, _) if some.len() > 1 && code / 1_000 == 400 && !lacks_service(code) => {
                    let (first, second) = some.split_at(some.len() / 2);
                    open.extend([second.to_vec(), first.to_vec()]);
                }
                Judged::All(code, words) => {
                    some.iter().for_each(|at| outcomes[*at] = Some(judge(how, code, &words)));
                }
                Judged::Failed(error) => {
                    // No server answers: the others would only wait, too.
                    let away = matches!(error, Error::Unavailable(_));
                    let rest = if away { std::mem::take(&mut open).concat() } else { Vec::new() };
                    for at in some.into_iter().chain(rest) {
                        outcomes[at] = Some(WriteOutcome::Failed(again(&error)));
                    }
                }
            }
        }
        let none = || WriteOutcome::Failed(Error::protocol("a write without an outcome"));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(none)).collect()
    }

    async fn write_some(&self, how: WriteKind, sent: &[&InstanceJson]) -> Judged {
        if sent.is_empty() {
            return Judged::Each(Vec::new());
        }
        let (method, path) = match how {
            WriteKind::Put => (Method::POST, "/naming/v1/instances"),
            WriteKind::Update => (Method::PUT, "/naming/v1/instances"),
            WriteKind::Delete => (Method::POST, "/naming/v1/instances/delete"),
        };
        let answer = match text(&sent) {
            Ok(body) => self.send(method, path, &[], Some(body)).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => judged(how, sent, answer),
            Err(error) => Judged::Failed(error),
        }
    }
}

/// What an answer to one call says of its records.
enum Judged {
    Each(Vec<WriteOutcome>),
    /// Nothing was done, because of these: which one, its code, and the server's words.
    Unsound(Vec<(usize, u32, String)>),
    /// The same of all.
    All(u32, String),
    Failed(Error),
}

fn judged(how: WriteKind, sent: &[&InstanceJson], answer: Answer) -> Judged {
    let (code, words) = (answer.code(), brief(answer.words()));
    let responses: Vec<Answer> = answer.responses.unwrap_or_default().into_iter().flatten().collect();
    if responses.len() == sent.len() {
        let each = responses.iter().map(|one| judge(how, one.code(), &brief(one.words())));
        return Judged::Each(each.collect());
    }
    if refusal(code, &words).is_none() {
        return Judged::Failed(Error::protocol(format!("{} outcomes of {} writes", responses.len(), sent.len())));
    }
    let mut bad = Vec::new();
    for one in &responses {
        let is_it = |wire: &InstanceJson, of: &InstanceJson| {
            (&wire.host, wire.port) == (&of.host, of.port) || (wire.id.is_some() && wire.id == of.id)
        };
        let taken = |n: usize| bad.iter().any(|(index, ..): &(usize, u32, String)| *index == n);
        let named = one
            .instance
            .as_ref()
            .and_then(|of| sent.iter().enumerate().position(|(n, wire)| !taken(n) && is_it(wire, of)));
        if let Some(n) = named {
            bad.push((n, one.code(), brief(one.words())));
        }
    }
    if bad.is_empty() { Judged::All(code, words) } else { Judged::Unsound(bad) }
}

fn judge(how: WriteKind, code: u32, words: &str) -> WriteOutcome {
    match refusal(code, words) {
        None => WriteOutcome::Done,
        // What is to be removed is not there.
        Some(Error::Missing(_)) if how == WriteKind::Delete => WriteOutcome::Done,
        Some(Error::Missing(_)) if lacks_service(code) && how == WriteKind::Put => WriteOutcome::NoService,
        // It was removed since it was seen.
        Some(Error::Missing(_)) => WriteOutcome::Failed(Error::Conflict),
        Some(error) => WriteOutcome::Failed(error),
    }
}

/// Whether what was to be made is new: it is there in any case.
fn made(answer: Answer) -> Result<bool, Error> {
    let inner = answer.responses.iter().flatten().flatten().next();
    let (code, words) = inner.map_or((answer.code(), answer.words()), |one| (one.code(), one.words()));
    match refusal(code, &brief(words)) {
        Some(_) if code == EXISTS => Ok(false),
        None => Ok(true),
        Some(error) => Err(error),
    }
}

fn text(body: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|e| Error::protocol(e.to_string()))
}

/// The same error once more.
pub(in crate::polaris) fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable(cause) => Error::unavailable(cause.to_string()),
        Error::Throttled(wait) => Error::Throttled(*wait),
        Error::Conflict => Error::Conflict,
        Error::Denied(why) => Error::Denied(why.clone()),
        Error::Missing(why) => Error::Missing(why.clone()),
        Error::Rejected(why) => Error::Rejected(why.clone()),
        Error::Blocked(why) => Error::Blocked(why.clone()),
        Error::Protocol(cause) => Error::protocol(cause.to_string()),
    }
}
