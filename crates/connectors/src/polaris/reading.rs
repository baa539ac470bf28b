//! What stands in a cluster, and one complete look at a namespace.

use super::client::{Client, Discovery, Found, Question};
use super::convert;
use super::names::{self, SYSTEM};
use super::recent::RecentWrites;
use super::settings::PolarisOptions;
use causeway_core::{Error, Instance, InstanceId, Part, Parts, Selector, ServiceKey, Set, Unreadable, intern};
use causeway_proto::polaris;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// A service that is listed and that discovery does not know yet is asked for again after this time.
const LAG: Duration = Duration::from_millis(1_500);

/// A service by its name in Polaris: the namespace, and the service's.
pub(super) type WireService = (Arc<str>, Arc<str>);

/// Reads one cluster.
pub(super) struct Reading {
    pub client: Arc<Client>,
    pub options: PolarisOptions,
    /// What we wrote and discovery may not show yet.
    pub recent: RecentWrites,
    /// For complete looks, which ask in turns.
    looks: tokio::sync::Mutex<Discovery>,
    /// The namespaces that the operator named.
    named: Vec<String>,
    /// Services that stand under their other name ([`names::alternative`]).
    renamed: Mutex<BTreeSet<ServiceKey>>,
    /// What was left out when it was last read.
    odd: Mutex<BTreeMap<WireService, Vec<Unreadable>>>,
}

impl Reading {
    pub fn new(client: Arc<Client>, options: PolarisOptions, named: Vec<String>) -> Self {
        let looks = tokio::sync::Mutex::new(Discovery::new(client.clone()));
        let (renamed, odd) = (Mutex::default(), Mutex::default());
        Self { client, options, recent: RecentWrites::default(), looks, named, renamed, odd }
    }

    /// The namespaces with their titles, but for the servers' own unless it is `named`.
    pub async fn namespaces(&self, named: &BTreeSet<Arc<str>>) -> Result<BTreeMap<Arc<str>, Option<Arc<str>>>, Error> {
        let all = self.client.namespaces().await?;
        let shown = all.into_iter().filter(|(name, _)| name != SYSTEM || named.contains(SYSTEM));
        let titled =
            |(name, comment): (String, String)| (intern(&name), (!comment.is_empty()).then(|| intern(&comment)));
        Ok(shown.map(titled).collect())
    }

