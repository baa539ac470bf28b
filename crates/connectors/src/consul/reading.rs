//! What stands in a data centre, and how far that is all of it.

use super::client::{Check, Client, Dumped, Entry, Service, denied, is_not_served};
use super::convert::{self, PASSING, SERVERS};
use super::settings::ConsulOptions;
use crate::util::http::path_segment;
use causeway_core::{Error, Instance, Set, Unreadable, intern};
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Services that are asked for at once.
pub(super) const AT_ONCE: usize = 16;
/// All instances with their checks. Not in Consul's documents, but what its own web page has lived by since its first version;
/// where it is not served, every service is asked for by itself.
const EVERYTHING: &str = "/v1/internal/ui/nodes";

const NAMES: &str = "/v1/catalog/services";
const NOTHING: &str = "the token may read nothing: it needs `service:read` and `node:read` (the answer is empty, and Consul says \
                       that its access control has left something out)";

/// The sets of services, by name.
pub(super) type Sets = BTreeMap<Arc<str>, Arc<Set>>;

/// Checks that do not pass: by node and id, the status and the service, which is empty for a node's.
pub(super) type Failing = BTreeMap<(String, String), (String, String)>;

/// Those of these checks that do not pass, but for what is imported from peers.
pub(super) fn failing<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Failing {
    let failing = checks.into_iter().filter(|check| check.status != PASSING && check.peer_name.is_empty());
    let failing = failing.cloned();
    failing.map(|check| ((check.node, check.id), (check.status, check.service_name))).collect()
}

/// What was found at one look.
pub(super) struct Listing {
    pub sets: Sets,
    pub failing: Failing,
    /// Not all could be read: what is not listed may be there.
    pub filtered: bool,
    /// Grows with every change of a node, a service or a check; 0: not known.
    pub index: u64,
}

/// The same as Consul tells it.
struct Found {
    by_name: BTreeMap<String, Vec<Entry>>,
    failing: Failing,
    /// The token may not read all.
    filtered: bool,
    index: u64,
    /// Services that cannot be asked for by their names, and what was answered.
    unasked: Vec<(String, Error)>,
}

/// What was found of one service.
pub(super) struct One {
    /// `None`: there is no instance of it that may be read.
    pub set: Option<Arc<Set>>,
    pub failing: Failing,
    /// The token may not read all of it.
    pub filtered: bool,
}

/// Reads one data centre.
pub(super) struct Reading {
    pub client: Client,
    options: ConsulOptions,
    /// Whether the last list lacked what may not be read.
    filtered: AtomicBool,
    /// What was left out when it was last read, by service.
    odd: Mutex<BTreeMap<String, Vec<Unreadable>>>,
}

/// Whether a refusal may be about the name of the service that was asked for: servers tidy paths up, and a name such as `a//b`
/// leads elsewhere then.
pub(super) fn is_about_name(error: &Error) -> bool {
    match error {
        Error::Rejected(_) | Error::Protocol(_) => true,
        error => is_not_served(error),
    }
}

impl Reading {
    pub fn new(client: Client, options: ConsulOptions) -> Self {
        Self { client, options, filtered: AtomicBool::new(false), odd: Mutex::default() }
    }

    /// All services. An error where nothing may be read, and where the catalog cannot be whole.
    pub async fn all(&self) -> Result<Listing, Error> {
        let mut found = match self.client.list::<Vec<Dumped>>(EVERYTHING).await {
            Ok(answer) => Found {
                failing: failing(answer.content.iter().flat_map(|node| &node.checks)),
                by_name: by_name(answer.content),
                filtered: answer.filtered,
                index: answer.index,
                unasked: Vec::new(),
            },
            Err(error) if is_not_served(&error) => self.one_by_one().await.map_err(denied)?,
            Err(error) => return Err(error),
        };
        let shows_servers = found.by_name.remove(SERVERS).is_some();
        if found.by_name.is_empty()
            && let Some((_, error)) = found.unasked.pop()
        {
            return Err(denied(error));
        }
        // Servers register themselves, unless they have just begun. In a namespace of its own nobody is.
        if !found.filtered && !shows_servers && self.options.namespace.is_none() {
            return Err(Error::unavailable("the catalog does not show the servers themselves: it is not complete yet"));
        }
        if found.filtered && found.by_name.is_empty() {
            return Err(Error::Denied(NOTHING.into()));
        }
        let why = |error: &Error| format!("it cannot be asked for by its name: {error}");
        let unasked = found.unasked.iter().map(|(name, error)| {
            (name.clone(), vec![Unreadable { record: format!("service {name:?}"), why: why(error) }])
        });
        let odd = found.by_name.iter().map(|(name, entries)| (name.clone(), no_instances(entries)));
        *self.odd.lock() = unasked.chain(odd.filter(|(_, odd)| !odd.is_empty())).collect();
        self.filtered.store(found.filtered, Ordering::Relaxed);
        let sets = found.by_name.iter().map(|(name, entries)| (intern(name), Arc::new(self.set(name, entries))));
        Ok(Listing {
            sets: sets.collect(),
            failing: found.failing,
            filtered: found.filtered || !found.unasked.is_empty(),
            index: found.index,
        })
    }

    /// What the last list lacked, as far as that can be known, and what was no instance.
    pub fn left_out(&self) -> Vec<Unreadable> {
        let why = "the token has no `service:read` or `node:read` for them";
        let lacking = self.filtered.load(Ordering::Relaxed);
        let lacking = lacking.then(|| Unreadable { record: "some services".into(), why: why.into() });
        lacking.into_iter().chain(self.odd.lock().values().flatten().cloned()).collect()
    }

