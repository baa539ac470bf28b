//! The console's writes: lists of namespaces, services or instances.

use std::collections::BTreeSet;

use axum::http::Method;
use causeway_proto::polaris::{Instance, Namespace};
use serde_json::Value;

use super::answers::{ManyAnswers, OneAnswer};
use super::checks;
use super::codes::AnswerCode;
use super::json::{self as words, AskedInstance, AskedService};
use super::records::HeldRecords;
use super::rights::Rights;
use super::state::PolarisState;

#[derive(Clone, Copy, PartialEq, Eq)]
enum ConsoleThing {
    Namespaces,
    Services,
    Instances,
    /// All instances of a service on one host.
    Hosts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ConsoleDeed {
    Create,
    Update,
    Delete,
    Isolate,
}

/// What a call does to each thing of its list.
pub struct ConsoleWrite(ConsoleThing, ConsoleDeed);

impl ConsoleWrite {
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let path = path
            .strip_prefix("/naming/v1/")
            .or_else(|| path.strip_prefix("/core/v1/").filter(|path| path.starts_with("namespaces")))?;
        let (thing, deed) = match (method, path) {
            (&Method::POST, "namespaces") => (ConsoleThing::Namespaces, ConsoleDeed::Create),
            (&Method::PUT, "namespaces") => (ConsoleThing::Namespaces, ConsoleDeed::Update),
            (&Method::POST, "namespaces/delete") => (ConsoleThing::Namespaces, ConsoleDeed::Delete),
            (&Method::POST, "services") => (ConsoleThing::Services, ConsoleDeed::Create),
            (&Method::PUT, "services") => (ConsoleThing::Services, ConsoleDeed::Update),
            (&Method::POST, "services/delete") => (ConsoleThing::Services, ConsoleDeed::Delete),
            (&Method::POST, "instances") => (ConsoleThing::Instances, ConsoleDeed::Create),
            (&Method::PUT, "instances") => (ConsoleThing::Instances, ConsoleDeed::Update),
            (&Method::POST, "instances/delete") => (ConsoleThing::Instances, ConsoleDeed::Delete),
            (&Method::POST, "instances/delete/host") => (ConsoleThing::Hosts, ConsoleDeed::Delete),
            (&Method::PUT, "instances/isolate/host") => (ConsoleThing::Hosts, ConsoleDeed::Isolate),
            _ => return None,
        };
        Some(Self(thing, deed))
    }

    /// Whether it waits for others, to be written with them.
    pub fn is_gathered(&self) -> bool {
        self.0 == ConsoleThing::Instances && matches!(self.1, ConsoleDeed::Create | ConsoleDeed::Delete)
    }
}

/// The elements of a list. The server reads one bracket, whatever it is, and then as many elements as come: so it takes `{` for an
/// empty list, and does not look at what stands behind.
pub fn elements(body: &[u8]) -> Result<Vec<Value>, String> {
    let text = String::from_utf8_lossy(body);
    let Some(first) = text.trim_start().chars().next() else { return Err("EOF".to_owned()) };
    let rest = text.trim_start()[first.len_utf8()..].trim_start();
    match (first, rest.chars().next()) {
        ('[', None | Some(']')) | ('{', None | Some('}')) => Ok(Vec::new()),
        ('[', _) => {
            let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Vec<Value>>();
            let first = values.next().unwrap_or(Ok(Vec::new()));
            first.map_err(|error| error.to_string())
        }
        ('{', _) => Err("not at beginning of value".to_owned()),
        _ => serde_json::from_str::<Value>(&text).map(|_| Vec::new()).map_err(|error| error.to_string()),
    }
}

