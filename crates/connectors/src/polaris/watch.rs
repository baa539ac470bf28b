//! One watch: rounds of questions over one stream, each with the revision of what is known, so that only what has changed comes back.
//!
//! Every round asks for the services of each namespace, and for the instances of the services of interest; of very many, for a part of
//! them. Once a second the namespaces are listed.

mod watched;

use super::client::{Discovery, Found, Question};
use super::names;
use super::reading::{Reading, WireService, not_shown};
use crate::util::backoff::Backoff;
use causeway_core::{Error, Lost, Part, Selector, ServiceKey, Update};
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use watched::WatchedNamespace;

/// The wait after the first failure and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// From the beginning of one round to the next: a server looks for changes as often. Sooner, while something is listed that it does
/// not know yet.
const ROUND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(300);
/// Services that are asked for in one round: with more, each has its turn in several rounds.
const AT_ONCE: usize = 2_000;
/// How often the namespaces are listed: before the services in each round, but for those that come soon.
const LIST: Duration = Duration::from_millis(900);

/// What was said of an error: its kind, and of a refusal the reason as well, since the operator has something else to do about another.
type ToldError = (Discriminant<Error>, String);

fn said(error: &Error) -> ToldError {
    let why = if let Error::Denied(why) = error { why.clone() } else { String::new() };
    (discriminant(error), why)
}

struct Watch {
    reading: Arc<Reading>,
    select: Selector,
    /// The selection's epoch at the last round.
    selection: u64,
    discovery: Discovery,
    /// The namespaces that are followed.
    parts: BTreeMap<Arc<str>, WatchedNamespace>,
    /// Namespaces that are said to be missing or denied, so that it is said once.
    faults: BTreeMap<Arc<str>, ToldError>,
    /// What was said of an outage; `None`: there is none.
    fault: Option<ToldError>,
    backoff: Backoff,
    next: Instant,
    list: Instant,
    /// How many services were asked for since the beginning: where the next turn begins.
    turn: usize,
    ready: VecDeque<Result<Update, Lost>>,
}

/// An endless stream of what stands in the cluster.
pub(super) fn watch(reading: &Arc<Reading>, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
    stream::unfold(Watch::new(reading.clone(), select.clone()), async |mut watch| {
        loop {
            if let Some(item) = watch.ready.pop_front() {
                return Some((item, watch));
            }
            watch.step().await;
        }
    })
    .boxed()
}

impl Watch {
    fn new(reading: Arc<Reading>, select: Selector) -> Self {
        Self {
            selection: select.epoch(),
            discovery: Discovery::new(reading.client.clone()),
            reading,
            select,
            parts: BTreeMap::new(),
            faults: BTreeMap::new(),
            fault: None,
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            next: Instant::now(),
            list: Instant::now(),
            turn: 0,
            ready: VecDeque::new(),
        }
    }

    async fn step(&mut self) {
        if Instant::now() < self.next {
            tokio::select! {
                () = sleep_until(self.next) => {}
                () = self.reading.recent.changed() => {
                    self.tell_recent();
                    return;
                }
            }
        }
        let begun = Instant::now();
        match self.round().await {
            Ok(()) => {
                self.fault = None;
                self.backoff.reset();
                let every = if self.parts.values().all(WatchedNamespace::is_whole) { ROUND } else { SOON };
                // A slow server gets a rest.
                self.next = Instant::now() + every.saturating_sub(begun.elapsed()).max(begun.elapsed());
            }
            // Not an outage: what is known stays known.
            Err(Error::Throttled(wait)) => self.next = Instant::now() + wait.max(self.backoff.next()),
            Err(error) => {
                self.lose(error);
                self.next = Instant::now() + self.backoff.next();
            }
        }
    }

    /// Nothing is known any more; that is said once.
    fn lose(&mut self, error: Error) {
        self.list = Instant::now();
        self.parts.values_mut().for_each(WatchedNamespace::lose);
        let said = said(&error);
        if self.fault.replace(said.clone()) != Some(said) {
            self.ready.push_back(Err(Lost { part: None, error }));
        }
    }

    /// The same of one namespace.
    fn lose_part(&mut self, namespace: &Arc<str>, error: Error) {
        if let Some(part) = self.parts.get_mut(namespace) {
            part.lose();
        }
        let said = said(&error);
        if self.faults.insert(namespace.clone(), said.clone()) != Some(said) {
            self.ready.push_back(Err(Lost { part: Some(Part(namespace.clone())), error }));
        }
    }

    /// The answers, where the server that was asked before has given them. From another one nothing is known: what it lacks was
    /// not seen to go.
    async fn ask(&mut self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        let before = self.discovery.breaks();
        let found = self.discovery.ask(questions).await?;
        match self.discovery.breaks() == before {
            true => Ok(found),
            false => Err(Error::unavailable("another server answers now; everything is asked for again")),
        }
    }