    pub async fn parts(&self) -> Result<Parts, Error> {
        let named: BTreeSet<Arc<str>> = self.named.iter().map(|name| intern(name)).collect();
        match self.namespaces(&named).await {
            Ok(all) => Ok(all.into_iter().map(|(name, title)| (Part(name), title)).collect()),
            // Who has no token may still discover what stands in a namespace that is named.
            Err(Error::Denied(_)) if !self.client.has_token() && !named.is_empty() => {
                Ok(named.into_iter().map(|name| (Part(name), None)).collect())
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, questions: &[Question]) -> Result<Vec<Result<Found, Error>>, Error> {
        self.looks.lock().await.ask(questions).await
    }

    /// Whether a namespace is known to be missing. Where that may not be asked, it is not known.
    async fn is_missing(&self, namespace: &str) -> Result<bool, Error> {
        match self.client.has_namespace(namespace).await {
            Ok(there) => Ok(!there),
            Err(Error::Denied(_)) if !self.client.has_token() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many services a namespace has.
    pub async fn count(&self, part: &Part) -> Result<usize, Error> {
        match self.client.count(&part.0).await {
            Err(Error::Denied(_)) if !self.client.has_token() => {
                let asked = [Question::services(&part.0, "")];
                match self.ask(&asked).await?.into_iter().next() {
                    Some(Ok(Found::Services(names, _))) => Ok(names.len()),
                    Some(Err(error)) => Err(error),
                    _ => Ok(0),
                }
            }
            found => found,
        }
    }

    /// A complete look at one namespace.
    pub async fn read(&self, part: &Part, select: &Selector) -> Result<Vec<Set>, Error> {
        let missing = self.is_missing(&part.0).await?;
        match self.client.refresh(&part.0).await {
            Err(Error::Denied(_)) if !self.client.has_token() => {}
            done => done?,
        }
        let listed = self.ask(&[Question::services(&part.0, "")]).await?.into_iter().next();
        let names = match listed {
            Some(Ok(Found::Services(names, _))) => names,
            Some(Err(error)) => return Err(error),
            _ => Vec::new(),
        };
        if missing && names.is_empty() {
            let probed = self.ask(&[Question::any(&part.0)]).await?.into_iter().next();
            return Err(match probed {
                Some(Err(Error::Denied(_))) => Error::Denied(not_shown(&part.0)),
                _ => Error::Missing(format!("there is no namespace {part}")),
            });
        }
        let wanted = |name: &String| select.scope(&names::scope(&part.0, name));
        let mut open: Vec<Arc<str>> = names.iter().filter(|name| wanted(name)).map(|name| intern(name)).collect();
        let mut held: BTreeMap<Arc<str>, Vec<Instance>> = BTreeMap::new();
        for last in [false, true] {
            let asked: Vec<_> = open.iter().map(|name| Question::instances(&part.0, name, "")).collect();
            let mut unknown = Vec::new();
            for (name, found) in open.into_iter().zip(self.ask(&asked).await?) {
                match found? {
                    Found::Instances(list, _) => {
                        let list = self.instances(&(part.0.clone(), name.clone()), &list);
                        held.insert(name, list);
                    }
                    Found::Unknown => unknown.push(name),
                    Found::Alias(_) | Found::Same | Found::Services(..) => {}
                }
            }
            open = unknown;
            if open.is_empty() {
                break;
            }
            if !last {
                sleep(LAG).await;
            }
        }
        let mut scopes: BTreeSet<_> = held.keys().map(|name| names::scope(&part.0, name)).collect();
        scopes.extend(self.recent.scopes(&part.0).into_iter().filter(|scope| select.scope(scope)));
        let sets = scopes.iter().map(|scope| self.set(scope, |name| held.get(name).map(Vec::as_slice)));
        Ok(sets.filter(|set| !set.records.is_empty()).collect())
    }

    /// The set of a service, of what stands under its names, and what we wrote a moment ago.
    pub fn set<'a>(&self, scope: &ServiceKey, held: impl Fn(&str) -> Option<&'a [Instance]>) -> Set {
        let mut set = Set::empty(scope.clone());
        let other = names::alternative(scope);
        let own = names::wire(scope).ok();
        // Of two at one address the one under the usual name counts.
        for name in other.iter().chain(&own) {
            held(name).unwrap_or_default().iter().for_each(|record| set.put(record.clone()));
        }
        self.recent.lay_over(&mut set);
        set
    }

    /// The instances of a service. Of several native ones at one address one is taken: one that takes traffic, then the one that
    /// changed last.
    pub fn instances(&self, service: &WireService, wires: &[polaris::Instance]) -> Vec<Instance> {
        let mut odd = Vec::new();
        let named = |wire: &polaris::Instance| {
            let (host, port) = (wire.host.as_deref().unwrap_or_default(), wire.port.unwrap_or_default());
            format!("service {}/{}: {host}:{port}", service.0, service.1)
        };
        let mut read: Vec<(&polaris::Instance, Instance)> = Vec::with_capacity(wires.len());
        for wire in wires {
            match convert::read(wire, &self.options) {
                Some(record) => read.push((wire, record)),
                None => {
                    odd.push(Unreadable { record: named(wire), why: "it has no host, or no port up to 65535".into() })
                }
            }
        }
        let rank = |(wire, record): &(&polaris::Instance, Instance)| {
            (record.healthy && record.enabled, wire.mtime.clone(), wire.id.clone())
        };
        read.sort_by_key(|one| std::cmp::Reverse(rank(one)));
        let mut taken: BTreeSet<InstanceId> = BTreeSet::new();
        let mut records = Vec::with_capacity(read.len());
        for (wire, record) in read {
            if record.mark.is_none() && !taken.insert(record.id()) {
                let why = "another instance of the service has the same address".into();
                odd.push(Unreadable { record: named(wire), why });
            } else {
                records.push(record.shared());
            }
        }
        let mut known = self.odd.lock();
        match odd.is_empty() {
            true => drop(known.remove(service)),
            false => drop(known.insert(service.clone(), odd)),
        }
        records
    }

    /// A service may not be read.
    pub fn note_denied(&self, service: &WireService, why: &str) {
        let record = format!("service {}/{}", service.0, service.1);
        self.odd.lock().insert(service.clone(), vec![Unreadable { record, why: why.to_owned() }]);
    }

    /// What is gone, or not read any more, leaves nothing out.
    pub fn forget_but(&self, is_read: impl Fn(&WireService) -> bool) {
        self.odd.lock().retain(|service, _| is_read(service));
    }

    pub fn left_out(&self) -> Vec<Unreadable> {
        self.odd.lock().values().flatten().cloned().collect()
    }

    /// Notes whether a service stands under its other name, and not under its usual one.
    pub fn note_renamed(&self, scope: &ServiceKey, is: bool) {
        let mut renamed = self.renamed.lock();
        if is {
            renamed.insert(scope.clone());
        } else {
            renamed.remove(scope);
        }
    }

    /// What a service that we write to is called in Polaris.
    pub fn wire_name(&self, scope: &ServiceKey) -> Result<String, Error> {
        let usual = names::wire(scope).map_err(Error::Rejected)?;
        let other = || names::alternative(scope).filter(|_| self.renamed.lock().contains(scope));
        Ok(other().unwrap_or(usual))
    }
}

/// What is said of a namespace that the token may not see.
pub(super) fn not_shown(namespace: &str) -> String {
    format!("the token's user has no right to the namespace {namespace}: grant it in the console's policies")
}