/// Does it, or says what is wrong. What is wrong with one thing of a list keeps all of it from being done.
pub fn done(
    state: &PolarisState,
    work: &ConsoleWrite,
    body: Result<Vec<Value>, String>,
    token: Option<&str>,
) -> ManyAnswers {
    let all = match body {
        Ok(all) => all,
        Err(why) => return ManyAnswers::with(AnswerCode::PARSE, &why),
    };
    let most = state.rules.limit;
    match work.0 {
        ConsoleThing::Namespaces => {
            read(&all, most, words::read_namespace, |mut all| namespaces(state, work.1, &mut all, token))
        }
        ConsoleThing::Services => {
            read(&all, most, words::read_service, |mut all| services(state, work.1, &mut all, token))
        }
        ConsoleThing::Instances => read(&all, most, words::read_instance, |all| instances(state, work.1, all, token)),
        ConsoleThing::Hosts => read(&all, most, words::read_instance, |all| hosts(state, work.1, &all, token)),
    }
}

fn read<T>(
    all: &[Value],
    most: usize,
    read: impl Fn(&Value) -> Result<T, String>,
    then: impl FnOnce(Vec<T>) -> ManyAnswers,
) -> ManyAnswers {
    match all.iter().map(read).collect::<Result<Vec<_>, _>>() {
        Err(why) => ManyAnswers::with(AnswerCode::PARSE, &why),
        Ok(all) if all.is_empty() => ManyAnswers::of(AnswerCode::EMPTY_REQUEST),
        Ok(all) if all.len() > most => ManyAnswers::of(AnswerCode::BATCH_SIZE),
        Ok(all) => then(all),
    }
}

fn allowed<'a>(
    state: &PolarisState,
    token: Option<&str>,
    namespaces: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<Rights, (AnswerCode, &'static str)> {
    let rights = state.tokens.lock().console(token)?;
    rights.cover(namespaces)?;
    Ok(rights)
}

/// Writes, and sums up.
fn written(
    state: &PolarisState,
    sum: impl FnOnce(Vec<OneAnswer>) -> ManyAnswers,
    change: impl FnOnce(&mut HeldRecords) -> Vec<OneAnswer>,
) -> ManyAnswers {
    match state.write(change) {
        Ok(all) => sum(all),
        Err(error) => ManyAnswers::with(AnswerCode::EXCEPTION, &error.to_string()),
    }
}

fn namespaces(state: &PolarisState, deed: ConsoleDeed, all: &mut [Namespace], token: Option<&str>) -> ManyAnswers {
    if let Err((code, _)) = allowed(state, token, all.iter().map(|one| one.name.as_deref())) {
        return ManyAnswers::of(code);
    }
    if deed == ConsoleDeed::Create {
        let owner = state.owner();
        all.iter_mut().for_each(|one| one.owners = owner.clone().or(one.owners.take()));
    }
    written(state, ManyAnswers::collected, |records| {
        let each = all.iter().map(|one| match deed {
            ConsoleDeed::Create => records.create_namespace(one),
            ConsoleDeed::Delete => records.delete_namespace(one),
            ConsoleDeed::Update | ConsoleDeed::Isolate => records.update_namespace(one),
        });
        each.collect()
    })
}

fn services(state: &PolarisState, deed: ConsoleDeed, all: &mut [AskedService], token: Option<&str>) -> ManyAnswers {
    let checked: Vec<_> = all.iter().map(|one| (checks::service(&one.it), &one.it)).collect();
    if checked.iter().any(|(checked, _)| checked.is_err()) {
        // The server answers about all of them, and says nothing about the good ones.
        let each = checked.into_iter().map(|(checked, one)| match checked {
            Ok(()) => OneAnswer::unfilled(),
            Err(code) => OneAnswer::service(code, one.clone()),
        });
        return ManyAnswers::collected(each.collect());
    }
    if let Err((code, _)) = allowed(state, token, all.iter().map(|one| one.it.namespace.as_deref())) {
        return ManyAnswers::of(code);
    }
    if deed == ConsoleDeed::Create {
        let owner = state.owner();
        all.iter_mut().for_each(|one| one.it.owners = owner.clone().or(one.it.owners.take()));
    }
    written(state, ManyAnswers::summed_up, |records| {
        let each = all.iter().map(|one| match deed {
            ConsoleDeed::Create => records.create_service(&one.it),
            ConsoleDeed::Delete => records.delete_service(&one.it),
            ConsoleDeed::Update | ConsoleDeed::Isolate => records.update_service(one),
        });
        each.collect()
    })
}