    async fn round(&mut self) -> Result<(), Error> {
        let epoch = self.select.epoch();
        let anew = self.selection != epoch;
        let begun = Instant::now();
        if anew || self.list <= begun {
            self.list_parts().await?;
            self.list = begun + LIST;
        }
        self.refresh().await?;
        let spaces: Vec<Arc<str>> = self.parts.keys().cloned().collect();
        let asked: Vec<_> = self.parts.iter().map(|(name, part)| Question::services(name, &part.revision)).collect();
        let lists = self.ask(&asked).await?;
        let denied = self.denied_parts().await?;
        for (namespace, found) in spaces.iter().zip(lists) {
            match denied.contains(namespace) {
                true => self.lose_part(namespace, Error::Denied(not_shown(namespace))),
                false => self.take_list(namespace, found, anew)?,
            }
        }
        self.selection = epoch;
        let wait = self.ask_services().await?;
        let changed = self.reading.recent.take_changed();
        for namespace in spaces {
            self.tell(&namespace, &changed);
        }
        let read =
            |name: &Arc<str>, part: &WatchedNamespace| part.services.get(name).is_some_and(|held| held.is_wanted);
        self.reading.forget_but(|(namespace, name)| self.parts.get(namespace).is_some_and(|part| read(name, part)));
        wait.map_or(Ok(()), |wait| Err(Error::Throttled(wait)))
    }