    /// Why the last list was not complete, if it was not.
    pub fn why_filtered(&self) -> &'static str {
        match self.filtered.load(Ordering::Relaxed) {
            true => {
                "the token may not read all services and nodes: this look is not complete (it needs `service:read` and \
                 `node:read` for all)"
            }
            false => "some services cannot be asked for by their names: this look is not complete",
        }
    }

    async fn one_by_one(&self) -> Result<Found, Error> {
        let names = self.client.list::<BTreeMap<String, IgnoredAny>>(NAMES).await?;
        let looks = names.content.into_keys().map(|name| async move {
            match self.entries(&name).await {
                Err(error) if !is_about_name(&error) => Err(error),
                found => Ok((name, found)),
            }
        });
        let all: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
        let (by_name, failing) = (BTreeMap::new(), Failing::new());
        let mut whole = Found { by_name, failing, filtered: names.filtered, index: 0, unasked: Vec::new() };
        for (name, found) in all {
            match found {
                Ok((entries, filtered)) => {
                    whole.filtered |= filtered;
                    whole.failing.extend(failing_of(&entries));
                    // Of proxies and gateways nothing is left.
                    if !entries.is_empty() {
                        whole.by_name.insert(name, entries);
                    }
                }
                Err(error) => whole.unasked.push((name, error)),
            }
        }
        Ok(whole)
    }

    /// One service.
    pub async fn one(&self, name: &str) -> Result<One, Error> {
        let (entries, filtered) = self.entries(name).await?;
        let set = (!entries.is_empty()).then(|| Arc::new(self.set(name, &entries)));
        let odd = no_instances(&entries);
        let mut known = self.odd.lock();
        match odd.is_empty() {
            true => drop(known.remove(name)),
            false => drop(known.insert(name.to_owned(), odd)),
        }
        Ok(One { set, failing: failing_of(&entries), filtered })
    }

    /// The instances of one service as Consul tells them, and whether some may not be read. Consul does not tell capital letters
    /// from small ones in names; we do.
    pub async fn entries(&self, name: &str) -> Result<(Vec<Entry>, bool), Error> {
        let path = format!("/v1/health/service/{}", path_segment(name));
        let answer = self.client.get::<Vec<Entry>>(&path, &[]).await?;
        let mut entries = answer.content;
        entries.retain(|entry| entry.service.service == name && is_plain(&entry.service));
        Ok((entries, answer.filtered))
    }

    /// How many services there are.
    pub async fn count(&self) -> Result<usize, Error> {
        let names = self.client.list::<BTreeMap<String, IgnoredAny>>(NAMES).await?;
        let count = names.content.keys().filter(|name| *name != SERVERS).count();
        match names.filtered && count == 0 {
            true => Err(Error::Denied(NOTHING.into())),
            false => Ok(count),
        }
    }

    /// Whether the servers answer, and what they say can be relied on.
    pub async fn check(&self) -> Result<(), Error> {
        self.client.check_token().await?;
        self.client.look().await
    }

    fn set(&self, name: &str, entries: &[Entry]) -> Set {
        let instances = entries.iter().filter(|entry| convert::port(&entry.service).is_some());
        let read = instances.map(|entry| (entry, convert::read(entry, self.options.address_of)));
        let mut records: Vec<(&Entry, Instance)> = read.filter(|(_, one)| self.takes(one)).collect();
        // Nodes may show one instance twice. Of natives with one id the last stands: one that takes traffic, one that passes,
        // the first by node.
        let rank = |one: &Instance| (one.healthy && one.enabled, one.healthy);
        records.sort_by(|(a, one), (b, other)| {
            (rank(one), &b.node.node, &b.service.id).cmp(&(rank(other), &a.node.node, &a.service.id))
        });
        Set::of(convert::scope(name), records.into_iter().map(|(_, record)| record))
    }

    /// A copy always counts; a native where it takes traffic, or where the settings want all of them.
    fn takes(&self, record: &Instance) -> bool {
        self.options.include_unhealthy || record.mark().is_some() || (record.healthy && record.enabled)
    }
}

fn failing_of(entries: &[Entry]) -> Failing {
    failing(entries.iter().flat_map(|entry| &entry.checks))
}

/// Those of these that are no instances.
fn no_instances(entries: &[Entry]) -> Vec<Unreadable> {
    let odd = entries.iter().filter(|entry| convert::port(&entry.service).is_none());
    let named = odd.map(|Entry { node, service, .. }| Unreadable {
        record: format!("service {:?}, id {:?} on node {:?}", service.service, service.id, node.node),
        why: format!("{} is no port", service.port),
    });
    named.collect()
}

/// Gateways and proxies of a service mesh are no services that anybody else could call.
fn is_plain(service: &Service) -> bool {
    service.kind.is_empty() && service.peer_name.is_empty()
}

fn by_name(nodes: Vec<Dumped>) -> BTreeMap<String, Vec<Entry>> {
    let mut found: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for dumped in nodes.into_iter().filter(|one| one.peer_name.is_empty()) {
        let mut of_node = Vec::new();
        let mut of_service: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for check in dumped.checks {
            match check.service_id.is_empty() {
                true => of_node.push(check),
                false => of_service.entry(check.service_id.to_lowercase()).or_default().push(check),
            }
        }
        for service in dumped.services.into_iter().filter(is_plain) {
            let mut checks = of_node.clone();
            checks.extend(of_service.remove(&service.id.to_lowercase()).unwrap_or_default());
            let name = service.service.clone();
            found.entry(name).or_default().push(Entry { node: dumped.node.clone(), service, checks });
        }
    }
    found
}

#[cfg(test)]
mod tests;