fn instances(state: &PolarisState, deed: ConsoleDeed, mut all: Vec<AskedInstance>, token: Option<&str>) -> ManyAnswers {
    let check = match deed {
        ConsoleDeed::Create => checks::created,
        ConsoleDeed::Delete => checks::revised,
        ConsoleDeed::Update | ConsoleDeed::Isolate => checks::updated,
    };
    let mut wrong = Vec::new();
    for one in &mut all {
        match check(&one.it) {
            Ok(id) => one.it.id = Some(id),
            Err(code) => wrong.push(OneAnswer::instance(code, one.it.clone())),
        }
    }
    if !wrong.is_empty() {
        return ManyAnswers::collected(wrong);
    }
    if let Err((code, why)) = allowed(state, token, places(state, all.iter().map(|one| &one.it)).iter().map(place)) {
        return match deed {
            ConsoleDeed::Create | ConsoleDeed::Delete => ManyAnswers::collected(vec![OneAnswer::with(code, why)]),
            ConsoleDeed::Update | ConsoleDeed::Isolate => ManyAnswers::with(code, why),
        };
    }
    if deed == ConsoleDeed::Delete {
        let mut beats = state.beats.lock();
        all.iter().for_each(|one| beats.forget(one.it.id.as_deref().unwrap_or_default()));
    }
    let maker = state.owner();
    written(state, ManyAnswers::summed_up, |records| {
        records.maker = maker;
        let mut seen = BTreeSet::new();
        let each = all.iter().map(|one| match deed {
            ConsoleDeed::Update | ConsoleDeed::Isolate => records.update_instance(one),
            _ if !seen.insert(one.it.id.clone()) => OneAnswer::instance(AnswerCode::SAME_INSTANCE, one.it.clone()),
            ConsoleDeed::Create => records.create_instance(&one.it),
            ConsoleDeed::Delete => records.delete_instance(&one.it),
        });
        let all = each.collect();
        records.maker = None;
        all
    })
}

/// The namespaces of instances, also of those that only an id names.
fn places<'a>(state: &PolarisState, all: impl Iterator<Item = &'a Instance>) -> Vec<Option<String>> {
    let records = state.records.lock();
    let of = |id: &str| {
        let service = &records.instances.get(id)?.service;
        records.services.get(service)?.it.namespace.clone()
    };
    all.map(|one| one.namespace.clone().or_else(|| of(one.id.as_deref().unwrap_or_default()))).collect()
}

fn place(name: &Option<String>) -> Option<&str> {
    name.as_deref()
}

fn hosts(state: &PolarisState, deed: ConsoleDeed, all: &[AskedInstance], token: Option<&str>) -> ManyAnswers {
    let wrong = all.iter().filter_map(|one| {
        let code = checks::by_host(&one.it).err()?;
        Some(OneAnswer::instance(code, one.it.clone()))
    });
    let wrong: Vec<_> = wrong.collect();
    // Of isolations the server forgets what it has found wrong, and does the others.
    if !wrong.is_empty() && deed == ConsoleDeed::Delete {
        return ManyAnswers::collected(wrong);
    }
    if let Err((code, why)) = allowed(state, token, all.iter().map(|one| one.it.namespace.as_deref())) {
        return ManyAnswers::with(code, why);
    }
    written(state, ManyAnswers::summed_up, |records| {
        let each = all.iter().map(|one| match deed {
            ConsoleDeed::Delete => records.delete_host(&one.it),
            _ => records.isolate_host(&one.it),
        });
        each.collect()
    })
}