    /// Has the server bring its cache up to date before a namespace is told whole. Who may not ask for that is told what there is.
    async fn refresh(&mut self) -> Result<(), Error> {
        for (namespace, part) in self.parts.iter_mut().filter(|(_, part)| part.is_listed && !part.is_fresh) {
            match self.reading.client.refresh(namespace).await {
                Ok(()) | Err(Error::Denied(_) | Error::Missing(_) | Error::Rejected(_)) => part.is_fresh = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Which namespaces take part.
    async fn list_parts(&mut self) -> Result<(), Error> {
        let (named, needed) = (self.select.named(), self.select.needed());
        let listed = match self.reading.namespaces(&named).await {
            Ok(listed) => Some(listed),
            Err(Error::Denied(why)) if !self.reading.client.has_token() => {
                if named.is_empty() && needed.is_empty() {
                    return Err(Error::Denied(format!(
                        "{why}; without a token only namespaces that the cluster names (`namespace`) can be followed"
                    )));
                }
                None
            }
            Err(error) => return Err(error),
        };
        let mut wanted: BTreeMap<Arc<str>, (Option<Arc<str>>, bool)> = BTreeMap::new();
        let titles: BTreeSet<Arc<str>> = listed.iter().flat_map(|all| all.values().flatten().cloned()).collect();
        for (name, title) in listed.iter().flatten() {
            let part = Part(name.clone());
            if self.select.part(&part, title.as_deref()) || needed.contains(&part) {
                wanted.insert(name.clone(), (title.clone(), true));
            }
        }
        // Those that no list shows are looked for.
        for name in named.into_iter().filter(|name| !titles.contains(name)).chain(needed.into_iter().map(|part| part.0))
        {
            wanted.entry(name).or_insert((None, listed.is_none()));
        }
        let gone = |name: &Arc<str>| listed.as_ref().is_some_and(|all| !all.contains_key(name));
        let left =
            self.parts.iter().filter(|(name, part)| !wanted.contains_key(*name) && gone(name) && part.is_known());
        for name in left.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.lose_part(&name, removed(&name));
        }
        self.parts.retain(|name, _| wanted.contains_key(name));
        self.faults.retain(|name, _| wanted.contains_key(name));
        for (name, (title, is_listed)) in wanted {
            let part = self.parts.entry(name).or_default();
            (part.title, part.is_listed) = (title, is_listed);
        }
        Ok(())
    }

    /// The namespaces that are not listed because the token may not see them: their lists are empty, and the question for a service
    /// is refused.
    async fn denied_parts(&mut self) -> Result<BTreeSet<Arc<str>>, Error> {
        let hidden = || self.parts.iter().filter(|(_, part)| !part.is_listed).map(|(name, _)| name);
        let names: Vec<Arc<str>> = hidden().cloned().collect();
        let found = self.ask(&names.iter().map(Question::any).collect::<Vec<_>>()).await?;
        let denied = names.into_iter().zip(found).filter(|(_, found)| matches!(found, Err(Error::Denied(_))));
        Ok(denied.map(|(name, _)| name).collect())
    }

    /// The services of a namespace.
    fn take_list(&mut self, namespace: &Arc<str>, found: Result<Found, Error>, anew: bool) -> Result<(), Error> {
        let Some(part) = self.parts.get_mut(namespace) else { return Ok(()) };
        let news = match found {
            Ok(Found::Services(names, revision)) => Some((names, revision)),
            Ok(Found::Same | Found::Unknown | Found::Alias(_) | Found::Instances(..)) | Err(Error::Missing(_)) => None,
            Err(error @ Error::Denied(_)) => {
                self.lose_part(namespace, error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let is_empty = news.as_ref().map_or_else(|| part.names().next().is_none(), |(names, _)| names.is_empty());
        if !part.is_listed && is_empty {
            // One that was never there is nothing to tell of.
            let known = part.is_known();
            *part = WatchedNamespace::default();
            if known {
                self.lose_part(namespace, removed(namespace));
            }
            return Ok(());
        }
        if is_empty && part.complete && part.names().nth(1).is_some() {
            // Nobody removes all services at once: the server has lost its data, or is another one.
            return Err(Error::unavailable(format!("the namespace {namespace} shows no service all at once")));
        }
        self.faults.remove(namespace);
        match news {
            Some((names, revision)) => {
                part.revision = revision;
                part.list(namespace, names, &self.select);
            }
            None if anew => {
                let names = part.names().map(|name| name.to_string()).collect();
                part.list(namespace, names, &self.select);
            }
            None => {}
        }
        Ok(())
    }

    /// Asks for the services whose turn it is; returns the wait where the server has answered only some of the questions.
    async fn ask_services(&mut self) -> Result<Option<Duration>, Error> {
        let asked = self.turn();
        let queries = asked.iter().filter_map(|(namespace, name)| {
            let held = self.parts.get(namespace)?.services.get(name)?;
            Some(Question::instances(namespace, name, &held.revision))
        });
        let queries: Vec<_> = queries.collect();
        let found = self.ask(&queries).await?;
        let mut wait = None;
        for (service, found) in asked.iter().zip(found) {
            if let Err(Error::Throttled(time)) = found {
                wait = Some(time);
            } else {
                self.turn += 1;
                self.take(service, found)?;
            }
        }
        Ok(wait)
    }

    /// The services to ask for in this round: those of which nothing is known, and of the others as many as there is time for, each
    /// in its turn.
    fn turn(&self) -> Vec<WireService> {
        let wanted = |(namespace, part): (&Arc<str>, &WatchedNamespace)| {
            let asked = part.services.iter().filter(|(_, held)| held.is_wanted);
            let namespace = namespace.clone();
            asked.map(move |(name, held)| (held.is_known(), (namespace.clone(), name.clone()))).collect::<Vec<_>>()
        };
        let all: Vec<(bool, WireService)> = self.parts.iter().flat_map(wanted).collect();
        let (mut known, unknown): (Vec<_>, Vec<_>) = all.into_iter().partition(|(is_known, _)| *is_known);
        let first = self.turn.checked_rem(known.len()).unwrap_or_default();
        known.rotate_left(first);
        known.truncate(AT_ONCE);
        unknown.into_iter().chain(known).map(|(_, service)| service).collect()
    }

    /// What was found of a service; it is told where that is other than before.
    fn take(&mut self, service: &WireService, found: Result<Found, Error>) -> Result<(), Error> {
        let Some(part) = self.parts.get_mut(&service.0) else { return Ok(()) };
        let Some(held) = part.services.get_mut(&service.1) else { return Ok(()) };
        match found {
            Ok(Found::Same) => {
                held.is_answered = true;
                return Ok(());
            }
            Ok(Found::Instances(list, revision)) => {
                let records = self.reading.instances(service, &list);
                *held = held.with(records, revision);
            }
            Ok(Found::Alias(revision)) => *held = held.with(Vec::new(), revision),
            // The cache has not caught up with the list, or it has, and the service is gone from both.
            Ok(Found::Unknown) if !held.is_listed => drop(part.services.remove(&service.1)),
            Ok(Found::Unknown | Found::Services(..)) | Err(Error::Missing(_) | Error::Rejected(_)) => {
                held.unknown.get_or_insert_with(Instant::now);
                return Ok(());
            }
            Err(Error::Denied(why)) => {
                self.reading.note_denied(service, &why);
                // All is read anew once it may be read.
                held.revision.clear();
                (held.is_denied, held.is_answered) = (true, true);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        part.dirty.insert(names::scope(&service.0, &service.1));
        Ok(())
    }

    /// Tells a namespace whole, or what of it is other than before.
    fn tell(&mut self, namespace: &Arc<str>, changed: &BTreeSet<ServiceKey>) {
        let Some(part) = self.parts.get_mut(namespace).filter(|_| !self.faults.contains_key(namespace)) else { return };
        if !part.complete {
            if !part.is_whole() {
                return;
            }
            let sets = part.whole(&self.reading, namespace, &self.select);
            let (part, title) = (Part(namespace.clone()), part.title.clone());
            self.ready.push_back(Ok(Update::Reset { part, title, sets }));
            return;
        }
        for scope in changed.iter().chain(&std::mem::take(&mut part.dirty)) {
            if scope.namespace == *namespace
                && let Some(set) = part.changed(&self.reading, scope, &self.select)
            {
                self.ready.push_back(Ok(Update::Changed(set)));
            }
        }
    }

    fn tell_recent(&mut self) {
        let changed = self.reading.recent.take_changed();
        let spaces: BTreeSet<Arc<str>> = changed.iter().map(|scope| scope.namespace.clone()).collect();
        for namespace in spaces {
            if self.parts.get(&namespace).is_some_and(|part| part.complete) {
                self.tell(&namespace, &changed);
            }
        }
    }
}

fn removed(namespace: &str) -> Error {
    Error::Missing(format!("the namespace {namespace} has been removed"))
}

#[cfg(test)]
mod tests;
